# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs of a certificate: when they are made, and anew."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.pki.packs import ALPHABET
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    certificate,
    file,
    keep,
    keep_authority,
    none_of_the_set,
    outcome,
    rows,
    same_key,
    tree,
    wanted,
)
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

LEGACY = pytest.mark.skipif(
    not hasattr(serialization.PrivateFormat, "PKCS12"), reason="cryptography before 38"
)
TRUSTSTORE = pytest.mark.skipif(
    not hasattr(pkcs12, "serialize_java_truststore"), reason="cryptography before 45"
)


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep_authority(store)
    return store


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
    keep(store, wanted(packs=["pkcs12"], **options))
    passphrase = file(store, "client1.p12.passphrase").read_text().strip()
    pack = pkcs12.load_pkcs12(file(store, "client1.p12").read_bytes(), passphrase.encode())
    assert pack.cert.friendly_name == b"client1"
    assert pack.cert.certificate == certificate(file(store, "certificate.pem"))
    assert same_key(pack.key, pack.cert.certificate)
    names = [each.certificate.subject.rfc4514_string() for each in pack.additional_certs]
    assert sorted(names) == sorted(chain)


def test_each_pack_has_a_passphrase_of_its_own_that_nobody_guesses(store):
    keep(store, *(wanted(f"c{number}", packs=["pkcs12"]) for number in range(5)))
    said = {
        file(store, f"c{number}.p12.passphrase", entry=f"c{number}").read_text()
        for number in range(5)
    }
    assert len(said) == 5
    for each in said:
        assert len(each.strip().replace("-", "")) == 25
        assert not set(each.strip()) & set("lo01IO")
    assert len(set(ALPHABET)) == 32


@LEGACY  # there it is an error of the entry itself
def test_a_key_that_an_old_library_cannot_pack_stops_the_whole_set(store, monkeypatch):
    def refuse(*_arguments):
        raise TypeError("Key must be RSA, DSA, or EllipticCurve private key or None.")

    monkeypatch.setattr(pkcs12, "serialize_key_and_certificates", refuse)
    sentence = (
        r"certificate 'client1': cryptography .* can't pack a key of type Ed25519 as PKCS #12"
    )
    none_of_the_set(store, sentence, wanted(key_type="Ed25519", packs=["pkcs12"]))


# Packs that are wanted later, lost, or to be opened with another passphrase.

SECRET, OTHER = "chosen by hand", "another one"


def opens(store, passphrase, name="client1.p12"):
    try:
        pkcs12.load_pkcs12(file(store, name).read_bytes(), passphrase.encode())
    except ValueError:
        return False
    return True


def made_passphrase(store):
    return file(store, "client1.p12.passphrase").read_text().strip()


def test_a_pack_that_is_wanted_later_is_made_of_the_same_certificate(store):
    keep(store, wanted())
    before = {name: file(store, name).read_bytes() for name in ("certificate.pem", "key.pem")}
    entry = wanted(packs=["pkcs12", "zip", "der"])
    result = keep(store, entry)
    assert outcome(result) == ("pack", ["pack +pkcs12", "pack +zip", "pack +der"])
    assert (result["plan"], result["changed"]) == ("pack 1", True)
    assert outcome(keep(store, entry)) == ("ok", [])
    assert {name: file(store, name).read_bytes() for name in before} == before
    assert opens(store, made_passphrase(store))
    assert len(rows(store, "name")) == 2


def test_a_further_pack_opens_with_the_passphrase_that_the_owner_has(store):
    keep(store, wanted(packs=["pkcs12"]))
    passphrase = made_passphrase(store)
    assert outcome(keep(store, wanted(packs=["pkcs12", "tar"]))) == ("pack", ["pack +tar"])
    assert made_passphrase(store) == passphrase
    assert opens(store, passphrase)


def test_a_pack_that_is_not_wanted_any_more_is_left_where_it_is(store):
    keep(store, wanted(packs=["pkcs12", "zip"]))
    assert outcome(keep(store, wanted(packs=["zip"]))) == ("ok", [])
    assert file(store, "client1.p12").exists()


@pytest.mark.parametrize(
    ("first", "then", "reason"),
    [
        pytest.param(SECRET, OTHER, "pack passphrase changed", id="changed"),
        pytest.param(None, SECRET, "pack passphrase changed", id="given"),
        pytest.param(SECRET, None, "pack passphrase missing", id="not given any more"),
        pytest.param(SECRET, SECRET, None, id="the same"),
        pytest.param(None, None, None, id="never given"),
    ],
)
def test_a_pack_opens_with_the_passphrase_that_is_wanted_now(store, first, then, reason):
    def entry(passphrase):
        return wanted(packs=["pkcs12"], pack_passphrase=passphrase)

    keep(store, entry(first))
    before = file(store, "certificate.pem").read_bytes()
    expected = ("pack", [reason]) if reason else ("ok", [])
    result = keep(store, entry(then))
    assert outcome(result) == expected
    assert outcome(keep(store, entry(then))) == ("ok", [])
    assert opens(store, then or made_passphrase(store))
    assert file(store, "certificate.pem").read_bytes() == before
    [described] = result["certificates"].values()
    assert ("passphrase_path" in described) is (then is None)
    assert not any(secret in str(result) for secret in (SECRET, OTHER))


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param("pkcs12_legacy", marks=LEGACY),
        "tar",
        "zip",
        pytest.param("mobileconfig", marks=LEGACY),
    ],
)
@pytest.mark.parametrize("name", ["client1", "a.b"])
def test_another_passphrase_is_noticed_in_every_kind_of_pack(store, name, pack):
    keep(store, wanted(name, packs=[pack], pack_passphrase=SECRET))
    assert outcome(keep(store, wanted(name, packs=[pack], pack_passphrase=SECRET)))[0] == "ok"
    changed = wanted(name, packs=[pack], pack_passphrase=OTHER)
    assert outcome(keep(store, changed)) == ("pack", ["pack passphrase changed"])
    assert outcome(keep(store, changed)) == ("ok", [])


@pytest.mark.parametrize("pack", ["tar", "zip", pytest.param("mobileconfig", marks=LEGACY)])
def test_a_damaged_pack_is_made_anew_where_its_passphrase_is_known(store, pack):
    entry = wanted(packs=[pack], pack_passphrase=SECRET)
    [path] = keep(store, entry)["certificates"]["client/client1"]["pack_paths"][:1]
    with open(path, "r+b") as damaged:
        damaged.truncate(100)
    assert outcome(keep(store, entry)) == ("pack", ["pack passphrase changed"])
    assert outcome(keep(store, entry)) == ("ok", [])


@pytest.mark.parametrize(
    ("packs", "needs"),
    [
        pytest.param(["der"], False, id="der"),
        pytest.param(["truststore"], False, id="truststore", marks=TRUSTSTORE),
        pytest.param(["zip"], True, id="zip"),
        pytest.param(["mobileconfig"], True, id="mobileconfig", marks=LEGACY),
    ],
)
def test_a_passphrase_is_made_only_for_what_takes_one(store, packs, needs):
    [described] = keep(store, wanted(packs=packs))["certificates"].values()
    assert ("passphrase_path" in described) is needs
    assert file(store, "client1.p12.passphrase").exists() is needs


def test_each_renewal_packs_the_new_key_with_a_new_passphrase(store):
    entry = wanted(packs=["pkcs12"])
    keep(store, entry)
    before = made_passphrase(store)
    keep(store, entry, now=NOW + 350 * DAY)
    assert made_passphrase(store) != before
    pack = pkcs12.load_pkcs12(
        file(store, "client1.p12").read_bytes(), made_passphrase(store).encode()
    )
    assert pack.cert.certificate == certificate(file(store, "certificate.pem"))


def test_a_repacked_certificate_is_planned_first_in_check_mode(store):
    keep(store, wanted())
    before = tree(store.path)
    planned = keep(store, wanted(packs=["zip"]), check_mode=True)
    assert outcome(planned) == ("pack", ["pack +zip"])
    assert tree(store.path) == before


def test_packs_are_made_for_several_at_once(store):
    entries = [wanted(f"c{number}", packs=["pkcs12"]) for number in range(4)]
    keep(store, *(wanted(f"c{number}") for number in range(2)))
    assert keep(store, *entries)["plan"] == "issue 2, pack 2"
    assert keep(store, *entries)["plan"] == "ok 4"
