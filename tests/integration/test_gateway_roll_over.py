# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A root that is rolled over by the playbook, stage by stage, while a client calls a real site.

Each run ends with its own proof. Beside that, a caller that keeps its first certificate and trusts
the first root only must get through until the old root retires.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.edge.mtls.tests.integration.gateway import ThrowAwayHost

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.hosts

PASSPHRASE = "the root's own passphrase"
REFUSED = "400"


def variables(stage: str | None) -> dict[str, Any]:
    return {
        "mtls_pki_authorities": [
            {
                "name": "root",
                "common_name": "Example Root CA",
                "subject": {"C": "DE", "O": "Example"},
                **({"roll_over": stage} if stage else {}),
            },
            {"name": "services", "common_name": "Services CA", "issuer": "root"},
        ],
        "mtls_pki_key_passphrases": {"root": PASSPHRASE},
        "mtls_pki_clients": [
            {"name": "direct", "packs": ["zip"]},
            {"name": "below", "issuer": "services"},
        ],
        "mtls_gateway_sites": [
            {
                "name": "app",
                "server_name": "app.example.com",
                "upstream": "http://127.0.0.1:8888",
                "client_authority": "root",
                "allow": {"clients": ["direct", "below"]},
            }
        ],
    }


class World:
    """A host, and a caller who keeps what it was given at the start."""

    def __init__(self, host: ThrowAwayHost, folder: Any) -> None:
        self.host, self.kept = host, folder / "kept"
        self.said = host.play(variables(None))
        for name in ("direct", "below"):
            shutil.copytree(host.store / "clients" / name, self.kept / name)
        shutil.copy(host.store / "trust/root.pem", self.kept / "root.pem")

    def go_on(self, stage: str | None) -> str:
        """Run the playbook with the root at a stage; return what it printed."""
        said = self.host.play(variables(stage))
        self.said += said
        return said

    def call(self, name: str, credentials: Any, trusted: Any) -> str:
        """Call the site; return the status, or why there is none."""
        words = ["curl", "--silent", "--show-error", "--output", "/dev/null", "--max-time", "10"]
        words += ["--write-out", "%{http_code}", "--cacert", trusted]
        words += ["--cert", credentials / name / "fullchain.pem"]
        words += ["--key", credentials / name / "key.pem"]
        words += ["--connect-to", f"app.example.com:443:{self.host.address}:443"]
        done = subprocess.run(
            [*map(str, words), "https://app.example.com/"],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout if done.returncode == 0 else done.stderr.strip()

    def calls(self) -> dict[str, list[str]]:
        """Return how both clients fare, with what they were given first and with what is there."""
        clients, trust = self.host.store / "clients", self.host.store / "trust/root.pem"
        names = ("direct", "below")
        return {
            "first": [self.call(name, self.kept, self.kept / "root.pem") for name in names],
            "present": [self.call(name, clients, trust) for name in names],
        }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("roll-over")
    host = ThrowAwayHost("roll-over-test", folder)
    try:
        yield World(host.up(), folder)
    finally:
        host.down()


def test_a_root_rolls_over_without_shutting_anybody_out_before_it_retires(world):
    served = {"first": ["200", "200"], "present": ["200", "200"]}
    assert world.calls() == served
    for stage, done in (
        ("prepare", "successor made"),
        ("sign", "successor signs"),
        ("move", "leaves move"),
    ):
        assert "failed=0" in world.go_on(stage), done
        assert world.calls() == served, stage
    world.go_on("retire")
    # What the services' authority signed stays good: that has a new certificate, and its old key.
    assert world.calls() == {"first": [REFUSED, "200"], "present": ["200", "200"]}
    # The variable may stay or go. Nothing is left to do.
    for stage in ("retire", None):
        assert "changed=0" in world.go_on(stage)
    assert PASSPHRASE not in world.said
