# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that are not wanted any more: files go, the index keeps them."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    keep,
    keep_authority,
    outcome,
    rows,
    tree,
    wanted,
)


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep_authority(store)
    return store


def test_what_is_unwanted_loses_its_files_and_stays_in_the_index(store):
    keep(store, wanted("gone", packs=["pkcs12"]), wanted("stays"))
    keep(store, wanted("gone", common_name="another"))  # an older generation goes as well
    kept = tree(store.path / "generations/clients/stays")
    before = rows(store, "*")
    result = keep(store, wanted("stays"), unwanted=[("client", "gone")])
    assert (result["plan"], result["changed"]) == ("ok 1, forget 1", True)
    assert result["certificates"]["client/gone"]["reasons"] == ["not wanted any more"]
    assert list(store.path.rglob("*gone*")) == []
    assert tree(store.path / "generations/clients/stays") == kept
    assert rows(store, "*") == before
    result = keep(store, wanted("stays"), unwanted=[("client", "gone")])
    assert (result["plan"], result["changed"]) == ("ok 2", False)


def test_files_of_a_removal_that_was_killed_go_too(store):
    keep(store, wanted("gone"))
    store.folder("client", "gone").unlink()
    assert outcome(keep(store, unwanted=[("client", "gone")]))[0] == "forget"
    assert not (store.path / "generations/clients/gone").exists()


def test_a_name_that_comes_back_is_issued_anew(store):
    keep(store, wanted())
    keep(store, unwanted=[("client", "client1")])
    assert outcome(keep(store, wanted())) == ("issue", ["missing"])
    assert len(set(rows(store, "serial_number"))) == 3


def test_nothing_is_unwanted_in_a_store_that_is_not_there(tmp_path):
    result = keep(Store(str(tmp_path / "store")), unwanted=[("client", "client1")])
    assert result["changed"] is False
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        pytest.param([("client", "../authorities")], "the name '../authorities' must", id="path"),
        pytest.param([("client", "c"), ("client", "c")], "'c' is asked for twice", id="twice"),
        pytest.param([("client", "good")], "'good' is asked for twice", id="wanted as well"),
    ],
)
def test_what_cannot_be_unwanted_stops_the_whole_set(store, names, sentence):
    keep(store, wanted("c"))
    before = tree(store.path)
    with pytest.raises(MtlsError, match=sentence):
        keep(store, wanted("good"), unwanted=names)
    assert tree(store.path) == before


def test_check_mode_forgets_nothing(store):
    keep(store, wanted())
    before = tree(store.path)
    result = keep(store, unwanted=[("client", "client1")], check_mode=True)
    assert (result["plan"], result["changed"]) == ("forget 1", True)
    assert tree(store.path) == before


def test_files_that_cannot_be_removed_are_named(store, monkeypatch):
    keep(store, wanted())

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(MtlsError, match=r"clients/client1 can't be removed: Permission denied"):
        keep(store, unwanted=[("client", "client1")])
