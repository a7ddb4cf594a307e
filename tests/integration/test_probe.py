# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""edge.mtls.probe against real TLS servers on loopback."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.probing import BODY_LIMIT_BYTES
from ansible_collections.edge.mtls.plugins.modules import probe
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
NAME = "app.example.test"


def dn(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


@dataclass
class Issued:
    """A certificate with its key, in files as a user has them."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    certificate_path: Path
    key_path: Path


def issue(
    folder: Path,
    common_name: str,
    signer: Issued | None = None,
    not_after: datetime = NOW + HOUR,
) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(dn(common_name))
        .issuer_name(signer.certificate.subject if signer else dn(common_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 48 * HOUR)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if common_name == NAME:
        names: list[x509.GeneralName] = [x509.DNSName(NAME), x509.DNSName("other.example.test")]
        names += [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1")]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(signer.key if signer else key, hashes.SHA256())
    stem = f"{common_name}-{certificate.serial_number:x}"
    issued = Issued(certificate, key, folder / f"{stem}.pem", folder / f"{stem}.key")
    issued.certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    issued.key_path.write_bytes(pem_of(key))
    return issued


def pem_of(key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    )


@dataclass
class World:
    """One authority, the server and client it signed, and one authority nobody trusts."""

    root: Issued
    server: Issued
    expired_server: Issued
    client: Issued
    other_root: Issued
    stranger: Issued


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    root, other = issue(folder, "Test Root"), issue(folder, "Other Root")
    return World(
        root=root,
        server=issue(folder, NAME, root),
        expired_server=issue(folder, NAME, root, not_after=NOW - 24 * HOUR),
        client=issue(folder, "client1", root),
        other_root=other,
        stranger=issue(folder, "client1", other),
    )


class Server:
    """A TLS server in a thread; what it does with a connection is the test's choice."""

    def __init__(
        self,
        context: ssl.SSLContext | None,
        answer: Callable[[ssl.SSLSocket, bytes], None],
        family: socket.AddressFamily = socket.AF_INET,
    ) -> None:
        self._context, self._answer = context, answer
        self._socket = socket.create_server(
            ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family
        )
        self.port = self._socket.getsockname()[1]
        self.connections = 0
        self.requests: list[bytes] = []
        self.server_names: list[str | None] = []
        self.client_names: list[str] = []
        self.stopped = threading.Event()
        if context:
            context.sni_callback = lambda _tls, name, _context: self.server_names.append(name)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _peer = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve_one, args=(plain,), daemon=True).start()

    def _serve_one(self, plain: socket.socket) -> None:
        plain.settimeout(5)
        with suppress(OSError):
            if self._context is None:
                self._answer(plain, b"")  # type: ignore[arg-type]
                plain.close()
                return
            with self._context.wrap_socket(plain, server_side=True) as tls:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += tls.recv(65536)
                self.requests.append(request)
                certificate = tls.getpeercert(binary_form=True)
                if certificate:
                    parsed = x509.load_der_x509_certificate(certificate)
                    self.client_names.append(parsed.subject.rfc4514_string())
                self._answer(tls, request)

    def close(self) -> None:
        self.stopped.set()
        # close() alone does not wake accept().
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def answer_with(data: bytes) -> Callable[[ssl.SSLSocket, bytes], None]:
    def answer(tls: ssl.SSLSocket, _request: bytes) -> None:
        tls.sendall(data)

    return answer


def http(body: bytes, head: bytes = b"HTTP/1.1 200 OK\r\n") -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


HELLO = answer_with(http(b"hello"))


@pytest.fixture
def serve(world: World) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(
        answer: Callable[[ssl.SSLSocket, bytes], None] = HELLO,
        *,
        certificate: Issued = world.server,
        clients: ssl.VerifyMode = ssl.CERT_NONE,
        version: ssl.TLSVersion | None = None,
        family: socket.AddressFamily = socket.AF_INET,
    ) -> Server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate_path, certificate.key_path)
        context.load_verify_locations(world.root.certificate_path)
        context.verify_mode = clients
        if version:
            context.minimum_version = context.maximum_version = version
        started.append(Server(context, answer, family))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def serve_plain() -> Iterator[Callable[..., Server]]:
    """Start a server that accepts TCP and knows no TLS."""
    started: list[Server] = []

    def start(answer: Callable[[Any, bytes], None]) -> Server:
        started.append(Server(None, answer))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def ask(world: World) -> Callable[..., dict[str, Any]]:
    """Run the module's code with its defaults, trusting the test's root."""

    def run(port: int, path: str = "/", **options: Any) -> dict[str, Any]:
        params = {name: spec.get("default") for name, spec in probe.ARGUMENT_SPEC.items()}
        params |= {
            "url": f"https://{NAME}:{port}{path}",
            "connect_to": "127.0.0.1",
            "trusted_certificate_path": str(world.root.certificate_path),
            "timeout_seconds": 5,
        }
        return probe.run(params | options, check_mode=False)

    return run


def as_client(issued: Issued) -> dict[str, str]:
    return {
        "client_certificate_path": str(issued.certificate_path),
        "client_key_path": str(issued.key_path),
    }


VERSIONS = [
    pytest.param(ssl.TLSVersion.TLSv1_2, "TLSv1.2", id="TLS 1.2"),
    pytest.param(ssl.TLSVersion.TLSv1_3, "TLSv1.3", id="TLS 1.3"),
]


@pytest.mark.parametrize(("version", "name"), VERSIONS)
def test_an_answer_is_told_in_full(serve, ask, world, version, name):
    server = serve(
        answer_with(
            http(b'{"a": [1]}', b"HTTP/1.1 404 Not Here\r\nX-Twice: 1\r\nx-twice: 2\r\n"),
        ),
        version=version,
    )
    result = ask(server.port)
    assert result.pop("elapsed_seconds") < 5
    certificate = world.server.certificate
    serial = f"{certificate.serial_number:X}"
    assert result == {
        "changed": False,
        "outcome": "answered",
        "status": 404,
        "reason": "Not Here",
        "headers": {"x-twice": "1, 2", "content-length": "10"},
        "content": '{"a": [1]}',
        "content_truncated": False,
        "json": {"a": [1]},
        "tls_version": name,
        "cipher": result["cipher"],
        "verified": True,
        "error": "",
        "server_certificate": {
            "subject": f"CN={NAME}",
            "issuer": "CN=Test Root",
            "not_after": f"{NOW + HOUR:%Y-%m-%dT%H:%M:%SZ}",
            "serial_number": serial.zfill(len(serial) + len(serial) % 2),
            "fingerprint_sha256": certificate.fingerprint(hashes.SHA256()).hex(),
            "subject_alt_names": [
                f"DNS:{NAME}",
                "DNS:other.example.test",
                "IP:127.0.0.1",
                "IP:::1",
            ],
        },
    }
    assert "AES" in result["cipher"] or "CHACHA" in result["cipher"]


@pytest.mark.parametrize(("version", "name"), VERSIONS)
def test_a_client_certificate_is_shown(serve, ask, world, version, name):
    server = serve(clients=ssl.CERT_REQUIRED, version=version)
    result = ask(server.port, **as_client(world.client))
    assert (result["outcome"], result["status"], result["tls_version"]) == ("answered", 200, name)
    assert server.client_names == ["CN=client1"]


@pytest.mark.parametrize("who", ["nobody", "stranger"])
@pytest.mark.parametrize(("version", "name"), VERSIONS)
def test_a_server_that_wants_another_certificate_refuses(serve, ask, world, version, name, who):
    server = serve(clients=ssl.CERT_REQUIRED, version=version)
    result = ask(server.port, **({} if who == "nobody" else as_client(world.stranger)))
    assert (result["outcome"], result["status"]) == ("refused", None)
    assert result["error"]
    assert "\n" not in result["error"]
    assert server.requests == []
    if name == "TLSv1.3":  # the handshake was over when the refusal came
        assert result["verified"]
        assert result["server_certificate"]["issuer"] == "CN=Test Root"


def test_a_server_that_closes_unanswered_refuses(serve, ask):
    result = ask(serve(answer_with(b"")).port)
    assert (result["outcome"], result["status"]) == ("refused", None)


def test_a_server_that_closes_during_the_handshake_refuses(serve_plain, ask):
    result = ask(serve_plain(lambda plain, _request: plain.recv(10)).port)
    assert result["outcome"] == "refused"


@pytest.mark.parametrize(
    ("server_certificate", "options", "said"),
    [
        pytest.param("expired_server", {}, "expired", id="expired"),
        pytest.param("server", {"server_name": "wrong.example.test"}, "mismatch", id="wrong name"),
        pytest.param("server", {"server_name": "127.0.0.2"}, "mismatch", id="wrong address"),
        pytest.param(
            "server", {"trusted_certificate_path": "other"}, "chain|issuer", id="unknown CA"
        ),
        pytest.param(
            "server", {"trusted_certificate_path": None}, "chain|issuer", id="system's CAs"
        ),
    ],
)
def test_a_server_that_is_not_trusted_gets_no_request(
    serve, ask, world, server_certificate, options, said
):
    if options.get("trusted_certificate_path") == "other":
        options = {"trusted_certificate_path": str(world.other_root.certificate_path)}
    issued = getattr(world, server_certificate)
    server = serve(certificate=issued, clients=ssl.CERT_OPTIONAL)
    result = ask(server.port, **options, **as_client(world.client))
    assert (result["outcome"], result["status"], result["verified"]) == ("unverified", None, False)
    assert re.search(said, result["error"])
    assert server.requests == []
    assert server.client_names == []
    assert result["server_certificate"]["issuer"] == "CN=Test Root"
    der = issued.certificate.public_bytes(serialization.Encoding.DER)
    assert result["server_certificate"]["fingerprint_sha256"] == hashlib.sha256(der).hexdigest()


def test_verification_can_be_left_out(serve, ask):
    result = ask(serve().port, verify=False, server_name="wrong.example.test")
    assert (result["outcome"], result["status"], result["verified"]) == ("answered", 200, False)


def test_a_self_signed_server_is_trusted_by_its_own_certificate(serve, ask, tmp_path):
    own = issue(tmp_path, NAME)
    result = ask(serve(certificate=own).port, trusted_certificate_path=str(own.certificate_path))
    assert (result["outcome"], result["verified"]) == ("answered", True)


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        pytest.param({}, NAME, id="from the URL"),
        pytest.param({"server_name": "other.example.test"}, "other.example.test", id="as asked"),
        pytest.param({"server_name": "127.0.0.1"}, None, id="none for an address"),
    ],
)
def test_the_server_name_is_sent(serve, ask, options, sent):
    server = serve()
    assert ask(server.port, **options)["outcome"] == "answered"
    assert server.server_names == [sent]
    # SNI and Host are two things.
    assert f"\r\nHost: {NAME}:{server.port}\r\n".encode() in server.requests[0]


def test_ipv6(serve, ask):
    try:
        server = serve(family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    result = ask(server.port, url=f"https://[::1]:{server.port}/", connect_to=None)
    assert (result["outcome"], result["status"]) == ("answered", 200)
    assert f"\r\nHost: [::1]:{server.port}\r\n".encode() in server.requests[0]


def test_the_request_is_sent_as_asked(serve, ask):
    server = serve()
    ask(
        server.port,
        "/a?b=c#d",
        method="POST",
        headers={"host": "forged.example", "X-SSL-DN": "CN=Grüße", "X-Number": 5},
        body="é",
    )
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "POST /a?b=c HTTP/1.1",
        "User-Agent: edge.mtls.probe",
        "Accept: */*",
        "host: forged.example",
        "X-SSL-DN: CN=Grüße",
        "X-Number: 5",
        "Content-Length: 2",
        "Connection: close",
    ]
    assert body == "é".encode()


def test_an_early_answer_to_a_long_request_is_read(serve, ask):
    """The server says 413 and closes while the body is still on its way."""
    server = serve(answer_with(http(b"", b"HTTP/1.1 413 Content Too Large\r\n")))
    result = ask(server.port, method="POST", body="x" * 20_000_000)
    # The kernel may drop the answer with the connection; it is never a crash or a hang.
    assert (result["outcome"], result["status"]) in [("answered", 413), ("refused", None)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            {"status": 200, "content": "abcde", "content_truncated": False, "error": ""},
            id="chunked",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n9\r\nde",
            {"status": 200, "content_truncated": True, "error": "the answer broke off"},
            id="chunked, broken off",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            {"content": "abc", "content_truncated": True, "error": "the answer broke off"},
            id="broken off",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n\r\nabc",
            {"content": "abc", "content_truncated": False, "error": ""},
            id="until the end",
        ),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            {"status": 204, "content": "", "error": ""},
            id="interim answer first",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n5",
            {"json": 5, "headers": {"content-type": "application/json"}},
            id="JSON, a bare number",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n\r\n5", {"json": None, "content": "5"}, id="no JSON, a text"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 60_000,
            {"json": None, "outcome": "answered"},
            id="JSON too deep",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nX-DN: CN=Gr\xc3\xbc\xc3\x9fe\r\nX-Folded: a\r\n b\r\n\r\n\xff",
            {"headers": {"x-dn": "CN=Grüße", "x-folded": "a b"}, "content": "\ufffd"},
            id="not ASCII",
        ),
        pytest.param(
            b"SSH-2.0-OpenSSH_9.2\r\n",
            {"outcome": "answered", "status": None},
            id="not HTTP",
        ),
    ],
)
def test_bodies_and_heads(serve, ask, data, expected):
    result = ask(serve(answer_with(data)).port)
    assert {name: result[name] for name in expected} == expected


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "endless"])
def test_a_huge_body_is_cut(serve, ask, declared):
    def answer(tls, _request):
        tls.sendall(b"HTTP/1.1 200 OK\r\n")
        tls.sendall(b"Content-Length: 9000000000\r\n\r\n" if declared else b"\r\n")
        while True:
            tls.sendall(b"x" * 10_000)

    result = ask(serve(answer).port)
    assert (result["outcome"], result["status"], result["error"]) == ("answered", 200, "")
    assert result["content"] == "x" * BODY_LIMIT_BYTES
    assert result["content_truncated"]


def test_a_body_of_just_the_limit_is_whole(serve, ask):
    result = ask(serve(answer_with(http(b"x" * BODY_LIMIT_BYTES))).port)
    assert (len(result["content"]), result["content_truncated"]) == (BODY_LIMIT_BYTES, False)


def silent(server: Any, _request: bytes) -> None:
    time.sleep(4)
    server.close()


def drip(tls: ssl.SSLSocket, data: bytes) -> None:
    for octet in data:
        tls.sendall(bytes([octet]))
        time.sleep(0.1)


def drip_head(tls: ssl.SSLSocket, _request: bytes) -> None:
    drip(tls, b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100)


def drip_body(tls: ssl.SSLSocket, _request: bytes) -> None:
    tls.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    drip(tls, b"z" * 100)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(silent, ("unreachable", None, ""), id="silent"),
        pytest.param(
            drip_head,
            ("unreachable", None, ""),
            id="drips a head",
        ),
        pytest.param(
            drip_body,
            ("answered", 200, "z"),
            id="drips a body",
        ),
    ],
)
def test_one_limit_covers_the_whole_request(serve, ask, answer, expected):
    started = time.monotonic()
    result = ask(serve(answer).port, timeout_seconds=1)
    assert 0.9 < time.monotonic() - started < 3
    assert (result["outcome"], result["status"], result["content"][:1]) == expected
    assert result["error"] == "no complete answer within 1 s"
    assert 0.9 < result["elapsed_seconds"] < 3
    assert result["verified"]


def test_a_silent_handshake_ends_in_time(serve_plain, ask):
    result = ask(serve_plain(silent).port, timeout_seconds=1)
    assert (result["outcome"], result["tls_version"]) == ("unreachable", None)
    assert result["elapsed_seconds"] < 3


def test_a_server_without_tls_is_unreachable(serve_plain, ask):
    server = serve_plain(lambda plain, _request: plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    result = ask(server.port)
    assert result["outcome"] == "unreachable"
    assert "no TLS connection" in result["error"]


def test_a_closed_port_is_unreachable(ask):
    with socket.create_server(("127.0.0.1", 0)) as freed:
        port = freed.getsockname()[1]
    result = ask(port)
    assert (result["outcome"], result["server_certificate"]) == ("unreachable", None)
    assert result["error"] == "no connection: Connection refused"


def test_an_unknown_name_is_unreachable(ask):
    result = ask(443, connect_to="no-such-host.invalid")
    assert result["outcome"] == "unreachable"
    assert result["error"]


def test_a_slow_resolver_is_left_behind(ask, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: time.sleep(4) or [])
    result = ask(443, connect_to="slow.example", timeout_seconds=1)
    assert (result["outcome"], result["elapsed_seconds"] < 3) == ("unreachable", True)


def test_the_next_address_is_tried(serve, ask, monkeypatch):
    server = serve()
    found = socket.getaddrinfo("127.0.0.1", server.port, type=socket.SOCK_STREAM)
    dead = [(*found[0][:4], ("127.0.0.1", 1))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: dead + found)
    assert ask(server.port)["status"] == 200
    assert server.connections == 1


def test_a_password_protected_key_is_an_error_and_no_question(ask, world, tmp_path):
    key_path = tmp_path / "locked.key"
    key_path.write_bytes(pem_of(world.client.key, b"secret"))
    with pytest.raises(MtlsError, match=r"client_key_path: .*locked\.key is protected"):
        ask(
            443,
            client_certificate_path=str(world.client.certificate_path),
            client_key_path=str(key_path),
        )


def test_a_key_of_another_certificate_is_an_error(ask, world):
    with pytest.raises(MtlsError, match=r"client_key_path: .* is not the key of"):
        ask(
            443,
            client_certificate_path=str(world.client.certificate_path),
            client_key_path=str(world.stranger.key_path),
        )


def test_the_module_hides_secrets_and_answers_in_json(serve, world, capsys):
    server = serve()
    arguments = {
        "url": f"https://{NAME}:{server.port}/",
        "connect_to": "127.0.0.1",
        "trusted_certificate_path": str(world.root.certificate_path),
        "headers": {"Authorization": "Bearer s3cret"},
        "_ansible_check_mode": True,
    }
    with patch_module_args(arguments), pytest.raises(SystemExit):
        probe.main()
    printed = capsys.readouterr().out
    result = json.loads(printed)
    assert (result["outcome"], result["changed"]) == ("answered", False)
    assert "s3cret" not in printed
    assert b"Authorization: Bearer s3cret" in server.requests[0]
