# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may call a site: which authorities are trusted, and the maps that let only some through."""

from __future__ import annotations

from typing import Any

from ..errors import MtlsError
from ..pki.names import common_name_rfc2253
from .quoting import quote


def complete_access(
    site: dict[str, Any],
    where: str,
    authorities: list[dict[str, Any]],
    clients: list[dict[str, Any]],
) -> dict[str, Any]:
    """Say who is trusted and who of them may call, as nginx's maps need it."""
    by_name = {authority["name"]: authority for authority in authorities}
    by_client = {client["name"]: client for client in clients}
    allow = site["allow"]
    if bool(site["client_authority"]) == bool(site["trusted_clients"]):
        raise MtlsError(
            f"{where}: give either client_authority (an authority whose clients may call) or "
            "trusted_clients (self-signed clients), and not both; without one nobody could be told "
            "from a stranger"
        )
    trusted: dict[str, Any] = {"authorities": [], "clients": [], "depth": 1, "issuers": []}
    if site["client_authority"]:
        if site["client_authority"] not in by_name:
            raise MtlsError(
                f"{where}: client_authority {site['client_authority']!r} is not one of "
                f"mtls_pki_authorities ({', '.join(by_name) or 'which is empty'})"
            )
        trusted = _trusted_authorities(site["client_authority"], authorities)
    for name in site["trusted_clients"]:
        if name not in by_client:
            raise MtlsError(
                f"{where}: trusted_clients {name!r} is not one of mtls_pki_clients "
                f"({', '.join(by_client) or 'which is empty'})"
            )
        if by_client[name]["issuer"] != "self":
            raise MtlsError(
                f"{where}: trusted_clients {name!r} is signed by authority "
                f"{by_client[name]['issuer']!r}; trust that with client_authority instead"
            )
        trusted["clients"].append(name)
    access: dict[str, Any] = {
        "authorities": trusted["authorities"],
        "clients": trusted["clients"],
        "verify_depth": trusted["depth"],
        # Only what these authorities signed gets in; empty when any chain to the root will do.
        "trusted_issuers": _quoted_pairs(
            [_dn(by_name[name]) for name in trusted["issuers"]], where
        ),
        "allowed_callers": [],
        "allowed_issuers": [],
        "allowed_subjects": [],
        "is_restricted": allow is not None,
        "callers": [],
    }
    allowed_names: set[str] = set()
    allowed_issuer_names: set[str] = set()
    if allow is not None:
        if not any(allow.values()):
            raise MtlsError(
                f"{where}: allow names nobody; name clients, issuers or subjects, or leave allow "
                "out to let in every client that is trusted"
            )
        allowed_names = set(
            _known(allow["clients"], by_client, f"{where}: allow.clients", "clients")
        )
        allowed_issuer_names = set(
            _known(allow["issuers"], by_name, f"{where}: allow.issuers", "authorities")
        )
        access["allowed_callers"] = _quoted_pairs(
            [caller_text(by_client[name], by_name) for name in allow["clients"]], where
        )
        access["allowed_issuers"] = _quoted_pairs(
            [_dn(by_name[name]) for name in allow["issuers"]], where
        )
        for subject in allow["subjects"]:
            if "=" not in subject:
                raise MtlsError(
                    f"{where}: allow.subjects {subject!r} must be a whole subject as nginx prints "
                    "it (RFC 2253), such as CN=client1,O=Example"
                )
        access["allowed_subjects"] = _quoted_pairs(allow["subjects"], where)
    for client in clients:
        is_trusted = (
            client["name"] in trusted["clients"]
            if client["issuer"] == "self"
            else client["issuer"] in trusted["reach"]
            if site["client_authority"]
            else False
        )
        is_allowed = (
            allow is None
            or client["name"] in allowed_names
            or client["issuer"] in allowed_issuer_names
            or _dn(client) in allow["subjects"]
        )
        verdict = ("allowed" if is_allowed else "not on the list") if is_trusted else "not trusted"
        access["callers"].append(
            {"name": client["name"], "verdict": verdict, "subject": _dn(client)}
        )
    for name in allowed_names:
        caller = next(each for each in access["callers"] if each["name"] == name)
        if caller["verdict"] == "not trusted":
            raise MtlsError(
                f"{where}: allow.clients {name!r} is signed by {by_client[name]['issuer']!r}, "
                "which this site does not trust, so it could never call"
            )
    return access


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
        "clients": [],
        # ssl_verify_depth counts the intermediates of a chain.
        "depth": max(1, *level.values()),
        "issuers": reach if above else [],
        "reach": reach,
    }


def _known(names: list[str], known: dict[str, Any], where: str, kind: str) -> list[str]:
    for name in names:
        if name not in known:
            raise MtlsError(
                f"{where} {name!r} is not one of mtls_pki_{kind} "
                f"({', '.join(known) or 'which is empty'})"
            )
    return names


def _dn(entry: dict[str, Any]) -> str:
    return common_name_rfc2253(entry["common_name"])


def caller_text(client: dict[str, Any], by_name: dict[str, dict[str, Any]]) -> str:
    """Name a caller by subject and issuer, because two authorities may sign the same subject.

    RFC 2253 escapes "<" within a name, so " <- " can't come from a subject.
    """
    issuer = client if client["issuer"] == "self" else by_name[client["issuer"]]
    return f"{_dn(client)} <- {_dn(issuer)}"


def _quoted_pairs(texts: list[str], where: str) -> list[str]:
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


def long_keys(sites: list[dict[str, Any]]) -> int | None:
    """Return the map_hash_bucket_size that the sites' maps need, or None when 64 will do.

    One element takes its key, two bytes and a pointer, rounded up to a pointer; a bucket ends
    with one more pointer (ngx_hash.c). So a bucket of 64 holds a key of 46 bytes. No larger than
    needed, because nginx takes the directive only once, and only before the first map.
    """
    longest = 0
    for site in sites:
        access = site["access"]
        for option in ("trusted_issuers", "allowed_callers", "allowed_issuers", "allowed_subjects"):
            # Without the two quotes; an escaped character counts twice, to be safe.
            longest = max([longest, *(len(text.encode()) - 2 for text in access[option])])
    needed = 64
    while needed < longest + 18:
        needed *= 2
    return needed if needed > 64 else None
