#!/usr/bin/python
# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a certificate authority unless it is there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: authority
short_description: Make a certificate authority unless it is there
version_added: 0.1.0
description:
  - Keeps a root or intermediate authority in a store.
  - An authority that exists is never replaced. When it differs from what is asked for, the module
    fails and says how to roll over.
  - What it makes carries basicConstraints and keyUsage, both critical, a subject and an authority
    key identifier (RFC 5280).
author: [The edge.mtls authors (@edge-mtls)]
extends_documentation_fragment: [edge.mtls.store]
options:
  name:
    description:
      - Name in the store, which becomes a folder's name.
      - 1 to 128 of a-z, 0-9, C(.), C(_), C(@) and C(-).
    type: str
    required: true
  common_name:
    description: Common name of the subject, 1 to 64 bytes in UTF-8.
    type: str
    required: true
  issuer:
    description: Name of the authority that signs this one. Without it, this is a root.
    type: str
  key_type:
    description: Type of the private key.
    type: str
    choices: [P-256, P-384, P-521, Ed25519, RSA-2048, RSA-3072, RSA-4096, RSA-6144, RSA-8192]
    default: P-256
  valid_days:
    description:
      - Days from now until a new authority expires, but never after its issuer does.
      - Not looked at for an authority that exists.
    type: int
    default: 3650
  path_length:
    description:
      - How many authorities may stand below this one in a chain.
      - Without it there is no limit.
      - An authority that exists without a limit is left so when 0 is asked for.
    type: int
seealso:
  - module: edge.mtls.certificates
"""

EXAMPLES = r"""
- name: Keep a root authority
  edge.mtls.authority:
    store_path: /home/me/.local/share/edge-mtls
    name: root
    common_name: Example Root CA
  delegate_to: localhost

- name: Keep an authority below it that signs no further ones
  edge.mtls.authority:
    store_path: /home/me/.local/share/edge-mtls
    name: services
    common_name: Example Services CA
    issuer: root
    path_length: 0
    valid_days: 1825
  delegate_to: localhost
"""

RETURN = r"""
name:
  description: Name in the store.
  type: str
  returned: success
reasons:
  description: Why it was made; empty when it was there.
  type: list
  elements: str
  returned: success
certificate_path:
  description: The authority's certificate, PEM.
  type: str
  returned: success
fullchain_path:
  description: The certificate and all above it, root included. Give this to C(curl --cacert).
  type: str
  returned: success
certificate:
  description: The certificate, PEM.
  type: str
  returned: when it exists
bundle:
  description: The certificate and all above it, root included, PEM.
  type: str
  returned: when it exists
subject:
  description: Subject as nginx's C($ssl_client_i_dn) prints it (RFC 2253).
  type: str
  returned: when it exists
  sample: CN=Example Root CA
issuer_subject:
  description: Subject of its issuer; its own for a root.
  type: str
  returned: when it exists
key_type:
  description: Type of its key.
  type: str
  returned: when it exists
not_before:
  description: Start of validity, ISO 8601, UTC.
  type: str
  returned: when it exists
not_after:
  description: Last instant of validity, ISO 8601, UTC.
  type: str
  returned: when it exists
days_left:
  description: Days until it expires, rounded.
  type: int
  returned: when it exists
serial_number:
  description: Serial number, upper-case hex.
  type: str
  returned: when it exists
fingerprint_sha256:
  description: SHA-256 of the certificate, lower-case hex.
  type: str
  returned: when it exists
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.authorities import (
    WantedAuthority,
    ensure_authority,
    paths,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import utc_now
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import DEFAULT_KEY_TYPE, KEY_TYPES
from ansible_collections.edge.mtls.plugins.module_utils.pki.library import (
    is_available,
    require_cryptography,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store

ARGUMENT_SPEC: dict[str, Any] = {
    "store_path": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "common_name": {"type": "str", "required": True},
    "issuer": {"type": "str"},
    "key_type": {"type": "str", "choices": KEY_TYPES, "default": DEFAULT_KEY_TYPE},
    "valid_days": {"type": "int", "default": 3650},
    "path_length": {"type": "int"},
}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Keep the authority that the options ask for.

    :raises MtlsError: it can't be kept as asked.
    """
    if check_mode and not is_available():
        # A bare host: nothing can have been made there yet.
        return {
            "changed": True,
            "name": params["name"],
            "reasons": ["missing"],
            **paths(Store(params["store_path"]), params["name"]),
        }
    require_cryptography()
    wanted = WantedAuthority(
        **{name: value for name, value in params.items() if name != "store_path"}
    )
    result = ensure_authority(Store(params["store_path"]), wanted, utc_now(), check_mode)
    if result["changed"]:
        result["diff"] = {
            "before": "",
            "after": f"{wanted.common_name}: {', '.join(result['reasons'])}\n",
            "before_header": wanted.where,
            "after_header": wanted.where,
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
