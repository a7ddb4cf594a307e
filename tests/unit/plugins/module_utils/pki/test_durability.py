# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that outlive a power cut: written as a whole, and waited for."""

from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import durability, store
from ansible_collections.edge.mtls.plugins.module_utils.pki.durability import sync_files, write_file
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import keep_authority


@pytest.mark.parametrize("mode", [0o600, 0o644])
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_file_has_exactly_its_mode(tmp_path, mode, umask):
    old = os.umask(umask)
    try:
        write_file(tmp_path / "file", b"content", mode)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_file_that_is_there_is_never_written_over(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "file", b"new", 0o600)
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_link_is_never_followed(tmp_path):
    (tmp_path / "file").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "file", b"key", 0o600)
    assert not (tmp_path / "elsewhere").exists()


def test_what_the_system_takes_in_pieces_is_written_whole(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:3]))
    write_file(tmp_path / "file", b"a long content", 0o600)
    monkeypatch.undo()
    assert (tmp_path / "file").read_bytes() == b"a long content"


def test_an_error_of_the_disk_is_passed_on(tmp_path, monkeypatch):
    monkeypatch.setattr(durability, "_syncfs", lambda _descriptor: -1)
    monkeypatch.setattr(durability.ctypes, "get_errno", lambda: 5)
    with pytest.raises(OSError, match="Input/output error"):
        sync_files(tmp_path)
    with pytest.raises(MtlsError, match="can't be written: Input/output error"):
        keep_authority(store.Store(str(tmp_path / "store")))
    assert not (tmp_path / "store/authorities").exists()


def test_where_one_file_system_cannot_be_asked_all_are(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(durability, "_syncfs", None)
    monkeypatch.setattr(os, "sync", lambda: asked.append(True))
    sync_files(tmp_path)
    assert asked == [True]


def test_what_is_issued_is_on_the_disk_before_it_becomes_current(tmp_path, monkeypatch):
    seen = []
    found = store.Store(str(tmp_path / "store"))

    def look(folder):
        seen.append((folder == found.path / "staging", found.folder("authority", "root").exists()))

    monkeypatch.setattr(store, "sync_files", look)
    keep_authority(found)
    assert seen[0] == (True, False)
    assert (False, True) in seen
