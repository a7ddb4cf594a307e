# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx as a running program: test its configuration, start it, reload it, and see it work."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

from ..errors import MtlsError
from ..host import find_init, find_nginx_master, list_children

RELOAD_TIMEOUT_SECONDS = 10.0


class Nginx:
    """The nginx of this host."""

    def __init__(self, path: str) -> None:
        self._path = path

    def test(self, server_names: set[str]) -> str | None:
        """Test the configuration on disk; return nginx's own words, or None when it is good.

        :param server_names: names that only one server may have. nginx takes the first server it
            reads and only warns, but the first may be one that asks nobody for a certificate.
        """
        done = self._run([self._path, "-t", "-q"])
        if done.returncode:
            return _words(done.stderr)
        conflict = re.compile(r'conflicting server name "([^"]*)"')
        lines = done.stderr.splitlines()
        lost = [line for line in lines if set(conflict.findall(line)) & server_names]
        return _words("\n".join(lost)) or None

    def is_running(self) -> bool:
        """Tell whether there is a master process."""
        return find_nginx_master() is not None

    def is_outdated(self) -> bool:
        """Tell whether the program that runs was replaced by another one, as an upgrade does."""
        master = find_nginx_master()
        return master is not None and _is_replaced(master)

    def apply(self) -> str:
        """Start nginx, or have it load the configuration on disk; say what was done.

        A running program that was replaced hands over to the new one. No caller is refused.

        :raises MtlsError: it did not start, or went on with its old configuration.
        """
        master = find_nginx_master()
        if master is None:
            self._start()
            return "started"
        try:
            if _is_replaced(master):
                self._hand_over(master)
                return "upgraded"
            self._reload(master)
        except OSError as error:
            raise MtlsError(f"nginx (process {master}) went away: {error.strerror}") from error
        return "reloaded"

    def _start(self) -> None:
        if find_init() == "systemd":
            since = f"@{int(time.time())}"
            done = self._run(["systemctl", "start", "nginx"])
            if done.returncode:
                journal = self._run(
                    ["journalctl", "-u", "nginx", "--since", since, "-o", "cat", "--no-pager"]
                )
                emergencies = "\n".join(
                    line for line in journal.stdout.splitlines() if "[emerg]" in line
                )
                raise MtlsError(f"nginx did not start: {_words(emergencies or done.stderr)}")
        else:
            done = self._run([self._path])
            if done.returncode:
                raise MtlsError(f"nginx did not start: {_words(done.stderr)}")
        deadline = time.monotonic() + RELOAD_TIMEOUT_SECONDS
        while not (master := find_nginx_master()) or not list_children(master):
            if time.monotonic() > deadline:
                raise MtlsError("nginx was started and has no worker; look into its error log")
            time.sleep(0.02)

    def _reload(self, master: int) -> None:
        before = list_children(master)
        logs = _log_files(master)
        if self._is_a_unit():
            done = self._run(["systemctl", "reload", "nginx"])
            if done.returncode:
                raise MtlsError(f"nginx did not reload: {_words(done.stderr)}")
        else:
            os.kill(master, signal.SIGHUP)
        # A reload is a signal: only new workers show that nginx took the new configuration. The old
        # ones go on accepting for about 100 ms.
        deadline = time.monotonic() + RELOAD_TIMEOUT_SECONDS
        while not (list_children(master) - before) or any(map(_is_accepting, before)):
            said = _emergencies(logs, master)
            # It tries to bind five times in 2 s before it gives up, and says so last.
            if (said and "bind() to" not in said[-1]) or time.monotonic() > deadline:
                reason = f"its workers did not change within {RELOAD_TIMEOUT_SECONDS:g} s"
                raise MtlsError(
                    "nginx went on with its old configuration: " + _words("\n".join(said) or reason)
                )
            time.sleep(0.02)

    def _hand_over(self, master: int) -> None:
        """Have the new program take over the open sockets (nginx's documentation, "Upgrading")."""
        before = list_children(master)
        os.kill(master, signal.SIGUSR2)
        deadline = time.monotonic() + RELOAD_TIMEOUT_SECONDS
        # The new master is a child of the old one, and serves once it has workers.
        while not any(list_children(child) for child in list_children(master) - before):
            if time.monotonic() > deadline:
                raise MtlsError(
                    f"nginx (process {master}) runs a program that was replaced, and did not hand "
                    "over to the new one; look into its error log, then restart it"
                )
            time.sleep(0.02)
        os.kill(master, signal.SIGQUIT)
        # Old connections may take long to end; what matters is who gets the new ones.
        while any(map(_is_accepting, before)) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _is_a_unit(self) -> bool:
        """Tell whether systemd runs it; somebody may have started it by hand."""
        if find_init() != "systemd":
            return False
        return self._run(["systemctl", "--quiet", "is-active", "nginx"]).returncode == 0

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        # Into files, because an nginx that logs to stderr would keep a pipe open for good.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            try:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=errors,
                    timeout=120,
                    check=False,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise MtlsError(f"{command[0]} can't be run: {error}") from error
            return subprocess.CompletedProcess(
                command, done.returncode, _content(output), _content(errors)
            )


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _is_replaced(master: int) -> bool:
    try:
        return os.readlink(f"/proc/{master}/exe").endswith(" (deleted)")
    except OSError:
        return False


def _is_accepting(worker: int) -> bool:
    """Tell whether a worker still takes new connections; it may finish old ones for long."""
    try:
        title = Path(f"/proc/{worker}/cmdline").read_bytes()
    except OSError:
        return False
    # That of a process that has ended and is not yet waited for is empty.
    return bool(title) and b"shutting down" not in title


def _log_files(master: int) -> dict[str, int]:
    """List the files that nginx has open for its logs, and how long each is now."""
    found = {}
    for descriptor in Path(f"/proc/{master}/fd").iterdir():
        try:
            path = os.readlink(descriptor)
            if os.path.isfile(path):
                found[path] = os.path.getsize(path)
        except OSError:
            continue
    return found


def _emergencies(logs: dict[str, int], master: int) -> list[str]:
    """Return what the master process has called an emergency since then."""
    # Anchored, because a caller may write what they like into the access log.
    line = re.compile(rf"\d{{4}}/\d\d/\d\d [\d:]{{8}} \[emerg\] {master}#.*")
    said = []
    for path, position in logs.items():
        try:
            with open(path, "rb") as file:
                file.seek(position)
                said += file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            continue
    return [text for text in said if line.match(text)]


def _words(text: str) -> str:
    """Keep what nginx says, once, and drop when and by which process it says it."""
    lines = [
        re.sub(r"^(nginx: )?(\d{4}/\S+ \S+ )?(\[\w+\] )?(\d+#\d+: )?", r"\3", line).strip()
        for line in text.splitlines()
    ]
    return "; ".join(dict.fromkeys(line for line in lines if line))
