# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles: what a certificate may be used for, and for how long it lives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from ..errors import MtlsError
from .extensions import (
    AUTHORITY_ONLY_USAGES,
    KEY_USAGES,
    Extensions,
    extended_key_usage_oid,
    key_usage_extension,
    own_extension,
    policies_extension,
)
from .keys import DEFAULT_KEY_TYPE, check_key_type
from .library import x509

# Extended key usages of the profiles that every store has; each has a folder of its own.
KINDS = {"client": ["clientAuth"], "server": ["serverAuth"], "peer": ["serverAuth", "clientAuth"]}
DEFAULT_VALID_DAYS = 365
LONGEST_RENEWAL = timedelta(days=30)
# About what is left until certificates can't say when they expire (RFC 5280, 4.1.2.5).
LONGEST_LIFE = timedelta(days=2_900_000)


@dataclass(frozen=True)
class Profile:
    """What the certificates of a profile have in common.

    ``kind`` is the profile that it was made from, and decides the folder. ``extended_key_usage``
    holds OIDs; ``extensions`` the user's own.
    """

    name: str
    kind: str
    extended_key_usage: tuple[str, ...]
    key_usage: tuple[str, ...] = ("digitalSignature",)
    certificate_policies: tuple[str, ...] = ()
    extensions: tuple[tuple[str, bool, str], ...] = ()
    key_type: str = DEFAULT_KEY_TYPE
    valid: timedelta = timedelta(days=DEFAULT_VALID_DAYS)
    renew_before: timedelta | None = None

    def with_lifetime(self, options: dict[str, Any], where: str) -> Profile:
        """Return this profile with the key type and lifetime of these options, where given.

        :param options: ``key_type``, ``valid_days`` or ``valid_minutes``, ``renew_before_days`` or
            ``renew_before_minutes``.
        :raises MtlsError: they don't fit together.
        """
        valid = lifetime(options, "valid", where)
        renew_before = lifetime(options, "renew_before", where)
        key_type = options.get("key_type")
        if valid is renew_before is key_type is None:
            return self
        if key_type:
            _check_key_type(key_type, where)
        if valid is not None and valid < timedelta(minutes=1):
            raise MtlsError(f"{where}: {_given(options, 'valid')} must be 1 or more")
        changed = replace(
            self,
            key_type=key_type or self.key_type,
            valid=self.valid if valid is None else valid,
            renew_before=self.renew_before if renew_before is None else renew_before,
        )
        margin = changed.renew_before
        if margin is not None and not timedelta(0) <= margin < changed.valid:
            raise MtlsError(
                f"{where}: {_given(options, 'renew_before') or 'renew_before_days'} must be 0 or "
                f"more and less than {_given(options, 'valid') or 'the life of its profile'}, or "
                "it would be renewed at every run"
            )
        return changed

    @property
    def renewal_margin(self) -> timedelta:
        """How long before its end a certificate is renewed: 30 days or a third of its life."""
        if self.renew_before is not None:
            return self.renew_before
        return min(LONGEST_RENEWAL, self.valid / 3)

    def extensions_of(
        self, alternative_names: Sequence[Any], is_self_signed: bool, where: str
    ) -> Extensions:
        """Return what the profile and its names put into a certificate."""
        found: Extensions = [(x509.BasicConstraints(ca=False, path_length=None), True)]
        # OpenSSL takes a self-signed certificate for a trust anchor only while a keyUsage, if
        # there is one, admits keyCertSign, which a leaf must not have. So there is none.
        if not is_self_signed:
            found += key_usage_extension(self.key_usage)
        if self.extended_key_usage:
            usages = [x509.ObjectIdentifier(oid) for oid in self.extended_key_usage]
            found.append((x509.ExtendedKeyUsage(usages), False))
        if alternative_names:
            found.append((x509.SubjectAlternativeName(alternative_names), False))
        found += policies_extension(self.certificate_policies, where)
        return found + [own_extension(*each, where) for each in self.extensions]


def read_profiles(profiles: Sequence[dict[str, Any]]) -> dict[str, Profile]:
    """Return the profiles that every store has, and the user's own.

    :param profiles: options of each of the user's own; None where one wasn't given.
    :raises MtlsError: one is wrong; the text names it.
    """
    found = {
        kind: Profile(kind, kind, tuple(extended_key_usage_oid(usage, kind) for usage in usages))
        for kind, usages in KINDS.items()
    }
    for options in profiles:
        name = options["name"]
        where = f"profile {name!r}"
        if name in found:
            raise MtlsError(
                f"{where}: that name is taken"
                + (" by a profile that is always there" if name in KINDS else " by another one")
            )
        found[name] = _read_profile(name, options, found[options.get("base") or "client"], where)
    return found


def profile_of(entry: dict[str, Any], profiles: dict[str, Profile]) -> Profile:
    """Return the profile that a certificate's options name.

    :raises MtlsError: there is no such profile.
    """
    name = entry.get("profile") or "client"
    if name not in profiles:
        raise MtlsError(
            f"certificate {entry['name']!r}: profile {name!r} is not one of "
            f"{', '.join(profiles)}; describe it in profiles"
        )
    return profiles[name]


def _read_profile(name: str, options: dict[str, Any], base: Profile, where: str) -> Profile:
    given = {option: value for option, value in options.items() if value is not None}
    usages = given.get("key_usage", base.key_usage)
    for usage in usages:
        if usage not in KEY_USAGES or usage in AUTHORITY_ONLY_USAGES:
            known = ", ".join(name for name in KEY_USAGES if name not in AUTHORITY_ONLY_USAGES)
            raise MtlsError(f"{where}: key_usage {usage!r} must be one of {known}")
    if {"encipherOnly", "decipherOnly"} & set(usages) and "keyAgreement" not in usages:
        raise MtlsError(
            f"{where}: key_usage encipherOnly and decipherOnly only mean something together with "
            "keyAgreement (RFC 5280, 4.2.1.3)"
        )
    extended = given.get("extended_key_usage")
    profile = replace(
        base,
        name=name,
        key_usage=tuple(usages),
        extended_key_usage=base.extended_key_usage
        if extended is None
        else tuple(dict.fromkeys(extended_key_usage_oid(usage, where) for usage in extended)),
        certificate_policies=tuple(given.get("certificate_policies", ())),
        extensions=tuple(
            (each["oid"], bool(each.get("critical")), each["value_base64"])
            for each in given.get("extensions", ())
        ),
    )
    oids = [oid for oid, _critical, _value in profile.extensions]
    if len(set(oids)) < len(oids):
        raise MtlsError(f"{where}: an extension is named twice (RFC 5280, 4.2)")
    profile.extensions_of([], False, where)
    return profile.with_lifetime(options, where)


def lifetime(options: dict[str, Any], stem: str, where: str) -> timedelta | None:
    """Return a duration that is given in days or in minutes, or None where it isn't.

    :param stem: ``valid`` for the options ``valid_days`` and ``valid_minutes``.
    :raises MtlsError: both are given, or it is out of range.
    """
    days, minutes = options.get(f"{stem}_days"), options.get(f"{stem}_minutes")
    if days is not None and minutes is not None:
        raise MtlsError(f"{where}: give either {stem}_days or {stem}_minutes, not both")
    if days is minutes is None:
        return None
    try:
        found = timedelta(days=days or 0, minutes=minutes or 0)
    except OverflowError:
        found = timedelta.max
    if found > LONGEST_LIFE:
        raise MtlsError(f"{where}: {_given(options, stem)} reaches beyond the year 9999")
    return found


def _given(options: dict[str, Any], stem: str) -> str:
    for unit in ("days", "minutes"):
        if options.get(f"{stem}_{unit}") is not None:
            return f"{stem}_{unit} {options[f'{stem}_{unit}']}"
    return ""


def _check_key_type(key_type: str, where: str) -> None:
    try:
        check_key_type(key_type)
    except MtlsError as error:
        raise MtlsError(f"{where}: {error}") from None
