# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTPS request, told as it went: answered, refused, unverified or unreachable.

Standard library only, so that it runs on any managed host.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import json
import os
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from .certificate_text import describe_certificate
from .errors import MtlsError

BODY_LIMIT_BYTES = 64 * 1024

# Their values never belong in a log, whoever prints the module's arguments.
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})

# The module frames the request itself; a second opinion would be request smuggling.
_FRAMING_HEADERS = frozenset({"connection", "content-length", "transfer-encoding"})

# RFC 9110, 5.6.2: what a method and a field name are made of.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[0-9A-Za-z_-]{1,63}(\.[0-9A-Za-z_-]{1,63})*")

# Alerts that the peer sent carry these names in OpenSSL.
_ALERT_REASONS = ("SSLV3_ALERT_", "TLSV1_", "TLSV13_ALERT_")

# ssl.VERIFY_X509_PARTIAL_CHAIN has a name since Python 3.10 only.
_PARTIAL_CHAIN = 0x80000


@dataclass(frozen=True)
class Request:
    """What to ask of whom; checked, so that nothing below has to doubt it."""

    host: str
    port: int
    target: str
    connect_to: str
    server_name: str
    method: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)
    timeout_seconds: int

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Request:
        """Check the module's options.

        :raises MtlsError: an option is unusable; header values are never in the text.
        """
        host, port, target = _split_url(params["url"])
        if not _TOKEN.fullmatch(params["method"]):
            raise MtlsError("method must be an HTTP method such as GET or POST.")
        if params["timeout_seconds"] < 1:
            raise MtlsError("timeout_seconds must be at least 1.")
        body = params.get("body")
        return cls(
            host=host,
            port=port,
            target=target,
            connect_to=_host_option("connect_to", params.get("connect_to"), host),
            server_name=_host_option("server_name", params.get("server_name"), host),
            method=params["method"],
            headers=tuple(_checked_headers(params.get("headers") or {})),
            body=None if body is None else body.encode("utf-8"),
            timeout_seconds=params["timeout_seconds"],
        )

    def to_bytes(self) -> bytes:
        """Spell the request as HTTP/1.1."""
        authority = f"[{self.host}]" if ":" in self.host else self.host
        lines = {
            "Host": authority if self.port == 443 else f"{authority}:{self.port}",
            "User-Agent": "edge.mtls.probe",
            "Accept": "*/*",
        }
        given = {name.lower() for name, _value in self.headers}
        head = [(name, value) for name, value in lines.items() if name.lower() not in given]
        head += self.headers
        if self.body is not None or self.method in ("POST", "PUT", "PATCH"):
            head.append(("Content-Length", str(len(self.body or b""))))
        head.append(("Connection", "close"))
        text = f"{self.method} {self.target} HTTP/1.1\r\n"
        text += "".join(f"{name}: {value}\r\n" for name, value in head)
        return text.encode("utf-8") + b"\r\n" + (self.body or b"")


@dataclass
class Answer:
    """What came of it; the fields are the module's return values."""

    outcome: str = "unreachable"
    status: int | None = None
    reason: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    content: str = ""
    content_truncated: bool = False
    json: Any = None
    tls_version: str | None = None
    cipher: str | None = None
    verified: bool = False
    server_certificate: dict[str, Any] | None = None
    error: str = ""
    elapsed_seconds: float = 0.0


class Deadline:
    """One limit for the whole request; a timeout for each read could add up to hours."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._started = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._started

    def apply_to(self, sock: socket.socket) -> None:
        """Let the next operation of ``sock`` take what is left.

        :raises socket.timeout: nothing is left.
        """
        sock.settimeout(self.left())

    def left(self) -> float:
        left = self.seconds - self.elapsed
        if left <= 0:
            raise socket.timeout("timed out")
        return left


def probe(params: dict[str, Any]) -> dict[str, Any]:
    """Make the request that the module's options describe and tell what came of it.

    :raises MtlsError: an option is unusable. What the server does never raises.
    """
    request = Request.from_params(params)
    context = _tls_context(params)
    deadline = Deadline(request.timeout_seconds)
    answer = Answer()
    try:
        _ask(request, context, deadline, answer)
    except socket.timeout:
        # Once the status is known the server has answered, however slow the rest is.
        if answer.status is None:
            answer.outcome = "unreachable"
        answer.error = f"no complete answer within {request.timeout_seconds} s"
    answer.elapsed_seconds = round(deadline.elapsed, 3)
    return dict(vars(answer))


def _ask(request: Request, context: ssl.SSLContext, deadline: Deadline, answer: Answer) -> None:
    try:
        plain = _connect(request, deadline)
    except OSError as error:
        if isinstance(error, socket.timeout):
            raise
        answer.error = f"no connection: {_one_line(error)}"
        return
    try:
        tls = _handshake(plain, context, request.server_name, deadline)
    except ssl.SSLCertVerificationError as error:
        plain.close()
        answer.outcome = "unverified"
        answer.error = f"server certificate not accepted: {_one_line(error)}"
        answer.server_certificate = _unverified_certificate(request, deadline)
        return
    except OSError as error:
        plain.close()
        if isinstance(error, socket.timeout):
            raise
        answer.outcome = "refused" if _is_refusal(error) else "unreachable"
        answer.error = f"no TLS connection: {_one_line(error)}"
        return
    with tls:
        answer.tls_version = tls.version()
        answer.cipher = (tls.cipher() or (None,))[0]
        answer.verified = context.verify_mode == ssl.CERT_REQUIRED
        answer.server_certificate = describe_certificate(tls.getpeercert(True) or b"")
        _exchange(tls, request, deadline, answer)


def _exchange(tls: ssl.SSLSocket, request: Request, deadline: Deadline, answer: Answer) -> None:
    """Send the request and read what comes back.

    A TLS 1.3 client is done before the server has judged its certificate: the refusal
    arrives in place of the answer (RFC 8446, 4.4.2.4).
    """
    try:
        _send(tls, request.to_bytes(), deadline)
    except socket.timeout:
        raise
    except OSError:
        # The server may have said why before it closed: an alert, or an early 413.
        pass
    response = http.client.HTTPResponse(
        cast(socket.socket, _TimedReader(tls, deadline)), method=request.method
    )
    try:
        response.begin()
    except http.client.RemoteDisconnected:
        answer.outcome, answer.error = "refused", "the server closed the connection unanswered"
        return
    except socket.timeout:
        raise
    except OSError as error:
        answer.outcome, answer.error = "refused", f"no answer: {_one_line(error)}"
        return
    except (http.client.HTTPException, ValueError) as error:
        answer.outcome = "answered"
        answer.error = f"the answer is not HTTP/1.x ({type(error).__name__})"
        return
    answer.outcome = "answered"
    answer.status, answer.reason = response.status, _text(response.reason)
    for name, value in response.headers.items():
        known = answer.headers.get(name.lower())
        value = _text(re.sub(r"\r?\n[ \t]+", " ", value))
        answer.headers[name.lower()] = value if known is None else f"{known}, {value}"
    _read_body(response, answer)


def _read_body(response: http.client.HTTPResponse, answer: Answer) -> None:
    """Read up to the limit, keeping what came when the rest does not."""
    body = b""
    # read1 neither counts nor notices an early end of file in every Python.
    length = response.length
    answer.content_truncated = True
    try:
        while len(body) <= BODY_LIMIT_BYTES and (length is None or len(body) < length):
            piece = response.read1(BODY_LIMIT_BYTES + 1 - len(body))
            if not piece:
                break
            body += piece
        if length is not None and len(body) < min(length, BODY_LIMIT_BYTES):
            raise ConnectionError
        answer.content_truncated = len(body) > BODY_LIMIT_BYTES
    except socket.timeout:
        raise
    except (OSError, http.client.HTTPException, ValueError):
        answer.error = "the answer broke off"
    finally:
        answer.content = body[:BODY_LIMIT_BYTES].decode("utf-8", "replace")
    answer.json = None if answer.content_truncated else _json_or_none(answer)


class _TimedReader(io.RawIOBase):
    """Shows a TLS socket to http.client as a file that keeps the overall deadline."""

    def __init__(self, tls: ssl.SSLSocket, deadline: Deadline) -> None:
        self._tls = tls
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._deadline.apply_to(self._tls)
        return self._tls.recv_into(buffer)


def _connect(request: Request, deadline: Deadline) -> socket.socket:
    """Open the TCP connection, trying each address of the name in turn."""
    last: OSError = OSError("the name has no address")
    for family, kind, protocol, _name, address in _addresses(
        request.connect_to, request.port, deadline
    ):
        sock: socket.socket | None = None
        try:
            sock = socket.socket(family, kind, protocol)
            deadline.apply_to(sock)
            sock.connect(address)
            return sock
        except OSError as error:
            if sock is not None:
                sock.close()
            last = error
    raise last


def _addresses(host: str, port: int, deadline: Deadline) -> list[Any]:
    """Resolve a name; the resolver knows no deadline, so it is left behind if it is slow."""
    found: list[Any] = []
    failed: list[OSError] = []

    def resolve() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            failed.append(error)

    resolver = threading.Thread(target=resolve, daemon=True)
    resolver.start()
    resolver.join(deadline.left())
    if failed:
        raise failed[0]
    if resolver.is_alive():
        raise socket.timeout("timed out")
    return found


def _handshake(
    plain: socket.socket, context: ssl.SSLContext, server_name: str, deadline: Deadline
) -> ssl.SSLSocket:
    deadline.apply_to(plain)
    return context.wrap_socket(plain, server_hostname=server_name)


def _send(tls: ssl.SSLSocket, data: bytes, deadline: Deadline) -> None:
    view = memoryview(data)
    while view:
        deadline.apply_to(tls)
        view = view[tls.send(view[:16384]) :]


def _tls_context(params: dict[str, Any]) -> ssl.SSLContext:
    """Build the client side of TLS.

    Trusted certificates are anchors, also an intermediate one (as curl has it); said
    explicitly, because Python's own default changed in 3.13.
    """
    context = _bare_context()
    trusted = params.get("trusted_certificate_path")
    if trusted:
        _check_pem("trusted_certificate_path", trusted, b"CERTIFICATE-----")
    if not params["verify"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trusted:
        context.verify_flags |= cast(ssl.VerifyFlags, _PARTIAL_CHAIN)
        try:
            context.load_verify_locations(cafile=trusted)
        except ssl.SSLError as error:
            raise MtlsError(
                f"trusted_certificate_path: {trusted} holds no usable PEM certificate "
                f"({_one_line(error)})."
            ) from error
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    _load_client_certificate(
        context, params.get("client_certificate_path"), params.get("client_key_path")
    )
    return context


def _bare_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load_client_certificate(
    context: ssl.SSLContext, certificate: str | None, key: str | None
) -> None:
    if not certificate and not key:
        return
    if not certificate or not key:
        raise MtlsError("client_certificate_path and client_key_path must be given together.")
    _check_pem("client_certificate_path", certificate, b"CERTIFICATE-----")
    _check_pem("client_key_path", key, b"PRIVATE KEY-----")

    def refuse_to_prompt() -> str:
        # Without a callback OpenSSL would ask on the terminal.
        raise MtlsError(
            f"client_key_path: {key} is protected by a password; give a key without one."
        )

    try:
        context.load_cert_chain(certificate, key, password=refuse_to_prompt)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise MtlsError(
                f"client_key_path: {key} is not the key of the certificate in {certificate}."
            ) from error
        raise MtlsError(
            f"client_certificate_path, client_key_path: {certificate} and {key} cannot be used "
            f"({_one_line(error)})."
        ) from error


def _check_pem(option: str, path: str, marker: bytes) -> None:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "unreadable"
        raise MtlsError(f"{option}: cannot read {path} ({reason}).") from error
    if marker not in content:
        kind = "certificate" if marker.startswith(b"CERT") else "private key"
        raise MtlsError(f"{option}: {path} holds no PEM {kind}.")


def _unverified_certificate(request: Request, deadline: Deadline) -> dict[str, Any] | None:
    """Look at the certificate that was not accepted.

    A failed handshake gives nothing away, so a second one is made without verification:
    without the client's certificate, and without a request.
    """
    context = _bare_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        plain = _connect(request, deadline)
        with _handshake(plain, context, request.server_name, deadline) as tls:
            return describe_certificate(tls.getpeercert(True) or b"")
    except OSError:
        return None


def _is_refusal(error: OSError) -> bool:
    """Tell the peer's no (an alert, a closed connection) from something that is not TLS."""
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        return isinstance(error, ssl.SSLEOFError) or reason.startswith(_ALERT_REASONS)
    return True


def _split_url(url: str) -> tuple[str, int, str]:
    """Take an https URL apart into host, port and request target."""
    if not re.fullmatch(r"[\x21-\x7e]+", url):
        raise MtlsError("url must be ASCII without spaces; percent-encode the rest.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise MtlsError(f"url is not a URL: {error}.") from error
    if parts.scheme != "https":
        raise MtlsError("url must start with https://.")
    if "@" in parts.netloc:
        raise MtlsError("url must not carry a user name or password; use headers.")
    if port == 0:
        raise MtlsError("url must name a port from 1 to 65535.")
    host = _host_option("url", parts.hostname, "")
    query = f"?{parts.query}" if parts.query else ""
    return host, port or 443, (parts.path or "/") + query


def _host_option(option: str, value: str | None, default: str) -> str:
    if value is None and default:
        return default
    try:
        return str(ipaddress.ip_address((value or "").strip("[]")))
    except ValueError:
        pass
    if not _HOST_NAME.fullmatch(value or ""):
        raise MtlsError(f"{option} must name a host: a DNS name or an IP address, without port.")
    return cast(str, value)


def _checked_headers(headers: dict[str, Any]) -> list[tuple[str, str]]:
    checked = []
    for position, (name, value) in enumerate(headers.items(), start=1):
        # A bad name may be a whole header line, so it is counted and not quoted.
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise MtlsError(
                f"headers: entry {position} has a name that is not an HTTP header name."
            )
        if name.lower() in _FRAMING_HEADERS:
            raise MtlsError(f"headers: {name} is set by the module and cannot be given.")
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise MtlsError(f"headers: the value of {name} must be text (quote it in YAML).")
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", str(value)):
            raise MtlsError(f"headers: the value of {name} holds a line break or control.")
        checked.append((name, str(value)))
    return checked


def _json_or_none(answer: Answer) -> Any:
    declared = "json" in answer.headers.get("content-type", "").lower()
    if not declared and not answer.content.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError):
        return None


def _one_line(error: OSError) -> str:
    text = getattr(error, "verify_message", "") or error.strerror or str(error)
    return " ".join(re.sub(r" ?\(_ssl\.c:\d+\)", "", text).split())


def _text(value: str) -> str:
    """Undo http.client's Latin-1 for what was UTF-8 on the wire."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value
