# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are full at any point, limited, or read-only: nothing is lost, and it is said."""

from __future__ import annotations

import os
import re
import resource
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import packs
from ansible_collections.edge.mtls.tests.integration import pki_story as story
from ansible_collections.edge.mtls.tests.integration.pki_attack import (
    Pki,
    audit,
    child,
    memory_folder,
    said_by,
)

PAGE = 4096
CHAPTERS = [story.found, story.issue, story.pack_again, story.give_passphrase, story.revoke]
CHAPTERS += [story.change_passphrase, story.prepare, story.sign, story.move, story.adopt]
CHAPTERS += [story.request, story.forget, story.rebuild]
FULL = re.compile("^(the store |the index |store_path )?/[^ ]+ can't be (written|used|made): .*")


@pytest.fixture(scope="module")
def memory():
    with memory_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def stages(memory):
    return story.Stages(memory)


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    """Stretch no passphrase, which takes longer than all the rest."""
    monkeypatch.setattr(packs, "MANY_ROUNDS", packs.FEW_ROUNDS)


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", 400 * PAGE) as path:
        yield path


@contextmanager
def small_disk(path: Path, size: int):
    """Mount a small disk of its own."""
    path.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(path)]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a small disk: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def leave_free(folder: Path, pages: int) -> None:
    """Fill a disk so that this many pages are left."""
    ballast = folder / "ballast"
    ballast.unlink(missing_ok=True)
    free = os.statvfs(folder).f_bavail
    with ballast.open("wb") as file:
        file.write(b"x" * (free - pages) * PAGE)


def error_of(function, *arguments) -> str:
    """Return the error's text, or nothing when there is none."""
    try:
        function(*arguments)
    except MtlsError as error:
        return str(error)
    return ""


def certificates_in(store: Path) -> set[str]:
    """Return every certificate that was ever issued and whose files are there."""
    return {path.read_text() for path in store.glob("generations/*/*/*/certificate.pem")}


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.__name__)
def test_a_disk_that_fills_up_at_any_point_loses_nothing(stages, disk, chapter):
    store = disk / "store"
    outcomes = []
    for pages in range(100):
        (disk / "ballast").unlink(missing_ok=True)
        pki = stages.bring(chapter, store)
        before = certificates_in(store)
        leave_free(disk, pages)
        outcomes.append(error_of(chapter, pki, stages.elsewhere))
        audit(store, may_lack_index=chapter is story.rebuild)
        if chapter is not story.forget:
            assert before <= certificates_in(store)
        assert not list(store.glob("staging/*")), "what failed makes the disk still fuller"
        if not outcomes[-1]:
            break
        (disk / "ballast").unlink()
        stages.complete(chapter, pki)
    assert outcomes.pop() == ""
    assert [
        each for each in outcomes if not re.search(f"{FULL.pattern}(space left|full)", each)
    ] == []
    assert outcomes or chapter is story.forget


LIMITED = [story.found, story.issue, story.pack_again, story.revoke, story.prepare]


@pytest.mark.parametrize("chapter", LIMITED, ids=lambda chapter: chapter.__name__)
def test_a_limit_that_is_met_in_the_middle_of_a_file_loses_nothing(stages, memory, chapter):
    store = memory / "limited"

    def tell(limit, pki):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return error_of(chapter, pki, stages.elsewhere)

    outcomes = []
    stages.bring(chapter, store)
    index = store / "index.sqlite3"
    size = index.stat().st_size if index.exists() else 0
    limits = [0, 100, 700, 1500, *range(size, size + 40 * PAGE, 2 * PAGE)]
    for limit in limits:
        pki = stages.bring(chapter, store)
        outcomes.append(said_by(*child(tell, limit, pki)))
        audit(store)
        stages.complete(chapter, pki)
        if not outcomes[-1]:
            break
    assert outcomes.pop() == ""
    assert len(outcomes) > 2
    words = "(File too large|disk I/O error|full)"
    assert [each for each in outcomes if not re.search(f"{FULL.pattern}{words}", each)] == []


def test_a_read_only_disk_is_named_before_anything_is_tried(disk):
    store = disk / "store"
    pki = Pki(store)
    pki.authority()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    named = f"store_path {store}: user .* can't write to {store}; name another folder, or mend"
    for check_mode in (True, False):
        for attempt in (
            lambda mode=check_mode: pki.authority(check_mode=mode),
            lambda mode=check_mode: pki.clients(["a"], check_mode=mode),
            lambda mode=check_mode: pki.revocations(check_mode=mode),
            lambda mode=check_mode: pki.rebuild(check_mode=mode),
        ):
            with pytest.raises(MtlsError, match=named):
                attempt()
        with pytest.raises(MtlsError, match=f"can't write to {disk}; name another folder"):
            Pki(disk / "another/store").authority(check_mode=check_mode)
    # What only reads needs nothing more.
    assert pki.info()["counts"]["valid"] == 1
