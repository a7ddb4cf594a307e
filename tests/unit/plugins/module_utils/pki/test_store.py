# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: where it may be, what it looks like on disk, and who may work on it."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
import threading
from pathlib import Path

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import serial_number_text
from ansible_collections.edge.mtls.plugins.module_utils.pki.index import SCHEMA_VERSION, Index
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    NOW,
    as_nobody,
    certificate,
    keep,
    keep_authority,
    rows,
    tree,
    wanted,
)


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


@pytest.fixture
def open_folder():
    """A folder that every user can reach; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("store", id="relative"),
        pytest.param("./store", id="relative to here"),
        pytest.param("", id="empty"),
        pytest.param("~/store", id="not expanded"),
    ],
)
def test_a_path_that_is_not_absolute_is_refused(path):
    with pytest.raises(MtlsError, match=f"store_path '{path}' must be an absolute path"):
        Store(path)


def test_a_file_where_the_store_should_be_is_named(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "store"):
        with pytest.raises(MtlsError, match=f"store_path {path}: {file} is not a folder"):
            Store(str(path)).check_usable()


def test_a_symlink_to_nowhere_is_named(tmp_path):
    (tmp_path / "store").symlink_to("nowhere")
    with pytest.raises(MtlsError, match=r"/store is not a folder"):
        Store(str(tmp_path / "store")).check_usable()


def test_a_symlink_to_a_folder_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "store").symlink_to("real")
    assert keep_authority(Store(str(tmp_path / "store")))["changed"]
    assert (tmp_path / "real/index.sqlite3").exists()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    store = Store(str(tmp_path))
    before = tree(tmp_path)
    with pytest.raises(MtlsError, match=r"neither empty nor a store: it holds thesis\.tex and no"):
        keep_authority(store)
    with pytest.raises(MtlsError, match="neither empty nor a store"), store.locked():
        pass
    assert tree(tmp_path) == before


def test_an_empty_folder_becomes_a_store(tmp_path):
    assert keep_authority(Store(str(tmp_path)))["changed"]


def test_a_store_that_was_begun_and_not_filled_is_taken_up(tmp_path):
    for name in (".gitignore", ".lock"):
        (tmp_path / name).touch()
    store = Store(str(tmp_path))
    assert keep_authority(store)["changed"]
    assert (tmp_path / ".gitignore").read_text().endswith("\n*\n")


def test_a_store_whose_index_was_lost_is_not_filled_anew(store):
    keep_authority(store)
    (store.path / "index.sqlite3").unlink()
    before = tree(store.path)
    with pytest.raises(
        MtlsError,
        match=r"holds authorities and no index\.sqlite3; bring the index back, or make it anew",
    ):
        keep_authority(store)
    with pytest.raises(MtlsError, match="bring the index back"):
        keep(store, wanted())
    assert tree(store.path) == before


def test_a_folder_of_somebody_else_is_named_with_the_user(open_folder):
    path = open_folder / "theirs/store"
    said = as_nobody(Store(str(path)).check_usable)
    assert said == (
        f"store_path {path}: user nobody can't write to {open_folder}; name another folder, or "
        "mend its owner and permissions"
    )


@pytest.mark.parametrize("bits", [0o700, 0o733], ids=["closed", "not readable"])
def test_a_folder_that_cannot_be_searched_or_read_is_named(open_folder, bits):
    closed = open_folder / "closed"
    closed.mkdir()
    closed.chmod(bits)
    assert f"can't write to {closed}" in as_nobody(Store(str(closed)).check_usable)
    assert f"can't write to {closed}" in as_nobody(Store(str(closed / "store")).check_usable)


def test_a_store_of_somebody_else_is_named_with_the_user(open_folder):
    store = Store(str(open_folder / "store"))
    keep_authority(store)
    said = as_nobody(lambda: keep(store, wanted(), now=NOW))
    assert "user nobody can't write to" in said


def test_check_usable_makes_nothing(store):
    before = tree(store.path.parent)
    store.check_usable()
    assert not store.exists
    assert tree(store.path.parent) == before


def test_only_the_owner_can_read_what_is_secret(store):
    old_umask = os.umask(0)
    try:
        keep_authority(store)
        keep(store, wanted(packs=["pkcs12"]))
    finally:
        os.umask(old_umask)
    modes = {path.name: mode(path) for path in store.path.rglob("*") if path.is_file()}
    assert modes == {
        ".gitignore": modes[".gitignore"],
        ".lock": 0o600,
        "index.sqlite3": 0o600,
        "certificate.pem": 0o644,
        "fullchain.pem": 0o644,
        "key.pem": 0o600,
        "root.pem": 0o644,
        "client1.p12": 0o600,
        "client1.p12.passphrase": 0o600,
    }
    folders = [path for path in store.path.rglob("*") if path.is_dir() and not path.is_symlink()]
    assert {mode(path) for path in [store.path, *folders]} == {0o700}


def test_the_umask_of_the_process_is_given_back(store):
    old_umask = os.umask(0o027)
    try:
        keep_authority(store)
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(old_umask)


def test_git_never_takes_anything_of_a_store(store):
    keep_authority(store)
    lines = (store.path / ".gitignore").read_text().splitlines()
    assert "*" in lines


def test_a_gitignore_of_the_users_own_stays(store):
    store.path.mkdir()
    (store.path / ".gitignore").write_text("*\n!README\n")
    keep_authority(store)
    assert (store.path / ".gitignore").read_text() == "*\n!README\n"


def test_the_current_files_are_one_generation(store):
    keep_authority(store)
    keep(store, wanted())
    current = store.folder("client", "client1")
    first = os.readlink(current)
    serial = serial_number_text(certificate(current / "certificate.pem"))
    assert first == f"../generations/clients/client1/{serial}"
    keep(store, wanted(common_name="other"))
    assert os.readlink(current) != first
    # The old one stays, for whoever still has a file of it open.
    assert (current.parent / first / "key.pem").exists()
    assert [path.name for path in current.parent.iterdir()] == ["client1"]


def test_what_a_kill_left_behind_is_no_obstacle(store):
    keep_authority(store)
    (store.path / "clients").mkdir()
    (store.path / "staging").mkdir()
    (store.path / "staging/client1.link").symlink_to("../generations/clients/client1/00")
    (store.path / "staging/0").mkdir()
    (store.path / "generations/clients/client1/00").mkdir(parents=True)
    keep(store, wanted())
    assert (store.folder("client", "client1") / "key.pem").exists()
    assert [path.name for path in (store.path / "clients").iterdir()] == ["client1"]
    assert not (store.path / "staging").exists()


def test_an_index_of_a_later_version_is_not_touched(store):
    keep_authority(store)
    with sqlite3.connect(store.path / "index.sqlite3") as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = tree(store.path)
    with pytest.raises(MtlsError, match="was written by a later version of this collection"):
        keep(store, wanted())
    assert tree(store.path) == before


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"no database at all, just a text of some length\n" * 99, id="a text"),
        pytest.param(b"SQLite format 3\0" + b"\xff" * 4080, id="only the first bytes of one"),
    ],
)
def test_an_index_that_is_damaged_is_named(store, content):
    keep_authority(store)
    (store.path / "index.sqlite3").write_bytes(content)
    with pytest.raises(MtlsError, match=r"the index .*index\.sqlite3 can't be used"):
        keep(store, wanted())
    assert (store.path / "index.sqlite3").read_bytes() == content


def test_an_index_without_its_table_is_named(store):
    keep_authority(store)
    with sqlite3.connect(store.path / "index.sqlite3") as connection:
        connection.execute("DROP TABLE certificate")
    with pytest.raises(MtlsError, match=r"the index .* can't be read: no such table"):
        keep(store, wanted())


def test_an_index_that_cannot_be_opened_is_named(store):
    keep_authority(store)
    path = store.path / "index.sqlite3"
    path.unlink()
    path.mkdir()
    with pytest.raises(MtlsError, match=r"the index .* can't be used: unable to open"):
        keep(store, wanted())


def test_an_index_that_was_begun_and_not_filled_is_taken_up(store):
    store.path.mkdir()
    (store.path / "index.sqlite3").touch()
    assert keep_authority(store)["changed"]


def test_a_serial_number_is_taken_once_per_issuer(store):
    keep_authority(store)
    [row] = rows(store, "*")
    with (
        sqlite3.connect(store.path / "index.sqlite3") as connection,
        pytest.raises(sqlite3.IntegrityError),
    ):
        connection.execute(
            f"INSERT INTO certificate VALUES ({','.join('?' * len(row))})",
            [*row[:8], "another fingerprint", *row[9:]],
        )


def test_two_openings_of_a_new_index_do_not_collide(tmp_path):
    for attempt in range(20):
        path = tmp_path / str(attempt)
        barrier = threading.Barrier(4)
        said = []

        def open_it(path=path, barrier=barrier, said=said):
            barrier.wait()
            try:
                with Index(path, writable=True) as index:
                    said.append(index.latest_issue())
            except MtlsError as error:
                said.append(str(error))

        threads = [threading.Thread(target=open_it) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said == [0] * 4


def test_whoever_waits_too_long_for_the_lock_is_told(store):
    with (
        store.locked(),
        pytest.raises(MtlsError, match=r"another run has held the store .* for 0\.1 seconds"),
        store.locked(timeout_seconds=0.1),
    ):
        pass
    with store.locked(timeout_seconds=0.1):
        pass


def test_an_error_gives_the_lock_back(store):
    with pytest.raises(ZeroDivisionError), store.locked():
        raise ZeroDivisionError
    with store.locked(timeout_seconds=0.1):
        pass
