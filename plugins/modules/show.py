#!/usr/bin/python
# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: show
short_description: Print a text to the screen as it is
version_added: 0.1.0
description:
  - Prints lines without quotes or indentation, so that a command among them can be pasted.
  - Runs on the control node only.
author: [The edge.mtls authors (@edge-mtls)]
options:
  text:
    description: What to print.
    type: str
    required: true
attributes:
  check_mode:
    description: Prints in check mode too.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
"""

EXAMPLES = r"""
- name: Say what to type next
  edge.mtls.show:
    text: |
      curl --cert client1.pem https://app.example.com/
"""

RETURN = r"""
"""
