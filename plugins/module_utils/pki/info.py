# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a store has issued: a list with filters, straight from the index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from ..errors import MtlsError
from .index import HOLD, Row
from .instants import iso_text
from .store import Store

STATES = ["valid", "superseded", "hold", "revoked", "expired"]


def list_certificates(
    store: Store,
    now: datetime,
    *,
    names: Sequence[str] = (),
    profiles: Sequence[str] = (),
    authorities: Sequence[str] = (),
    states: Sequence[str] = (),
    expires_within_days: int | None = None,
) -> dict[str, Any]:
    """List the certificates that pass every filter, and count all of those by state.

    :param profiles: kinds, authority included.
    :param authorities: names of authorities that signed them.
    :raises MtlsError: there is no store, or an authority was never one of it.
    """
    if not store.exists:
        raise MtlsError(f"store_path {store.path} holds no store")
    limit = None
    if expires_within_days is not None:
        try:
            limit = int((now + timedelta(days=expires_within_days)).timestamp())
        except OverflowError:
            raise MtlsError(
                f"expires_within_days {expires_within_days} reaches beyond the year 9999"
            ) from None
    certificates = []
    counts: Counter[str] = Counter()
    with store.index() as index:
        issuers = index.authority_names()
        for name in authorities:
            if name not in issuers.values():
                raise MtlsError(f"authorities: {name!r} was never an authority of {store.path}")
        for row, revoked_at, revoked_by, superseded in index.stated(names, limit):
            issuer = issuers.get(row.issuer_key)
            if (profiles and row.kind not in profiles) or (
                authorities and issuer not in authorities
            ):
                continue
            state = _state(row, superseded, now)
            if (states and state not in states) or (limit is not None and state == "expired"):
                continue
            counts[state] += 1
            certificates.append(_describe(row, issuer, state, revoked_at, revoked_by, now))
    return {
        "certificates": certificates,
        "counts": {state: counts[state] for state in STATES},
    }


def _state(row: Row, superseded: bool, now: datetime) -> str:
    if row.not_after < now.timestamp():
        return "expired"
    if row.is_revoked:
        return "hold" if row.reason == HOLD else "revoked"
    return "superseded" if superseded else "valid"


def _describe(
    row: Row,
    issuer: str | None,
    state: str,
    revoked_at: int | None,
    revoked_by: str | None,
    now: datetime,
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": row.name,
        "profile": row.kind,
        "state": state,
        "subject": row.subject,
        "issuer": issuer,
        "issuer_subject": row.issuer_subject,
        "serial_number": row.serial_number,
        "fingerprint_sha256": row.fingerprint_sha256,
        "not_before": iso_text(row.not_before),
        "not_after": iso_text(row.not_after),
        "days_left": round((row.not_after - now.timestamp()) / 86400),
    }
    if row.reason is not None and revoked_at is not None:
        # The last word, which for what was released is removeFromCRL.
        described.update(
            revocation_reason=row.reason, revoked_at=iso_text(revoked_at), revoked_by=revoked_by
        )
    return described
