# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate revocation lists (RFC 5280, 5): one for each key that signs, and when they are due.

<store>/crls/<authority>.pem    the CRLs of all its generations, as nginx reads them
<store>/crls/<authority>.crl    the CRL of the key that signs now, in DER, to be published
<store>/crls/all.pem            those of all authorities: nginx wants the whole chain's
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..errors import MtlsError
from .authorities import Authority, can_sign, find_authority, signer_for
from .certificates import (
    CLOCK_SKEW,
    Signer,
    authority_key_identifier,
    hex_number,
    instant_of,
    is_signed_with,
    signature_hash,
)
from .index import Index
from .instants import from_seconds
from .library import serialization, x509
from .store import Store

# A new one is made when less than this share of its life is left, so that one that a run
# missed, or that somebody cached, doesn't lock everybody out.
RENEWAL_SHARE = 0.5
ALL = "crls/all.pem"
# As RFC 5280 spells them, and cryptography's names for them. Nobody revokes by removeFromCRL.
REASONS = [
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "certificateHold",
    "privilegeWithdrawn",
    "aACompromise",
]


@dataclass(frozen=True)
class List:
    """One CRL: whose it is, why it must be made anew, and its text once that is known."""

    authority: Authority
    reason: str | None
    pem: bytes | None


def crl_files(name: str) -> tuple[str, str]:
    """Name an authority's CRL files in the store, PEM and DER."""
    return f"crls/{name}.pem", f"crls/{name}.crl"


def plan_crls(
    store: Store,
    index: Index,
    valid: timedelta,
    now: datetime,
    news: dict[str, str],
) -> dict[str, list[List]]:
    """Say for each authority of the store which CRLs it has and which are due.

    An authority whose key is not in the store has none.

    :param news: why the list of a key is due that the index doesn't know yet.
    :raises MtlsError: an authority is damaged.
    """
    plan: dict[str, list[List]] = {}
    for name in store.names("authority"):
        authority = find_authority(store, name)
        if authority is None:
            continue
        files = _files(store, name)
        found = []
        for generation in authority.generations:
            if can_sign(store, generation):
                number = index.latest_crl(generation.key)
                pem = files.get(number[3]) if number else None
                if pem is None:
                    _check_none_is_newer(store, generation, files, number[0] if number else 0)
                reason = news.get(generation.key) or _reason(index, generation, pem, valid, now)
                found.append(List(generation, reason, pem))
        plan[name] = found
    return plan


def _files(store: Store, name: str) -> dict[str, bytes]:
    """Map the fingerprint of each CRL in an authority's file to its text."""
    try:
        text = (store.path / crl_files(name)[0]).read_bytes()
    except OSError:
        return {}
    found = {}
    for block in split_crls(text):
        try:
            found[fingerprint(x509.load_pem_x509_crl(block))] = block
        except ValueError:
            continue  # damaged, so it is made anew
    return found


def _check_none_is_newer(
    store: Store, authority: Authority, files: dict[str, bytes], number: int
) -> None:
    """Make sure that no list in the files would be replaced by one that knows less.

    :raises MtlsError: one is newer than all that the index knows.
    """
    for pem in files.values():
        crl = x509.load_pem_x509_crl(pem)
        if crl_number(crl) > number and is_signed_with(crl, authority.certificate.public_key()):
            raise MtlsError(
                f"{store.path / crl_files(authority.name)[0]} is newer than the index of the "
                "store, which came back from a backup: complete it from the files "
                "(ansible-playbook edge.mtls.rebuild_index), or what was revoked since would be "
                "valid again"
            )


def crl_number(crl: Any) -> int:
    """Return a CRL's number (RFC 5280, 5.2.3)."""
    number: int = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    return number


def split_crls(text: bytes) -> list[bytes]:
    """Return each CRL of a PEM file."""
    end = b"-----END X509 CRL-----\n"
    return [block + end for block in text.split(end)[:-1]]


def _reason(
    index: Index, authority: Authority, pem: bytes | None, valid: timedelta, now: datetime
) -> str | None:
    latest = index.latest_crl(authority.key)
    if latest is None:
        return "missing"
    if pem is None:
        return "its file is missing or another one"
    _number, this_update, next_update, _fingerprint = latest
    if now.timestamp() > next_update:
        return f"lapsed on {from_seconds(next_update):%Y-%m-%d}"
    life = min(valid, from_seconds(next_update) - from_seconds(this_update))
    if next_update - now.timestamp() < RENEWAL_SHARE * life.total_seconds():
        return f"lapses on {from_seconds(next_update):%Y-%m-%d}"
    if next_update - this_update > valid.total_seconds() + 2 * CLOCK_SKEW.total_seconds():
        return f"is to live for {valid.days} days"
    has = {
        (entry.serial_number, _revocation_date(entry), _reason_of(entry))
        for entry in x509.load_pem_x509_crl(pem)
    }
    wants = {
        (int(serial, 16), from_seconds(revoked_at), reason)
        for serial, revoked_at, reason in entries(index, authority.key, this_update)
    }
    added, gone = wants - has, has - wants
    # What has expired stays until the list is made anew for another reason.
    expired = {
        int(serial, 16)
        for serial, _at, _reason, not_after in index.revocations(authority.key)
        if not_after < now.timestamp()
    }
    gone = {entry for entry in gone if entry[0] not in expired}
    if added or gone:
        return f"{len(added)} revoked, {len(gone - added)} released"
    return None


def entries(index: Index, issuer_key: str, last_update: int) -> list[tuple[str, int, str]]:
    """Return serial number, instant and reason of everything that a new CRL lists.

    What has expired leaves it, but only after one list that was made since (RFC 5280, 3.3).

    :param last_update: thisUpdate of the list before, in seconds since 1970; 0 for none.
    """
    return [
        (serial, revoked_at, reason)
        for serial, revoked_at, reason, not_after in index.revocations(issuer_key)
        if not_after >= last_update
    ]


def make_crls(
    store: Store,
    plan: dict[str, list[List]],
    signers: dict[str, Signer],
    valid: timedelta,
    now: datetime,
) -> None:
    """Sign the CRLs that are due, and write every file that changes by it.

    The caller holds the lock. The index knows a CRL's number before its file exists.

    :param signers: who signs, by the key's fingerprint.
    :raises MtlsError: the store can't be written.
    """
    complete = b""
    for name, lists in plan.items():
        pems = [
            _sign(store, each.authority, signers[each.authority.key], valid, now)
            if each.reason is not None or each.pem is None
            else each.pem
            for each in lists
        ]
        if pems:
            pem_file, der_file = crl_files(name)
            _replace(store, pem_file, b"".join(pems))
            current = x509.load_pem_x509_crl(pems[0])
            _replace(store, der_file, current.public_bytes(serialization.Encoding.DER))
        complete += b"".join(pems)
    _replace(store, ALL, complete)


def _replace(store: Store, file_name: str, content: bytes) -> None:
    try:
        if (store.path / file_name).read_bytes() == content:
            return
    except OSError:
        pass
    store.replace(file_name, content)


def _sign(
    store: Store, authority: Authority, signer: Signer, valid: timedelta, now: datetime
) -> bytes:
    with store.index(writable=True) as index:
        latest = index.latest_crl(authority.key)
        # Numbers follow the clock, so that a store that was restored from a backup never gives
        # out a number again.
        number = max(int(now.timestamp()), latest[0] + 1 if latest else 0)
        this_update, next_update = now - CLOCK_SKEW, now + valid
        if latest:
            # NSS takes no CRL that isn't later than the one it has.
            this_update = max(this_update, min(now, from_seconds(latest[1] + 1)))
        crl = _build(
            signer,
            number,
            this_update,
            next_update,
            entries(index, authority.key, latest[1] if latest else 0),
        )
        index.record_crl(
            authority.key,
            number,
            int(this_update.timestamp()),
            int(next_update.timestamp()),
            fingerprint(crl),
        )
    pem: bytes = crl.public_bytes(serialization.Encoding.PEM)
    return pem


def _build(
    signer: Signer,
    number: int,
    this_update: datetime,
    next_update: datetime,
    revoked: list[tuple[str, int, str]],
) -> Any:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(this_update)
        .next_update(next_update)
        .add_extension(authority_key_identifier(signer.certificate), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for serial, revoked_at, reason in revoked:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(int(serial, 16))
            .revocation_date(from_seconds(revoked_at))
        )
        # "unspecified" is said by saying nothing (RFC 5280, 5.3.1).
        if reason != "unspecified":
            entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags(reason)), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(signer.key, signature_hash(signer.key.public_key()))


def _reason_of(entry: Any) -> str:
    try:
        reason: str = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except x509.ExtensionNotFound:
        return "unspecified"
    return reason


def _revocation_date(entry: Any) -> datetime:
    return instant_of(entry, "revocation_date")


def updates_of(crl: Any) -> tuple[datetime, datetime]:
    """Return thisUpdate and nextUpdate of a CRL as timezone-aware UTC."""
    return instant_of(crl, "last_update"), instant_of(crl, "next_update")


def revoked_entries(text: bytes) -> list[tuple[str, int, str]]:
    """Return serial number, instant and reason of every entry of a CRL in PEM."""
    return [
        (
            hex_number(entry.serial_number),
            int(_revocation_date(entry).timestamp()),
            _reason_of(entry),
        )
        for entry in x509.load_pem_x509_crl(text)
    ]


def fingerprint(crl: Any) -> str:
    """SHA-256 over a CRL's DER encoding, in lower-case hex."""
    return hashlib.sha256(crl.public_bytes(serialization.Encoding.DER)).hexdigest()


def load_signers(
    store: Store, plan: dict[str, list[List]], key_passphrases: dict[str, str]
) -> dict[str, Signer]:
    """Load the keys of the CRLs that are due.

    :raises MtlsError: one is damaged, or its passphrase is missing or another one.
    """
    return {
        each.authority.key: signer_for(store, each.authority, key_passphrases.get(name))
        for name, lists in plan.items()
        for each in lists
        if each.reason is not None
    }
