# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling over: what the authority signed, at each stage."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.authorities import find_authority
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    certificates_from_pem,
    is_signed_by,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    certificate,
    extension,
    file,
    keep,
    keep_authority,
    new_key,
    outcome,
    request_for,
    revoke,
    same_key,
    tree,
    wanted,
)
from cryptography import x509

STAGES = ["prepare", "sign", "move", "retire"]


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep_authority(store)
    return store


def fullchain(store, entry="client1"):
    return certificates_from_pem(file(store, "fullchain.pem", entry=entry).read_bytes(), "chain")


def reaches(chain, root):
    """Tell whether a chain leads to a root, by the certificates in it alone."""
    pairs = zip(chain, [*chain[1:], root], strict=True)
    return all(is_signed_by(child, parent) for child, parent in pairs)


def current(store, name="root"):
    return find_authority(store, name).certificate


def test_a_leaf_stays_until_it_is_due_or_moves(store):
    old = current(store)
    keep(store, wanted())
    for stage in ("prepare", "sign"):
        keep_authority(store, roll_over=stage)
        before = tree(store.path)
        assert outcome(keep(store, wanted())) == ("ok", [])
        assert tree(store.path) == before
        assert is_signed_by(fullchain(store)[0], old)
    keep_authority(store, roll_over="move")
    assert outcome(keep(store, wanted(), check_mode=True)) == ("reissue", ["issuer rolled over"])
    assert outcome(keep(store, wanted())) == ("reissue", ["issuer rolled over"])
    assert outcome(keep(store, wanted())) == ("ok", [])
    assert is_signed_by(fullchain(store)[0], current(store))
    keep_authority(store, roll_over="retire")
    assert outcome(keep(store, wanted())) == ("ok", [])


def test_a_leaf_that_is_due_at_sign_is_signed_by_the_successor(store):
    keep(store, wanted())
    for stage in ("prepare", "sign"):
        keep_authority(store, roll_over=stage)
    now = NOW + 350 * DAY
    assert outcome(keep(store, wanted(), now=now)) == ("renew", ["expires in 15 days"])
    assert is_signed_by(fullchain(store)[0], current(store))
    assert outcome(keep(store, wanted(), now=now)) == ("ok", [])


def test_a_leaf_that_ends_with_its_old_authority_is_renewed_by_the_new_one(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep_authority(store, valid_days=100)
    keep(store, wanted(valid_days=365))
    now = NOW + 80 * DAY
    assert outcome(keep(store, wanted(valid_days=365), now=now)) == ("ok", [])
    for stage in ("prepare", "sign"):
        keep_authority(store, roll_over=stage, now=now)
    [described] = keep(store, wanted(valid_days=365), now=now)["certificates"].values()
    assert (described["action"], described["days_left"]) == ("renew", 365)


def test_the_chain_of_a_new_leaf_reaches_both_roots_until_the_old_one_has_gone(store):
    old = current(store)
    keep(store, wanted("before"))
    assert fullchain(store, "before")[1:] == []
    keep_authority(store, roll_over="prepare")
    keep(store, wanted("prepared"))
    assert fullchain(store, "prepared")[1:] == []
    assert reaches(fullchain(store, "prepared"), old)
    keep_authority(store, roll_over="sign")
    keep(store, wanted("signed"))
    leaf, cross = fullchain(store, "signed")
    new = current(store)
    assert reaches([leaf], new)
    assert reaches([leaf, cross], old)
    for stage in ("move", "retire"):
        keep_authority(store, roll_over=stage)
        keep(store, wanted("before"), wanted("prepared"))
        assert outcome(keep(store, wanted("signed"))) == ("ok", [])
    assert keep_authority(store, roll_over="retire")["changed"] is False


def test_no_leaf_is_issued_anew_when_the_cross_certificate_expires(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep_authority(store, valid_days=20)
    for stage in ("prepare", "sign"):
        keep_authority(store, roll_over=stage, valid_days=3650)
    keep(store, wanted())
    assert len(fullchain(store)) == 2
    later = NOW + 30 * DAY
    assert outcome(keep(store, wanted(), now=later)) == ("ok", [])
    keep(store, wanted("later"), now=later)
    assert len(fullchain(store, "later")) == 1


def test_an_authority_below_is_signed_anew_with_its_own_key_at_move(store):
    options = {"issuer": "root", "path_length": 0, "permitted_names": ("DNS:example.com",)}
    first = certificate(keep_authority(store, "low", **options)["certificate"])
    keep(store, wanted(issuer="low"))
    for stage in ("prepare", "sign"):
        keep_authority(store, roll_over=stage)
        assert keep_authority(store, "low", **options)["changed"] is False
    keep_authority(store, roll_over="move")
    done = keep_authority(store, "low", **options)
    assert (done["reasons"], done["state"]) == (["issuer rolled over"], "live")
    assert keep_authority(store, "low", **options)["changed"] is False
    second = certificate(done["certificate"])
    assert same_key(first, second)
    assert (first.subject, second.subject) == (second.subject, first.subject)
    assert is_signed_by(second, current(store))
    for kind in (x509.BasicConstraints, x509.KeyUsage, x509.NameConstraints):
        assert extension(first, kind) == extension(second, kind)
    assert done["days_left"] == 3650
    # Its leaf shows the new certificate, and is reissued for that.
    assert outcome(keep(store, wanted(issuer="low"))) == ("reissue", ["chain changed"])
    assert outcome(keep(store, wanted(issuer="low"))) == ("ok", [])
    assert reaches(fullchain(store)[:2], current(store))
    done = keep_authority(store, roll_over="retire")
    assert done["state"] == "live"


def test_all_that_is_two_below_hangs_on_the_new_root_after_the_move(store):
    lines = [("mid", {"issuer": "root"}), ("low", {"issuer": "mid", "path_length": 0})]

    def keep_all(**root):
        keep_authority(store, **root)
        for name, options in lines:
            keep_authority(store, name, **options)
        keep(store, wanted(issuer="low"))

    keep_all()
    for stage in STAGES:
        keep_all(roll_over=stage)
    new = current(store)
    trusted = certificates_from_pem((store.path / "trust/low.pem").read_bytes(), "trust")
    assert trusted == [current(store, "low"), current(store, "mid"), new]
    chain = fullchain(store)
    assert chain[1:3] == [current(store, "low"), current(store, "mid")]
    assert reaches(chain[:3], new)
    for name, options in lines:
        assert keep_authority(store, name, **options)["changed"] is False
    assert outcome(keep(store, wanted(issuer="low"))) == ("ok", [])


def test_a_new_authority_below_is_signed_by_who_signs(store):
    for stage in ("prepare", "sign"):
        keep_authority(store, f"at-{stage}-before", issuer="root")
        keep_authority(store, roll_over=stage)
        below = keep_authority(store, f"at-{stage}", issuer="root")
        assert is_signed_by(certificate(below["certificate"]), current(store))


def roll_to_move(store):
    for stage in ("prepare", "sign", "move"):
        keep_authority(store, roll_over=stage)


def test_retiring_is_refused_while_a_live_certificate_hangs_on_it(store):
    keep(store, wanted())
    keep_authority(store, "low", issuer="root")
    roll_to_move(store)
    before = tree(store.path)
    with pytest.raises(
        MtlsError, match="retire would lock out client client1, authority low, which"
    ):
        keep_authority(store, roll_over="retire")
    assert tree(store.path) == before
    keep_authority(store, "low", issuer="root")
    with pytest.raises(MtlsError, match="retire would lock out client client1, which"):
        keep_authority(store, roll_over="retire")
    keep(store, wanted())
    assert keep_authority(store, roll_over="retire")["state"] == "live"


def test_only_a_few_of_many_are_named(store):
    keep(store, *(wanted(f"c{number}") for number in range(8)))
    roll_to_move(store)
    with pytest.raises(MtlsError, match="client c0, client c1, .*client c4 and 3 more, which its"):
        keep_authority(store, roll_over="retire")


def reissued(store):
    keep(store, wanted())


def revoked(store):
    revoke(store, {"name": "client1"})


def on_hold(store):
    revoke(store, {"name": "client1", "reason": "certificateHold"})


def forgotten(store):
    keep(store, unwanted=[("client", "client1")])


@pytest.mark.parametrize(
    ("change", "is_live"),
    [
        pytest.param(reissued, False, id="superseded"),
        pytest.param(revoked, False, id="revoked"),
        pytest.param(on_hold, True, id="on hold"),
        pytest.param(forgotten, True, id="its files removed"),
    ],
)
def test_what_counts_as_live(store, change, is_live):
    keep(store, wanted())
    roll_to_move(store)
    change(store)
    if is_live:
        with pytest.raises(MtlsError, match="retire would lock out client client1"):
            keep_authority(store, roll_over="retire")
    else:
        assert keep_authority(store, roll_over="retire")["state"] == "live"


def test_what_has_expired_is_not_live(store):
    keep(store, wanted())
    roll_to_move(store)
    at_the_end = NOW + 365 * DAY
    with pytest.raises(MtlsError, match="retire would lock out client client1"):
        keep_authority(store, roll_over="retire", now=at_the_end)
    assert keep_authority(store, roll_over="retire", now=at_the_end + DAY)["state"] == "live"


def test_a_certificate_of_a_request_moves_with_its_key(store):
    key = new_key()
    options = {"profile": "server", "subject_alternative_names": ["DNS:a"]}
    keep(store, wanted("web", request=request_for(key), **options))
    roll_to_move(store)
    result = keep(store, wanted("web", request=request_for(key), **options))
    assert outcome(result) == ("reissue", ["issuer rolled over"])
    assert same_key(certificate(file(store, "certificate.pem", "server", "web")), key)


def test_the_superseded_are_counted(store):
    keep(store, wanted("a"), wanted("b"))
    assert keep_authority(store)["superseded"] == 0
    roll_to_move(store)
    assert keep_authority(store)["superseded"] == 2
    keep(store, wanted("a"), wanted("b"))
    assert keep_authority(store)["superseded"] == 2
    revoke(store, {"name": "a"})
    assert keep_authority(store)["superseded"] == 1
    assert keep_authority(store, now=NOW + 366 * DAY)["superseded"] == 0
