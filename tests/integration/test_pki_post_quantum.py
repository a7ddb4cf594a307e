# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What OpenSSL 3.5 makes of ML-DSA (FIPS 204, RFC 9881), and nginx with it: Debian 13's."""

from __future__ import annotations

import re

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import POST_QUANTUM_KEY_TYPES
from ansible_collections.edge.mtls.tests.integration.pki_judges import (
    Debian,
    Nginx,
    openssl_verdict,
)
from ansible_collections.edge.mtls.tests.integration.pki_world import (
    client,
    post_quantum_world,
    say,
)

pytestmark = pytest.mark.hosts
TYPES = pytest.mark.parametrize("key_type", POST_QUANTUM_KEY_TYPES)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return post_quantum_world(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def debian(tmp_path_factory):
    return Debian("debian13", tmp_path_factory.mktemp("debian13"))


@pytest.fixture(scope="module")
def openssl(debian):
    return debian.program("usr/bin/openssl")


@pytest.mark.parametrize(
    ("name", "root"),
    [
        *(pytest.param(each.lower(), each.lower(), id=each) for each in POST_QUANTUM_KEY_TYPES),
        pytest.param("small", "ml-dsa-87", id="ML-DSA-44 below 65 below 87"),
        pytest.param("classic", "ml-dsa-87", id="P-256 below ML-DSA"),
        pytest.param("below-classic", "mixed", id="ML-DSA-65 below P-256"),
    ],
)
def test_openssl_accepts_the_chain(store, openssl, name, root):
    chain = store.client(name, "fullchain.pem")
    files, crls = (chain, store.authority(root)), store.path / "crls/all.pem"
    assert openssl_verdict(*files, "-purpose", "sslclient", crls=crls, program=openssl) == "OK"


def test_openssl_accepts_a_self_signed_client_as_its_own_anchor(store, openssl):
    own = store.client("own")
    assert openssl_verdict(own, own, program=openssl) == "OK"


def test_openssl_refuses_another_root(store, openssl):
    files = store.client("ml-dsa-44", "fullchain.pem"), store.authority("ml-dsa-87")
    assert "unable to get local issuer certificate" in openssl_verdict(*files, program=openssl)


def test_openssl_refuses_a_client_that_is_revoked(store, openssl):
    files = store.client("gone", "fullchain.pem"), store.authority("ml-dsa-87")
    verdict = openssl_verdict(*files, crls=store.path / "crls/all.pem", program=openssl)
    assert verdict == "certificate revoked at 0 depth"


@pytest.mark.parametrize("name", [*map(str.lower, POST_QUANTUM_KEY_TYPES), "services"])
def test_openssl_verifies_the_crl(store, openssl, name):
    words = [*openssl, "crl", "-in", store.crl(name), "-noout", "-verify", "-CAfile"]
    assert "verify OK" in say(*words, store.authority(name))


@TYPES
def test_openssl_pairs_each_key_with_its_certificate(store, openssl, key_type):
    name = key_type.lower()
    ours = say(*openssl, "x509", "-in", store.client(name), "-noout", "-pubkey")
    assert say(*openssl, "pkey", "-in", store.client(name, "key.pem"), "-pubout") == ours
    text = say(*openssl, "x509", "-in", store.client(name), "-noout", "-text")
    assert re.findall(r"(?:Signature|Public Key) Algorithm: (\S+)", text) == [key_type] * 3
    # RFC 9881, 5: of these usages only.
    assert "X509v3 Key Usage: critical\n                Digital Signature\n" in text


@TYPES
def test_openssl_packs_what_the_module_says_it_cannot(store, openssl, tmp_path, key_type):
    """PKCS #12 with such a key is more than cryptography 50 makes."""
    name = key_type.lower()
    with pytest.raises(MtlsError, match=f"can't pack a key of type {key_type} as PKCS #12"):
        store.keep(client(name, name, key_type=key_type, packs=["pkcs12"]))
    made, secret = tmp_path / "it.p12", "pass:eleven little mice"
    words = ["-in", store.client(name), "-inkey", store.client(name, "key.pem")]
    say(*openssl, "pkcs12", "-export", *words, "-passout", secret, "-out", made)
    opened = say(*openssl, "pkcs12", "-in", made, "-passin", secret, "-noenc")
    assert store.client(name).read_text() in opened


def test_nginx_lets_in_who_shows_ml_dsa_and_nobody_else(store, debian, tmp_path):
    door = Nginx(tmp_path, store.leaf("servers/app", "fullchain.pem"), depth=2)
    door.trust(store.trust("services").read_bytes(), (store.path / "crls/all.pem").read_bytes())
    answers = {}
    with door.running(debian.program("usr/sbin/nginx")):
        for name in ("small", "classic", "ml-dsa-87", "gone", "own", "below-classic"):
            words = [*debian.program("usr/bin/openssl"), "s_client", "-unix", tmp_path / "socket"]
            words += ["-quiet", "-ign_eof", "-verify_return_error", "-tls1_3"]
            words += [
                "-CAfile",
                store.authority("ml-dsa-87"),
                "-key",
                store.client(name, "key.pem"),
            ]
            words += [
                "-cert",
                store.client(name),
                "-cert_chain",
                store.client(name, "fullchain.pem"),
            ]
            said = say(*words, input="GET / HTTP/1.0\r\n\r\n")
            answers[name] = int(re.search(r"HTTP/1.1 (\d+)", said)[1])
    refused = [name for name, status in answers.items() if status != 200]
    assert refused == ["gone", "own", "below-classic"]
