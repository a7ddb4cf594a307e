# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The PKI as a whole: authorities and clients, checked against each other and completed."""

from __future__ import annotations

from typing import Any

from ..errors import MtlsError
from .names import ENTRY_NAME

SELF = "self"


def complete_authorities(authorities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Check the authorities and put parents before their children.

    An intermediate that signs no other authority gets path length 0, so that whoever steals its
    key can make no authority of their own.

    :param authorities: entries with every key present (None where the user gave nothing).
    :raises MtlsError: a name is wrong or used twice, or an issuer is unknown or goes in a circle.
    """
    by_name: dict[str, dict[str, Any]] = {}
    for position, authority in enumerate(authorities):
        where = f"mtls_pki_authorities[{position}] ({authority['name']})"
        _check_name(authority["name"], where)
        if authority["name"] in by_name:
            raise MtlsError(f"{where}: the name is used twice")
        by_name[authority["name"]] = {**authority, "where": where}
    issuers = {authority["issuer"] for authority in authorities}
    subjects: dict[str, str] = {}
    ordered: dict[str, dict[str, Any]] = {}
    for authority in by_name.values():
        for member in _line(authority, by_name):
            if member["name"] in ordered:
                continue
            common_name = member["common_name"] or f"{member['name']} CA"
            other = subjects.setdefault(common_name.lower(), member["where"])
            if other != member["where"]:
                raise MtlsError(
                    f"{member['where']}: common_name {common_name!r} is also that of {other}; "
                    "rules on the issuer could not tell the two apart"
                )
            path_length = member["path_length"]
            if path_length is None and member["issuer"] and member["name"] not in issuers:
                path_length = 0
            ordered[member["name"]] = {
                **member, "common_name": common_name, "path_length": path_length,
            }  # fmt: skip
    return list(ordered.values())


def _line(authority: dict[str, Any], by_name: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return an authority and all above it, the root first."""
    line = [authority]
    while line[0]["issuer"]:
        child = line[0]
        parent = by_name.get(child["issuer"])
        if parent is None:
            raise MtlsError(
                f"{child['where']}: issuer {child['issuer']!r} is not one of mtls_pki_authorities "
                f"({', '.join(by_name)})"
            )
        if parent in line:
            raise MtlsError(
                f"{child['where']}: following the issuers leads back to {parent['name']!r}; "
                "a root has no issuer"
            )
        line.insert(0, parent)
    return line


def complete_clients(
    clients: list[dict[str, Any]],
    authorities: list[dict[str, Any]],
    self_signed: bool,
    defaults: dict[str, Any],
) -> list[dict[str, Any]]:
    """Check the clients and fill in what they don't say.

    :param authorities: the completed authorities; the first one signs where nothing else is said.
    :param self_signed: sign every client that names no issuer with its own key.
    :param defaults: key_type, valid_days and renew_before_days of clients signed by an authority.
    :raises MtlsError: a name is wrong or used twice, an issuer is unknown, or two clients could
        not be told apart by subject and issuer, which is all that rules on callers look at.
    """
    names = [authority["name"] for authority in authorities]
    issuer_names = {authority["name"]: authority["common_name"] for authority in authorities}
    callers: dict[tuple[str, str], str] = {}
    # What tutorials make: openssl req -x509 -newkey rsa:4096 -days 10000 -nodes
    self_signed_defaults = {"key_type": "RSA-4096", "valid_days": 10000, "renew_before_days": 30}
    seen = set()
    completed = []
    for position, client in enumerate(clients):
        where = f"mtls_pki_clients[{position}] ({client['name']})"
        _check_name(client["name"], where)
        if client["name"] in seen:
            raise MtlsError(f"{where}: the name is used twice")
        seen.add(client["name"])
        issuer = client["issuer"] or (SELF if self_signed else next(iter(names), None))
        if issuer not in [*names, SELF]:
            raise MtlsError(
                f"{where}: issuer {issuer!r} is not one of mtls_pki_authorities "
                f"({', '.join(names) or 'which is empty'}), nor 'self'"
            )
        common_name = client["common_name"] or client["name"]
        if issuer == SELF and common_name in issuer_names.values():
            raise MtlsError(
                f"{where}: common_name {common_name!r} is also that of an authority, so a "
                "self-signed certificate would look like that authority's; give it another one"
            )
        other = callers.setdefault((common_name, issuer_names.get(issuer, common_name)), where)
        if other != where:
            raise MtlsError(
                f"{where}: common_name {common_name!r} and issuer {issuer!r} are also those of "
                f"{other}; rules on callers could not tell the two apart"
            )
        given = {option: value for option, value in client.items() if value is not None}
        completed.append(
            {
                **(self_signed_defaults if issuer == SELF else defaults),
                **given,
                "issuer": issuer,
                "common_name": common_name,
            }
        )
    return completed


def _check_name(name: str, where: str) -> None:
    if not ENTRY_NAME.match(name) or ".." in name or "@" in name or name == SELF:
        raise MtlsError(
            f"{where}: name must be 1 to 128 of a-z, 0-9, '.', '_' and '-', start with a letter or "
            f"digit, hold no '..', and not be {SELF!r}"
        )
