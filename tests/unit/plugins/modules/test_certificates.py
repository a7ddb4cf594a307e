# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""edge.mtls.certificates: a whole set in, a plan and each certificate out."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.modules import authority, certificates
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    on_a_bare_host,
)


def entry(name, **given):
    return {
        "name": name,
        "profile": "client",
        "state": "present",
        "issuer": "root",
        "common_name": None,
        "subject_alternative_names": [],
        "key_type": "P-256",
        "valid_days": 365,
        "renew_before_days": 30,
        "request": None,
        "pkcs12": False,
        **given,
    }


@pytest.fixture
def store_path(tmp_path):
    path = str(tmp_path / "store")
    authority.run(
        {
            "store_path": path,
            "name": "root",
            "common_name": "Example Root CA",
            "issuer": None,
            "key_type": "P-256",
            "valid_days": 3650,
            "path_length": None,
        },
        False,
    )
    return path


def run(store_path, *entries, check_mode=False):
    return certificates.run({"store_path": store_path, "certificates": list(entries)}, check_mode)


def run_main(capsys, arguments):
    """Run the module as it runs on a host, and return what it prints."""
    with patch_module_args(arguments), pytest.raises(SystemExit):
        certificates.main()
    return json.loads(capsys.readouterr().out)


def test_what_is_returned_is_what_is_documented(store_path):
    documented = yaml.safe_load(certificates.RETURN)
    result = run(store_path, entry("c1", pkcs12=True), entry("c2"))
    assert set(result) == {*documented, "changed", "diff"}
    contained = set(documented["certificates"]["contains"])
    assert set(result["certificates"]["client/c1"]) == contained
    assert set(result["certificates"]["client/c2"]) == contained - {"pkcs12_path"}


def test_the_diff_shows_only_what_is_done_and_why(store_path):
    run(store_path, entry("c1"), entry("c2"))
    entries = [entry("c1"), entry("c2", common_name="Two"), entry("c3")]
    expected = [
        {
            "before": "",
            "after": f"{said}\n",
            "before_header": f"certificate client/{name}",
            "after_header": f"certificate client/{name}",
        }
        for name, said in [("c2", "reissue: common name Two"), ("c3", "issue: missing")]
    ]
    assert run(store_path, *entries, check_mode=True)["diff"] == expected
    assert run(store_path, *entries)["diff"] == expected
    assert run(store_path, *entries)["diff"] == []


def test_the_common_name_is_the_name_unless_given(store_path):
    result = run(store_path, entry("c1"), entry("c2", common_name="Client Two"))
    subjects = [each["subject"] for each in result["certificates"].values()]
    assert subjects == ["CN=c1", "CN=Client Two"]


def test_the_module_issues_once(store_path, capsys):
    arguments = {
        "store_path": store_path,
        "certificates": [
            {"name": "c1", "issuer": "root", "pkcs12": True},
            {
                "name": "s1",
                "issuer": "root",
                "profile": "server",
                "subject_alternative_names": ["DNS:app.example.com"],
            },
        ],
    }
    first = run_main(capsys, arguments)
    assert (first["changed"], first["plan"]) == (True, "issue 2")
    assert "PRIVATE KEY" not in json.dumps(first)
    second = run_main(capsys, arguments)
    assert (second["changed"], second["plan"], second["diff"]) == (False, "ok 2", [])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param({"name": "a/b"}, "the name 'a/b' must be 1 to 128", id="name"),
        pytest.param({"issuer": "x"}, "its issuer 'x' is not an authority", id="issuer"),
        pytest.param({"request": "x"}, "the request is not a CSR in PEM", id="request"),
        pytest.param({"profile": "peer"}, "value of profile must be one of", id="profile"),
        pytest.param({"key_types": "x"}, "Unsupported parameters for", id="mistyped option"),
        pytest.param({"valid_days": 9}, "renew_before_days 30 must be", id="days"),
    ],
)
def test_the_module_fails_with_one_clear_sentence(store_path, capsys, given, sentence):
    wanted = [{"name": "c1", "issuer": "root", **given}]
    result = run_main(capsys, {"store_path": store_path, "certificates": wanted})
    assert result["failed"] is True
    assert sentence in result["msg"]
    assert "Traceback" not in json.dumps(result)


def test_a_host_without_cryptography_gets_a_plan_or_a_clear_error(tmp_path):
    params = {
        "store_path": str(tmp_path / "store"),
        "certificates": [
            entry("c1", pkcs12=True),
            entry("app", profile="server", request="made by the same play"),
        ],
    }
    planned, said = on_a_bare_host("certificates", params)
    client, server = tmp_path / "store/clients/c1", tmp_path / "store/servers/app"
    due = {"action": "issue", "reasons": ["missing"]}
    assert planned == {
        "changed": True,
        "plan": "issue 2",
        "certificates": {
            "client/c1": {
                "name": "c1",
                **due,
                "certificate_path": f"{client}/certificate.pem",
                "fullchain_path": f"{client}/fullchain.pem",
                "key_path": f"{client}/key.pem",
                "pkcs12_path": f"{client}/c1.p12",
            },
            "server/app": {
                "name": "app",
                **due,
                "certificate_path": f"{server}/certificate.pem",
                "fullchain_path": f"{server}/fullchain.pem",
            },
        },
    }
    assert said.startswith("this needs Python's cryptography 36 or newer, and there is")
    assert list(tmp_path.iterdir()) == []


def test_the_same_plan_with_and_without_cryptography(tmp_path, monkeypatch):
    path = str(tmp_path / "store")
    entries = [entry("c1", pkcs12=True), entry("c2")]
    expected = run(path, *entries, check_mode=True)
    monkeypatch.setattr(certificates, "is_available", lambda: False)
    found = run(path, *entries, check_mode=True)
    assert {**found, "diff": expected["diff"]} == expected


def test_what_cannot_be_met_is_an_error_of_ours(store_path):
    with pytest.raises(MtlsError, match="client certificate 'c1' is asked for twice"):
        run(store_path, entry("c1"), entry("c1"))


def test_what_is_absent_needs_no_more_than_its_name(store_path, capsys):
    run(store_path, entry("c1"), entry("c2"))
    arguments = {"store_path": store_path, "certificates": [{"name": "c1", "state": "absent"}]}
    result = run_main(capsys, arguments)
    assert (result["changed"], result["plan"]) == (True, "forget 1")
    assert result["diff"][0]["after"] == "forget: not wanted any more\n"
    result = run_main(capsys, arguments)
    assert (result["changed"], result["plan"]) == (False, "ok 1")


def test_what_is_present_needs_an_issuer(store_path, capsys):
    result = run_main(capsys, {"store_path": store_path, "certificates": [{"name": "c1"}]})
    assert result["msg"] == (
        "state is present but all of the following are missing: issuer found in certificates"
    )
