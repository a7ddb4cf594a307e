# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a certificate is renewed, with which key, and what becomes of a revoked one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.pki.planning import Planner
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    SECOND,
    certificate,
    file,
    files_match,
    keep,
    keep_authority,
    new_key,
    outcome,
    request_for,
    revoke,
    rows,
    same_key,
    tree,
    wanted,
)

MINUTE = timedelta(minutes=1)
HOLD = {"name": "client1", "reason": "certificateHold"}


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep_authority(store)
    return store


def leaf(store, name="client1"):
    return certificate(file(store, "certificate.pem", entry=name))


@pytest.mark.parametrize(
    ("options", "life", "margin"),
    [
        pytest.param({}, 365 * DAY, 30 * DAY, id="a year"),
        pytest.param({"valid_days": 30}, 30 * DAY, 10 * DAY, id="a third of a month"),
        pytest.param({"valid_minutes": 60}, 60 * MINUTE, 20 * MINUTE, id="a third of an hour"),
        pytest.param({"valid_minutes": 3}, 3 * MINUTE, MINUTE, id="a third of minutes"),
        pytest.param(
            {"valid_days": 30, "renew_before_days": 20}, 30 * DAY, 20 * DAY, id="as was said"
        ),
        pytest.param(
            {"valid_days": 1, "renew_before_minutes": 90}, DAY, 90 * MINUTE, id="in minutes"
        ),
        pytest.param({"renew_before_days": 0}, 365 * DAY, 0 * DAY, id="not before it expired"),
    ],
)
def test_it_is_renewed_within_its_margin(store, options, life, margin):
    entry = wanted(**options)
    keep(store, entry)
    assert outcome(keep(store, entry, now=NOW + life - margin)) == ("ok", [])
    action, [reason] = outcome(keep(store, entry, now=NOW + life - margin + SECOND))
    assert action == "renew"
    assert reason.startswith("expire")
    assert outcome(keep(store, entry, now=NOW + life - margin + SECOND)) == ("ok", [])


def test_less_than_a_day_is_said_in_minutes(store):
    entry = wanted(valid_minutes=60)
    keep(store, entry)
    result = keep(store, entry, now=NOW + 41 * MINUTE)
    assert outcome(result) == ("renew", ["expires in 19 minutes"])


@pytest.mark.parametrize(
    ("change", "now", "action"),
    [
        pytest.param({}, NOW + 350 * DAY, "renew", id="renewed"),
        pytest.param({"common_name": "other"}, NOW, "reissue", id="reissued"),
    ],
)
@pytest.mark.parametrize("issuer", ["root", "self"])
def test_a_key_is_kept_only_where_that_is_asked_for(store, issuer, change, now, action):
    entry = {"rekey": False, "issuer": issuer}
    keep(store, wanted(**entry))
    before = leaf(store)
    assert outcome(keep(store, wanted(**entry, **change), now=now))[0] == action
    assert same_key(before, leaf(store))
    assert before.serial_number != leaf(store).serial_number
    assert files_match(store)
    again = {**entry, "rekey": True, "common_name": "third"}
    keep(store, wanted(**again), now=now)
    assert not same_key(before, leaf(store))


def test_a_key_of_another_type_is_never_kept(store):
    keep(store, wanted(rekey=False))
    before = leaf(store)
    entry = wanted(rekey=False, key_type="P-384")
    assert outcome(keep(store, entry)) == ("reissue", ["key type P-384"])
    assert not same_key(before, leaf(store))
    assert outcome(keep(store, entry)) == ("ok", [])


def test_a_key_that_was_lost_is_made_anew(store):
    keep(store, wanted(rekey=False))
    file(store, "key.pem").unlink()
    assert outcome(keep(store, wanted(rekey=False))) == ("reissue", ["key missing"])
    assert files_match(store)


@pytest.mark.parametrize("days", [350, 400], ids=["due", "expired"])
@pytest.mark.parametrize("reason", ["unspecified", "keyCompromise", "certificateHold"])
def test_who_was_revoked_stays_without_a_certificate(store, reason, days):
    keep(store, wanted())
    revoke(store, {"name": "client1", "reason": reason})
    now = NOW + days * DAY
    before = tree(store.path)
    for entry in (wanted(), wanted(common_name="other"), wanted(packs=["zip"])):
        result = keep(store, entry, now=now)
        assert (outcome(result), result["changed"]) == (("revoked", []), False)
        [described] = result["certificates"].values()
        assert described["revocation_reason"] == reason
    assert result["plan"] == "revoked 1"
    assert tree(store.path) == before


def test_who_was_revoked_gets_a_new_one_where_that_is_asked_for(store):
    entry = wanted(reissue_revoked=True)
    keep(store, entry)
    before = leaf(store)
    revoke(store, {"name": "client1", "reason": "superseded"})
    assert outcome(keep(store, entry)) == ("reissue", ["revoked (superseded)"])
    assert outcome(keep(store, entry)) == ("ok", [])
    assert not same_key(before, leaf(store))


def test_revoked_and_due_and_different_gives_all_reasons(store):
    keep(store, wanted())
    revoke(store, {"name": "client1", "reason": "superseded"})
    entry = wanted(reissue_revoked=True, key_type="Ed25519")
    assert outcome(keep(store, entry, now=NOW + 350 * DAY)) == (
        "reissue",
        ["expires in 15 days", "revoked (superseded)", "key type Ed25519"],
    )


@pytest.mark.parametrize(
    ("reason", "is_kept"),
    [
        pytest.param("superseded", True, id="superseded"),
        pytest.param("keyCompromise", False, id="compromised"),
    ],
)
def test_a_compromised_key_is_never_taken_again(store, reason, is_kept):
    entry = wanted(rekey=False, reissue_revoked=True)
    keep(store, entry)
    before = leaf(store)
    revoke(store, {"name": "client1", "reason": reason})
    keep(store, entry)
    assert same_key(before, leaf(store)) is is_kept


def test_what_is_on_hold_is_never_issued_anew(store):
    entry = wanted(reissue_revoked=True)
    keep(store, entry)
    revoke(store, HOLD)
    assert outcome(keep(store, entry)) == ("revoked", [])
    revoke(store, {"name": "client1", "state": "released"})
    assert outcome(keep(store, entry)) == ("ok", [])


def test_a_name_that_was_forgotten_after_it_was_revoked_is_issued_anew(store):
    keep(store, wanted())
    revoke(store, {"name": "client1"})
    keep(store, unwanted=[("client", "client1")])
    assert outcome(keep(store, wanted())) == ("issue", ["missing"])


@pytest.mark.parametrize("valid", [{"valid_days": 3650}, {"valid_minutes": 10**6}])
@pytest.mark.parametrize("request_of", [None, "host"])
def test_nothing_outlives_its_issuer(tmp_path, valid, request_of):
    store = Store(str(tmp_path / "store"))
    keep_authority(store, valid_days=50)
    keep_authority(store, "low", issuer="root", valid_days=40)
    request = request_for(new_key()) if request_of else None
    for issuer, days in [("root", 50), ("low", 40)]:
        entry = wanted(issuer, issuer=issuer, request=request, **valid)
        [described] = keep(store, entry)["certificates"].values()
        assert described["days_left"] == days
        assert outcome(keep(store, entry)) == ("ok", [])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"common_name": "x"}, id="common name"),
        pytest.param({"subject": {"O": "x"}}, id="subject"),
        pytest.param({"subject_alternative_names": ["DNS:b"]}, id="names"),
        pytest.param({"subject_alternative_names": ["DNS:b", "DNS:a"]}, id="more names"),
        pytest.param({"subject_alternative_names": ["IP:10.0.0.1", "DNS:a"]}, id="order"),
        pytest.param({"key_type": "P-384"}, id="key type"),
        pytest.param({"profile": "peer"}, id="profile"),
        pytest.param({"issuer": "other"}, id="issuer"),
        pytest.param({"issuer": "self"}, id="self-signed"),
        pytest.param({"valid_days": 5, "renew_before_days": 1}, id="life"),
        pytest.param({"rekey": False}, id="rekey"),
    ],
)
def test_the_short_way_says_what_a_look_at_the_certificate_says(store, monkeypatch, change):
    keep_authority(store, "other")
    base = {"subject_alternative_names": ["DNS:a", "IP:10.0.0.1"]}
    keep(store, wanted(**base))
    entry = wanted(**{**base, **change})
    short = outcome(keep(store, entry, check_mode=True))
    monkeypatch.setattr(Planner, "specification", lambda *_arguments: "nothing is like this")
    assert outcome(keep(store, entry, check_mode=True)) == short


def test_an_unchanged_certificate_is_not_parsed(store, monkeypatch):
    keep(store, *(wanted(f"c{number}") for number in range(3)))

    def refuse(*_arguments):
        raise AssertionError("parsed")

    monkeypatch.setattr(
        "ansible_collections.edge.mtls.plugins.module_utils.pki.planning.certificate_from_pem",
        refuse,
    )
    assert keep(store, *(wanted(f"c{number}") for number in range(3)))["plan"] == "ok 3"


def test_a_certificate_that_was_written_otherwise_is_still_compared(store):
    keep(store, wanted())
    path = file(store, "certificate.pem")
    path.write_bytes(b"# a comment\n" + path.read_bytes())
    reasons = ["not in the index of the store"]
    action, found = outcome(keep(store, wanted()))
    assert (action, found[:1]) == ("reissue", reasons)
    assert outcome(keep(store, wanted())) == ("ok", [])
    assert len(rows(store, "name")) == 3


def test_an_order_of_the_subject_is_a_difference(store):
    keep(store, wanted(subject={"O": "a", "OU": "b"}))
    entry = wanted(subject={"OU": "b", "O": "a"})
    assert outcome(keep(store, entry)) == ("reissue", ["subject CN=client1,O=a,OU=b"])
