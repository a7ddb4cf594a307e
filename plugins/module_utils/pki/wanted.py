# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The PKI as a whole: authorities and clients, checked against each other and completed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import MtlsError
from .names import ENTRY_NAME, rfc2253, subject

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
            common_name = member["common_name"]
            if not common_name and not member["certificate_path"]:
                common_name = f"{member['name']} CA"
            completed = {**member, "common_name": common_name}
            subject_text = rfc2253_subject(completed) if common_name else ""
            other = subjects.setdefault(subject_text.lower(), member["where"])
            if subject_text and other != member["where"]:
                raise MtlsError(
                    f"{member['where']}: subject {subject_text!r} is also that of {other}; "
                    "rules on the issuer could not tell the two apart"
                )
            path_length = member["path_length"]
            if path_length is None and member["issuer"] and member["name"] not in issuers:
                path_length = 0
            ordered[member["name"]] = {
                **completed,
                "path_length": path_length,
            }
    return list(ordered.values())


def rfc2253_subject(entry: dict[str, Any]) -> str:
    """Write the subject of an authority or a client the way nginx does.

    :raises MtlsError: it is wrong, or an authority that was brought has not got it said.
    """
    where = entry.get("where", entry["name"])
    if not entry["common_name"]:
        raise MtlsError(
            f"{where}: give common_name and subject as they are in its certificate; rules on "
            "callers are made of them"
        )
    return rfc2253(subject(entry["common_name"], where, entry["subject"]))


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
    profiles: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Check the clients and fill in what they don't say.

    :param authorities: the completed authorities; the first one signs where nothing else is said.
    :param self_signed: sign every client that names no issuer with its own key.
    :param defaults: key_type, valid_days and renew_before_days of clients signed by an authority,
        unless their own profile decides.
    :param profiles: the user's own profiles.
    :raises MtlsError: a name is wrong or used twice, an issuer is unknown, or two clients could
        not be told apart by subject and issuer, which is all that rules on callers look at.
    """
    names = [authority["name"] for authority in authorities]
    issuer_texts = {
        authority["name"]: rfc2253_subject(authority) if authority["common_name"] else ""
        for authority in authorities
    }
    own_profiles = [profile["name"] for profile in profiles if profile["base"] == "client"]
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
        if client["profile"] not in (None, "client", *own_profiles):
            raise MtlsError(
                f"{where}: profile {client['profile']!r} is not 'client' nor one of "
                f"mtls_pki_profiles with that base ({', '.join(own_profiles) or 'there is none'})"
            )
        common_name = client["common_name"] or client["name"]
        named = {**client, "common_name": common_name}
        subject_text = rfc2253_subject({**named, "where": where})
        if issuer == SELF and subject_text in issuer_texts.values():
            raise MtlsError(
                f"{where}: subject {subject_text!r} is also that of an authority, so a "
                "self-signed certificate would look like that authority's; give it another one"
            )
        other = callers.setdefault((subject_text, issuer_texts.get(issuer, subject_text)), where)
        if other != where:
            raise MtlsError(
                f"{where}: subject {subject_text!r} and issuer {issuer!r} are also those of "
                f"{other}; rules on callers could not tell the two apart"
            )
        given = {option: value for option, value in client.items() if value is not None}
        completed.append(
            {
                **_defaults(client, self_signed_defaults if issuer == SELF else defaults),
                **given,
                "profile": client["profile"] or "client",
                "issuer": issuer,
                "common_name": common_name,
                "subject": client["subject"],
            }
        )
    return completed


def _defaults(client: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return what a client takes from the defaults: nothing that would contradict it."""
    if client["profile"] not in (None, "client"):
        return {}
    life = [client["valid_days"], client["valid_minutes"]]
    margin = [client["renew_before_days"], client["renew_before_minutes"]]
    found = {"key_type": defaults["key_type"]}
    if life == [None, None]:
        found["valid_days"] = defaults["valid_days"]
        # Whoever says how long theirs lives gets a margin that fits: a third of it at most.
        if margin == [None, None]:
            found["renew_before_days"] = defaults["renew_before_days"]
    return found


def check_passphrase_names(names: Sequence[str], authorities: list[dict[str, Any]]) -> None:
    """Make sure that each passphrase is for an authority, or a key would lie there without one.

    :raises MtlsError: one is for none that is known.
    """
    known = [authority["name"] for authority in authorities]
    for name in names:
        if name not in known:
            raise MtlsError(
                f"mtls_pki_key_passphrases: {name!r} is not one of mtls_pki_authorities "
                f"({', '.join(known) or 'which is empty'})"
            )


def complete_revocations(
    revoked: list[dict[str, Any]], clients: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Check what is to be revoked against who is to have a certificate.

    :raises MtlsError: a name is to be revoked, and to get a new certificate whenever it is.
    """
    for position, entry in enumerate(revoked):
        for client in clients:
            if (
                (entry["name"], entry["profile"]) == (client["name"], "client")
                and entry["state"] == "revoked"
                and client["reissue_revoked"]
            ):
                raise MtlsError(
                    f"mtls_pki_revoked[{position}] ({client['name']}): mtls_pki_clients gives it a "
                    "new certificate whenever it is revoked (reissue_revoked), so every run would "
                    "do both; revoke the old one by its serial_number"
                )
    return revoked


def _check_name(name: str, where: str) -> None:
    if not ENTRY_NAME.match(name) or ".." in name or "@" in name or name == SELF:
        raise MtlsError(
            f"{where}: name must be 1 to 128 of a-z, 0-9, '.', '_' and '-', start with a letter or "
            f"digit, hold no '..', and not be {SELF!r}"
        )
