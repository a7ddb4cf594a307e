# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling authorities over as others see it: whom they trust at each stage, and whom nginx lets in.

Old and new stand under one name, so verifiers tell them apart by their keys alone.
"""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest
from ansible_collections.edge.mtls.tests.integration.pki_judges import (
    TRUSTED,
    Debian,
    Nginx,
    gnutls_verdict,
    openssl_verdict,
)
from ansible_collections.edge.mtls.tests.integration.pki_world import Store, client, server

STAGES = ["live", "prepare", "sign", "move", "retire"]
STAGE = pytest.mark.parametrize("stage", STAGES)
# The key of the predecessor and that of the successor.
KEY_TYPES = {"root": ("P-256", "P-384"), "services": ("RSA-2048", "P-256")}
NAMES = pytest.mark.parametrize("name", KEY_TYPES)


class RollOver:
    """A root and an authority below it, one of which was rolled over, and all it was on the way.

    "first" is a client that it signed at the start, "later" one that its successor signed first,
    and "aside" one that the other authority signed.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._store = Store(folder / "store")
        self._other = "services" if name == "root" else "root"
        for stage in STAGES:
            self._reach(stage)
            self._remember(stage)
        # Who never heard of the successor, and who knows nothing else.
        self.trust = {
            "old": self.file("live", "trust.pem"),
            "new": self.file("retire", "trust.pem"),
        }
        self._store.keep(server("front", "self"), client("stranger", "self"))
        self.front = self._store.leaf("servers/front")
        self.stranger = self._store.client("stranger")

    def _reach(self, stage: str) -> None:
        self._keep_authorities(None if stage == "live" else stage)
        clients = [client("first", self.name), client("aside", self._other)]
        if stage not in ("live", "prepare"):
            clients.append(client("later", self.name))
        self._store.keep(*clients)
        self._store.revoke()

    def _keep_authorities(self, stage: str | None) -> None:
        self._said = {}
        for name, (old, new) in KEY_TYPES.items():
            changes = {"key_type": new if stage else old, "roll_over": stage}
            options = changes if name == self.name else {"key_type": old}
            if name == "services":
                options |= {"issuer": "root", "path_length": 0}
            self._said[name] = self._store.keep_authority(name, f"{name} CA", **options)

    def _remember(self, stage: str) -> None:
        folder = self.folder / stage
        shutil.copytree(self._store.path / "clients", folder)
        (folder / "trust.pem").write_text(self._said[self.name]["bundle"])
        shutil.copy(self._store.path / "crls/all.pem", folder / "crls.pem")
        generations = "".join(said["generations"] for said in self._said.values())
        (folder / "generations.pem").write_text(generations)

    def file(self, stage: str, name: str) -> Path:
        return self.folder / stage / name

    def clients(self, stage: str) -> list[str]:
        return [path.name for path in self.folder.glob(f"{stage}/*/")]

    def accepted(self, stage: str, trust: str, file: str) -> tuple[set[str], set[str]]:
        """Tell whose certificates of a stage OpenSSL and GnuTLS accept, with the CRLs of it.

        :param trust: "old", "new" or "both", which is what the module says is to be trusted.
        :param file: what a client shows.
        """
        anchors = self.trust.get(trust) or self.file(stage, "trust.pem")
        openssl, gnutls = set(), set()
        for name in self.clients(stage):
            given = self.file(stage, f"{name}/{file}"), anchors
            crls = self.file(stage, "crls.pem")
            if openssl_verdict(*given, crls=crls) == "OK":
                openssl.add(name)
            if gnutls_verdict(*given, crls=crls) == TRUSTED:
                gnutls.add(name)
        return openssl, gnutls


@cache
def rolled_over(base: Path, name: str) -> RollOver:
    folder = base / f"roll-over-{name}"
    folder.mkdir()
    return RollOver(folder, name)


@pytest.fixture
def roll_over(tmp_path_factory, name):
    return rolled_over(tmp_path_factory.getbasetemp(), name)


ALL = {"first", "aside", "later"}
BEFORE = {"first", "aside"}

# A root, by those who trust it: whose chains they accept. "aside" hangs on it, too, by way of
# the authority below it, which gets its new certificate when leaves move.
ROOT = {
    "live": {"old": BEFORE, "new": set(), "both": BEFORE},
    "prepare": {"old": BEFORE, "new": set(), "both": BEFORE},
    "sign": {"old": ALL, "new": {"later"}, "both": ALL},
    "move": {"old": ALL, "new": ALL, "both": ALL},
    "retire": {"old": ALL, "new": ALL, "both": ALL},
}


@pytest.mark.parametrize("name", ["root"])
@pytest.mark.parametrize("trust", ["old", "new", "both"])
@STAGE
def test_who_trusts_a_root_that_is_rolled_over_accepts(roll_over, stage, trust):
    openssl, gnutls = roll_over.accepted(stage, trust, "fullchain.pem")
    assert gnutls == ROOT[stage][trust]
    if (stage, trust) == ("retire", "old"):
        # The old root signs no CRL any more, and OpenSSL was told to want one for all of a chain.
        assert openssl == set()
        chain = roll_over.file(stage, "later/fullchain.pem")
        assert openssl_verdict(chain, roll_over.trust["old"]) == "OK"
    else:
        assert openssl == ROOT[stage][trust]


# An authority below a root, by those who trust both and are shown no chain.
SERVICES = {
    "live": {"old": BEFORE, "new": {"aside"}, "both": BEFORE},
    "prepare": {"old": BEFORE, "new": {"aside"}, "both": BEFORE},
    "sign": {"old": BEFORE, "new": {"aside", "later"}, "both": ALL},
    "move": {"old": {"aside"}, "new": ALL, "both": ALL},
    "retire": {"old": {"aside"}, "new": ALL, "both": ALL},
}


@pytest.mark.parametrize("name", ["services"])
@pytest.mark.parametrize("trust", ["old", "new", "both"])
@STAGE
def test_who_trusts_an_authority_that_is_rolled_over_accepts(roll_over, stage, trust):
    expected = SERVICES[stage][trust]
    assert roll_over.accepted(stage, trust, "certificate.pem") == (expected, expected)


@pytest.mark.parametrize("name", ["services"])
@STAGE
def test_who_trusts_the_root_alone_accepts_every_chain(roll_over, stage):
    root = roll_over.folder / "store/authorities/root/certificate.pem"
    for who in roll_over.clients(stage):
        chain = roll_over.file(stage, f"{who}/fullchain.pem")
        crls = roll_over.file(stage, "crls.pem")
        assert openssl_verdict(chain, root, crls=crls) == "OK"
        assert gnutls_verdict(chain, root, crls=crls) == TRUSTED


@pytest.mark.parametrize("name", ["services"])
def test_who_trusts_the_root_refuses_what_hangs_on_an_authority_that_was_retired(roll_over):
    """An old chain would lead to the root for as long as nobody revokes the old authority."""
    root = roll_over.folder / "store/authorities/root/certificate.pem"
    chain, crls = (
        roll_over.file("sign", "first/fullchain.pem"),
        roll_over.file("retire", "crls.pem"),
    )
    assert openssl_verdict(chain, root, crls=crls) != "OK"
    assert "The certificate chain is revoked." in gnutls_verdict(chain, root, crls=crls)


# Through nginx, which trusts what the gateway gives it.

# After the end nobody of the predecessor's gets in. At the start, a root's successor is known by
# its cross-certificate; an authority's is not, because nginx has no CRL of it.
OLD = {(stage, "first") for stage in ("live", "prepare", "sign")}
NEW = {("move", "first"), ("retire", "first")}
NEW |= {(stage, "later") for stage in ("sign", "move", "retire")}
REFUSED = {
    "root": {"retire": OLD},
    "services": {"live": NEW, "retire": OLD},
}
DEBIANS = pytest.mark.parametrize("kind", ["debian12", "debian13"])


@cache
def debian(base: Path, kind: str) -> Debian:
    return Debian(kind, base / kind)


@pytest.fixture
def nginx(tmp_path_factory, kind):
    return debian(tmp_path_factory.getbasetemp(), kind).program("usr/sbin/nginx")


@pytest.mark.hosts
@NAMES
@DEBIANS
def test_nginx_lets_in_the_clients_of_every_stage_before_and_after_each_reload(
    roll_over, name, nginx, tmp_path
):
    """The clients' files are from every stage, since nobody fetches new ones at once."""
    door = Nginx(tmp_path, roll_over.front, depth=2)
    trusted = {
        stage: [
            roll_over.file(stage, f"{what}.pem").read_bytes() for what in ("generations", "crls")
        ]
        for stage in STAGES
    }
    door.trust(*trusted["live"])
    with door.running(nginx):
        for present in STAGES:
            if present != "live":
                door.trust(*trusted[present])
                door.reload()
            refused = set()
            for stage in STAGES:
                for who in roll_over.clients(stage):
                    answer = door.answer(roll_over.file(stage, f"{who}/fullchain.pem"))
                    if answer.startswith("400 "):
                        refused.add((stage, who))
                    else:
                        assert answer.startswith("200 ")
                        assert answer.endswith(f" CN={who}")
            assert refused == REFUSED[name].get(present, set()), present
            assert door.answer(roll_over.stranger).startswith("400 ")
            assert door.answer(None).startswith("400 ")
