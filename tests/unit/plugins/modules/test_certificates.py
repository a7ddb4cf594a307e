# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""edge.mtls.certificates: a whole set in, a plan and each certificate out."""

from __future__ import annotations

import json

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.modules import certificates
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    new_key,
    on_a_bare_host,
    request_for,
    revoke,
)
from ansible_collections.edge.mtls.tests.unit.plugins.modules.shared import (
    documented,
    make_root,
    run_main,
    said_by,
)
from ansible_collections.edge.mtls.tests.unit.plugins.modules.shared import run as run_module


def entry(name, **given):
    return {"name": name, "issuer": "root", **given}


@pytest.fixture
def store_path(tmp_path):
    path = str(tmp_path / "store")
    make_root(path)
    return path


def run(store_path, *entries, check_mode=False, **options):
    params = {"store_path": store_path, "certificates": list(entries), **options}
    return run_module(certificates, params, check_mode)


def test_what_is_returned_is_what_is_documented(store_path):
    described = documented(certificates)
    web = {"profile": "server", "subject_alternative_names": ["DNS:a"]}
    result = run(
        store_path,
        entry("c1", packs=["pkcs12"]),
        entry("c2"),
        entry("own", issuer="self"),
        entry("web", request=request_for(new_key()), **web),
    )
    assert set(result) == {*described, "changed", "diff"}
    contained = set(described["certificates"]["contains"]) - {"revocation_reason"}
    packed, elsewhere, handed = (
        {"pack_paths", "passphrase_path"},
        {"dropped"},
        {"certificate", "fullchain"},
    )
    found = {name: set(each) for name, each in result["certificates"].items()}
    assert found == {
        "client/c1": contained - elsewhere - handed,
        "client/c2": contained - packed - elsewhere - handed,
        "client/own": contained - packed - elsewhere,
        "server/web": contained - packed - {"key_path"},
    }


def test_a_revoked_certificate_says_why(store_path):
    from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import utc_now
    from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store

    run(store_path, entry("c1"))
    revoke(Store(store_path), {"name": "c1", "reason": "superseded"}, now=utc_now())
    result = run(store_path, entry("c1"))
    assert (result["changed"], result["plan"]) == (False, "revoked 1")
    assert result["certificates"]["client/c1"]["revocation_reason"] == "superseded"


def test_the_diff_shows_only_what_is_done_and_why(store_path):
    run(store_path, entry("c1"), entry("c2"))
    entries = [entry("c1"), entry("c2", common_name="Two"), entry("c3")]
    expected = {
        "before": "",
        "after": "reissue client/c2: subject CN=Two\nissue client/c3: missing\n",
    }
    assert run(store_path, *entries, check_mode=True)["diff"] == expected
    assert run(store_path, *entries)["diff"] == expected
    assert "diff" not in run(store_path, *entries)


def test_the_common_name_is_the_name_unless_given(store_path):
    result = run(store_path, entry("c1"), entry("c2", common_name="Client Two"))
    subjects = [each["subject"] for each in result["certificates"].values()]
    assert subjects == ["CN=c1", "CN=Client Two"]


def test_the_module_issues_once(store_path, capsys):
    arguments = {
        "store_path": store_path,
        "certificates": [
            entry("c1", packs=["pkcs12"]),
            entry("s1", profile="server", subject_alternative_names=["DNS:app.example.com"]),
            entry("p1", profile="peer", subject_alternative_names=["DNS:app.example.com"]),
            entry("j1", profile="job", subject_alternative_names=["URI:spiffe://example.com/j1"]),
        ],
        "profiles": [{"name": "job", "valid_minutes": 60, "key_type": "Ed25519"}],
        "pack_passphrases": {"c1": "chosen by hand"},
    }
    first = run_main(certificates, capsys, arguments)
    assert (first["changed"], first["plan"]) == (True, "issue 4")
    assert list(first["certificates"]) == ["client/c1", "server/s1", "peer/p1", "client/j1"]
    assert "PRIVATE KEY" not in json.dumps(first)
    second = run_main(certificates, capsys, arguments)
    assert (second["changed"], second["plan"]) == (False, "ok 4")
    assert "diff" not in second
    assert "chosen by hand" not in json.dumps([first["certificates"], second["certificates"]])


OURS = "client certificate 'c1': "
WEB = {"profile": "server"}
BAD_OPTIONS = [
    ({"name": "a/b"}, "client certificate 'a/b': the name 'a/b' must be 1 to 128"),
    ({"profile": "x"}, "certificate 'c1': profile 'x' is not one of client, server, peer"),
    ({"state": "gone"}, "value of state must be one of: present, absent"),
    ({"issuer": None}, OURS + "issuer is missing; name an authority, or 'self'"),
    ({"issuer": "x"}, OURS + "its issuer 'x' is not an authority of the store"),
    ({"common_name": "a" * 65}, OURS + "common_name '"),
    ({"subject": {"X": "y"}}, OURS + "the subject attribute 'X' must be one of"),
    ({"subject": {"O": 1}}, OURS + "the subject attribute O 1 must be text"),
    ({"subject_alternative_names": ["app"]}, OURS + "the alternative name 'app' must"),
    ({"subject_alternative_names": ["IP:1"]}, OURS + "the alternative name 'IP:1'"),
    (
        {"subject_alternative_names": ["DNS:a", "DNS:a"]},
        OURS + "an alternative name is given twice",
    ),
    (WEB, "server certificate 'c1': a server certificate needs subject_alternative_names"),
    ({"key_type": "DSA"}, "value of key_type must be one of"),
    ({"valid_days": 0}, OURS + "valid_days 0 must be 1 or more"),
    ({"valid_days": 3000000}, OURS + "valid_days 3000000 reaches beyond the year 9999"),
    ({"valid_minutes": 0}, OURS + "valid_minutes 0 must be 1 or more"),
    ({"valid_minutes": 1, "valid_days": 1}, OURS + "give either valid_days or valid_minutes"),
    ({"valid_minutes": 10**18}, OURS + f"valid_minutes {10**18} reaches beyond the year 9999"),
    ({"renew_before_days": -1}, OURS + "renew_before_days -1 must be 0 or more"),
    (
        {"renew_before_days": 365},
        OURS + "renew_before_days 365 must be 0 or more and less than the life of its profile",
    ),
    (
        {"valid_days": 9, "renew_before_days": 9},
        OURS + "renew_before_days 9 must be 0 or more and less than valid_days 9",
    ),
    (
        {"renew_before_minutes": 1, "renew_before_days": 1},
        OURS + "give either renew_before_days or renew_before_minutes",
    ),
    ({"rekey": "perhaps"}, "argument 'rekey' is of type"),
    ({"request": "x"}, OURS + "the request is not a CSR in PEM"),
    ({"request": "x", "issuer": "self"}, OURS + "with a request the key is elsewhere"),
    ({"request": "x", "packs": ["zip"]}, OURS + "with a request the key is elsewhere"),
    ({"reissue_revoked": "perhaps"}, "argument 'reissue_revoked' is of type"),
    ({"packs": ["rar"]}, "value of packs must be one or more of"),
    ({"key_types": "x"}, "Unsupported parameters for"),
]


@pytest.mark.parametrize(
    ("given", "sentence"), [pytest.param(*each, id=str(each[0])[:60]) for each in BAD_OPTIONS]
)
def test_a_wrong_entry_is_said_in_one_clear_sentence(store_path, capsys, given, sentence):
    wanted = [entry("good"), {**entry("c1"), **given}]
    said = said_by(certificates, capsys, {"store_path": store_path, "certificates": wanted})
    assert sentence in said
    if sentence.startswith(OURS):
        assert said.startswith(OURS)


EXTENSION = {"oid": "1.2.3.4", "value_base64": "BAA="}
OURS = "profile 'own': "
BAD_PROFILES = [
    ({"name": "client"}, "profile 'client': that name is taken by a profile that is always there"),
    ({"base": "x"}, "value of base must be one of: client, server, peer"),
    ({"key_type": "DSA"}, "value of key_type must be one of"),
    ({"valid_days": 0}, OURS + "valid_days 0 must be 1 or more"),
    ({"valid_minutes": -1}, OURS + "valid_minutes -1 must be 1 or more"),
    ({"renew_before_days": 365}, OURS + "renew_before_days 365 must be"),
    ({"renew_before_minutes": -1}, OURS + "renew_before_minutes -1 must be"),
    ({"key_usage": ["keyCertSign"]}, "value of key_usage must be one or more of"),
    ({"key_usage": ["encipherOnly"]}, OURS + "key_usage encipherOnly and decipherOnly only mean"),
    ({"extended_key_usage": ["TLS"]}, OURS + "the extended key usage 'TLS' must be an OID or"),
    ({"extended_key_usage": ["9.9"]}, OURS + "the extended key usage '9.9' must be"),
    ({"extended_key_usage": ["1.99.1"]}, OURS + "'1.99.1'"),
    ({"certificate_policies": ["x"]}, OURS + "the certificate policy 'x' must be an OID"),
    ({"extensions": [{"oid": "1.2.3"}]}, "missing required arguments: value_base64 found in"),
    (
        {"extensions": [{**EXTENSION, "oid": "basic"}]},
        OURS + "the extension 'basic' must be named by its OID",
    ),
    (
        {"extensions": [{**EXTENSION, "oid": "2.5.29.19"}]},
        OURS + "the extension 2.5.29.19 is basicConstraints, which other options decide",
    ),
    (
        {"extensions": [{**EXTENSION, "value_base64": "?"}]},
        OURS + "the value of extension 1.2.3.4 must be DER in Base64",
    ),
    (
        {"extensions": [{**EXTENSION, "value_base64": ""}]},
        OURS + "the value of extension 1.2.3.4 must be DER in Base64",
    ),
    ({"extensions": [EXTENSION, EXTENSION]}, OURS + "an extension is named twice"),
    ({"extensions": [{**EXTENSION, "critical": "x"}]}, "argument 'critical' is of type"),
]


@pytest.mark.parametrize(
    ("given", "sentence"), [pytest.param(*each, id=str(each[0])[:60]) for each in BAD_PROFILES]
)
def test_a_wrong_profile_is_said_in_one_clear_sentence(store_path, capsys, given, sentence):
    arguments = {
        "store_path": store_path,
        "certificates": [],
        "profiles": [{"name": "own", **given}],
    }
    assert sentence in said_by(certificates, capsys, arguments)


def test_two_profiles_of_a_name_are_refused(store_path, capsys):
    arguments = {"store_path": store_path, "certificates": [], "profiles": [{"name": "own"}] * 2}
    assert said_by(certificates, capsys, arguments) == (
        "profile 'own': that name is taken by another one"
    )


OURS = "client certificate 'c1': "
ROUND_IT = [
    ({"store_path": "store"}, "store_path 'store' must be an absolute path"),
    ({"certificates": "c1"}, "dictionary requested, could not parse"),
    (
        {"certificates": [{"name": "c1"}]},
        "state is present but all of the following are missing: issuer found in certificates",
    ),
    ({"certificates": [{"name": "", "issuer": "root"}]}, "client certificate '"),
    ({"certificates": [None]}, "in the sub parameter field 'certificates' must be a list"),
    ({"certificates": [entry("c1")] * 2}, OURS[:-2] + " is asked for twice"),
    (
        {"certificates": [entry("c1"), {"name": "c1", "state": "absent"}]},
        OURS[:-2] + " is asked for twice",
    ),
    ({"pack_passphrases": {"x": "12345678"}}, "pack_passphrases: 'x' is the name of no certif"),
    ({"pack_passphrases": {"c1": "12345678"}}, OURS + "pack_passphrases has one for it, and no"),
    ({"pack_passphrases": {"p1": "short"}}, "'p1': its entry in pack_passphrases must have 8"),
    ({"pack_passphrases": {"p1": 12345678}}, "'p1': its entry in pack_passphrases must be text"),
    ({"pack_passphrases": {"p1": "pässword"}}, "'p1': its passphrase must be of printable ASCII"),
    ({"pack_passphrases": "x"}, "argument 'pack_passphrases' is of type"),
    ({"key_passphrases": {"root": 5}}, "key_passphrases: that of authority 'root' must be text"),
    ({"key_passphrases": "x"}, "argument 'key_passphrases' is of type"),
]


@pytest.mark.parametrize(
    ("given", "sentence"), [pytest.param(*each, id=str(each[0])[:60]) for each in ROUND_IT]
)
def test_what_is_wrong_around_the_entries_is_said_too(store_path, capsys, given, sentence):
    entries = [entry("c1"), entry("p1", packs=["pkcs12"])]
    arguments = {"store_path": store_path, "certificates": entries, **given}
    assert sentence in said_by(certificates, capsys, arguments)


def test_every_option_is_in_a_table_of_bad_ones():
    spec = certificates.ARGUMENT_SPEC
    for options, table, untested in [
        (spec, ROUND_IT, {"profiles"}),
        (spec["certificates"]["options"], BAD_OPTIONS, set()),
        (spec["profiles"]["options"], BAD_PROFILES, set()),
    ]:
        tested = {option for given, _sentence in table for option in given}
        assert set(options) - tested == untested


def test_a_host_without_cryptography_gets_a_plan_or_a_clear_error(tmp_path):
    params = {
        "store_path": str(tmp_path / "store"),
        "certificates": [
            {**entry("c1", packs=["pkcs12"]), "profile": "client"},
            {**entry("app", request="made by the same play"), "profile": "web"},
            {"name": "old", "profile": "client", "state": "absent"},
        ],
        "profiles": [{"name": "web", "base": "server"}],
    }
    planned, said = on_a_bare_host("certificates", params)
    due = {"action": "issue", "reasons": ["missing"]}
    assert planned == {
        "changed": True,
        "plan": "issue 2",
        "certificates": {
            "client/c1": {"name": "c1", **due},
            "server/app": {"name": "app", **due},
        },
    }
    assert said.startswith("this needs Python's cryptography 36 or newer, and there is")
    assert list(tmp_path.iterdir()) == []


def test_the_same_plan_with_and_without_cryptography(tmp_path, monkeypatch):
    path = str(tmp_path / "store")
    entries = [entry("c1", packs=["pkcs12"]), entry("c2")]
    expected = run(path, *entries, check_mode=True)
    monkeypatch.setattr(certificates, "is_available", lambda: False)
    found = run(path, *entries, check_mode=True)
    assert (found["plan"], found["changed"]) == (expected["plan"], expected["changed"])
    for name, described in found["certificates"].items():
        assert described.items() <= expected["certificates"][name].items()


def test_what_cannot_be_met_is_an_error_of_ours(store_path):
    with pytest.raises(MtlsError, match="client certificate 'c1' is asked for twice"):
        run(store_path, entry("c1"), entry("c1"))


def test_what_is_absent_needs_no_more_than_its_name(store_path, capsys):
    run(store_path, entry("c1"), entry("c2"))
    arguments = {"store_path": store_path, "certificates": [{"name": "c1", "state": "absent"}]}
    result = run_main(certificates, capsys, arguments)
    assert (result["changed"], result["plan"]) == (True, "forget 1")
    assert result["diff"]["after"] == "forget client/c1: not wanted any more\n"
    result = run_main(certificates, capsys, arguments)
    assert (result["changed"], result["plan"]) == (False, "ok 1")
