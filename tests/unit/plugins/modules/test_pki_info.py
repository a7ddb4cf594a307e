# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""edge.mtls.pki_info: filters in, a list out."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.modules import certificates, pki_info
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    on_a_bare_host,
    tree,
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
    entry = {"name": "c1", "issuer": "root"}
    run(certificates, {"store_path": path, "certificates": [entry]})
    return path


def test_what_is_returned_is_what_is_documented(store_path, capsys):
    result = run(pki_info, {"store_path": store_path})
    assert set(result) == {*documented(pki_info), "changed"}
    revoked = {"revocation_reason", "revoked_at", "revoked_by"}
    for each in result["certificates"]:
        assert set(each) == set(documented(pki_info)["certificates"]["contains"]) - revoked
    assert run_main(pki_info, capsys, {"store_path": store_path})["changed"] is False


def test_nothing_is_written(store_path, tmp_path):
    before = tree(tmp_path)
    run(pki_info, {"store_path": store_path})
    run(pki_info, {"store_path": store_path}, check_mode=True)
    assert tree(tmp_path) == before


BAD_OPTIONS = [
    ({"store_path": "store"}, "store_path 'store' must be an absolute path"),
    ({"store_path": "/nowhere/x"}, "store_path /nowhere/x holds no store"),
    ({"names": {"a": 1}}, "argument 'names' is of type"),
    ({"profiles": ["job"]}, "value of profiles must be one or more of: authority, client"),
    ({"authorities": ["x"]}, "authorities: 'x' was never an authority of "),
    ({"states": ["gone"]}, "value of states must be one or more of: valid, superseded"),
    ({"expires_within_days": "soon"}, "argument 'expires_within_days' is of type"),
    ({"expires_within_days": 10**7}, "expires_within_days 10000000 reaches beyond the year"),
    ({"expires_within_days": 10**18}, f"expires_within_days {10**18} reaches beyond the year"),
]


@pytest.mark.parametrize(
    ("given", "sentence"), [pytest.param(*each, id=str(each[0])[:60]) for each in BAD_OPTIONS]
)
def test_a_wrong_option_is_said_in_one_clear_sentence(store_path, capsys, given, sentence):
    assert sentence in said_by(pki_info, capsys, {"store_path": store_path, **given})


def test_every_option_is_in_the_table_of_bad_ones():
    tested = {option for given, _sentence in BAD_OPTIONS for option in given}
    assert set(pki_info.ARGUMENT_SPEC) == tested


def test_a_host_without_cryptography_gets_a_clear_error(tmp_path):
    for said in on_a_bare_host("pki_info", {"store_path": str(tmp_path)}):
        assert said.startswith("this needs Python's cryptography 36 or newer, and there is")
