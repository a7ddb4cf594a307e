# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaf certificates: the whole wanted set against what the store holds, and issuing what is due."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ..errors import MtlsError
from . import keys, packs
from .authorities import Authority, check_clock, find_authority, signer_for
from .certificates import (
    PROFILES,
    Signer,
    build_leaf,
    certificate_fingerprint,
    certificate_from_pem,
    days_left,
    extent,
    is_signed_by,
    key_type_in,
    not_after_of,
    not_before_of,
    profile_of,
    renewal_reason,
    serial_number_text,
    to_pem,
)
from .index import Entry
from .names import (
    alternative_names,
    check_entry_name,
    general_name,
    general_name_text,
    rfc2253,
    subject,
)
from .requests import read_request
from .store import CERTIFICATE, FULLCHAIN, KEY, Issue, Store

SELF = "self"
ACTIONS = ("ok", "issue", "renew", "reissue", "forget")


@dataclass(frozen=True)
class WantedCertificate:
    """What was asked for. ``issuer`` is an authority's name, or "self" for a self-signed one.

    With ``request`` (a CSR in PEM) the key stays where the CSR was made.
    """

    name: str
    profile: str
    issuer: str
    common_name: str
    subject_alternative_names: list[str]
    key_type: str
    valid_days: int
    renew_before_days: int
    request: str | None = None
    pkcs12: bool = False

    def __post_init__(self) -> None:
        check_entry_name(self.name, self.where)
        subject(self.common_name, self.where)
        if self.profile not in PROFILES:
            raise MtlsError(f"{self.where}: profile must be one of {', '.join(PROFILES)}")
        if self.valid_days < 1:
            raise MtlsError(f"{self.where}: valid_days {self.valid_days} must be 1 or more")
        if not 0 <= self.renew_before_days < self.valid_days:
            raise MtlsError(
                f"{self.where}: renew_before_days {self.renew_before_days} must be 0 or more and "
                f"less than valid_days {self.valid_days}, or it would be renewed at every run"
            )
        if self.profile == "server" and not self.subject_alternative_names:
            raise MtlsError(
                f"{self.where}: a server certificate needs subject_alternative_names, "
                "because clients look for the host there and nowhere else"
            )
        if self.request is not None and (self.issuer == SELF or self.pkcs12):
            raise MtlsError(
                f"{self.where}: with a request the key is elsewhere, so it can be neither "
                "self-signed nor packed as PKCS #12"
            )
        self.general_names()

    @property
    def where(self) -> str:
        """How errors call this entry."""
        return f"{self.profile} certificate {self.name!r}"

    def general_names(self) -> list[Any]:
        """Return the alternative names as X.509 objects."""
        return [general_name(text, self.where) for text in self.subject_alternative_names]


@dataclass
class Item:
    """One wanted certificate, what was found for it, and what must be done and why."""

    wanted: WantedCertificate
    authority: Authority | None
    found: Any = None
    # The index has it. What it lacks was put there by something else, and can't be revoked.
    is_known: bool = False
    reasons: list[str] = field(default_factory=list)
    request: Any = None
    # ok, issue (there is none), renew (it is time) or reissue (it differs)
    action: str = "ok"


def ensure_certificates(
    store: Store,
    wanted: list[WantedCertificate],
    now: datetime,
    check_mode: bool,
    unwanted: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Issue what is missing, due or different, forget what is unwanted, describe the whole set.

    :param unwanted: profile and name of certificates whose files go; the index keeps them.
    :raises MtlsError: an entry can't be met; nothing has been issued then.
    """
    for profile, name in unwanted:
        check_entry_name(name, f"{profile} certificate {name!r}")
    _check_unique([*((entry.profile, entry.name) for entry in wanted), *unwanted])
    store.check_usable()
    check_clock(store, now)
    items = _plan(store, wanted, now, check_mode)
    if any(item.reasons for item in items) and not check_mode:
        with store.locked():
            # Another run may have issued some of them while this one waited for the lock.
            items = _plan(store, wanted, now, check_mode)
            _issue(store, [item for item in items if item.reasons], now)
    results = {
        f"{item.wanted.profile}/{item.wanted.name}": _describe(store, item, now) for item in items
    }
    results.update(_forget(store, unwanted, check_mode))
    actions = [each["action"] for each in results.values()]
    plan = {action: actions.count(action) for action in ACTIONS}
    return {
        "changed": any(each["reasons"] for each in results.values()),
        "certificates": results,
        "plan": ", ".join(f"{action} {count}" for action, count in plan.items() if count),
    }


def plan_without_library(store: Store, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Say what ``ensure_certificates`` would do on a host that has no cryptography yet.

    :param entries: the options of each wanted certificate.
    """
    return {
        "changed": bool(entries),
        "certificates": {
            f"{entry['profile']}/{entry['name']}": {
                "name": entry["name"],
                "action": "issue",
                "reasons": ["missing"],
                **_paths(store, entry),
            }
            for entry in entries
        },
        "plan": f"issue {len(entries)}" if entries else "",
    }


def _forget(
    store: Store, unwanted: Sequence[tuple[str, str]], check_mode: bool
) -> dict[str, dict[str, Any]]:
    due = [each for each in unwanted if store.exists and store.has_files(*each)]
    if due and not check_mode:
        with store.locked():
            for profile, name in due:
                store.forget(profile, name)
    return {
        f"{profile}/{name}": {
            "name": name,
            "action": "forget" if (profile, name) in due else "ok",
            "reasons": ["not wanted any more"] if (profile, name) in due else [],
        }
        for profile, name in unwanted
    }


def _check_unique(names: list[tuple[str, str]]) -> None:
    seen: set[tuple[str, str]] = set()
    for profile, name in names:
        if (profile, name) in seen:
            raise MtlsError(
                f"{profile} certificate {name!r} is asked for twice: names must be unique"
            )
        seen.add((profile, name))


def _plan(
    store: Store, wanted: list[WantedCertificate], now: datetime, check_mode: bool
) -> list[Item]:
    authorities = {
        name: find_authority(store, name) if store.exists else None
        for name in {entry.issuer for entry in wanted} - {SELF}
    }
    items = []
    with store.index() if store.exists else nullcontext() as index:
        for entry in wanted:
            item = Item(entry, authorities.get(entry.issuer))
            if entry.request is not None:
                item.request = read_request(entry.request, entry.where)
            if entry.issuer != SELF and item.authority is None and not check_mode:
                raise MtlsError(
                    f"{entry.where}: its issuer {entry.issuer!r} is not an authority of the store"
                )
            text = store.read(entry.profile, entry.name, CERTIFICATE) if index else None
            if index and text is not None:
                path = store.folder(entry.profile, entry.name) / CERTIFICATE
                item.found = certificate_from_pem(text, str(path))
                item.is_known = index.knows(certificate_fingerprint(item.found))
            _judge(store, item, now)
            items.append(item)
    return items


def _judge(store: Store, item: Item, now: datetime) -> None:
    if item.found is None:
        item.action, item.reasons = "issue", ["missing"]
        return
    margin = timedelta(days=item.wanted.renew_before_days)
    due = renewal_reason(not_after_of(item.found), now, margin)
    if due and not _issuer_is_the_limit(item, now):
        item.action, item.reasons = "renew", [due]
    differences = _differences(store, item)
    if differences:
        item.action, item.reasons = "reissue", [*item.reasons, *differences]


def _differences(store: Store, item: Item) -> list[str]:
    wanted, found = item.wanted, item.found
    folder = store.folder(wanted.profile, wanted.name)
    reasons = [] if item.is_known else ["not in the index of the store"]
    issuer = item.authority.certificate if item.authority else found
    if not is_signed_by(found, issuer) or found.issuer != issuer.subject:
        reasons.append("issuer changed")
    if found.subject != subject(wanted.common_name, wanted.where):
        reasons.append(f"common name {wanted.common_name}")
    if profile_of(found) != wanted.profile:
        reasons.append(f"profile {wanted.profile}")
    has = set(alternative_names(found))
    wants = {general_name_text(name) for name in wanted.general_names()}
    reasons += [f"SAN +{name}" for name in sorted(wants - has)]
    reasons += [f"SAN -{name}" for name in sorted(has - wants)]
    if item.request is not None:
        if keys.public_key_fingerprint(item.request.public_key()) != keys.public_key_fingerprint(
            found.public_key()
        ):
            reasons.append("public key changed")
    else:
        if key_type_in(found) != wanted.key_type:
            reasons.append(f"key type {wanted.key_type}")
        if not (folder / KEY).exists():
            reasons.append("key missing")
    pack = f"{wanted.name}.p12"
    if wanted.pkcs12 and not all((folder / name).exists() for name in (pack, f"{pack}.passphrase")):
        reasons.append("PKCS #12 missing")
    return reasons


def _issuer_is_the_limit(item: Item, now: datetime) -> bool:
    # A leaf that already lives as long as its authority gains nothing from being renewed.
    return (
        item.authority is not None
        and not_after_of(item.found) >= not_after_of(item.authority.certificate) > now
    )


def _issue(store: Store, due: list[Item], now: datetime) -> None:
    signers: dict[str, Signer] = {}
    issues = []
    for item in due:
        wanted = item.wanted
        key = None if item.request is not None else keys.generate(wanted.key_type)
        public_key = item.request.public_key() if key is None else key.public_key()
        if item.authority is None:
            signer = Signer(key)
        elif wanted.issuer in signers:
            signer = signers[wanted.issuer]
        else:
            signer = signers[wanted.issuer] = signer_for(store, item.authority)
        certificate = build_leaf(
            subject(wanted.common_name, wanted.where),
            public_key,
            signer,
            extent(now, wanted.valid_days, signer.certificate),
            wanted.profile,
            wanted.general_names(),
        )
        item.found = certificate
        issues.append(_files(item, key, certificate, signer))
    store.publish(issues, int(now.timestamp()))


def _files(item: Item, key: Any, certificate: Any, signer: Signer) -> Issue:
    chain = item.authority.intermediates if item.authority else []
    files = {
        CERTIFICATE: to_pem(certificate),
        FULLCHAIN: b"".join(to_pem(each) for each in [certificate, *chain]),
    }
    secret = set()
    if key is not None:
        files[KEY] = keys.key_to_pem(key)
        secret.add(KEY)
    if item.wanted.pkcs12:
        pack = f"{item.wanted.name}.p12"
        passphrase = packs.new_passphrase()
        root = item.authority.above[-1:] or (item.authority.certificate,) if item.authority else ()
        files[pack] = packs.build_pkcs12(
            item.wanted.name, key, certificate, [*chain, *root], passphrase
        )
        files[f"{pack}.passphrase"] = f"{passphrase}\n".encode()
        secret |= {pack, f"{pack}.passphrase"}
    issuer_key = keys.public_key_fingerprint(signer.key.public_key())
    entry = Entry(item.wanted.profile, item.wanted.name, issuer_key, certificate)
    return Issue(entry, files, frozenset(secret))


def _describe(store: Store, item: Item, now: datetime) -> dict[str, Any]:
    wanted, certificate = item.wanted, item.found
    described: dict[str, Any] = {
        "name": wanted.name,
        "action": item.action,
        "reasons": item.reasons,
        **_paths(store, vars(wanted)),
    }
    if certificate is not None:
        chain = item.authority.intermediates if item.authority else []
        described.update(
            subject=rfc2253(certificate.subject),
            issuer_subject=rfc2253(certificate.issuer),
            not_before=not_before_of(certificate).isoformat(),
            not_after=not_after_of(certificate).isoformat(),
            days_left=days_left(certificate, now),
            serial_number=serial_number_text(certificate),
            fingerprint_sha256=certificate_fingerprint(certificate),
            certificate=to_pem(certificate).decode(),
            fullchain=b"".join(to_pem(each) for each in [certificate, *chain]).decode(),
        )
    return described


def _paths(store: Store, wanted: dict[str, Any]) -> dict[str, str]:
    folder = store.folder(wanted["profile"], wanted["name"])
    paths = {
        "certificate_path": str(folder / CERTIFICATE),
        "fullchain_path": str(folder / FULLCHAIN),
    }
    if wanted["request"] is None:
        paths["key_path"] = str(folder / KEY)
    if wanted["pkcs12"]:
        paths["pkcs12_path"] = str(folder / f"{wanted['name']}.p12")
    return paths
