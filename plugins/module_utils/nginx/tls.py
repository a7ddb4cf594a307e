# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS settings: Mozilla's profiles (guidelines 5.8), and a custom one."""

from __future__ import annotations

import re
from typing import Any

from ..errors import MtlsError

PROFILES = ["intermediate", "modern", "custom"]
PROTOCOLS = ["TLSv1.2", "TLSv1.3"]
INTERMEDIATE_CIPHERS = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
]
# Forward secrecy and an authenticated cipher, by OpenSSL's names for TLS 1.2.
SAFE_CIPHER = re.compile(r"ECDHE-(ECDSA|RSA)-(AES(128|256)-GCM-SHA(256|384)|CHACHA20-POLY1305)\Z")
GROUPS = ["X25519", "prime256v1", "secp384r1"]
# Mozilla's first choice is post-quantum; OpenSSL knows it from 3.5 on and refuses it before.
HYBRID_GROUP, HYBRID_SINCE = "X25519MLKEM768", (3, 5)


def tls_settings(site: dict[str, Any], tls_library: str | None, where: str) -> dict[str, Any]:
    """Turn a site's profile into the values of nginx's ssl_ directives.

    :param tls_library: what nginx runs with, such as "OpenSSL 3.0.15"; None when not known.
    :raises MtlsError: a custom profile that no client could use, or an unsafe one.
    """
    custom = (site["tls_protocols"], site["tls_ciphers"], site["tls_prefer_server_ciphers"])
    if site["tls_profile"] != "custom" and any(value is not None for value in custom):
        raise MtlsError(
            f"{where}: tls_protocols, tls_ciphers and tls_prefer_server_ciphers "
            f"go with tls_profile: custom, not with {site['tls_profile']}"
        )
    if site["tls_profile"] == "intermediate":
        protocols, ciphers, prefer = PROTOCOLS, INTERMEDIATE_CIPHERS, False
    elif site["tls_profile"] == "modern":
        protocols, ciphers, prefer = ["TLSv1.3"], [], False
    else:
        protocols = site["tls_protocols"] or PROTOCOLS
        ciphers = site["tls_ciphers"] or []
        prefer = bool(site["tls_prefer_server_ciphers"])
        _check_custom(protocols, ciphers, site["certificate"], where)
    groups = [HYBRID_GROUP, *GROUPS] if _knows_hybrid_group(tls_library) else GROUPS
    return {
        "protocols": list(protocols),
        "ciphers": list(ciphers),
        "prefer_server_ciphers": prefer,
        "groups": list(groups),
    }


def _check_custom(
    protocols: list[str], ciphers: list[str], certificate: dict[str, Any], where: str
) -> None:
    for protocol in protocols:
        if protocol not in PROTOCOLS:
            raise MtlsError(
                f"{where}: tls_protocols {protocol!r} must be one of {', '.join(PROTOCOLS)}"
            )
    for cipher in ciphers:
        if not SAFE_CIPHER.match(cipher):
            raise MtlsError(
                f"{where}: tls_ciphers {cipher!r} must be a TLS 1.2 cipher with forward secrecy "
                f"and authenticated encryption, such as {INTERMEDIATE_CIPHERS[0]}"
            )
    if ("TLSv1.2" in protocols) != bool(ciphers):
        raise MtlsError(
            f"{where}: tls_ciphers names the ciphers of TLSv1.2, so it must be given when "
            "tls_protocols has TLSv1.2, and only then (those of TLSv1.3 are all safe)"
        )
    if certificate["source"] == "files" or "TLSv1.3" in protocols:
        return
    kind = "RSA" if certificate["key_type"].startswith("RSA-") else "ECDSA"
    if not any(cipher.startswith(f"ECDHE-{kind}-") for cipher in ciphers):
        raise MtlsError(
            f"{where}: none of tls_ciphers works with a server key of type "
            f"{certificate['key_type']}; add one that starts with ECDHE-{kind}-, or set "
            f"certificate.key_type to {'P-256' if kind == 'RSA' else 'RSA-2048'}"
        )


def _knows_hybrid_group(tls_library: str | None) -> bool:
    # LibreSSL and others number their versions differently.
    version = re.match(r"OpenSSL (\d+)\.(\d+)", tls_library or "")
    return version is not None and (int(version[1]), int(version[2])) >= HYBRID_SINCE
