#!/usr/bin/python
# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a certificate authority unless it is there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: authority
short_description: Keep a certificate authority, make it, adopt it or roll it over
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
    description:
      - Common name of the subject, 1 to 64 bytes in UTF-8.
      - Needed unless O(certificate_path) brings one.
    type: str
  subject:
    description:
      - What the subject holds before the common name, in this order, such as
        C(C), C(O) and C(OU).
      - Keys are V(C), V(ST), V(L), V(O), V(OU), V(DC), V(UID), V(serialNumber), V(emailAddress),
        V(title), V(GN), V(SN), V(street), V(postalCode), or an OID.
      - A list makes one attribute of each of its values.
      - An V(emailAddress) becomes an alternative name, too (RFC 5280, 4.1.2.6).
    type: dict
  issuer:
    description: Name of the authority that signs this one. Without it, this is a root.
    type: str
  key_type:
    description:
      - Type of the private key.
      - The ML-DSA types (FIPS 204) need cryptography 49, and OpenSSL 3.5 wherever they are used.
    type: str
    choices: [P-256, P-384, P-521, Ed25519, RSA-2048, RSA-3072, RSA-4096, RSA-6144, RSA-8192,
      ML-DSA-44, ML-DSA-65, ML-DSA-87]
    default: P-256
  valid_days:
    description:
      - Days from now until a new authority expires, but never after its issuer does. 3650 unless
        given.
      - Not looked at for an authority that exists.
    type: int
  valid_minutes:
    description: The same in minutes, instead of O(valid_days).
    type: int
  path_length:
    description:
      - How many authorities may stand below this one in a chain.
      - Without it there is no limit. Best so for a root, because GnuTLS counts the
        cross-certificate of a roll-over, too (seen with 3.7).
      - An authority that exists without a limit is left so when 0 is asked for.
    type: int
  permitted_names:
    description:
      - Name constraints. Everything below this authority may only have these names, such as
        V(DNS:example.com) (with all that ends in it), V(IP:10.0.0.0/8), V(email:example.com),
        V(URI:.example.com) or V(dirName:O=Example,C=DE).
      - A kind of name that isn't in the list is not limited.
    type: list
    elements: str
    default: []
  excluded_names:
    description:
      - The same, for names that nothing below this authority may have.
      - GnuTLS refuses everything below where a V(dirName) is excluded, and every alternative name
        V(URI) where a V(URI) is (seen with 3.7).
    type: list
    elements: str
    default: []
  certificate_policies:
    description:
      - OIDs of the policies in its certificate, each followed by a space and the URL of its
        practice statement if there is one.
    type: list
    elements: str
    default: []
  crl_urls:
    description:
      - Where its CRL will be published. Everything that it signs names these URLs as its CRL
        distribution point.
      - A certificate that names others is issued anew.
    type: list
    elements: str
    default: []
  ca_issuers_urls:
    description: Where its own certificate (DER) will be published (authority information access).
    type: list
    elements: str
    default: []
  ocsp_urls:
    description: Where its OCSP responder is (authority information access).
    type: list
    elements: str
    default: []
  key_passphrase:
    description:
      - Encrypt the private key in the store with this.
      - A key that lies there unencrypted is encrypted with it.
    type: str
  previous_key_passphrase:
    description:
      - What a key is encrypted with that is to get O(key_passphrase), or none if that isn't given.
      - May stay when it has been changed. A key that O(key_path) brings may have it, too.
    type: str
  issuer_key_passphrase:
    description: Passphrase of the key of O(issuer).
    type: str
  certificate_path:
    description:
      - Adopt an authority that exists already, instead of making one. A certificate in PEM on the
        host of the store.
      - Its key type, path length, lifetime and extensions are what they are in it.
      - Without O(key_path) it can't sign here. An authority with such an issuer gets a key and a
        signing request (RV(request_path)), and waits (RV(state=pending)) until its certificate
        is brought in this way.
      - The file may go once it was adopted.
    type: path
  key_path:
    description: The private key of O(certificate_path), PEM, encrypted or not. It may go, too.
    type: path
  roll_over:
    description:
      - Rolls the authority over to a new key, one stage after the other, each in a run of its own.
        Name and subject stay.
      - V(prepare) makes a successor of the present options; both are trusted, the old one signs. A
        root also signs its successor (a cross-certificate), for those who trust the old one only.
      - V(sign) lets the successor sign. What the old one signed stays until it is due.
      - V(move) has everything that the old one signed issued anew at once.
      - V(retire) stops trusting the old one. It is refused while a certificate that is the newest
        of its name hangs on it. RV(superseded) tells how many older ones will be refused from then
        on. An intermediate authority's old certificate is revoked, because whoever trusts its
        issuer would go on trusting it; the next run of M(edge.mtls.revocations) says so in the CRL.
      - Without it, the authority stays at the stage where it is.
    type: str
    choices: [prepare, sign, move, retire]
seealso:
  - module: edge.mtls.certificates
  - module: edge.mtls.revocations
"""

EXAMPLES = r"""
- name: Keep a root authority
  edge.mtls.authority:
    store_path: /home/me/.local/share/edge-mtls
    name: root
    common_name: Example Root CA
    subject: {C: DE, O: Example}
    key_passphrase: "{{ vault_root_passphrase }}"
  delegate_to: localhost

- name: Keep an authority below it that signs no further ones, and only names of ours
  edge.mtls.authority:
    store_path: /home/me/.local/share/edge-mtls
    name: services
    common_name: Example Services CA
    issuer: root
    issuer_key_passphrase: "{{ vault_root_passphrase }}"
    path_length: 0
    valid_days: 1825
    permitted_names: [DNS:example.com, IP:10.0.0.0/8]
    crl_urls: [http://pki.example.com/services.crl]
  delegate_to: localhost

- name: Adopt a root whose key stays offline
  edge.mtls.authority:
    store_path: /home/me/.local/share/edge-mtls
    name: corporate
    certificate_path: /home/me/corporate-root.pem
  delegate_to: localhost

- name: Put a successor beside an authority
  edge.mtls.authority:
    store_path: /home/me/.local/share/edge-mtls
    name: services
    common_name: Example Services CA
    issuer: root
    key_type: P-384
    roll_over: prepare
  delegate_to: localhost
"""

RETURN = r"""
name:
  description: Name in the store.
  type: str
  returned: success
state:
  description:
    - V(live), or the stage of its roll-over (V(prepare), V(sign), V(move)).
    - V(pending) while it waits for its certificate, V(absent) in check mode before it is made.
  type: str
  returned: success
request_path:
  description: The signing request that is to be signed elsewhere.
  type: str
  returned: when it is pending
has_key:
  description: Whether the store holds its private key, so that it can sign.
  type: bool
  returned: when it exists
superseded:
  description:
    - How many certificates of its predecessor are still valid though their names have newer ones,
      or though they have not moved yet.
  type: int
  returned: when it exists
reasons:
  description: What was done and why; empty when everything was as wanted.
  type: list
  elements: str
  returned: success
certificate_path:
  description: The authority's certificate, PEM.
  type: str
  returned: success
fullchain_path:
  description: The certificate and all above it, root included.
  type: str
  returned: success
trust_path:
  description: What to trust, the predecessor or successor included while it is rolled over, PEM.
  type: str
  returned: success
certificate:
  description: The certificate, PEM.
  type: str
  returned: when it exists
generations:
  description:
    - The certificate, and that of its successor or predecessor while it is rolled over, PEM.
  type: str
  returned: when it exists
bundle:
  description: The content of RV(trust_path).
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
from ansible_collections.edge.mtls.plugins.module_utils.pki import options
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import utc_now
from ansible_collections.edge.mtls.plugins.module_utils.pki.extensions import Pointers
from ansible_collections.edge.mtls.plugins.module_utils.pki.keeping import ensure_authority, paths
from ansible_collections.edge.mtls.plugins.module_utils.pki.library import (
    is_available,
    require_cryptography,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.messages import Say, say_nothing
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.plugins.module_utils.pki.wanted_authority import WantedAuthority

SECRET: dict[str, Any] = {"type": "str", "no_log": True}
ARGUMENT_SPEC: dict[str, Any] = {
    "store_path": {"type": "path", "required": True},
    **options.AUTHORITY,
    "key_passphrase": SECRET,
    "previous_key_passphrase": SECRET,
    "issuer_key_passphrase": SECRET,
}


def run(params: dict[str, Any], check_mode: bool, say: Say = say_nothing) -> dict[str, Any]:
    """Keep the authority that the options ask for.

    :param say: takes a message for the user.
    :raises MtlsError: it can't be kept as asked.
    """
    store = Store(params["store_path"], say)
    if check_mode and not is_available():
        # A bare host: nothing can have been made there yet.
        return {
            "changed": True,
            "name": params["name"],
            "reasons": ["missing"],
            "state": "absent",
            **paths(store, params["name"]),
        }
    require_cryptography()
    result = ensure_authority(store, _wanted(params), utc_now(), check_mode)
    if result["changed"]:
        where = f"authority {params['name']!r}"
        result["diff"] = {
            "before": "",
            "after": f"{', '.join(result['reasons'])}\n",
            "before_header": where,
            "after_header": where,
        }
    return result


def _wanted(params: dict[str, Any]) -> WantedAuthority:
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in params.items()
    }
    del given["store_path"]
    pointers = Pointers(**{name: given.pop(name) for name in vars(Pointers())})
    return WantedAuthority(**given, pointers=pointers)


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
