# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the modules share: running one as it runs on a host."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.testing import patch_module_args
from ansible_collections.edge.mtls.plugins.modules import authority


def run(module: Any, params: dict[str, Any], check_mode: bool = False) -> dict[str, Any]:
    """Run a module's own function with its options as Ansible completes them."""
    validation = ArgumentSpecValidator(module.ARGUMENT_SPEC).validate(params)
    assert validation.error_messages == []
    return module.run(validation.validated_parameters, check_mode)


def run_main(module: Any, capsys: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run a module as it runs on a host, and return what it prints."""
    with patch_module_args(arguments), pytest.raises(SystemExit):
        module.main()
    return json.loads(capsys.readouterr().out)


def said_by(module: Any, capsys: Any, arguments: dict[str, Any]) -> str:
    """Return the one sentence that a module fails with."""
    result = run_main(module, capsys, arguments)
    assert result["failed"] is True
    assert "Traceback" not in json.dumps(result)
    assert "exception" not in result
    assert "\n" not in result["msg"]
    return result["msg"]


def make_root(store_path: str, **options: Any) -> dict[str, Any]:
    given = {"store_path": store_path, "name": "root", "common_name": "Example Root CA"}
    return run(authority, {**given, **options})


def documented(module: Any) -> dict[str, Any]:
    """Return what a module's documentation says that it returns."""
    return yaml.safe_load(module.RETURN)


def always(module: Any) -> set[str]:
    """Name what is always returned."""
    return {name for name, value in documented(module).items() if value["returned"] == "success"}
