# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""edge.mtls.certificate_request: a key that stays, a request that travels."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.edge.mtls.plugins.modules import certificate_request
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    on_a_bare_host,
)


def options(tmp_path, **given):
    return {
        "key_path": str(tmp_path / "tls/key.pem"),
        "common_name": "app.example.com",
        "subject_alternative_names": ["DNS:app.example.com"],
        "key_type": "P-256",
        **given,
    }


def run_main(capsys, arguments):
    """Run the module as it runs on a host, and return what it prints."""
    with patch_module_args(arguments), pytest.raises(SystemExit):
        certificate_request.main()
    return json.loads(capsys.readouterr().out)


def test_what_is_returned_is_what_is_documented(tmp_path):
    documented = yaml.safe_load(certificate_request.RETURN)
    planned = certificate_request.run(options(tmp_path), True)
    assert set(planned) == {*documented, "changed", "diff"}
    made = certificate_request.run(options(tmp_path), False)
    assert set(made) == {*documented, "changed", "diff"}
    assert set(certificate_request.run(options(tmp_path), False)) == {*documented, "changed"}


def test_the_diff_says_why_and_shows_no_key(tmp_path):
    diff = certificate_request.run(options(tmp_path), False)["diff"]
    assert (diff["before"], diff["after"]) == ("", "a P-256 key, mode 0600: missing\n")
    (tmp_path / "tls/key.pem").chmod(0o644)
    diff = certificate_request.run(options(tmp_path), False)["diff"]
    assert diff["after"] == "a P-256 key, mode 0600: mode 0644\n"


def test_the_module_makes_a_key_once(tmp_path, capsys):
    arguments = {"key_path": str(tmp_path / "key.pem"), "common_name": "app.example.com"}
    first = run_main(capsys, arguments)
    assert first["changed"] is True
    assert "PRIVATE KEY" not in json.dumps(first)
    second = run_main(capsys, arguments)
    assert second["changed"] is False
    assert second["public_key_sha256"] == first["public_key_sha256"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param({"key_path": "key.pem"}, "must be an absolute path", id="relative path"),
        pytest.param({"common_name": " app"}, "no space at either end", id="common name"),
        pytest.param({"subject_alternative_names": ["app"]}, "alternative name 'app'", id="SAN"),
        pytest.param({"key_type": "DSA"}, "value of key_type must be one of", id="key type"),
    ],
)
def test_the_module_fails_with_one_clear_sentence(tmp_path, capsys, given, sentence):
    arguments = {"key_path": str(tmp_path / "key.pem"), "common_name": "app"}
    result = run_main(capsys, {**arguments, **given})
    assert result["failed"] is True
    assert sentence in result["msg"]
    assert list(tmp_path.iterdir()) == []


def test_a_host_without_cryptography_gets_a_plan_or_a_clear_error(tmp_path):
    planned, said = on_a_bare_host("certificate_request", options(tmp_path))
    assert planned["changed"] is True
    assert planned["request"] is None
    assert said.startswith("this needs Python's cryptography 36 or newer, and there is")
    assert list(tmp_path.iterdir()) == []
