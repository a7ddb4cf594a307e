# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A story whose chapters are everything that writes a store, one after the other.

Each chapter returns the results of its calls, and can be told again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible_collections.edge.mtls.tests.integration.pki_attack import (
    PACK_PASSPHRASE,
    PASSPHRASES,
    Elsewhere,
    Pki,
    assert_settled,
)

SERVER = {"profile": "server", "issuer": "services", "subject_alternative_names": ["DNS:a.example"]}


def found(pki, _elsewhere):
    return [pki.authority(), pki.authority("services")]


def issue(pki, _elsewhere, turn=0):
    names = {"name": "a", "issuer": "root", "packs": ["pkcs12"], "common_name": f"a {turn}"}
    others = [
        {"name": "b", "issuer": "services", "common_name": f"b {turn}"},
        {"name": "c", "issuer": "root"},
    ]
    return [pki.certificates(names, *others, {"name": "app", **SERVER})]


def reissue(pki, elsewhere):
    return issue(pki, elsewhere, turn=1)


def pack_again(pki, _elsewhere):
    return [pki.clients(["a"], 1, packs=["pkcs12", "zip"])]


def give_passphrase(pki, _elsewhere):
    given = {"a": PACK_PASSPHRASE}
    return [pki.clients(["a"], 1, packs=["pkcs12", "zip"], pack_passphrases=given)]


def revoke(pki, _elsewhere):
    gone = {"name": "a", "reason": "keyCompromise"}
    return [pki.revocations(gone, {"name": "b", "reason": "certificateHold"})]


def release(pki, _elsewhere):
    return [pki.revocations({"name": "b", "state": "released"})]


def change_passphrase(pki, _elsewhere):
    pki.passphrase = PASSPHRASES[1]
    return [pki.authority("services")]


def prepare(pki, _elsewhere):
    return [pki.authority(roll_over="prepare")]


def sign(pki, _elsewhere):
    return [pki.authority(roll_over="sign"), pki.revocations()]


def move(pki, elsewhere):
    moved = [pki.authority(roll_over="move"), pki.authority("services")]
    return [*moved, *reissue(pki, elsewhere)]


def retire(pki, _elsewhere):
    return [pki.authority(roll_over="retire")]


def adopt(pki, elsewhere):
    return [pki.authority("corporate", certificate_path=str(elsewhere.certificate_path))]


def bring_key(pki, elsewhere):
    path = str(elsewhere.certificate_path)
    return [pki.authority("corporate", certificate_path=path, key_path=str(elsewhere.key_path))]


def request(pki, elsewhere):
    path = str(elsewhere.other.certificate_path)
    other = pki.authority("other", common_name="corporate CA", certificate_path=path)
    return [other, pki.authority("below", issuer="other")]


def adopt_requested(pki, elsewhere):
    return [pki.authority("below", issuer="other", certificate_path=str(elsewhere.below))]


def forget(pki, _elsewhere):
    return [pki.certificates({"name": "a", "state": "absent"})]


def rebuild(pki, _elsewhere):
    return [pki.rebuild()]


STORY = [found, issue, reissue, pack_again, give_passphrase, revoke, release]
STORY += [
    change_passphrase,
    prepare,
    sign,
    move,
    retire,
    adopt,
    bring_key,
    request,
    adopt_requested,
    forget,
    rebuild,
]


def passphrase_in(chapter) -> str:
    """Return the passphrase of "services" when a chapter begins."""
    return PASSPHRASES[STORY.index(chapter) > STORY.index(change_passphrase)]


class Stages:
    """The store as it was before each chapter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.elsewhere = Elsewhere(folder / "elsewhere")
        self.elsewhere.other = Elsewhere(folder / "other")
        store = folder / "store"
        pki = Pki(store)
        for chapter in STORY:
            if chapter is adopt_requested:
                request_path = store / "pending/below/request.pem"
                self.elsewhere.below = self.elsewhere.other.sign(request_path)
            if chapter is rebuild:
                (store / "index.sqlite3").unlink()
            if store.exists():
                shutil.copytree(store, folder / chapter.__name__, symlinks=True)
            assert any(each["changed"] for each in chapter(pki, self.elsewhere))

    def bring(self, chapter, store: Path) -> Pki:
        """Put the store of before a chapter somewhere, in the place of what is there."""
        shutil.rmtree(store, ignore_errors=True)
        if (self.folder / chapter.__name__).exists():
            shutil.copytree(self.folder / chapter.__name__, store, symlinks=True)
        return Pki(store, passphrase_in(chapter))

    def complete(self, chapter, pki: Pki) -> None:
        """Tell a chapter to its end, and see that nothing is left to do."""
        chapter(pki, self.elsewhere)
        changed = [each for each in chapter(pki, self.elsewhere) if each["changed"]]
        assert changed == []
        assert_settled(pki.path)
