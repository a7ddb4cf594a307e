# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of nginx's side share: a small PKI, and sites completed as a play has them."""

from __future__ import annotations

from typing import Any

from ansible_collections.edge.mtls.plugins.module_utils.wanted import complete

AUTHORITIES = [
    {"name": "root", "common_name": "Example Root CA"},
    {"name": "services", "common_name": "Example Services CA", "issuer": "root"},
    {"name": "robots", "common_name": "Example Robots CA", "issuer": "services"},
    {"name": "people", "common_name": "Example People CA", "issuer": "root"},
    {"name": "other", "common_name": "Other Root CA"},
]
# One client of each authority, named after it, a second one of services and a self-signed one.
CLIENTS = [
    *({"name": f"{each['name']}1", "issuer": each["name"]} for each in AUTHORITIES),
    {"name": "services2", "issuer": "services"},
    {"name": "lonely", "issuer": "self"},
]
HOST = {"ipv6": True, "nginx": {"version": "1.22.1", "tls_library": "OpenSSL 3.0.15"}}
SITE = {
    "name": "app",
    "server_name": "app.example.com",
    "upstream": "http://127.0.0.1:8888",
    "client_authority": "root",
}
DEFAULTS = {"key_type": "P-256", "valid_days": 365, "renew_before_days": 30}


def wanted_site(**options: Any) -> dict[str, Any]:
    """Describe a site; an option that is None is one that the user did not give."""
    site = {**SITE, **options}
    return {option: value for option, value in site.items() if value is not None}


def completed_sites(
    *sites: dict[str, Any],
    authorities: Any = AUTHORITIES,
    clients: Any = CLIENTS,
    host: Any = HOST,
) -> list[dict[str, Any]]:
    completed: list[dict[str, Any]] = complete(
        authorities, clients, False, DEFAULTS, list(sites), host
    )["sites"]
    return completed


def completed_site(**options: Any) -> dict[str, Any]:
    [site] = completed_sites(wanted_site(**options))
    return site
