# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Authorities: the ones that a store holds, and making those that are wanted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..errors import MtlsError
from . import keys
from .certificates import (
    Signer,
    build_authority,
    certificate_fingerprint,
    certificate_from_pem,
    days_left,
    extent,
    is_signed_by,
    key_type_in,
    not_after_of,
    not_before_of,
    path_length_of,
    serial_number_text,
    to_pem,
)
from .index import Entry
from .names import check_entry_name, rfc2253, subject
from .store import CERTIFICATE, FULLCHAIN, KEY, Issue, Store

# When this was written. A clock that was never set says 1970, or when its firmware was built.
EARLIEST = datetime(2026, 11, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Authority:
    """An authority of the store: its certificate and those above it, the root last."""

    name: str
    certificate: Any
    above: tuple[Any, ...] = ()

    @property
    def is_root(self) -> bool:
        """Tell whether it signed itself."""
        return not self.above

    @property
    def bundle(self) -> bytes:
        """What a verifier needs: this certificate and all above it, root included, as PEM."""
        return b"".join(to_pem(certificate) for certificate in (self.certificate, *self.above))

    @property
    def intermediates(self) -> list[Any]:
        """What a leaf of this authority shows with itself: everything but the root."""
        return [self.certificate, *self.above[:-1]] if self.above else []


@dataclass(frozen=True)
class WantedAuthority:
    """What was asked for. ``issuer`` is another authority's name, or None for a root."""

    name: str
    common_name: str
    issuer: str | None
    key_type: str
    valid_days: int
    path_length: int | None

    def __post_init__(self) -> None:
        check_entry_name(self.name, self.where)
        subject(self.common_name, self.where)
        if self.valid_days < 1:
            raise MtlsError(f"{self.where}: valid_days {self.valid_days} must be 1 or more")
        if self.path_length is not None and self.path_length < 0:
            raise MtlsError(f"{self.where}: path_length {self.path_length} must be 0 or more")
        if self.issuer == self.name:
            raise MtlsError(
                f"{self.where}: it can't be its own issuer; leave issuer out for a root"
            )

    @property
    def where(self) -> str:
        """How errors call this entry."""
        return f"authority {self.name!r}"


def find_authority(store: Store, name: str) -> Authority | None:
    """Read an authority and the chain above it, or None when the store has none of that name.

    :raises MtlsError: a file of it is damaged, or was not issued from this store.
    """
    folder = store.folder("authority", name)
    where = str(folder / FULLCHAIN)
    text = store.read("authority", name, FULLCHAIN)
    if text is None:
        if os.path.lexists(folder):
            # A new one in its place would not be the one that clients and sites trust.
            raise MtlsError(f"{where} is missing, though the authority was made: bring it back")
        return None
    blocks = [
        block + b"-----END CERTIFICATE-----\n"
        for block in text.split(b"-----END CERTIFICATE-----\n")
        if block.strip()
    ]
    certificates = [certificate_from_pem(block, where) for block in blocks or [text]]
    authority = Authority(name, certificates[0], tuple(certificates[1:]))
    with store.index() as index:
        if not index.knows(certificate_fingerprint(authority.certificate)):
            raise MtlsError(
                f"{where} is not in the index of the store: it was put there by something else; "
                "take it away or bring the right index back"
            )
    return authority


def signer_for(store: Store, authority: Authority) -> Signer:
    """Load an authority's private key.

    :raises MtlsError: the key is missing, damaged or not the certificate's.
    """
    where = str(store.folder("authority", authority.name) / KEY)
    text = store.read("authority", authority.name, KEY)
    if text is None:
        raise MtlsError(f"{where} is missing: authority {authority.name!r} can't sign without it")
    key = keys.key_from_pem(text, where)
    if keys.public_key_fingerprint(key.public_key()) != keys.public_key_fingerprint(
        authority.certificate.public_key()
    ):
        raise MtlsError(f"{where} is not the key of {authority.name!r}'s certificate")
    return Signer(key, authority.certificate)


def check_clock(store: Store, now: datetime) -> None:
    """Refuse to work with a clock that runs behind what this code or the store has already seen.

    :raises MtlsError: it is earlier than this code, or than the newest certificate of the store.
    """
    if now < EARLIEST:
        raise MtlsError(
            f"the clock of this machine says {now:%Y-%m-%d}, which is before this collection was "
            "written: set the clock, then try again"
        )
    if not store.exists:
        return
    with store.index() as index:
        latest = index.latest_issue()
    # A minute: two controllers on one store need not agree to the second.
    if latest > now.timestamp() + 60:
        issued = datetime.fromtimestamp(latest, now.tzinfo)
        raise MtlsError(
            f"the clock of this machine says {now:%Y-%m-%d %H:%M} UTC, but a certificate of the "
            f"store was issued at {issued:%Y-%m-%d %H:%M} UTC: set the clock, then try again"
        )


def ensure_authority(
    store: Store, wanted: WantedAuthority, now: datetime, check_mode: bool
) -> dict[str, Any]:
    """Make an authority unless it is there, and describe it.

    A live authority is never replaced: everything that it signed hangs on its key and subject.

    :raises MtlsError: what is there differs from what is wanted, has expired, or can't be made.
    """
    store.check_usable()
    check_clock(store, now)
    found = find_authority(store, wanted.name) if store.exists else None
    if found is None and check_mode:
        return {
            "changed": True,
            "name": wanted.name,
            "reasons": ["missing"],
            **paths(store, wanted.name),
        }
    changed = False
    if found is None:
        with store.locked():
            # Another run may have made it while this one waited for the lock.
            found = find_authority(store, wanted.name) if store.exists else None
            if found is None:
                found = _make(store, wanted, now)
                changed = True
    if not changed:
        _check_unchanged(store, wanted, found, now)
    certificate = found.certificate
    return {
        "changed": changed,
        "name": wanted.name,
        "reasons": ["missing"] if changed else [],
        "subject": rfc2253(certificate.subject),
        "issuer_subject": rfc2253(certificate.issuer),
        "key_type": key_type_in(certificate),
        "not_before": not_before_of(certificate).isoformat(),
        "not_after": not_after_of(certificate).isoformat(),
        "days_left": days_left(certificate, now),
        "serial_number": serial_number_text(certificate),
        "fingerprint_sha256": certificate_fingerprint(certificate),
        "certificate": to_pem(certificate).decode(),
        "bundle": found.bundle.decode(),
        **paths(store, wanted.name),
    }


def paths(store: Store, name: str) -> dict[str, str]:
    """Say where an authority's files are, or will be."""
    folder = store.folder("authority", name)
    return {
        "certificate_path": str(folder / CERTIFICATE),
        "fullchain_path": str(folder / FULLCHAIN),
    }


def _make(store: Store, wanted: WantedAuthority, now: datetime) -> Authority:
    key = keys.generate(wanted.key_type)
    name = subject(wanted.common_name, wanted.where)
    above: tuple[Any, ...] = ()
    signer = Signer(key)
    if wanted.issuer is not None:
        parent = find_authority(store, wanted.issuer) if store.exists else None
        if parent is None:
            raise MtlsError(
                f"{wanted.where}: its issuer {wanted.issuer!r} is not in the store; "
                "make that authority first"
            )
        _check_path_length(wanted, parent)
        if name == parent.certificate.subject:
            raise MtlsError(
                f"{wanted.where}: common_name {wanted.common_name!r} is also its issuer's, so its "
                "certificate would look self-issued; give it another one"
            )
        above = (parent.certificate, *parent.above)
        signer = signer_for(store, parent)
    certificate = build_authority(
        name,
        key.public_key(),
        signer,
        extent(now, wanted.valid_days, signer.certificate),
        wanted.path_length,
    )
    authority = Authority(wanted.name, certificate, above)
    issuer_key = keys.public_key_fingerprint(signer.key.public_key())
    store.publish(
        [
            Issue(
                Entry("authority", wanted.name, issuer_key, certificate),
                {
                    CERTIFICATE: to_pem(certificate),
                    FULLCHAIN: authority.bundle,
                    KEY: keys.key_to_pem(key),
                },
                frozenset({KEY}),
            )
        ],
        int(now.timestamp()),
    )
    return authority


def _check_path_length(wanted: WantedAuthority, parent: Authority) -> None:
    limits = [
        (limit, distance)
        for distance, certificate in enumerate((parent.certificate, *parent.above))
        if (limit := path_length_of(certificate)) is not None
    ]
    if any(distance >= limit for limit, distance in limits):
        raise MtlsError(
            f"{wanted.where}: its issuer {parent.name!r} may have no authority below it "
            "(path length reached); give the new one another issuer"
        )


def _check_unchanged(
    store: Store, wanted: WantedAuthority, found: Authority, now: datetime
) -> None:
    certificate = found.certificate
    differences: list[tuple[str, Any, Any]] = []
    if certificate.subject != subject(wanted.common_name, wanted.where):
        differences.append(("common_name", rfc2253(certificate.subject), wanted.common_name))
    if key_type_in(certificate) != wanted.key_type:
        differences.append(("key_type", key_type_in(certificate), wanted.key_type))
    # 0 is what an intermediate gets that signs no authority any more. One that once did may keep
    # its right to: taking it away would take a new certificate.
    limit = path_length_of(certificate)
    if limit != wanted.path_length and not (limit is None and wanted.path_length == 0):
        limits = (limit, wanted.path_length)
        is_now, asked = ("without limit" if each is None else each for each in limits)
        differences.append(("path_length", is_now, asked))
    parent = find_authority(store, wanted.issuer) if wanted.issuer else None
    if wanted.issuer and parent is None:
        raise MtlsError(f"{wanted.where}: its issuer {wanted.issuer!r} is not in the store")
    if not is_signed_by(certificate, parent.certificate if parent else certificate):
        differences.append(("issuer", rfc2253(certificate.issuer), wanted.issuer or "itself"))
    if differences:
        option, is_now, asked = differences[0]
        raise MtlsError(
            f"{wanted.where}: its {option} is {is_now} and can't become {asked}, because "
            "everything that it signed would stop working; to roll over, add an authority with "
            "another name and move the clients and sites to it"
        )
    if not_after_of(certificate) <= now:
        raise MtlsError(
            f"{wanted.where}: it expired on {not_after_of(certificate):%Y-%m-%d} (this machine's "
            f"clock says {now:%Y-%m-%d}); add an authority with another name in its place"
        )
