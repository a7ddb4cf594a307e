#!/usr/bin/python
# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wanted
short_description: Check and complete the authorities, clients and sites that are wanted
version_added: 0.1.0
description:
  - Checks what the user wrote, entry by entry and against each other, and adds what follows.
  - Every error names the variable and the entry, and says what would be right.
  - Runs on the control node only. The roles use it before they change anything.
author: [The edge.mtls authors (@edge-mtls)]
options:
  authorities:
    description: The value of C(mtls_pki_authorities).
    type: raw
    required: true
  clients:
    description: The value of C(mtls_pki_clients).
    type: raw
    required: true
  self_signed_clients:
    description: Whether clients that name no issuer are signed with their own key.
    type: bool
    default: false
  client_key_type:
    description: Key type of clients that an authority signs.
    type: str
    default: P-256
  client_valid_days:
    description: Days that a client certificate lives when an authority signs it.
    type: int
    default: 365
  client_renew_before_days:
    description: Renew a client certificate this many days before it expires.
    type: int
    default: 30
  profiles:
    description: The value of C(mtls_pki_profiles).
    type: raw
    default: []
  revoked:
    description: The value of C(mtls_pki_revoked).
    type: raw
    default: []
  key_passphrase_names:
    description: The authorities that C(mtls_pki_key_passphrases) holds passphrases for.
    type: list
    elements: str
    default: []
  sites:
    description: The value of C(mtls_gateway_sites), with O(host).
    type: raw
  host:
    description: What M(edge.mtls.host_info) returned for the sites' host.
    type: dict
attributes:
  check_mode:
    description: Changes nothing, so it does the same in check mode.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
"""

EXAMPLES = r"""
- name: Check what was asked for
  edge.mtls.wanted:
    authorities:
      - {name: root, common_name: Example Root CA}
    clients:
      - {name: client1}
  register: wanted
"""

RETURN = r"""
authorities:
  description: The authorities with all their keys, parents first.
  type: list
  elements: dict
  returned: success
clients:
  description: The clients with all their keys.
  type: list
  elements: dict
  returned: success
profiles:
  description: The profiles with all their keys.
  type: list
  elements: dict
  returned: success
revoked:
  description: What is to be revoked, with all its keys.
  type: list
  elements: dict
  returned: success
sites:
  description: The sites with all their keys and what follows from them.
  type: list
  elements: dict
  returned: with O(host)
"""
