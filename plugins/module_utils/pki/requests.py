# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate signing requests (PKCS #10, RFC 2986)."""

from __future__ import annotations

from typing import Any

from ..errors import MtlsError
from .certificates import signature_hash
from .keys import KEY_TYPES, key_type_of
from .library import UnsupportedAlgorithm, x509


def build_request(key: Any, subject: Any, alternative_names: list[Any]) -> Any:
    """Make a CSR that proves possession of ``key``."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if alternative_names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(alternative_names), critical=False
        )
    return builder.sign(key, signature_hash(key.public_key()))


def read_request(text: str, where: str) -> Any:
    """Read a CSR and check its proof of possession.

    Only the public key counts from here on: names and extensions come from what was asked
    for on this side, so that a host can't get itself another name.

    :raises MtlsError: it is no CSR, its key is too weak or of a strange type, or its signature
        isn't made by its own key.
    """
    try:
        request = x509.load_pem_x509_csr(text.encode())
        key_type = key_type_of(request.public_key())
        is_signature_valid = request.is_signature_valid
    except ValueError:
        raise MtlsError(f"{where}: the request is not a CSR in PEM") from None
    except UnsupportedAlgorithm as error:
        raise MtlsError(f"{where}: the request can't be checked: {error}") from error
    if key_type not in KEY_TYPES:
        raise MtlsError(
            f"{where}: the request's key is of type {key_type}, and must be one of "
            f"{', '.join(KEY_TYPES)}"
        )
    if not is_signature_valid:
        raise MtlsError(f"{where}: the request is not signed by the key that it carries")
    return request
