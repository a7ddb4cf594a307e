# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules in real runs of ansible-playbook, in the controller and sent to a host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

# Like "local" in all but its name, so that the module is sent as to any other host.
ELSEWHERE = '''
DOCUMENTATION = """
name: elsewhere
short_description: This machine, as if it were another
description: For tests.
author: The edge.mtls authors (@edge-mtls)
"""
from ansible.plugins.connection.local import Connection as Local
class Connection(Local):
    transport = "elsewhere"
'''
INVENTORY = {
    "all": {
        "vars": {
            "ansible_python_interpreter": sys.executable,
            "store_path": "{{ playbook_dir }}/{{ inventory_hostname }}/store",
            "key_path": "{{ playbook_dir }}/{{ inventory_hostname }}/tls/key.pem",
        },
        "hosts": {
            "here": {"ansible_connection": "local"},
            "there": {"ansible_connection": "elsewhere"},
        },
    }
}
ROOT = {"store_path": "{{ store_path }}", "name": "root", "common_name": "Example Root CA"}
SERVICES = {**ROOT, "name": "services", "common_name": "Services CA", "issuer": "root"}
REQUEST = {
    "key_path": "{{ key_path }}",
    "common_name": "app.example.com",
    "subject_alternative_names": ["DNS:app.example.com"],
}
SERVER = {
    **{name: REQUEST[name] for name in ("common_name", "subject_alternative_names")},
    "name": "app@{{ inventory_hostname }}",
    "profile": "server",
    "issuer": "root",
    "request": "{{ server.request or omit }}",
}
CLIENTS = [
    {"name": "client1", "issuer": "services", "pkcs12": True},
    {"name": "client2", "issuer": "self", "key_type": "Ed25519", "valid_days": "10000"},
]
TASKS = [
    {"edge.mtls.authority": ROOT},
    {"edge.mtls.authority": SERVICES},
    {"edge.mtls.certificate_request": REQUEST, "register": "server"},
    {
        "edge.mtls.certificates": {
            "store_path": "{{ store_path }}",
            "certificates": [*CLIENTS, SERVER],
        }
    },
]
# What differs between two stores that are made alike.
UNIQUE = ["bundle", "certificate", "fullchain", "fingerprint_sha256", "serial_number"]
UNIQUE += ["not_after", "not_before", "public_key_sha256", "request"]


class Play:
    """A folder with an inventory of two hosts, on which tasks are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "connection_plugins").mkdir()
        (folder / "connection_plugins/elsewhere.py").write_text(ELSEWHERE)
        (folder / "inventory.json").write_text(json.dumps(INVENTORY))

    def run(self, *tasks, arguments=()):
        """Return what ansible-playbook prints."""
        plays = [{"hosts": "all", "gather_facts": False, "tasks": list(tasks)}]
        (self.folder / "play.json").write_text(json.dumps(plays))
        done = subprocess.run(
            [
                Path(sys.executable).with_name("ansible-playbook"),
                *("-i", self.folder / "inventory.json", *arguments, self.folder / "play.json"),
            ],
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / "collections"),
                "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def secrets(self):
        """Return every line of every private key, and every passphrase, that was made."""
        lines = set()
        for path in self.folder.rglob("*"):
            if path.name == "key.pem" or path.name.endswith(".passphrase"):
                lines |= set(path.read_text().split("\n"))
        return {line for line in lines if len(line) > 20 and not line.startswith("-----")}


def results(output: str, host: str) -> list[dict]:
    """Read each task's result from what ``-v`` prints."""
    found = []
    for match in re.finditer(
        rf"^(ok|changed|fatal): \[{host}\](: FAILED!)? => ", output, re.MULTILINE
    ):
        value, _end = json.JSONDecoder().raw_decode(output, match.end())
        # With -vvv, what the module was given.
        value.pop("invocation", None)
        found.append(value)
    return found


def normal(value, host):
    """Blank what is unique to one store."""
    if isinstance(value, dict):
        return {
            normal(key, host): "unique" if key in UNIQUE and each else normal(each, host)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [normal(each, host) for each in value]
    return value.replace(host, "HOST") if isinstance(value, str) else value


class Story(Play):
    """The same tasks four times: in check mode, for real, again, and again in check mode."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.plan = self.run(*TASKS, arguments=["--check", "--diff", "-v"])
        self.made_by_plan = [path for host in ("here", "there") for path in folder.glob(f"{host}*")]
        self.first = self.run(*TASKS, arguments=["--diff", "-vvv"])
        self.second = self.run(*TASKS, arguments=["--diff", "-v"])
        self.last = self.run(*TASKS, arguments=["--check", "-v"])


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    return Story(tmp_path_factory.mktemp("story"))


def test_check_mode_plans_everything_and_makes_nothing(story):
    assert len(re.findall("^(here|there) .* changed=4 .* failed=0", story.plan, re.MULTILINE)) == 2
    assert story.made_by_plan == []
    for host in ("here", "there"):
        root, services, request, certificates = results(story.plan, host)
        assert root["reasons"] == services["reasons"] == request["reasons"] == ["missing"]
        assert certificates["plan"] == "issue 3"


@pytest.mark.parametrize("output", ["plan", "first", "second", "last"])
def test_both_fronts_give_the_same_results(story, output):
    said = getattr(story, output)
    here, there = (normal(results(said, host), host) for host in ("here", "there"))
    assert len(here) == 4
    assert here == there


def test_the_work_is_sent_only_where_it_must_be(story):
    """Ansible says which module file it sends; that is once for each task, for one host."""
    tasks = story.first.split("TASK [")[1:]
    sent = [task.count("Using module file") for task in tasks]
    assert sent == [1, 1, 1, 1]


def test_the_first_run_makes_what_was_planned(story):
    for host in ("here", "there"):
        planned, made = (results(output, host)[-1] for output in (story.plan, story.first))
        assert made["plan"] == planned["plan"]
        store = story.folder / host / "store"
        assert (store / "clients/client1/client1.p12").exists()
        assert not (store / f"servers/app@{host}/key.pem").exists()
        assert (story.folder / host / "tls/key.pem").exists()


@pytest.mark.parametrize("output", ["second", "last"])
def test_from_then_on_nothing_changes(story, output):
    said = getattr(story, output)
    assert len(re.findall("^(here|there) .* changed=0 .* failed=0", said, re.MULTILINE)) == 2
    assert "+++" not in said


def test_the_diff_says_what_and_why(story):
    for output in (story.plan, story.first):
        assert output.count("+Example Root CA: missing\n") == 2
        assert output.count("+++ after: certificate client/client1\n") == 2
        assert output.count("+issue: missing\n") == 6


@pytest.mark.parametrize("output", ["plan", "first", "second", "last"])
def test_no_secret_is_ever_shown(story, output):
    said = getattr(story, output)
    assert "PRIVATE KEY" not in said
    # Five keys of a host, of three lines or one, and the passphrase of a pack.
    secrets = story.secrets()
    assert len(secrets) > 20
    assert [line for line in secrets if line in said] == []


def test_a_secret_would_have_been_found(story):
    passphrase = story.folder / "here/store/clients/client1/client1.p12.passphrase"
    assert passphrase.read_text().strip() in story.secrets()


FAILURES = [
    (
        {"edge.mtls.authority": {**ROOT, "store_path": "store"}},
        "store_path 'store' must be an absolute path",
    ),
    (
        {"edge.mtls.authority": {**ROOT, "issuer": "none"}},
        "authority 'root': its issuer 'none' is not in the store; make that authority first",
    ),
    (
        {"edge.mtls.authority": {**ROOT, "key_type": "DSA"}},
        "value of key_type must be one of: P-256, P-384, P-521, Ed25519, RSA-2048, RSA-3072, "
        "RSA-4096, RSA-6144, RSA-8192, got: DSA",
    ),
    (
        {"edge.mtls.certificates": {"store_path": "/dev/null/x", "certificates": CLIENTS}},
        "store_path /dev/null/x: /dev/null is not a folder",
    ),
    (
        {"edge.mtls.certificate_request": {**REQUEST, "key_path": "key.pem"}},
        "key_path key.pem must be an absolute path",
    ),
]


def test_both_fronts_fail_with_the_same_words(tmp_path):
    play = Play(tmp_path)
    tasks = [{**task, "ignore_errors": True} for task, _message in FAILURES]
    output = play.run(*tasks, arguments=["-v"])
    for host in ("here", "there"):
        found = results(output, host)
        assert [each["msg"] for each in found] == [message for _task, message in FAILURES]
        assert not [each for each in found if "exception" in each]
    assert "Traceback" not in output
