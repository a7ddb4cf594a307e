# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs of a certificate: when they are made, and anew."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.pki.packs import ALPHABET
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    certificate,
    file,
    keep,
    keep_authority,
    none_of_the_set,
    same_key,
    wanted,
)
from cryptography.hazmat.primitives.serialization import pkcs12


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


def test_a_key_that_an_old_library_cannot_pack_stops_the_whole_set(store, monkeypatch):
    def refuse(*_arguments):
        raise TypeError("Key must be RSA, DSA, or EllipticCurve private key or None.")

    monkeypatch.setattr(pkcs12, "serialize_key_and_certificates", refuse)
    sentence = (
        r"certificate 'client1': cryptography .* can't pack a key of type Ed25519 as PKCS #12"
    )
    none_of_the_set(store, sentence, wanted(key_type="Ed25519", packs=["pkcs12"]))
