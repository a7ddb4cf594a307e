#!/usr/bin/python
# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Switch a set of nginx's files as one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_configuration
short_description: Switch a set of nginx's files as one transaction
version_added: 0.1.0
description:
  - Writes files and links of nginx's configuration, tests the whole configuration, and has nginx
    load it (or starts nginx), all or nothing.
  - When the test or the reload fails, everything is put back as it was and the task fails with
    nginx's own words. nginx goes on with what it had.
  - An nginx whose program was replaced, by an upgrade of its package, hands over to the new one.
  - A run that was killed half-way is undone by the next one before it does anything else.
  - A configuration file that this collection did not write is never overwritten. It tells its own
    files by their first line.
author: [The edge.mtls authors (@edge-mtls)]
options:
  files:
    description: Files that must be there with this content.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      content:
        description: The whole text.
        type: str
        required: true
  links:
    description: Symbolic links that must be there.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path of the link.
        type: path
        required: true
      target:
        description: What it points to, as it is written into the link.
        type: str
        required: true
  owned_paths:
    description:
      - Patterns such as C(/etc/nginx/conf.d/mtls-*.conf). A file or link that matches and is not
        wanted any more is removed, if this collection wrote it.
    type: list
    elements: path
    default: []
  welcome_sites:
    description:
      - Where the distribution may have put its own welcome site. A link is taken away; in a file,
        be it O(main_path), the servers are commented out.
      - Only while dpkg, rpm or pacman says that the file still is as its package brought it. What
        somebody has edited stays.
    type: list
    elements: path
    default: []
  included:
    description:
      - Pattern of files that C(nginx.conf) must include in its http block, such as
        C(/etc/nginx/conf.d/*.conf).
      - The line is added where it is missing (Arch Linux). Nothing else of the file is touched.
    type: str
  main_path:
    description: nginx's main configuration file.
    type: path
    default: /etc/nginx/nginx.conf
  watched_paths:
    description:
      - Files that the configuration names and others write, such as certificates.
      - nginx is reloaded when one of them is not what it was at the last reload.
    type: list
    elements: path
    default: []
  purge:
    description:
      - Whether to delete the keys, certificates and trust of sites that are gone, once nginx has
        let go of them. They lie in folders of their own in O(state_path), and are those of a site
        none of whose O(files) is wanted there.
      - Other files in such a folder stay.
    type: bool
    default: false
  state_path:
    description: Folder for the journal of a change, and for what nginx was last seen to load.
    type: path
    default: /etc/nginx/mtls
  nginx_path:
    description:
      - The nginx program.
      - May be missing in check mode, where nginx need not be installed yet.
    type: path
requirements:
  - nginx
attributes:
  check_mode:
    description: Returns what would be changed. nginx need not be there.
    support: full
  diff_mode:
    description: Shows the files as they were and as they will be.
    support: full
"""

EXAMPLES = r"""
- name: Switch a site
  edge.mtls.nginx_configuration:
    nginx_path: /usr/sbin/nginx
    files:
      - path: /etc/nginx/sites-available/mtls-app.conf
        content: "{{ lookup('ansible.builtin.template', 'site.conf.j2') }}"
    links:
      - path: /etc/nginx/sites-enabled/mtls-app.conf
        target: ../sites-available/mtls-app.conf
    owned_paths:
      - /etc/nginx/sites-available/mtls-*.conf
      - /etc/nginx/sites-enabled/mtls-*.conf
"""

RETURN = r"""
changed_paths:
  description: Paths that were (in check mode, would be) written or removed.
  type: list
  elements: str
  returned: success
purged:
  description: Names of the sites whose keys and trust were (in check mode, would be) deleted.
  type: list
  elements: str
  returned: success
applied:
  description: V(started), V(reloaded), V(upgraded) when a new program took over from the running
    one, or empty when nginx was left alone.
  type: str
  returned: success
restored:
  description: Whether the change of a killed run was undone first.
  type: bool
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.nginx.configuration import switch

ARGUMENT_SPEC: dict[str, Any] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "required": True},
        },
    },
    "links": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "target": {"type": "str", "required": True},
        },
    },
    "owned_paths": {"type": "list", "elements": "path", "default": []},
    "welcome_sites": {"type": "list", "elements": "path", "default": []},
    "included": {"type": "str"},
    "main_path": {"type": "path", "default": "/etc/nginx/nginx.conf"},
    "purge": {"type": "bool", "default": False},
    "watched_paths": {"type": "list", "elements": "path", "default": []},
    "state_path": {"type": "path", "default": "/etc/nginx/mtls"},
    "nginx_path": {"type": "path"},
}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Switch the files that the options ask for.

    :raises MtlsError: nginx refused them, and everything is as it was; or they can't be written.
    """
    return switch(**params, check_mode=check_mode)


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
