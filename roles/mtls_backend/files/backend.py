# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sample backend: it logs each request as one line of JSON and answers with what it saw.

``serve`` runs it, under systemd for instance. Where no service manager is, ``start`` keeps it
running in the background under another user, and ``stop`` ends that. Standard library only.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import http.server
import ipaddress
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

SERVICE = "edge.mtls sample backend"

BODY_LIMIT_BYTES = 1024 * 1024
BODY_SHOWN_BYTES = 4096
IDLE_SECONDS = 30

SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})

# A child that lived this long had no trouble starting, so its end is not one in a row.
SETTLED_SECONDS = 60
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30
STOP_SECONDS = 10

SCRIPT = str(Path(__file__).resolve())


def log(**record: Any) -> None:
    """Write one line of JSON; whatever a request holds, it stays inside its string."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = json.dumps({"time": now, **record}) + "\n"
    # A full disk or a log reader that left is no reason to stop serving.
    with _log_lock, suppress(OSError):
        os.write(1, line.encode("ascii"))


_log_lock = threading.Lock()


# The service


class Refusal(Exception):
    """A request that gets an error for its answer."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers a request with itself."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    # Head and body are two writes; the second must not wait for the other side's ACK.
    disable_nagle_algorithm = True

    def answer(self) -> None:
        try:
            body = self.read_body()
        except Refusal as refusal:
            self.send_error(refusal.status, str(refusal))
            return
        self.respond(HTTPStatus.OK, {"service": SERVICE, **self.seen(), "body": shown(body)})

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def read_body(self) -> bytes:
        """Read the body whose length was declared.

        :raises Refusal: the length is missing, malformed or too much.
        """
        lengths = set(self.headers.get_all("Content-Length", []))
        if "Transfer-Encoding" in self.headers:
            if lengths:
                raise Refusal(HTTPStatus.BAD_REQUEST, "two ways to tell the length of the body")
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "a body needs a Content-Length here")
        declared = lengths.pop() if lengths else "0"
        if lengths or not re.fullmatch("[0-9]{1,20}", declared):
            raise Refusal(HTTPStatus.BAD_REQUEST, "the Content-Length is not a number")
        length = int(declared)
        if length > BODY_LIMIT_BYTES:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the limit is {BODY_LIMIT_BYTES} bytes"
            )
        body = self.rfile.read(length)
        if len(body) < length:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the body broke off")
        return body

    def seen(self) -> dict[str, Any]:
        """Tell the request as it was received, without its secrets; a bad one has no parts."""
        headers: dict[str, list[str]] = {}
        names: dict[str, str] = {}
        for name, value in getattr(self, "headers", {}).items():
            known = names.setdefault(name.lower(), name)
            secret = name.lower() in SECRET_HEADERS
            headers.setdefault(known, []).append("[redacted]" if secret else text(value))
        return {
            "method": self.command,
            "path": text(getattr(self, "path", "")) or None,
            "headers": {
                name: values[0] if len(values) == 1 else values for name, values in headers.items()
            },
        }

    def respond(self, status: HTTPStatus, answer: dict[str, Any]) -> None:
        outcome = {name: value for name, value in answer.items() if name in ("body", "error")}
        log(client=self.client_address[0], status=int(status), **self.seen(), **outcome)
        content = json.dumps(answer, indent=2).encode("ascii") + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse in JSON as well; the rest of the connection cannot be trusted."""
        status = HTTPStatus(code)
        self.close_connection = True
        self.respond(status, {"service": SERVICE, "error": message or explain or status.phrase})
        self.discard_rest()

    def discard_rest(self) -> None:
        """Read on for a moment: closing on unread bytes would reset the answer away."""
        deadline = time.monotonic() + 1
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(1)
            while time.monotonic() < deadline and self.connection.recv(65536):
                pass

    def version_string(self) -> str:
        return "edge.mtls"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: respond() has logged the request."""


class Server(http.server.ThreadingHTTPServer):
    """The listening side, with a socket of its own or one that it was handed."""

    request_queue_size = 128

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(listening.getsockname()[:2], Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over callers that went away; anything else is a mistake worth a trace."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def text(value: str) -> str:
    """Read as UTF-8 what http.server read as Latin-1."""
    return value.encode("latin-1", "replace").decode("utf-8", "replace")


def shown(body: bytes) -> str:
    start = body[:BODY_SHOWN_BYTES].decode("utf-8", "replace")
    return start if len(body) <= BODY_SHOWN_BYTES else f"{start} [truncated: {len(body)} bytes]"


def listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=128)


def serve(listening: socket.socket) -> None:
    """Answer requests until SIGTERM."""
    with Server(listening) as server:
        signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(0))
        # The supervisor takes its signals one by one, and a child inherits that.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        address, port = server.socket.getsockname()[:2]
        log(event="listening", address=address, port=port)
        tell_systemd("READY=1")
        server.serve_forever()


def tell_systemd(state: str) -> None:
    """Report to a unit of Type=notify (sd_notify(3)), so that started means listening."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        # A leading @ stands for the NUL of an abstract address.
        notify.sendto(state.encode(), re.sub("^@", "\0", address))


# The supervisor, for where there is no service manager


class Failure(Exception):
    """What keeps a command from its end, in one sentence."""


def start(options: argparse.Namespace) -> str:
    """See to it that one supervisor runs, with just these options and this script."""
    mark = fingerprint(options)
    outcome = "started"
    pid_file = os.open(options.pid_file, os.O_RDWR | os.O_CREAT, 0o644)
    if not lock(pid_file):
        pid, found = holder(pid_file)
        if found == mark:
            return "running"
        end(pid, pid_file)
        outcome = "restarted"
    # A number that is left from before may belong to another process by now.
    os.ftruncate(pid_file, 0)
    credentials = credentials_of(options.user)
    try:
        listening = listen(options.address, options.port)
    except OSError as error:
        place = f"{options.address} port {options.port}"
        raise Failure(f"Cannot listen on {place}: {os.strerror(error.errno or 0)}.") from error
    log_file = os.open(options.log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    os.fchmod(log_file, 0o640)

    report, reporter = os.pipe()
    first = os.fork()
    if first:
        os.close(reporter)
        os.waitpid(first, 0)
        said = os.read(report, 1000).decode()
        if said != "running":
            raise Failure(f"The supervisor did not start: {said or 'it died'}.")
        return outcome
    # Twice forked and in a session of its own, it outlives whoever started it.
    os.setsid()
    if os.fork():
        os._exit(0)
    try:
        os.chdir("/")
        os.umask(0o077)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log_file, 1)
        os.dup2(log_file, 2)
        os.pwrite(pid_file, f"{os.getpid()}\n{mark}\n".encode(), 0)
        supervise(listening, credentials, reporter)
        os.ftruncate(pid_file, 0)
    except OSError as error:
        os.write(reporter, str(error).encode())
    finally:
        os._exit(0)


def stop(options: argparse.Namespace) -> str:
    """End the supervisor, and its child with it."""
    try:
        pid_file = os.open(options.pid_file, os.O_RDWR)
    except FileNotFoundError:
        return "not running"
    if lock(pid_file):
        return "not running"
    end(holder(pid_file)[0], pid_file)
    return "stopped"


def supervise(listening: socket.socket, credentials: dict[str, Any], reporter: int) -> None:
    """Keep one child serving the socket, which stays open while there is none.

    :raises OSError: not even the first child can be run.
    """
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
    # Blocked and waited for, no signal can come between two lines.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    command = [sys.executable, "-I", SCRIPT, "serve", "--listen-fd", str(listening.fileno())]

    def run_child() -> subprocess.Popen[bytes]:
        child = subprocess.Popen(command, pass_fds=[listening.fileno()], env={}, **credentials)
        log(event="backend started", pid=child.pid)
        return child

    child, born = run_child(), time.monotonic()
    os.write(reporter, b"running")
    os.close(reporter)
    delay = FIRST_DELAY_SECONDS
    while True:
        while child.poll() is None:
            if signal.sigwait(signals) != signal.SIGCHLD:
                child.terminate()
                with suppress(subprocess.TimeoutExpired):
                    child.wait(STOP_SECONDS / 2)
                child.kill()
                return
        if time.monotonic() - born > SETTLED_SECONDS:
            delay = FIRST_DELAY_SECONDS
        log(event="backend died", status=child.returncode, restart_in_seconds=delay)
        if signal.sigtimedwait(signals - {signal.SIGCHLD}, delay):
            return
        delay = min(2 * delay, LONGEST_DELAY_SECONDS)
        # Without memory, say, the dead child stays for another, longer round.
        with suppress(OSError):
            child, born = run_child(), time.monotonic()


def fingerprint(options: argparse.Namespace) -> str:
    """Tell apart what must not run on: another script, other options."""
    parts = [Path(SCRIPT).read_text(), sys.executable, *map(str, sorted(vars(options).items()))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def credentials_of(user: str) -> dict[str, Any]:
    """Say how to become a user."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise Failure(f"--user: there is no user {user}.") from None
    if account.pw_uid == os.geteuid():
        return {}
    if os.geteuid():
        raise Failure(f"--user: only root can become {user}.")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def lock(pid_file: int) -> bool:
    """Take the lock that makes a supervisor the only one; it ends with its process."""
    try:
        fcntl.flock(pid_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(pid_file: int) -> tuple[int, str]:
    """Read who holds the lock; it writes its name a moment after it took it."""
    for _attempt in range(50):
        lines = os.pread(pid_file, 200, 0).decode().splitlines()
        if len(lines) == 2:
            return int(lines[0]), lines[1]
        time.sleep(0.1)
    raise Failure("Another start or stop is under way.")


def end(pid: int, pid_file: int) -> None:
    """Ask a supervisor to stop and wait until it has."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while not lock(pid_file):
        if time.monotonic() > deadline:
            raise Failure(f"The supervisor {pid} does not stop.")
        time.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description="The sample backend of edge.mtls.")
    commands = parser.add_subparsers(dest="command", required=True)
    parsers = {name: commands.add_parser(name) for name in ("serve", "start", "stop")}
    for name in ("serve", "start"):
        parsers[name].add_argument("--address", default="127.0.0.1")
        parsers[name].add_argument("--port", type=int, default=8888)
    parsers["serve"].add_argument("--listen-fd", type=int, help="a socket that listens already")
    parsers["start"].add_argument("--user", required=True)
    parsers["start"].add_argument("--log-file", required=True)
    for name in ("start", "stop"):
        parsers[name].add_argument("--pid-file", required=True)
    options = parser.parse_args()
    if options.command == "serve":
        handed = options.listen_fd is not None
        serve(
            socket.socket(fileno=options.listen_fd)
            if handed
            else listen(options.address, options.port)
        )
        return
    try:
        print(start(options) if options.command == "start" else stop(options))
    except (Failure, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
