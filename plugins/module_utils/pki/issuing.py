# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaf certificates: issuing what is due, packing it, and describing the whole set."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from ..errors import MtlsError
from . import keys, packs
from .authorities import Authority, check_clock, signer_for
from .certificates import (
    Signer,
    build_certificate,
    certificate_from_pem,
    extent,
    to_pem,
)
from .index import Entry
from .instants import iso_text
from .library import serialization, x509
from .names import check_entry_name
from .parallel import map_on_all_cores
from .planning import ACTIONS, Item, Planner
from .progress import Progress
from .store import BATCH, CERTIFICATE, FOLDERS, FULLCHAIN, KEY, Issue, Store
from .wanted_certificate import SELF, WantedCertificate, passphrase_file

# However slow the keys are, what is made reaches the disk this often.
SECONDS_BETWEEN_WRITES = 10


def ensure_certificates(
    store: Store,
    wanted: list[WantedCertificate],
    now: datetime,
    check_mode: bool,
    unwanted: Sequence[tuple[str, str]] = (),
    key_passphrases: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Issue what is missing, due or different, forget what is unwanted, describe the whole set.

    :param unwanted: kind and name of certificates whose files go; the index keeps them.
    :param key_passphrases: passphrase of each authority whose key is encrypted.
    :raises MtlsError: an entry can't be met; nothing has been issued then.
    """
    for kind, name in unwanted:
        check_entry_name(name, f"{kind} certificate {name!r}")
    _check_unique([*((entry.kind, entry.name) for entry in wanted), *unwanted])
    store.check_usable()
    check_clock(store, now)
    if not check_mode:
        store.tidy()
    results: dict[str, dict[str, Any]] = {}
    due = []
    with _planner(store, now, check_mode) as planner:
        signers = _Signers(store, planner, key_passphrases or {})
        for item in planner.judge(wanted):
            # A passphrase that is missing or wrong shows before anything is changed.
            signers.check(item)
            results[item.wanted.key] = _describe(store, planner, item, now)
            if item.reasons:
                due.append(item.wanted)
    if due and not check_mode:
        with store.locked(), store.index(writable=True) as index:
            planner = Planner(store, index, now, check_mode)
            signers = _Signers(store, planner, key_passphrases or {})
            items = []
            # Another run may have issued some of them while this one waited for the lock.
            for item in planner.judge(due):
                signers.check(item)
                results[item.wanted.key] = _describe(store, planner, item, now)
                if item.reasons:
                    items.append(item)
            for item in _issue(store, planner, items, signers, now):
                results[item.wanted.key] = _describe(store, planner, item, now)
                # It is described, and a hundred thousand of these take room.
                item.certificate = item.row = item.request = None
    results.update(_forget(store, unwanted, check_mode))
    actions = [each["action"] for each in results.values()]
    plan = {action: actions.count(action) for action in ACTIONS}
    return {
        "changed": any(each["reasons"] for each in results.values()),
        "certificates": results,
        "plan": ", ".join(f"{action} {count}" for action, count in plan.items() if count),
    }


def plan_without_library(
    entries: list[dict[str, Any]], profiles: list[dict[str, Any]]
) -> dict[str, Any]:
    """Say what ``ensure_certificates`` would do on a host that has no cryptography yet.

    :param entries: the options of each wanted certificate.
    :param profiles: those of the user's own profiles.
    """
    kinds = {profile["name"]: profile["base"] for profile in profiles}
    return {
        "changed": bool(entries),
        "certificates": {
            f"{kinds.get(entry['profile'], entry['profile'])}/{entry['name']}": {
                "name": entry["name"],
                "action": "issue",
                "reasons": ["missing"],
            }
            for entry in entries
        },
        "plan": f"issue {len(entries)}" if entries else "",
    }


@contextmanager
def _planner(store: Store, now: datetime, check_mode: bool) -> Iterator[Planner]:
    if not store.exists:
        yield Planner(store, None, now, check_mode)
        return
    with store.index() as index:
        yield Planner(store, index, now, check_mode)


def _forget(
    store: Store, unwanted: Sequence[tuple[str, str]], check_mode: bool
) -> dict[str, dict[str, Any]]:
    due = [each for each in unwanted if store.exists and store.has_files(*each)]
    if due and not check_mode:
        with store.locked():
            for kind, name in due:
                store.forget(kind, name)
    return {
        f"{kind}/{name}": {
            "name": name,
            "action": "forget" if (kind, name) in due else "ok",
            "reasons": ["not wanted any more"] if (kind, name) in due else [],
        }
        for kind, name in unwanted
    }


def _check_unique(names: list[tuple[str, str]]) -> None:
    seen: set[tuple[str, str]] = set()
    for kind, name in names:
        if (kind, name) in seen:
            raise MtlsError(f"{kind} certificate {name!r} is asked for twice: names must be unique")
        seen.add((kind, name))


class _Signers:
    """The keys of the authorities that have something to sign, each loaded once."""

    def __init__(self, store: Store, planner: Planner, key_passphrases: dict[str, str]) -> None:
        self._store, self._planner = store, planner
        self._key_passphrases = key_passphrases
        self._loaded: dict[str, Signer] = {}

    def check(self, item: Item) -> None:
        """Make sure that what an item needs can be signed.

        :raises MtlsError: its issuer's key is damaged, or its passphrase is missing or another.
        """
        name = item.wanted.issuer
        if item.must_sign and name not in self._loaded:
            authority = self._planner.authority(item.wanted)
            if authority is not None:
                passphrase = self._key_passphrases.get(name)
                self._loaded[name] = signer_for(self._store, authority, passphrase)

    def get(self, name: str) -> Signer | None:
        """Return who signs for an issuer; nobody for a self-signed certificate."""
        return self._loaded.get(name)


def _issue(
    store: Store, planner: Planner, due: list[Item], signers: _Signers, now: datetime
) -> Iterator[Item]:
    """Issue and pack what is due, a batch at a time, and yield each when it is on the disk."""
    to_sign = [item for item in due if item.must_sign]
    to_pack = [item for item in due if not item.must_sign]
    progress = Progress(len(due), "issued" if to_sign else "packed", store.say)
    batch: list[tuple[Item, Issue]] = []
    written = time.monotonic()

    def build(item: Item) -> tuple[bytes, Issue]:
        return _build(planner, item, signers.get(item.wanted.issuer), now)

    for item, (der, issue) in _on_all_cores(build, to_sign):
        batch.append((item, _with_certificate(issue, der)))
        progress.advance()
        if len(batch) >= BATCH or time.monotonic() - written > SECONDS_BETWEEN_WRITES:
            yield from _publish(store, batch, now)
            batch, written = [], time.monotonic()
    yield from _publish(store, batch, now)
    for item, files in _on_all_cores(lambda item: _repack(store, planner, item, now), to_pack):
        # The passphrase that was made before the user gave one.
        outdated = [passphrase_file(item.wanted.name)] if item.wanted.pack_passphrase else []
        store.add(item.wanted.kind, item.wanted.name, files, outdated=outdated)
        progress.advance()
        yield item


def _on_all_cores(function: Any, items: list[Item]) -> Iterator[tuple[Item, Any]]:
    """Map, on all cores where that pays."""
    is_slow = any(
        item.wanted.packs or item.wanted.profile.key_type.startswith("RSA") for item in items
    )
    if not is_slow or len(items) == 1:
        for item in items:
            yield item, function(item)
        return
    for position, result in map_on_all_cores(function, items):
        yield items[position], result


def _with_certificate(issue: Issue, der: bytes) -> Issue:
    # The certificate itself can't be sent from one process to another.
    certificate = x509.load_der_x509_certificate(der)
    return replace(issue, entry=replace(issue.entry, certificate=certificate))


def _publish(store: Store, batch: list[tuple[Item, Issue]], now: datetime) -> Iterator[Item]:
    if batch:
        store.publish([issue for _item, issue in batch], int(now.timestamp()))
    for item, issue in batch:
        item.certificate = issue.entry.certificate
        yield item


def _build(
    planner: Planner, item: Item, signer: Signer | None, now: datetime
) -> tuple[bytes, Issue]:
    """Make a certificate and all that goes with it; the certificate itself as DER."""
    wanted = item.wanted
    authority = planner.authority(wanted)
    key = None if item.request is not None else planner.key_for(item)
    public_key = item.request.public_key() if key is None else key.public_key()
    signer = signer or Signer(key)
    certificate = build_certificate(
        wanted.subject_name(),
        public_key,
        signer,
        extent(now, wanted.profile.valid, signer.certificate),
        planner.extensions(wanted, authority),
    )
    chain = authority.intermediates(now) if authority else []
    files = {
        CERTIFICATE: to_pem(certificate),
        FULLCHAIN: b"".join(to_pem(each) for each in [certificate, *chain]),
    }
    secret = {KEY}
    if key is not None:
        files[KEY] = keys.key_to_pem(key)
        made = _packs(wanted, key, certificate, authority, None, now)
        files.update(made)
        secret |= set(made)
    issuer_key = keys.public_key_fingerprint(signer.key.public_key())
    specification = planner.specification(item, authority, issuer_key)
    entry = Entry(wanted.kind, wanted.name, issuer_key, None, specification)
    der = certificate.public_bytes(serialization.Encoding.DER)
    return der, Issue(entry, files, frozenset(secret))


def _packs(
    wanted: WantedCertificate,
    key: Any,
    certificate: Any,
    authority: Authority | None,
    passphrase: str | None,
    now: datetime,
) -> dict[str, bytes]:
    """Make the packs, and the file with their passphrase where nobody gave one."""
    if not wanted.packs:
        return {}
    files = {}
    if wanted.passphrase_file is not None:
        passphrase = passphrase or packs.new_passphrase()
        files[wanted.passphrase_file] = f"{passphrase}\n".encode()
    credential = packs.Credential(
        wanted.name,
        key,
        certificate,
        authority.intermediates(now) if authority else [],
        authority.root if authority else certificate,
    )
    files.update(
        packs.build_packs(
            wanted.packs,
            credential,
            wanted.pack_passphrase or passphrase,
            strong_passphrase=wanted.pack_passphrase is None,
        )
    )
    return files


def _repack(store: Store, planner: Planner, item: Item, now: datetime) -> dict[str, bytes]:
    """Make the packs of a certificate that exists already."""
    wanted = item.wanted
    folder = store.folder(wanted.kind, wanted.name)
    key = keys.key_from_pem(store.read(wanted.kind, wanted.name, KEY) or b"", str(folder / KEY))
    text = store.read(wanted.kind, wanted.name, CERTIFICATE) or b""
    certificate = certificate_from_pem(text, str(folder / CERTIFICATE))
    made = wanted.passphrase_file
    passphrase = store.read(wanted.kind, wanted.name, made) if made else None
    known = passphrase.decode().strip() if passphrase else None
    return _packs(wanted, key, certificate, planner.authority(wanted), known, now)


def _describe(store: Store, planner: Planner, item: Item, now: datetime) -> dict[str, Any]:
    wanted = item.wanted
    described: dict[str, Any] = {
        "name": wanted.name,
        "action": item.action,
        "reasons": item.reasons,
        **_paths(store, wanted),
    }
    if item.request is not None:
        described["dropped"] = planner.dropped(item)
    if item.certificate is not None:
        item.row = planner.row_of(item.certificate)
    if item.row is not None:
        row = item.row
        described.update(
            subject=row.subject,
            issuer_subject=row.issuer_subject,
            not_before=iso_text(row.not_before),
            not_after=iso_text(row.not_after),
            days_left=round((row.not_after - now.timestamp()) / 86400),
            serial_number=row.serial_number,
            fingerprint_sha256=row.fingerprint_sha256,
        )
        if item.action == "revoked":
            described["revocation_reason"] = row.reason
        # Whoever holds the key, or is to trust a self-signed one, gets the certificate itself.
        if wanted.request is not None or wanted.issuer == SELF:
            for option, file_name in (("certificate", CERTIFICATE), ("fullchain", FULLCHAIN)):
                text = store.read(wanted.kind, wanted.name, file_name)
                described[option] = (text or b"").decode()
    return described


def _paths(store: Store, wanted: WantedCertificate) -> dict[str, Any]:
    folder = f"{store.path}/{FOLDERS[wanted.kind]}/{wanted.name}"
    paths: dict[str, Any] = {
        "certificate_path": f"{folder}/{CERTIFICATE}",
        "fullchain_path": f"{folder}/{FULLCHAIN}",
    }
    if wanted.request is None:
        paths["key_path"] = f"{folder}/{KEY}"
    if wanted.packs:
        paths["pack_paths"] = [
            f"{folder}/{name}" for name in packs.file_names(wanted.packs, wanted.name)
        ]
        if wanted.passphrase_file is not None:
            paths["passphrase_path"] = f"{folder}/{wanted.passphrase_file}"
    return paths
