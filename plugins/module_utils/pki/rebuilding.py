# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adding to the index what the store's files hold and it lacks: all of it, when it was lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import MtlsError
from . import keys
from .authorities import CROSS
from .certificates import (
    certificate_fingerprint,
    certificate_from_pem,
    certificates_from_pem,
    is_signed_with,
    not_before_of,
)
from .crls import ALL, crl_number, fingerprint, revoked_entries, split_crls, updates_of
from .index import Entry, Index, Revocation
from .library import x509
from .store import CERTIFICATE, Store

BY = "a CRL in the store"


def rebuild_index(store: Store, check_mode: bool) -> dict[str, Any]:
    """Add every certificate of the files, and every revocation of the CRLs, that it lacks.

    What is in the index stays as it is.

    :raises MtlsError: there is no store, or a file is damaged or was signed by somebody else.
    """
    if not (store.path / "generations").is_dir():
        raise MtlsError(f"store_path {store.path} holds no certificates of a store")
    store.check_usable(may_lack_index=True)
    if check_mode:
        return _describe(*_missing(store))
    with store.locked(may_lack_index=True), store.incomplete_index() as index:
        entries, revocations, crls = _missing(store)
        for entry in entries:
            index.record([entry], int(not_before_of(entry.certificate).timestamp()))
        index.revoke(revocations)
        for crl in crls:
            index.record_crl(*crl)
    return _describe(entries, revocations, crls)


def _describe(
    entries: list[Entry], revocations: list[Revocation], crls: list[Any]
) -> dict[str, Any]:
    return {
        "changed": bool(entries or revocations or crls),
        "certificates": [f"{entry.kind}/{entry.name}" for entry in entries],
        "revocations": [each.serial_number for each in revocations],
    }


class _Files:
    """The certificates of a store's files, each with who signed it."""

    def __init__(self, store: Store) -> None:
        self.found: list[tuple[str, str, Any]] = []
        for kind, name, folder in store.generations():
            for certificate in _certificates(folder):
                self.found.append((kind, name, certificate))
        # In the order in which they were issued, so that the last of a name is its newest.
        self.found.sort(key=lambda each: not_before_of(each[2]))
        authorities = [
            certificate for kind, _name, certificate in self.found if kind == "authority"
        ]
        self.signers = [(each.subject, each.public_key()) for each in authorities]

    def signer_of(self, certificate: Any) -> Any:
        """Return the public key that signed a certificate, or None when nobody here did."""
        own = (certificate.subject, certificate.public_key())
        for name, key in [own, *self.signers]:
            if name == certificate.issuer and is_signed_with(certificate, key):
                return key
        return None


def _certificates(folder: Path) -> list[Any]:
    certificates = [certificate_from_pem(_read(folder / CERTIFICATE), str(folder / CERTIFICATE))]
    if (folder / CROSS).exists():
        # Not by ==, which public keys have from cryptography 40 on.
        own = keys.public_key_fingerprint(certificates[0].public_key())
        crosses = certificates_from_pem(_read(folder / CROSS), str(folder / CROSS))
        # The cross-certificates of those above it are among the files of those.
        certificates = [
            each for each in crosses if keys.public_key_fingerprint(each.public_key()) == own
        ] + certificates
    return certificates


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MtlsError(f"{path} can't be read: {error.strerror}") from error


def _missing(
    store: Store,
) -> tuple[list[Entry], list[Revocation], list[tuple[str, int, int, int, str]]]:
    """Return what the index lacks: certificates, revocations and CRLs."""
    files = _Files(store)
    entries: dict[str, Entry] = {}
    with _index(store) as index:
        for kind, name, certificate in files.found:
            digest = certificate_fingerprint(certificate)
            if index is not None and index.find(digest) is not None:
                continue
            key = files.signer_of(certificate)
            if key is None:
                raise MtlsError(
                    f"{kind} {name!r}: its certificate {digest} was signed by none of the "
                    f"authorities in {store.path}; take its files away, or bring the authority back"
                )
            issuer_key = keys.public_key_fingerprint(key)
            entries.setdefault(digest, Entry(kind, name, issuer_key, certificate))
        revocations, crls = _missing_revocations(store, files, index)
    return list(entries.values()), revocations, crls


@contextmanager
def _index(store: Store) -> Iterator[Index | None]:
    if not store.exists:
        yield None
        return
    with store.index() as index:
        yield index


def _missing_revocations(
    store: Store, files: _Files, index: Index | None
) -> tuple[list[Revocation], list[tuple[str, int, int, int, str]]]:
    revocations, crls = [], []
    for path in sorted((store.path / "crls").glob("*.pem")):
        if str(path.relative_to(store.path)) == ALL:
            continue
        for text in split_crls(_read(path)):
            try:
                crl = x509.load_pem_x509_crl(text)
            except ValueError:
                raise MtlsError(
                    f"{path} is damaged: bring it back, or take it away and with it what is only "
                    "remembered there"
                ) from None
            issuer_key = _signer_of_crl(files, crl)
            if issuer_key is None:
                raise MtlsError(f"{path} was signed by none of the authorities in {store.path}")
            latest = index.latest_crl(issuer_key) if index else None
            number = crl_number(crl)
            if latest is not None and latest[0] >= number:
                continue
            # What was on hold may have been revoked for good since.
            known = (
                {(serial, reason) for serial, _at, reason, _end in index.revocations(issuer_key)}
                if index
                else set()
            )
            revocations += [
                Revocation(issuer_key, serial, revoked_at, reason, BY)
                for serial, revoked_at, reason in revoked_entries(text)
                if (serial, reason) not in known
            ]
            this_update, next_update = (int(each.timestamp()) for each in updates_of(crl))
            crls.append((issuer_key, number, this_update, next_update, fingerprint(crl)))
    return revocations, crls


def _signer_of_crl(files: _Files, crl: Any) -> str | None:
    for name, key in files.signers:
        if name == crl.issuer and is_signed_with(crl, key):
            return keys.public_key_fingerprint(key)
    return None
