# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that the modules of the store share."""

from __future__ import annotations


class ModuleDocFragment:
    """Options and notes of every module that works on a store."""

    DOCUMENTATION = r"""
options:
  store_path:
    description:
      - Absolute path of the store's folder.
      - It is made, with mode 0700, where it does not exist yet.
    type: path
    required: true
requirements:
  - cryptography >= 36 (ansible-core brings a current one to the control node)
attributes:
  check_mode:
    description: Returns what would be done, and changes nothing.
    support: full
  diff_mode:
    description: Shows each certificate that is new or replaced, and why.
    support: full
notes:
  - On the control node (C(delegate_to=localhost), without C(become)) the work is done by an action
    plugin inside Ansible's own process, about ten times faster than a module.
    Elsewhere the same code runs as a module on that host.
"""
