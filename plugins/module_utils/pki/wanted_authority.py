# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for an authority, checked for itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ..errors import MtlsError
from .extensions import Extensions, Pointers, authority_extensions
from .general_names import subject_mail_names
from .keys import DEFAULT_KEY_TYPE, check_key_type
from .library import x509
from .names import check_entry_name, subject
from .profiles import lifetime

STAGES = ["prepare", "sign", "move", "retire"]
DEFAULT_VALID_DAYS = 3650
# More is beyond what OpenSSL takes.
LONGEST_PASSPHRASE_BYTES = 1023


@dataclass(frozen=True)
class WantedAuthority:
    """What was asked for. ``issuer`` is another authority's name, or None for a root.

    With ``certificate_path`` it exists already and is adopted; what its certificate decides
    (key type, path length, name constraints, policies, lifetime) is not looked at then.
    """

    name: str
    common_name: str | None = None
    subject: dict[str, Any] | None = None
    issuer: str | None = None
    key_type: str = DEFAULT_KEY_TYPE
    valid_days: int | None = None
    valid_minutes: int | None = None
    path_length: int | None = None
    permitted_names: tuple[str, ...] = ()
    excluded_names: tuple[str, ...] = ()
    certificate_policies: tuple[str, ...] = ()
    pointers: Pointers = field(default_factory=Pointers)
    key_passphrase: str | None = field(default=None, repr=False)
    previous_key_passphrase: str | None = field(default=None, repr=False)
    issuer_key_passphrase: str | None = field(default=None, repr=False)
    certificate_path: str | None = None
    key_path: str | None = None
    roll_over: str | None = None

    def __post_init__(self) -> None:
        check_entry_name(self.name, self.where)
        self._check_subject()
        if self.issuer == self.name:
            raise MtlsError(
                f"{self.where}: it can't be its own issuer; leave issuer out for a root"
            )
        if self.path_length is not None and self.path_length < 0:
            raise MtlsError(f"{self.where}: path_length {self.path_length} must be 0 or more")
        if self.valid < timedelta(minutes=1):
            unit = "days" if self.valid_minutes is None else "minutes"
            raise MtlsError(
                f"{self.where}: valid_{unit} {getattr(self, f'valid_{unit}')} must be 1 or more"
            )
        try:
            check_key_type(self.key_type)
        except MtlsError as error:
            raise MtlsError(f"{self.where}: {error}") from None
        self._check_adoption()
        self._check_passphrase()
        self.pointers.check(self.where)
        self.extensions()

    def _check_subject(self) -> None:
        if self.common_name:
            self.subject_name()
        elif self.subject:
            raise MtlsError(f"{self.where}: subject is given without common_name; give both")
        elif self.certificate_path is None:
            raise MtlsError(
                f"{self.where}: common_name is missing; only an authority that is adopted "
                "(certificate_path) brings its own"
            )

    def _check_adoption(self) -> None:
        if self.key_path and not self.certificate_path:
            raise MtlsError(
                f"{self.where}: key_path is given without certificate_path; to adopt an authority "
                "give both, or certificate_path alone when its key stays elsewhere"
            )
        if self.roll_over is not None and self.certificate_path:
            raise MtlsError(
                f"{self.where}: an authority that was brought (certificate_path) can't be rolled "
                "over here; bring its successor under another name and move the clients and sites "
                "to it"
            )

    def _check_passphrase(self) -> None:
        # An empty one would leave the key unencrypted, and nobody would notice.
        passphrase = self.key_passphrase
        if passphrase is not None and not 1 <= len(passphrase.encode()) <= LONGEST_PASSPHRASE_BYTES:
            raise MtlsError(
                f"{self.where}: key_passphrase must take 1 to {LONGEST_PASSPHRASE_BYTES} bytes in "
                "UTF-8; leave it out for a key without one"
            )

    @property
    def where(self) -> str:
        """How errors call this entry."""
        return f"authority {self.name!r}"

    @property
    def valid(self) -> timedelta:
        """How long a new certificate of it lives, unless its issuer ends before."""
        found = lifetime(vars(self), "valid", self.where)
        return timedelta(days=DEFAULT_VALID_DAYS) if found is None else found

    def subject_name(self) -> Any:
        """Return the subject as an X.509 name; a common name must have been given."""
        return subject(self.common_name or "", self.where, self.subject)

    def extensions(self) -> Extensions:
        """Return the extensions that its options decide."""
        found = authority_extensions(
            self.path_length,
            self.permitted_names,
            self.excluded_names,
            self.certificate_policies,
            self.where,
        )
        names = subject_mail_names(self.subject_name()) if self.subject else []
        return found + ([(x509.SubjectAlternativeName(names), False)] if names else [])
