# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for a leaf certificate, checked for itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..errors import MtlsError
from . import packs
from .general_names import general_name, subject_mail_names
from .names import check_entry_name, subject
from .profiles import Profile, profile_of

SELF = "self"


def passphrase_file(name: str) -> str:
    """Name the file with the passphrase that is made for a certificate's packs."""
    return f"{name}.p12.passphrase"


class WantedCertificate(NamedTuple):
    """What was asked for. ``issuer`` is an authority's name, or "self" for a self-signed one.

    With ``request`` (a CSR in PEM) the key stays where the CSR was made. A tuple, because there
    may be a hundred thousand of them.
    """

    name: str
    profile: Profile
    issuer: str
    common_name: str
    subject: dict[str, Any] | None = None
    subject_alternative_names: Sequence[str] = ()
    request: str | None = None
    rekey: bool = True
    reissue_revoked: bool = False
    packs: Sequence[str] = ()
    pack_passphrase: str | None = None

    def __repr__(self) -> str:
        """Say which it is, and no passphrase."""
        return f"<{self.where}>"

    @property
    def kind(self) -> str:
        """The built-in profile that its profile comes from, which decides the folder."""
        return self.profile.kind

    @property
    def key(self) -> str:
        """What the certificate is called in results."""
        return f"{self.profile.kind}/{self.name}"

    @property
    def where(self) -> str:
        """How errors call this entry."""
        return f"{self.profile.kind} certificate {self.name!r}"

    @property
    def passphrase_file(self) -> str | None:
        """The file with the passphrase that is made for its packs; None where none is made."""
        if self.pack_passphrase is None and packs.needs_passphrase(self.packs):
            return passphrase_file(self.name)
        return None

    def subject_name(self) -> Any:
        """Return the subject as an X.509 name."""
        return subject(self.common_name, self.where, self.subject)

    def general_names(self) -> list[Any]:
        """Return the alternative names as X.509 objects, the subject's mail addresses last."""
        names = [general_name(text, self.where) for text in self.subject_alternative_names]
        return names + subject_mail_names(self.subject_name(), names) if self.subject else names


def read_wanted(
    entries: Iterable[dict[str, Any]],
    profiles: dict[str, Profile],
    pack_passphrases: dict[str, str],
) -> list[WantedCertificate]:
    """Check the options of each certificate.

    :param pack_passphrases: what the user wants packs to be encrypted with, by name.
    :raises MtlsError: an entry is wrong; the text names it.
    """
    lives: dict[tuple[Any, ...], Profile] = {}
    found = []
    for entry in entries:
        name = entry["name"]
        # Most entries share their options, so their profile is made once.
        life = (entry.get("profile"), *(entry.get(option) for option in LIFE))
        profile = lives.get(life)
        if profile is None:
            profile = profile_of(entry, profiles)
            profile = lives[life] = profile.with_lifetime(
                entry, f"{profile.kind} certificate {name!r}"
            )
        wanted = WantedCertificate(
            name,
            profile,
            entry["issuer"],
            entry.get("common_name") or name,
            entry.get("subject") or None,
            entry.get("subject_alternative_names") or (),
            entry.get("request"),
            entry.get("rekey", True),
            entry.get("reissue_revoked", False),
            entry.get("packs") or (),
            pack_passphrases.get(name),
        )
        _check(wanted)
        found.append(wanted)
    unknown = set(pack_passphrases) - {wanted.name for wanted in found}
    if unknown:
        raise MtlsError(
            f"pack_passphrases: {min(unknown)!r} is the name of no certificate that is asked for"
        )
    return found


LIFE = (
    "key_type", "valid_days", "valid_minutes", "renew_before_days", "renew_before_minutes",
)  # fmt: skip


# A common name that needs no closer look, as nearly all.
PLAIN_NAME = re.compile(r"[!-~]([ -~]{0,62}[!-~])?\Z")


def _check(wanted: WantedCertificate) -> None:
    where = wanted.where
    check_entry_name(wanted.name, where)
    if not wanted.issuer:
        raise MtlsError(
            f"{where}: issuer is missing; name an authority, or {SELF!r} for a self-signed one"
        )
    if wanted.subject or not PLAIN_NAME.match(wanted.common_name):
        wanted.subject_name()
    names = wanted.general_names()
    if wanted.kind != "client" and not wanted.subject_alternative_names:
        raise MtlsError(
            f"{where}: a server certificate needs subject_alternative_names, "
            "because clients look for the host there and nowhere else"
        )
    if len(set(names)) < len(names):
        raise MtlsError(f"{where}: an alternative name is given twice")
    if wanted.request is not None and (wanted.issuer == SELF or wanted.packs):
        raise MtlsError(
            f"{where}: with a request the key is elsewhere, so it can be neither "
            "self-signed nor packed"
        )
    for pack in wanted.packs:
        if pack not in packs.PACKS:
            raise MtlsError(f"{where}: pack {pack!r} is not one of {', '.join(packs.PACKS)}")
    packs.check_key_type(wanted.packs, wanted.profile.key_type, where)
    if "truststore" in wanted.packs and wanted.issuer == SELF:
        raise MtlsError(
            f"{where}: it is signed by itself, so a truststore has no authority to hold; leave "
            "that pack out"
        )
    if wanted.pack_passphrase is not None:
        if not packs.needs_passphrase(wanted.packs):
            raise MtlsError(f"{where}: pack_passphrases has one for it, and no pack takes one")
        if not isinstance(wanted.pack_passphrase, str):
            raise MtlsError(
                f"{where}: its entry in pack_passphrases must be text; write a number in quotes"
            )
        if len(wanted.pack_passphrase) < SHORTEST_PASSPHRASE:
            raise MtlsError(
                f"{where}: its entry in pack_passphrases must have {SHORTEST_PASSPHRASE} "
                "characters or more; without one, a strong one is made"
            )
        packs.check_passphrase(wanted.pack_passphrase, where)


SHORTEST_PASSPHRASE = 8
