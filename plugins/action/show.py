# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print a text to the screen as it is."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


class ActionModule(ActionBase):
    """Print a text to the screen as it is."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        """Print."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, params = self.validate_argument_spec(
            argument_spec={"text": {"type": "str", "required": True}}
        )
        Display().display("\n" + params["text"].rstrip("\n") + "\n")
        result["changed"] = False
        return result
