# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Revoking certificates, putting them on hold, releasing them, and keeping the CRLs."""

from __future__ import annotations

import binascii
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ..errors import MtlsError
from .authorities import check_clock, find_authority
from .certificates import certificate_fingerprint, is_signed_by, serial_number_text
from .crls import ALL, REASONS, List, crl_files, load_signers, make_crls, plan_crls
from .index import HOLD, RELEASED, Entry, Index, Revocation, Row, row_of
from .instants import iso_text
from .library import x509
from .names import check_entry_name
from .profiles import lifetime
from .store import FOLDERS, Store

SELECTORS = ("name", "serial_number", "fingerprint_sha256", "certificate_path")
KINDS = [kind for kind in FOLDERS if kind not in ("successor", "predecessor")]
STATES = ["revoked", "released"]


@dataclass(frozen=True)
class WantedRevocation:
    """What was asked for: exactly one of the selectors, and what is to be so.

    A name means every serial number of it that is still valid.
    """

    name: str | None = None
    profile: str = "client"
    serial_number: str | None = None
    issuer: str | None = None
    fingerprint_sha256: str | None = None
    certificate_path: str | None = None
    reason: str = "unspecified"
    state: str = "revoked"

    def __post_init__(self) -> None:
        given = [selector for selector in SELECTORS if getattr(self, selector) is not None]
        if len(given) != 1:
            raise MtlsError(
                f"{self.where}: give exactly one of {', '.join(SELECTORS)} to say which "
                f"certificate is meant, not {' and '.join(given) or 'none'}"
            )
        if self.name is not None:
            check_entry_name(self.name, self.where)
        if self.profile not in KINDS:
            raise MtlsError(f"{self.where}: profile must be one of {', '.join(KINDS)}")
        if self.reason not in REASONS:
            raise MtlsError(
                f"{self.where}: reason {self.reason!r} is not one of {', '.join(REASONS)}"
            )
        if self.serial_number is not None and not self.serial:
            raise MtlsError(
                f"{self.where}: the serial number must be hexadecimal, such as 4F2A or 4f:2a"
            )
        if self.fingerprint_sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", self.digest):
            raise MtlsError(
                f"{self.where}: the fingerprint must be a SHA-256 of 64 hexadecimal digits"
            )

    @property
    def where(self) -> str:
        """How errors call this entry."""
        for selector in SELECTORS:
            if getattr(self, selector) is not None:
                of_kind = f" ({self.profile})" if selector == "name" else ""
                return f"revocation of {selector} {getattr(self, selector)!r}{of_kind}"
        return "revocation"

    @property
    def serial(self) -> str:
        """The serial number as the index writes it, or nothing when it is none."""
        text = (self.serial_number or "").replace(":", "").replace(" ", "").upper()
        text = text[2:] if text.startswith("0X") else text
        if not re.fullmatch(r"[0-9A-F]+", text):
            return ""
        text = text.lstrip("0") or "0"
        return text.zfill(len(text) + len(text) % 2)

    @property
    def digest(self) -> str:
        """The fingerprint as the index writes it."""
        return (self.fingerprint_sha256 or "").replace(":", "").replace(" ", "").lower()


def ensure_revocations(
    store: Store,
    wanted: Sequence[WantedRevocation],
    crl_valid_days: int,
    key_passphrases: dict[str, str],
    revoked_by: str,
    now: datetime,
    check_mode: bool,
) -> dict[str, Any]:
    """Keep what is wanted, and the CRLs of all authorities whose keys are in the store.

    :param crl_valid_days: from now to a new CRL's nextUpdate.
    :raises MtlsError: a certificate isn't known, can't be released, or a CRL can't be signed;
        nothing has been changed then.
    """
    crl_valid = lifetime({"crl_valid_days": crl_valid_days}, "crl_valid", "the CRLs")
    if not crl_valid or crl_valid < timedelta(days=1):
        raise MtlsError(f"crl_valid_days {crl_valid_days} must be 1 or more")
    store.check_usable()
    check_clock(store, now)
    if not check_mode:
        store.tidy()
    if not store.exists:
        if wanted and not check_mode:
            raise MtlsError(f"{wanted[0].where}: the store {store.path} doesn't exist yet")
        return {"changed": False, "revocations": [], "crls": {}}
    plan = _plan(store, wanted, crl_valid, revoked_by, now)
    load_signers(store, plan.lists, key_passphrases)
    if plan.is_due and not check_mode:
        with store.locked():
            plan = _plan(store, wanted, crl_valid, revoked_by, now)
            signers = load_signers(store, plan.lists, key_passphrases)
            with store.index(writable=True) as index:
                if plan.strangers:
                    index.record(plan.strangers, int(now.timestamp()))
                index.revoke(plan.events)
            make_crls(store, plan.lists, signers, crl_valid, now)
    return {
        "changed": plan.is_due,
        "revocations": plan.described,
        "crls": _describe_crls(store, plan, now),
    }


@dataclass
class _Plan:
    """What is to be written, and how each certificate is called in the result."""

    events: list[Revocation]
    strangers: list[Entry]
    lists: dict[str, list[List]]
    described: list[dict[str, Any]]
    is_complete: bool

    @property
    def is_due(self) -> bool:
        due = any(each.reason is not None for lists in self.lists.values() for each in lists)
        return bool(self.events) or due or not self.is_complete


def _plan(
    store: Store,
    wanted: Sequence[WantedRevocation],
    crl_valid: timedelta,
    revoked_by: str,
    now: datetime,
) -> _Plan:
    events: dict[tuple[str, str], Revocation] = {}
    strangers: list[Entry] = []
    meant: dict[tuple[str, str], WantedRevocation] = {}
    described = []
    with store.index() as index:
        for entry in wanted:
            for row in _rows(store, index, entry, strangers, now):
                _check_agreement(
                    entry, meant.setdefault((row.issuer_key, row.serial_number), entry), row
                )
                reason = _event(entry, row)
                described.append(
                    {
                        "profile": row.kind,
                        "name": row.name,
                        "serial_number": row.serial_number,
                        "fingerprint_sha256": row.fingerprint_sha256,
                        "action": "ok"
                        if reason is None
                        else "release"
                        if reason == RELEASED
                        else "revoke",
                        "reason": row.reason if reason is None else reason,
                    }
                )
                if reason is not None:
                    events[row.issuer_key, row.serial_number] = Revocation(
                        row.issuer_key,
                        row.serial_number,
                        int(now.timestamp()),
                        reason,
                        revoked_by,
                    )
        counts = Counter(issuer_key for issuer_key, _serial_number in events)
        news = {issuer_key: f"{count} changed" for issuer_key, count in counts.items()}
        lists = plan_crls(store, index, crl_valid, now, news)
    return _Plan(list(events.values()), strangers, lists, described, _is_complete(store, lists))


def _check_agreement(wanted: WantedRevocation, other: WantedRevocation, row: Row) -> None:
    if (wanted.state, wanted.reason) != (other.state, other.reason):
        raise MtlsError(
            f"{wanted.where}: serial number {row.serial_number} is also meant by {other.where}, "
            "which wants another state or reason for it; let one of the two go"
        )


def _is_complete(store: Store, lists: dict[str, list[List]]) -> bool:
    """Tell whether the copies of the CRLs are what they would be if they were written now."""
    copies = {ALL: b"".join(each.pem or b"" for entries in lists.values() for each in entries)}
    for name, entries in lists.items():
        if entries and entries[0].pem:
            base64 = b"".join(entries[0].pem.splitlines()[1:-1])
            copies[crl_files(name)[1]] = binascii.a2b_base64(base64)
    return all(_content(store, file_name) == content for file_name, content in copies.items())


def _content(store: Store, file_name: str) -> bytes:
    try:
        return (store.path / file_name).read_bytes()
    except OSError:
        return b""


def _rows(
    store: Store,
    index: Index,
    wanted: WantedRevocation,
    strangers: list[Entry],
    now: datetime,
) -> list[Row]:
    """Return the certificates that are meant."""
    if wanted.name is not None:
        rows = index.of_name(wanted.profile, wanted.name)
        if not rows:
            raise MtlsError(
                f"{wanted.where}: no certificate of that name was ever issued from {store.path}"
            )
        rows = [row for row in rows if row.not_after >= now.timestamp()]
    elif wanted.serial_number is not None:
        rows = _of_serial_number(index, wanted)
    else:
        rows = [_of_file_or_fingerprint(store, index, wanted, strangers)]
    for row in rows:
        if row.public_key == row.issuer_key and row.kind == "authority":
            raise MtlsError(
                f"{wanted.where}: {row.name!r} is a root, which nobody can revoke; take it out of "
                "what verifiers trust instead"
            )
    return rows


def _of_serial_number(index: Index, wanted: WantedRevocation) -> list[Row]:
    names = index.authority_names()
    found = index.of_serial_number(wanted.serial)
    rows = [row for row in found if wanted.issuer in (None, names.get(row.issuer_key))]
    if not rows:
        by = f" by {wanted.issuer!r}" if wanted.issuer else ""
        raise MtlsError(f"{wanted.where}: no certificate with it was issued{by}")
    if len(rows) > 1:
        raise MtlsError(f"{wanted.where}: {len(rows)} authorities issued one with it; name issuer")
    return rows


def _of_file_or_fingerprint(
    store: Store, index: Index, wanted: WantedRevocation, strangers: list[Entry]
) -> Row:
    if wanted.certificate_path is None:
        row = index.find(wanted.digest)
        if row is None:
            raise MtlsError(f"{wanted.where}: no certificate with it was issued from {store.path}")
        return row
    certificate = _read(wanted)
    row = index.find(certificate_fingerprint(certificate))
    if row is not None:
        return row
    for entry in strangers:
        if entry.certificate == certificate:
            return row_of(entry)
    # A store that came back from a backup may have signed more than its index knows.
    for name in store.names("authority"):
        authority = find_authority(store, name)
        for generation in authority.generations if authority else []:
            if is_signed_by(certificate, generation.certificate):
                unknown = f"serial-{serial_number_text(certificate).lower()}"
                entry = Entry(wanted.profile, unknown, generation.key, certificate)
                strangers.append(entry)
                return row_of(entry)
    raise MtlsError(
        f"{wanted.where}: none of the store's authorities signed it, so none can revoke it"
    )


def _read(wanted: WantedRevocation) -> Any:
    path = Path(wanted.certificate_path or "")
    try:
        text = path.read_bytes()
    except OSError as error:
        raise MtlsError(f"{wanted.where}: it can't be read: {error.strerror}") from error
    try:
        if b"-----BEGIN CERTIFICATE-----" in text:
            return x509.load_pem_x509_certificate(text)
        return x509.load_der_x509_certificate(text)
    except ValueError:
        raise MtlsError(f"{wanted.where}: it holds no certificate, in PEM or DER") from None


def _event(wanted: WantedRevocation, row: Row) -> str | None:
    """Return what is to be said of a certificate, or None when it is as wanted."""
    if wanted.state == "released":
        if not row.is_revoked:
            return None
        if row.reason != HOLD:
            raise MtlsError(
                f"{wanted.where}: serial number {row.serial_number} was revoked for good "
                f"({row.reason}); only what is on hold (certificateHold) can be released"
            )
        return RELEASED
    if row.is_revoked and (row.reason != HOLD or wanted.reason == HOLD):
        return None
    return wanted.reason


def _describe_crls(store: Store, plan: _Plan, now: datetime) -> dict[str, dict[str, Any]]:
    described: dict[str, dict[str, Any]] = {}
    with store.index() as index:
        for name, lists in plan.lists.items():
            if not lists:
                continue
            pem, der = crl_files(name)
            described[name] = {
                "reasons": [each.reason for each in lists if each.reason is not None],
                "pem_path": str(store.path / pem),
                "der_path": str(store.path / der),
            }
            latest = index.latest_crl(lists[0].authority.key)
            if latest is not None:
                number, this_update, next_update, _fingerprint = latest
                described[name].update(
                    crl_number=number,
                    this_update=iso_text(this_update),
                    next_update=iso_text(next_update),
                    days_left=round((next_update - now.timestamp()) / 86400),
                    revoked=len(index.revocations(lists[0].authority.key)),
                )
    return described
