# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""edge.mtls.authority: options in, result out."""

from __future__ import annotations

import json

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.modules import authority
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    on_a_bare_host,
)
from ansible_collections.edge.mtls.tests.unit.plugins.modules.shared import (
    always,
    documented,
    run,
    run_main,
    said_by,
)


def options(tmp_path, **given):
    defaults = {"name": "root", "common_name": "Example Root CA"}
    return {"store_path": str(tmp_path / "store"), **defaults, **given}


def test_what_is_returned_is_what_is_documented(tmp_path):
    made = run(authority, options(tmp_path))
    returned = set(documented(authority)) - {"request_path"}
    assert set(made) == {*returned, "changed", "diff"}
    assert set(run(authority, options(tmp_path))) == {*returned, "changed"}
    planned = run(authority, options(tmp_path, name="b", common_name="B"), check_mode=True)
    assert set(planned) == {*always(authority), "changed", "diff"}


def test_what_waits_for_its_certificate_names_the_request(tmp_path):
    elsewhere = {"store_path": str(tmp_path / "elsewhere"), "name": "r", "common_name": "R"}
    path = run(authority, elsewhere)["certificate_path"]
    run(authority, {"store_path": str(tmp_path / "store"), "name": "r", "certificate_path": path})
    result = run(authority, options(tmp_path, name="low", issuer="r"))
    assert set(result) == {*always(authority), "request_path", "changed", "diff"}
    assert (result["state"], result["reasons"]) == ("pending", ["request made"])


def test_the_diff_says_why_and_shows_no_key(tmp_path):
    assert run(authority, options(tmp_path))["diff"] == {
        "before": "",
        "after": "missing\n",
        "before_header": "authority 'root'",
        "after_header": "authority 'root'",
    }


def test_the_module_makes_an_authority_once(tmp_path, capsys):
    first = run_main(authority, capsys, options(tmp_path))
    assert (first["changed"], first["state"]) == (True, "live")
    assert "PRIVATE KEY" not in json.dumps(first)
    assert run_main(authority, capsys, options(tmp_path))["changed"] is False


def test_every_option_reaches_the_authority(tmp_path, capsys):
    given = {
        "subject": {"O": "Example"},
        "key_type": "P-384",
        "valid_minutes": 90,
        "path_length": 1,
        "permitted_names": ["DNS:example.com"],
        "excluded_names": ["DNS:secret.example.com"],
        "certificate_policies": ["1.2.3.4"],
        "crl_urls": ["http://pki.example.com/root.crl"],
        "ca_issuers_urls": ["http://pki.example.com/root.cer"],
        "ocsp_urls": ["http://ocsp.example.com"],
        "key_passphrase": "nobody reads this",
    }
    first = run_main(authority, capsys, options(tmp_path, **given))
    assert first["subject"] == "CN=Example Root CA,O=Example"
    assert first["key_type"] == "P-384"
    assert run_main(authority, capsys, options(tmp_path, **given))["changed"] is False
    for option, other in [
        ("subject", {"O": "Other"}),
        ("key_type", "P-256"),
        ("path_length", 2),
        ("permitted_names", []),
        ("excluded_names", []),
        ("certificate_policies", []),
    ]:
        assert "authority 'root': its " in said_by(
            authority, capsys, options(tmp_path, **{**given, option: other})
        )
    for option in ("crl_urls", "ca_issuers_urls", "ocsp_urls"):
        result = run_main(authority, capsys, options(tmp_path, **{**given, option: []}))
        assert result["reasons"] == [f"{option} changed"]
        run_main(authority, capsys, options(tmp_path, **given))


def test_the_module_in_check_mode_makes_nothing(tmp_path, capsys):
    arguments = {"store_path": str(tmp_path / "a/store"), "name": "root", "common_name": "Root"}
    result = run_main(authority, capsys, {**arguments, "_ansible_check_mode": True})
    assert (result["changed"], result["reasons"]) == (True, ["missing"])
    assert result["state"] == "absent"
    assert list(tmp_path.iterdir()) == []


OURS = "authority 'root': "
BAD_OPTIONS = [
    ({"store_path": "store"}, "store_path 'store' must be an absolute path"),
    ({"name": ".."}, "authority '..': the name '..' must be 1 to 128"),
    ({"name": ""}, "authority '': the name '' must be 1 to 128"),
    ({"common_name": None}, OURS + "common_name is missing"),
    ({"common_name": "a" * 65}, OURS + "common_name '"),
    ({"common_name": "a\nb"}, OURS + "common_name 'a\\nb' must be printable"),
    ({"common_name": None, "subject": {"O": "x"}}, OURS + "subject is given without common_name"),
    ({"subject": {"O": 5}}, OURS + "the subject attribute O 5 must be text"),
    ({"subject": {"C": "Germany"}}, OURS + "the subject attribute C 'Germany' must"),
    ({"subject": {"X": "y"}}, OURS + "the subject attribute 'X' must be one of"),
    ({"subject": {"CN": "y"}}, OURS + "the subject attribute 'CN' must be given as common_name"),
    ({"subject": "nonsense"}, "argument 'subject' is of type"),
    ({"issuer": "root"}, OURS + "it can't be its own issuer"),
    ({"issuer": "unknown"}, OURS + "its issuer 'unknown' is not in the store"),
    ({"key_type": "RSA-1024"}, "value of key_type must be one of"),
    ({"valid_days": "soon"}, "argument 'valid_days' is of type"),
    ({"valid_days": 0}, OURS + "valid_days 0 must be 1 or more"),
    ({"valid_days": 3000000}, OURS + "valid_days 3000000 reaches beyond the year 9999"),
    ({"valid_days": 10**12}, OURS + "valid_days 1000000000000 reaches beyond the year 9999"),
    ({"valid_minutes": 0}, OURS + "valid_minutes 0 must be 1 or more"),
    ({"valid_minutes": -9}, OURS + "valid_minutes -9 must be 1 or more"),
    ({"valid_days": 1, "valid_minutes": 1}, OURS + "give either valid_days or valid_minutes"),
    ({"path_length": -1}, OURS + "path_length -1 must be 0 or more"),
    ({"permitted_names": ["example.com"]}, OURS + "the name constraint 'example.com'"),
    ({"excluded_names": ["IP:10.0.0.1/8"]}, OURS + "the name constraint 'IP:10.0.0.1/8'"),
    ({"certificate_policies": ["x"]}, OURS + "the certificate policy 'x' must be an OID"),
    ({"certificate_policies": ["1.2.3", "1.2.3"]}, OURS + "a certificate policy is named twice"),
    ({"certificate_policies": ["9.2.3"]}, OURS + "the certificate policy '9.2.3'"),
    ({"crl_urls": ["ftp://x"]}, OURS + "crl_urls 'ftp://x' must be an http, https or ldap URL"),
    ({"ca_issuers_urls": ["x y"]}, OURS + "ca_issuers_urls 'x y' must be"),
    ({"ocsp_urls": [""]}, OURS + "ocsp_urls '' must be"),
    ({"key_passphrase": ""}, OURS + "key_passphrase must take 1 to 1023 bytes"),
    ({"key_passphrase": "ä" * 512}, OURS + "key_passphrase must take 1 to 1023 bytes"),
    ({"certificate_path": "/nowhere.pem"}, OURS + "certificate_path /nowhere.pem does not exist"),
    ({"certificate_path": "/"}, OURS + "certificate_path / can't be read: Is a directory"),
    ({"key_path": "/key.pem"}, OURS + "key_path is given without certificate_path"),
    ({"roll_over": "now"}, "value of roll_over must be one of: prepare, sign, move, retire"),
    (
        {"roll_over": "sign", "certificate_path": "/x.pem"},
        OURS + "an authority that was brought (certificate_path) can't be rolled over here",
    ),
    ({"key_types": "x"}, "Unsupported parameters for"),
]


@pytest.mark.parametrize(
    ("given", "sentence"), [pytest.param(*each, id=str(each[0])[:60]) for each in BAD_OPTIONS]
)
def test_the_module_fails_with_one_clear_sentence(tmp_path, capsys, given, sentence):
    said = said_by(authority, capsys, options(tmp_path, **given))
    assert sentence in said
    if sentence.startswith(OURS):
        assert said.startswith(OURS)
    assert not (tmp_path / "store").exists()


def test_every_option_is_in_the_table_of_bad_ones():
    tested = {option for given, _sentence in BAD_OPTIONS for option in given}
    # Any text is a passphrase; whether it opens a key shows when that is done.
    untested = {"previous_key_passphrase", "issuer_key_passphrase"}
    assert set(authority.ARGUMENT_SPEC) - tested == untested


def test_a_host_without_cryptography_gets_a_plan_or_a_clear_error(tmp_path):
    planned, said = on_a_bare_host("authority", options(tmp_path))
    folder = tmp_path / "store/authorities/root"
    assert planned == {
        "changed": True,
        "name": "root",
        "reasons": ["missing"],
        "state": "absent",
        "certificate_path": f"{folder}/certificate.pem",
        "fullchain_path": f"{folder}/fullchain.pem",
        "trust_path": f"{tmp_path}/store/trust/root.pem",
    }
    assert said.startswith("this needs Python's cryptography 36 or newer, and there is")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_kept_is_an_error_of_ours(tmp_path):
    run(authority, options(tmp_path))
    with pytest.raises(MtlsError, match="its key_type is P-256 and can't become Ed25519"):
        run(authority, options(tmp_path, key_type="Ed25519"))
