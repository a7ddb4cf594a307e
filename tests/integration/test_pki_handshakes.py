# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of every kind in real TLS handshakes, both sides verifying strictly."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from datetime import timedelta

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    Signer,
    build_certificate,
    certificate_from_pem,
    extent,
    to_pem,
    utc_now,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.extensions import (
    authority_extensions,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import (
    KEY_TYPES,
    generate,
    key_from_pem,
    key_to_pem,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.names import subject
from ansible_collections.edge.mtls.plugins.module_utils.pki.profiles import read_profiles
from ansible_collections.edge.mtls.tests.integration.pki_world import (
    plain_world,
    rich_world,
    say,
    server,
)

TYPES = pytest.mark.parametrize("key_type", KEY_TYPES)
VERSIONS = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"]
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return plain_world(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    return rich_world(tmp_path_factory.getbasetemp())


def server_context(world, server="servers/app", trust=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(world.leaf(server, "fullchain.pem"), world.leaf(server, "key.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(trust or world.authority("root"))
    return context


def client_context(world, client, trust=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trust or world.authority("root"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if client is not None:
        chain = world.leaf(client, "fullchain.pem") if isinstance(client, str) else client
        context.load_cert_chain(chain, chain.with_name("key.pem"))
    return context


def shake_hands(server, client, version):
    """Let OpenSSL's two sides talk to each other; return the caller's subject and the version."""
    client.minimum_version = client.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = server.wrap_bio(to_server, to_client, server_side=True)
    here = client.wrap_bio(to_client, to_server, server_hostname="app.example.com")
    done = set()
    for _ in range(9):
        for name, side in (("here", here), ("there", there)):
            if name not in done:
                try:
                    side.do_handshake()
                    done.add(name)
                except ssl.SSLWantReadError:
                    pass
    assert done == {"here", "there"}
    return there.getpeercert()["subject"], there.version()


@VERSIONS
@TYPES
def test_a_client_of_every_key_type_gets_in(world, key_type, version):
    server, client = server_context(world), client_context(world, f"clients/{key_type.lower()}")
    caller, said = shake_hands(server, client, version)
    assert caller == ((("commonName", key_type.lower()),),)
    assert said == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]


@VERSIONS
@TYPES
def test_a_server_of_every_key_type_is_believed(world, tmp_path, key_type, version):
    # The client's key serves for a server as well, which saves making another one.
    key, name = world.client(key_type.lower(), "key.pem"), f"of-{key_type.lower()}"
    request = say("openssl", "req", "-new", "-key", key, "-subj", "/CN=x")
    world.keep(server(name, request=request))
    shutil.copy(world.leaf(f"servers/{name}", "fullchain.pem"), tmp_path)
    shutil.copy(key, tmp_path)
    context = server_context(world, tmp_path)
    shake_hands(context, client_context(world, "clients/direct"), version)


@VERSIONS
@pytest.mark.parametrize("name", ["own", "own-ed25519", "own-rsa"])
def test_a_self_signed_client_that_is_trusted_itself_gets_in(world, name, version):
    server = server_context(world, trust=world.client(name))
    caller, _version = shake_hands(server, client_context(world, f"clients/{name}"), version)
    assert caller == ((("commonName", name),),)


@VERSIONS
@pytest.mark.parametrize(
    ("server", "client"),
    [
        pytest.param("servers/app", "clients/person", id="every kind of name"),
        pytest.param("servers/app", "clients/nightly", id="profile of our own"),
        pytest.param("servers/app", "clients/edwards", id="Ed25519 below RSA"),
        pytest.param("servers/walled", "clients/walled", id="every name constraint"),
        pytest.param("peers/node", "peers/node", id="peers"),
    ],
)
def test_both_sides_hang_on_a_line_of_authorities(rich, server, client, version):
    trust = rich.authority("corp")
    sides = server_context(rich, server, trust), client_context(rich, client, trust)
    caller, _version = shake_hands(*sides, version)
    assert caller[-1] == (("commonName", client.split("/")[1]),)


def test_a_certificate_for_mail_gets_nobody_in(rich):
    trust = rich.authority("corp")
    sides = (
        server_context(rich, "servers/app", trust),
        client_context(rich, "clients/mail", trust),
    )
    with pytest.raises(ssl.SSLError, match="unsuitable certificate purpose"):
        shake_hands(*sides, ssl.TLSVersion.TLSv1_2)


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        pytest.param(None, "peer did not return a certificate", id="none"),
        pytest.param("clients/stranger", "unable to get local issuer", id="other authority"),
        pytest.param("clients/own", "self.signed certificate", id="self-signed, not trusted"),
        pytest.param("servers/app", "unsuitable certificate purpose", id="server's certificate"),
    ],
)
def test_whoever_should_not_get_in_does_not(world, client, reason):
    with pytest.raises(ssl.SSLError, match=reason):
        shake_hands(server_context(world), client_context(world, client), ssl.TLSVersion.TLSv1_2)


def build_client(key, signer):
    """Make a client's certificate as the module would, but for whoever has stolen a key."""
    extensions = read_profiles([])["client"].extensions_of([], False, "forged")
    lifetime = extent(utc_now(), timedelta(days=9))
    name = subject("admin", "forged")
    return build_certificate(name, key.public_key(), signer, lifetime, extensions)


def test_a_self_signed_client_cannot_vouch_for_another(world, tmp_path):
    """Trusting one self-signed client must not make an authority of it."""
    own = certificate_from_pem(world.client("own").read_bytes(), "own")
    own_key = key_from_pem(world.client("own", "key.pem").read_bytes(), "own")
    key = generate("P-256")
    forged = build_client(key, Signer(own_key, own))
    (tmp_path / "fullchain.pem").write_bytes(to_pem(forged) + to_pem(own))
    (tmp_path / "key.pem").write_bytes(key_to_pem(key))
    server = server_context(world, trust=world.client("own"))
    with pytest.raises(ssl.SSLError, match=r"invalid CA certificate|unable to get local issuer"):
        shake_hands(
            server, client_context(world, tmp_path / "fullchain.pem"), ssl.TLSVersion.TLSv1_2
        )


def test_an_authority_without_room_below_cannot_make_another(world, tmp_path):
    """Whoever steals the key of an authority with path length 0 gets leaves, and no authority."""
    services = certificate_from_pem(world.authority("services").read_bytes(), "services")
    stolen = key_from_pem(world.authority("services", "key.pem").read_bytes(), "services")
    keys = [generate("P-256"), generate("P-256")]
    rogue = build_certificate(
        subject("Rogue CA", "rogue"),
        keys[0].public_key(),
        Signer(stolen, services),
        extent(utc_now(), timedelta(days=9)),
        authority_extensions(None, [], [], [], "rogue"),
    )
    leaf = build_client(keys[1], Signer(keys[0], rogue))
    (tmp_path / "fullchain.pem").write_bytes(b"".join(map(to_pem, (leaf, rogue, services))))
    (tmp_path / "key.pem").write_bytes(key_to_pem(keys[1]))
    with pytest.raises(ssl.SSLError, match="path length constraint exceeded"):
        shake_hands(
            server_context(world),
            client_context(world, tmp_path / "fullchain.pem"),
            ssl.TLSVersion.TLSv1_2,
        )


@VERSIONS
@pytest.mark.parametrize(
    ("client", "answer"),
    [
        pytest.param("clients/own", "olleh\n", id="itself"),
        pytest.param("clients/own-rsa", "", id="another self-signed one"),
        pytest.param("clients/direct", "", id="signed by an authority"),
        pytest.param(None, "", id="none"),
    ],
)
def test_openssl_s_server_lets_in_the_self_signed_client_that_it_trusts(
    world, client, answer, version
):
    """With ``-Verify``, as people try it out first."""
    words = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-Verify", "1", "-rev"]
    words += ["-verify_return_error", "-CAfile", str(world.client("own"))]
    words += ["-cert", str(world.leaf("servers/app-rsa"))]
    words += ["-key", str(world.leaf("servers/app-rsa", "key.pem"))]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(words, stdout=pipe, stderr=nothing, text=True) as it:
        try:
            port = next(int(line.split(":")[1]) for line in it.stdout if line.startswith("ACCEPT"))
            assert talk(port, client_context(world, client), version) == answer
        finally:
            it.kill()


def talk(port, context, version):
    """Say hello, and return the answer, or nothing where the server hangs up."""
    context.minimum_version = context.maximum_version = version
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="app.example.com") as tls,
        ):
            tls.sendall(b"hello\n")
            return tls.recv(100).decode()
    except ssl.SSLCertVerificationError:
        raise  # it is the server that was refused
    except (ssl.SSLError, ConnectionError):
        return ""
