# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping an authority: what is wanted against what the store holds, step by step."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from ..errors import MtlsError
from . import keys, roll_over
from .adoption import adopt, read_brought
from .authorities import Authority, can_sign, check_clock, find_authority
from .certificates import (
    certificate_fingerprint,
    days_left,
    is_signed_by,
    key_type_in,
    not_after_of,
    not_before_of,
    path_length_of,
    serial_number_text,
    to_pem,
)
from .extensions import POINTER_OIDS, Pointers, differences
from .founding import REQUEST, check_may_sign, make, make_request, rechain, resign
from .names import rfc2253
from .roll_over import Step
from .store import CERTIFICATE, FULLCHAIN, KEY, Store
from .wanted_authority import WantedAuthority

# An authority that has less than this share of its life left is warned of.
WARNING_SHARE = 0.1
BASIC_CONSTRAINTS = "2.5.29.19"


def ensure_authority(
    store: Store, wanted: WantedAuthority, now: datetime, check_mode: bool
) -> dict[str, Any]:
    """Keep an authority as it is wanted, and describe it.

    A live authority is never replaced: everything that it signed hangs on its key and subject.

    :raises MtlsError: what is there differs from what is wanted, has expired, or can't be made.
    """
    store.check_usable()
    check_clock(store, now)
    if not check_mode:
        store.tidy()
    steps = _steps(store, wanted, now, check_mode)
    if steps and not check_mode:
        with store.locked():
            # Another run may have taken some of them while this one waited for the lock.
            steps = _steps(store, wanted, now, check_mode)
            for _reason, take in steps:
                take()
    described = {
        "changed": bool(steps),
        "name": wanted.name,
        "reasons": [reason for reason, _take in steps if reason],
        "state": "absent",
        **paths(store, wanted.name),
    }
    found = find_authority(store, wanted.name) if store.exists else None
    if found is not None:
        described.update(_describe(store, found, now))
    elif store.read_pending(wanted.name, REQUEST) is not None:
        path = store.pending_folder(wanted.name) / REQUEST
        described.update(state="pending", request_path=str(path))
    return described


def paths(store: Store, name: str) -> dict[str, str]:
    """Say where an authority's files are, or will be."""
    folder = store.folder("authority", name)
    return {
        "certificate_path": str(folder / CERTIFICATE),
        "fullchain_path": str(folder / FULLCHAIN),
        "trust_path": str(store.path / _trust_file(name)),
    }


def _trust_file(name: str) -> str:
    return f"trust/{name}.pem"


def _describe(store: Store, found: Authority, now: datetime) -> dict[str, Any]:
    certificate = found.certificate
    old = found.predecessor
    described = {
        "state": roll_over.state(found),
        "superseded": roll_over.superseded_leaves(store, old, now) if old else 0,
        "has_key": can_sign(store, found),
        "subject": rfc2253(certificate.subject),
        "issuer_subject": rfc2253(certificate.issuer),
        "key_type": key_type_in(certificate),
        "not_before": not_before_of(certificate).isoformat(),
        "not_after": not_after_of(certificate).isoformat(),
        "days_left": days_left(certificate, now),
        "serial_number": serial_number_text(certificate),
        "fingerprint_sha256": certificate_fingerprint(certificate),
        "certificate": to_pem(certificate).decode(),
        "generations": b"".join(to_pem(each.certificate) for each in found.generations).decode(),
        "bundle": found.bundle.decode(),
    }
    left = not_after_of(certificate) - now
    life = not_after_of(certificate) - not_before_of(certificate)
    # What it signs ends with it, so the last of its life is of little use.
    if left < life * WARNING_SHARE and found.successor is None:
        described["warnings"] = [
            f"authority {found.name!r} expires on {not_after_of(certificate):%Y-%m-%d}, and "
            "nothing that it signs lives longer: roll it over in time (roll_over: prepare), or "
            "bring a renewed certificate if it was adopted"
        ]
    return described


def _steps(store: Store, wanted: WantedAuthority, now: datetime, check_mode: bool) -> list[Step]:
    parent = _parent(store, wanted, check_mode)
    found = find_authority(store, wanted.name) if store.exists else None
    if found is None:
        steps = _first_steps(store, wanted, parent, now, check_mode)
        if not steps:
            return []
    else:
        steps = _further_steps(store, wanted, found, parent, now)
    steps += _pointer_steps(store, wanted)
    # What is trusted follows from the other steps, and is a reason of its own only without them.
    if steps or (found is not None and _trust_is_old(store, found)):
        reason = "" if steps else "trust bundle missing or another one"
        steps.append((reason, lambda: _write_trust(store, wanted.name)))
    return steps


def _parent(store: Store, wanted: WantedAuthority, check_mode: bool) -> Authority | None:
    if wanted.issuer is None:
        return None
    parent = find_authority(store, wanted.issuer) if store.exists else None
    if parent is None and not check_mode:
        if store.read_pending(wanted.issuer, REQUEST) is not None:
            raise MtlsError(f"{wanted.where}: {pending_text(store, wanted.issuer)}")
        raise MtlsError(
            f"{wanted.where}: its issuer {wanted.issuer!r} is not in the store; "
            "make that authority first"
        )
    return parent


def pending_text(store: Store, name: str) -> str:
    """Say what an authority that can't sign yet waits for."""
    return (
        f"authority {name!r} waits for its certificate: have its issuer sign "
        f"{store.pending_folder(name) / REQUEST}, and name the result as its certificate_path"
    )


def _first_steps(
    store: Store,
    wanted: WantedAuthority,
    parent: Authority | None,
    now: datetime,
    check_mode: bool,
) -> list[Step]:
    if wanted.certificate_path:
        if wanted.issuer is not None and parent is None:
            return [("adopted", _nothing)]  # check mode, and its issuer is not there yet either
        brought = read_brought(store, wanted, parent, now)
        if brought is None:
            raise MtlsError(
                f"{wanted.where}: certificate_path {wanted.certificate_path} does not exist"
            )
        return [("adopted", lambda: adopt(store, wanted, brought, parent, now))]
    if parent is not None and not can_sign(store, parent):
        if store.read_pending(wanted.name, REQUEST) is not None:
            return []
        check_may_sign(wanted, parent)
        return [("request made", lambda: make_request(store, wanted))]
    if parent is not None:
        check_may_sign(wanted, parent)
    return [("missing", lambda: make(store, wanted, parent, now))]


def _nothing() -> None:
    """Take a step that only check mode announces."""


def _further_steps(
    store: Store,
    wanted: WantedAuthority,
    found: Authority,
    parent: Authority | None,
    now: datetime,
) -> list[Step]:
    steps: list[Step] = []
    if store.pending_folder(wanted.name).exists():
        # The run that adopted it was killed before it took that away.
        steps.append(("request removed", lambda: store.drop_pending(wanted.name)))
    if wanted.certificate_path:
        steps += _adoption_steps(store, wanted, found, parent, now)
    else:
        _check_unchanged(wanted, found)
        if not_after_of(found.certificate) <= now and wanted.roll_over is None:
            raise MtlsError(
                f"{wanted.where}: it expired on {not_after_of(found.certificate):%Y-%m-%d} (this "
                f"machine's clock says {now:%Y-%m-%d}); roll it over: set roll_over: prepare on "
                "this entry, then sign and move"
            )
    steps += _passphrase_steps(store, wanted, found)
    steps += _chain_steps(store, found, parent)
    if not wanted.certificate_path:
        steps += _issuer_steps(store, wanted, found, parent, now)
        steps += roll_over.steps(store, wanted, found, parent, now)
    return steps


def _adoption_steps(
    store: Store,
    wanted: WantedAuthority,
    found: Authority,
    parent: Authority | None,
    now: datetime,
) -> list[Step]:
    """Take a new certificate of the same key, or a key that was missing."""
    brought = read_brought(store, wanted, parent, now)
    if brought is None:
        return []
    key = keys.public_key_fingerprint(brought.certificate.public_key())
    if (key, brought.certificate.subject) != (found.key, found.certificate.subject):
        raise MtlsError(
            f"{wanted.where}: certificate_path {wanted.certificate_path} has another key or "
            "subject than the authority has now, so everything that it signed would stop working; "
            "adopt it under another name and move the clients and sites to it"
        )
    is_renewed = brought.certificate != found.certificate
    if is_renewed or (brought.key is not None and not can_sign(store, found)):
        reason = "certificate renewed" if is_renewed else "key brought"
        return [(reason, lambda: adopt_again(store, wanted, found, brought, parent, now))]
    return []


def adopt_again(
    store: Store,
    wanted: WantedAuthority,
    found: Authority,
    brought: Any,
    parent: Authority | None,
    now: datetime,
) -> None:
    """Take what was brought since an authority was adopted."""
    if brought.certificate != found.certificate:
        adopt(store, wanted, brought, parent, now)
    else:
        store.add("authority", wanted.name, {KEY: brought.key})


def _check_unchanged(wanted: WantedAuthority, found: Authority) -> None:
    """Compare what is wanted with the newest generation."""
    certificate = (found.successor or found).certificate
    name = wanted.subject_name()
    if certificate.subject != name:
        raise MtlsError(
            f"{wanted.where}: its subject is {rfc2253(certificate.subject)} and can't become "
            f"{rfc2253(name)}, because everything that it signed would stop working; another "
            "subject is another authority: add one with another name, and move the clients and "
            "sites to it"
        )
    if wanted.roll_over == "prepare" and found.successor is None:
        return
    changes: list[tuple[str, Any, Any]] = []
    if key_type_in(certificate) != wanted.key_type:
        changes.append(("key_type", key_type_in(certificate), wanted.key_type))
    # 0 is what an intermediate gets that signs no authority any more. One that once did may keep
    # its right to: taking it away would take a new certificate.
    limit = path_length_of(certificate)
    if limit != wanted.path_length and not (limit is None and wanted.path_length == 0):
        limits = (limit, wanted.path_length)
        is_now, asked = ("without limit" if each is None else each for each in limits)
        changes.append(("path_length", is_now, asked))
    for option, is_now, asked in changes:
        raise MtlsError(
            f"{wanted.where}: its {option} is {is_now} and can't become {asked}; {_ROLL_OVER}"
        )
    others = differences(certificate, wanted.extensions(), (*POINTER_OIDS, BASIC_CONSTRAINTS))
    if others:
        raise MtlsError(
            f"{wanted.where}: its certificate can't be changed ({', '.join(others)}); {_ROLL_OVER}"
        )


_ROLL_OVER = (
    "everything that it signed hangs on its certificate; to roll over, set roll_over: prepare on "
    "this entry, which puts a successor beside it"
)


def _issuer_steps(
    store: Store,
    wanted: WantedAuthority,
    found: Authority,
    parent: Authority | None,
    now: datetime,
) -> list[Step]:
    old = parent.predecessor if parent else None
    if parent and old:
        # It may be in the middle of a roll-over itself, and all its generations are trusted.
        of_old = [
            each for each in found.generations if is_signed_by(each.certificate, old.certificate)
        ]
        if of_old and parent.moves_leaves:
            return [
                ("issuer rolled over", partial(resign, store, wanted, generation, parent, now))
                for generation in of_old
            ]
        if found in of_old:
            return []
    if is_signed_by(found.certificate, parent.certificate if parent else found.certificate):
        return []
    raise MtlsError(
        f"{wanted.where}: its issuer is {rfc2253(found.certificate.issuer)} and can't become "
        f"{wanted.issuer or 'itself'}; add an authority with another name under that issuer, and "
        "move the clients and sites to it"
    )


def _chain_steps(store: Store, found: Authority, parent: Authority | None) -> list[Step]:
    """Follow what is above an authority, where that was signed anew with the same key."""
    if parent is None:
        return []
    above = (parent.certificate, *parent.above)
    return [
        ("chain changed", partial(rechain, store, generation, parent))
        for generation in found.generations
        if (generation.above, generation.cross) != (above, parent.cross or generation.cross)
        and is_signed_by(generation.certificate, parent.certificate)
    ]


def _passphrase_steps(store: Store, wanted: WantedAuthority, found: Authority) -> list[Step]:
    steps = (_passphrase_step(store, wanted, generation) for generation in found.generations)
    return [step for step in steps if step is not None]


def _passphrase_step(store: Store, wanted: WantedAuthority, found: Authority) -> Step | None:
    new, old = wanted.key_passphrase, wanted.previous_key_passphrase
    text = store.read(found.role, found.name, KEY)
    if text is None:
        return None
    where = str(store.folder(found.role, found.name) / KEY)
    if not keys.is_encrypted(text):
        if not new:
            return None
        key = keys.key_from_pem(text, where)
    elif old:
        key = _opened(text, where, new, old)
    else:
        # A passphrase is only tried where it may have to change. One that is missing or wrong
        # shows when something must be signed.
        return None
    if key is None:
        return None
    content = keys.key_to_pem(key, new)
    reason = "key passphrase changed" if new else "key passphrase removed"
    return reason, lambda: store.add(found.role, found.name, {KEY: content})


def _opened(text: bytes, where: str, new: str | None, old: str | None) -> Any:
    """Open a key with its previous passphrase, or return None where it has the new one already."""
    if new:
        try:
            keys.key_from_pem(text, where, new)
        except MtlsError:
            pass
        else:
            return None
    return keys.key_from_pem(text, where, old)


def _pointer_steps(store: Store, wanted: WantedAuthority) -> list[Step]:
    settings: dict[str, Any] = {}
    if store.exists:
        with store.index() as index:
            settings = index.settings(wanted.name)
    pointers = {option: list(urls) for option, urls in vars(wanted.pointers).items() if urls}
    if settings.get("pointers", {}) == pointers:
        return []

    def save() -> None:
        with store.index(writable=True) as index:
            index.save_settings(wanted.name, {**index.settings(wanted.name), "pointers": pointers})

    changed = [
        name
        for name in vars(Pointers())
        if pointers.get(name) != settings.get("pointers", {}).get(name)
    ]
    return [(f"{' and '.join(changed)} changed", save)]


def _trust_is_old(store: Store, found: Authority) -> bool:
    try:
        return (store.path / _trust_file(found.name)).read_bytes() != found.bundle
    except OSError:
        return True


def _write_trust(store: Store, name: str) -> None:
    found = find_authority(store, name)
    if found is not None:
        store.replace(_trust_file(name), found.bundle)
