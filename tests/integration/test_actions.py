"""Action plugins in real runs of ansible-playbook."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def play(tmp_path):
    """Run tasks on this machine; return the finished process."""

    def run(*tasks, arguments=()):
        playbook = tmp_path / "play.yml"
        playbook.write_text(
            json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": list(tasks)}])
        )
        return subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), playbook, *arguments],
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / "collections"),
                "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_long_work_says_how_far_it_is_and_short_work_says_nothing(play, tmp_path):
    store = {"store_path": str(tmp_path / "store")}
    # Some fifteen seconds of work for one core.
    names = [f"client{number}" for number in range(30)]
    cores = os.sched_getaffinity(0)
    tasks = [
        {"edge.mtls.authority": {**store, "name": "root", "common_name": "Root"}},
        {
            "edge.mtls.certificates": {
                **store,
                "certificates": [
                    {"name": name, "issuer": "root", "key_type": "RSA-4096"} for name in names
                ],
            }
        },
    ]
    os.sched_setaffinity(0, {min(cores)})
    try:
        said = play(*tasks).stdout
    finally:
        os.sched_setaffinity(0, cores)
    assert re.search(r"^\d+/30 issued, \d+(\.\d)?/s, \d+ s left$", said, re.MULTILINE), said
    said = play(*tasks).stdout
    assert "changed=0" in said
    assert "issued" not in said


@pytest.mark.parametrize(
    "arguments", [pytest.param([], id="run"), pytest.param(["--check"], id="check mode")]
)
def test_show_prints_lines_that_can_be_pasted(play, arguments):
    done = play(
        {"edge.mtls.show": {"text": 'first\ncurl --cert "a b" https://x/\n'}}, arguments=arguments
    )
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    start = lines.index("first")
    assert lines[start + 1] == 'curl --cert "a b" https://x/'
    assert "changed=0" in done.stdout


def test_wanted_completes_what_was_given(play):
    done = play(
        {
            "edge.mtls.wanted": {
                "authorities": [{"name": "services", "issuer": "root"}, {"name": "root"}],
                "clients": [{"name": "client1"}],
                "client_valid_days": "90",
            },
            "register": "wanted",
        },
        {
            "ansible.builtin.assert": {
                "that": [
                    "wanted.authorities | map(attribute='name') == ['root', 'services']",
                    "wanted.clients[0].issuer == 'root'",
                    "wanted.clients[0].valid_days == 90",
                    "wanted is not changed",
                ]
            }
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr


ROOT = [{"name": "root"}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"authorities": "root", "clients": []},
            "mtls_pki_authorities must be a list of entries",
            id="no list",
        ),
        pytest.param(
            {"authorities": ROOT, "clients": ["client1"]},
            "mtls_pki_clients[0] must be a dictionary such as {name: app}",
            id="no dictionary",
        ),
        pytest.param(
            {"authorities": ROOT, "clients": [{"name": "client1"}, {"nam": "client2"}]},
            "mtls_pki_clients[1]: nam is not known here; did you mean name?",
            id="misspelt key",
        ),
        pytest.param(
            {"authorities": ROOT, "clients": [{"issuer": "root"}]},
            "mtls_pki_clients[0]: missing required arguments: name",
            id="no name",
        ),
        pytest.param(
            {"authorities": [{"name": "root", "valid_days": "long"}], "clients": []},
            "mtls_pki_authorities[0] (root): argument 'valid_days'",
            id="wrong type",
        ),
        pytest.param(
            {
                "authorities": ROOT,
                "clients": [],
                "host": {"nginx": None},
                "sites": [
                    {
                        "name": "app",
                        "server_name": "x",
                        "upstream": "http://127.0.0.1:1",
                        "allow": {"client": ["x"]},
                    }
                ],
            },
            "mtls_gateway_sites[0] (app): allow: client is not known here; did you mean clients?",
            id="misspelt key within a key",
        ),
    ],
)
def test_wanted_names_the_variable_and_the_entry(play, options, message):
    done = play({"edge.mtls.wanted": options})
    assert done.returncode == 2
    assert f"Task failed: {message}" in done.stdout + done.stderr
