# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a store: all of an issue or none, whatever happens in between."""

from __future__ import annotations

import os
import shutil

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import store as store_module
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    certificate,
    chain_subjects,
    file,
    files_match,
    keep,
    keep_authority,
    outcome,
    revoke,
    rows,
    wanted,
)


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep_authority(store)
    return store


def failing(function, at, error):
    """Let a function do its work until it is called for the n-th time."""
    calls = []

    def run(*arguments, **options):
        calls.append(arguments)
        if len(calls) == at:
            raise error
        return function(*arguments, **options)

    return run


ENTRIES = [wanted("a"), wanted("b"), wanted("c")]
CHANGED = [wanted(name, common_name=f"new {name}") for name in "abc"]


@pytest.mark.parametrize(
    ("function", "at"),
    [
        *(pytest.param("write_file", number, id=f"file {number}") for number in (1, 5, 9)),
        *(pytest.param("sync_files", number, id=f"sync {number}") for number in (1, 2)),
        *(pytest.param("symlink", number, id=f"link {number}") for number in (1, 3)),
        *(pytest.param("rename", number, id=f"rename {number}") for number in (1, 2, 5)),
    ],
)
@pytest.mark.parametrize(
    "error",
    [
        pytest.param(OSError(28, "No space left on device"), id="full disk"),
        pytest.param(KeyboardInterrupt(), id="killed"),
    ],
)
def test_a_write_that_fails_half_way_is_made_good_by_the_next_run(
    store, monkeypatch, function, at, error
):
    keep(store, *ENTRIES)
    with monkeypatch.context() as patch:
        holder = os if function in ("symlink", "rename") else store_module
        patch.setattr(holder, function, failing(getattr(holder, function), at, error))
        if isinstance(error, OSError):
            with pytest.raises(MtlsError, match="can't be written: No space left on device"):
                keep(store, *CHANGED)
        else:
            with pytest.raises(KeyboardInterrupt):
                keep(store, *CHANGED)
    # What is current is of one piece, the old one or the new one, and known to the index.
    assert not (store.path / "staging").exists()
    known = {fingerprint for [fingerprint] in rows(store, "fingerprint_sha256")}
    for name in "abc":
        assert files_match(store, name)
        found = certificate(file(store, "certificate.pem", entry=name))
        assert found.subject.rfc4514_string() in (f"CN={name}", f"CN=new {name}")
        text = file(store, "fullchain.pem", entry=name).read_text()
        assert chain_subjects(text) == [found.subject.rfc4514_string()]
        assert len(known) == 7
    keep(store, *CHANGED)
    assert keep(store, *CHANGED)["plan"] == "ok 3"
    serials = [serial for [serial] in rows(store, "serial_number")]
    assert len(set(serials)) == len(serials)


def test_a_store_can_be_moved(store, tmp_path):
    keep_authority(store, "low", issuer="root")
    keep(store, wanted(issuer="low", packs=["pkcs12"]))
    keep_authority(store, roll_over="prepare")
    revoke(store)
    moved = Store(str(tmp_path / "elsewhere/moved"))
    moved.path.parent.mkdir()
    shutil.move(store.path, moved.path)
    result = keep(moved, wanted(issuer="low", packs=["pkcs12"]))
    assert (outcome(result), result["changed"]) == (("ok", []), False)
    [described] = result["certificates"].values()
    assert described["key_path"].startswith(str(moved.path))
    for name, options in [("root", {}), ("low", {"issuer": "root"})]:
        assert keep_authority(moved, name, **options)["changed"] is False
    assert revoke(moved)["changed"] is False
    assert outcome(keep(moved, wanted("new", issuer="low"))) == ("issue", ["missing"])


def test_each_batch_is_on_the_disk_before_the_next_is_made(store, monkeypatch):
    monkeypatch.setattr("ansible_collections.edge.mtls.plugins.module_utils.pki.issuing.BATCH", 2)
    published = []
    real = Store.publish

    def publish(self, issues, issued_at):
        published.append([issue.entry.name for issue in issues])
        real(self, issues, issued_at)

    monkeypatch.setattr(Store, "publish", publish)
    result = keep(store, *(wanted(f"c{number}") for number in range(5)))
    assert published == [["c0", "c1"], ["c2", "c3"], ["c4"]]
    assert list(result["certificates"]) == [f"client/c{number}" for number in range(5)]


def test_long_work_says_how_far_it_is(tmp_path, monkeypatch):
    said = []
    store = Store(str(tmp_path / "store"), said.append)
    keep_authority(store)
    monkeypatch.setattr(
        "ansible_collections.edge.mtls.plugins.module_utils.pki.progress.SECONDS_BETWEEN", 0
    )
    keep(store, wanted("a"), wanted("b"))
    assert [line.split(",")[0] for line in said] == ["1/2 issued", "2/2 issued"]
    keep(store, wanted("a", packs=["der"]), wanted("b"))
    assert said[2].startswith("1/1 packed")
