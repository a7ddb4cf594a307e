# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""edge.mtls.store_index: what was added to the index."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.edge.mtls.plugins.modules import certificates, store_index
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    on_a_bare_host,
)
from ansible_collections.edge.mtls.tests.unit.plugins.modules.shared import (
    documented,
    make_root,
    run,
    run_main,
    said_by,
)


@pytest.fixture
def store_path(tmp_path):
    path = str(tmp_path / "store")
    make_root(path)
    entry = {"name": "c1", "issuer": "root"}
    run(certificates, {"store_path": path, "certificates": [entry]})
    return path


def test_what_is_returned_is_what_is_documented(store_path, capsys):
    (Path(store_path) / "index.sqlite3").unlink()
    planned = run(store_index, {"store_path": store_path}, check_mode=True)
    assert set(planned) == {*documented(store_index), "changed", "diff"}
    assert planned["diff"]["after"] == "authority/root\nclient/c1\n"
    assert not (Path(store_path) / "index.sqlite3").exists()
    assert run(store_index, {"store_path": store_path}) == planned
    again = run_main(store_index, capsys, {"store_path": store_path})
    assert (again["changed"], again["certificates"]) == (False, [])
    assert "diff" not in again


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        pytest.param("store", "store_path 'store' must be an absolute path", id="relative"),
        pytest.param("/nowhere/x", "store_path /nowhere/x holds no certificates", id="nowhere"),
        pytest.param("/etc", "store_path /etc holds no certificates of a store", id="something"),
    ],
)
def test_a_path_without_a_store_is_named(capsys, path, sentence):
    assert sentence in said_by(store_index, capsys, {"store_path": path})


def test_a_host_without_cryptography_gets_a_clear_error(tmp_path):
    for said in on_a_bare_host("store_index", {"store_path": str(tmp_path)}):
        assert said.startswith("this needs Python's cryptography 36 or newer, and there is")
