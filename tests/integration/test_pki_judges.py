# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others make of our certificates: OpenSSL, GnuTLS and NSS."""

from __future__ import annotations

import re

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import KEY_TYPES
from ansible_collections.edge.mtls.plugins.modules import certificate_request
from ansible_collections.edge.mtls.tests.integration.pki_judges import (
    TRUSTED,
    Debian,
    Nss,
    gnutls_verdict,
    openssl_verdict,
)
from ansible_collections.edge.mtls.tests.integration.pki_world import (
    ISSUERS,
    LEAVES,
    PASSPHRASE,
    SAN,
    ask,
    client,
    foreign,
    line_of,
    plain_world,
    rich_world,
    say,
    server,
)

TYPES = pytest.mark.parametrize("key_type", KEY_TYPES)
# GnuTLS 3.7 refuses whatever it can't check: an excluded name of a directory, or of a URI.
WALLED = {name: issuer for name, (issuer, _purpose) in LEAVES.items() if issuer == "walled"}
# NSS 3.87 knows no Ed25519.
NSS_TYPES = [key_type for key_type in KEY_TYPES if key_type != "Ed25519"]
NSS_USAGES = {"sslclient": "C", "sslserver": "V", "smimesign": "S"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return plain_world(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    return rich_world(tmp_path_factory.getbasetemp())


# OpenSSL


@TYPES
def test_openssl_accepts_the_chain_of_every_key_type(world, key_type):
    chain = world.client(key_type.lower(), "fullchain.pem")
    assert openssl_verdict(chain, world.authority("root"), "-purpose", "sslclient") == "OK"


@pytest.mark.parametrize("name", ["app", "app-rsa"])
def test_openssl_accepts_a_server_by_each_of_its_names(world, name):
    files = world.leaf(f"servers/{name}", "fullchain.pem"), world.authority("root")
    for option, expected in (
        *(("-verify_hostname", "app.example.com"), ("-verify_ip", "192.0.2.1")),
        ("-verify_ip", "2001:db8::1"),
    ):
        assert openssl_verdict(*files, "-purpose", "sslserver", option, expected) == "OK"


@pytest.mark.parametrize(
    ("leaf", "option", "name", "verdict"),
    [
        ("servers/app", "-verify_hostname", "app.example.com", "OK"),
        ("servers/app", "-verify_hostname", "x.apps.example.com", "OK"),
        ("servers/app", "-verify_hostname", "x.y.apps.example.com", "hostname mismatch at 0 depth"),
        ("servers/app", "-verify_ip", "10.1.2.3", "OK"),
        ("servers/app", "-verify_ip", "10.1.2.4", "IP address mismatch at 0 depth"),
        ("clients/person", "-verify_email", "ada@lab.example.com", "OK"),
        ("clients/person", "-verify_email", "ada@example.com", "OK"),
        ("clients/person", "-verify_email", "bob@example.com", "email address mismatch at 0 depth"),
    ],
)
def test_openssl_finds_the_name_that_it_is_told_to(rich, leaf, option, name, verdict):
    files = rich.leaf(leaf, "fullchain.pem"), rich.authority("corp")
    assert openssl_verdict(*files, option, name).lower() == verdict.lower()


def test_openssl_accepts_the_bundle_alone_as_anchors(world):
    bundle = world.authority("services", "fullchain.pem")
    say("openssl", "verify", "-x509_strict", "-CAfile", bundle, world.client("p-256"))


@pytest.mark.parametrize(
    ("purpose", "leaf"),
    [
        pytest.param("sslserver", "clients/direct", id="client as a server"),
        pytest.param("sslclient", "servers/app-rsa", id="server as a client"),
    ],
)
def test_openssl_refuses_the_wrong_purpose(world, purpose, leaf):
    verdict = openssl_verdict(world.leaf(leaf), world.authority("root"), "-purpose", purpose)
    assert re.match("(unsupported|unsuitable) certificate purpose", verdict)


@TYPES
def test_openssl_pairs_each_key_with_its_certificate(world, key_type):
    name = key_type.lower()
    ours = say("openssl", "x509", "-in", world.client(name), "-noout", "-pubkey")
    assert say("openssl", "pkey", "-in", world.client(name, "key.pem"), "-pubout") == ours
    assert "BEGIN PUBLIC KEY" in ours


def test_serial_numbers_and_subjects_are_what_openssl_prints(world):
    result = world.keep(client("direct", packs=["pkcs12"]))["client/direct"]
    words = ["openssl", "x509", "-in", result["certificate_path"], "-noout"]
    said = say(*words, "-serial", "-subject", "-issuer", "-nameopt", "RFC2253")
    assert said.splitlines() == [
        f"serial={result['serial_number']}",
        f"subject={result['subject']}",
        f"issuer={result['issuer_subject']}",
    ]
    digest = say(*words, "-fingerprint", "-sha256").split("=")[1].strip()
    assert digest.replace(":", "").lower() == result["fingerprint_sha256"]


def test_openssl_accepts_our_request(tmp_path):
    made = certificate_request.run(
        {
            "key_path": str(tmp_path / "key.pem"),
            "common_name": "app.example.com",
            "subject_alternative_names": SAN,
            "key_type": "P-256",
        },
        False,
    )
    said = say("openssl", "req", "-verify", "-noout", "-text", input=made["request"])
    assert "verify OK" in said
    assert "DNS:app.example.com, IP Address:192.0.2.1" in said


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["-newkey", "rsa:2048"], id="RSA"),
        pytest.param(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"], id="P-384"),
        pytest.param(["-newkey", "ed25519"], id="Ed25519"),
    ],
)
def test_a_request_that_openssl_made_is_signed(world, tmp_path, arguments):
    name = f"made-by-openssl-{arguments[1].split(':')[0]}"
    request = say(
        *("openssl", "req", "-new", "-nodes", "-keyout", tmp_path / "key.pem", *arguments),
        *("-subj", "/CN=evil.example", "-addext", "basicConstraints=critical,CA:TRUE"),
        *("-addext", "subjectAltName=DNS:evil.example", "-batch"),
    )
    start = request.index("-----BEGIN CERTIFICATE REQUEST")
    world.keep(server(name, request=request[start:]))
    path = world.leaf(f"servers/{name}")
    say("openssl", "verify", "-x509_strict", "-CAfile", world.authority("root"), path)
    said = say("openssl", "x509", "-in", path, "-noout", "-text")
    assert "evil.example" not in said
    assert "CA:TRUE" not in said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(
            ["-newkey", "rsa:1024"], "of type RSA-1024, and must be", id="RSA of 1024 bits"
        ),
        pytest.param(["-newkey", "ed448"], "of type _?Ed448PublicKey, and must", id="Ed448"),
        pytest.param(
            ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime239v1"],
            "the request can't be checked: .* not .*support",
            id="unheard-of curve",
        ),
    ],
)
def test_a_request_that_openssl_made_with_a_strange_key_is_refused(
    world, tmp_path, arguments, reason
):
    words = ["openssl", "req", "-new", "-nodes", "-keyout", tmp_path / "key.pem", *arguments]
    request = say(*words, "-subj", "/CN=app", "-batch", "-out", "/dev/stdout")
    start = request.index("-----BEGIN CERTIFICATE REQUEST")
    with pytest.raises(MtlsError, match=f"server certificate 'strange': .*{reason}"):
        world.keep(server("strange", request=request[start:]))


@pytest.mark.hosts
def test_a_newer_openssl_accepts_every_leaf(rich, tmp_path):
    program = Debian("debian13", tmp_path).program("usr/bin/openssl")
    crls, verdicts = foreign(rich, "all.crl.pem"), {}
    for leaf, (issuer, purpose) in LEAVES.items():
        files = rich.leaf(leaf, "fullchain.pem"), rich.authority(line_of(issuer)[-1])
        options = {"crls": crls, "program": program}
        verdicts[leaf] = openssl_verdict(*files, "-purpose", purpose, **options)
    assert verdicts == dict.fromkeys(LEAVES, "OK")


# GnuTLS


@TYPES
def test_gnutls_accepts_the_chain_of_every_key_type(world, key_type):
    chain = world.client(key_type.lower(), "fullchain.pem")
    assert gnutls_verdict(chain, world.authority("root")) == TRUSTED
    whole = chain.read_text() + world.authority("root").read_text()
    assert TRUSTED in say("certtool", "--verify-chain", input=whole)


@pytest.mark.parametrize("leaf", [name for name in LEAVES if name not in WALLED])
def test_gnutls_accepts_every_leaf(rich, leaf):
    root = rich.authority(line_of(LEAVES[leaf][0])[-1])
    chain, crls = rich.leaf(leaf, "fullchain.pem"), foreign(rich, "all.crl.pem")
    assert gnutls_verdict(chain, root, crls=crls) == TRUSTED


@pytest.mark.parametrize("leaf", WALLED)
def test_gnutls_refuses_where_a_directory_name_is_excluded(rich, leaf):
    """Whoever excludes one should know. OpenSSL and NSS accept these."""
    verdict = gnutls_verdict(rich.leaf(leaf, "fullchain.pem"), rich.authority("corp"))
    assert "The certificate chain violates the signer's constraints." in verdict


def test_gnutls_accepts_a_server_by_its_name(world):
    files = world.leaf("servers/app", "fullchain.pem"), world.authority("root")
    options = ["--verify-hostname", "app.example.com", "--verify-purpose", "1.3.6.1.5.5.7.3.1"]
    assert gnutls_verdict(*files, *options) == TRUSTED


# NSS


@pytest.mark.parametrize("key_type", NSS_TYPES)
def test_nss_accepts_the_chain_of_every_key_type(world, tmp_path, key_type):
    nss = Nss(tmp_path)
    nss.add("root", world.authority("root"), "CT,,")
    nss.add("services", world.authority("services"))
    nss.add("it", world.client(key_type.lower()))
    assert nss.verdict("it") == "certificate is valid"


@pytest.fixture(scope="module")
def nss(rich, tmp_path_factory):
    nss = Nss(tmp_path_factory.mktemp("nss"))
    for name in ISSUERS:
        if name != "edwards":
            nss.add(name, rich.authority(name), ",," if ISSUERS[name] else "CT,C,")
    return nss


@pytest.mark.parametrize("leaf", [name for name in LEAVES if name != "clients/edwards"])
def test_nss_accepts_every_leaf(rich, nss, leaf):
    nss.add(leaf, rich.leaf(leaf))
    assert nss.verdict(leaf, NSS_USAGES[LEAVES[leaf][1]]) == "certificate is valid"


# Keys and requests of authorities


def test_openssl_opens_the_key_of_an_authority_with_its_passphrase_only(rich, tmp_path):
    (tmp_path / "right").write_text(f"{PASSPHRASE}\n")
    (tmp_path / "wrong").write_text("twelve little mice\n")
    words = ["openssl", "pkey", "-in", rich.authority("corp-3", "key.pem"), "-pubout", "-passin"]
    ours = say("openssl", "x509", "-in", rich.authority("corp-3"), "-noout", "-pubkey")
    assert say(*words, f"file:{tmp_path / 'right'}") == ours
    refused = ask(*words, f"file:{tmp_path / 'wrong'}")
    assert refused.returncode != 0
    assert "BEGIN" not in refused.stdout
    # PBES2 with AES-256 (RFC 8018), and nothing that OpenSSL only reads with its legacy provider
    text = say("openssl", "asn1parse", "-in", rich.authority("corp-3", "key.pem"))
    assert {"PBES2", "PBKDF2", "aes-256-cbc"} <= set(re.findall(r"OBJECT +:(\S+)", text))


def test_gnutls_opens_the_key_of_an_adopted_authority(rich):
    words = [
        "certtool",
        "--key-info",
        "--no-text",
        "--infile",
        rich.authority("adopted", "key.pem"),
    ]
    assert "BEGIN RSA PRIVATE KEY" in say(*words, "--password", PASSPHRASE)
    assert ask(*words, "--password", "twelve little mice").returncode != 0


@pytest.mark.parametrize("name", ["signed-by-x509", "signed-by-ca"])
def test_openssl_accepts_the_request_of_a_pending_authority(rich, name):
    words = ["openssl", "req", "-in", foreign(rich, f"{name}.csr"), "-verify", "-noout", "-text"]
    said = say(*words, "-nameopt", "RFC2253")
    assert "verify OK" in said
    assert "CA:TRUE, pathlen:0" in said
    assert f"Subject: CN={name} CA,O=Example,C=DE\n" in said
