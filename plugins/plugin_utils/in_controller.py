# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second front of a module: the same code, run inside the controller."""

from __future__ import annotations

import os
import pwd
from types import ModuleType
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError


class InControllerAction(ActionBase):
    """Run a module's own code here when the task's host is the control node.

    That saves sending and starting a module (0.03 s instead of 0.35 s), and the controller's
    cryptography is always a current one. It is only done where it makes no other difference:
    the connection is local and nobody else's rights are asked for. Otherwise the module goes
    to the host as ever.
    """

    _requires_connection = False
    module: ModuleType

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the task."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        if not self._is_here():
            result.update(self._execute_module(task_vars=task_vars))
            return result
        _validation, params = self.validate_argument_spec(argument_spec=self.module.ARGUMENT_SPEC)
        try:
            result.update(self.run_module(params))
        except MtlsError as error:
            # Ansible would add the cause, which the text already holds.
            raise AnsibleActionFail(str(error)) from None
        return result

    def run_module(self, params: dict[str, Any]) -> dict[str, Any]:
        """Run the module's code."""
        result: dict[str, Any] = self.module.run(params, self._task.check_mode)
        return result

    def _is_here(self) -> bool:
        if self._connection.transport != "local":
            return False
        become = self._connection.become
        if become is None:
            return True
        wanted_user = become.get_option("become_user", playcontext=self._play_context) or "root"
        return bool(wanted_user == pwd.getpwuid(os.geteuid()).pw_name)


class StoreAction(InControllerAction):
    """The same for the modules that write a store: they tell the user how far they are."""

    def run_module(self, params: dict[str, Any]) -> dict[str, Any]:
        """Run the module's code."""
        result: dict[str, Any] = self.module.run(params, self._task.check_mode, Display().display)
        return result
