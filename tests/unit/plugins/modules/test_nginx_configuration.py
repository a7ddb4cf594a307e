# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""edge.mtls.nginx_configuration: options in, result out."""

from __future__ import annotations

import inspect
import json

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.edge.mtls.plugins.module_utils.nginx import configuration
from ansible_collections.edge.mtls.plugins.modules import nginx_configuration


class GoodNginx:
    """An nginx that takes everything but a file with the word bogus."""

    def __init__(self, path):
        assert path

    def test(self, server_names):
        return None

    def is_running(self):
        return True

    def is_outdated(self):
        return False

    def apply(self):
        return "reloaded"


class BadNginx(GoodNginx):
    def test(self, server_names):
        return "[emerg] bogus"


def run_main(capsys, monkeypatch, arguments, nginx=GoodNginx):
    """Run the module as it runs on a host, and return what it prints."""
    monkeypatch.setattr(configuration, "Nginx", nginx)
    with patch_module_args(arguments), pytest.raises(SystemExit):
        nginx_configuration.main()
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def arguments(tmp_path):
    return {
        "nginx_path": "/usr/sbin/nginx",
        "state_path": str(tmp_path / "state"),
        "files": [{"path": str(tmp_path / "a.conf"), "content": "# Managed by edge.mtls\n"}],
        "links": [{"path": str(tmp_path / "b.conf"), "target": "a.conf"}],
    }


def contract(options):
    return {
        name: {
            "type": option["type"],
            "elements": option.get("elements"),
            "default": option.get("default"),
            "required": option.get("required", False),
            "options": contract(option.get("suboptions", option.get("options", {}))),
        }
        for name, option in options.items()
    }


def test_what_is_taken_is_what_is_documented():
    documented = yaml.safe_load(nginx_configuration.DOCUMENTATION)["options"]
    assert contract(nginx_configuration.ARGUMENT_SPEC) == contract(documented)


def test_every_option_reaches_the_switch():
    taken = set(inspect.signature(configuration.switch).parameters)
    assert taken == {*nginx_configuration.ARGUMENT_SPEC, "check_mode"}


def test_what_is_returned_is_what_is_documented(capsys, monkeypatch, arguments):
    result = run_main(capsys, monkeypatch, arguments)
    documented = set(yaml.safe_load(nginx_configuration.RETURN))
    assert set(result) - {"invocation"} == {*documented, "changed", "diff"}


def test_the_module_switches_once(capsys, monkeypatch, arguments, tmp_path):
    assert run_main(capsys, monkeypatch, arguments)["applied"] == "reloaded"
    assert (tmp_path / "b.conf").read_text() == "# Managed by edge.mtls\n"
    assert run_main(capsys, monkeypatch, arguments)["changed"] is False


def test_the_module_in_check_mode_shows_the_difference(capsys, monkeypatch, arguments, tmp_path):
    del arguments["nginx_path"]
    result = run_main(capsys, monkeypatch, {**arguments, "_ansible_check_mode": True}, None)
    assert result["changed"] is True
    assert [diff["after"] for diff in result["diff"]] == [
        "# Managed by edge.mtls\n",
        "link to a.conf\n",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_fails_the_task_in_one_sentence(capsys, monkeypatch, arguments, tmp_path):
    result = run_main(capsys, monkeypatch, arguments, BadNginx)
    assert result["failed"] is True
    assert result["msg"] == (
        "nginx refuses the configuration: [emerg] bogus; everything was put back"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
