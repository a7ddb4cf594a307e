# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roll-overs of a root and of one below it, in any order: nobody is locked out at any step."""

from __future__ import annotations

import random

import pytest
from ansible_collections.edge.mtls.tests.integration.pki_attack import (
    Pki,
    assert_settled,
    memory_folder,
)
from ansible_collections.edge.mtls.tests.integration.pki_world import say

STAGES = ["prepare", "sign", "move", "retire"]


@pytest.fixture(scope="module")
def memory():
    with memory_folder() as folder:
        yield folder


def orders(number: int) -> list[list[str]]:
    """Return so many of the 70 orders in which two go through four stages each."""
    chance = random.Random(5)
    # One of them waits at each of its stages while the other one goes through all.
    found = [
        [first] * stage + [second] * 4 + [first] * (4 - stage)
        for first, second in (("root", "services"), ("services", "root"))
        for stage in (1, 2, 3)
    ]
    while len(found) < number:
        found.append(chance.sample(["root", "services"] * 4, 8))
    return found


class Deployed:
    """What a site trusts and what its clients show, as they were brought there."""

    def __init__(self, pki) -> None:
        self.trust = (pki.path / "trust/root.pem").read_bytes()
        names = [("clients", "a"), ("servers", "app")]
        self.shown = [pki.current(name, "fullchain.pem", kind).read_bytes() for kind, name in names]

    def accepts(self, shown, folder) -> None:
        """See that this site's OpenSSL accepts what somebody shows."""
        (folder / "trust.pem").write_bytes(self.trust)
        for chain in shown:
            (folder / "shown.pem").write_bytes(chain)
            files = ["-CAfile", folder / "trust.pem", "-untrusted", folder / "shown.pem"]
            say("openssl", "verify", "-x509_strict", *files, folder / "shown.pem")


def keep(pki, stages):
    server = {"issuer": "services", "subject_alternative_names": ["DNS:a.example"]}
    return [
        pki.authority(roll_over=stages["root"]),
        pki.authority("services", roll_over=stages["services"]),
        pki.clients(["a"], packs=[]),
        pki.certificates({"name": "app", "profile": "server", **server}),
        pki.revocations(),
    ]


@pytest.mark.parametrize("order", orders(8), ids=lambda order: "".join(each[0] for each in order))
def test_at_each_step_all_accept_who_is_a_step_ahead_or_behind(memory, order):
    pki, stages = Pki(memory / "".join(order)), dict.fromkeys(["root", "services"])
    keep(pki, stages)
    before = Deployed(pki)
    for name in order:
        stages[name] = STAGES[0 if stages[name] is None else STAGES.index(stages[name]) + 1]
        assert any(each["changed"] for each in keep(pki, stages))
        assert [each for each in keep(pki, stages) if each["changed"]] == []
        now = Deployed(pki)
        for site in (before, now):
            for shown in (before.shown, now.shown):
                site.accepts(shown, memory)
        before = now
    assert_settled(pki.path)
