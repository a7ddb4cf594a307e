# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The authorities that a store holds: reading them, and signing with their keys."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

from ..errors import MtlsError
from . import keys
from .certificates import (
    Signer,
    certificate_fingerprint,
    certificates_from_pem,
    not_after_of,
    to_pem,
)
from .extensions import Pointers
from .store import FULLCHAIN, KEY, Store

# When this was written. A clock that was never set says 1970, or when its firmware was built.
EARLIEST = datetime(2026, 11, 1, tzinfo=timezone.utc)
# A successor's key, signed by its predecessor: whoever trusts only the old root gets to the new
# one by it (NewWithOld of RFC 4210, 4.4).
CROSS = "cross.pem"
ROLES = ("authority", "successor", "predecessor")


@dataclass(frozen=True)
class Authority:
    """An authority of the store: its certificate and those above it, the root last.

    While it is rolled over, a successor or a predecessor stands beside it. ``moves_leaves`` tells
    whether what the predecessor signed is to be issued anew at once.
    """

    name: str
    certificate: Any
    above: tuple[Any, ...] = ()
    cross: tuple[Any, ...] = ()
    role: str = "authority"
    successor: Authority | None = None
    predecessor: Authority | None = None
    pointers: Pointers = field(default_factory=Pointers)
    moves_leaves: bool = False

    @property
    def is_root(self) -> bool:
        """Tell whether it signed itself."""
        return not self.above

    @property
    def root(self) -> Any:
        """The certificate that everything hangs on."""
        return (self.certificate, *self.above)[-1]

    @cached_property
    def key(self) -> str:
        """Which key it signs with: the SHA-256 of the public one."""
        return keys.public_key_fingerprint(self.certificate.public_key())

    @property
    def generations(self) -> list[Authority]:
        """All that stand under its name: itself, its successor, its predecessor."""
        return [each for each in (self, self.successor, self.predecessor) if each is not None]

    @property
    def bundle(self) -> bytes:
        """What a verifier needs: the certificates of all generations up to their roots, as PEM."""
        certificates = (
            certificate
            for generation in self.generations
            for certificate in (generation.certificate, *generation.above)
        )
        return b"".join(dict.fromkeys(to_pem(certificate) for certificate in certificates))

    def intermediates(self, now: datetime) -> list[Any]:
        """What a leaf of this authority shows with itself: everything but the root."""
        line = [self.certificate, *self.above[:-1]] if self.above else []
        return line + [each for each in self.cross if not_after_of(each) > now]


def find_authority(store: Store, name: str) -> Authority | None:
    """Read an authority, all its generations, or None when the store has none of that name.

    :raises MtlsError: a file of it is damaged, or was not issued from this store.
    """
    while True:
        before = _links(store, name)
        found = _find(store, name)
        # Another run may be rolling it over, and what was read be of two stages.
        if _links(store, name) == before:
            return found


def _links(store: Store, name: str) -> list[str | None]:
    found: list[str | None] = []
    for role in ROLES:
        try:
            found.append(os.readlink(store.folder(role, name)))
        except OSError:
            found.append(None)
    return found


def _find(store: Store, name: str) -> Authority | None:
    current = _read(store, name, "authority")
    if current is None:
        return None
    with store.index() as index:
        settings = index.settings(name)
    pointers = Pointers(
        **{option: tuple(urls) for option, urls in settings.get("pointers", {}).items()}
    )
    successor, predecessor = (_read(store, name, role) for role in ("successor", "predecessor"))
    # A run that was killed while it let the successor take over left it in both roles, or let
    # the predecessor stand in both.
    if successor is not None and successor.key == current.key:
        successor = None
    if predecessor is not None and predecessor.key == current.key:
        predecessor = None
    return Authority(
        name,
        current.certificate,
        current.above,
        current.cross,
        successor=successor,
        predecessor=predecessor,
        pointers=pointers,
        moves_leaves=bool(settings.get("moves_leaves")),
    )


def _read(store: Store, name: str, role: str) -> Authority | None:
    folder = store.folder(role, name)
    where = str(folder / FULLCHAIN)
    text = store.read(role, name, FULLCHAIN)
    if text is None:
        if not os.path.lexists(folder):
            return None
        # Another run may have made it between the two looks.
        text = store.read(role, name, FULLCHAIN)
    if text is None:
        # A new one in its place would not be the one that clients and sites trust.
        raise MtlsError(f"{where} is missing, though the authority was made: bring it back")
    certificate, *above = certificates_from_pem(text, where)
    with store.index() as index:
        if index.find(certificate_fingerprint(certificate)) is None:
            raise MtlsError(
                f"{where} is not in the index of the store: it was put there by something else; "
                "take it away, or bring the right index back (ansible-playbook "
                "edge.mtls.rebuild_index adds what the files hold)"
            )
    cross = store.read(role, name, CROSS)
    return Authority(
        name,
        certificate,
        tuple(above),
        tuple(certificates_from_pem(cross, str(folder / CROSS))) if cross else (),
        role=role,
    )


def can_sign(store: Store, authority: Authority) -> bool:
    """Tell whether the store holds an authority's private key."""
    return store.has(authority.role, authority.name, KEY)


def signer_for(store: Store, authority: Authority, passphrase: str | None = None) -> Signer:
    """Load an authority's private key.

    :raises MtlsError: the key is missing, damaged, not the certificate's, or can't be opened.
    """
    where = str(store.folder(authority.role, authority.name) / KEY)
    text = store.read(authority.role, authority.name, KEY)
    if text is None:
        raise MtlsError(f"{where} is missing: authority {authority.name!r} can't sign without it")
    if passphrase is not None and not isinstance(passphrase, str):
        raise MtlsError(
            f"key_passphrases: that of authority {authority.name!r} must be text; write a number "
            "in quotes"
        )
    if keys.is_encrypted(text) and not passphrase:
        raise MtlsError(
            f"{where} is encrypted: give the passphrase of authority {authority.name!r} in "
            "key_passphrases (mtls_pki_key_passphrases)"
        )
    key = keys.key_from_pem(text, where, passphrase)
    if keys.public_key_fingerprint(key.public_key()) != authority.key:
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
