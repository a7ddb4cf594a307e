# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that imports cryptography.

A managed host may not have it yet (check mode on a bare machine), so nothing here may be
needed at import time. Everything is written for cryptography 36, the oldest that a target
distribution of ours ships; what later versions do better is used where they are there.
"""

from __future__ import annotations

from ..errors import MtlsError

try:
    from cryptography import __version__ as VERSION
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.serialization import pkcs12
    from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
except ImportError:
    VERSION = ""
    x509 = InvalidSignature = UnsupportedAlgorithm = hashes = None  # type: ignore
    serialization = None  # type: ignore
    ec = ed25519 = padding = rsa = pkcs12 = AuthorityInformationAccessOID = NameOID = None  # type: ignore

try:
    from cryptography.hazmat.primitives.asymmetric import mldsa
except ImportError:  # before 49
    mldsa = None  # type: ignore

OLDEST = (36, 0)

__all__ = [
    "VERSION",
    "AuthorityInformationAccessOID",
    "InvalidSignature",
    "NameOID",
    "UnsupportedAlgorithm",
    "ec",
    "ed25519",
    "hashes",
    "is_available",
    "mldsa",
    "padding",
    "pkcs12",
    "require_cryptography",
    "rsa",
    "serialization",
    "x509",
]


def is_available() -> bool:
    """Tell whether a cryptography that is new enough can be imported here."""
    return bool(VERSION) and _version() >= OLDEST


def require_cryptography() -> None:
    """Make sure that cryptography is there and new enough.

    :raises MtlsError: it is missing or older than 36.
    """
    if not is_available():
        found = f"only {VERSION}" if VERSION else "none"
        raise MtlsError(
            f"this needs Python's cryptography {OLDEST[0]} or newer, and there is {found}: "
            "install python3-cryptography (python-cryptography on Arch) on the host that runs this"
        )


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in VERSION.split(".")[:2] if part.isdigit())
