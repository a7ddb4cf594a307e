# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample backend, run as the process that it is."""

from __future__ import annotations

import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCRIPT = Path(__file__).parents[4] / "roles/mtls_backend/files/backend.py"
MIB = 1024 * 1024


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as freed:
        port: int = freed.getsockname()[1]
        return port


def eventually(check: Callable[[], Any], seconds: float = 5) -> Any:
    """Wait for a true value and return it."""
    deadline = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)
    return value


@dataclass
class Backend:
    """A running backend and what it has logged."""

    process: subprocess.Popen[bytes]
    port: int
    log_path: Path

    def log(self) -> list[dict[str, Any]]:
        """Read the lines about requests; each must be JSON."""
        lines = [json.loads(line) for line in self.log_path.read_text().splitlines()]
        return [line for line in lines if "event" not in line]

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)

    def ask(
        self, method: str, path: str = "/", body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        connection = self.connect()
        try:
            return answer_of(connection, method, path, body, headers)
        finally:
            connection.close()

    def send(self, data: bytes) -> bytes:
        """Send bytes as they are and read until the backend closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as sock:
            sock.sendall(data)
            received = b""
            while piece := sock.recv(65536):
                received += piece
            return received


def answer_of(
    connection: http.client.HTTPConnection,
    method: str,
    path: str = "/",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    content = response.read()
    return response.status, json.loads(content) if content else {}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    log_path = tmp_path_factory.mktemp("backend") / "log"
    port = free_port()
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, SCRIPT, "serve", "--port", str(port)], stdout=log
        )
    eventually(lambda: '"listening"' in log_path.read_text())
    yield Backend(process, port, log_path)
    process.terminate()
    process.wait(5)


@pytest.fixture
def backend(serving: Backend) -> Backend:
    """The running backend with an empty log."""
    os.truncate(serving.log_path, 0)
    return serving


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_request_is_answered_with_itself_and_logged(backend, method):
    status, answer = backend.ask(
        method, "/a?b=%20", "Grüße\n".encode(), **{"X-SSL-DN": "CN=client1"}
    )
    assert (status, answer["service"]) == (200, "edge.mtls sample backend")
    assert (answer["method"], answer["path"], answer["body"]) == (method, "/a?b=%20", "Grüße\n")
    assert answer["headers"]["X-SSL-DN"] == "CN=client1"
    (line,) = backend.log()
    assert line["time"].endswith("Z")
    assert (line["client"], line["status"]) == ("127.0.0.1", 200)
    assert {name: line[name] for name in ("method", "path", "headers", "body")} == {
        name: answer[name] for name in ("method", "path", "headers", "body")
    }


def test_head_has_no_body(backend):
    assert backend.ask("HEAD") == (200, {})
    assert [line["method"] for line in backend.log()] == ["HEAD"]


def test_repeated_headers_are_a_list(backend):
    received = backend.send(
        b"GET / HTTP/1.1\r\nX-Twice: 1\r\nx-twice: \xc3\xbc\r\nConnection: close\r\n\r\n"
    )
    answer = json.loads(received.partition(b"\r\n\r\n")[2])
    assert answer["headers"] == {"X-Twice": ["1", "ü"], "Connection": "close"}


@pytest.mark.parametrize("name", ["Authorization", "proxy-authorization", "COOKIE"])
def test_secrets_are_neither_logged_nor_answered(backend, name):
    _status, answer = backend.ask("GET", **{name: "Bearer s3cret"})
    assert answer["headers"][name] == "[redacted]"
    assert backend.log()[0]["headers"][name] == "[redacted]"
    assert "s3cret" not in backend.log_path.read_text()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET /\x1b[31m\x85\xe2\x80\xa8 HTTP/1.0\r\n\r\n", id="path"),
        pytest.param(b'GET / HTTP/1.0\r\nX: a\x0b"}\x1b[2J\r\n\r\n', id="header"),
        pytest.param(b'POST / HTTP/1.0\r\nContent-Length: 7\r\n\r\n\n{"a"}\n', id="body"),
        pytest.param(b"\x16\x03\x01\x02\x00\r\n\r\n", id="not HTTP"),
    ],
)
def test_a_request_stays_one_line_of_plain_text_in_the_log(backend, data):
    assert backend.send(data)
    content = backend.log_path.read_bytes()
    assert len(backend.log()) == content.count(b"\n") == 1
    assert all(0x20 <= octet < 0x7F for octet in content[:-1])


def test_a_long_body_is_shown_in_part(backend):
    _status, answer = backend.ask("POST", body=b"x" * MIB)
    assert answer["body"] == "x" * 4096 + f" [truncated: {MIB} bytes]"
    assert backend.ask("POST", body=b"x" * 4096)[1]["body"] == "x" * 4096


@pytest.mark.parametrize("sent", [MIB + 1, 20 * MIB], ids=["just", "by far"])
def test_a_body_that_is_too_long_is_refused(backend, sent):
    status, answer = backend.ask("POST", body=b"x" * sent)
    assert (status, answer["error"]) == (413, "the limit is 1048576 bytes")
    assert [(line["status"], line["method"]) for line in backend.log()] == [(413, "POST")]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(b"Transfer-Encoding: chunked", 411, id="chunked"),
        pytest.param(b"Transfer-Encoding: chunked\r\nContent-Length: 5", 400, id="both lengths"),
        pytest.param(b"Content-Length: 1\r\nContent-Length: 5", 400, id="two lengths"),
        pytest.param(b"Content-Length: -1", 400, id="negative"),
        pytest.param(b"Content-Length: +5", 400, id="signed"),
        pytest.param(b"Content-Length: 5_0", 400, id="not a number"),
        pytest.param(b"Content-Length:", 400, id="empty"),
    ],
)
def test_a_body_of_unknown_length_is_refused_and_the_connection_closed(backend, head, status):
    smuggled = b"GET /smuggled HTTP/1.1\r\n\r\n"
    data = b"POST / HTTP/1.1\r\n" + head + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + smuggled
    received = backend.send(data)
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close\r\n" in received
    assert [line["status"] for line in backend.log()] == [status]


def test_an_unknown_method_is_refused_in_json(backend):
    status, answer = backend.ask("BREW")
    assert (status, set(answer)) == (501, {"service", "error"})


def test_a_connection_serves_many_requests(backend):
    connection = backend.connect()
    ports = set()
    for number in range(5):
        assert answer_of(connection, "POST", f"/{number}", b"x")[0] == 200
        ports.add(connection.sock.getsockname()[1])
    connection.close()
    assert len(ports) == 1
    assert [line["path"] for line in backend.log()] == ["/0", "/1", "/2", "/3", "/4"]


def test_a_slow_caller_holds_nobody_up(backend):
    with socket.create_connection(("127.0.0.1", backend.port)) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe")
        assert backend.ask("GET")[0] == 200
    eventually(lambda: [line["status"] for line in backend.log()] == [200, 400])


def test_many_callers_at_once_get_whole_answers_and_log_lines(backend):
    statuses = []

    def call() -> None:
        connection = backend.connect()
        statuses.extend(answer_of(connection, "POST", "/", b"y" * 5000)[0] for _ in range(5))
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 50
    assert len(backend.log()) == 50


def test_sigterm_ends_it_at_once_though_a_connection_is_open(tmp_path):
    port = free_port()
    command = [sys.executable, SCRIPT, "serve", f"--port={port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        assert answer_of(connection, "GET")[0] == 200
        process.terminate()
        assert process.wait(2) == 0
        assert process.stderr.read() == b""
        connection.close()


def test_ipv6(tmp_path):
    command = [sys.executable, SCRIPT, "serve", "--address=::1", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        first = process.stdout.readline()
        process.terminate()
    if not first:
        pytest.skip("no IPv6 here")
    assert json.loads(first)["address"] == "::1"


def test_systemd_is_told_when_it_listens(tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(5)
        process = subprocess.Popen(
            [sys.executable, SCRIPT, "serve", "--port=0"],
            env={"NOTIFY_SOCKET": path},
            stdout=subprocess.DEVNULL,
        )
        assert notify.recv(100) == b"READY=1"
        process.terminate()
        process.wait(5)


# The supervisor


@dataclass
class Supervisor:
    """The commands start and stop, with files of their own."""

    folder: Path
    port: int
    user: str
    python: str = sys.executable

    @property
    def log_path(self) -> Path:
        return self.folder / "log"

    @property
    def pid_path(self) -> Path:
        return self.folder / "pid"

    @property
    def script(self) -> Path:
        return self.folder / "backend.py"

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, self.script, *words, f"--pid-file={self.pid_path}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def command(self, port: int | None = None, user: str | None = None) -> list[str]:
        options = {"port": port or self.port, "user": user or self.user, "log-file": self.log_path}
        return ["start", *(f"--{name}={value}" for name, value in options.items())]

    def start(self, **options: Any) -> str:
        done = self.run(*self.command(**options))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def stop(self) -> str:
        return self.run("stop").stdout.strip()

    def ask(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            return answer_of(connection, "GET")[0]
        finally:
            connection.close()

    @property
    def pid(self) -> int:
        return int(self.pid_path.read_text().splitlines()[0])

    def events(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log_path.read_text().splitlines()]
        return [line for line in lines if line.get("event") == event]

    def child(self) -> int:
        """Return the process id of the newest child once it serves."""
        assert self.ask() == 200
        pid: int = self.events("backend started")[-1]["pid"]
        return pid


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    # Not tmp_path: the user that the child becomes must get to the script.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copy(SCRIPT, folder)
        started = Supervisor(folder, free_port(), pwd.getpwuid(os.geteuid()).pw_name)
        yield started
        started.stop()


def is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        # One that ended is a zombie until its parent looks.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_start_returns_when_it_answers_and_stop_when_it_is_gone(supervisor):
    assert supervisor.start() == "started"
    assert supervisor.ask() == 200
    pid, child = supervisor.pid, supervisor.child()
    assert supervisor.log_path.stat().st_mode & 0o777 == 0o640
    assert supervisor.stop() == "stopped"
    assert not is_alive(pid)
    assert not is_alive(child)
    with pytest.raises(ConnectionRefusedError):
        supervisor.ask()
    assert supervisor.stop() == "not running"


def test_a_second_start_changes_nothing(supervisor):
    supervisor.start()
    pid, child = supervisor.pid, supervisor.child()
    assert supervisor.start() == "running"
    assert (supervisor.pid, supervisor.child()) == (pid, child)
    assert len(supervisor.events("backend started")) == 1


def test_of_many_starts_at_once_one_wins(supervisor):
    command = [sys.executable, supervisor.script, *supervisor.command()]
    command.append(f"--pid-file={supervisor.pid_path}")
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    said = sorted(process.communicate()[0].strip() for process in started)
    assert said == ["running"] * 4 + ["started"]


def test_a_child_that_dies_is_replaced(supervisor):
    supervisor.start()
    first = supervisor.child()
    os.kill(first, signal.SIGKILL)
    # The socket is open all the time: a caller waits, and is not refused.
    assert supervisor.ask() == 200
    assert supervisor.child() != first
    (died,) = supervisor.events("backend died")
    assert (died["status"], died["restart_in_seconds"]) == (-signal.SIGKILL, 0.5)


def test_a_child_that_keeps_dying_is_started_ever_more_slowly(supervisor):
    supervisor.script.write_text(
        SCRIPT.read_text().replace(
            "def serve(",
            "def serve(_socket: object) -> None:\n    raise SystemExit(3)\n\n\ndef unused(",
        )
    )
    supervisor.start()
    died = eventually(lambda: supervisor.events("backend died")[1:])[0]
    assert (died["status"], died["restart_in_seconds"]) == (3, 1)
    # It is waiting now, and still stops at once.
    started = time.monotonic()
    assert supervisor.stop() == "stopped"
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("what", ["script", "options"])
def test_another_script_or_other_options_restart_it(supervisor, what):
    supervisor.start()
    before = supervisor.pid, supervisor.child()
    if what == "script":
        supervisor.script.write_text(SCRIPT.read_text() + "# changed\n")
    else:
        supervisor.port = free_port()
    assert supervisor.start() == "restarted"
    assert supervisor.ask() == 200
    assert not any(is_alive(pid) for pid in before)


def test_a_supervisor_that_was_killed_can_be_started_again(supervisor):
    supervisor.start()
    child = supervisor.child()
    os.kill(supervisor.pid, signal.SIGKILL)
    os.kill(child, signal.SIGKILL)
    eventually(lambda: not is_alive(supervisor.pid))
    assert supervisor.start() == "started"
    assert supervisor.ask() == 200


def test_a_stale_pid_file_kills_nobody(supervisor):
    with subprocess.Popen(["sleep", "60"]) as bystander:
        supervisor.pid_path.write_text(f"{bystander.pid}\nsomething\n")
        assert supervisor.stop() == "not running"
        assert supervisor.start() == "started"
        assert bystander.poll() is None
        bystander.kill()


def test_a_taken_port_is_an_error_and_nothing_starts(supervisor):
    with socket.create_server(("127.0.0.1", supervisor.port)):
        done = supervisor.run(*supervisor.command())
    expected = f"Cannot listen on 127.0.0.1 port {supervisor.port}: Address already in use.\n"
    assert (done.returncode, done.stderr) == (1, expected)
    assert supervisor.stop() == "not running"


def test_an_unknown_user_is_an_error(supervisor):
    done = supervisor.run(*supervisor.command(user="no-such-user"))
    assert (done.returncode, done.stderr) == (1, "--user: there is no user no-such-user.\n")


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@as_root
def test_an_interpreter_that_the_user_cannot_run_is_an_error(supervisor):
    private = supervisor.folder / "private"
    private.mkdir(mode=0o700)
    (private / "python3").symlink_to("/usr/bin/python3")
    supervisor.python = str(private / "python3")
    done = supervisor.run(*supervisor.command(user="nobody"))
    assert done.returncode == 1
    assert done.stderr.startswith("The supervisor did not start: [Errno 13] Permission denied")
    assert supervisor.stop() == "not running"


@as_root
def test_the_child_is_the_user_and_has_no_groups_of_root(supervisor):
    # The interpreter of a virtual environment may lie where only its owner gets to.
    supervisor.python = "/usr/bin/python3"
    supervisor.start(user="nobody")
    nobody = pwd.getpwnam("nobody")
    status = Path(f"/proc/{supervisor.child()}/status").read_text()
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert facts["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert facts["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert facts["Groups"].split() == []
