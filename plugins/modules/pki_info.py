#!/usr/bin/python
# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the certificates that a store has issued."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pki_info
short_description: List the certificates that a store has issued
version_added: 0.1.0
description:
  - Lists every certificate that was ever issued from a store, whether its files are still there or
    not, and filters them. A certificate must pass all filters that are given.
author: [The edge.mtls authors (@edge-mtls)]
options:
  store_path:
    description: Absolute path of the store's folder.
    type: path
    required: true
  names:
    description: Only certificates of these names.
    type: list
    elements: str
    default: []
  profiles:
    description: Only certificates of these kinds.
    type: list
    elements: str
    choices: [authority, client, server, peer]
    default: []
  authorities:
    description: Only certificates that these authorities signed.
    type: list
    elements: str
    default: []
  states:
    description:
      - Only certificates in these states.
      - V(superseded) is valid, but the name has a newer one. V(hold) may be released again. What
        has expired is V(expired), revoked or not.
    type: list
    elements: str
    choices: [valid, superseded, hold, revoked, expired]
    default: []
  expires_within_days:
    description: Only certificates that expire within so many days, and have not expired yet.
    type: int
requirements:
  - cryptography >= 36 (ansible-core brings a current one to the control node)
attributes:
  check_mode:
    description: Changes nothing, so it does the same in check mode.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
seealso:
  - module: edge.mtls.certificates
  - module: edge.mtls.revocations
"""

EXAMPLES = r"""
- name: What expires in the next two weeks?
  edge.mtls.pki_info:
    store_path: /home/me/.local/share/edge-mtls
    expires_within_days: 14
    states: [valid]
  delegate_to: localhost
  register: soon

- name: What has one authority signed that could still be used?
  edge.mtls.pki_info:
    store_path: /home/me/.local/share/edge-mtls
    authorities: [services]
    states: [valid, superseded]
  delegate_to: localhost
"""

RETURN = r"""
counts:
  description: How many certificates of the list are in each state.
  type: dict
  returned: success
  sample: {valid: 12, superseded: 3, hold: 0, revoked: 1, expired: 0}
certificates:
  description: The certificates, by profile and name, the oldest of a name first.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name in the store.
      type: str
    profile:
      description: Its kind.
      type: str
    state:
      description: One of O(states).
      type: str
    subject:
      description: Subject as nginx's C($ssl_client_s_dn) prints it (RFC 2253).
      type: str
    issuer:
      description: Name of the authority that signed it, or nothing when it is self-signed.
      type: str
    issuer_subject:
      description: Subject of its issuer.
      type: str
    serial_number:
      description: Serial number, upper-case hex.
      type: str
    fingerprint_sha256:
      description: SHA-256 of the certificate, lower-case hex.
      type: str
    not_before:
      description: Start of validity, ISO 8601, UTC.
      type: str
    not_after:
      description: Last instant of validity, ISO 8601, UTC.
      type: str
    days_left:
      description: Days until it expires, rounded; negative once it has.
      type: int
    revocation_reason:
      description: Why it was revoked; V(removeFromCRL) when it was released from hold.
      type: str
    revoked_at:
      description: When that was said, ISO 8601, UTC.
      type: str
    revoked_by:
      description: Who said it.
      type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import utc_now
from ansible_collections.edge.mtls.plugins.module_utils.pki.info import STATES, list_certificates
from ansible_collections.edge.mtls.plugins.module_utils.pki.library import require_cryptography
from ansible_collections.edge.mtls.plugins.module_utils.pki.revocations import KINDS
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store

NAMES: dict[str, Any] = {"type": "list", "elements": "str", "default": []}
ARGUMENT_SPEC: dict[str, Any] = {
    "store_path": {"type": "path", "required": True},
    "names": NAMES,
    "profiles": {**NAMES, "choices": KINDS},
    "authorities": NAMES,
    "states": {**NAMES, "choices": STATES},
    "expires_within_days": {"type": "int"},
}


def run(params: dict[str, Any], _check_mode: bool) -> dict[str, Any]:
    """List what the options ask for.

    :raises MtlsError: there is no store, or a name of an authority is unknown.
    """
    require_cryptography()
    filters = {name: value for name, value in params.items() if name != "store_path"}
    found = list_certificates(Store(params["store_path"]), utc_now(), **filters)
    return {"changed": False, **found}


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        result = run(module.params, module.check_mode)
    except MtlsError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
