#!/usr/bin/python
# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let SELinux, firewalld and ufw allow what nginx's sites need."""

from __future__ import annotations

DOCUMENTATION = r"""
module: port_access
short_description: Let SELinux, firewalld and ufw allow what nginx's sites need
version_added: 0.1.0
description:
  - Speaks to each of the three only where it is active on the host.
  - Opens a port in firewalld's default zone and in ufw, and gives it SELinux's type
    C(http_port_t), now and for later boots.
  - A port that somebody has made a rule for is left as it is, whatever the rule says. It may keep
    callers out on purpose.
  - What it opened is written down in O(state_path).
author: [The edge.mtls authors (@edge-mtls)]
options:
  ports:
    description: TCP ports that nginx listens on for callers from elsewhere.
    type: list
    elements: int
    required: true
  close_others:
    description:
      - Whether to close ports again that this module opened and that are not in O(ports) any more.
      - To be left out until nginx has let go of them, so that no caller is kept out too early.
    type: bool
    default: true
  connects:
    description:
      - Whether nginx must be able to connect to upstreams, which SELinux allows by its boolean
        C(httpd_can_network_connect). It is never turned off again.
    type: bool
    default: true
  state_path:
    description: Folder for the record of what was opened.
    type: path
    default: /etc/nginx/mtls
attributes:
  check_mode:
    description: Returns what would be done.
    support: full
  diff_mode:
    description: Shows each action.
    support: full
"""

EXAMPLES = r"""
- name: Let callers reach the sites
  edge.mtls.port_access:
    ports: [443, 8443]
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done.
  type: list
  elements: str
  returned: success
  sample: ["firewalld: open port 443/tcp"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.guards import open_ports

ARGUMENT_SPEC: dict[str, Any] = {
    "ports": {"type": "list", "elements": "int", "required": True},
    "close_others": {"type": "bool", "default": True},
    "connects": {"type": "bool", "default": True},
    "state_path": {"type": "path", "default": "/etc/nginx/mtls"},
}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Open what must be open.

    :raises MtlsError: a port can't be opened, or a command failed.
    """
    result = open_ports(**params, check_mode=check_mode)
    if result["actions"]:
        result["diff"] = {"before": "", "after": "\n".join([*result["actions"], ""])}
    return result


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
