# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No passphrase and no private key is ever shown, named on a command line, or left behind.

Everything is run with all that Ansible can say (-vvvvv --diff), in the controller and on a host.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.edge.mtls.tests.integration.pki_play import Play, results

OLD, NEW = "passphrase-of-root-old", "passphrase-of-root-new"
SERVICES, WRONG = "passphrase-of-services", "passphrase-that-is-wrong"
PACK, OTHER_PACK = "passphrase-of-pack", "passphrase-of-another-pack"
GIVEN = [OLD, NEW, SERVICES, WRONG, PACK, OTHER_PACK]

STORE = {"store_path": "{{ store_path }}"}
ROOT = {**STORE, "name": "root", "common_name": "Example Root CA"}
BELOW = {**STORE, "name": "services", "common_name": "Services CA", "issuer": "root"}
CLIENTS = [
    {"name": "a", "issuer": "root", "packs": ["pkcs12", "zip", "der", "mobileconfig"]},
    {"name": "b", "issuer": "services", "packs": ["pkcs12"]},
]


def authority(options, **passphrases):
    return {"edge.mtls.authority": {**options, **passphrases}}


def certificates(pack_passphrases, **key_passphrases):
    options = {"key_passphrases": key_passphrases, "pack_passphrases": pack_passphrases}
    return {"edge.mtls.certificates": {**STORE, "certificates": CLIENTS, **options}}


def revocations(*wanted, **key_passphrases):
    options = {"certificates": list(wanted), "key_passphrases": key_passphrases}
    return {"edge.mtls.revocations": {**STORE, **options}}


WORK = [
    authority(ROOT, key_passphrase=OLD),
    authority(BELOW, key_passphrase=SERVICES, issuer_key_passphrase=OLD),
    certificates({"a": PACK}, root=OLD, services=SERVICES),
    revocations({"name": "b"}, root=OLD, services=SERVICES),
    authority(ROOT, key_passphrase=NEW, previous_key_passphrase=OLD),
    certificates({"a": OTHER_PACK}, root=NEW, services=SERVICES),
    authority(ROOT, key_passphrase=NEW, roll_over="prepare"),
]
# Each with what it says.
FAILURES = [
    (authority(ROOT, key_passphrase=WRONG, previous_key_passphrase=WRONG), "can't be opened with"),
    (
        authority({**BELOW, "name": "x", "common_name": "X"}, issuer_key_passphrase=WRONG),
        "can't be opened",
    ),
    (revocations({"name": "a"}, root=WRONG, services=SERVICES), "can't be opened with"),
    (revocations({"name": "a"}), "is encrypted: give the passphrase"),
    (certificates({"a": PACK[:7]}), "must have 8 characters or more"),
    (certificates({"nobody": PACK}), "'nobody' is the name of no certificate"),
    ({"edge.mtls.certificates": {**STORE, "certificates": [], "key_passphrases": WRONG}}, "dict"),
    (
        {"edge.mtls.authority": {**ROOT, "key_type": "DSA", "key_passphrase": WRONG}},
        "must be one of",
    ),
]


class Watch:
    """Looks at the command lines and environments of a process and all below it."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()

    def __call__(self, process: int) -> None:
        below = {process}
        for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent in below or int(folder.name) in below:
                    below.add(int(folder.name))
                    self.seen |= {(folder / file).read_bytes() for file in ("cmdline", "environ")}
            except OSError:
                continue  # it has ended


class Outputs(Play):
    """All that was said and seen while keys and packs were made with passphrases."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.watch = Watch()
        failing = [{**task, "ignore_errors": True} for task, _message in FAILURES]
        arguments = ["--diff", "-vvvvv"]
        self.modules = self.run(*WORK, *failing, arguments=arguments, watch=self.watch)
        role = {"ansible.builtin.import_role": {"name": "edge.mtls.mtls_pki"}}
        self.role = self.run(role, arguments=arguments, watch=self.watch, hosts="here", vars=ROLE)


ROLE = {
    "mtls_pki_store_path": "{{ store_path }}-of-role",
    "mtls_pki_authorities": [{"name": "root"}, {"name": "services", "issuer": "root"}],
    "mtls_pki_clients": [{"name": "a", "issuer": "services", "packs": ["pkcs12", "zip"]}],
    "mtls_pki_key_passphrases": {"root": NEW, "services": SERVICES},
    "mtls_pki_previous_key_passphrases": {"root": OLD},
    "mtls_pki_pack_passphrases": {"a": PACK},
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return Outputs(tmp_path_factory.mktemp("secrets"))


def test_everything_was_done_and_refused_as_expected(outputs):
    for host in ("here", "there"):
        found = results(outputs.modules, host)
        assert [each["changed"] for each in found[: len(WORK)]] == [True] * len(WORK)
        failed = found[len(WORK) :]
        assert len(failed) == len(FAILURES)
        for result, (_task, message) in zip(failed, FAILURES, strict=True):
            assert message in result["msg"]
    assert "Traceback" not in outputs.modules + outputs.role
    role = outputs.folder / "here/store-of-role"
    assert b"ENCRYPTED" in (role / "authorities/services/key.pem").read_bytes()
    assert (role / "clients/a/a.zip").exists()


@pytest.mark.parametrize("output", ["modules", "role"])
def test_no_passphrase_and_no_key_is_shown(outputs, output):
    said = getattr(outputs, output)
    secrets = outputs.secrets()
    # Those of 3 authorities and 2 clients, on 2 hosts, each of 3 lines or more, and those of a role.
    assert len(secrets) > 30
    assert [secret for secret in [*GIVEN, *secrets] if secret in said] == []
    assert "PRIVATE KEY" not in said
    # What the modules were given is shown, but for that.
    assert output == "role" or "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in said


def test_no_passphrase_is_on_a_command_line_or_in_an_environment(outputs):
    seen = b"\n".join(outputs.watch.seen)
    assert b"AnsiballZ_certificates" in seen
    assert [secret for secret in [*GIVEN, *outputs.secrets()] if secret.encode() in seen] == []


def test_nothing_secret_is_left_in_temporary_folders(outputs):
    left = [path for path in (outputs.folder / "temporary").rglob("*") if path.is_file()]
    found = [path for path in left if any(each.encode() in path.read_bytes() for each in GIVEN)]
    assert found == []


def test_what_a_store_keeps_is_encrypted_wherever_a_passphrase_was_given(outputs):
    for path in outputs.folder.glob("*/store*/generations/authorities/*/*/key.pem"):
        assert b"ENCRYPTED" in path.read_bytes()
    for path in outputs.folder.glob("*/store*/**/*"):
        if path.is_file():
            assert not any(secret.encode() in path.read_bytes() for secret in GIVEN), path
