#!/usr/bin/python
# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Tell what a deployment must know of a host before it changes anything
version_added: 0.1.0
description:
  - Looks at the init system, the clock, Python, nginx and who listens on which TCP port.
  - Reads only. Needs Linux, and nothing but Python's standard library.
options:
  units:
    description: Units of systemd to look at as well.
    type: list
    elements: str
    default: []
  paths:
    description: Files to look at as well, by absolute paths.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    description: Changes nothing, so it does the same in check mode.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
author:
  - The edge.mtls authors (@edge-mtls)
"""

EXAMPLES = r"""
- name: Look at the host
  edge.mtls.host_info:
  become: true
  register: host

- name: Leave a port alone that somebody else serves
  ansible.builtin.assert:
    that: host.listeners | selectattr('port', 'eq', 443) | rejectattr('process', 'eq', 'nginx')
      | length == 0
    fail_msg: Port 443 is taken.
"""

RETURN = r"""
distribution:
  description: The distribution's name as it calls itself, or null.
  returned: success
  type: str
  sample: Debian GNU/Linux 12 (bookworm)
os_family:
  description: V(Debian), V(RedHat) or V(Archlinux), as Ansible's facts name them, or null.
  returned: success
  type: str
  sample: Debian
package_manager:
  description: V(apt), V(dnf), V(yum) or V(pacman), or null.
  returned: success
  type: str
  sample: apt
init:
  description: V(systemd) when it is process 1 and has booted this host, else V(none).
  returned: success
  type: str
  sample: systemd
epoch_seconds:
  description: The host's clock, in seconds since 1970.
  returned: success
  type: float
  sample: 1795436836.2
ipv6:
  description: Whether a server can listen on C(::1).
  returned: success
  type: bool
  sample: true
python:
  description: The version of the Python that runs modules on this host.
  returned: success
  type: str
  sample: 3.11.2
system_python:
  description: The C(python3) of the system, which any user may run, or null.
  returned: success
  type: str
  sample: /usr/bin/python3
cryptography:
  description: The version of C(cryptography) that modules on this host find, or null.
  returned: success
  type: str
  sample: 38.0.4
nginx:
  description: The nginx on this host, or null.
  returned: success
  type: dict
  contains:
    path:
      description: Its program.
      returned: success
      type: str
      sample: /usr/sbin/nginx
    version:
      description: Its version, or null when it does not say.
      returned: success
      type: str
      sample: 1.22.1
    tls_library:
      description: The TLS library it runs with, or null when it does not say.
      returned: success
      type: str
      sample: OpenSSL 3.0.15
    modules_path:
      description: The folder of its dynamic modules, or null when it does not say.
      returned: success
      type: str
      sample: /usr/lib/nginx/modules
    conf_path:
      description: Its main configuration file, or null when it does not say.
      returned: success
      type: str
      sample: /etc/nginx/nginx.conf
    includes:
      description: The absolute patterns that this file's http block includes.
      returned: success
      type: list
      elements: str
      sample: [/etc/nginx/mime.types, /etc/nginx/conf.d/*.conf]
    running:
      description: Whether an nginx runs on this host. One in a container on it does not count.
      returned: success
      type: bool
      sample: true
    pid:
      description: The process id of its master, or null when none runs.
      returned: success
      type: int
      sample: 812
listeners:
  description:
    - Who listens on a TCP port, with one entry for each address and port.
    - Where several processes share one, as the master and workers of nginx do, it is the one with
      the lowest process id.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address, V(0.0.0.0) or V(::) for all.
      returned: success
      type: str
      sample: 127.0.0.1
    port:
      description: The port.
      returned: success
      type: int
      sample: 443
    pid:
      description: The process id, or null when the process cannot be seen. That takes root, and
        the same namespace of processes.
      returned: success
      type: int
      sample: 812
    process:
      description: The short name of the process, or null.
      returned: success
      type: str
      sample: nginx
    paths:
      description: The absolute paths on its command line; empty when it cannot be seen.
      returned: success
      type: list
      elements: str
      sample: [/usr/bin/python3, /usr/local/lib/mtls-backend.py]
guards:
  description: Which of V(SELinux), V(firewalld) and V(ufw) are active.
  returned: success
  type: list
  elements: str
  sample: [firewalld]
units:
  description: Each unit of O(units), with V(enabled) (systemd starts it at boot) and V(active).
    Both are false without systemd.
  returned: success
  type: dict
  sample: {nginx: {enabled: true, active: true}}
files:
  description: Each file of O(paths), with V(sha256) (lower-case hex), V(mode) and V(uid), or null
    for one that is not there.
  returned: success
  type: dict
  sample:
    /etc/hostname:
      sha256: a8cb75a2ad31f8ce1b4f1aa2ff2a7b4ee3a7b2b8a7e7c6ed21f4f8e6ee2d5a10
      mode: "0644"
      uid: 0
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edge.mtls.plugins.module_utils.host import describe_host

ARGUMENT_SPEC: dict[str, Any] = {
    "units": {"type": "list", "elements": "str", "default": []},
    "paths": {"type": "list", "elements": "path", "default": []},
}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Look at the host; there is nothing to change, in check mode or out of it."""
    return {"changed": False, **describe_host(**params)}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.exit_json(**run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
