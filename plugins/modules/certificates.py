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
          - V(client) carries the extended key usage clientAuth, V(server) serverAuth, V(peer) both.
            Or one of O(profiles).
          - It also decides the folder, C(clients/), C(servers/) or C(peers/).
        type: str
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
      subject:
        description:
          - What the subject holds before the common name, in this order, as in
            M(edge.mtls.authority). An V(emailAddress) becomes an alternative name, too.
        type: dict
      subject_alternative_names:
        description:
          - Names such as V(DNS:app.example.com), V(IP:192.0.2.1), V(email:ada@example.com),
            V(URI:spiffe://example.com/app), V(UPN:ada@example.com),
            V(otherName:1.2.3.4;UTF8:text), V(RID:1.2.3.4) or V(dirName:O=Example,C=DE).
          - A server or peer certificate needs at least one.
        type: list
        elements: str
        default: []
      key_type:
        description:
          - Type of the private key. That of the profile, which is V(P-256), unless given.
          - Not looked at with O(certificates[].request).
        type: str
        choices: [P-256, P-384, P-521, Ed25519, RSA-2048, RSA-3072, RSA-4096, RSA-6144, RSA-8192,
          ML-DSA-44, ML-DSA-65, ML-DSA-87]
      valid_days:
        description:
          - Days from now until a new certificate expires, but never after its issuer does.
          - That of the profile, which is 365, unless given.
        type: int
      valid_minutes:
        description: The same in minutes, instead of O(certificates[].valid_days).
        type: int
      renew_before_days:
        description:
          - Renew when fewer days than this are left.
          - That of the profile unless given, or else 30 days, but a third of its life at most.
        type: int
      renew_before_minutes:
        description: The same in minutes, instead of O(certificates[].renew_before_days).
        type: int
      rekey:
        description: Make a new key, too, whenever the certificate is renewed or reissued.
        type: bool
        default: true
      request:
        description:
          - CSR in PEM. The private key then stays where the CSR was made.
          - Only its public key is used, after its signature was checked; subject and alternative
            names come from this entry, extensions from its profile. RV(certificates.dropped) lists
            what it asked for and did not get.
        type: str
      reissue_revoked:
        description:
          - Issue a new certificate where the present one is revoked. Without this, a name that was
            revoked stays without a valid certificate.
          - What is on hold is never issued anew.
        type: bool
        default: false
      packs:
        description:
          - Files to hand over to the owner of the certificate, written beside it, mode 0600.
          - V(pkcs12) is C(<name>.p12) for browsers, keychains and Java, encrypted with AES-256
            (with 3DES where cryptography is older than 38).
          - V(pkcs12_legacy) is C(<name>.legacy.p12) with 3DES, for old Windows and macOS.
          - V(truststore) is C(<name>.truststore.p12), a Java trust store with the authorities. It
            needs cryptography 45.
          - V(der) is C(<name>.cer) and C(<name>.key.der).
          - V(tar) and V(zip) are an archive with key, certificate, chain, authority, a
            configuration for curl and a page of instructions.
          - V(mobileconfig) is a configuration profile for iOS and macOS.
        type: list
        elements: str
        choices: [pkcs12, pkcs12_legacy, truststore, der, tar, zip, mobileconfig]
        default: []
  profiles:
    description:
      - Profiles of your own, by name.
      - Each takes from its O(profiles[].base) what it doesn't say.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What O(certificates[].profile) calls it.
        type: str
        required: true
      base:
        description: The profile that it is made from, which decides the folder.
        type: str
        choices: [client, server, peer]
        default: client
      key_type:
        description: As in O(certificates[].key_type).
        type: str
        choices: [P-256, P-384, P-521, Ed25519, RSA-2048, RSA-3072, RSA-4096, RSA-6144, RSA-8192,
          ML-DSA-44, ML-DSA-65, ML-DSA-87]
      valid_days:
        description: As in O(certificates[].valid_days).
        type: int
      valid_minutes:
        description: As in O(certificates[].valid_minutes).
        type: int
      renew_before_days:
        description: As in O(certificates[].renew_before_days).
        type: int
      renew_before_minutes:
        description: As in O(certificates[].renew_before_minutes).
        type: int
      key_usage:
        description: Key usages; V(digitalSignature) unless given.
        type: list
        elements: str
        choices: [digitalSignature, contentCommitment, keyEncipherment, dataEncipherment,
          keyAgreement, encipherOnly, decipherOnly]
      extended_key_usage:
        description:
          - Extended key usages, each an OID or one of V(serverAuth), V(clientAuth), V(codeSigning),
            V(emailProtection), V(timeStamping), V(OCSPSigning), V(ipsecIKE), V(smartcardLogon) and
            V(KPClientAuth).
        type: list
        elements: str
      certificate_policies:
        description: As in M(edge.mtls.authority).
        type: list
        elements: str
      extensions:
        description: Further extensions, with the value as you bring it.
        type: list
        elements: dict
        suboptions:
          oid:
            description: OID of the extension.
            type: str
            required: true
          critical:
            description: Whether whoever doesn't know it must refuse the certificate.
            type: bool
            default: false
          value_base64:
            description: Value in DER, as Base64.
            type: str
            required: true
  key_passphrases:
    description: Passphrase of each authority whose key is encrypted, by the authority's name.
    type: dict
    default: {}
  pack_passphrases:
    description:
      - Passphrases of packs, 8 characters or more, by the certificate's name.
      - Where there is none, one is made and written into a file of its own, mode 0600
        (RV(certificates.passphrase_path)).
    type: dict
    default: {}
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
      - {name: client1, issuer: services, packs: [pkcs12, zip]}
      - {name: client2, issuer: services, key_type: Ed25519, valid_days: 90}
  delegate_to: localhost

- name: Keep certificates that live for an hour, of a profile of our own
  edge.mtls.certificates:
    store_path: /home/me/.local/share/edge-mtls
    profiles:
      - {name: job, base: client, valid_minutes: 60, key_type: Ed25519}
    certificates:
      - name: nightly
        profile: job
        issuer: services
        subject_alternative_names: [URI:spiffe://example.com/jobs/nightly]
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
  description: How many certificates were (in check mode, would be) left, issued, renewed, reissued,
    packed anew or forgotten, and how many stay revoked.
  type: str
  returned: success
  sample: ok 12, renew 3, reissue 1
certificates:
  description:
    - Each certificate under C(<profile>/<name>), where a profile of your own counts as its base.
  type: dict
  returned: success
  contains:
    name:
      description: Name in the store.
      type: str
    action:
      description: V(ok), V(issue), V(renew), V(reissue), V(pack), V(revoked) or V(forget).
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
    pack_paths:
      description: The files of the packs, when asked for.
      type: list
      elements: str
    passphrase_path:
      description: The file with the passphrase that was made for the packs.
      type: str
    dropped:
      description: What the request asked for and did not get.
      type: list
      elements: str
      sample: [basicConstraints, 'SAN DNS:evil.example']
    revocation_reason:
      description: Why it was revoked, with RV(certificates.action=revoked).
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
      description: The certificate, PEM, if it is self-signed or its key is elsewhere.
      type: str
    fullchain:
      description: The same, with the intermediate authorities above it.
      type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import options
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import utc_now
from ansible_collections.edge.mtls.plugins.module_utils.pki.issuing import (
    ensure_certificates,
    plan_without_library,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.library import (
    is_available,
    require_cryptography,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.messages import Say, say_nothing
from ansible_collections.edge.mtls.plugins.module_utils.pki.profiles import (
    profile_of,
    read_profiles,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.plugins.module_utils.pki.wanted_certificate import read_wanted

ARGUMENT_SPEC: dict[str, Any] = {
    "store_path": {"type": "path", "required": True},
    "certificates": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            **options.CERTIFICATE,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "request": {"type": "str"},
        },
        "required_if": [("state", "present", ("issuer",))],
    },
    "profiles": {"type": "list", "elements": "dict", "default": [], "options": options.PROFILE},
    "key_passphrases": {"type": "dict", "default": {}, "no_log": True},
    "pack_passphrases": {"type": "dict", "default": {}, "no_log": True},
}


def run(params: dict[str, Any], check_mode: bool, say: Say = say_nothing) -> dict[str, Any]:
    """Keep the certificates that the options ask for.

    :param say: takes a message for the user.
    :raises MtlsError: an entry can't be met; nothing has been issued then.
    """
    store = Store(params["store_path"], say)
    present = [entry for entry in params["certificates"] if entry.get("state") != "absent"]
    if check_mode and not is_available():
        # A bare host: nothing can have been issued there yet.
        return plan_without_library(present, params.get("profiles") or [])
    require_cryptography()
    profiles = read_profiles(params.get("profiles") or [])
    unwanted = [
        (profile_of(entry, profiles).kind, entry["name"])
        for entry in params["certificates"]
        if entry.get("state") == "absent"
    ]
    result = ensure_certificates(
        store,
        read_wanted(present, profiles, params.get("pack_passphrases") or {}),
        utc_now(),
        check_mode,
        unwanted,
        params.get("key_passphrases") or {},
    )
    lines = [
        f"{described['action']} {key}: {', '.join(described['reasons'])}\n"
        for key, described in result["certificates"].items()
        if described["reasons"]
    ]
    if lines:
        result["diff"] = {"before": "", "after": "".join(lines)}
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
