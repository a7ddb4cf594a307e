# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PKCS #12 (RFC 7292): key, certificate and chain in one file, as browsers import it."""

from __future__ import annotations

import secrets
from typing import Any

from ..errors import MtlsError
from .keys import key_type_of
from .library import VERSION, hashes, pkcs12, serialization

# The passphrase is 125 random bits, beyond guessing, so stretching it would only cost time.
KDF_ROUNDS = 2048
# No letter that is mistaken for another when the passphrase is typed from a screen.
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


def new_passphrase() -> str:
    """Make a passphrase of 25 characters in five groups."""
    groups = ("".join(secrets.choice(ALPHABET) for dummy in range(5)) for dummy in range(5))
    return "-".join(groups)


def build_pkcs12(name: str, key: Any, certificate: Any, chain: list[Any], passphrase: str) -> bytes:
    """Pack key, certificate and the authorities above it, encrypted with AES-256.

    :raises MtlsError: this cryptography can't pack that type of key.
    """
    private_format = serialization.PrivateFormat
    if hasattr(private_format, "PKCS12"):
        encryption = (
            private_format.PKCS12.encryption_builder()
            .kdf_rounds(KDF_ROUNDS)
            .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
            .hmac_hash(hashes.SHA256())
            .build(passphrase.encode())
        )
    else:  # cryptography before 38 leaves no choice: 3DES
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    try:
        return pkcs12.serialize_key_and_certificates(
            name.encode(), key, certificate, chain, encryption
        )
    except TypeError as error:
        raise MtlsError(
            f"certificate {name!r}: cryptography {VERSION} can't pack a key of type "
            f"{key_type_of(key.public_key())} as PKCS #12; take another key_type, do without "
            "pkcs12, or update cryptography"
        ) from error
