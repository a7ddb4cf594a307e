# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole sites on a throw-away host: who gets in, and everybody who must not.

Needs root; the first run builds the base of Debian 12, which takes half a minute.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from ansible_collections.edge.mtls.tests.integration.gateway import (
    DAY,
    NOW,
    TLS12,
    TLS13,
    Caller,
    Forger,
    ThrowAwayHost,
    receive_all,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.hosts

APP, PARTNER, LONELY = "app.example.com", "partner.example.com", "lonely.example.com"
LONG = f"{'long-name.' * 5}example.com"
# The README's configuration.
README = {
    "mtls_pki_authorities": [
        {"name": "root", "common_name": "Example Root CA"},
        {"name": "services", "common_name": "Example Services CA", "issuer": "root"},
    ],
    "mtls_pki_clients": [
        {"name": "client1", "issuer": "services"},
        {"name": "client2", "issuer": "services"},
    ],
    "mtls_gateway_sites": [
        {
            "name": "app",
            "server_name": APP,
            "upstream": "http://127.0.0.1:8888",
            "client_authority": "root",
            "allow": {"clients": ["client1"]},
        }
    ],
}
SITE = README["mtls_gateway_sites"][0]
# Other authorities beside it, and names that need quoting and room.
MANY = {
    "mtls_pki_authorities": [
        *README["mtls_pki_authorities"],
        {"name": "partners", "common_name": "Example Partners CA"},
    ],
    "mtls_pki_clients": [
        *README["mtls_pki_clients"],
        {"name": "direct", "issuer": "root"},
        {"name": "partner", "issuer": "partners"},
        {"name": "odd", "issuer": "partners", "common_name": 'Jürgen "J", {1;2} \\ #+<>='},
        {"name": "lonely", "issuer": "self", "key_type": "P-256", "valid_days": 100},
    ],
    "mtls_gateway_sites": [
        {**SITE, "client_authority": "services"},
        {
            "name": "partner",
            "server_name": PARTNER,
            "upstream": "http://127.0.0.1:8888/api",
            "client_authority": "partners",
        },
        {
            "name": "odd",
            "server_name": LONG,
            "server_aliases": [f"*.{LONG}"],
            "listen_port": 9443,
            "upstream": "http://127.0.0.1:8888",
            "client_authority": "partners",
            "allow": {"clients": ["odd"], "subjects": [f"CN={'a' * 60},O=Example"]},
        },
        {
            "name": "lonely",
            "server_name": LONELY,
            "listen_port": 8443,
            "upstream": "http://127.0.0.1:8888",
            "trusted_clients": ["lonely"],
            "certificate": {"source": "self_signed", "key_type": "RSA-2048"},
            "tls_profile": "custom",
            "tls_protocols": ["TLSv1.2"],
            "tls_ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"],
            "tls_prefer_server_ciphers": True,
        },
    ],
}

each_version = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["TLS 1.2", "TLS 1.3"])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowAwayHost]:
    host = ThrowAwayHost("gateway-test", tmp_path_factory.mktemp("gateway"))
    try:
        yield host.up()
    finally:
        host.down()


@pytest.fixture(scope="module")
def readme(gateway: ThrowAwayHost) -> str:
    """Put up the README's site; give what the play printed."""
    return gateway.play(README)


@pytest.fixture(scope="module")
def many(gateway: ThrowAwayHost, readme: str) -> ThrowAwayHost:
    """Put up the other sites beside it."""
    gateway.play(MANY)
    return gateway


@pytest.fixture(scope="module")
def forged(many: ThrowAwayHost, tmp_path_factory: pytest.TempPathFactory):
    """Sign what no PKI would."""
    folder = tmp_path_factory.mktemp("forged")
    by_name = {
        name: Forger(many.store / f"authorities/{name}", folder)
        for name in ("root", "services", "partners")
    }
    return lambda authority, *arguments, **options: by_name[authority].sign(*arguments, **options)


def caller(host, name, version=None):
    folder = host.store / f"clients/{name}"
    return Caller(folder / "fullchain.pem", folder / "key.pem", version)


def rows(printed):
    """Read the proof from the last screen."""
    table = printed.split("  proof ", 1)[1].split("\n\n", 1)[0].splitlines()[1:]
    return [tuple(re.split(r"  +", line.strip(), maxsplit=2)) for line in table]


def test_the_readme_s_site_is_proven(readme):
    assert rows(readme) == [
        ("certificate of client1", "200", "200, backend saw CN=client1"),
        ("client1 forging X-SSL-DN", "200", "200, backend saw CN=client1"),
        ("client2, who is not on the list", "403", "403"),
        ("no certificate", "400", "400 No required SSL certificate was sent"),
        ("another authority's client1", "400", "400 The SSL certificate error"),
        ("unknown server name", "no handshake", "no handshake"),
    ]


def test_a_second_run_changes_nothing(many):
    recap = many.play(MANY).rpartition("PLAY RECAP")[2]
    assert " changed=0 " in recap


# Every one of them by hand too, against the site that trusts the intermediate only.


@each_version
@pytest.mark.parametrize(
    ("name", "status"),
    [
        pytest.param("client1", 200, id="listed"),
        pytest.param("client2", 403, id="not on the list"),
        pytest.param("direct", 403, id="of the authority above"),
        pytest.param("partner", 400, id="of another authority"),
        pytest.param("lonely", 400, id="self-signed"),
    ],
)
def test_clients_of_the_pki(many, version, name, status):
    answer = caller(many, name, version).ask(many.address, APP)
    assert (answer.status, answer.tls_version) == (status, version.name.replace("_", "."))


@each_version
@pytest.mark.parametrize(
    ("authority", "arguments", "status"),
    [
        pytest.param("services", {"common_name": "client1"}, 200, id="control"),
        pytest.param(
            "services", {"common_name": "client1", "not_after": NOW - DAY}, 400, id="expired"
        ),
        pytest.param(
            "services",
            {"common_name": "client1", "usage": ExtendedKeyUsageOID.SERVER_AUTH},
            400,
            id="serverAuth only",
        ),
        pytest.param("services", {"common_name": "Client1"}, 403, id="another case"),
        pytest.param("services", {"common_name": None}, 403, id="empty subject"),
        pytest.param("services", {"common_name": "-"}, 403, id="the map's default"),
        pytest.param("root", {"common_name": "client1"}, 403, id="same subject, another issuer"),
        pytest.param(
            "root",
            {"common_name": "client1 <- CN=Example Services CA"},
            403,
            id="subject that looks like subject and issuer",
        ),
        pytest.param("partners", {"common_name": "client1"}, 400, id="same subject, a stranger"),
    ],
)
def test_certificates_that_the_pki_would_not_sign(
    many, forged, version, authority, arguments, status
):
    answer = Caller(*forged(authority, **arguments), version).ask(many.address, APP)
    assert answer.status == status


def test_an_empty_subject_is_refused_by_every_restricted_site(many, forged):
    answer = Caller(*forged("partners", None)).ask(many.address, LONG, port=9443)
    assert answer.status == 403


def test_a_self_signed_client_cannot_sign_for_others(many, tmp_path):
    folder = many.store / "clients/lonely"
    paths = Forger(folder, tmp_path).sign("lonely")
    assert Caller(*paths).ask(many.address, LONELY, port=8443).status == 400
    assert caller(many, "lonely").ask(many.address, LONELY, port=8443).status == 200


def test_a_name_that_needs_quoting_is_told_from_others(many):
    answer = caller(many, "odd").ask(many.address, LONG, port=9443)
    assert answer.status == 200
    assert answer.headers_seen["x-ssl-dn"] == (r"CN=J\C3\BCrgen \"J\"\, {1\;2} \\ #\+\<\>=")
    assert caller(many, "partner").ask(many.address, LONG, port=9443).status == 403
    assert caller(many, "odd").ask(many.address, f"any.{LONG}", port=9443).status == 200


def test_an_upstream_s_path_stands_before_the_caller_s(many):
    answer = caller(many, "partner").ask(many.address, PARTNER)
    assert json.loads(answer.text)["path"] == "/api/"


# Names.


@each_version
@pytest.mark.parametrize("name", ["unknown.invalid", None], ids=["unknown", "none"])
def test_without_a_site_s_name_there_is_no_handshake(many, version, name):
    answer = caller(many, "client1", version).ask(many.address, name, host=APP)
    assert (answer.status, answer.tls_version) == (None, None)
    assert "unrecognized name" in answer.text.lower().replace("_", " ")


@each_version
@pytest.mark.parametrize("certificate", ["client1", "partner", None])
@pytest.mark.parametrize(("name", "host"), [(APP, PARTNER), (PARTNER, APP)])
def test_another_site_s_host_is_not_served(many, version, certificate, name, host):
    who = caller(many, certificate, version) if certificate else Caller(version=version)
    assert who.ask(many.address, name, host=host).status == 421


@each_version
@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"host": "unknown.invalid"}, id="unknown host"),
        pytest.param({"host": "192.0.2.1"}, id="address"),
        pytest.param({"protocol": "HTTP/1.0"}, id="no host"),
    ],
)
@pytest.mark.parametrize("certificate", ["client1", None])
def test_a_host_that_no_site_has_is_not_served(many, version, request_, certificate):
    who = caller(many, certificate, version) if certificate else Caller(version=version)
    assert who.ask(many.address, APP, **request_).status is None


def test_a_site_of_another_port_is_not_served(many):
    answer = caller(many, "lonely").ask(many.address, LONELY)
    assert answer.status is None


def test_another_site_s_address_in_the_request_is_not_served(many):
    answer = caller(many, "client1").ask(many.address, APP, target=f"https://{PARTNER}/")
    assert answer.status == 421


def test_each_request_of_a_connection_is_checked(many):
    requests = "".join(
        f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n\r\n"
        for host, connection in [(APP, "keep-alive"), (PARTNER, "keep-alive"), (APP, "close")]
    )
    with caller(many, "client1").connect(many.address, APP) as tls:
        tls.sendall(requests.encode())
        answers = receive_all(tls).decode()
    # The wrong one ends it.
    assert re.findall(r"HTTP/1\.1 (\d+)", answers) == ["200", "421"]


def test_two_hosts_in_one_request_are_refused(many):
    answer = caller(many, "client1").ask(many.address, APP, lines=(f"Host: {PARTNER}",))
    assert answer.status == 400


# Sessions.


@each_version
def test_a_session_is_resumed_on_its_own_site(many, version):
    who = caller(many, "client1", version)
    first = who.ask(many.address, APP)
    again = who.ask(many.address, APP, session=first.session)
    assert (first.resumed, again.resumed, again.status) == (False, True, 200)


@each_version
@pytest.mark.parametrize(
    ("name", "own", "other"),
    [("client1", APP, PARTNER), ("partner", PARTNER, APP)],
)
def test_a_session_does_not_cross_to_another_site(many, version, name, own, other):
    who = caller(many, name, version)
    session = who.ask(many.address, own).session
    # Refused in the handshake, or as misdirected.
    assert who.ask(many.address, other, session=session).status in (None, 421)
    assert who.ask(many.address, own, host=other, session=session).status == 421


# Headers.


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(("X-SSL-DN: CN=forged",), id="as it is"),
        pytest.param(("x-ssl-dn: CN=forged",), id="lower case"),
        pytest.param(("X_SSL_DN: CN=forged",), id="underscores"),
        pytest.param(("X-SSL-DN: a", "X-Ssl-Dn: CN=forged"), id="twice"),
        pytest.param(("X.SSL.DN: CN=forged",), id="dots"),
        pytest.param(("X-SSL-DN:", " CN=forged"), id="folded"),
        pytest.param(("X-SSL-DN : CN=forged",), id="space before the colon"),
        pytest.param(("Connection: X-SSL-DN", "X-SSL-DN: CN=forged"), id="hop by hop"),
        pytest.param(("Client-Cert: CN=forged", "CLIENT_CERT: CN=forged"), id="RFC 9440"),
        pytest.param(("X-Forwarded-Client-Cert: CN=forged",), id="Envoy"),
        pytest.param(("SSL-Client-Subject-Dn: CN=forged",), id="ingress-nginx"),
    ],
)
def test_a_forged_identity_does_not_arrive(many, lines):
    answer = caller(many, "client1").ask(many.address, APP, lines=lines)
    # Some spellings are no header at all, for which nginx refuses the request.
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert answer.headers_seen["x-ssl-dn"] == "CN=client1"
        assert "forged" not in answer.text


def test_where_a_caller_comes_from_cannot_be_forged_either(many):
    lines = ("X-Forwarded-For: 192.0.2.99", "X-Forwarded-Proto: http")
    seen = caller(many, "client1").ask(many.address, APP, lines=lines).headers_seen
    assert "192.0.2.99" not in str(seen)
    assert seen["x-forwarded-proto"] == "https"


# A change of mind.


def test_a_switch_takes_effect_at_once(many):
    """Leave one client off a list, replace the trust of a site, and remove another site."""
    before = {}
    for version in (TLS12, TLS13):
        who = caller(many, "client1", version)
        before[version] = (who, who.ask(many.address, APP).session)
    idle = caller(many, "client1").connect(many.address, APP)
    idle.sendall(f"HEAD / HTTP/1.1\r\nHost: {APP}\r\n\r\n".encode())
    assert b" 200 OK" in idle.recv(4096)
    lonely = caller(many, "lonely")
    lonely_session = lonely.ask(many.address, LONELY, port=8443).session
    app, partner, _odd, its = MANY["mtls_gateway_sites"]
    others = {**its, "trusted_clients": [], "client_authority": "partners"}
    sites = [{**app, "allow": {"clients": ["client2"]}}, partner, others]
    many.play({**MANY, "mtls_gateway_sites": sites})

    assert caller(many, "client2").ask(many.address, APP).status == 200
    for who, session in before.values():
        # The list is looked at with every request.
        answer = who.ask(many.address, APP, session=session)
        assert (answer.status, answer.resumed) == (403, True)
    # A connection that was open is not any more.
    assert idle.recv(4096) == b""
    idle.close()
    # Who is trusted is looked at in the handshake, so the old one must not do.
    answer = lonely.ask(many.address, LONELY, session=lonely_session, port=8443)
    assert (answer.status, answer.resumed) == (400, False)
    assert caller(many, "partner").ask(many.address, LONELY, port=8443).status == 200
    # What is not in the list any more is not served any more.
    assert "mtls-odd" not in many.shell("ls /etc/nginx/sites-*")
    with pytest.raises(ConnectionRefusedError):
        caller(many, "odd").ask(many.address, LONG, port=9443)
