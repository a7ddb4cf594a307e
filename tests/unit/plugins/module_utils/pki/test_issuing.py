# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaf certificates: wanted against found, with a reason for everything that is done."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import issuing, keys
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    is_signed_by,
    not_before_of,
    profile_of,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.names import alternative_names
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    SECOND,
    certificate,
    chain_subjects,
    extension,
    keep,
    keep_authority,
    name_of,
    new_key,
    outcome,
    request_for,
    rows,
    same_key,
    tree,
    wanted,
)
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

SAN = ["DNS:app.example.com", "IP:192.0.2.1"]


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep_authority(store)
    return store


@pytest.fixture
def other_store(tmp_path):
    store = Store(str(tmp_path / "other"))
    keep_authority(store)
    return store


def file(store, name, profile="client", entry="client1"):
    return store.folder(profile, entry) / name


def files_match(store, entry="client1", profile="client"):
    found = certificate(file(store, "certificate.pem", profile, entry))
    key = keys.key_from_pem(file(store, "key.pem", profile, entry).read_bytes(), "key")
    return same_key(key, found)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="client"),
        pytest.param({"profile": "server", "subject_alternative_names": SAN}, id="server"),
        pytest.param({"issuer": "self"}, id="self-signed"),
        pytest.param({"pkcs12": True}, id="with a pack"),
        pytest.param({"subject_alternative_names": SAN}, id="client with names"),
        pytest.param({"common_name": 'a, "b"+c'}, id="special characters"),
        pytest.param({"key_type": "Ed25519"}, id="Ed25519"),
    ],
)
def test_what_was_issued_is_left_alone_from_then_on(store, options):
    entry = wanted(**options)
    result = keep(store, entry)
    assert (outcome(result), result["changed"]) == (("issue", ["missing"]), True)
    assert result["plan"] == "issue 1"
    assert files_match(store, profile=entry.profile)
    before = tree(store.path)
    result = keep(store, entry, now=NOW + 300 * DAY)
    assert (outcome(result), result["changed"]) == (("ok", []), False)
    assert result["plan"] == "ok 1"
    assert tree(store.path) == before


def test_what_is_returned_describes_the_files(store):
    keep_authority(store, "low", issuer="root")
    [described] = keep(store, wanted(issuer="low", pkcs12=True))["certificates"].values()
    folder = store.path / "clients/client1"
    assert described["certificate_path"] == str(folder / "certificate.pem")
    assert (folder / "certificate.pem").read_text() == described["certificate"]
    assert described["fullchain_path"] == str(folder / "fullchain.pem")
    assert (folder / "fullchain.pem").read_text() == described["fullchain"]
    assert described["key_path"] == str(folder / "key.pem")
    assert described["pkcs12_path"] == str(folder / "client1.p12")
    assert (described["subject"], described["issuer_subject"]) == ("CN=client1", "CN=low CA")
    assert described["days_left"] == 365
    assert chain_subjects(described["fullchain"]) == ["CN=client1", "CN=low CA"]
    assert rows(store, "kind, name, serial_number, fingerprint_sha256")[-1] == (
        "client", "client1", described["serial_number"], described["fingerprint_sha256"]
    )  # fmt: skip
    assert "PRIVATE" not in str(described)
    assert (folder / "client1.p12.passphrase").read_text().strip() not in str(described)


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
        pytest.param({"issuer": "self"}, ["issuer changed"], id="issuer, now self-signed"),
        pytest.param({"key_type": "P-384"}, ["key type P-384"], id="key type"),
        pytest.param({"common_name": "other"}, ["common name other"], id="common name"),
        pytest.param({"pkcs12": True}, ["PKCS #12 missing"], id="a pack as well"),
        pytest.param(
            {"issuer": "other", "key_type": "Ed25519", "common_name": "x"},
            ["issuer changed", "common name x", "key type Ed25519"],
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
    assert profile_of(found) == profile
    assert set(alternative_names(found)) == set(changed.subject_alternative_names)
    assert files_match(store, profile=profile)
    # And back again, across every pair of key kinds.
    assert outcome(keep(store, wanted(**base)))[0] == ("ok" if "pkcs12" in options else "reissue")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(["IP:2001:db8::1", "DNS:b.example"], id="order"),
        pytest.param(["DNS:b.example", "DNS:b.example", "IP:2001:db8::1"], id="twice"),
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
    ("name", "reason"),
    [
        pytest.param("key.pem", "key missing", id="key"),
        pytest.param("client1.p12", "PKCS #12 missing", id="pack"),
        pytest.param("client1.p12.passphrase", "PKCS #12 missing", id="passphrase of the pack"),
    ],
)
def test_a_file_that_was_lost_is_a_reason(store, name, reason):
    keep(store, wanted(pkcs12=True))
    file(store, name).unlink()
    assert outcome(keep(store, wanted(pkcs12=True))) == ("reissue", [reason])
    assert outcome(keep(store, wanted(pkcs12=True))) == ("ok", [])


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
    assert outcome(keep(store, entry)) == ("reissue", ["profile client"])
    assert outcome(keep(store, entry)) == ("ok", [])


@pytest.mark.parametrize("issuer", ["root", "self"])
def test_a_certificate_from_elsewhere_is_replaced(store, other_store, issuer):
    # The other store is a copy: its authority has the same key, but not the same index.
    shutil.rmtree(other_store.path)
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


def test_clients_and_servers_may_share_a_name(store):
    server = wanted(profile="server", subject_alternative_names=SAN)
    result = keep(store, wanted(), server)
    assert list(result["certificates"]) == ["client/client1", "server/client1"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param({"name": "../c"}, "client certificate '../c': the name", id="name"),
        pytest.param({"common_name": "a\nb"}, "common_name .* must be printable", id="common name"),
        pytest.param({"profile": "peer"}, "profile must be one of client, server", id="profile"),
        pytest.param({"valid_days": 0}, "valid_days 0 must be 1 or more", id="no day"),
        pytest.param({"renew_before_days": -1}, "renew_before_days -1 must be 0", id="margin"),
        pytest.param(
            {"valid_days": 30, "renew_before_days": 30},
            "less than valid_days 30, or it would be renewed at every run",
            id="margin as long as the life",
        ),
        pytest.param({"profile": "server"}, "needs subject_alternative_names", id="no SAN"),
        pytest.param({"subject_alternative_names": ["app"]}, "name 'app' must", id="SAN"),
        pytest.param({"issuer": "self", "request": "x"}, "with a request", id="self-signed"),
        pytest.param({"pkcs12": True, "request": "x"}, "nor packed as PKCS", id="packed request"),
    ],
)  # fmt: skip
def test_an_entry_that_makes_no_sense_is_named(options, sentence):
    with pytest.raises(MtlsError, match=sentence):
        wanted(**{"name": "client1", **options})


def _none_of_the_set(store, sentence, *entries):
    before = tree(store.path)
    with pytest.raises(MtlsError, match=sentence):
        keep(store, wanted("good"), *entries)
    assert tree(store.path) == before


def test_an_entry_that_cannot_be_met_stops_the_whole_set(store):
    _none_of_the_set(
        store, "client certificate 'c1' is asked for twice", wanted("c1"), wanted("c1")
    )
    _none_of_the_set(store, "its issuer 'x' is not an authority of the store", wanted(issuer="x"))
    _none_of_the_set(store, "request is not a CSR in PEM", wanted(request="x"))
    _none_of_the_set(store, "request is not a CSR in PEM", wanted(request=""))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param({"valid_days": 10**9}, "valid_days 1000000000 reaches beyond", id="too long"),
        pytest.param({"key_type": "DSA"}, "key_type 'DSA' is not one of", id="key type"),
    ],
)
def test_what_shows_only_while_issuing_stops_the_whole_set_too(store, options, sentence):
    with pytest.raises(MtlsError, match=sentence):
        keep(store, wanted("good"), wanted(**options))
    assert rows(store, "name") == [("root",)]
    assert not (store.path / "clients").exists()


def test_a_clock_behind_the_store_stops_the_whole_set(store):
    keep(store, wanted(), now=NOW + DAY)
    _none_of_the_set(
        store, "a certificate of the store was issued at 2027-06-02 12:00 UTC: set the"
    )


def test_an_authority_that_is_not_valid_yet_cannot_sign(store):
    # Within the minute that two controllers may differ by, and before notBefore.
    [row] = rows(store, "not_before")
    assert row[0] < NOW.timestamp()
    assert outcome(keep(store, wanted(), now=NOW - 60 * SECOND)) == ("issue", ["missing"])
    found = certificate(file(store, "certificate.pem"))
    root = certificate(store.folder("authority", "root") / "certificate.pem")
    assert not_before_of(found) == not_before_of(root)


def test_the_key_of_an_authority_is_only_read_when_something_is_signed(store):
    keep(store, wanted())
    (store.folder("authority", "root") / "key.pem").unlink()
    assert outcome(keep(store, wanted())) == ("ok", [])
    with pytest.raises(MtlsError, match=r"key\.pem is missing: authority 'root' can't sign"):
        keep(store, wanted("client2"))


# What is not wanted any more.


def test_what_is_unwanted_loses_its_files_and_stays_in_the_index(store):
    keep(store, wanted("gone", pkcs12=True), wanted("stays"))
    keep(store, wanted("gone", common_name="another"))  # an older generation goes as well
    kept = tree(store.path / "generations/clients/stays")
    before = rows(store, "*")
    result = keep(store, wanted("stays"), unwanted=[("client", "gone")])
    assert (result["plan"], result["changed"]) == ("ok 1, forget 1", True)
    assert result["certificates"]["client/gone"]["reasons"] == ["not wanted any more"]
    assert list(store.path.rglob("*gone*")) == []
    assert tree(store.path / "generations/clients/stays") == kept
    assert rows(store, "*") == before
    result = keep(store, wanted("stays"), unwanted=[("client", "gone")])
    assert (result["plan"], result["changed"]) == ("ok 2", False)


def test_files_of_a_removal_that_was_killed_go_too(store):
    keep(store, wanted("gone"))
    store.folder("client", "gone").unlink()
    assert outcome(keep(store, unwanted=[("client", "gone")]))[0] == "forget"
    assert not (store.path / "generations/clients/gone").exists()


def test_a_name_that_comes_back_is_issued_anew(store):
    keep(store, wanted())
    keep(store, unwanted=[("client", "client1")])
    assert outcome(keep(store, wanted())) == ("issue", ["missing"])
    assert len(set(rows(store, "serial_number"))) == 3


def test_nothing_is_unwanted_in_a_store_that_is_not_there(tmp_path):
    result = keep(Store(str(tmp_path / "store")), unwanted=[("client", "client1")])
    assert result["changed"] is False
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        pytest.param([("client", "../authorities")], "the name '../authorities' must", id="path"),
        pytest.param([("client", "c"), ("client", "c")], "'c' is asked for twice", id="twice"),
        pytest.param([("client", "good")], "'good' is asked for twice", id="wanted as well"),
    ],
)
def test_what_cannot_be_unwanted_stops_the_whole_set(store, names, sentence):
    keep(store, wanted("c"))
    before = tree(store.path)
    with pytest.raises(MtlsError, match=sentence):
        keep(store, wanted("good"), unwanted=names)
    assert tree(store.path) == before


def test_check_mode_forgets_nothing(store):
    keep(store, wanted())
    before = tree(store.path)
    result = keep(store, unwanted=[("client", "client1")], check_mode=True)
    assert (result["plan"], result["changed"]) == ("forget 1", True)
    assert tree(store.path) == before


def test_files_that_cannot_be_removed_are_named(store, monkeypatch):
    keep(store, wanted())

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(MtlsError, match=r"clients/client1 can't be removed: Permission denied"):
        keep(store, unwanted=[("client", "client1")])


def test_check_mode_changes_nothing_on_disk(store, tmp_path):
    keep(store, wanted("ok"), wanted("differs"), wanted("due", renew_before_days=300))
    entries = [
        wanted("ok"),
        wanted("differs", common_name="x"),
        wanted("due", renew_before_days=300),
        wanted("new", pkcs12=True),
        wanted("below", issuer="not-made-yet"),
    ]
    before = tree(tmp_path)
    result = keep(store, *entries, now=NOW + 100 * DAY, check_mode=True)
    assert result["plan"] == "ok 1, issue 2, renew 1, reissue 1"
    assert tree(tmp_path) == before
    described = result["certificates"]["client/new"]
    assert described["pkcs12_path"].endswith("/clients/new/new.p12")
    assert "certificate" not in described
    keep_authority(store, "not-made-yet", now=NOW + 100 * DAY)
    assert keep(store, *entries, now=NOW + 100 * DAY)["plan"] == result["plan"]


def test_check_mode_on_a_machine_without_a_store(tmp_path):
    store = Store(str(tmp_path / "a/b/store"))
    result = keep(store, wanted(), wanted("c2", issuer="self"), check_mode=True)
    assert (result["plan"], result["changed"]) == ("issue 2", True)
    assert list(tmp_path.iterdir()) == []


def test_another_run_may_have_done_the_work_meanwhile(store, monkeypatch):
    real = Store.locked

    def locked(self):
        monkeypatch.setattr(Store, "locked", real)
        keep(store, wanted())
        return real(self)

    monkeypatch.setattr(Store, "locked", locked)
    result = keep(store, wanted())
    assert (outcome(result), result["changed"]) == (("ok", []), False)
    assert len(rows(store, "name")) == 2


# Requests: the key is elsewhere.


def server(request, **options):
    defaults = {"profile": "server", "subject_alternative_names": SAN, "request": request}
    return wanted("app@web1", **{"common_name": "app.example.com", **defaults, **options})


def test_a_request_is_signed_and_its_key_stays_away(store):
    key = new_key()
    entry = server(request_for(key))
    [described] = keep(store, entry)["certificates"].values()
    assert "key_path" not in described
    folder = store.folder("server", "app@web1")
    assert sorted(path.name for path in folder.iterdir()) == ["certificate.pem", "fullchain.pem"]
    assert same_key(certificate(folder / "certificate.pem"), key)
    # A request is signed anew at every run, and often with other bytes; the key is what counts.
    assert outcome(keep(store, server(request_for(key, "other")))) == ("ok", [])


def test_a_request_brings_a_key_and_nothing_else(store):
    asked_for = [
        x509.BasicConstraints(ca=True, path_length=None),
        x509.SubjectAlternativeName([x509.DNSName("bank.example"), x509.DNSName("*.example")]),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.CODE_SIGNING]),
        x509.KeyUsage(True, True, True, True, True, True, True, False, False),
        x509.NameConstraints([x509.DNSName("example")], None),
    ]
    keep(store, server(request_for(new_key(), "bank.example", *asked_for)))
    found = certificate(store.folder("server", "app@web1") / "certificate.pem")
    assert found.subject == name_of("app.example.com")
    assert extension(found, x509.BasicConstraints).value.ca is False
    assert alternative_names(found) == sorted(SAN)
    assert list(extension(found, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not extension(found, x509.KeyUsage).value.key_cert_sign
    assert len(found.extensions) == 6
    root = certificate(store.folder("authority", "root") / "certificate.pem")
    assert is_signed_by(found, root)


def test_another_public_key_is_a_reason(store):
    keep(store, server(request_for(new_key())))
    entry = server(request_for(new_key()))
    assert outcome(keep(store, entry)) == ("reissue", ["public key changed"])
    assert outcome(keep(store, entry)) == ("ok", [])


def test_a_key_that_goes_away_or_comes_back_is_a_reason(store):
    key = new_key()
    keep(store, server(None))
    folder = store.folder("server", "app@web1")
    assert (folder / "key.pem").exists()
    assert outcome(keep(store, server(request_for(key)))) == ("reissue", ["public key changed"])
    assert not (folder / "key.pem").exists()
    assert outcome(keep(store, server(None))) == ("reissue", ["key missing"])


def test_a_renewed_request_keeps_its_key(store):
    entry = server(request_for(new_key()))
    keep(store, entry)
    result = keep(store, entry, now=NOW + timedelta(days=350))
    assert outcome(result) == ("renew", ["expires in 15 days"])


# Packs: PKCS #12.


@pytest.mark.parametrize(
    ("options", "chain"),
    [
        pytest.param({}, ["CN=root CA"], id="signed by a root"),
        pytest.param({"issuer": "low"}, ["CN=low CA", "CN=root CA"], id="signed below one"),
        pytest.param({"issuer": "b"}, ["CN=b CA", "CN=low CA", "CN=root CA"], id="two below"),
        pytest.param({"issuer": "self"}, [], id="self-signed"),
    ],
)  # fmt: skip
def test_a_pack_holds_the_key_the_certificate_and_all_above(store, options, chain):
    keep_authority(store, "low", issuer="root")
    keep_authority(store, "b", issuer="low")
    keep(store, wanted(pkcs12=True, **options))
    passphrase = file(store, "client1.p12.passphrase").read_text().strip()
    pack = pkcs12.load_pkcs12(file(store, "client1.p12").read_bytes(), passphrase.encode())
    assert pack.cert.friendly_name == b"client1"
    assert pack.cert.certificate == certificate(file(store, "certificate.pem"))
    assert same_key(pack.key, pack.cert.certificate)
    names = [each.certificate.subject.rfc4514_string() for each in pack.additional_certs]
    assert sorted(names) == sorted(chain)


def test_each_pack_has_a_passphrase_of_its_own_that_nobody_guesses(store):
    keep(store, *(wanted(f"c{number}", pkcs12=True) for number in range(5)))
    said = {
        file(store, f"c{number}.p12.passphrase", entry=f"c{number}").read_text()
        for number in range(5)
    }
    assert len(said) == 5
    for each in said:
        assert len(each.strip().replace("-", "")) == 25
        assert not set(each.strip()) & set("lo01IO")
    assert len(set(issuing.packs.ALPHABET)) == 32


def test_a_key_that_an_old_library_cannot_pack_stops_the_whole_set(store, monkeypatch):
    def refuse(*_arguments):
        raise TypeError("Key must be RSA, DSA, or EllipticCurve private key or None.")

    monkeypatch.setattr(pkcs12, "serialize_key_and_certificates", refuse)
    sentence = (
        r"certificate 'client1': cryptography .* can't pack a key of type Ed25519 as PKCS #12"
    )
    _none_of_the_set(store, sentence, wanted(key_type="Ed25519", pkcs12=True))
