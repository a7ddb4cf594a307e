# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that check and complete what the user wrote, before anything is changed."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.nginx import access, sites, tls
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import KEY_TYPES
from ansible_collections.edge.mtls.plugins.module_utils.pki.wanted import (
    complete_authorities,
    complete_clients,
)

NAMES: dict[str, Any] = {"type": "list", "elements": "str", "default": []}
KEY_TYPE: dict[str, Any] = {"type": "str", "choices": KEY_TYPES}

AUTHORITY_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "common_name": {"type": "str"},
    "issuer": {"type": "str"},
    "key_type": {**KEY_TYPE, "default": "P-256"},
    "valid_days": {"type": "int", "default": 3650},
    "path_length": {"type": "int"},
}
CLIENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "common_name": {"type": "str"},
    "issuer": {"type": "str"},
    "key_type": KEY_TYPE,
    "valid_days": {"type": "int"},
    "renew_before_days": {"type": "int"},
    "pkcs12": {"type": "bool", "default": True},
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


def wanted_authorities(authorities: Any) -> list[dict[str, Any]]:
    """Check and complete mtls_pki_authorities."""
    return _said(
        complete_authorities, _entries(authorities, AUTHORITY_SPEC, "mtls_pki_authorities")
    )


def wanted_clients(
    clients: Any, authorities: Any, self_signed: bool, defaults: dict[str, Any]
) -> list[dict[str, Any]]:
    """Check and complete mtls_pki_clients."""
    return _said(
        complete_clients,
        _entries(clients, CLIENT_SPEC, "mtls_pki_clients"),
        authorities,
        self_signed,
        defaults,
    )


def wanted_sites(wanted: Any, authorities: Any, clients: Any, host: Any) -> list[dict[str, Any]]:
    """Check and complete mtls_gateway_sites."""
    return _said(
        sites.complete_sites,
        _entries(wanted, SITE_SPEC, "mtls_gateway_sites"),
        authorities,
        clients,
        host,
    )


def map_bucket_size(wanted: Any) -> Any:
    """Return the map_hash_bucket_size that the completed sites need, or None."""
    return access.long_keys(wanted)


def _entries(value: Any, spec: dict[str, Any], variable: str) -> list[dict[str, Any]]:
    """Give each entry its types and defaults, or name the variable and the entry that is wrong."""
    if not isinstance(value, list):
        raise AnsibleFilterError(f"{variable} must be a list of entries, each with a name")
    entries = []
    for position, entry in enumerate(value):
        where = f"{variable}[{position}]"
        if not isinstance(entry, dict):
            raise AnsibleFilterError(f"{where} must be a dictionary such as {{name: app}}")
        if "name" in entry:
            where += f" ({entry['name']})"
        validation = ArgumentSpecValidator(spec).validate(dict(entry))
        if validation.error_messages:
            raise AnsibleFilterError(f"{where}: {'; '.join(validation.error_messages)}")
        entries.append(validation.validated_parameters)
    return entries


def _said(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except MtlsError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filters of this collection."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters."""
        return {
            "map_bucket_size": map_bucket_size,
            "wanted_authorities": wanted_authorities,
            "wanted_clients": wanted_clients,
            "wanted_sites": wanted_sites,
        }
