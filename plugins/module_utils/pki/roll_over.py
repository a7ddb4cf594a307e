# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling an authority over to a new key, in four stages that are each safe to stop at.

    prepare   a successor stands beside the authority and is trusted; the old key signs
    sign      the successor is the authority; what its predecessor signed stays until it is due
    move      what the predecessor signed is issued anew at once
    retire    the predecessor is not trusted any more; refused while anything live hangs on it

The name and the subject stay, so nothing that names the authority has to change.
"""

from __future__ import annotations

from datetime import datetime
from typing import Callable

from ..errors import MtlsError
from .authorities import Authority, find_authority
from .certificates import certificate_fingerprint
from .founding import make
from .index import Revocation, Row
from .instants import from_seconds
from .store import Store
from .wanted_authority import WantedAuthority

# A reason, and what to do about it while the lock is held.
Step = tuple[str, Callable[[], None]]
MOST_NAMES = 5


def state(found: Authority) -> str:
    """Name the stage that an authority stands in; ``live`` when it is not rolled over."""
    if found.successor is not None:
        return "prepare"
    if found.predecessor is not None:
        return "move" if found.moves_leaves else "sign"
    return "live"


def steps(
    store: Store,
    wanted: WantedAuthority,
    found: Authority,
    parent: Authority | None,
    now: datetime,
) -> list[Step]:
    """Say what leads from the stage that an authority stands in to the one that is wanted.

    :raises MtlsError: that would leave out a stage, go back, or retire what is still in use.
    """
    stage, is_now = wanted.roll_over, state(found)
    if stage is None or stage == is_now:
        return []
    if stage == "prepare":
        if found.predecessor is not None:
            raise MtlsError(
                f"{wanted.where}: roll_over: prepare would start another roll-over while the last "
                f"one is at {is_now}; go on to move and retire first"
            )
        return [("successor made", lambda: make(store, wanted, parent, now, predecessor=found))]
    if stage == "retire":
        return _retire_steps(store, wanted, found, now)
    if is_now == "live":
        raise MtlsError(
            f"{wanted.where}: roll_over: {stage} needs a successor, and there is none; start with "
            "roll_over: prepare, and deploy it, so that everybody trusts the successor before it "
            "signs"
        )
    if is_now == "move":
        raise MtlsError(
            f"{wanted.where}: roll_over: {stage} would go back, and it is at move already; leave "
            "it there or go on to retire"
        )
    found_steps: list[Step] = []
    if is_now == "prepare":
        found_steps.append(("successor signs", lambda: promote(store, found)))
    if stage == "move":
        found_steps.append(("leaves move", lambda: save_moves_leaves(store, found, True)))
    return found_steps


def promote(store: Store, found: Authority) -> None:
    """Let the successor sign. A kill in between leaves the stage before or after, as read."""
    name = found.name
    save_moves_leaves(store, found, False)
    store.change_role(name, "authority", "predecessor")
    store.change_role(name, "successor", "authority")
    store.leave_role(name, "successor")


def save_moves_leaves(store: Store, found: Authority, moves: bool) -> None:
    """Remember whether what the predecessor signed is to be issued anew at once."""
    with store.index(writable=True) as index:
        index.save_settings(found.name, {**index.settings(found.name), "moves_leaves": moves})


def _retire_steps(
    store: Store, wanted: WantedAuthority, found: Authority, now: datetime
) -> list[Step]:
    if found.successor is not None:
        raise MtlsError(
            f"{wanted.where}: roll_over: retire, but its successor does not sign yet; go on with "
            "sign or move first"
        )
    old = found.predecessor
    if old is None:
        return []
    names = [f"{row.kind} {row.name}" for row in live_leaves(store, old, now)]
    if names:
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        raise MtlsError(
            f"{wanted.where}: roll_over: retire would lock out {', '.join(names[:MOST_NAMES])}"
            f"{more}, which its predecessor signed; let them move (roll_over: move), or revoke "
            "those that nobody needs any more"
        )

    return [("predecessor retired", lambda: _retire(store, found.name, old, now))]


def _retire(store: Store, name: str, old: Authority, now: datetime) -> None:
    """Take a predecessor out of what is trusted.

    Whoever trusts its issuer would still trust it, and all that it signed, so it is revoked. A
    root has no issuer: it is gone from the bundle, and that is all.
    """
    with store.index(writable=True) as index:
        index.revoke(
            [
                Revocation(
                    row.issuer_key,
                    row.serial_number,
                    int(now.timestamp()),
                    "superseded",
                    "roll_over: retire",
                )
                for row in index.of_name("authority", name)
                if row.public_key == old.key != row.issuer_key and not row.is_revoked
            ]
        )
    store.leave_role(name, "predecessor")


def live_leaves(store: Store, authority: Authority, now: datetime) -> list[Row]:
    """Return what an authority signed that is valid, the last of its name, and not revoked.

    What is on hold counts, because it may be released.
    """
    with store.index() as index:
        rows = [
            row
            for row in index.signed_by(authority.key)
            if not row.is_revoked_for_good
            and from_seconds(row.not_after) >= now
            and row.public_key != row.issuer_key
        ]
        return [
            row
            for row in rows
            if index.of_name(row.kind, row.name)[-1] == row or _stands(store, row)
        ]


def _stands(store: Store, row: Row) -> bool:
    """Tell whether a certificate is one of an authority that is rolled over itself."""
    found = find_authority(store, row.name) if row.kind == "authority" else None
    return found is not None and any(
        certificate_fingerprint(each.certificate) == row.fingerprint_sha256
        for each in found.generations
    )


def superseded_leaves(store: Store, authority: Authority, now: datetime) -> int:
    """Count what an authority signed that is still valid, though its name has a newer one."""
    with store.index() as index:
        valid = [
            row
            for row in index.signed_by(authority.key)
            if not row.is_revoked and from_seconds(row.not_after) >= now and row.kind != "authority"
        ]
    return len(valid)
