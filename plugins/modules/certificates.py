#!/usr/bin/python
# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Issue, renew and reissue a whole set of certificates in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificates
short_description: Issue, renew and reissue a whole set of certificates in one call
version_added: 0.1.0
description:
  - Takes every client or server certificate that is wanted, compares it with the store, and issues
    what is missing, due or different, for a stated reason.
  - The whole set is checked before anything is issued.
  - Time alone never changes anything; only a certificate within its renewal window is renewed,
    with a new key unless the key is elsewhere.
author: [The edge.mtls authors (@edge-mtls)]
extends_documentation_fragment: [edge.mtls.store]
options:
  certificates:
    description: The certificates that are wanted.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name in the store, unique within its profile.
        type: str
        required: true
      profile:
        description:
          - V(client) carries the extended key usage clientAuth, V(server) serverAuth.
          - It also decides the folder, C(clients/) or C(servers/).
        type: str
        choices: [client, server]
        default: client
      state:
        description:
          - V(absent) removes the files of that name, its keys too. The index keeps every
            certificate that was issued, and none is revoked by this.
        type: str
        choices: [present, absent]
        default: present
      issuer:
        description:
          - Name of the authority that signs it. Needed unless O(certificates[].state=absent).
          - V(self) makes a self-signed certificate, which whoever trusts it must be given itself.
        type: str
      common_name:
        description:
          - Common name of the subject, 1 to 64 bytes in UTF-8.
          - The same as O(certificates[].name) unless given.
        type: str
      subject_alternative_names:
        description:
          - Names as C(DNS:app.example.com) or C(IP:192.0.2.1).
          - A server certificate needs at least one.
        type: list
        elements: str
        default: []
      key_type:
        description: Type of the private key. Not looked at with O(certificates[].request).
        type: str
        choices: [P-256, P-384, P-521, Ed25519, RSA-2048, RSA-3072, RSA-4096, RSA-6144, RSA-8192]
        default: P-256
      valid_days:
        description: Days from now until a new certificate expires, but never after its issuer does.
        type: int
        default: 365
      renew_before_days:
        description: Renew when fewer days than this are left.
        type: int
        default: 30
      request:
        description:
          - CSR in PEM. The private key then stays where the CSR was made.
          - Only its public key is used, after its signature was checked; subject and alternative
            names come from this entry.
        type: str
      pkcs12:
        description:
          - Also write C(<name>.p12) for browsers and keychains, encrypted with AES-256
            (with 3DES where cryptography is older than 38).
          - Its passphrase is generated and written beside it, mode 0600.
        type: bool
        default: false
seealso:
  - module: edge.mtls.authority
  - module: edge.mtls.certificate_request
"""

EXAMPLES = r"""
- name: Keep the client certificates that the inventory lists, a thousand as well as one
  edge.mtls.certificates:
    store_path: /home/me/.local/share/edge-mtls
    certificates: "{{ clients }}"
  vars:
    clients:
      - {name: client1, issuer: services, pkcs12: true}
      - {name: client2, issuer: services, key_type: Ed25519, valid_days: 90}
  delegate_to: localhost

- name: Keep a self-signed client certificate of the kind that tutorials start with
  edge.mtls.certificates:
    store_path: /home/me/.local/share/edge-mtls
    certificates:
      - {name: client1, issuer: self, key_type: RSA-4096, valid_days: 10000}
  delegate_to: localhost
"""

RETURN = r"""
plan:
  description: How many certificates were (in check mode, would be) left, issued, renewed, reissued
    or forgotten.
  type: str
  returned: success
  sample: ok 12, renew 3, reissue 1
certificates:
  description: Each certificate under C(<profile>/<name>).
  type: dict
  returned: success
  contains:
    name:
      description: Name in the store.
      type: str
    action:
      description: V(ok), V(issue), V(renew), V(reissue) or V(forget).
      type: str
    reasons:
      description: Why something was done.
      type: list
      elements: str
      sample: [expires in 9 days, 'SAN +DNS:app.example.com']
    certificate_path:
      description: The certificate, PEM.
      type: str
    fullchain_path:
      description: The certificate and the intermediate authorities above it.
      type: str
    key_path:
      description: The private key, mode 0600. Absent when the key is elsewhere.
      type: str
    pkcs12_path:
      description: The PKCS #12 file, when asked for.
      type: str
    subject:
      description: Subject as nginx's C($ssl_client_s_dn) prints it (RFC 2253).
      type: str
    issuer_subject:
      description: Subject of the issuer, in the same form.
      type: str
    not_before:
      description: Start of validity, ISO 8601, UTC.
      type: str
    not_after:
      description: Last instant of validity, ISO 8601, UTC.
      type: str
    days_left:
      description: Days until it expires, rounded.
      type: int
    serial_number:
      description: Serial number, upper-case hex.
      type: str
    fingerprint_sha256:
      description: SHA-256 of the certificate, lower-case hex.
      type: str
    certificate:
      description: The certificate, PEM.
      type: str
    fullchain:
      description: The certificate and the intermediate authorities above it, PEM.
      type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import PROFILES, utc_now
from ansible_collections.edge.mtls.plugins.module_utils.pki.issuing import (
    WantedCertificate,
    ensure_certificates,
    plan_without_library,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import DEFAULT_KEY_TYPE, KEY_TYPES
from ansible_collections.edge.mtls.plugins.module_utils.pki.library import (
    is_available,
    require_cryptography,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store

ARGUMENT_SPEC: dict[str, Any] = {
    "store_path": {"type": "path", "required": True},
    "certificates": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "profile": {"type": "str", "choices": PROFILES, "default": "client"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "issuer": {"type": "str"},
            "common_name": {"type": "str"},
            "subject_alternative_names": {"type": "list", "elements": "str", "default": []},
            "key_type": {"type": "str", "choices": KEY_TYPES, "default": DEFAULT_KEY_TYPE},
            "valid_days": {"type": "int", "default": 365},
            "renew_before_days": {"type": "int", "default": 30},
            "request": {"type": "str"},
            "pkcs12": {"type": "bool", "default": False},
        },
        "required_if": [("state", "present", ("issuer",))],
    },
}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Keep the certificates that the options ask for.

    :raises MtlsError: an entry can't be met; nothing has been issued then.
    """
    store = Store(params["store_path"])
    entries: dict[str, list[dict[str, Any]]] = {"present": [], "absent": []}
    for entry in params["certificates"]:
        entries[entry["state"]].append({k: v for k, v in entry.items() if k != "state"})
    if check_mode and not is_available():
        # A bare host: nothing can have been issued there yet.
        return plan_without_library(store, entries["present"])
    require_cryptography()
    wanted = [
        WantedCertificate(**{**entry, "common_name": entry["common_name"] or entry["name"]})
        for entry in entries["present"]
    ]
    unwanted = [(entry["profile"], entry["name"]) for entry in entries["absent"]]
    result = ensure_certificates(store, wanted, utc_now(), check_mode, unwanted)
    result["diff"] = [
        {
            "before": "",
            "after": f"{described['action']}: {', '.join(described['reasons'])}\n",
            "before_header": f"certificate {key}",
            "after_header": f"certificate {key}",
        }
        for key, described in result["certificates"].items()
        if described["reasons"]
    ]
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
