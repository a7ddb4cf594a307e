# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of authorities, certificates, profiles and revocations.

Modules take them from here, and so do the entries of the roles' variables, so that the two never
drift apart. They are Ansible's argument specifications, which are plain data.
"""

from __future__ import annotations

from typing import Any

from .crls import REASONS
from .extensions import AUTHORITY_ONLY_USAGES, KEY_USAGES
from .keys import ALL_KEY_TYPES, DEFAULT_KEY_TYPE
from .packs import PACKS
from .profiles import KINDS
from .revocations import KINDS as REVOCABLE_KINDS
from .revocations import STATES
from .wanted_authority import STAGES

TEXTS: dict[str, Any] = {"type": "list", "elements": "str"}
NAMES: dict[str, Any] = {**TEXTS, "default": []}

AUTHORITY: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "common_name": {"type": "str"},
    "subject": {"type": "dict"},
    "issuer": {"type": "str"},
    "key_type": {"type": "str", "choices": ALL_KEY_TYPES, "default": DEFAULT_KEY_TYPE},
    "valid_days": {"type": "int"},
    "valid_minutes": {"type": "int"},
    "path_length": {"type": "int"},
    "permitted_names": NAMES,
    "excluded_names": NAMES,
    "certificate_policies": NAMES,
    "crl_urls": NAMES,
    "ca_issuers_urls": NAMES,
    "ocsp_urls": NAMES,
    "certificate_path": {"type": "path"},
    "key_path": {"type": "path", "no_log": False},
    "roll_over": {"type": "str", "choices": STAGES},
}
LIFE: dict[str, Any] = {
    "key_type": {"type": "str", "choices": ALL_KEY_TYPES},
    "valid_days": {"type": "int"},
    "valid_minutes": {"type": "int"},
    "renew_before_days": {"type": "int"},
    "renew_before_minutes": {"type": "int"},
}
CERTIFICATE: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "profile": {"type": "str", "default": "client"},
    "issuer": {"type": "str"},
    "common_name": {"type": "str"},
    "subject": {"type": "dict"},
    "subject_alternative_names": NAMES,
    **LIFE,
    "rekey": {"type": "bool", "default": True},
    "reissue_revoked": {"type": "bool", "default": False},
    "packs": {**NAMES, "choices": PACKS},
}
PROFILE: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "base": {"type": "str", "choices": list(KINDS), "default": "client"},
    **LIFE,
    "key_usage": {
        **TEXTS,
        "choices": [usage for usage in KEY_USAGES if usage not in AUTHORITY_ONLY_USAGES],
    },
    "extended_key_usage": TEXTS,
    "certificate_policies": TEXTS,
    "extensions": {
        "type": "list",
        "elements": "dict",
        "options": {
            "oid": {"type": "str", "required": True},
            "critical": {"type": "bool", "default": False},
            "value_base64": {"type": "str", "required": True},
        },
    },
}
REVOCATION: dict[str, Any] = {
    "name": {"type": "str"},
    "profile": {"type": "str", "choices": REVOCABLE_KINDS, "default": "client"},
    "serial_number": {"type": "str"},
    "issuer": {"type": "str"},
    "fingerprint_sha256": {"type": "str"},
    "certificate_path": {"type": "path"},
    "reason": {"type": "str", "choices": REASONS, "default": "unspecified"},
    "state": {"type": "str", "choices": STATES, "default": "revoked"},
}
