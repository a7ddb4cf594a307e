# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a module's work is done in the controller, and when it is sent to the host."""

from __future__ import annotations

import os
import pwd
from types import SimpleNamespace

import pytest
from ansible_collections.edge.mtls.plugins.plugin_utils.in_controller import InControllerAction

ME = pwd.getpwuid(os.geteuid()).pw_name
ROOT_IS_ME = ME == "root"


class Become:
    def __init__(self, user):
        self.user = user

    def get_option(self, name, playcontext=None):
        assert name == "become_user"
        return self.user


@pytest.mark.parametrize(
    ("transport", "become", "expected"),
    [
        pytest.param("local", None, True, id="local"),
        pytest.param("ssh", None, False, id="another host"),
        pytest.param("community.docker.docker", None, False, id="a container"),
        pytest.param("ansible.builtin.ssh", Become(ME), False, id="another host, as oneself"),
        pytest.param("local", Become(ME), True, id="local, as oneself"),
        pytest.param("local", Become("nobody"), False, id="local, as somebody else"),
        pytest.param("local", Become(None), ROOT_IS_ME, id="local, as root by default"),
        pytest.param("local", Become("root"), ROOT_IS_ME, id="local, as root"),
    ],
)
def test_the_work_is_done_here_only_where_it_makes_no_other_difference(transport, become, expected):
    action = SimpleNamespace(
        _connection=SimpleNamespace(transport=transport, become=become), _play_context=None
    )
    assert InControllerAction._is_here(action) is expected
