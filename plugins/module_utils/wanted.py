# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user wrote: each entry's keys and types, and then how the entries fit together.

The one file here that uses Ansible, whose argument specifications say what an entry may hold.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .errors import MtlsError
from .nginx import tls
from .nginx.sites import complete_sites
from .pki import options
from .pki.keys import KEY_TYPES
from .pki.wanted import (
    check_passphrase_names,
    complete_authorities,
    complete_clients,
    complete_revocations,
)

NAMES: dict[str, Any] = {"type": "list", "elements": "str", "default": []}
KEY_TYPE: dict[str, Any] = {"type": "str", "choices": KEY_TYPES}

CLIENT_SPEC: dict[str, Any] = {
    **options.CERTIFICATE,
    # What the user doesn't say comes from other variables, or follows from who signs.
    "profile": {"type": "str"},
    "packs": {**options.CERTIFICATE["packs"], "default": ["pkcs12"]},
}
SITE_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "server_name": {"type": "str", "required": True},
    "server_aliases": NAMES,
    "listen_port": {"type": "int", "default": 443},
    "upstream": {"type": "str", "required": True},
    "upstream_ca_path": {"type": "path"},
    "upstream_keepalive": {"type": "int", "default": 16},
    "client_authority": {"type": "str"},
    "trusted_clients": NAMES,
    "allow": {
        "type": "dict",
        "options": {"clients": NAMES, "issuers": NAMES, "subjects": NAMES},
    },
    "certificate": {
        "type": "dict",
        "apply_defaults": True,
        "options": {
            "source": {
                "type": "str",
                "choices": ["authority", "self_signed", "files"],
                "default": "authority",
            },
            "authority": {"type": "str"},
            "certificate_path": {"type": "path"},
            "key_path": {"type": "path"},
            "key_type": {**KEY_TYPE, "default": "P-256"},
            "valid_days": {"type": "int", "default": 365},
            "renew_before_days": {"type": "int", "default": 30},
        },
    },
    "tls_profile": {"type": "str", "choices": tls.PROFILES, "default": "intermediate"},
    "tls_protocols": {"type": "list", "elements": "str"},
    "tls_ciphers": {"type": "list", "elements": "str"},
    "tls_prefer_server_ciphers": {"type": "bool"},
    "keepalive_timeout_seconds": {"type": "int", "default": 65},
    "session_timeout_seconds": {"type": "int", "default": 3600},
    "identity_header": {"type": "str", "default": "X-SSL-DN"},
}


def complete(
    authorities: Any,
    clients: Any,
    self_signed_clients: bool,
    client_defaults: dict[str, Any],
    sites: Any = None,
    host: dict[str, Any] | None = None,
    profiles: Any = (),
    revoked: Any = (),
    key_passphrase_names: Sequence[str] = (),
) -> dict[str, Any]:
    """Check and complete authorities, clients and, with a host, its sites.

    :param profiles: profiles of the user's own, that clients may have.
    :param revoked: what is to be revoked.
    :param key_passphrase_names: authorities that a passphrase was given for.
    :param client_defaults: key_type, valid_days and renew_before_days of clients that an
        authority signs.
    :param host: what edge.mtls.host_info found there.
    :raises MtlsError: an entry is wrong; the text names the variable and the entry.
    """
    completed: dict[str, Any] = {}
    completed["authorities"] = complete_authorities(
        entries(authorities, options.AUTHORITY, "mtls_pki_authorities")
    )
    check_passphrase_names(key_passphrase_names, completed["authorities"])
    completed["profiles"] = entries(profiles, options.PROFILE, "mtls_pki_profiles")
    completed["clients"] = complete_clients(
        entries(clients, CLIENT_SPEC, "mtls_pki_clients"),
        completed["authorities"],
        self_signed_clients,
        client_defaults,
        completed["profiles"],
    )
    completed["revoked"] = complete_revocations(
        entries(revoked, options.REVOCATION, "mtls_pki_revoked"), completed["clients"]
    )
    if host is not None:
        completed["sites"] = complete_sites(
            entries(sites, SITE_SPEC, "mtls_gateway_sites"),
            completed["authorities"],
            completed["clients"],
            host,
        )
    return completed


def entries(value: Any, spec: dict[str, Any], variable: str) -> list[dict[str, Any]]:
    """Give each entry of a variable its types and defaults.

    :raises MtlsError: a key is unknown or missing, or a value is of another type.
    """
    if not isinstance(value, (list, tuple)):
        raise MtlsError(f"{variable} must be a list of entries")
    found = []
    for position, entry in enumerate(value):
        where = f"{variable}[{position}]"
        if not isinstance(entry, dict):
            raise MtlsError(f"{where} must be a dictionary such as {{name: app}}")
        if "name" in entry:
            where += f" ({entry['name']})"
        _check_keys(entry, spec, where)
        validation = ArgumentSpecValidator(spec).validate(dict(entry))
        if validation.error_messages:
            raise MtlsError(f"{where}: {'; '.join(validation.error_messages)}")
        found.append(validation.validated_parameters)
    return found


def _check_keys(entry: dict[str, Any], spec: dict[str, Any], where: str) -> None:
    for key, value in entry.items():
        if key not in spec:
            close = difflib.get_close_matches(str(key), spec, n=1)
            meant = f"did you mean {close[0]}?" if close else f"it may have {', '.join(spec)}"
            raise MtlsError(f"{where}: {key} is not known here; {meant}")
        if value is None and spec[key].get("required"):
            raise MtlsError(f"{where}: {key} is empty; it must be given")
        if value is None and "options" in spec[key]:
            # Not taken for absent: without "allow" everybody may call.
            raise MtlsError(f"{where}: {key} is empty; say what it should hold, or leave it out")
        if isinstance(value, dict) and "options" in spec[key]:
            _check_keys(value, spec[key]["options"], f"{where}: {key}")
