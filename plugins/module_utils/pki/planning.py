# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wanted set of certificates against what the store holds: what is due, and why.

A hundred thousand certificates with nothing due take seconds, because a certificate whose index
entry holds the digest of the very same wish is not parsed.
"""

from __future__ import annotations

import binascii
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from ..errors import MtlsError
from . import keys, packs
from .authorities import Authority, can_sign, find_authority
from .certificates import (
    certificate_fingerprint,
    certificate_from_pem,
    key_type_in,
    not_after_of,
    renewal_reason,
    to_pem,
)
from .extensions import Extensions, Pointers, differences
from .founding import REQUEST, check_constraints
from .index import HOLD, Index, Row
from .instants import from_seconds
from .keeping import pending_text
from .names import rfc2253
from .requests import dropped, read_request
from .store import BATCH, CERTIFICATE, FULLCHAIN, KEY, Store
from .wanted_certificate import SELF, WantedCertificate

ACTIONS = ("ok", "issue", "renew", "reissue", "pack", "revoked", "forget")
COMPROMISED = "keyCompromise"
# Part of each digest: raise it when the same wish comes to make another certificate.
SPECIFICATION_VERSION = 1
PEM_BEGIN, PEM_END = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"


@dataclass
class Item:
    """One wanted certificate, what was found for it, and what must be done and why.

    ``action`` is one of ``ACTIONS``. ``row`` is its entry in the index, or None where the index
    lacks it: what something else has put there can't be revoked.
    """

    wanted: WantedCertificate
    row: Row | None = None
    action: str = "ok"
    reasons: list[str] = field(default_factory=list)
    request: Any = None
    certificate: Any = None

    @property
    def must_sign(self) -> bool:
        """Tell whether a certificate is to be signed."""
        return self.action in ("issue", "renew", "reissue")


class Planner:
    """Compares one wanted certificate after the other with the store.

    :param check_mode: an issuer may not be there yet.
    """

    def __init__(self, store: Store, index: Index | None, now: datetime, check_mode: bool) -> None:
        self._store, self._index = store, index
        self._now, self._check_mode = now, check_mode
        self._timestamp = int(now.timestamp())
        self._authorities: dict[str, Authority | None] = {}
        self._stems: dict[tuple[Any, ...], bytes] = {}
        self._chains: dict[str, tuple[bytes, ...]] = {}

    def authority(self, wanted: WantedCertificate) -> Authority | None:
        """Return who signs, or None for a self-signed certificate.

        :raises MtlsError: there is no such authority, or it can't sign yet.
        """
        name = wanted.issuer
        if name == SELF:
            return None
        if name not in self._authorities:
            self._authorities[name] = (
                find_authority(self._store, name) if self._store.exists else None
            )
        authority = self._authorities[name]
        if authority is None and not self._check_mode:
            if self._store.read_pending(name, REQUEST) is not None:
                raise MtlsError(f"{wanted.where}: {pending_text(self._store, name)}")
            raise MtlsError(f"{wanted.where}: its issuer {name!r} is not an authority of the store")
        return authority

    def judge(self, wanted: Iterable[WantedCertificate]) -> Iterator[Item]:
        """Say for each certificate what must be done, and why.

        :raises MtlsError: one can't be met; the text names the entry.
        """
        # The index is asked once for many, which is several times faster.
        entries = iter(wanted)
        while batch := list(islice(entries, BATCH)):
            texts = [self._text(entry) for entry in batch]
            ders = [
                b"" if text is None else self._der(entry, text) for entry, text in zip(batch, texts)
            ]
            digests = [hashlib.sha256(der).hexdigest() for der in ders]
            rows = self._index.find_all(digests) if self._index else {}
            for entry, text, digest in zip(batch, texts, digests):
                yield self._judge(entry, text, rows.get(digest))

    def _text(self, wanted: WantedCertificate) -> bytes | None:
        return self._store.read(wanted.kind, wanted.name, CERTIFICATE) if self._index else None

    def _judge(self, wanted: WantedCertificate, text: bytes | None, row: Row | None) -> Item:
        item = Item(wanted)
        authority = self.authority(wanted)
        if wanted.request is not None:
            item.request = read_request(wanted.request, wanted.where)
        if text is None:
            item.action, item.reasons = "issue", ["missing"]
        else:
            item.row = row
            self._compare(item, authority, text)
        if item.must_sign and authority is not None:
            self._check_may_sign(item, authority)
        return item

    def _compare(self, item: Item, authority: Authority | None, text: bytes) -> None:
        wanted, row = item.wanted, item.row
        if (
            row is not None
            and row.is_revoked
            and (row.kind, row.name) == (wanted.kind, wanted.name)
        ):
            if row.reason == HOLD or not wanted.reissue_revoked:
                item.action = "revoked"
                return
            if row.reason == "keyCompromise" and item.request is not None:
                self._check_new_key(item, row)
            item.reasons.append(f"revoked ({row.reason})")
        reasons = self._differences(item, authority, text)
        if reasons or item.reasons:
            item.action, item.reasons = "reissue", item.reasons + reasons
        due = self._due(item, authority, text)
        if due:
            item.action = "reissue" if item.reasons else "renew"
            item.reasons = [due, *item.reasons]
        if item.action == "ok":
            self._compare_packs(item)

    def _check_new_key(self, item: Item, row: Row) -> None:
        if keys.public_key_fingerprint(item.request.public_key()) == row.public_key:
            raise MtlsError(
                f"{item.wanted.where}: its key was revoked as compromised, and the request brings "
                "the same key; make a new one where the request comes from"
            )

    def _der(self, wanted: WantedCertificate, text: bytes) -> bytes:
        if text.startswith(PEM_BEGIN) and text.endswith(PEM_END):
            try:
                return binascii.a2b_base64(text[len(PEM_BEGIN) : -len(PEM_END)])
            except binascii.Error:
                pass
        path = self._store.folder(wanted.kind, wanted.name) / CERTIFICATE
        certificate_from_pem(text, str(path))
        return b""  # a certificate, but not as it was written here, so the index can't know it

    def _due(self, item: Item, authority: Authority | None, text: bytes) -> str | None:
        margin = item.wanted.profile.renewal_margin
        if item.row is not None:
            if item.row.not_after - self._timestamp >= margin.total_seconds():
                return None
            not_after = from_seconds(item.row.not_after)
        else:
            not_after = not_after_of(certificate_from_pem(text, item.wanted.where))
        if authority is not None:
            limit = not_after_of(authority.certificate)
            if not_after >= limit > self._now:
                # It lives as long as its authority, and gains nothing from being renewed.
                return None
        return renewal_reason(not_after, self._now, margin)

    def _differences(self, item: Item, authority: Authority | None, text: bytes) -> list[str]:
        wanted, row = item.wanted, item.row
        reasons = []
        if row is None:
            reasons.append("not in the index of the store")
        elif (row.kind, row.name) != (wanted.kind, wanted.name):
            reasons.append(f"is the certificate of {row.kind} {row.name}")
        signer = self._signer(authority, row)
        if row is None or row.specification != self.specification(item, authority, row.issuer_key):
            found = certificate_from_pem(text, wanted.where)
            reasons += self._parsed_differences(item, authority, found)
        if signer is not None and authority is not None:
            if signer is authority.predecessor and authority.moves_leaves:
                reasons.append("issuer rolled over")
            if not self._has_chain(wanted, signer, text):
                reasons.append("chain changed")
        elif authority is not None:
            reasons.append("issuer changed")
        elif (
            row is not None
            and row.issuer_key == row.public_key
            and self._store.read(wanted.kind, wanted.name, FULLCHAIN) != text
        ):
            reasons.append("chain changed")
        if item.request is None and not self._store.has(wanted.kind, wanted.name, KEY):
            reasons.append("key missing")
        return reasons

    def _signer(self, authority: Authority | None, row: Row | None) -> Authority | None:
        """Return the generation of an authority that signed a certificate."""
        if authority is None or row is None:
            return authority if row is None else None
        for generation in authority.generations:
            if generation.key == row.issuer_key:
                return generation
        return None

    def _has_chain(self, wanted: WantedCertificate, signer: Authority, text: bytes) -> bool:
        if signer.key not in self._chains:
            # A cross-certificate comes and goes with a roll-over. No leaf is issued anew for it.
            line = [each for each in signer.intermediates(self._now) if each not in signer.cross]
            bare = b"".join(to_pem(each) for each in line)
            whole = bare + b"".join(to_pem(each) for each in signer.cross)
            self._chains[signer.key] = (whole, bare)
        found = self._store.read(wanted.kind, wanted.name, FULLCHAIN)
        return found is not None and any(
            found == text + chain for chain in self._chains[signer.key]
        )

    def specification(self, item: Item, authority: Authority | None, issuer_key: str) -> str:
        """Digest everything that decides what a certificate holds, but for its lifetime."""
        wanted = item.wanted
        profile = wanted.profile
        stem_key = (profile.name, wanted.issuer, issuer_key if authority else SELF)
        stem = self._stems.get(stem_key)
        if stem is None:
            pointers = authority.pointers if authority else Pointers()
            parts = [SPECIFICATION_VERSION, profile.kind, profile.extended_key_usage]
            parts += [profile.key_usage, profile.certificate_policies, profile.extensions]
            parts += [list(vars(pointers).values()), stem_key[2]]
            stem = self._stems[stem_key] = json.dumps(parts).encode()
        key = (
            profile.key_type
            if item.request is None
            else keys.public_key_fingerprint(item.request.public_key())
        )
        own = [wanted.common_name, wanted.subject, list(wanted.subject_alternative_names), key]
        return hashlib.sha256(stem + json.dumps(own).encode()).hexdigest()

    def extensions(self, wanted: WantedCertificate, authority: Authority | None) -> Extensions:
        """Return the extensions that a certificate is to have."""
        names = wanted.general_names()
        found = wanted.profile.extensions_of(names, authority is None, wanted.where)
        return found + (authority.pointers.extensions() if authority else [])

    def _parsed_differences(self, item: Item, authority: Authority | None, found: Any) -> list[str]:
        wanted = item.wanted
        reasons = []
        if found.subject != wanted.subject_name():
            reasons.append(f"subject {rfc2253(wanted.subject_name())}")
        reasons += differences(found, self.extensions(wanted, authority))
        if authority is None and found.issuer != found.subject:
            reasons.append("issuer changed")
        if item.request is not None:
            if keys.public_key_fingerprint(
                item.request.public_key()
            ) != keys.public_key_fingerprint(found.public_key()):
                reasons.append("public key changed")
        elif key_type_in(found) != wanted.profile.key_type:
            reasons.append(f"key type {wanted.profile.key_type}")
        return reasons

    def _compare_packs(self, item: Item) -> None:
        wanted = item.wanted
        if not wanted.packs:
            return
        missing = [
            pack
            for pack in wanted.packs
            if not all(
                self._store.has(wanted.kind, wanted.name, name)
                for name in packs.file_names([pack], wanted.name)
            )
        ]
        if missing:
            item.action, item.reasons = "pack", [f"pack +{pack}" for pack in missing]
        elif wanted.passphrase_file and not self._store.has(
            wanted.kind, wanted.name, wanted.passphrase_file
        ):
            item.action, item.reasons = "pack", ["pack passphrase missing"]
        elif wanted.pack_passphrase is not None and not self._pack_opens(wanted):
            item.action, item.reasons = "pack", ["pack passphrase changed"]

    def _pack_opens(self, wanted: WantedCertificate) -> bool:
        text = self._store.read(wanted.kind, wanted.name, CERTIFICATE) or b""
        certificate = certificate_from_pem(text, wanted.where)
        for name in packs.file_names(wanted.packs, wanted.name):
            content = self._store.read(wanted.kind, wanted.name, name) or b""
            pack = packs.pkcs12_in(wanted.name, name, content)
            if pack is not None:
                return packs.opens_with(pack, wanted.pack_passphrase or "", certificate)
        return True

    def _check_may_sign(self, item: Item, authority: Authority) -> None:
        wanted = item.wanted
        if not can_sign(self._store, authority):
            raise MtlsError(
                f"{wanted.where}: authority {wanted.issuer!r} can't sign it ({item.reasons[0]}), "
                "because its key is not in the store; name an authority below it as the issuer"
            )
        check_constraints(authority, wanted.subject_name(), wanted.general_names(), wanted.where)

    def key_for(self, item: Item) -> Any:
        """Return the key of a new certificate: a new one, or the present one if asked for.

        One that was compromised is never taken again.
        """
        wanted = item.wanted
        is_compromised = item.row is not None and item.row.reason == COMPROMISED
        if not wanted.rekey and item.action != "issue" and not is_compromised:
            text = self._store.read(wanted.kind, wanted.name, KEY)
            if text is not None:
                path = self._store.folder(wanted.kind, wanted.name) / KEY
                key = keys.key_from_pem(text, str(path))
                if keys.key_type_of(key.public_key()) == wanted.profile.key_type:
                    return key
        return keys.generate(wanted.profile.key_type)

    def row_of(self, certificate: Any) -> Row | None:
        """Return the index's entry of a certificate."""
        return self._index.find(certificate_fingerprint(certificate)) if self._index else None

    def dropped(self, item: Item) -> list[str]:
        """List what a certificate's CSR asked for and does not get."""
        wanted = item.wanted
        authority = self.authority(wanted)
        return dropped(
            item.request,
            wanted.subject_name(),
            wanted.general_names(),
            self.extensions(wanted, authority),
        )
