# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wanted against found: a reason for everything that is done."""

from __future__ import annotations

import shutil

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.general_names import alternative_names
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    SECOND,
    certificate,
    extended_key_usages,
    file,
    files_match,
    keep,
    keep_authority,
    outcome,
    rows,
    tree,
    wanted,
)

USAGES = {"client": "1.3.6.1.5.5.7.3.2", "server": "1.3.6.1.5.5.7.3.1"}
SAN = ["DNS:app.example.com", "IP:192.0.2.1"]


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep_authority(store)
    return store


@pytest.mark.parametrize(
    ("time_left", "expected"),
    [
        pytest.param(30 * DAY + SECOND, ("ok", []), id="outside the margin"),
        pytest.param(30 * DAY, ("ok", []), id="at the margin"),
        pytest.param(30 * DAY - SECOND, ("renew", ["expires in 29 days"]), id="inside"),
        pytest.param(-SECOND, ("renew", ["expired on 2028-05-31"]), id="expired"),
    ],
)
def test_only_a_due_renewal_changes_anything(store, time_left, expected):
    keep(store, wanted())
    now = NOW + 365 * DAY - time_left
    before = file(store, "key.pem").read_bytes()
    assert outcome(keep(store, wanted(), now=now, check_mode=True)) == expected
    assert outcome(keep(store, wanted(), now=now)) == expected
    assert outcome(keep(store, wanted(), now=now)) == ("ok", [])
    assert files_match(store)
    # Renewing takes a new key.
    assert (file(store, "key.pem").read_bytes() == before) is (expected[0] == "ok")


def test_a_leaf_that_ends_with_its_authority_is_not_renewed_for_ever(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep_authority(store, valid_days=100)
    [first] = keep(store, wanted(valid_days=90))["certificates"].values()
    assert first["days_left"] == 90
    # Renewed once, for the ten days that the authority has left; from then on nothing is gained.
    now = NOW + 61 * DAY
    assert outcome(keep(store, wanted(valid_days=90), now=now)) == ("renew", ["expires in 29 days"])
    for days in (61, 80, 99):
        result = keep(store, wanted(valid_days=90), now=NOW + days * DAY)
        assert outcome(result) == ("ok", [])
        assert result["certificates"]["client/client1"]["days_left"] == 100 - days
    # Once both have ended, the cause is said and the leaf is not blamed.
    with pytest.raises(MtlsError, match="the issuer CN=root CA expired on 2027-09-09"):
        keep(store, wanted(valid_days=90), now=NOW + 101 * DAY)


def test_a_self_signed_leaf_is_renewed_in_its_margin(store):
    entry = wanted(issuer="self")
    keep(store, entry)
    now = NOW + 340 * DAY
    assert outcome(keep(store, entry, now=now)) == ("renew", ["expires in 25 days"])
    assert outcome(keep(store, entry, now=now)) == ("ok", [])


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        pytest.param({"subject_alternative_names": [*SAN, "DNS:b"]}, ["SAN +DNS:b"], id="SAN +"),
        pytest.param({"subject_alternative_names": SAN[:1]}, ["SAN -IP:192.0.2.1"], id="SAN -"),
        pytest.param(
            {"subject_alternative_names": ["DNS:b.example"]},
            ["SAN +DNS:b.example", "SAN -DNS:app.example.com", "SAN -IP:192.0.2.1"],
            id="SAN replaced",
        ),
        pytest.param(
            {"subject_alternative_names": [SAN[0].replace("app", "App"), SAN[1]]},
            ["SAN +DNS:App.example.com", "SAN -DNS:app.example.com"],
            id="SAN in another case",
        ),
        pytest.param({"issuer": "other"}, ["issuer changed"], id="issuer"),
        pytest.param({"issuer": "ed25519"}, ["issuer changed"], id="issuer of another kind"),
        pytest.param(
            {"issuer": "self"}, ["-keyUsage", "issuer changed"], id="issuer, now self-signed"
        ),
        pytest.param({"key_type": "P-384"}, ["key type P-384"], id="key type"),
        pytest.param({"common_name": "other"}, ["subject CN=other"], id="common name"),
        pytest.param({"subject": {"O": "Example"}}, ["subject CN=client1,O=Example"], id="subject"),
        pytest.param(
            {"issuer": "other", "key_type": "Ed25519", "common_name": "x"},
            ["subject CN=x", "key type Ed25519", "issuer changed"],
            id="several",
        ),
    ],
)
@pytest.mark.parametrize("profile", ["client", "server"])
def test_each_difference_is_a_reason(store, profile, options, reasons):
    keep_authority(store, "other")
    keep_authority(store, "ed25519", key_type="Ed25519")
    base = {"profile": profile, "subject_alternative_names": SAN}
    keep(store, wanted(**base))
    changed = wanted(**{**base, **options})
    before = tree(store.path)
    assert outcome(keep(store, changed, check_mode=True)) == ("reissue", reasons)
    assert tree(store.path) == before
    assert outcome(keep(store, changed)) == ("reissue", reasons)
    assert outcome(keep(store, changed)) == ("ok", [])
    found = certificate(file(store, "certificate.pem", profile))
    assert extended_key_usages(found) == [USAGES[profile]]
    assert set(alternative_names(found)) == set(changed.subject_alternative_names)
    assert files_match(store, profile=profile)
    # And back again, across every pair of key kinds.
    assert outcome(keep(store, wanted(**base)))[0] == "reissue"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(["IP:2001:db8::1", "DNS:b.example"], id="order"),
        pytest.param(["DNS:b.example", "IP:2001:0db8:0::1"], id="spelling of an address"),
    ],
)
def test_the_same_names_written_otherwise_are_no_difference(store, change):
    keep(store, wanted(subject_alternative_names=["DNS:b.example", "IP:2001:db8::1"]))
    assert outcome(keep(store, wanted(subject_alternative_names=change))) == ("ok", [])


def test_a_due_certificate_that_also_differs_gives_both_reasons(store):
    keep(store, wanted())
    result = keep(store, wanted(key_type="Ed25519"), now=NOW + 350 * DAY)
    assert outcome(result) == ("reissue", ["expires in 15 days", "key type Ed25519"])


def test_another_lifetime_alone_is_no_difference(store):
    keep(store, wanted())
    assert outcome(keep(store, wanted(valid_days=90))) == ("ok", [])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("key.pem", ("reissue", ["key missing"]), id="key"),
        pytest.param("fullchain.pem", ("reissue", ["chain changed"]), id="chain"),
        pytest.param("client1.p12", ("pack", ["pack +pkcs12"]), id="pack"),
        pytest.param(
            "client1.p12.passphrase",
            ("pack", ["pack passphrase missing"]),
            id="passphrase of the pack",
        ),
    ],
)
@pytest.mark.parametrize("issuer", ["root", "self"])
def test_a_file_that_was_lost_is_a_reason(store, issuer, name, expected):
    keep(store, wanted(packs=["pkcs12"], issuer=issuer))
    file(store, name).unlink()
    assert outcome(keep(store, wanted(packs=["pkcs12"], issuer=issuer))) == expected
    assert outcome(keep(store, wanted(packs=["pkcs12"], issuer=issuer))) == ("ok", [])


@pytest.mark.parametrize("lost", ["clients/client1", "generations/clients"])
def test_a_certificate_that_was_lost_is_issued_again(store, lost):
    keep(store, wanted())
    path = store.path / lost
    path.rename(store.path.parent / "lost")
    assert outcome(keep(store, wanted())) == ("issue", ["missing"])
    assert outcome(keep(store, wanted())) == ("ok", [])
    assert files_match(store)
    assert len(rows(store, "name")) == 3


def test_a_certificate_of_another_profile_is_a_reason(store):
    keep(store, wanted(profile="server", subject_alternative_names=SAN))
    (store.path / "clients").mkdir()
    (store.path / "clients/client1").symlink_to("../servers/client1")
    entry = wanted(subject_alternative_names=SAN)
    assert outcome(keep(store, entry)) == (
        "reissue",
        ["is the certificate of server client1", "extKeyUsage changed"],
    )
    assert outcome(keep(store, entry)) == ("ok", [])


@pytest.fixture
def other_store(tmp_path):
    return Store(str(tmp_path / "other"))


@pytest.mark.parametrize("issuer", ["root", "self"])
def test_a_certificate_from_elsewhere_is_replaced(store, other_store, issuer):
    # The other store is a copy: its authority has the same key, but not the same index.
    shutil.copytree(store.path, other_store.path, symlinks=True)
    keep(other_store, wanted(issuer=issuer))
    (store.path / "clients").mkdir()
    (store.path / "clients/client1").symlink_to((other_store.path / "clients/client1").resolve())
    entry = wanted(issuer=issuer)
    reasons = ["not in the index of the store"]
    assert outcome(keep(store, entry, check_mode=True)) == ("reissue", reasons)
    assert outcome(keep(store, entry)) == ("reissue", reasons)
    assert outcome(keep(store, entry)) == ("ok", [])


def test_a_damaged_certificate_is_named(store):
    keep(store, wanted())
    file(store, "certificate.pem").write_bytes(b"")
    with pytest.raises(MtlsError, match=r"clients/client1/certificate\.pem is not a certificate"):
        keep(store, wanted())


def test_a_certificate_that_cannot_be_read_is_named(store):
    keep(store, wanted())
    (store.path / "clients/client1").unlink()
    (store.path / "clients/client1").symlink_to("client1")
    with pytest.raises(MtlsError, match=r"client1/certificate\.pem can't be read: Too many levels"):
        keep(store, wanted())


def test_what_is_done_is_counted(store):
    keep(store, *(wanted(f"c{number}") for number in range(4)))
    result = keep(
        store,
        wanted("c0"),
        wanted("c1"),
        wanted("c2", key_type="Ed25519"),
        wanted("c3", renew_before_days=364, valid_days=400),
        wanted("c4"),
        now=NOW + 2 * DAY,
    )
    assert result["plan"] == "ok 2, issue 1, renew 1, reissue 1"
    actions = [each["action"] for each in result["certificates"].values()]
    assert actions == ["ok", "ok", "reissue", "renew", "issue"]
    assert list(result["certificates"]) == [f"client/c{number}" for number in range(5)]


def test_nothing_wanted_is_nothing_done(tmp_path):
    store = Store(str(tmp_path / "store"))
    assert keep(store) == {"changed": False, "certificates": {}, "plan": ""}
    assert not store.path.exists()
