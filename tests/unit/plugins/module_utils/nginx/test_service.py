# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx as a program: what it says, and whether it took what it was given."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.host import list_children
from ansible_collections.edge.mtls.plugins.module_utils.nginx import service
from ansible_collections.edge.mtls.plugins.module_utils.nginx.service import Nginx

# Has a worker and two logs, and answers SIGHUP as argv[2] says.
MASTER = """
import os, signal, sys, time

folder, answer = sys.argv[1:]
error_log = open(f"{folder}/error.log", "a", buffering=1)
access_log = open(f"{folder}/access.log", "a", buffering=1)
error_log.write("2026/01/01 00:00:00 [emerg] %d#1: from long ago\\n" % os.getpid())

def work():
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        while True:
            time.sleep(60)
    return pid

def say(text):
    error_log.write(f"2026/11/23 13:23:00 {text}\\n")

def reload(_signal, _frame):
    global worker
    me = f"{os.getpid()}#{os.getpid()}"
    access_log.write(f"127.0.0.1 GET /2026/11/23 13:23:00 [emerg] {me}: written by a caller\\n")
    say("[emerg] 1#1: of another process")
    if answer == "refuse":
        say(f"[emerg] {me}: unknown directive")
    elif answer == "port taken":
        for _ in range(5):
            say(f"[emerg] {me}: bind() to 0.0.0.0:443 failed (98: Address already in use)")
            time.sleep(0.02)
        say(f"[emerg] {me}: still could not bind()")
    elif answer in ("load", "port taken at first", "slow"):
        if answer == "port taken at first":
            say(f"[emerg] {me}: bind() to 0.0.0.0:443 failed (98: Address already in use)")
            time.sleep(0.1)
        old, worker = worker, work()
        time.sleep(0.3 if answer == "slow" else 0)
        os.kill(old, signal.SIGTERM)
        os.waitpid(old, 0)

signal.signal(signal.SIGHUP, reload)
worker = work()
print("up", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def master(tmp_path, monkeypatch):
    """Start something that forks workers as nginx does; where it is no systemd knows of it."""
    started = []

    def start(answer):
        words = [sys.executable, "-c", MASTER, str(tmp_path), answer]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)
        started.append(process)
        assert process.stdout.readline() == b"up\n"
        monkeypatch.setattr(service, "find_nginx_master", lambda: process.pid)
        monkeypatch.setattr(service, "find_init", lambda: "none")
        return process.pid

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("answer", ["load", "port taken at first", "slow"])
def test_a_reload_is_done_when_only_new_workers_are_left(master, answer):
    pid = master(answer)
    before = list_children(pid)
    assert Nginx("nginx").apply() == "reloaded"
    deadline = time.monotonic() + 5
    # One that has ended is listed until its master asks for it.
    while list_children(pid) & before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list_children(pid)
    assert list_children(pid).isdisjoint(before)


@pytest.fixture
def replaced(tmp_path, monkeypatch):
    """Start a program whose file is gone by now."""
    program = tmp_path / "program"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as process:
        monkeypatch.setattr(service, "find_nginx_master", lambda: process.pid)
        yield program
        monkeypatch.undo()
        process.kill()


def test_a_program_that_was_replaced_is_noticed(replaced):
    assert not Nginx("nginx").is_outdated()
    replaced.unlink()
    assert Nginx("nginx").is_outdated()


def test_a_hand_over_that_had_no_effect_is_an_error(replaced, monkeypatch):
    replaced.unlink()
    sent = []
    monkeypatch.setattr(os, "kill", lambda _pid, number: sent.append(number))
    monkeypatch.setattr(service, "RELOAD_TIMEOUT_SECONDS", 0.1)
    with pytest.raises(MtlsError, match="runs a program that was replaced, and did not hand over"):
        Nginx("nginx").apply()
    # It goes on serving, because it is not told to quit.
    assert sent == [signal.SIGUSR2]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param("refuse", "[emerg] unknown directive", id="refused"),
        pytest.param(
            "port taken",
            "[emerg] bind() to 0.0.0.0:443 failed (98: Address already in use); "
            "[emerg] still could not bind()",
            id="port taken",
        ),
        pytest.param("nothing", "its workers did not change within 0.3 s", id="deaf"),
    ],
)
def test_a_reload_that_had_no_effect_is_an_error_in_nginx_s_words(
    master, monkeypatch, answer, words
):
    master(answer)
    monkeypatch.setattr(service, "RELOAD_TIMEOUT_SECONDS", 10 if answer != "nothing" else 0.3)
    began = time.monotonic()
    with pytest.raises(MtlsError) as caught:
        Nginx("nginx").apply()
    assert str(caught.value) == f"nginx went on with its old configuration: {words}"
    assert time.monotonic() - began < 5


def test_a_master_that_is_gone_is_said(master, monkeypatch):
    master("load")
    monkeypatch.setattr(service, "find_nginx_master", lambda: 2**22 + 1)
    with pytest.raises(MtlsError, match=r"nginx \(process 4194305\) went away: No such"):
        Nginx("nginx").apply()


@pytest.fixture
def program(tmp_path):
    """Write a program that stands in for nginx."""

    def write(script):
        path = tmp_path / "nginx"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return Nginx(str(path))

    return write


WARNING = (
    'nginx: 2026/11/23 13:25:34 [warn] 9#9: conflicting server name "{}" on 0.0.0.0:443, ignored'
)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("exit 0", None, id="good"),
        pytest.param('[ "$*" = "-t -q" ]', None, id="as it is called"),
        pytest.param(
            "echo 'nginx: [emerg] unknown directive \"x\" in /a:1' >&2;"
            "echo 'nginx: configuration file /a test failed' >&2; exit 1",
            '[emerg] unknown directive "x" in /a:1; configuration file /a test failed',
            id="refused",
        ),
        pytest.param(
            "echo '2026/11/23 13:25:34 [emerg] 9#9: once' >&2;"
            "echo '2026/11/23 13:25:35 [emerg] 9#9: once' >&2; exit 1",
            "[emerg] once",
            id="what it says twice is said once",
        ),
        pytest.param(f"echo '{WARNING.format('b')}' >&2", None, id="somebody else's conflict"),
        pytest.param(
            f"echo '{WARNING.format('a')}' >&2",
            '[warn] conflicting server name "a" on 0.0.0.0:443, ignored',
            id="our conflict",
        ),
    ],
)
def test_what_nginx_says_of_its_configuration(program, script, expected):
    assert program(script).test({"a"}) == expected


def test_a_program_that_is_not_there_is_said():
    with pytest.raises(MtlsError, match=r"^/not/there/nginx can't be run: .*No such file"):
        Nginx("/not/there/nginx").test(set())


def test_without_systemd_the_program_is_started(program, master, monkeypatch):
    pid = master("load")
    found = iter([None, None, pid])
    monkeypatch.setattr(service, "find_nginx_master", lambda: next(found))
    assert program("exit 0").apply() == "started"


def test_an_nginx_that_logs_to_stderr_is_not_waited_for(program):
    began = time.monotonic()
    assert program("sleep 5 & exit 0").test(set()) is None
    assert time.monotonic() - began < 4


def test_a_start_that_fails_says_why(program, monkeypatch):
    monkeypatch.setattr(service, "find_nginx_master", lambda: None)
    monkeypatch.setattr(service, "find_init", lambda: "none")
    with pytest.raises(MtlsError, match=r"^nginx did not start: \[emerg\] no$"):
        program("echo 'nginx: [emerg] no' >&2; exit 1").apply()


def test_a_start_without_workers_is_an_error(program, monkeypatch):
    monkeypatch.setattr(service, "find_nginx_master", lambda: None)
    monkeypatch.setattr(service, "find_init", lambda: "none")
    monkeypatch.setattr(service, "RELOAD_TIMEOUT_SECONDS", 0.1)
    with pytest.raises(MtlsError, match="has no worker; look into its error log"):
        program("exit 0").apply()


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """Put a systemctl and a journalctl on the PATH that note their calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    calls = tmp_path / "calls"
    calls.touch()

    def write(name, script):
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {calls}\n{script}\n')
        (folder / name).chmod(0o755)

    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(service, "find_init", lambda: "systemd")
    write("calls", "")
    return lambda **scripts: [write(*each) for each in scripts.items()], lambda: calls.read_text()


def test_a_unit_is_reloaded_by_systemd(master, systemd, monkeypatch):
    write, calls = systemd
    pid = master("load")
    monkeypatch.setattr(service, "find_init", lambda: "systemd")
    write(systemctl=f'[ "$1" = --quiet ] || kill -HUP {pid}')
    assert Nginx("nginx").apply() == "reloaded"
    assert calls() == "systemctl --quiet is-active nginx\nsystemctl reload nginx\n"


def test_what_somebody_started_by_hand_is_reloaded_without_systemd(master, systemd, monkeypatch):
    write, calls = systemd
    master("load")
    monkeypatch.setattr(service, "find_init", lambda: "systemd")
    write(systemctl="exit 3")
    assert Nginx("nginx").apply() == "reloaded"
    assert calls() == "systemctl --quiet is-active nginx\n"


def test_a_reload_that_systemd_refuses_is_said(master, systemd, monkeypatch):
    write, _calls = systemd
    master("load")
    monkeypatch.setattr(service, "find_init", lambda: "systemd")
    write(systemctl='[ "$1" = --quiet ] || { echo "Job failed." >&2; exit 1; }')
    with pytest.raises(MtlsError, match=r"^nginx did not reload: Job failed\.$"):
        Nginx("nginx").apply()


@pytest.mark.parametrize(
    ("journal", "expected"),
    [
        pytest.param(
            "echo Starting...; echo 'nginx: [emerg] bind() to 0.0.0.0:443 failed'; echo Failed",
            "[emerg] bind() to 0.0.0.0:443 failed",
            id="nginx's own words",
        ),
        pytest.param("echo Starting...", "Job for nginx.service failed.", id="systemd's"),
    ],
)
def test_a_start_that_fails_under_systemd_says_why(systemd, monkeypatch, journal, expected):
    write, calls = systemd
    monkeypatch.setattr(service, "find_nginx_master", lambda: None)
    write(systemctl="echo 'Job for nginx.service failed.' >&2; exit 1", journalctl=journal)
    with pytest.raises(MtlsError) as caught:
        Nginx("nginx").apply()
    assert str(caught.value) == f"nginx did not start: {expected}"
    # Not what the journal has from before.
    assert "journalctl -u nginx --since @" in calls()
