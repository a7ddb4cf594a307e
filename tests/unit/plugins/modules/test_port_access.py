# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""edge.mtls.port_access: options in, actions out."""

from __future__ import annotations

import inspect
import json

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.edge.mtls.plugins.module_utils import guards
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.modules import port_access


class Wall(guards.Guard):
    """A guard that is always there and keeps everything shut until it is opened."""

    name = "wall"

    def __init__(self):
        self.opened = []

    def is_active(self):
        return True

    def leaves_shut(self, port):
        if port == 1:
            raise MtlsError("port 1: not this one")
        return port not in self.opened

    def open(self, port):
        self.opened.append(port)

    def close(self, port):
        self.opened.remove(port)


@pytest.fixture
def wall(monkeypatch):
    wall = Wall()
    monkeypatch.setattr(guards, "GUARDS", (wall,))
    return wall


def run_main(capsys, arguments):
    """Run the module as it runs on a host, and return what it prints."""
    with patch_module_args(arguments), pytest.raises(SystemExit):
        port_access.main()
    return json.loads(capsys.readouterr().out)


def test_every_option_reaches_the_guards():
    taken = set(inspect.signature(guards.open_ports).parameters)
    assert taken == {*port_access.ARGUMENT_SPEC, "check_mode"}


def test_a_port_is_opened_once(capsys, wall, tmp_path):
    arguments = {"ports": [443], "state_path": str(tmp_path)}
    result = run_main(capsys, arguments)
    assert set(result) - {"invocation"} == {*yaml.safe_load(port_access.RETURN), "changed", "diff"}
    assert result["diff"] == {"before": "", "after": "wall: open port 443/tcp\n"}
    assert wall.opened == [443]
    assert run_main(capsys, arguments)["changed"] is False


def test_check_mode_opens_nothing(capsys, wall, tmp_path):
    arguments = {"ports": [443], "state_path": str(tmp_path), "_ansible_check_mode": True}
    assert run_main(capsys, arguments)["actions"] == ["wall: open port 443/tcp"]
    assert (wall.opened, list(tmp_path.iterdir())) == ([], [])


def test_what_cannot_be_opened_fails_the_task(capsys, wall, tmp_path):
    result = run_main(capsys, {"ports": [443, 1], "state_path": str(tmp_path)})
    assert (result["failed"], result["msg"]) == (True, "port 1: not this one")
    assert wall.opened == []
