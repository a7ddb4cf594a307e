# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling over: four stages in order, each safe to stop at."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import roll_over
from ansible_collections.edge.mtls.plugins.module_utils.pki.authorities import find_authority
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    certificates_from_pem,
    is_signed_by,
    not_after_of,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    certificate,
    extension,
    keep,
    keep_authority,
    outcome,
    revoke,
    rows,
    same_key,
    tree,
    wanted,
)
from cryptography import x509

STAGES = ["prepare", "sign", "move", "retire"]
DONE = {"prepare": "prepare", "sign": "sign", "move": "move", "retire": "live"}


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def make(store, name="root", **options):
    """Make an authority, below one that is there already if it is to have an issuer."""
    if options.get("issuer"):
        keep_authority(store, options["issuer"])
    return keep_authority(store, name, **options)


def bundle(store, name="root"):
    return certificates_from_pem((store.path / f"trust/{name}.pem").read_bytes(), "bundle")


each_kind = pytest.mark.parametrize(
    "options",
    [pytest.param({}, id="root"), pytest.param({"issuer": "top"}, id="intermediate")],
)


@each_kind
def test_each_stage_is_reached_once_and_stays(store, options):
    first = certificate(make(store, **options)["certificate"])
    reasons = {}
    for stage in STAGES:
        before = tree(store.path)
        planned = keep_authority(store, roll_over=stage, check_mode=True, **options)
        assert tree(store.path) == before
        done = keep_authority(store, roll_over=stage, **options)
        assert planned["reasons"] == done["reasons"]
        reasons[stage] = done["reasons"]
        assert (done["changed"], done["state"]) == (True, DONE[stage])
        before = tree(store.path)
        again = keep_authority(store, roll_over=stage, **options)
        assert (again["changed"], again["state"]) == (False, DONE[stage])
        # Without a stage it stays where it is.
        left = keep_authority(store, **options)
        assert (left["changed"], left["state"]) == (False, DONE[stage])
        assert tree(store.path) == before
    assert reasons == {
        "prepare": ["successor made"],
        "sign": ["successor signs"],
        "move": ["leaves move"],
        "retire": ["predecessor retired"],
    }
    last = certificate(left["certificate"])
    assert last.subject == first.subject
    assert not same_key(first, last)


@each_kind
def test_what_is_trusted_follows_the_stages(store, options):
    old = certificate(make(store, **options)["certificate"])
    above = [certificate(keep_authority(store, "top")["certificate"])] if options else []
    assert bundle(store) == [old, *above]
    done = keep_authority(store, roll_over="prepare", **options)
    new = find_authority(store, "root").successor.certificate
    assert set(bundle(store)) == {old, new, *above}
    # The old one signs, so it is the one that is described.
    assert certificate(done["certificate"]) == old
    assert done["generations"].count("BEGIN") == 2
    for stage in ("sign", "move"):
        done = keep_authority(store, roll_over=stage, **options)
        assert set(bundle(store)) == {old, new, *above}
        assert certificate(done["certificate"]) == new
        assert done["bundle"].encode() == (store.path / "trust/root.pem").read_bytes()
    done = keep_authority(store, roll_over="retire", **options)
    assert bundle(store) == [new, *above]
    assert certificate(done["generations"]) == new


def test_a_root_signs_its_successor_for_those_who_trust_it_alone(store):
    old = certificate(make(store)["certificate"])
    keep_authority(store, roll_over="prepare")
    successor = find_authority(store, "root").successor
    [cross] = successor.cross
    assert (cross.subject, cross.issuer) == (old.subject, old.subject)
    assert same_key(cross, successor.certificate)
    assert is_signed_by(cross, old)
    assert extension(cross, x509.BasicConstraints).value.ca
    assert not_after_of(cross) <= not_after_of(old)
    # It is known to the index, like everything that is signed.
    assert len(rows(store, "name")) == 3


def test_an_intermediate_needs_no_cross_certificate(store):
    make(store, "mid", issuer="top")
    keep_authority(store, "mid", issuer="top", roll_over="prepare")
    assert find_authority(store, "mid").successor.cross == ()
    assert len(rows(store, "name")) == 3


def test_an_expired_root_signs_no_successor(store):
    make(store, valid_days=10)
    keep_authority(store, roll_over="prepare", now=NOW + 11 * DAY)
    assert find_authority(store, "root").successor.cross == ()


@pytest.mark.parametrize(
    ("options", "name", "found"),
    [
        pytest.param({"key_type": "P-384"}, "key_type", "P-384", id="key type"),
        pytest.param({"path_length": 1}, None, None, id="path length"),
        pytest.param({"permitted_names": ("DNS:example.com",)}, None, None, id="names"),
        pytest.param({"certificate_policies": ("1.2.3.4",)}, None, None, id="policies"),
    ],
)
def test_a_successor_may_differ_in_all_but_its_subject(store, options, name, found):
    make(store)
    with pytest.raises(MtlsError, match="set roll_over: prepare on this entry"):
        keep_authority(store, **options)
    keep_authority(store, roll_over="prepare", **options)
    # From now on the successor is what is wanted.
    assert keep_authority(store, **options)["changed"] is False
    with pytest.raises(MtlsError, match="set roll_over: prepare"):
        keep_authority(store)
    result = keep_authority(store, roll_over="sign", **options)
    if name:
        assert result[name] == found


def test_another_subject_is_another_authority_also_at_a_roll_over(store):
    make(store)
    with pytest.raises(MtlsError, match="another subject is another authority"):
        keep_authority(store, common_name="New CA", roll_over="prepare")


@pytest.mark.parametrize(
    ("reached", "stage", "sentence"),
    [
        pytest.param([], "sign", "needs a successor, and there is none; start with", id="1st sign"),
        pytest.param([], "move", "needs a successor, and there is none; start with", id="1st move"),
        pytest.param(
            ["prepare"], "retire", "its successor does not sign yet; go on with sign", id="retire"
        ),
        pytest.param(
            ["prepare", "sign"], "prepare", "while the last one is at sign; go on", id="again"
        ),
        pytest.param(
            ["prepare", "sign", "move"], "prepare", "while the last one is at move", id="again late"
        ),
        pytest.param(
            ["prepare", "sign", "move"], "sign", "sign would go back, and it is at move", id="back"
        ),
        pytest.param(STAGES, "move", "needs a successor, and there is none", id="after the last"),
    ],
)
def test_the_wrong_order_is_refused(store, reached, stage, sentence):
    make(store)
    for each in reached:
        keep_authority(store, roll_over=each)
    before = tree(store.path)
    for check_mode in (True, False):
        with pytest.raises(MtlsError, match=f"authority 'root': roll_over: .*{sentence}"):
            keep_authority(store, roll_over=stage, check_mode=check_mode)
    assert tree(store.path) == before


def test_to_retire_what_was_never_rolled_over_is_nothing(store):
    make(store)
    assert keep_authority(store, roll_over="retire")["changed"] is False


def test_a_stage_may_be_left_out_forwards(store):
    make(store)
    keep_authority(store, roll_over="prepare")
    done = keep_authority(store, roll_over="move")
    assert (done["reasons"], done["state"]) == (["successor signs", "leaves move"], "move")


def test_an_authority_is_rolled_over_again_and_again(store):
    make(store)
    for _round in range(3):
        for stage in STAGES:
            keep_authority(store, roll_over=stage)
    assert keep_authority(store, roll_over="retire")["state"] == "live"
    # Each round made one, and a cross-certificate.
    assert len(rows(store, "name")) == 7
    assert outcome(keep(store, wanted())) == ("issue", ["missing"])


@pytest.mark.parametrize(
    ("steps_taken", "next_stage"),
    [(0, "sign"), (1, "move"), (2, "sign"), (2, "move"), (3, "sign"), (3, "move"), (4, "sign")],
)
def test_a_kill_while_the_successor_takes_over_leaves_a_stage(
    store, monkeypatch, steps_taken, next_stage
):
    make(store)
    keep(store, wanted())
    keep_authority(store, roll_over="prepare")
    taken = []

    def until_killed(function):
        def run(*arguments):
            if len(taken) == steps_taken:
                raise KeyboardInterrupt
            taken.append(function)
            return function(*arguments)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(roll_over, "save_moves_leaves", until_killed(roll_over.save_moves_leaves))
        for name in ("change_role", "leave_role"):
            patch.setattr(Store, name, until_killed(getattr(Store, name)))
        if steps_taken == 4:  # all of them, but not what is trusted
            patch.setattr(Store, "replace", until_killed(Store.replace))
        with pytest.raises(KeyboardInterrupt):
            keep_authority(store, roll_over="sign")
    found = find_authority(store, "root")
    assert roll_over.state(found) == ("prepare" if steps_taken < 3 else "sign")
    assert len(found.generations) == 2
    assert outcome(keep(store, wanted())) == ("ok", [])
    assert outcome(keep(store, wanted("other"))) == ("issue", ["missing"])
    done = keep_authority(store, roll_over=next_stage)
    assert done["state"] == next_stage
    assert len(bundle(store)) == 2
    assert keep_authority(store, roll_over=next_stage)["changed"] is False
    keep_authority(store, roll_over="move")
    keep(store, wanted(), wanted("other"))
    assert keep_authority(store, roll_over="retire")["state"] == "live"
    assert len(bundle(store)) == 1


def test_a_kill_after_retiring_is_made_good_by_the_next_run(store, monkeypatch):
    make(store)
    for stage in STAGES[:3]:
        keep_authority(store, roll_over=stage)

    def kill(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "replace", kill)
        with pytest.raises(KeyboardInterrupt):
            keep_authority(store, roll_over="retire")
    done = keep_authority(store, roll_over="retire")
    assert (done["state"], done["reasons"]) == ("live", ["trust bundle missing or another one"])
    assert len(bundle(store)) == 1


def test_a_retired_intermediate_is_revoked_because_its_root_is_still_trusted(store):
    old = make(store, "mid", issuer="top")
    for stage in STAGES:
        keep_authority(store, "mid", issuer="top", roll_over=stage)
    result = revoke(store)
    assert result["crls"]["top"]["revoked"] == 1
    crl = x509.load_pem_x509_crl((store.path / "crls/top.pem").read_bytes())
    assert [f"{each.serial_number:X}" for each in crl] == [old["serial_number"].lstrip("0")]


def test_a_key_with_a_passphrase_is_rolled_over(store):
    secret = {"key_passphrase": "nobody reads this"}
    make(store, **secret)
    with pytest.raises(MtlsError, match="is encrypted: give the passphrase of authority 'root'"):
        keep_authority(store, roll_over="prepare")
    for stage in STAGES:
        keep_authority(store, roll_over=stage, **secret)
    text = (store.folder("authority", "root") / "key.pem").read_bytes()
    assert b"ENCRYPTED" in text
