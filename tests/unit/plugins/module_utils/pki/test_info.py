# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a store has issued: states and filters."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.info import STATES, list_certificates
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    SECOND,
    keep,
    keep_authority,
    revoke,
    tree,
    wanted,
)

LATER = NOW + 341 * DAY


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(str(tmp_path_factory.mktemp("info") / "store"))
    keep_authority(store)
    keep_authority(store, "low", issuer="root")
    server = {"profile": "server", "subject_alternative_names": ["DNS:a"]}
    lives = {"valid_days": 400}
    keep(
        store,
        wanted("valid", **lives),
        wanted("below", issuer="low", **lives),
        wanted("old", valid_days=365),
        wanted("held", **lives),
        wanted("bad", **lives),
        wanted("free", **lives),
        wanted("gone", valid_days=20),
        wanted("own", issuer="self", **lives),
        wanted("web", **server, **lives),
    )
    hold = {"reason": "certificateHold"}
    revoke(store, {"name": "free", **hold}, by="grace")
    revoke(
        store,
        {"name": "held", **hold},
        {"name": "bad", "reason": "keyCompromise"},
        {"name": "gone"},
        {"name": "free", "state": "released"},
        now=NOW + DAY,
    )
    keep(store, wanted("old", valid_days=365), now=LATER)
    return store


def names(store, now=LATER, **filters):
    found = list_certificates(store, now, **filters)["certificates"]
    return [each["name"] for each in found]


def test_each_certificate_is_in_one_state(store):
    found = list_certificates(store, LATER)
    states = [(each["name"], each["state"]) for each in found["certificates"]]
    assert states == [
        ("low", "valid"),
        ("root", "valid"),
        ("bad", "revoked"),
        ("below", "valid"),
        ("free", "valid"),
        ("gone", "expired"),
        ("held", "hold"),
        ("old", "superseded"),
        ("old", "valid"),
        ("own", "valid"),
        ("valid", "valid"),
        ("web", "valid"),
    ]
    assert found["counts"] == {
        "valid": 8, "superseded": 1, "hold": 1, "revoked": 1, "expired": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param({"names": ["old", "x"]}, ["old", "old"], id="name"),
        pytest.param({"profiles": ["server"]}, ["web"], id="kind"),
        pytest.param({"profiles": ["authority"]}, ["low", "root"], id="authorities"),
        pytest.param({"profiles": ["peer"]}, [], id="a kind that there is none of"),
        pytest.param({"authorities": ["low"]}, ["below"], id="issuer"),
        pytest.param({"authorities": ["low", "root"], "profiles": ["server"]}, ["web"], id="two"),
        pytest.param({"states": ["hold", "revoked"]}, ["bad", "held"], id="states"),
        pytest.param({"states": ["superseded"]}, ["old"], id="superseded"),
        pytest.param({"states": ["expired"]}, ["gone"], id="expired"),
        pytest.param({"names": ["old"], "states": ["valid"]}, ["old"], id="name and state"),
        pytest.param({"expires_within_days": 24}, ["old"], id="soon"),
        pytest.param({"expires_within_days": 23}, [], id="not so soon"),
        pytest.param({"expires_within_days": 0}, [], id="today"),
        pytest.param({"expires_within_days": -30}, [], id="before now"),
        pytest.param(
            {"expires_within_days": 59, "states": ["revoked", "hold"]}, ["bad", "held"], id="both"
        ),
        pytest.param(
            {"expires_within_days": 5000, "profiles": ["authority"]}, ["low", "root"], id="late"
        ),
    ],
)  # fmt: skip
def test_a_certificate_passes_all_filters(store, filters, expected):
    assert names(store, **filters) == expected
    counted = list_certificates(store, LATER, **filters)["counts"]
    assert list(counted) == STATES
    assert sum(counted.values()) == len(expected)


def test_the_last_instant_is_still_valid(store):
    end = NOW + 400 * DAY
    assert names(store, now=end, names=["valid"], states=["valid"]) == ["valid"]
    assert names(store, now=end + SECOND, names=["valid"], states=["expired"]) == ["valid"]


def test_each_is_described(store):
    [described] = list_certificates(store, LATER, names=["bad"])["certificates"]
    assert (described["profile"], described["issuer"]) == ("client", "root")
    assert (described["subject"], described["issuer_subject"]) == ("CN=bad", "CN=root CA")
    assert described["not_after"] == "2028-07-05T12:00:00+00:00"
    assert described["days_left"] == 59
    assert described["revocation_reason"] == "keyCompromise"
    assert described["revoked_at"] == "2027-06-02T12:00:00+00:00"
    assert described["revoked_by"] == "ada"
    [described] = list_certificates(store, LATER, names=["gone"])["certificates"]
    assert described["days_left"] == -321
    [described] = list_certificates(store, LATER, names=["free"])["certificates"]
    assert (described["revocation_reason"], described["revoked_by"]) == ("removeFromCRL", "ada")
    [described] = list_certificates(store, LATER, names=["own"])["certificates"]
    assert described["issuer"] is None
    assert "revoked_at" not in described


def test_what_is_asked_for_wrongly_is_named(store, tmp_path):
    with pytest.raises(MtlsError, match="authorities: 'x' was never an authority of "):
        names(store, authorities=["root", "x"])
    with pytest.raises(MtlsError, match="holds no store"):
        names(Store(str(tmp_path / "nothing")))
    with pytest.raises(MtlsError, match="expires_within_days 10000000 reaches beyond the year"):
        names(store, expires_within_days=10**7)


def test_nothing_is_written(store):
    before = tree(store.path)
    names(store)
    assert tree(store.path) == before
