# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transaction: what a path is, how it is changed, and how all of it comes back."""

from __future__ import annotations

import glob
import json
import os
import socket
import threading
from types import SimpleNamespace

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.nginx import transaction
from ansible_collections.edge.mtls.plugins.module_utils.nginx.transaction import (
    Change,
    Content,
    Journal,
    Link,
    changes,
    check_space,
    put,
    remove_temporaries,
    state_of,
)

UMLAUTS = "# Grüße, 世界\n"
NOT_UNICODE = b"\xff\xfe\n".decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(None, id="nothing"),
        pytest.param(Content("a\n"), id="file"),
        pytest.param(Content(""), id="empty file"),
        pytest.param(Content("a\n", 0o600), id="private file"),
        pytest.param(Content("a\n", 0o4755), id="file with an odd mode"),
        pytest.param(Content(UMLAUTS), id="unicode"),
        pytest.param(Content(NOT_UNICODE), id="not unicode"),
        pytest.param(Content("a\r\nb"), id="line ends of another system"),
        pytest.param(Link("../elsewhere/a"), id="link that leads nowhere"),
        pytest.param(Link("."), id="link to a folder"),
    ],
)
@pytest.mark.parametrize(
    "before", [None, Content("x"), Link("x")], ids=["new", "over a file", "over a link"]
)
def test_a_path_becomes_what_it_should_be(tmp_path, state, before):
    path = str(tmp_path / "a.conf")
    put(path, before)
    put(path, state)
    assert state_of(path) == state
    assert os.listdir(tmp_path) == ([] if state is None else ["a.conf"])


def test_the_mode_does_not_depend_on_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        put(str(tmp_path / "a"), Content("a"))
    finally:
        os.umask(before)
    assert state_of(str(tmp_path / "a")) == Content("a", 0o644)


def test_a_link_is_replaced_and_not_what_it_points_to(tmp_path):
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "a").symlink_to("theirs")
    put(str(tmp_path / "a"), Content("ours"))
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_folders_are_made_on_the_way(tmp_path):
    put(str(tmp_path / "a/b/c"), Content("a"))
    assert (tmp_path / "a/b/c").read_text() == "a"


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket"])
def test_what_cannot_be_put_back_is_not_touched(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if kind == "folder":
        os.mkdir("a")
    elif kind == "pipe":
        os.mkfifo("a")
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("a")
    with pytest.raises(MtlsError, match="/a is neither a file nor a link; take it out of the way"):
        changes({str(tmp_path / "a"): Content("x")})


def test_only_real_differences_are_changes(tmp_path):
    same, other, gone = (str(tmp_path / name) for name in ("same", "other", "gone"))
    put(same, Content("a"))
    put(other, Content("a"))
    assert changes({same: Content("a"), other: Content("a", 0o600), gone: None}) == [
        Change(other, Content("a"), Content("a", 0o600))
    ]


def test_a_difference_is_shown_as_ansible_shows_it():
    assert Change("/a", None, Link("b")).diff() == {
        "before_header": "/a",
        "after_header": "/a",
        "before": "",
        "after": "link to b\n",
    }


BEFORE = {
    "file": Content(UMLAUTS, 0o640),
    "binary": Content(NOT_UNICODE),
    "link": Link("file"),
    "new": None,
}


def test_a_journal_puts_everything_back(tmp_path):
    paths = {str(tmp_path / name): state for name, state in BEFORE.items()}
    for path, state in paths.items():
        put(path, state)
    journal = Journal(str(tmp_path / "state"))
    with journal.held():
        journal.begin([Change(path, state, Content("after")) for path, state in paths.items()])
    for path in paths:
        put(path, Content("after"))
    # Another run, which knows nothing but the folder.
    assert Journal(str(tmp_path / "state")).restore()
    assert {path: state_of(path) for path in paths} == paths
    assert not Journal(str(tmp_path / "state")).restore()


def test_what_was_saved_is_nobody_else_s_to_read(tmp_path):
    journal = Journal(str(tmp_path))
    journal.begin([Change("/a", None, None)])
    assert (tmp_path / ".transaction.json").stat().st_mode & 0o777 == 0o600


def test_a_good_change_leaves_no_journal(tmp_path):
    journal = Journal(str(tmp_path))
    journal.begin([Change(str(tmp_path / "a"), None, Content("a"))])
    journal.end()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{", '{"/a": '])
def test_a_damaged_journal_is_said(tmp_path, text):
    (tmp_path / ".transaction.json").write_text(text)
    with pytest.raises(MtlsError, match=r"\.transaction\.json is damaged; look at it, then remove"):
        Journal(str(tmp_path)).restore()


def test_a_second_run_waits_for_the_first(tmp_path):
    events = []

    def second():
        with Journal(str(tmp_path)).held():
            events.append("second")

    with Journal(str(tmp_path)).held():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        events.append("first")
    thread.join(5)
    assert events == ["first", "second"]


def test_nobody_sees_half_a_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    put(str(path), Content("old"))
    seen = []
    rename = os.rename
    monkeypatch.setattr(os, "fsync", lambda _descriptor: seen.append(path.read_text()))
    monkeypatch.setattr(
        os, "rename", lambda *names: (seen.append(path.read_text()), rename(*names))
    )
    put(str(path), Content("new"))
    # Written, renamed, and the folder synced.
    assert seen == ["old", "old", "new"]


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    put(str(tmp_path / "a"), Content("old"))

    def fail(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        put(str(tmp_path / "a"), Content("new"))
    assert {name: (tmp_path / name).read_text() for name in os.listdir(tmp_path)} == {"a": "old"}


def test_what_a_killed_run_left_beside_a_path_is_removed(tmp_path):
    (tmp_path / ".mtls-new-a.conf").write_text("half")
    (tmp_path / ".mtls-new-b.conf").write_text("not ours")
    remove_temporaries([str(tmp_path / "a.conf")])
    assert os.listdir(tmp_path) == [".mtls-new-b.conf"]


def test_nginx_s_patterns_pass_over_a_file_that_is_being_written(tmp_path):
    (tmp_path / f"{transaction.TEMPORARY}a.conf").touch()
    # As glob(3) has it, which nginx calls.
    assert glob.glob(f"{tmp_path}/*") == glob.glob(f"{tmp_path}/*.conf") == []


def test_a_full_disk_is_said_before_anything_is_changed(tmp_path, monkeypatch):
    usage = SimpleNamespace(free=65536 + 10)
    monkeypatch.setattr(transaction.shutil, "disk_usage", lambda _path: usage)
    fits, does_not = Change("/a", None, Content("12345")), Change("/a", None, Content("123456"))
    check_space(str(tmp_path / "not/there/yet"), [fits])
    with pytest.raises(MtlsError, match=r"the disk that holds .* is full: 64 KiB are needed"):
        check_space(str(tmp_path), [does_not])


def test_the_journal_is_plain_json(tmp_path):
    journal = Journal(str(tmp_path))
    journal.begin([Change("/a", Link("b"), None), Change("/c", None, None)])
    found = json.loads((tmp_path / ".transaction.json").read_text())
    assert found == {"/a": {"target": "b"}, "/c": None}
