# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may call a site: which authorities are trusted, and the maps that let only some through."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..errors import MtlsError
from ..pki.wanted import rfc2253_subject
from .quoting import quote

# One attribute, as OpenSSL's XN_FLAG_RFC2253 prints it: no space around "=", and everything
# special or outside printable ASCII escaped.
_ATTRIBUTE = (
    r"([A-Za-z][A-Za-z0-9-]*|\d+(\.\d+)+)=(?! )"
    r"([ !#-*\-./0-:=?-\[\]-~]|\\[0-9A-F]{2}|\\[ #,+\"\\<>;])*"
)
SUBJECT = re.compile(rf"{_ATTRIBUTE}([,+]{_ATTRIBUTE})*\Z")


def complete_access(
    site: dict[str, Any],
    where: str,
    authorities: list[dict[str, Any]],
    clients: list[dict[str, Any]],
) -> dict[str, Any]:
    """Say who is trusted and who of them may call, as nginx's maps need it."""
    by_name = {authority["name"]: authority for authority in authorities}
    by_client = {client["name"]: client for client in clients}
    trusted = _trusted(site, where, authorities, by_client)
    allow = site["allow"]
    if allow is not None:
        _check_allow(allow, where, trusted, by_name, by_client)
    listed = allow or {"clients": [], "issuers": [], "subjects": []}
    # Sets, because there may be as many names as clients.
    allowed = allow and {kind: set(names) for kind, names in allow.items()}
    return {
        "authorities": trusted["authorities"],
        "clients": list(trusted["clients"]),
        "verify_depth": trusted["depth"],
        # Only what these authorities signed gets in; empty when any chain to the root will do.
        "trusted_issuers": _quoted([_dn(by_name[name]) for name in trusted["issuers"]], where),
        "allowed_callers": _quoted(
            [caller_text(by_client[name], by_name) for name in listed["clients"]], where
        ),
        "allowed_issuers": _quoted([_dn(by_name[name]) for name in listed["issuers"]], where),
        "allowed_subjects": _quoted(listed["subjects"], where),
        "is_restricted": allow is not None,
        "callers": [
            {
                "name": client["name"],
                "verdict": _verdict(client, trusted, allowed),
                "subject": _dn(client),
            }
            for client in clients
        ],
    }


def _trusted(
    site: dict[str, Any],
    where: str,
    authorities: list[dict[str, Any]],
    by_client: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """Say whose certificates nginx is to accept in the handshake."""
    authority, clients = site["client_authority"], site["trusted_clients"]
    if bool(authority) == bool(clients):
        raise MtlsError(
            f"{where}: give either client_authority (an authority whose clients may call) or "
            "trusted_clients (self-signed clients), and not both; without one nobody could be told "
            "from a stranger"
        )
    if authority:
        names = [each["name"] for each in authorities]
        _check_known([authority], names, f"{where}: client_authority", "authorities")
        return _trusted_authorities(authority, authorities)
    _check_known(clients, by_client, f"{where}: trusted_clients", "clients")
    for name in clients:
        if by_client[name]["issuer"] != "self":
            raise MtlsError(
                f"{where}: trusted_clients {name!r} is signed by authority "
                f"{by_client[name]['issuer']!r}; trust that with client_authority instead"
            )
    # Without repetitions, and quick to look into.
    return {
        "authorities": [],
        "clients": dict.fromkeys(clients),
        "depth": 1,
        "issuers": [],
        "reach": [],
    }


def _check_allow(
    allow: dict[str, Any],
    where: str,
    trusted: dict[str, Any],
    by_name: dict[str, dict[str, Any]],
    by_client: dict[str, dict[str, Any]],
) -> None:
    """Refuse a list that names nobody, or somebody who could never call."""
    if not any(allow.values()):
        raise MtlsError(
            f"{where}: allow names nobody; name clients, issuers or subjects, or leave allow "
            "out to let in every client that is trusted"
        )
    _check_known(allow["clients"], by_client, f"{where}: allow.clients", "clients")
    for name in allow["clients"]:
        if not _is_trusted(by_client[name], trusted):
            raise MtlsError(
                f"{where}: allow.clients {name!r} is signed by {by_client[name]['issuer']!r}, "
                "which this site does not trust, so it could never call"
            )
    _check_known(allow["issuers"], by_name, f"{where}: allow.issuers", "authorities")
    for name in allow["issuers"]:
        if name not in trusted["reach"]:
            raise MtlsError(
                f"{where}: allow.issuers {name!r} is not an authority that this site trusts, so "
                "its clients could never call"
            )
    for subject in allow["subjects"]:
        if not SUBJECT.match(subject):
            raise MtlsError(
                f"{where}: allow.subjects {subject!r} must be a whole subject as nginx prints "
                "it (RFC 2253), such as CN=client1,O=Example; openssl x509 -noout -subject "
                "-nameopt RFC2253 shows it"
            )


def _is_trusted(client: dict[str, Any], trusted: dict[str, Any]) -> bool:
    if client["issuer"] == "self":
        return client["name"] in trusted["clients"]
    return client["issuer"] in trusted["reach"]


def _verdict(
    client: dict[str, Any], trusted: dict[str, Any], allowed: dict[str, set[str]] | None
) -> str:
    if not _is_trusted(client, trusted):
        return "not trusted"
    is_allowed = (
        allowed is None
        or client["name"] in allowed["clients"]
        or client["issuer"] in allowed["issuers"]
        or _dn(client) in allowed["subjects"]
    )
    return "allowed" if is_allowed else "not on the list"


def _trusted_authorities(name: str, authorities: list[dict[str, Any]]) -> dict[str, Any]:
    by_name = {authority["name"]: authority for authority in authorities}
    above = []
    parent = by_name[name]["issuer"]
    while parent:
        above.append(parent)
        parent = by_name[parent]["issuer"]
    reach = [name]
    level = {name: len(above)}
    for authority in authorities:  # parents first, so one pass finds every descendant
        if authority["issuer"] in reach:
            reach.append(authority["name"])
            level[authority["name"]] = level[authority["issuer"]] + 1
    return {
        # nginx has no partial chains: the root must be there, and what stands between helps
        # clients that show their own certificate only.
        "authorities": [*reach, *above],
        "clients": {},
        # ssl_verify_depth counts the intermediates of a chain.
        "depth": max(1, *level.values()),
        "issuers": reach if above else [],
        "reach": reach,
    }


def _check_known(names: list[str], known: Iterable[str], where: str, kind: str) -> None:
    for name in names:
        if name not in known:
            raise MtlsError(
                f"{where} {name!r} is not one of mtls_pki_{kind} "
                f"({', '.join(known) or 'which is empty'})"
            )


def _dn(entry: dict[str, Any]) -> str:
    return rfc2253_subject(entry)


def caller_text(client: dict[str, Any], by_name: dict[str, dict[str, Any]]) -> str:
    """Name a caller by subject and issuer, because two authorities may sign the same subject.

    RFC 2253 escapes "<" within a name, so " <- " can't come from a subject.
    """
    issuer = client if client["issuer"] == "self" else by_name[client["issuer"]]
    return f"{_dn(client)} <- {_dn(issuer)}"


def _quoted(texts: list[str], where: str) -> list[str]:
    # A map's keys ignore case. The value puts that right, but two keys that differ in nothing
    # else can't stand in one map.
    folded: dict[str, str] = {}
    for text in texts:
        other = folded.setdefault(text.lower(), text)
        if other != text:
            raise MtlsError(
                f"{where}: {other!r} and {text!r} differ only in case, which nginx's map can't "
                "tell apart; rename one of them"
            )
    return [quote(text, where) for text in folded.values()]


def map_bucket_size(sites: list[dict[str, Any]]) -> int | None:
    """Return the map_hash_bucket_size that the completed sites need, or None when 64 will do."""
    keys = [
        key
        for site in sites
        for option in ("trusted_issuers", "allowed_callers", "allowed_issuers", "allowed_subjects")
        for key in site["access"][option]
    ]
    # Without the two quotes; an escaped character counts twice, to be safe.
    return bucket_size(max((len(key) - 2 for key in keys), default=0))


def bucket_size(longest: int) -> int | None:
    """Return the size of a hash bucket that holds a key this long, or None when 64 will do.

    One element takes its key, two bytes and a pointer, rounded up to a pointer; a bucket ends
    with one more pointer (ngx_hash.c). So a bucket of 64 holds a key of 46 bytes. It is no larger
    than needed, because nginx takes each such directive only once, and not after the first map.
    """
    size = 64
    while size < longest + 18:
        size *= 2
    return size if size > 64 else None
