# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx as a running program: test its configuration, start it, reload it, and see it work."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

from ..errors import MtlsError
from ..host import find_init, find_nginx_master

RELOAD_TIMEOUT_SECONDS = 10.0


class Nginx:
    """The nginx of this host."""

    def __init__(self, path: str) -> None:
        self._path = path

    def test(self) -> str | None:
        """Test the configuration on disk; return nginx's own words, or None when it is good."""
        done = self._run([self._path, "-t", "-q"])
        return None if done.returncode == 0 else _words(done.stderr)

    def is_running(self) -> bool:
        """Tell whether there is a master process."""
        return find_nginx_master() is not None

    def apply(self) -> str:
        """Start nginx, or have it load the configuration on disk; say which of the two was done.

        :raises MtlsError: it did not start, or went on with its old configuration.
        """
        master = find_nginx_master()
        if master is None:
            self._start()
            return "started"
        self._reload(master)
        return "reloaded"

    def _start(self) -> None:
        if find_init() == "systemd":
            done = self._run(["systemctl", "start", "nginx"])
            if done.returncode:
                journal = self._run(
                    ["journalctl", "-u", "nginx", "-n", "20", "-o", "cat", "--no-pager"]
                )
                raise MtlsError(
                    f"nginx did not start: {_words(journal.stdout) or _words(done.stderr)}"
                )
        else:
            done = self._run([self._path])
            if done.returncode:
                raise MtlsError(f"nginx did not start: {_words(done.stderr)}")
        deadline = time.monotonic() + RELOAD_TIMEOUT_SECONDS
        while not (master := find_nginx_master()) or not _workers(master):
            if time.monotonic() > deadline:
                raise MtlsError("nginx was started and has no worker; look into its error log")
            time.sleep(0.02)

    def _reload(self, master: int) -> None:
        before = _workers(master)
        log, position = self._error_log()
        if find_init() == "systemd":
            done = self._run(["systemctl", "reload-or-restart", "nginx"])
        else:
            done = self._run([self._path, "-s", "reload"])
        if done.returncode:
            raise MtlsError(f"nginx did not reload: {_words(done.stderr)}")
        # A reload is a signal: only new workers show that nginx took the new configuration.
        deadline = time.monotonic() + RELOAD_TIMEOUT_SECONDS
        while not (_workers(find_nginx_master() or master) - before):
            said = _emergencies(log, position)
            if said or time.monotonic() > deadline:
                raise MtlsError(
                    "nginx went on with its old configuration: "
                    + (said or f"no new worker within {RELOAD_TIMEOUT_SECONDS:g} s")
                )
            time.sleep(0.02)

    def _error_log(self) -> tuple[str | None, int]:
        """Return where nginx writes errors, and how long that file is now."""
        found = re.search(r"--error-log-path=(\S+)", self._run([self._path, "-V"]).stderr)
        if not found:
            return None, 0
        try:
            return found.group(1), os.path.getsize(found.group(1))
        except OSError:
            return found.group(1), 0

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=120,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise MtlsError(f"{command[0]} can't be run: {error}") from error


def _workers(master: int) -> set[int]:
    try:
        children = Path(f"/proc/{master}/task/{master}/children").read_text()
    except OSError:
        return set()
    return {int(pid) for pid in children.split()}


def _emergencies(log: str | None, position: int) -> str:
    if log is None:
        return ""
    try:
        with open(log, "rb") as file:
            file.seek(position)
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return _words("\n".join(line for line in lines if "[emerg]" in line))


def _words(text: str) -> str:
    """Keep what nginx says and drop when it says it."""
    lines = [re.sub(r"^(nginx: |\d{4}/\S+ \S+ )", "", line) for line in text.splitlines()]
    return "; ".join(line.strip() for line in lines if line.strip())
