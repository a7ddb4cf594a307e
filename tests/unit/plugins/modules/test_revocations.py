# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""edge.mtls.revocations: what is revoked in, what was done and the CRLs out."""

from __future__ import annotations

import json

import pytest
from ansible_collections.edge.mtls.plugins.modules import certificates, revocations
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    on_a_bare_host,
)
from ansible_collections.edge.mtls.tests.unit.plugins.modules.shared import (
    documented,
    make_root,
    run,
    run_main,
    said_by,
)


@pytest.fixture
def store_path(tmp_path):
    path = str(tmp_path / "store")
    make_root(path)
    clients = [{"name": name, "issuer": "root"} for name in ("c1", "c2")]
    run(certificates, {"store_path": path, "certificates": clients})
    return path


def revoke(store_path, *entries, check_mode=False, **options):
    params = {"store_path": store_path, "certificates": list(entries), **options}
    return run(revocations, params, check_mode)


def test_what_is_returned_is_what_is_documented(store_path):
    described = documented(revocations)
    result = revoke(store_path, {"name": "c1"})
    assert set(result) == {*described, "changed", "diff"}
    [revocation] = result["revocations"]
    assert set(revocation) == set(described["revocations"]["contains"])
    assert set(result["crls"]["root"]) == set(described["crls"]["contains"])
    assert set(revoke(store_path, {"name": "c1"})) == {*described, "changed"}
    assert set(revoke(store_path, {"name": "c2"}, check_mode=True)) == {
        *described,
        "changed",
        "diff",
    }


def test_the_diff_says_what_is_revoked_and_which_crls_are_made(store_path):
    planned = revoke(store_path, {"name": "c1", "reason": "superseded"}, check_mode=True)
    [described] = planned["revocations"]
    expected = {
        "before": "",
        "after": f"revoke client c1 {described['serial_number']}: superseded\n"
        "CRL of root: 1 changed\n",
    }
    assert planned["diff"] == expected
    assert revoke(store_path, {"name": "c1", "reason": "superseded"})["diff"] == expected


def test_without_entries_only_the_crls_are_kept(store_path, capsys):
    first = run_main(revocations, capsys, {"store_path": store_path})
    assert (first["changed"], first["revocations"]) == (True, [])
    assert first["crls"]["root"]["reasons"] == ["missing"]
    assert first["all_crls_path"] == f"{store_path}/crls/all.pem"
    assert run_main(revocations, capsys, {"store_path": store_path})["changed"] is False


def test_the_index_remembers_who_revoked(store_path, capsys, monkeypatch):
    from ansible_collections.edge.mtls.plugins.modules import pki_info

    monkeypatch.setenv("LOGNAME", "grace")
    revoke(store_path, {"name": "c1"})
    revoke(store_path, {"name": "c2"}, revoked_by="ticket 17")
    found = run(pki_info, {"store_path": store_path, "states": ["revoked"]})["certificates"]
    assert {each["name"]: each["revoked_by"] for each in found} == {
        "c1": "grace",
        "c2": "ticket 17",
    }


def test_a_user_without_a_name_may_revoke(store_path, monkeypatch):
    def refuse():
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", refuse)
    assert revoke(store_path, {"name": "c1"})["changed"]


BY_NAME = "revocation of name 'c1' (client): "
BAD_OPTIONS = [
    ({}, "revocation: give exactly one of name, serial_number, fingerprint_sha256, certificate_p"),
    (
        {"name": "c1", "serial_number": "4F"},
        BY_NAME
        + "give exactly one of name, serial_number, fingerprint_sha256, certificate_path to "
        "say which certificate is meant, not name and serial_number",
    ),
    ({"name": "../x"}, "revocation of name '../x' (client): the name '../x' must be 1 to 128"),
    ({"name": "nobody"}, "'nobody' (client): no certificate of that name was ever issued from"),
    ({"name": "c1", "profile": "server"}, "'c1' (server): no certificate of that name was ever"),
    ({"name": "c1", "profile": "job"}, "value of profile must be one of: authority, client"),
    ({"name": "root", "profile": "authority"}, "'root' is a root, which nobody can revoke"),
    ({"serial_number": "xyz"}, "'xyz': the serial number must be hexadecimal, such as 4F2A"),
    (
        {"serial_number": "4F"},
        "revocation of serial_number '4F': no certificate with it was issued",
    ),
    ({"serial_number": "4F", "issuer": "x"}, "no certificate with it was issued by 'x'"),
    ({"fingerprint_sha256": "4F"}, "the fingerprint must be a SHA-256 of 64 hexadecimal digits"),
    ({"fingerprint_sha256": "ab" * 32}, "no certificate with it was issued from"),
    ({"certificate_path": "/nowhere.pem"}, "'/nowhere.pem': it can't be read: No such file"),
    ({"certificate_path": "/etc/hostname"}, "'/etc/hostname': it holds no certificate, in PEM"),
    ({"name": "c1", "reason": "boredom"}, "value of reason must be one of: unspecified"),
    ({"name": "c1", "reason": "removeFromCRL"}, "value of reason must be one of: unspecified"),
    ({"name": "c1", "state": "gone"}, "value of state must be one of: revoked, released"),
    ({"names": ["c1"]}, "Unsupported parameters for"),
]


@pytest.mark.parametrize(
    ("entry", "sentence"), [pytest.param(*each, id=str(each[0])[:60]) for each in BAD_OPTIONS]
)
def test_a_wrong_entry_is_said_in_one_clear_sentence(store_path, capsys, entry, sentence):
    arguments = {"store_path": store_path, "certificates": [{"name": "c2"}, entry]}
    assert sentence in said_by(revocations, capsys, arguments)
    result = revoke(store_path, {"name": "c2"}, check_mode=True)
    assert [each["action"] for each in result["revocations"]] == ["revoke"]


ROUND_IT = [
    ({"store_path": "store"}, "store_path 'store' must be an absolute path"),
    (
        {"store_path": "/nowhere/x"},
        "revocation of name 'c1' (client): the store /nowhere/x doesn't",
    ),
    ({"certificates": "c1"}, "dictionary requested, could not parse"),
    ({"crl_valid_days": 0}, "crl_valid_days 0 must be 1 or more"),
    ({"crl_valid_days": -30}, "crl_valid_days -30 must be 1 or more"),
    ({"crl_valid_days": 3000000}, "crl_valid_days 3000000 reaches beyond the year 9999"),
    ({"crl_valid_days": 10**12}, f"crl_valid_days {10**12} reaches beyond the year 9999"),
    ({"crl_valid_days": "soon"}, "argument 'crl_valid_days' is of type"),
    ({"revoked_by": {"a": [1]}, "crl_valid_days": 0}, "crl_valid_days 0"),
    ({"key_passphrases": {"root": 5}}, "key_passphrases: that of authority 'root' must be text"),
    ({"key_passphrases": "x"}, "argument 'key_passphrases' is of type"),
    ({"crl_days": 5}, "Unsupported parameters for"),
]


@pytest.mark.parametrize(
    ("given", "sentence"), [pytest.param(*each, id=str(each[0])[:60]) for each in ROUND_IT]
)
def test_what_is_wrong_around_the_entries_is_said_too(store_path, capsys, given, sentence):
    arguments = {"store_path": store_path, "certificates": [{"name": "c1"}], **given}
    assert sentence in said_by(revocations, capsys, arguments)


def test_every_option_is_in_a_table_of_bad_ones():
    spec = revocations.ARGUMENT_SPEC
    for options, table in [(spec, ROUND_IT), (spec["certificates"]["options"], BAD_OPTIONS)]:
        assert set(options) - {option for given, _sentence in table for option in given} == set()


def test_a_passphrase_is_in_no_result(store_path, capsys):
    make_root(store_path, key_passphrase="nobody reads this")
    arguments = {"store_path": store_path, "key_passphrases": {"root": "nobody reads this"}}
    result = run_main(revocations, capsys, arguments)
    assert result["changed"] is True
    assert "nobody reads this" not in json.dumps({**result, "invocation": None})


def test_a_host_without_cryptography_gets_a_plan_or_a_clear_error(tmp_path):
    params = {
        "store_path": str(tmp_path / "store"),
        "certificates": [{"name": "c1"}],
        "crl_valid_days": 30,
        "revoked_by": None,
        "key_passphrases": {},
    }
    planned, said = on_a_bare_host("revocations", params)
    assert planned == {
        "changed": False,
        "revocations": [],
        "crls": {},
        "all_crls_path": f"{tmp_path}/store/crls/all.pem",
    }
    assert said.startswith("this needs Python's cryptography 36 or newer, and there is")
