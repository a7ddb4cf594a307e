# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private keys: the types we make, how they are named, written and recognised."""

from __future__ import annotations

import hashlib
from typing import Any

from ..errors import MtlsError
from .library import ec, ed25519, rsa, serialization

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


def generate(key_type: str) -> Any:
    """Make a private key of one of ``KEY_TYPES``.

    :raises MtlsError: the type isn't one of ours.
    """
    if key_type not in KEY_TYPES:
        raise MtlsError(f"key_type {key_type!r} is not one of {', '.join(KEY_TYPES)}")
    if key_type == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if key_type.startswith("RSA-"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(key_type[4:]))
    curves: dict[str, Any] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
    return ec.generate_private_key(curves[key_type]())


def key_type_of(public_key: Any) -> str:
    """Name the type of a public key the way ``KEY_TYPES`` does."""
    if isinstance(public_key, rsa.RSAPublicKey):
        return f"RSA-{public_key.key_size}"
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}.get(
            public_key.curve.name, public_key.curve.name
        )
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    return type(public_key).__name__


def key_to_pem(key: Any) -> bytes:
    """Write a private key as unencrypted PKCS#8 PEM (RFC 5958)."""
    encoded: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return encoded


def key_from_pem(text: bytes, where: str) -> Any:
    """Read a private key; ``where`` names it in the error.

    :raises MtlsError: it can't be read, or it needs a passphrase.
    """
    try:
        return serialization.load_pem_private_key(text, password=None)
    except TypeError:
        raise MtlsError(f"{where} is encrypted, and a key without a passphrase is needed") from None
    except ValueError:
        raise MtlsError(f"{where} is not a private key in PEM") from None


def public_key_fingerprint(public_key: Any) -> str:
    """SHA-256 over the SubjectPublicKeyInfo, in lower-case hex: which key this is."""
    encoded = public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(encoded).hexdigest()
