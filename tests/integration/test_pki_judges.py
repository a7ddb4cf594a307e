# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others make of our certificates: OpenSSL, GnuTLS and NSS."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import KEY_TYPES
from ansible_collections.edge.mtls.plugins.modules import certificate_request
from ansible_collections.edge.mtls.tests.integration.pki_world import SAN, World, say

TYPES = pytest.mark.parametrize("key_type", KEY_TYPES)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.getbasetemp() / "pki-world/store")


# OpenSSL


@TYPES
def test_openssl_accepts_the_chain_of_every_key_type(world, key_type):
    say(
        *("openssl", "verify", "-x509_strict", "-purpose", "sslclient"),
        *("-CAfile", world.authority("root"), "-untrusted", world.authority("services")),
        world.client(key_type.lower()),
    )


@pytest.mark.parametrize("name", ["app", "app-rsa"])
def test_openssl_accepts_a_server_by_each_of_its_names(world, name):
    words = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver"]
    words += ["-CAfile", world.authority("root"), "-untrusted", world.authority("services")]
    server = world.leaf(f"servers/{name}")
    say(*words, "-verify_hostname", "app.example.com", server)
    say(*words, "-verify_ip", "192.0.2.1", server)
    say(*words, "-verify_ip", "2001:db8::1", server)


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
    words = ["openssl", "verify", "-purpose", purpose, "-CAfile", world.authority("root")]
    done = subprocess.run([*words, world.leaf(leaf)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert re.search("(unsupported|unsuitable) certificate purpose", done.stderr)


def openssl_extensions(path: Path) -> dict[str, str]:
    """Map each extension, and whether it is critical, to what OpenSSL says of it."""
    text = say("openssl", "x509", "-in", path, "-noout", "-text", "-certopt", "ext_error")
    lines = text.split("X509v3 extensions:\n")[1].split("    Signature Algorithm")[0].splitlines()
    found: dict[str, str] = {}
    for line in lines:
        if line.startswith(" " * 16):
            name = list(found)[-1]
            found[name] = f"{found[name]} {line.strip()}".strip()
        else:
            found[line.strip().removeprefix("X509v3 ")] = ""
    return found


IDENTIFIER = r"(([0-9A-F]{2}:){19}[0-9A-F]{2})"


def test_openssl_reads_the_extensions_of_authorities(world):
    root = openssl_extensions(world.authority("root"))
    assert root.pop("Basic Constraints: critical") == "CA:TRUE"
    assert root.pop("Key Usage: critical") == "Certificate Sign, CRL Sign"
    identifier = root.pop("Subject Key Identifier:")
    assert re.fullmatch(IDENTIFIER, identifier)
    assert root.pop("Authority Key Identifier:") == identifier
    assert root == {}
    services = openssl_extensions(world.authority("services"))
    assert services["Basic Constraints: critical"] == "CA:TRUE, pathlen:0"
    assert services["Authority Key Identifier:"] == identifier
    assert services["Subject Key Identifier:"] != identifier


@TYPES
def test_openssl_reads_the_extensions_of_clients(world, key_type):
    found = openssl_extensions(world.client(key_type.lower()))
    assert found.pop("Basic Constraints: critical") == "CA:FALSE"
    assert found.pop("Key Usage: critical") == "Digital Signature"
    assert found.pop("Extended Key Usage:") == "TLS Web Client Authentication"
    assert re.fullmatch(IDENTIFIER, found.pop("Subject Key Identifier:"))
    issuer = openssl_extensions(world.authority("services"))["Subject Key Identifier:"]
    assert found.pop("Authority Key Identifier:") == issuer
    assert found == {}


def test_openssl_reads_the_extensions_of_servers(world):
    found = openssl_extensions(world.leaf("servers/app"))
    assert found["Extended Key Usage:"] == "TLS Web Server Authentication"
    assert found["Key Usage: critical"] == "Digital Signature"
    assert found["Subject Alternative Name:"] == (
        "DNS:app.example.com, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1"
    )


def test_openssl_reads_a_self_signed_client_as_no_authority(world):
    found = openssl_extensions(world.client("own-rsa"))
    assert found["Basic Constraints: critical"] == "CA:FALSE"
    assert found["Extended Key Usage:"] == "TLS Web Client Authentication"
    assert found["Authority Key Identifier:"] == found["Subject Key Identifier:"]
    assert not [name for name in found if name.startswith("Key Usage")]


@TYPES
def test_openssl_pairs_each_key_with_its_certificate(world, key_type):
    name = key_type.lower()
    ours = say("openssl", "x509", "-in", world.client(name), "-noout", "-pubkey")
    assert say("openssl", "pkey", "-in", world.client(name, "key.pem"), "-pubout") == ours
    assert "BEGIN PUBLIC KEY" in ours


def test_serial_numbers_and_subjects_are_what_openssl_prints(world):
    result = world.keep(world.entry("direct", pkcs12=True))["certificates"]["client/direct"]
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
    world.keep(world.server(name, request=request[start:]))
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
        world.keep(world.server("strange", request=request[start:]))


# GnuTLS


@TYPES
def test_gnutls_accepts_the_chain_of_every_key_type(world, key_type):
    chain = world.client(key_type.lower(), "fullchain.pem").read_text()
    said = say("certtool", "--verify-chain", input=chain + world.authority("root").read_text())
    assert "Chain verification output: Verified. The certificate is trusted." in said


def test_gnutls_accepts_a_server_by_its_name(world):
    chain = world.leaf("servers/app", "fullchain.pem")
    words = ["certtool", "--verify", "--load-ca-certificate", world.authority("root")]
    words += ["--verify-hostname", "app.example.com", "--infile", chain]
    words += ["--verify-purpose", "1.3.6.1.5.5.7.3.1"]
    assert "Verified. The certificate is trusted." in say(*words)


# PKCS #12


@pytest.mark.parametrize(
    ("name", "certificates_inside"),
    [
        *(pytest.param(key_type.lower(), 3, id=key_type) for key_type in KEY_TYPES),
        pytest.param("direct", 2, id="signed by the root"),
        pytest.param("own", 1, id="self-signed"),
    ],
)
def test_openssl_opens_the_pack(world, name, certificates_inside):
    words = ["openssl", "pkcs12", "-in", world.client(name, f"{name}.p12"), "-info", "-noenc"]
    said = say(*words, "-passin", f"file:{world.client(name, f'{name}.p12.passphrase')}")
    assert said.count("BEGIN CERTIFICATE") == certificates_inside
    assert said.count("BEGIN PRIVATE KEY") == 1
    # Both the key and the certificates, and never the RC2 or 3DES of old.
    assert said.count("PBES2, PBKDF2, AES-256-CBC") == 2
    assert "MAC: sha256" in said
    assert f"friendlyName: {name}" in said


def test_the_pack_stays_closed_to_another_passphrase(world):
    words = ["openssl", "pkcs12", "-in", world.client("direct", "direct.p12"), "-noenc"]
    done = subprocess.run(
        [*words, "-passin", "pass:guess"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "PRIVATE KEY" not in done.stdout


# NSS 3.87 imports no Ed25519 key, not even from a pack that OpenSSL made.
NSS_TYPES = [key_type for key_type in KEY_TYPES if key_type != "Ed25519"]


@pytest.mark.parametrize("name", [key_type.lower() for key_type in NSS_TYPES] + ["direct", "own"])
def test_nss_imports_the_pack(world, tmp_path, name):
    database = f"sql:{tmp_path}"
    passphrase = world.client(name, f"{name}.p12.passphrase").read_text().strip()
    say("certutil", "-N", "-d", database, "--empty-password")
    pack = world.client(name, f"{name}.p12")
    assert "IMPORT SUCCESSFUL" in say("pk12util", "-i", pack, "-d", database, "-W", passphrase)
    listing = say("certutil", "-L", "-d", database)
    # "u": the database holds the private key as well.
    assert re.search(rf"^{name} +u,u,u$", listing, re.MULTILINE)
    assert name in say("certutil", "-K", "-d", database)
    if name != "own":
        assert "Example Root CA" in listing
        say("certutil", "-M", "-d", database, "-n", "Example Root CA", "-t", "CT,,")
        said = say("certutil", "-V", "-d", database, "-n", name, "-u", "C", "-e", "-l")
        assert "certificate is valid" in said
