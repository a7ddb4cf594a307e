# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaf certificates: issued as a whole set, or not at all."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import keys
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import not_before_of
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    SECOND,
    certificate,
    chain_subjects,
    file,
    files_match,
    keep,
    keep_authority,
    none_of_the_set,
    outcome,
    revoke,
    rows,
    tree,
    wanted,
)

SAN = ["DNS:app.example.com", "IP:192.0.2.1"]


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep_authority(store)
    return store


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="client"),
        pytest.param({"profile": "server", "subject_alternative_names": SAN}, id="server"),
        pytest.param({"issuer": "self"}, id="self-signed"),
        pytest.param({"packs": ["pkcs12"]}, id="with a pack"),
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
    assert files_match(store, profile=entry.kind)
    before = tree(store.path)
    result = keep(store, entry, now=NOW + 300 * DAY)
    assert (outcome(result), result["changed"]) == (("ok", []), False)
    assert result["plan"] == "ok 1"
    assert tree(store.path) == before


def test_what_is_returned_describes_the_files(store):
    keep_authority(store, "low", issuer="root")
    [described] = keep(store, wanted(issuer="low", packs=["pkcs12"]))["certificates"].values()
    folder = store.path / "clients/client1"
    assert described["certificate_path"] == str(folder / "certificate.pem")
    assert described["fullchain_path"] == str(folder / "fullchain.pem")
    # Whoever holds the key finds the certificate beside it; a thousand of them would be long.
    assert {"certificate", "fullchain"} & set(described) == set()
    assert described["key_path"] == str(folder / "key.pem")
    assert described["pack_paths"] == [str(folder / "client1.p12")]
    assert described["passphrase_path"] == str(folder / "client1.p12.passphrase")
    assert (described["subject"], described["issuer_subject"]) == ("CN=client1", "CN=low CA")
    assert described["days_left"] == 365
    assert chain_subjects((folder / "fullchain.pem").read_text()) == ["CN=client1", "CN=low CA"]
    assert rows(store, "kind, name, serial_number, fingerprint_sha256")[-1] == (
        "client", "client1", described["serial_number"], described["fingerprint_sha256"]
    )  # fmt: skip
    assert "PRIVATE" not in str(described)
    assert (folder / "client1.p12.passphrase").read_text().strip() not in str(described)


def test_clients_and_servers_may_share_a_name(store):
    server = wanted(profile="server", subject_alternative_names=SAN)
    result = keep(store, wanted(), server)
    assert list(result["certificates"]) == ["client/client1", "server/client1"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param({"name": "../c"}, "client certificate '../c': the name", id="name"),
        pytest.param({"common_name": "a\nb"}, "common_name .* must be printable", id="common name"),
        pytest.param({"profile": "x"}, "profile 'x' is not one of client, server, peer", id="profile"),
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
        pytest.param({"packs": ["pkcs12"], "request": "x"}, "self-signed nor packed", id="packed request"),
    ],
)  # fmt: skip
def test_an_entry_that_makes_no_sense_is_named(options, sentence):
    with pytest.raises(MtlsError, match=sentence):
        wanted(**{"name": "client1", **options})


def test_an_entry_that_cannot_be_met_stops_the_whole_set(store):
    none_of_the_set(store, "client certificate 'c1' is asked for twice", wanted("c1"), wanted("c1"))
    none_of_the_set(store, "its issuer 'x' is not an authority of the store", wanted(issuer="x"))
    none_of_the_set(store, "request is not a CSR in PEM", wanted(request="x"))
    none_of_the_set(store, "request is not a CSR in PEM", wanted(request=""))


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
    none_of_the_set(store, "a certificate of the store was issued at 2027-06-02 12:00 UTC: set the")


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
    with pytest.raises(
        MtlsError, match="authority 'root' can't sign it .*its key is not in the store"
    ):
        keep(store, wanted("client2"))


def test_check_mode_changes_nothing_on_disk(store, tmp_path):
    keep(store, wanted("ok"), wanted("differs"), wanted("due", renew_before_days=300))
    entries = [
        wanted("ok"),
        wanted("differs", common_name="x"),
        wanted("due", renew_before_days=300),
        wanted("new", packs=["pkcs12"]),
        wanted("below", issuer="not-made-yet"),
    ]
    before = tree(tmp_path)
    result = keep(store, *entries, now=NOW + 100 * DAY, check_mode=True)
    assert result["plan"] == "ok 1, issue 2, renew 1, reissue 1"
    assert tree(tmp_path) == before
    described = result["certificates"]["client/new"]
    assert described["pack_paths"] == [str(store.path / "clients/new/new.p12")]
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


needs_mldsa = pytest.mark.skipif(keys.mldsa is None, reason="this cryptography is older than 49")


@needs_mldsa
@pytest.mark.parametrize("issuer_type", ["ML-DSA-65", "P-256"])
@pytest.mark.parametrize("key_type", ["ML-DSA-44", "P-256"])
def test_post_quantum_and_other_keys_sign_each_other(tmp_path, issuer_type, key_type):
    store = Store(str(tmp_path / "store"))
    keep_authority(store, key_type=issuer_type)
    keep_authority(store, "low", issuer="root", key_type=key_type)
    entry = wanted(issuer="low", key_type=key_type)
    assert outcome(keep(store, entry)) == ("issue", ["missing"])
    assert outcome(keep(store, entry)) == ("ok", [])
    assert files_match(store)
    assert revoke(store, {"name": "client1"})["changed"]
    assert revoke(store, {"name": "client1"})["changed"] is False
    for stage in ("prepare", "sign", "move"):
        keep_authority(store, key_type=issuer_type, roll_over=stage)


@pytest.mark.parametrize("key_type", keys.POST_QUANTUM_KEY_TYPES)
def test_a_library_that_lacks_a_type_is_named_with_the_entry(store, monkeypatch, key_type):
    monkeypatch.setattr(keys, "mldsa", None)
    with pytest.raises(MtlsError, match=f"certificate 'client1': key_type {key_type} needs crypt"):
        wanted(key_type=key_type)
    with pytest.raises(
        MtlsError, match=f"profile 'own': key_type {key_type} needs cryptography 49"
    ):
        wanted(profile="own", profiles=[{"name": "own", "key_type": key_type}])
    with pytest.raises(MtlsError, match=f"authority 'low': key_type {key_type} needs cryptography"):
        keep_authority(store, "low", key_type=key_type)
