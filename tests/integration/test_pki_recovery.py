# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores that came back from a backup, that lost their index, or that were moved."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.crls import (
    revoked_entries,
    split_crls,
)
from ansible_collections.edge.mtls.tests.integration.pki_attack import (
    PASSPHRASES,
    Elsewhere,
    Pki,
    assert_settled,
    audit,
)
from ansible_collections.edge.mtls.tests.integration.pki_world import say
from cryptography import x509

CHECKOUT = Path(__file__).resolve().parents[2]

CLIENTS = ["a", "b", "c"]


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """Make a store with a bit of everything: a roll-over, an adopted root, revocations."""
    folder = tmp_path_factory.mktemp("origin")
    pki = Pki(folder / "store")
    pki.elsewhere = Elsewhere(folder / "elsewhere")
    pki.authority()
    keep(pki)
    pki.revocations({"name": "a", "reason": "keyCompromise"})
    pki.revocations({"name": "b", "reason": "certificateHold"})
    pki.authority(roll_over="prepare")
    pki.authority(roll_over="sign")
    keep(pki)
    return pki


@pytest.fixture
def pki(origin, tmp_path):
    return copy(origin, tmp_path / "store")


def keep(pki):
    """Keep what is always wanted; return the results."""
    corporate = {"certificate_path": str(pki.elsewhere.certificate_path)}
    server = {"subject_alternative_names": ["DNS:a.example"], "issuer": "services"}
    return [
        pki.authority(),
        pki.authority("services"),
        pki.authority("corporate", **corporate),
        pki.clients(CLIENTS),
        pki.certificates(
            {"name": "app", "profile": "server", **server},
            {"name": "both", "profile": "peer", "packs": ["der"], **server},
            {"name": "own", "issuer": "self"},
        ),
        pki.revocations(),
    ]


def changes(results):
    return [each for each in results if each["changed"]]


def copy(pki, path):
    """Copy a store as people do."""
    say("cp", "-a", pki.path, path)
    copied = Pki(path)
    copied.elsewhere = pki.elsewhere
    return copied


def restore(pki, backup):
    shutil.rmtree(pki.path)
    say("cp", "-a", backup.path, pki.path)


def serial_numbers(pki):
    return [each["serial_number"] for each in pki.info()["certificates"]]


def crl_numbers(pki):
    """Return the number of every CRL that is there, by its issuer's key."""
    found = set()
    for path in pki.path.glob("crls/*.crl"):
        crl = x509.load_der_x509_crl(path.read_bytes())
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        identifier = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        found.add((identifier.key_identifier, number))
    return found


def revoked(pki, name="root"):
    """Return serial number and reason of all that the CRLs of an authority list."""
    text = (pki.path / f"crls/{name}.pem").read_bytes()
    return {
        (serial, reason) for pem in split_crls(text) for serial, _at, reason in revoked_entries(pem)
    }


def use(pki):
    """Issue and revoke more; return the CRL numbers that were given out in the meantime."""
    numbers = set()
    for name in ("later1", "later2"):
        pki.clients([name])
        pki.revocations({"name": name, "reason": "superseded"})
        numbers |= crl_numbers(pki)
    pki.clients(CLIENTS, turn=1)
    return numbers


def test_after_a_backup_came_back_no_number_is_given_out_again(pki, tmp_path):
    backup = copy(pki, tmp_path / "backup")
    before, numbers_before = set(serial_numbers(pki)), crl_numbers(pki)
    numbers = use(pki) - numbers_before
    serials = set(serial_numbers(pki)) - before
    restore(pki, backup)
    # Numbers follow the clock, but never stand still: so many in a second are ahead of it.
    time.sleep(max(0, max(number for _key, number in numbers) + 1 - time.time()))
    assert changes(keep(pki)) == []
    numbers_again = use(pki) - numbers_before
    serials_again = set(serial_numbers(pki)) - before
    assert len(numbers) >= 2
    assert len(serials) == len(serials_again) == 2 + 1
    assert not numbers & numbers_again
    assert not serials & serials_again
    newest = {}
    for key, number in numbers:
        newest[key] = max(number, newest.get(key, 0))
    assert all(number > newest[key] for key, number in numbers_again)
    assert_settled(pki.path)


def test_a_certificate_that_was_issued_after_the_backup_is_revoked_by_its_file(pki, tmp_path):
    backup = copy(pki, tmp_path / "backup")
    pki.clients(["later"])
    file = tmp_path / "later.pem"
    file.write_bytes(pki.current("later").read_bytes())
    serial = pki.info(names=["later"])["certificates"][0]["serial_number"]
    restore(pki, backup)
    assert changes(keep(pki)) == []
    wanted = {"certificate_path": str(file), "reason": "keyCompromise"}
    result = pki.revocations(wanted)
    assert [each["action"] for each in result["revocations"]] == ["revoke"]
    assert (serial, "keyCompromise") in revoked(pki)
    assert pki.revocations(wanted)["changed"] is False
    assert changes(keep(pki)) == []
    assert_settled(pki.path)


def test_an_older_index_with_newer_files_is_completed(pki, tmp_path):
    index = pki.path / "index.sqlite3"
    old = index.read_bytes()
    pki.revocations({"name": "b", "reason": "keyCompromise"})
    use(pki)
    pki.authority(roll_over="move")
    before = [keep(pki), keep(pki)][1]
    assert changes(before) == []
    listed, known = revoked(pki), set(serial_numbers(pki))
    index.write_bytes(old)
    with pytest.raises(MtlsError, match="not in the index of the store.*edge.mtls.rebuild_index"):
        keep(pki)
    planned = pki.rebuild(check_mode=True)
    result = pki.rebuild()
    assert result["certificates"] == planned["certificates"] != []
    assert pki.rebuild()["changed"] is False
    assert set(serial_numbers(pki)) == known
    # It has forgotten the stage, which the next run brings back.
    assert pki.authority(roll_over="move")["reasons"] == ["leaves move"]
    assert changes(keep(pki)) == []
    assert revoked(pki) == listed
    assert_settled(pki.path)


def test_an_older_index_never_makes_valid_again_what_was_revoked_since(pki):
    index = pki.path / "index.sqlite3"
    old = index.read_bytes()
    pki.revocations({"name": "b", "reason": "keyCompromise"}, {"name": "c", "reason": "superseded"})
    listed = revoked(pki)
    index.write_bytes(old)
    for wanted in ([], [{"name": "c"}]):
        with pytest.raises(MtlsError, match="root.pem is newer than the index.*rebuild_index"):
            pki.revocations(*wanted)
    assert len(pki.rebuild()["revocations"]) == 2
    assert changes(keep(pki)) == []
    assert revoked(pki) == listed


def test_a_lost_index_is_made_anew_of_the_files(pki):
    known, listed = set(serial_numbers(pki)), revoked(pki)
    (pki.path / "index.sqlite3").unlink()
    for attempt in (pki.authority, pki.revocations, lambda: pki.clients(CLIENTS)):
        with pytest.raises(MtlsError, match="bring the index back, or.* edge.mtls.rebuild_index"):
            attempt()
    assert pki.rebuild(check_mode=True)["changed"] is True
    assert not (pki.path / "index.sqlite3").exists()
    assert pki.rebuild()["changed"] is True
    # What the files don't hold, the URLs of an authority, comes back with the next run.
    assert [each["reasons"] for each in changes(keep(pki))] == [["crl_urls changed"]]
    assert changes(keep(pki)) == []
    assert set(serial_numbers(pki)) == known
    assert revoked(pki) == listed != set()
    assert_settled(pki.path)


def test_the_playbook_brings_back_a_lost_index(pki):
    (pki.path / "index.sqlite3").unlink()
    outputs = [
        say(
            *(Path(sys.executable).with_name("ansible-playbook"), "edge.mtls.rebuild_index"),
            *("-e", f"mtls_pki_store_path={pki.path}"),
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / "collections")},
        )
        for _turn in range(2)
    ]
    assert ["changed=1" in output for output in outputs] == [True, False]
    assert [each["reasons"] for each in changes(keep(pki))] == [["crl_urls changed"]]


def test_a_lost_index_is_made_anew_though_a_kill_left_its_journal(pki):
    index = pki.path / "index.sqlite3"
    index.unlink()
    (pki.path / "index.sqlite3-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" * 512)
    assert pki.rebuild()["changed"] is True
    keep(pki)
    assert changes(keep(pki)) == []
    assert audit(pki.path) == len(serial_numbers(pki))


@pytest.mark.parametrize("how", ["renamed", "copied"])
def test_a_store_in_another_place_has_nothing_due(pki, tmp_path, how):
    place = tmp_path / "another place/store"
    place.parent.mkdir()
    if how == "renamed":
        pki.path.rename(place)
        moved = Pki(place, PASSPHRASES[0])
        moved.elsewhere = pki.elsewhere
    else:
        moved = copy(pki, place)
        shutil.rmtree(pki.path)
    assert changes(keep(moved)) == []
    assert_settled(place)
    assert moved.clients(["new"], issuer="services")["plan"] == "issue 1"
    assert_settled(place)
