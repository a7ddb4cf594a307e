# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""edge.mtls.authority: options in, result out."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.modules import authority
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    on_a_bare_host,
)


def options(tmp_path, **given):
    return {
        "store_path": str(tmp_path / "store"),
        "name": "root",
        "common_name": "Example Root CA",
        "issuer": None,
        "key_type": "P-256",
        "valid_days": 3650,
        "path_length": None,
        **given,
    }


def run_main(capsys, arguments):
    """Run the module as it runs on a host, and return what it prints."""
    with patch_module_args(arguments), pytest.raises(SystemExit):
        authority.main()
    return json.loads(capsys.readouterr().out)


def test_what_is_returned_is_what_is_documented(tmp_path):
    documented = yaml.safe_load(authority.RETURN)
    made = authority.run(options(tmp_path), False)
    assert set(made) == {*documented, "changed", "diff"}
    found = authority.run(options(tmp_path), False)
    assert set(found) == {*documented, "changed"}
    always = {name for name, value in documented.items() if value["returned"] == "success"}
    assert set(authority.run(options(tmp_path, name="b", common_name="B"), True)) == {
        *always,
        "changed",
        "diff",
    }


def test_the_diff_says_why_and_shows_no_key(tmp_path):
    diff = authority.run(options(tmp_path), False)["diff"]
    assert diff["before"] == ""
    assert diff["after"] == "Example Root CA: missing\n"
    assert diff["after_header"] == "authority 'root'"


def test_the_module_makes_an_authority_once(tmp_path, capsys):
    arguments = {
        "store_path": str(tmp_path / "store"),
        "name": "root",
        "common_name": "Example Root CA",
    }
    first = run_main(capsys, arguments)
    assert first["changed"] is True
    assert "PRIVATE KEY" not in json.dumps(first)
    assert run_main(capsys, arguments)["changed"] is False


def test_the_module_in_check_mode_makes_nothing(tmp_path, capsys):
    arguments = {"store_path": str(tmp_path / "a/store"), "name": "root", "common_name": "Root"}
    result = run_main(capsys, {**arguments, "_ansible_check_mode": True})
    assert (result["changed"], result["reasons"]) == (True, ["missing"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param({"store_path": "store"}, "must be an absolute path", id="relative store"),
        pytest.param({"name": ".."}, "the name '..' must be 1 to 128", id="name"),
        pytest.param({"issuer": "unknown"}, "its issuer 'unknown' is not in", id="issuer"),
        pytest.param({"key_type": "RSA-1024"}, "value of key_type must be one of", id="choice"),
        pytest.param({"valid_days": "soon"}, "'valid_days' is of type", id="type"),
    ],
)
def test_the_module_fails_with_one_clear_sentence(tmp_path, capsys, given, sentence):
    arguments = {"store_path": str(tmp_path / "store"), "name": "root", "common_name": "Root"}
    result = run_main(capsys, {**arguments, **given})
    assert result["failed"] is True
    assert sentence in result["msg"]
    assert "Traceback" not in json.dumps(result)


def test_a_host_without_cryptography_gets_a_plan_or_a_clear_error(tmp_path):
    planned, said = on_a_bare_host("authority", options(tmp_path))
    folder = tmp_path / "store/authorities/root"
    assert planned == {
        "changed": True,
        "name": "root",
        "reasons": ["missing"],
        "certificate_path": f"{folder}/certificate.pem",
        "fullchain_path": f"{folder}/fullchain.pem",
    }
    assert said.startswith("this needs Python's cryptography 36 or newer, and there is")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_kept_is_an_error_of_ours(tmp_path):
    authority.run(options(tmp_path), False)
    with pytest.raises(MtlsError, match="its key_type is P-256 and can't become Ed25519"):
        authority.run(options(tmp_path, key_type="Ed25519"), False)
