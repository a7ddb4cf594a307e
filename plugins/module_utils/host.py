# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deployment must know of a host before it changes anything there.

Functions on text say what a text means; the readers below them fetch it from the host.
Standard library only.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import platform
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .commands import run_command
from .guards import active_guards
from .nginx.main_file import included_patterns

_LISTEN = "0A"

# A login shell's PATH often lacks the folders of services.
_SERVICE_PATH = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/usr/local/bin"

# No virtual environment: a service needs an interpreter that its own user may run.
_SYSTEM_PATH = "/usr/bin:/usr/local/bin:/bin"


@dataclass(frozen=True)
class ListeningSocket:
    """One socket in LISTEN, as the kernel lists it."""

    address: str
    port: int
    inode: int


def describe_host(units: list[str], paths: list[str]) -> dict[str, Any]:
    """Answer the module's question.

    :param units: systemd units to look at.
    :param paths: files to look at.
    """
    return {
        **parse_os_release((_read("/etc/os-release") or b"").decode("utf-8", "replace")),
        "package_manager": find_package_manager(),
        "init": find_init(),
        "epoch_seconds": time.time(),
        "ipv6": can_bind_ipv6(),
        "python": platform.python_version(),
        "system_python": shutil.which("python3", path=_SYSTEM_PATH),
        "cryptography": find_cryptography(),
        "nginx": find_nginx(),
        "listeners": find_listeners(),
        "guards": active_guards(),
        "units": {name: describe_unit(name) for name in units},
        "files": {path: describe_file(path) for path in paths},
    }


# What a text means


def parse_listening(text: str, byte_order: str = sys.byteorder) -> list[ListeningSocket]:
    """Read the sockets in LISTEN from the text of /proc/net/tcp or tcp6.

    The kernel prints an address in words of four bytes, each as a number of the host's own
    byte order (``byte_order``); the port is an ordinary number.
    """
    found = []
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) < 10 or columns[3] != _LISTEN:
            continue
        address, port = columns[1].split(":")
        found.append(ListeningSocket(_address(address, byte_order), int(port, 16), int(columns[9])))
    return found


def _address(text: str, byte_order: str) -> str:
    mark = "<" if byte_order == "little" else ">"
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    address = ipaddress.ip_address(struct.pack(f"{mark}{len(words)}I", *words))
    # A socket of IPv6 that is bound to a mapped address serves IPv4.
    return str(getattr(address, "ipv4_mapped", None) or address)


def parse_nginx_version(text: str) -> dict[str, str | None]:
    """Read version, TLS library, module folder and main file from what ``nginx -V`` prints.

    The library is the one in use, which may be newer than the one nginx was built with.
    """

    def first(*patterns: str) -> str | None:
        hits = (re.search(pattern, text, re.MULTILINE) for pattern in patterns)
        return next((hit.group(1) for hit in hits if hit), None)

    return {
        "version": first(r"^nginx version: \S+/(\d[\d.]*)"),
        "tls_library": first(r"running with (\w+SSL [^\s)]+)", r"^built with (\w+SSL \S+)"),
        "modules_path": first(r"--modules-path=(\S+)"),
        "conf_path": first(r"--conf-path=(\S+)"),
    }


def parse_os_release(text: str) -> dict[str, str | None]:
    """Read the distribution's name and its family, by Ansible's names, from os-release(5)."""
    values = dict(
        line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#")
    )
    fields = {key: value.strip().strip("\"'") for key, value in values.items()}
    names = [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]
    families = {
        "debian": "Debian",
        "ubuntu": "Debian",
        "rhel": "RedHat",
        "centos": "RedHat",
        "fedora": "RedHat",
        "arch": "Archlinux",
    }
    found = [families[name] for name in names if name in families]
    return {
        "distribution": fields.get("PRETTY_NAME") or fields.get("NAME"),
        "os_family": found[0] if found else None,
    }


def parse_paths(content: bytes) -> list[str]:
    """Pick the absolute paths from /proc/PID/cmdline; other words may be secrets."""
    words = content.decode("utf-8", "replace").split("\0")
    return [word for word in words if word.startswith("/")]


# What the host says


def find_package_manager() -> str | None:
    """Name the package manager of this host, or None for one that we don't know."""
    for name in ("apt-get", "dnf", "yum", "pacman"):
        if shutil.which(name, path=_SYSTEM_PATH):
            return name.replace("-get", "")
    return None


def find_init() -> str:
    """Tell whether systemd runs this host: its folder exists and process 1 is not another."""
    if not os.path.isdir("/run/systemd/system"):
        return "none"
    name = _read("/proc/1/comm")
    # With hidepid the name is a secret to other users; then the folder has to do.
    return "systemd" if name is None or name.strip() == b"systemd" else "none"


def can_bind_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def find_cryptography() -> str | None:
    try:
        import cryptography
    except ImportError:
        return None
    return cryptography.__version__


def find_nginx() -> dict[str, Any] | None:
    """Describe the nginx on this host, or None without one."""
    path = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:{_SERVICE_PATH}")
    if path is None:
        return None
    pid = find_nginx_master()
    facts = parse_nginx_version(_output_of([path, "-V"]))
    conf_path = facts["conf_path"] or ""
    text = (_read(conf_path) or b"").decode("utf-8", "replace")
    includes = included_patterns(text, conf_path)
    return {
        "path": path,
        **facts,
        "includes": includes,
        "running": pid is not None,
        "pid": pid,
    }


def describe_unit(name: str) -> dict[str, bool]:
    """Tell whether systemd starts a unit at boot, and whether it runs; without systemd: neither."""
    said = ""
    if find_init() == "systemd":
        said = _output_of(["systemctl", "show", "--property=UnitFileState,ActiveState", name])
    lines = said.splitlines()
    return {"enabled": "UnitFileState=enabled" in lines, "active": "ActiveState=active" in lines}


def describe_file(path: str) -> dict[str, Any] | None:
    """Tell a regular file's content, by its digest, and who may do what with it."""
    content = _read(path) if os.path.isfile(path) else None
    if content is None:
        return None
    status = os.stat(path)
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "mode": f"{status.st_mode & 0o7777:04o}",
        "uid": status.st_uid,
    }


def find_nginx_master() -> int | None:
    """Find the nginx of this host, and not one in a container on it."""
    for pid in _pids():
        if _process_name(pid) != "nginx" or not _in_our_namespace(pid):
            continue
        # A worker's parent is nginx too.
        parent = _parent(pid)
        if parent is None or _process_name(parent) != "nginx":
            return _newest_master(pid)
    return None


def _newest_master(master: int) -> int:
    """Follow an upgrade: the new master is a child of the old one, and has workers itself."""
    for child in list_children(master):
        if _process_name(child) == "nginx" and list_children(child):
            return _newest_master(child)
    return master


def list_children(pid: int) -> set[int]:
    """List the children of a process; of nginx's master they are its workers."""
    # While one of them ends the kernel may leave others out, so it must say the same twice.
    said = _children(pid)
    while said != (again := _children(pid)):
        said = again
    return said


def _children(pid: int) -> set[int]:
    return {int(child) for child in (_read(f"/proc/{pid}/task/{pid}/children") or b"").split()}


def find_listeners() -> list[dict[str, Any]]:
    """List who listens on a TCP port, one entry for each address and port.

    Who it is stays None for a process that cannot be seen: another user's without root, or
    one outside our namespace of processes.
    """
    sockets = [
        entry
        for name in ("tcp", "tcp6")
        for entry in parse_listening((_read(f"/proc/net/{name}") or b"").decode("ascii"))
    ]
    owners = _owners({entry.inode for entry in sockets})
    # Processes can share one address, by forking or SO_REUSEPORT: the first stands for all.
    lowest: dict[tuple[str, int], int | None] = {}
    for entry in sockets:
        key = (entry.address, entry.port)
        pids = [pid for pid in (lowest.get(key), owners.get(entry.inode)) if pid is not None]
        lowest[key] = min(pids, default=None)
    return [
        {
            "address": address,
            "port": port,
            "pid": pid,
            "process": None if pid is None else _process_name(pid),
            "paths": [] if pid is None else _paths(pid),
        }
        for (address, port), pid in sorted(lowest.items(), key=lambda item: item[0])
    ]


def _owners(inodes: set[int]) -> dict[int, int]:
    """Find the lowest process id that holds each socket."""
    owners: dict[int, int] = {}
    names = {f"socket:[{inode}]": inode for inode in inodes}
    if not names:
        return owners
    for pid in _pids():
        try:
            descriptors = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for descriptor in descriptors:
            inode = names.get(_link(f"/proc/{pid}/fd/{descriptor}") or "")
            if inode is not None:
                owners.setdefault(inode, pid)
    return owners


def _pids() -> Iterator[int]:
    """List the processes that can be seen, lowest id first."""
    return iter(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()))


def _process_name(pid: int) -> str | None:
    content = _read(f"/proc/{pid}/comm")
    return None if content is None else content.decode("utf-8", "replace").rstrip("\n")


def _paths(pid: int) -> list[str]:
    return parse_paths(_read(f"/proc/{pid}/cmdline") or b"")


def _parent(pid: int) -> int | None:
    # The name in parentheses may hold anything, a parenthesis too.
    after_name = (_read(f"/proc/{pid}/stat") or b"").rpartition(b")")[2].split()
    return int(after_name[1]) if len(after_name) > 1 else None


def _in_our_namespace(pid: int) -> bool:
    theirs, ours = _link(f"/proc/{pid}/ns/pid"), _link("/proc/self/ns/pid")
    return theirs is None or theirs == ours


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def _output_of(command: list[str]) -> str:
    """Return what a command prints, to either stream; nothing if it cannot be run."""
    try:
        done = run_command(*command, timeout_seconds=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout + done.stderr
