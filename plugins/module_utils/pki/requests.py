# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate signing requests (PKCS #10, RFC 2986)."""

from __future__ import annotations

from typing import Any

from ..errors import MtlsError
from .certificates import signature_hash
from .extensions import GOVERNED_OIDS, Extensions
from .general_names import alternative_names, general_name_text
from .keys import ALL_KEY_TYPES, key_type_of
from .library import UnsupportedAlgorithm, x509
from .names import rfc2253


def build_request(key: Any, subject: Any, extensions: Extensions) -> Any:
    """Make a CSR that proves possession of ``key``."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
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
    if key_type not in ALL_KEY_TYPES:
        raise MtlsError(
            f"{where}: the request's key is of type {key_type}, and must be one of "
            f"{', '.join(ALL_KEY_TYPES)}"
        )
    if not is_signature_valid:
        raise MtlsError(f"{where}: the request is not signed by the key that it carries")
    return request


def dropped(request: Any, subject: Any, names: list[Any], extensions: Extensions) -> list[str]:
    """List what a CSR asked for and does not get.

    :param subject: the subject that the certificate has.
    :param names: its alternative names.
    :param extensions: all its extensions.
    """
    found = []
    if request.subject != subject and list(request.subject):
        found.append(f"subject {rfc2253(request.subject)}")
    granted = {general_name_text(name) for name in names}
    found += [f"SAN {name}" for name in alternative_names(request) if name not in granted]
    wanted = {value.oid.dotted_string: value for value, _critical in extensions}
    for extension in request.extensions:
        oid = extension.oid.dotted_string
        if oid != "2.5.29.17" and wanted.get(oid) != extension.value:
            found.append(GOVERNED_OIDS.get(oid, oid))
    return found
