# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check and complete the authorities, clients and sites that are wanted."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.wanted import complete

ARGUMENT_SPEC: dict[str, Any] = {
    "authorities": {"type": "raw", "required": True},
    "clients": {"type": "raw", "required": True},
    "self_signed_clients": {"type": "bool", "default": False},
    "client_key_type": {"type": "str", "default": "P-256"},
    "client_valid_days": {"type": "int", "default": 365},
    "client_renew_before_days": {"type": "int", "default": 30},
    "profiles": {"type": "raw", "default": []},
    "revoked": {"type": "raw", "default": []},
    "key_passphrase_names": {"type": "list", "elements": "str", "default": []},
    "sites": {"type": "raw"},
    "host": {"type": "dict"},
}


class ActionModule(ActionBase):
    """Check and complete what is wanted."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the task."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, params = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC)
        client_defaults = {
            option: params[f"client_{option}"]
            for option in ("key_type", "valid_days", "renew_before_days")
        }
        try:
            result.update(
                complete(
                    params["authorities"],
                    params["clients"],
                    params["self_signed_clients"],
                    client_defaults,
                    params["sites"],
                    params["host"],
                    params["profiles"],
                    params["revoked"],
                    params["key_passphrase_names"],
                )
            )
        except MtlsError as error:
            raise AnsibleActionFail(str(error)) from None
        result["changed"] = False
        return result
