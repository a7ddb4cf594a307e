# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adopting an authority that exists already: its certificate, with its key or without."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import MtlsError
from . import keys
from .authorities import Authority
from .certificates import (
    basic_constraints_of,
    certificate_fingerprint,
    certificate_from_pem,
    is_signed_by,
    key_type_in,
    not_after_of,
    not_before_of,
    serial_number_text,
)
from .founding import publish
from .library import UnsupportedAlgorithm, x509
from .names import rfc2253
from .store import KEY, Store
from .wanted_authority import WantedAuthority


@dataclass(frozen=True)
class Brought:
    """What the user brought: a certificate, and its key as the store will keep it, if any."""

    certificate: Any
    key: bytes | None


def read_brought(
    store: Store, wanted: WantedAuthority, parent: Authority | None, now: datetime
) -> Brought | None:
    """Read and check what is to be adopted, or None where the files are gone again.

    They may go once they were adopted, a key that lies about sooner than later.

    :raises MtlsError: a file can't be read or is not what it should be.
    """
    certificate_text = _read(wanted, "certificate_path")
    if certificate_text is None:
        return None
    certificate = certificate_from_pem(
        certificate_text, f"{wanted.where}: certificate_path {wanted.certificate_path}"
    )
    _check(wanted, certificate, parent, now)
    _check_serial_number(store, wanted, certificate, parent)
    return Brought(certificate, _key(store, wanted, certificate))


def adopt(
    store: Store, wanted: WantedAuthority, brought: Brought, parent: Authority | None, now: datetime
) -> None:
    """Take an authority that was brought into the store."""
    crosses = parent.cross if parent else ()
    publish(store, wanted.name, brought.certificate, parent, now, key=brought.key, crosses=crosses)
    store.drop_pending(wanted.name)


def _read(wanted: WantedAuthority, option: str) -> bytes | None:
    path = getattr(wanted, option)
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MtlsError(
            f"{wanted.where}: {option} {path} can't be read: {error.strerror}"
        ) from error


def _check(
    wanted: WantedAuthority, certificate: Any, parent: Authority | None, now: datetime
) -> None:
    where = f"{wanted.where}: certificate_path {wanted.certificate_path}"
    subject = rfc2253(certificate.subject)
    if not basic_constraints_of(certificate).ca or not _may_sign_certificates(certificate):
        raise MtlsError(
            f"{where} is not an authority's certificate: it needs basicConstraints CA:TRUE and, "
            "if it has a keyUsage, keyCertSign in it"
        )
    if key_type_in(certificate) not in keys.ALL_KEY_TYPES:
        raise MtlsError(
            f"{where} has a key of type {key_type_in(certificate)}, and must have one of "
            f"{', '.join(keys.ALL_KEY_TYPES)}"
        )
    if not not_before_of(certificate) <= now <= not_after_of(certificate):
        raise MtlsError(
            f"{where} is valid from {not_before_of(certificate):%Y-%m-%d} to "
            f"{not_after_of(certificate):%Y-%m-%d}, and this machine's clock says {now:%Y-%m-%d}"
        )
    if wanted.common_name and certificate.subject != wanted.subject_name():
        raise MtlsError(
            f"{where} has the subject {subject}, not {rfc2253(wanted.subject_name())}; give "
            "common_name and subject as they are in it"
        )
    try:
        is_signed = is_signed_by(certificate, parent.certificate if parent else certificate)
    except (UnsupportedAlgorithm, TypeError):
        is_signed = False
    if not is_signed:
        signed_by = rfc2253(certificate.issuer)
        raise MtlsError(
            f"{where} is not signed by {wanted.issuer!r}, but by {signed_by}"
            if parent
            else f"{where} is not a root but was signed by {signed_by}; adopt that authority first "
            "(its certificate alone will do), and name it as the issuer of this one"
        )


def _check_serial_number(
    store: Store, wanted: WantedAuthority, certificate: Any, parent: Authority | None
) -> None:
    issuer = parent.certificate if parent else certificate
    issuer_key = keys.public_key_fingerprint(issuer.public_key())
    if not store.exists:
        return
    with store.index() as index:
        for row in index.of_serial_number(serial_number_text(certificate)):
            if row.issuer_key == issuer_key and row.fingerprint_sha256 != certificate_fingerprint(
                certificate
            ):
                raise MtlsError(
                    f"{wanted.where}: certificate_path {wanted.certificate_path} has the serial "
                    f"number of {row.kind} {row.name}'s certificate by the same issuer, which "
                    "RFC 5280 forbids; have it issued with one of its own"
                )


def _may_sign_certificates(certificate: Any) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return bool(usage.key_cert_sign)


def _key(store: Store, wanted: WantedAuthority, certificate: Any) -> bytes | None:
    where = f"{wanted.where}: key_path {wanted.key_path}"
    text = _read(wanted, "key_path")
    if text is None:
        # The key that waits for this certificate, or the one of an earlier certificate.
        where = str(store.pending_folder(wanted.name) / KEY)
        text = store.read_pending(wanted.name, KEY) or store.read("authority", wanted.name, KEY)
        if text is None:
            return None
    key = _open(wanted, text, where)
    if keys.public_key_fingerprint(key.public_key()) != keys.public_key_fingerprint(
        certificate.public_key()
    ):
        raise MtlsError(f"{where} is not the key of certificate_path {wanted.certificate_path}")
    return keys.key_to_pem(key, wanted.key_passphrase)


def _open(wanted: WantedAuthority, text: bytes, where: str) -> Any:
    """Open a key with the passphrase that it has, which may still be the previous one."""
    try:
        return keys.key_from_pem(text, where, wanted.key_passphrase)
    except MtlsError:
        if not wanted.previous_key_passphrase:
            raise
    return keys.key_from_pem(text, where, wanted.previous_key_passphrase)
