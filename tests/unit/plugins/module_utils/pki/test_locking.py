# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may write a store: one run at a time, and the others are told who."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import locking
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    keep,
    keep_authority,
    wanted,
)

HOLDER = f"process {os.getpid()} on {socket.gethostname()}"


@pytest.fixture
def said():
    return []


@pytest.fixture
def store(tmp_path, said):
    return Store(str(tmp_path / "store"), said.append)


def test_whoever_waits_in_vain_is_told_who_holds_it(store):
    with store.locked(), pytest.raises(MtlsError) as caught, store.locked(timeout_seconds=0.1):
        pass
    assert str(caught.value) == (
        f"another run has held the store {store.path} for 0.1 seconds ({HOLDER}): "
        "let it finish, then try again"
    )


def test_a_long_wait_is_said_once(store, said, monkeypatch):
    monkeypatch.setattr(locking, "PATIENCE_SECONDS", 0.05)
    with store.locked(), pytest.raises(MtlsError), store.locked(timeout_seconds=0.4):
        pass
    assert said == [
        f"waiting for another run that holds the store {store.path} ({HOLDER}), at most 0.4 seconds"
    ]


def test_a_short_wait_says_nothing(store, said):
    with store.locked(), pytest.raises(MtlsError), store.locked(timeout_seconds=0.1):
        pass
    assert said == []


def test_the_next_run_goes_on_when_the_first_is_done(store):
    order, begun, done = [], threading.Event(), threading.Event()

    def first():
        with store.locked():
            begun.set()
            done.wait(5)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    begun.wait(5)
    done.set()
    with store.locked(timeout_seconds=5):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_the_lock_of_a_run_that_was_killed_is_free(store):
    keep_authority(store)
    words = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", words, str(store.path / ".lock")], check=False)
    with store.locked(timeout_seconds=0.1):
        pass


def test_nobody_is_named_once_the_lock_is_free(store):
    with store.locked():
        assert (store.path / ".lock").read_text() == HOLDER
    assert (store.path / ".lock").read_text() == ""


def test_who_has_nothing_to_do_needs_no_lock(store):
    keep_authority(store)
    keep(store, wanted())
    with store.locked():
        assert keep(store, wanted())["changed"] is False
        assert keep_authority(store)["changed"] is False


def test_a_folder_that_cannot_be_locked_is_named(store, monkeypatch):
    def refuse(*_arguments):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(locking.fcntl, "flock", refuse)
    with pytest.raises(
        MtlsError, match="can't be locked: No locks available; a shared folder must"
    ):
        keep_authority(store)


def test_a_full_disk_does_not_stop_who_only_takes_the_lock(store, monkeypatch):
    def refuse(*_arguments):
        raise OSError(28, "No space left on device")

    keep_authority(store)
    monkeypatch.setattr(os, "pwrite", refuse)
    with store.locked():
        pass
