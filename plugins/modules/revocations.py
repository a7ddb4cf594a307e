#!/usr/bin/python
# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Revoke certificates, put them on hold, and keep the CRLs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: revocations
short_description: Revoke certificates, put them on hold, and keep the CRLs
version_added: 0.1.0
description:
  - Revokes certificates by name, serial number, fingerprint or file, and remembers who did so, when
    and why. Nothing of that is ever deleted.
  - Keeps a CRL (RFC 5280) for every authority whose key is in the store, in PEM and DER, and one
    file with all of them. A CRL is made anew when something was revoked or released, and when less
    than half of its life is left. Otherwise it stays as it is.
  - What has expired leaves a CRL after it was listed once more.
  - The whole set is checked before anything is changed.
author: [The edge.mtls authors (@edge-mtls)]
extends_documentation_fragment: [edge.mtls.store]
options:
  certificates:
    description:
      - What is to be revoked or released. Each entry names its certificates by exactly one of
        O(certificates[].name), O(certificates[].serial_number),
        O(certificates[].fingerprint_sha256) and O(certificates[].certificate_path).
      - Without any, only the CRLs are kept.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - Name in the store. All its certificates that have not expired are meant, the older ones
            too.
          - A name that never had a certificate is an error.
        type: str
      profile:
        description: What kind of certificate O(certificates[].name) is.
        type: str
        choices: [authority, client, server, peer]
        default: client
      serial_number:
        description: Serial number, hexadecimal, with or without colons.
        type: str
      issuer:
        description: Name of the authority that gave O(certificates[].serial_number) out.
        type: str
      fingerprint_sha256:
        description: SHA-256 of the certificate, hexadecimal, with or without colons.
        type: str
      certificate_path:
        description:
          - File with the certificate, PEM or DER, on the host of the store.
          - It is also taken when the index lacks it, as after a backup was restored, if an
            authority of the store signed it.
        type: path
      reason:
        description:
          - Why (RFC 5280, 5.3.1).
          - V(certificateHold) can be released again, and be turned into any other reason.
            Everything else is for good.
        type: str
        choices: [unspecified, keyCompromise, cACompromise, affiliationChanged, superseded,
          cessationOfOperation, certificateHold, privilegeWithdrawn, aACompromise]
        default: unspecified
      state:
        description: V(released) ends a hold.
        type: str
        choices: [revoked, released]
        default: revoked
  crl_valid_days:
    description: Days from now until a new CRL lapses (nextUpdate).
    type: int
    default: 30
  revoked_by:
    description: Who revokes, as the index remembers it. The user who runs this unless given.
    type: str
  key_passphrases:
    description: Passphrase of each authority whose key is encrypted, by the authority's name.
    type: dict
    default: {}
seealso:
  - module: edge.mtls.pki_info
  - module: edge.mtls.certificates
"""

EXAMPLES = r"""
- name: Revoke every certificate of a client, and make the CRLs anew
  edge.mtls.revocations:
    store_path: /home/me/.local/share/edge-mtls
    certificates:
      - {name: client1, reason: keyCompromise}
  delegate_to: localhost

- name: Keep the CRLs fresh
  edge.mtls.revocations:
    store_path: /home/me/.local/share/edge-mtls
    crl_valid_days: 14
  delegate_to: localhost
"""

RETURN = r"""
revocations:
  description: Each certificate that was meant.
  type: list
  elements: dict
  returned: success
  contains:
    profile:
      description: Its kind.
      type: str
    name:
      description: Its name in the store.
      type: str
    serial_number:
      description: Its serial number, upper-case hex.
      type: str
    fingerprint_sha256:
      description: Its SHA-256, lower-case hex.
      type: str
    action:
      description: V(revoke), V(release), or V(ok) when it was as wanted.
      type: str
    reason:
      description: Why it is revoked.
      type: str
crls:
  description: Each authority's CRL.
  type: dict
  returned: success
  contains:
    reasons:
      description: Why CRLs of this authority were made anew.
      type: list
      elements: str
    pem_path:
      description: The CRLs of all its keys that sign or signed, PEM.
      type: str
    der_path:
      description: The CRL of the key that signs now, DER.
      type: str
    crl_number:
      description: CRL number.
      type: int
    this_update:
      description: When it was made, ISO 8601, UTC.
      type: str
    next_update:
      description: When it lapses, ISO 8601, UTC.
      type: str
    days_left:
      description: Days until it lapses, rounded.
      type: int
    revoked:
      description: How many certificates of that key are revoked.
      type: int
all_crls_path:
  description: The CRLs of all authorities in one file, as nginx's C(ssl_crl) wants them, PEM.
  type: str
  returned: success
"""

import getpass
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import options
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import utc_now
from ansible_collections.edge.mtls.plugins.module_utils.pki.crls import ALL
from ansible_collections.edge.mtls.plugins.module_utils.pki.library import (
    is_available,
    require_cryptography,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.messages import Say, say_nothing
from ansible_collections.edge.mtls.plugins.module_utils.pki.revocations import (
    WantedRevocation,
    ensure_revocations,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store

ARGUMENT_SPEC: dict[str, Any] = {
    "store_path": {"type": "path", "required": True},
    "certificates": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": options.REVOCATION,
    },
    "crl_valid_days": {"type": "int", "default": 30},
    "revoked_by": {"type": "str"},
    "key_passphrases": {"type": "dict", "default": {}, "no_log": True},
}


def run(params: dict[str, Any], check_mode: bool, say: Say = say_nothing) -> dict[str, Any]:
    """Keep the revocations that the options ask for, and the CRLs.

    :param say: takes a message for the user.
    :raises MtlsError: one can't be kept; nothing has been changed then.
    """
    store = Store(params["store_path"], say)
    all_path = str(store.path / ALL)
    if check_mode and not is_available():
        # A bare host: nothing can have been issued there yet.
        return {"changed": False, "revocations": [], "crls": {}, "all_crls_path": all_path}
    require_cryptography()
    result = ensure_revocations(
        store,
        [WantedRevocation(**entry) for entry in params["certificates"]],
        params["crl_valid_days"],
        params["key_passphrases"],
        params["revoked_by"] or _user(),
        utc_now(),
        check_mode,
    )
    result["all_crls_path"] = all_path
    lines = [
        f"{each['action']} {each['profile']} {each['name']} {each['serial_number']}: "
        f"{each['reason']}\n"
        for each in result["revocations"]
        if each["action"] != "ok"
    ]
    lines += [
        f"CRL of {name}: {', '.join(crl['reasons'])}\n"
        for name, crl in result["crls"].items()
        if crl["reasons"]
    ]
    if lines:
        result["diff"] = {"before": "", "after": "".join(lines)}
    return result


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return str(os.geteuid())


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
