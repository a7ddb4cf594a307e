# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills (kill -9) at each change and at any instant. Whatever happens, a store is consistent."""

from __future__ import annotations

import itertools
import mmap
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.pki import keys, packs
from ansible_collections.edge.mtls.plugins.modules import certificate_request
from ansible_collections.edge.mtls.tests.integration.pki_attack import (
    PASSPHRASES,
    Elsewhere,
    Pki,
    assert_settled,
    at_once,
    audit,
    call,
    child,
    kill_after,
    memory_folder,
    said_by,
)
from ansible_collections.edge.mtls.tests.integration.pki_story import STORY, Stages, rebuild

# So many lanes of kills run at once, each on a store of its own.
CORES = 2


@pytest.fixture(scope="module")
def memory():
    with memory_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def stages(memory):
    return Stages(memory)


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    """Stretch no passphrase, which takes longer than all the rest."""
    monkeypatch.setattr(packs, "MANY_ROUNDS", packs.FEW_ROUNDS)


# At each change


# What changes files, and the functions that call the same to read.
CHANGES = ["write", "rename", "mkdir", "symlink", "unlink", "rmdir"]
CHANGES += ["execute", "executemany"]
READERS = ["_read", "_row", "_rows", "stated", "__init__", "_update", "read_bytes", "_write_holder"]


def kill_at_change(number, function, *arguments):
    """Run a function in a process that is killed at the n-th call that changes a file.

    Return whether it was killed, or came to its end before.
    """

    def work():
        left = number

        def profile(frame, event, called):
            nonlocal left
            caller = frame.f_code.co_name
            if event == "c_call" and called.__name__ in CHANGES and caller not in READERS:
                if called.__name__ == "write" and caller not in ("write_file", "write_text"):
                    return  # into memory, for an archive
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(profile)
        function(*arguments)
        sys.setprofile(None)
        return "done"

    return said_by(*child(work)) is None


def kill_at_each_change(chapter, stages, store, numbers):
    """Return how many kills the store has stood, starting each time where the chapter does."""
    for count, number in enumerate(numbers):
        pki = stages.bring(chapter, store)
        was_killed = kill_at_change(number, chapter, pki, stages.elsewhere)
        audit(store, may_lack_index=chapter is rebuild)
        stages.complete(chapter, pki)
        if not was_killed:
            return count
    return None


@pytest.mark.parametrize("chapter", STORY, ids=lambda chapter: chapter.__name__)
def test_a_kill_at_each_change_leaves_a_store_that_the_next_run_completes(memory, stages, chapter):
    lanes = [itertools.count(first + 1, CORES) for first in range(CORES)]
    kills = at_once(
        [
            lambda store=memory / f"killed{first}", numbers=numbers: kill_at_each_change(
                chapter, stages, store, numbers
            )
            for first, numbers in enumerate(lanes)
        ]
    )
    assert sum(kills) > 5
    print(f"{chapter.__name__}: killed at {sum(kills)} changes")


# At any instant


class Worker:
    """Does one thing after the other that writes a store, from wherever the last one was killed."""

    CLIENTS = ("c0", "c1", "c2")
    HANDED_OVER = ("h0", "h1")

    def __init__(self, store, elsewhere, turn) -> None:
        self.chance = random.Random(turn)
        self.pki = Pki(store, self.chance.choice(PASSPHRASES))
        self.elsewhere = elsewhere

    def settle(self):
        """Keep everything as it is always wanted; return the results."""
        services = {"issuer": "services", "subject_alternative_names": ["DNS:a.example"]}
        return [
            *(self.pki.authority(name) for name in ("root", "services")),
            self.pki.authority("above", issuer="root"),
            self.pki.authority("deep", issuer="above"),
            self.pki.clients(self.CLIENTS, reissue_revoked=True),
            self.pki.certificates(
                {"name": "s0", "profile": "server", **services},
                {"name": "p0", "profile": "peer", "packs": ["der"], **services},
            ),
            *(each for name in ("below0", "below1", "below2") for each in self._adopt(name)),
            self.pki.revocations(),
        ]

    def issue(self):
        turn = self.chance.randrange(10**6)
        packs = self.chance.choice([["pkcs12"], ["pkcs12", "der"], []])
        self.pki.clients(self.CLIENTS, turn, packs=packs, reissue_revoked=True)

    def pack(self):
        packs = self.chance.choice([["pkcs12", "zip"], ["pkcs12", "tar"], ["mobileconfig"]])
        self.pki.clients(self.HANDED_OVER, packs=packs, reissue_revoked=True)

    def revoke(self):
        reason = self.chance.choice(["superseded", "certificateHold", "certificateHold"])
        self.pki.revocations({"name": self.chance.choice(self.CLIENTS), "reason": reason})

    def release(self):
        held = {each["serial_number"] for each in self.pki.info(states=["hold"])["certificates"]}
        self.pki.revocations(*({"serial_number": each, "state": "released"} for each in held))

    def roll_over(self):
        states = {name: self.pki.authority(name)["state"] for name in ("root", "services")}
        rolling = [name for name, state in states.items() if state != "live"]
        name = (rolling or [self.chance.choice(list(states))])[0]
        stages = ["live", "prepare", "sign", "move", "retire"]
        following = stages[stages.index(states[name]) + 1]
        if following == "retire":
            self.pack()
            self.settle()
        self.pki.authority(name, roll_over=following)
        self.pki.revocations()

    def change_passphrase(self):
        self.pki.passphrase = PASSPHRASES[self.pki.passphrase == PASSPHRASES[0]]
        self.pki.authority("services")

    def adopt(self):
        self._adopt(f"below{self.chance.randrange(3)}")

    def _adopt(self, name):
        corporate = str(self.elsewhere.certificate_path)
        results = [self.pki.authority("corporate", certificate_path=corporate)]
        path = "/it/may/go/once/it/was/adopted"
        if not (self.pki.path / "authorities" / name).exists():
            results.append(self.pki.authority(name, issuer="corporate"))
            path = self.elsewhere.sign(Path(results[-1]["request_path"]))
        options = {"issuer": "corporate", "certificate_path": str(path)}
        return [*results, self.pki.authority(name, **options)]

    def renew_adopted(self):
        self.elsewhere.renew()
        self.adopt()

    def forget(self):
        name = self.chance.choice(self.HANDED_OVER)
        self.pack()
        # Its older ones would keep their issuer from being retired for ever.
        self.pki.revocations({"name": name, "reason": "cessationOfOperation"})
        self.pki.certificates({"name": name, "state": "absent"})

    def rebuild(self):
        self.pki.rebuild()


WORK = [Worker.settle, Worker.issue, Worker.pack, Worker.revoke, Worker.release, Worker.roll_over]
WORK += [Worker.change_passphrase, Worker.adopt, Worker.renew_adopted, Worker.forget]
KILLS, KILLS_OF_A_STORE = 220, 22
NOTHING = len(WORK)


def work_for_ever(store, elsewhere, turn, at_work):
    worker = Worker(store, elsewhere, turn)
    if (store / "authorities/services").exists():
        # Another passphrase than the last worker's, half of the time.
        worker.pki.authority("services")
    else:
        at_work[0] = WORK.index(Worker.settle)
        worker.settle()
    for number in itertools.count(turn // CORES):
        at_work[0] = number % NOTHING
        WORK[at_work[0]](worker)


def kill_at_any_instant(folder, turns):
    """Return what each kill has hit, and how many hit it while files were written."""
    folder.mkdir()
    elsewhere, at_work = Elsewhere(folder / "elsewhere"), mmap.mmap(-1, 1)
    chance, hit, writing = random.Random(turns[0]), [], 0
    for count, turn in enumerate(turns):
        store, at_work[0] = folder / f"store{count // KILLS_OF_A_STORE}", NOTHING
        kill_after(
            chance.uniform(0, chance.choice([0.02, 0.06])),
            *(work_for_ever, store, elsewhere, turn, at_work),
            is_ready=lambda: at_work[0] != NOTHING,
        )
        hit.append(WORK[at_work[0]].__name__)
        writing += (store / "staging").exists()
        audit(store)
        if count % (KILLS_OF_A_STORE // 2) == 1:
            Worker(store, elsewhere, turn).settle()
            again = Worker(store, elsewhere, turn).settle()
            assert [each for each in again if each["changed"]] == []
            assert_settled(store)
    return hit, writing


def test_a_kill_at_any_instant_leaves_a_consistent_store(tmp_path):
    lanes = [range(first, KILLS, CORES) for first in range(CORES)]
    said = at_once(
        [
            lambda folder=tmp_path / f"lane{first}", turns=turns: kill_at_any_instant(folder, turns)
            for first, turns in enumerate(lanes)
        ]
    )
    hit = Counter(each for lane, _writing in said for each in lane)
    writing = sum(writing for _lane, writing in said)
    print(f"{hit.total()} kills: {hit}; {writing} while files were written")
    assert hit.total() == KILLS
    assert set(hit) == {each.__name__ for each in WORK}
    assert writing > KILLS / 50


def test_a_kill_while_a_host_makes_its_key_leaves_a_whole_key_or_none(tmp_path):
    def make_keys(folder):
        for number in itertools.count():
            path = f"{folder}/{number}/key.pem"
            call(certificate_request, key_path=path, common_name="app")

    chance = random.Random(3)
    for attempt in range(20):
        folder = tmp_path / str(attempt)
        kill_after(chance.uniform(0.001, 0.03), make_keys, folder)
        for path in folder.glob("*/key.pem"):
            keys.key_from_pem(path.read_bytes(), str(path))
            assert path.stat().st_mode & 0o777 == 0o600
