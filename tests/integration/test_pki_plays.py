# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules in real runs of ansible-playbook, in the controller and sent to a host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.edge.mtls.tests.integration.pki_play import Play, results

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
    {"name": "client1", "issuer": "services", "packs": ["pkcs12"]},
    {"name": "client2", "issuer": "self", "key_type": "Ed25519", "valid_days": "10000"},
    {"name": "client3", "issuer": "root"},
]
REVOKED = [{"name": "client3", "reason": "certificateHold"}]
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
    {"edge.mtls.revocations": {"store_path": "{{ store_path }}", "certificates": REVOKED}},
]
# What needs a store that is there.
QUESTIONS = [
    {"edge.mtls.store_index": {"store_path": "{{ store_path }}"}},
    {"edge.mtls.pki_info": {"store_path": "{{ store_path }}", "states": ["hold", "valid"]}},
]
# What differs between two stores that are made alike.
UNIQUE = ["bundle", "certificate", "fullchain", "fingerprint_sha256", "serial_number"]
UNIQUE += ["not_after", "not_before", "public_key_sha256", "request", "generations"]
UNIQUE += ["crl_number", "this_update", "next_update", "revoked_at"]


def normal(value, host):
    """Blank what is unique to one store."""
    if isinstance(value, dict):
        return {
            normal(key, host): "unique" if key in UNIQUE and each else normal(each, host)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [normal(each, host) for each in value]
    if isinstance(value, str):
        return re.sub("[0-9A-F]{30,40}", "serial number", value.replace(host, "HOST"))
    return value


class Story(Play):
    """The same tasks four times: in check mode, for real, again, and again in check mode."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.plan = self.run(*TASKS, arguments=["--check", "--diff", "-v"])
        self.made_by_plan = [path for host in ("here", "there") for path in folder.glob(f"{host}*")]
        self.first = self.run(*TASKS, arguments=["--diff", "-vvv"])
        self.second = self.run(*TASKS, arguments=["--diff", "-v"])
        self.last = self.run(*TASKS, *QUESTIONS, arguments=["--check", "-v"])


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    return Story(tmp_path_factory.mktemp("story"))


def test_check_mode_plans_everything_and_makes_nothing(story):
    assert len(re.findall("^(here|there) .* changed=4 .* failed=0", story.plan, re.MULTILINE)) == 2
    assert story.made_by_plan == []
    for host in ("here", "there"):
        root, services, request, certificates, revocations = results(story.plan, host)
        assert root["reasons"] == services["reasons"] == request["reasons"] == ["missing"]
        assert certificates["plan"] == "issue 4"
        assert revocations["changed"] is False, "nothing has been issued that could be revoked"


@pytest.mark.parametrize("output", ["plan", "first", "second", "last"])
def test_both_fronts_give_the_same_results(story, output):
    said = getattr(story, output)
    here, there = (normal(results(said, host), host) for host in ("here", "there"))
    assert len(here) == len(TASKS) + (len(QUESTIONS) if output == "last" else 0)
    assert here == there


def test_the_work_is_sent_only_where_it_must_be(story):
    """Ansible says which module file it sends; that is once for each task, for one host."""
    tasks = story.first.split("TASK [")[1:]
    sent = [task.count("Using module file") for task in tasks]
    assert sent == [1] * len(TASKS)


def test_the_first_run_makes_what_was_planned(story):
    for host in ("here", "there"):
        planned, made = (results(output, host) for output in (story.plan, story.first))
        assert made[3]["plan"] == planned[3]["plan"]
        assert [each["action"] for each in made[4]["revocations"]] == ["revoke"]
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
        assert output.count("+++ after: authority 'root'\n") == 2
        assert output.count("+issue client/client1: missing\n") == 2
        assert len(re.findall(r"^\+issue .+: missing$", output, re.MULTILINE)) == 2 * 4
    said = r"^\+revoke client client3 [0-9A-F]+: certificateHold$"
    assert len(re.findall(said, story.first, re.MULTILINE)) == 2
    assert story.first.count("+CRL of root: 1 changed\n") == 2


@pytest.mark.parametrize("output", ["plan", "first", "second", "last"])
def test_no_secret_is_ever_shown(story, output):
    said = getattr(story, output)
    assert "PRIVATE KEY" not in said
    # Six keys of a host, of three lines or one, and the passphrase of a pack.
    secrets = story.secrets()
    assert len(secrets) > 24
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
        "RSA-4096, RSA-6144, RSA-8192, ML-DSA-44, ML-DSA-65, ML-DSA-87, got: DSA",
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
