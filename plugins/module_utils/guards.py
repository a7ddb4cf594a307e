# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SELinux, firewalld and ufw: what stands between a site and its callers, or its upstream.

Each is only spoken to where it is active. A port that somebody has made a rule for is left as it
is, whatever the rule says: it may keep callers out on purpose. What was opened here is written
down, and closed again when no site needs it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .commands import run_command
from .errors import MtlsError

RECORD = ".opened.json"
SELINUX_PATH = "/sys/fs/selinux"
UFW_SETTINGS_PATH = "/etc/ufw/ufw.conf"
# What SELinux lets nginx listen on, and what it has no owner for.
NGINX_PORT_TYPES = {"http_port_t", "http_cache_port_t"}
FREE_PORT_TYPES = {"unreserved_port_t", "ephemeral_port_t", "reserved_port_t", "hi_reserved_port_t"}
# http_port_t as the policies of Fedora and Enterprise Linux bring it.
USUAL_HTTP_PORTS = {80, 81, 443, 488, 8008, 8009, 8443, 9000}


class Guard(ABC):
    """One of the three."""

    name: str

    @abstractmethod
    def is_active(self) -> bool:
        """Tell whether it stands in the way of anything now."""

    @abstractmethod
    def leaves_shut(self, port: int) -> bool:
        """Tell whether nobody can use a TCP port, and nobody has made a rule for it.

        :raises MtlsError: it can't be opened; the text says what can be done.
        """

    @abstractmethod
    def open(self, port: int) -> None:
        """Open a TCP port, now and after a reboot."""

    @abstractmethod
    def close(self, port: int) -> None:
        """Take back what ``open`` did."""


class Firewalld(Guard):
    """firewalld, in its default zone."""

    name = "firewalld"

    def is_active(self) -> bool:
        return bool(shutil.which("firewall-cmd")) and _succeeds("firewall-cmd", "--state")

    def leaves_shut(self, port: int) -> bool:
        return not (self._has_rule(port) and self._has_rule(port, "--permanent"))

    def _has_rule(self, port: int, *when: str) -> bool:
        command = ("firewall-cmd", *when)
        if _succeeds(*command, f"--query-port={port}/tcp"):
            return True
        if port == 443 and _succeeds(*command, "--query-service=https"):
            return True
        return f'port port="{port}"' in _output(*command, "--list-rich-rules")

    def open(self, port: int) -> None:
        for when in ((), ("--permanent",)):
            if not self._has_rule(port, *when):
                _output("firewall-cmd", *when, f"--add-port={port}/tcp")

    def close(self, port: int) -> None:
        for when in ((), ("--permanent",)):
            _output("firewall-cmd", *when, f"--remove-port={port}/tcp")


class Ufw(Guard):
    """ufw, whose rules name ports, ranges of them, or applications."""

    name = "ufw"

    def is_active(self) -> bool:
        settings = _read(UFW_SETTINGS_PATH)
        return bool(shutil.which("ufw")) and bool(re.search(r"(?m)^ENABLED=yes\b", settings))

    def leaves_shut(self, port: int) -> bool:
        return not any(port in ports for ports in self._ruled_ports())

    def _ruled_ports(self) -> Iterator[range]:
        # Rules as they were typed, "ufw allow 80,443/tcp" or "ufw limit 'Nginx HTTPS'"; those for
        # what leaves this host or only passes it have a word more.
        for line in _output("ufw", "show", "added").splitlines():
            if not re.match(r"ufw (allow|deny|reject|limit)\b(?! out\b)", line):
                continue
            line = re.sub(r" comment '.*'$", "", line)
            for application in re.findall(r"'([^']+)'", line):
                said = _output("ufw", "app", "info", application)
                yield from _ports(said.partition("Port")[2])
            rule = re.sub(r"'[^']*'", "", line)
            explicit = re.findall(r"\bto \S+ port (\S+)", rule)
            words = explicit or [word for word in rule.split() if re.match(r"[\d:,]+(/|$)", word)]
            yield from _ports(" ".join(words))

    def open(self, port: int) -> None:
        _output("ufw", "allow", f"{port}/tcp", "comment", "edge.mtls")

    def close(self, port: int) -> None:
        _output("ufw", "delete", "allow", f"{port}/tcp")


class Selinux(Guard):
    """SELinux, enforcing or permissive: the type of a port, and whether nginx may connect."""

    name = "SELinux"
    _connect = "httpd_can_network_connect"

    def is_active(self) -> bool:
        return os.path.exists(f"{SELINUX_PATH}/enforce")

    def leaves_shut(self, port: int) -> bool:
        if not shutil.which("semanage"):
            if port in USUAL_HTTP_PORTS:
                return False
            raise MtlsError(
                f"port {port}: SELinux does not let nginx listen there, and semanage, which could "
                "change that, is missing; install policycoreutils-python-utils, or set listen_port "
                f"(mtls_gateway_sites) to one of {', '.join(map(str, sorted(USUAL_HTTP_PORTS)))}"
            )
        types = {
            words[0]
            for words in map(str.split, _output("semanage", "port", "--list", "-n").splitlines())
            if words[1:2] == ["tcp"] and any(port in each for each in _ports(" ".join(words[2:])))
        }
        if types & NGINX_PORT_TYPES:
            return False
        owners = sorted(types - FREE_PORT_TYPES)
        if owners:
            raise MtlsError(
                f"port {port}: SELinux keeps it for another service ({owners[0]}); set listen_port "
                "(mtls_gateway_sites) to another one"
            )
        return True

    def open(self, port: int) -> None:
        _output("semanage", "port", "--add", "--type", "http_port_t", "--proto", "tcp", str(port))

    def close(self, port: int) -> None:
        _output(
            "semanage", "port", "--delete", "--type", "http_port_t", "--proto", "tcp", str(port)
        )

    def forbids_connections(self) -> bool:
        """Tell whether nginx may not connect to an upstream, and could be allowed to."""
        return _read(f"{SELINUX_PATH}/booleans/{self._connect}").startswith("0")

    def allow_connections(self) -> None:
        """Let nginx connect to any upstream, now and after a reboot."""
        _output("setsebool", "-P", self._connect, "on")


GUARDS: tuple[Guard, ...] = (Selinux(), Firewalld(), Ufw())


def active_guards() -> list[str]:
    """Name those that are active on this host."""
    return [guard.name for guard in GUARDS if guard.is_active()]


def open_ports(
    ports: list[int], close_others: bool, connects: bool, state_path: str, check_mode: bool
) -> dict[str, Any]:
    """Let the active guards allow these TCP ports.

    :param close_others: whether others that were opened here are closed again.
    :param connects: whether nginx must be able to connect to upstreams.
    :param state_path: folder for the record of what was opened here.
    :raises MtlsError: a port can't be opened, and nothing was changed; or a command failed.
    """
    record_path = Path(state_path) / RECORD
    record: dict[str, list[int]] = json.loads(_read(str(record_path)) or "{}")
    active = [guard for guard in GUARDS if guard.is_active()]
    shut = {guard: [port for port in ports if guard.leaves_shut(port)] for guard in active}
    unneeded = {
        guard: [port for port in record.get(guard.name, []) if close_others and port not in ports]
        for guard in active
    }
    said = [f"{guard.name}: open port {port}/tcp" for guard in active for port in shut[guard]]
    said += [f"{guard.name}: close port {port}/tcp" for guard in active for port in unneeded[guard]]
    selinux = next((guard for guard in active if isinstance(guard, Selinux)), None)
    allow_connections = bool(selinux and connects and selinux.forbids_connections())
    if allow_connections:
        said.append("SELinux: let nginx connect to upstreams")
    if said and not check_mode:
        # Written first: what is open and not in the record would stay open for good.
        for guard in active:
            before = set(record.get(guard.name, []))
            record[guard.name] = sorted((before | set(shut[guard])) - set(unneeded[guard]))
        for guard in active:
            for port in unneeded[guard]:
                guard.close(port)
        _write(record_path, record)
        for guard in active:
            for port in shut[guard]:
                guard.open(port)
        if selinux and allow_connections:
            selinux.allow_connections()
    return {"changed": bool(said), "actions": said}


def _ports(text: str) -> Iterator[range]:
    """Read ports and their ranges, such as "80, 8000-8010" or "80,8000:8010/tcp"."""
    for word in re.split(r"[\s,]+", text):
        found = re.fullmatch(r"(\d+)(?:[:-](\d+))?(?:/tcp)?", word)
        if found:
            yield range(int(found[1]), int(found[2] or found[1]) + 1)


def _write(path: Path, record: dict[str, list[int]]) -> None:
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        candidate = path.with_name(path.name + ".new")
        candidate.write_text(json.dumps(record) + "\n")
        candidate.rename(path)
    except OSError as error:
        raise MtlsError(f"{path} can't be written: {error.strerror}") from error


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return run_command(*command, timeout_seconds=300)
    except (OSError, subprocess.SubprocessError) as error:
        raise MtlsError(f"{command[0]} can't be run: {error}") from error


def _succeeds(*command: str) -> bool:
    return _run(*command).returncode == 0


def _output(*command: str) -> str:
    done = _run(*command)
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())
        raise MtlsError(f"{' '.join(command)} failed: {words}")
    return done.stdout
