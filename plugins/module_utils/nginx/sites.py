# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites: what the user wrote, checked and completed, before anything is changed."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Any
from urllib.parse import urlsplit

from ..errors import MtlsError
from ..pki.general_names import DNS_NAME
from .access import bucket_size, complete_access
from .tls import tls_settings

# Where a host keeps keys, certificates and trust of its sites.
HOST_PATH = "/etc/nginx/mtls"
SITE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}\Z")
# Headers that nginx or HTTP itself gives a meaning, which an identity header must not take over.
RESERVED_HEADERS = {
    "host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer",
    "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "authorization", "cookie",
}  # fmt: skip
# What some backend or other takes for the caller's identity. None of it may come from outside.
IDENTITY_HEADERS = [
    "X-SSL-DN", "X-SSL-Subject", "X-SSL-Issuer", "X-SSL-Serial", "X-SSL-Verify", "X-SSL-Cert",
    "X-SSL-Client-DN", "X-SSL-Client-S-DN", "X-SSL-Client-I-DN", "X-SSL-Client-CN",
    "X-SSL-Client-Verify", "X-SSL-Client-Serial", "X-SSL-Client-Cert",
    "X-SSL-Client-Fingerprint", "X-Client-Cert", "X-Client-DN", "X-Client-Verify",
    "SSL-Client-Cert", "SSL-Client-Verify", "SSL-Client-Subject-Dn", "SSL-Client-Issuer-Dn",
    "Client-Cert", "Client-Cert-Chain", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert",
]  # fmt: skip


def complete_sites(
    sites: list[dict[str, Any]],
    authorities: list[dict[str, Any]],
    clients: list[dict[str, Any]],
    host: dict[str, Any],
) -> list[dict[str, Any]]:
    """Check all sites of a host and add what follows from them.

    :param sites: entries with every key present (None where the user gave nothing).
    :param authorities: the PKI's authorities, parents first.
    :param clients: the PKI's clients.
    :param host: what edge.mtls.host_info found there.
    :raises MtlsError: an entry can't be met, or two of them can't share a port safely.
    """
    completed = [
        _complete(
            site, f"mtls_gateway_sites[{position}] ({site['name']})", authorities, clients, host
        )
        for position, site in enumerate(sites)
    ]
    _check_together(completed)
    return completed


def _complete(
    site: dict[str, Any],
    where: str,
    authorities: list[dict[str, Any]],
    clients: list[dict[str, Any]],
    host: dict[str, Any],
) -> dict[str, Any]:
    # "default" names the file that turns unknown names away, "store" a folder beside the sites'.
    if not SITE_NAME.match(site["name"]) or site["name"] in ("default", "store"):
        raise MtlsError(
            f"{where}: name must be 1 to 63 of a-z, 0-9, '_' and '-', start with a letter or "
            "digit, and not be default or store"
        )
    _check_numbers(site, where)
    _check_server_names(site, where)
    if not HEADER_NAME.match(site["identity_header"]) or (
        site["identity_header"].lower() in RESERVED_HEADERS
    ):
        raise MtlsError(
            f"{where}: identity_header {site['identity_header']!r} must be a header name of "
            "letters, digits and '-' that has no other meaning, such as X-SSL-DN"
        )
    nginx = host.get("nginx") or {}
    certificate = _certificate(site, where, authorities)
    names = [site["server_name"], *site["server_aliases"]]
    return {
        **site,
        **_certificate_files(site["name"], certificate),
        "where": where,
        "variable": site["name"].replace("-", "_"),
        "upstream": _upstream(site, where),
        "certificate": certificate,
        "server_names": names,
        "subject_alternative_names": [f"DNS:{name}" for name in names],
        # Clients look into the alternative names only, so a host name too long for a common name
        # (RFC 5280: 64) need not be one.
        "common_name": site["server_name"] if len(site["server_name"]) <= 64 else site["name"],
        "access": complete_access(site, where, authorities, clients),
        "tls": tls_settings(site, nginx.get("tls_library"), where),
        "blanked_headers": [
            name for name in IDENTITY_HEADERS if name.lower() != site["identity_header"].lower()
        ],
    }


def _check_numbers(site: dict[str, Any], where: str) -> None:
    limits = {
        "listen_port": (1, 65535),
        "keepalive_timeout_seconds": (0, 3600),
        "session_timeout_seconds": (1, 86400),
        "upstream_keepalive": (1, 1024),
    }
    for option, (lowest, highest) in limits.items():
        if not lowest <= site[option] <= highest:
            raise MtlsError(f"{where}: {option} {site[option]} must be {lowest} to {highest}")


def _check_server_names(site: dict[str, Any], where: str) -> None:
    for option, names in (
        ("server_name", [site["server_name"]]),
        ("server_aliases", site["server_aliases"]),
    ):
        for name in names:
            if _is_address(name):
                raise MtlsError(
                    f"{where}: {option} {name} is an address, and clients send no server name for "
                    "an address, so the site could not be told from others; give it a host name"
                )
            if not DNS_NAME.match(name) or len(name) > 253:
                raise MtlsError(f"{where}: {option} {name!r} must be a host name")
    if site["server_name"].startswith("*"):
        raise MtlsError(
            f"{where}: server_name {site['server_name']} must be one host, which the proof calls; "
            "a wildcard can stand in server_aliases"
        )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _upstream(site: dict[str, Any], where: str) -> dict[str, Any]:
    text = site["upstream"]
    wrong = MtlsError(
        f"{where}: upstream {text!r} must be http:// or https:// with a host, a port if it isn't "
        "the usual one, and no user, query or fragment, such as http://127.0.0.1:8888"
    )
    if re.search(r"[^A-Za-z0-9._~:/\[\]%-]", text):
        raise wrong
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise wrong from None
    if url.scheme not in ("http", "https") or not url.hostname or port == 0:
        raise wrong
    is_address = _is_address(url.hostname)
    # nginx takes what follows "unix:" for the path of a socket.
    if not (is_address or DNS_NAME.match(url.hostname)) or url.hostname == "unix":
        raise wrong
    if url.scheme == "https" and is_address:
        raise MtlsError(
            f"{where}: upstream {text} names an address, and nginx looks for host names only in "
            "the upstream's certificate; give a host name, or use http://"
        )
    ca_path = site["upstream_ca_path"]
    if ca_path and url.scheme != "https":
        raise MtlsError(f"{where}: upstream_ca_path goes with an https:// upstream")
    if ca_path:
        _check_path(ca_path, f"{where}: upstream_ca_path")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    path = url.path.rstrip("/")
    return {
        "scheme": url.scheme,
        "host": url.hostname,
        "server": f"{host}:{port or (443 if url.scheme == 'https' else 80)}",
        # nginx puts it in place of the location's "/", so it must end with one as well.
        "uri": f"{path}/" if path else "",
        "ca_path": ca_path,
    }


def _check_path(path: str, where: str) -> None:
    """Refuse a path that would have to be quoted in nginx's configuration, or isn't one."""
    if not os.path.isabs(path) or re.search(r"[\s;{}$\"'\\\x00-\x1f]", path):
        raise MtlsError(f"{where} {path!r} must be a plain absolute path")


def _certificate(
    site: dict[str, Any], where: str, authorities: list[dict[str, Any]]
) -> dict[str, Any]:
    certificate = site["certificate"]
    files = (certificate["certificate_path"], certificate["key_path"])
    if certificate["source"] == "files":
        if not all(files):
            raise MtlsError(
                f"{where}: certificate.source files needs certificate_path and key_path on the host"
            )
        for path in files:
            _check_path(path, f"{where}: certificate path")
    elif any(files):
        raise MtlsError(
            f"{where}: certificate_path and key_path go with certificate.source: files, "
            f"not with {certificate['source']}"
        )
    if certificate["source"] != "authority":
        if certificate["authority"]:
            raise MtlsError(
                f"{where}: certificate.authority goes with certificate.source: authority"
            )
        return dict(certificate)
    names = [authority["name"] for authority in authorities]
    authority = certificate["authority"] or (names[0] if names else None)
    if authority not in names:
        raise MtlsError(
            f"{where}: certificate.authority {authority!r} is not one of mtls_pki_authorities "
            f"({', '.join(names) or 'which is empty'})"
        )
    return {**certificate, "authority": authority}


def _certificate_files(name: str, certificate: dict[str, Any]) -> dict[str, str]:
    """Say where nginx finds the server's certificate and key.

    The key's type is part of its file's name, so that a key of another type can be made while
    nginx goes on with the old one.
    """
    if certificate["source"] == "files":
        return {
            "certificate_file": certificate["certificate_path"],
            "key_file": certificate["key_path"],
        }
    if certificate["source"] == "self_signed":
        folder = f"{HOST_PATH}/store/servers/{name}"
        return {"certificate_file": f"{folder}/fullchain.pem", "key_file": f"{folder}/key.pem"}
    return {
        "certificate_file": f"{HOST_PATH}/{name}/fullchain.pem",
        "key_file": f"{HOST_PATH}/{name}/key-{certificate['key_type'].lower()}.pem",
    }


def _check_together(sites: list[dict[str, Any]]) -> None:
    names: dict[str, str] = {}
    heard: dict[tuple[int, str], str] = {}
    by_port: dict[int, dict[str, Any]] = {}
    for site in sites:
        other = names.setdefault(site["variable"], site["where"])
        if other != site["where"]:
            raise MtlsError(f"{site['where']}: its name is also that of {other}")
        for name in site["server_names"]:
            other = heard.setdefault((site["listen_port"], name.lower()), site["where"])
            if other != site["where"]:
                raise MtlsError(
                    f"{site['where']}: {name} on port {site['listen_port']} is already {other}'s"
                )
        first = by_port.setdefault(site["listen_port"], site)
        for option in ("tls", "session_timeout_seconds"):
            if site[option] != first[option]:
                raise MtlsError(
                    f"{site['where']}: it shares port {site['listen_port']} with {first['where']} "
                    "but asks for other TLS settings; nginx negotiates TLS before it knows the "
                    "site, so give both the same ones, or another listen_port"
                )


def server_names_bucket_size(sites: list[dict[str, Any]]) -> int | None:
    """Return the server_names_hash_bucket_size that they need, or None when 64 will do."""
    return bucket_size(
        max((len(name) for site in sites for name in site["server_names"]), default=0)
    )
