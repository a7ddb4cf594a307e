# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private keys: the types we make, how they are named, written and recognised."""

from __future__ import annotations

import hashlib
from typing import Any

from ..errors import MtlsError
from .library import VERSION, UnsupportedAlgorithm, ec, ed25519, mldsa, rsa, serialization

DEFAULT_KEY_TYPE = "P-256"
KEY_TYPES = [
    "P-256",
    "P-384",
    "P-521",
    "Ed25519",
    "RSA-2048",
    "RSA-3072",
    "RSA-4096",
    "RSA-6144",
    "RSA-8192",
]
# FIPS 204. OpenSSL knows them from 3.5 on, so neither nginx nor callers may do.
POST_QUANTUM_KEY_TYPES = ["ML-DSA-44", "ML-DSA-65", "ML-DSA-87"]
ALL_KEY_TYPES = [*KEY_TYPES, *POST_QUANTUM_KEY_TYPES]


def generate(key_type: str) -> Any:
    """Make a private key of one of ``ALL_KEY_TYPES``.

    :raises MtlsError: the type isn't one of ours, or this cryptography can't make it.
    """
    check_key_type(key_type)
    if key_type in POST_QUANTUM_KEY_TYPES:
        return getattr(mldsa, f"{key_type.replace('-', '')}PrivateKey").generate()
    if key_type == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if key_type.startswith("RSA-"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(key_type[4:]))
    curves: dict[str, Any] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
    return ec.generate_private_key(curves[key_type]())


def check_key_type(key_type: str) -> None:
    """Make sure that keys of a type can be made here.

    :raises MtlsError: they can't.
    """
    if key_type not in ALL_KEY_TYPES:
        raise MtlsError(f"key_type {key_type!r} is not one of {', '.join(ALL_KEY_TYPES)}")
    if key_type in POST_QUANTUM_KEY_TYPES and mldsa is None:
        raise MtlsError(
            f"key_type {key_type} needs cryptography 49 or newer, and there is {VERSION} on the "
            f"host of the store; take one of {', '.join(KEY_TYPES)}, or update it"
        )


def is_post_quantum(public_key: Any) -> bool:
    """Tell whether a public key is an ML-DSA one."""
    return key_type_of(public_key) in POST_QUANTUM_KEY_TYPES


def key_type_of(public_key: Any) -> str:
    """Name the type of a public key the way ``ALL_KEY_TYPES`` does."""
    if isinstance(public_key, rsa.RSAPublicKey):
        return f"RSA-{public_key.key_size}"
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}.get(
            public_key.curve.name, public_key.curve.name
        )
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    if mldsa is not None:
        for name in POST_QUANTUM_KEY_TYPES:
            if isinstance(public_key, getattr(mldsa, f"{name.replace('-', '')}PublicKey")):
                return name
    return type(public_key).__name__


def key_to_pem(key: Any, passphrase: str | None = None) -> bytes:
    """Write a private key as PKCS#8 PEM (RFC 5958), encrypted when there is a passphrase."""
    encryption = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption()
    )
    encoded: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    return encoded


def is_encrypted(text: bytes) -> bool:
    """Tell whether a private key in PEM is encrypted, the old form of OpenSSL's included."""
    return b"ENCRYPTED" in text


def key_from_pem(text: bytes, where: str, passphrase: str | None = None) -> Any:
    """Read a private key; ``where`` names it in the error.

    A passphrase is not needed, and not looked at, for a key that isn't encrypted.

    :raises MtlsError: it can't be read, or its passphrase is missing or another one.
    """
    encrypted = is_encrypted(text)
    if encrypted and not passphrase:
        raise MtlsError(f"{where} is encrypted, and no passphrase was given for it")
    password = passphrase.encode() if encrypted and passphrase else None
    try:
        return serialization.load_pem_private_key(text, password=password)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        if encrypted:
            raise MtlsError(f"{where} can't be opened with the passphrase given for it") from None
        raise MtlsError(f"{where} is not a private key in PEM") from None


def public_key_fingerprint(public_key: Any) -> str:
    """SHA-256 over the SubjectPublicKeyInfo, in lower-case hex: which key this is."""
    encoded = public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(encoded).hexdigest()
