#!/usr/bin/python
# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a private key on the host that uses it, and a CSR for it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_request
short_description: Make a private key on the host that uses it, and a CSR for it
version_added: 0.1.0
description:
  - Keeps a private key in a file with mode 0600 and returns a certificate signing request
    (PKCS #10) that proves its possession.
  - The key never leaves the host. Hand the request to M(edge.mtls.certificates), where all hosts'
    requests are signed in one call.
  - A key that exists is never overwritten. When it is of another type, the module fails.
author: [The edge.mtls authors (@edge-mtls)]
options:
  key_path:
    description:
      - Absolute path of the private key.
      - Its folder is made, with mode 0700, where it does not exist yet.
    type: path
    required: true
  common_name:
    description: Common name of the subject, 1 to 64 bytes in UTF-8.
    type: str
    required: true
  subject_alternative_names:
    description: Names as C(DNS:app.example.com) or C(IP:192.0.2.1).
    type: list
    elements: str
    default: []
  key_type:
    description: Type of the private key.
    type: str
    choices: [P-256, P-384, P-521, Ed25519, RSA-2048, RSA-3072, RSA-4096, RSA-6144, RSA-8192]
    default: P-256
requirements:
  - cryptography >= 36
attributes:
  check_mode:
    description: Says whether a key would be made. C(request) is null then.
    support: full
  diff_mode:
    description: Shows that a key is new or gets another mode, never the key.
    support: full
seealso:
  - module: edge.mtls.certificates
"""

EXAMPLES = r"""
- name: Make this server's key and a request for it
  edge.mtls.certificate_request:
    key_path: /etc/nginx/mtls/app/key-p-256.pem
    common_name: app.example.com
    subject_alternative_names: [DNS:app.example.com]
  register: server

- name: Sign the requests of all hosts at once
  edge.mtls.certificates:
    store_path: /home/me/.local/share/edge-mtls
    certificates:
      - name: app@web1
        profile: server
        issuer: root
        common_name: app.example.com
        subject_alternative_names: [DNS:app.example.com]
        request: "{{ hostvars['web1'].server.request }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
request:
  description: The CSR, PEM. Null in check mode while there is no key.
  type: str
  returned: success
reasons:
  description: Why the file was changed; empty when it was right.
  type: list
  elements: str
  returned: success
  sample: [missing]
key_path:
  description: Where the private key is.
  type: str
  returned: success
key_type:
  description: Type of the key.
  type: str
  returned: success
public_key_sha256:
  description: SHA-256 of the SubjectPublicKeyInfo, lower-case hex. Null while there is no key.
  type: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.host_keys import ensure_request
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import DEFAULT_KEY_TYPE, KEY_TYPES

ARGUMENT_SPEC: dict[str, Any] = {
    "key_path": {"type": "path", "required": True},
    "common_name": {"type": "str", "required": True},
    "subject_alternative_names": {"type": "list", "elements": "str", "default": []},
    "key_type": {"type": "str", "choices": KEY_TYPES, "default": DEFAULT_KEY_TYPE},
}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Keep the key and make a CSR for it.

    :raises MtlsError: the key can't be made or isn't of the type that was asked for.
    """
    result = ensure_request(**params, check_mode=check_mode)
    if result["changed"]:
        result["diff"] = {
            "before": "",
            "after": f"a {params['key_type']} key, mode 0600: {', '.join(result['reasons'])}\n",
            "before_header": params["key_path"],
            "after_header": params["key_path"],
        }
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
