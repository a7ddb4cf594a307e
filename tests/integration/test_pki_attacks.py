# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks on a store: kills, a crowd, a full disk. Whatever happens, it stays consistent."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import keys
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    certificate_fingerprint,
    certificate_from_pem,
)
from ansible_collections.edge.mtls.plugins.modules import (
    authority,
    certificate_request,
    certificates,
)

PAGE = 4096


def keep_authority(store, name="root", check_mode=False):
    return authority.run(
        {
            "store_path": str(store),
            "name": name,
            "common_name": f"{name} CA",
            "issuer": None,
            "key_type": "P-256",
            "valid_days": 3650,
            "path_length": None,
        },
        check_mode,
    )


def keep(store, names, turn=0, check_mode=False):
    """Keep clients; another ``turn`` is another common name, so that each is issued anew."""
    wanted = [
        {
            "name": name,
            "profile": "client",
            "state": "present",
            "issuer": "root",
            "common_name": f"{name} {turn}",
            "subject_alternative_names": [],
            "key_type": "P-256",
            "valid_days": 365,
            "renew_before_days": 30,
            "request": None,
            "pkcs12": True,
        }
        for name in names
    ]
    return certificates.run({"store_path": str(store), "certificates": wanted}, check_mode)


def audit(store: Path) -> int:
    """Check all that must hold at any instant; return how many certificates the index knows."""
    index = store / "index.sqlite3"
    if not index.exists():
        left = {path.name for path in store.iterdir()} if store.exists() else set()
        assert left <= {".lock", ".gitignore"}
        return 0
    connection = sqlite3.connect(index)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not connection.execute("PRAGMA user_version").fetchone()[0]:
            assert not (store / "generations").exists()
            return 0
        known = dict(
            connection.execute("SELECT fingerprint_sha256, serial_number FROM certificate")
        )
    finally:
        connection.close()
    assert len(set(known.values())) == len(known)
    for path in store.rglob("*.pem"):
        text = path.read_bytes()
        if path.name != "key.pem" and text.endswith(b"-----END CERTIFICATE-----\n"):
            found = certificate_from_pem(text, str(path))
            assert certificate_fingerprint(found) in known, f"{path} is not in the index"
        if path.name == "key.pem":
            assert path.stat().st_mode & 0o077 == 0
    for current in [*store.glob("authorities/[!.]*"), *store.glob("clients/[!.]*")]:
        found = certificate_from_pem((current / "certificate.pem").read_bytes(), "certificate")
        key = keys.key_from_pem((current / "key.pem").read_bytes(), "key")
        assert certificate_fingerprint(found) in known
        assert key.public_key() == found.public_key(), f"{current}: the key is another's"
        chain = (current / "fullchain.pem").read_bytes()
        assert chain.startswith((current / "certificate.pem").read_bytes())
        if current.parent.name == "clients":
            assert (current / f"{current.name}.p12.passphrase").stat().st_size > 20
    return len(known)


def assert_healthy(store, names, turn):
    """Let the next run heal what is left, and see that a further one has nothing to do."""
    keep_authority(store)
    keep(store, names, turn)
    audit(store)
    assert keep_authority(store)["changed"] is False
    assert keep(store, names, turn)["changed"] is False
    assert (store / ".gitignore").read_text().endswith("\n*\n")
    left = [path for path in store.glob("*/.*") if path.name.endswith(".new")]
    assert left == []


def child(function, *arguments):
    """Run a function in a process of its own; return its id and where its result is read."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reader)
        try:
            said = json.dumps(function(*arguments))
        except BaseException as error:  # noqa: BLE001
            said = json.dumps(repr(error))
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    return process, reader


def said_by(process, reader):
    with os.fdopen(reader) as file:
        said = file.read()
    os.waitpid(process, 0)
    return json.loads(said) if said else None


def at_once(functions):
    """Start all functions at the same instant, each in its process; return their results."""
    start = time.monotonic() + 0.1

    def wait_and_run(function):
        time.sleep(max(0, start - time.monotonic()))
        return function()

    return [said_by(*each) for each in [child(wait_and_run, function) for function in functions]]


# Kills


def issue_for_ever(store, names, turn):
    keep_authority(store)
    while True:
        turn += 1
        keep(store, names, turn)


def kill_after(seconds, function, *arguments):
    process, reader = child(function, *arguments)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    assert said_by(process, reader) is None, "it ended before it was killed"


def test_a_kill_at_any_instant_leaves_the_store_consistent(tmp_path):
    store, names = tmp_path / "store", ["a", "b", "c"]
    keep_authority(store)
    chance = random.Random(1)
    seen = set()
    for turn in range(40):
        kill_after(chance.uniform(0.001, 0.08), issue_for_ever, store, names, turn * 1000)
        seen.add(audit(store))
        if turn % 8 == 7:
            assert_healthy(store, names, turn)
    # The kills did hit it at work.
    assert len(seen) > 4
    assert_healthy(store, names, -1)


def test_a_kill_while_a_store_is_made_leaves_one_that_can_be_made(tmp_path):
    chance = random.Random(2)
    seen = set()
    for attempt in range(40):
        store = tmp_path / f"store{attempt}"
        kill_after(chance.uniform(0.001, 0.03), issue_for_ever, store, ["a"], 0)
        seen.add(audit(store) if store.exists() else None)
        if attempt % 4 == 3:
            assert_healthy(store, ["a"], -1)
    assert len(seen) > 1


WRITERS = ["_write_gitignore", "publish", "_write", "_write_durably", "_sync_folder", "record"]


def kill_at_line(number, function, *arguments):
    """Run a function in a process that is killed at the n-th line that it runs of the writers.

    Return whether it was killed, or came to its end before.
    """

    def work():
        left = number

        def trace(frame, event, _argument):
            nonlocal left
            if frame.f_code.co_name not in WRITERS or "/pki/" not in frame.f_code.co_filename:
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        function(*arguments)
        return "done"

    return said_by(*child(work)) is None


def test_a_kill_at_each_line_of_an_issue_leaves_the_store_consistent(tmp_path):
    store = tmp_path / "store"
    keep_authority(store)
    keep(store, ["a"])
    for line in itertools.count(1):
        current = os.readlink(store / "clients/a")
        known = audit(store)
        was_killed = kill_at_line(line, keep, store, ["a"], line)
        # The index may know one that has no files; it never lacks one that has.
        assert audit(store) - known in (0, 1)
        if os.readlink(store / "clients/a") != current:
            assert audit(store) - known == 1
        if not was_killed:
            break
    assert line > 80
    assert_healthy(store, ["a"], 0)


def test_a_kill_at_each_line_of_making_a_store_leaves_one_that_can_be_made(tmp_path):
    for line in itertools.count(1):
        store = tmp_path / f"store{line}"
        was_killed = kill_at_line(line, keep_authority, store)
        if store.exists():
            audit(store)
        assert_healthy(store, [], 0)
        if not was_killed:
            break
    assert line > 60


def test_a_kill_while_a_host_makes_its_key_leaves_a_whole_key_or_none(tmp_path):
    def make_keys(folder):
        number = 0
        while True:
            number += 1
            options = {"common_name": "app", "subject_alternative_names": [], "key_type": "P-256"}
            certificate_request.run({"key_path": f"{folder}/{number}/key.pem", **options}, False)

    chance = random.Random(3)
    for attempt in range(20):
        folder = tmp_path / str(attempt)
        kill_after(chance.uniform(0.001, 0.03), make_keys, folder)
        for path in folder.glob("*/key.pem"):
            keys.key_from_pem(path.read_bytes(), str(path))
            assert path.stat().st_mode & 0o777 == 0o600


# A crowd


def test_eight_writers_at_once_issue_each_certificate_once(tmp_path):
    store = tmp_path / "store"
    shared = [f"shared{number}" for number in range(5)]

    def write(own):
        made = keep_authority(store)["changed"]
        result = keep(store, [*shared, own])
        issued = [
            each["serial_number"]
            for each in result["certificates"].values()
            if each["action"] == "issue"
        ]
        return [made, issued, result["certificates"]["client/shared0"]["serial_number"]]

    said = at_once([lambda own=f"own{number}": write(own) for number in range(8)])
    assert [each for each in said if isinstance(each, str)] == []
    assert [made for made, _issued, _first in said].count(True) == 1
    serials = [serial for _made, issued, _first in said for serial in issued]
    assert len(serials) == len(set(serials)) == 5 + 8
    assert len({first for _made, _issued, first in said}) == 1
    assert audit(store) == 1 + 5 + 8
    assert keep(store, [*shared, *(f"own{number}" for number in range(8))])["plan"] == "ok 13"


def test_controllers_that_make_the_same_authority_at_the_same_instant_get_the_same(tmp_path):
    for attempt in range(10):
        store = tmp_path / f"store{attempt}"
        said = at_once([lambda store=store: keep_authority(store)] * 3)
        assert [each for each in said if isinstance(each, str)] == []
        assert sorted(each["changed"] for each in said) == [False, False, True]
        assert len({each["fingerprint_sha256"] for each in said}) == 1
        assert audit(store) == 1


# Disks


@contextmanager
def disk(path: Path, size: int):
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


FULL = re.compile("^(the store|the index|/).* can't be (written|used): .*(space|full)")


def test_a_disk_that_fills_up_at_any_point_leaves_the_store_consistent(tmp_path):
    names = ["a", "b"]
    with disk(tmp_path / "disk", 100 * PAGE) as folder:
        store = folder / "store"
        keep_authority(store)
        keep(store, names)
        outcomes = []
        for pages in range(30):
            leave_free(folder, pages)
            outcomes.append(error_of(keep, store, names, pages + 1))
            audit(store)
            # Nothing of a failed issue is left to fill the disk still more.
            for generation in store.glob("generations/clients/*/*"):
                assert len(list(generation.iterdir())) == 5
            if not outcomes[-1]:
                break
        assert len(outcomes) > 5
        assert outcomes.pop() == ""
        assert [each for each in outcomes if not FULL.search(each)] == []
        (folder / "ballast").unlink()
        assert_healthy(store, names, -1)


def test_a_full_disk_keeps_a_store_from_being_made_and_says_so(tmp_path):
    with disk(tmp_path / "disk", 400 * PAGE) as folder:
        outcomes = []
        for pages in range(40):
            leave_free(folder, pages)
            outcomes.append(error_of(keep_authority, folder / f"store{pages}"))
            if (folder / f"store{pages}").exists():
                audit(folder / f"store{pages}")
            if not outcomes[-1]:
                break
        assert len(outcomes) > 5
        assert outcomes.pop() == ""
        assert [each for each in outcomes if not FULL.search(each)] == []
        # What was begun is taken up once there is room.
        for store in folder.glob("store*"):
            (folder / "ballast").unlink(missing_ok=True)
            assert_healthy(store, [], 0)


def test_a_read_only_disk_is_named_before_anything_is_tried(tmp_path):
    with disk(tmp_path / "disk", 100 * PAGE) as folder:
        store = folder / "store"
        keep_authority(store)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        for check_mode in (True, False):
            with pytest.raises(MtlsError, match=f"store_path {store}: user .* can't write to"):
                keep(store, ["a"], check_mode=check_mode)
            with pytest.raises(MtlsError, match=f"can't write to {folder}; name another folder"):
                keep_authority(folder / "another/store", check_mode=check_mode)
