# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many runs on one store at once: each thing is done once, and nobody disturbs anybody."""

from __future__ import annotations

import os
import random
import re
import socket
import sys
import time
from functools import partial

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import locking
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.integration.pki_attack import (
    Pki,
    assert_settled,
    at_once,
    audit,
    child,
    said_by,
)

SHARED = [f"shared{number}" for number in range(4)]


def write(path, own):
    """Do what a play does; return serial numbers: of all that was issued, and of one's present."""
    pki = Pki(path)
    made = pki.authority()["changed"]
    pki.authority("services")
    results = [
        pki.clients([*SHARED, own]),
        pki.clients(["odd" if own[-1] in "13579" else "even"], issuer="services", packs=[]),
    ]
    pki.revocations({"name": own}, {"name": "shared0", "reason": "certificateHold"})
    pki.revocations()
    described = [each for result in results for each in result["certificates"].values()]
    issued = [each["serial_number"] for each in described if each["action"] == "issue"]
    return [made, issued, results[0]["certificates"]["client/shared1"]["serial_number"]]


# By which a process changes files, as Python's audit events call it.
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "os.truncate"}
CHANGES |= {"os.chmod", "os.link", "shutil.rmtree"}


def look(path):
    """Do the same in check mode, again and again; return what changed a file."""
    changes = []

    def notice(event, arguments):
        if event in CHANGES or (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        ):
            changes.append(f"{event} {arguments}")

    sys.addaudithook(notice)
    pki, until = Pki(path), time.monotonic() + 0.5
    while time.monotonic() < until:
        pki.authority(check_mode=True)
        pki.clients(SHARED, check_mode=True)
        pki.revocations(check_mode=True)
    return changes


WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def test_sixteen_at_once_issue_each_certificate_once_and_two_only_look(tmp_path):
    path = tmp_path / "store"
    owns = [f"own{number}" for number in range(14)]
    writers = [lambda own=own: write(path, own) for own in owns]
    *written, seen, seen_too = at_once([*writers, lambda: look(path), lambda: look(path)])
    assert seen == seen_too == []
    assert [made for made, _issued, _present in written].count(True) == 1
    serials = [serial for _made, issued, _present in written for serial in issued]
    assert len(serials) == len(set(serials)) == len(SHARED) + len(owns) + 2
    assert len({present for _made, _issued, present in written}) == 1
    assert audit(path) == 2 + len(serials)
    assert_settled(path)
    pki = Pki(path)
    assert pki.info()["counts"] == {
        **dict.fromkeys(["superseded", "expired"], 0),
        "valid": 2 + len(SHARED) - 1 + 2,
        "hold": 1,
        "revoked": len(owns),
    }
    assert pki.clients([*SHARED, *owns])["plan"] == f"ok {len(SHARED) - 1}, revoked {1 + len(owns)}"
    assert pki.revocations()["changed"] is False


def test_controllers_that_make_the_same_authority_at_the_same_instant_get_the_same(tmp_path):
    for attempt in range(6):
        path = tmp_path / f"store{attempt}"
        said = at_once([lambda path=path: Pki(path).authority()] * 4)
        assert sorted(each["changed"] for each in said) == [False, False, False, True]
        assert len({each["fingerprint_sha256"] for each in said}) == 1
        assert audit(path) == 1


def test_controllers_that_roll_the_same_authority_over_take_each_step_once(tmp_path):
    chance = random.Random(4)

    def roll_over(path, stage, pause_seconds):
        time.sleep(pause_seconds)
        return Pki(path).authority(roll_over=stage)

    for attempt in range(2):
        path = tmp_path / f"store{attempt}"
        Pki(path).authority()
        for stage in ("prepare", "sign", "move", "retire"):
            # So that one looks while another is in the middle of it.
            pauses = [chance.uniform(0, 0.01) for _each in range(5)]
            said = at_once([partial(roll_over, path, stage, pause) for pause in pauses])
            assert [each["changed"] for each in said].count(True) == 1
            assert len({each["fingerprint_sha256"] for each in said}) == 1
        # Itself, its successor, and that one signed by it.
        assert audit(path) == 3
        assert_settled(path)


@pytest.fixture
def holder(tmp_path):
    """Have another process hold a store for as long as it is wanted; return its path and id."""
    path = tmp_path / "store"
    Pki(path).authority()
    ready, release = os.pipe(), os.pipe()

    def hold():
        with Store(str(path)).locked():
            os.write(ready[1], b"x")
            os.read(release[0], 1)

    process, reader = child(hold)
    os.read(ready[0], 1)
    yield path, process, lambda: os.write(release[1], b"x")
    os.write(release[1], b"x")
    said_by(process, reader)
    for descriptor in (*ready, *release):
        os.close(descriptor)


def test_whoever_waits_says_for_whom_and_goes_on_when_that_one_is_done(holder, monkeypatch):
    path, process, release = holder
    monkeypatch.setattr(locking, "PATIENCE_SECONDS", 0)
    said = []

    def take(text):
        said.append(text)
        release()

    result = Pki(path).certificates({"name": "a", "issuer": "root"}, say=take)
    assert result["plan"] == "issue 1"
    by = f"(process {process} on {socket.gethostname()})"
    assert said == [
        f"waiting for another run that holds the store {path} {by}, at most 300 seconds"
    ]


def test_whoever_waited_too_long_names_the_holder_and_changes_nothing(holder):
    path, process, _release = holder
    by = re.escape(f"(process {process} on {socket.gethostname()})")
    with (
        pytest.raises(
            MtlsError, match=f"another run has held the store {path} for 0.1 seconds {by}"
        ),
        Store(str(path)).locked(timeout_seconds=0.1),
    ):
        pytest.fail("it holds the lock")
    assert audit(path) == 1


def test_whoever_has_nothing_to_write_waits_for_nobody(holder):
    path, _process, _release = holder
    pki, started = Pki(path), time.monotonic()
    assert pki.authority()["changed"] is False
    assert pki.clients(["a"], check_mode=True)["plan"] == "issue 1"
    assert pki.info()["counts"]["valid"] == 1
    assert time.monotonic() - started < 2
