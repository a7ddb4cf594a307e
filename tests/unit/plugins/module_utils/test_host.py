# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What edge.mtls.host_info makes of the texts it reads, and of this host."""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from ansible_collections.edge.mtls.plugins.module_utils import host
from ansible_collections.edge.mtls.plugins.module_utils.host import (
    ListeningSocket,
    find_listeners,
    find_nginx,
    parse_listening,
    parse_nginx_version,
    parse_paths,
)
from ansible_collections.edge.mtls.plugins.modules import host_info

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout"
REST = "00000000:00000000 00:00000000 00000000     0        0 41 1 0000000000000000 100 0 0 10 0"


def listing(local: str, state: str = "0A") -> str:
    remote = "0" * len(local.split(":")[0]) + ":0000"
    return f"{HEAD} inode\n   0: {local} {remote} {state} {REST}\n"


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        pytest.param("0100007F:01BB", ("127.0.0.1", 443), id="IPv4"),
        pytest.param("00000000:22B8", ("0.0.0.0", 8888), id="IPv4, all"),
        pytest.param("00000000000000000000000000000000:0050", ("::", 80), id="IPv6, all"),
        pytest.param("00000000000000000000000001000000:FFFF", ("::1", 65535), id="IPv6"),
        pytest.param(
            "B80D01200000000067452301EFCDAB89:0001",
            ("2001:db8::123:4567:89ab:cdef", 1),
            id="IPv6, in full",
        ),
        pytest.param("0000000000000000FFFF00000100007F:01BB", ("127.0.0.1", 443), id="mapped IPv4"),
    ],
)
def test_a_listening_socket_is_read(local, expected):
    assert parse_listening(listing(local), "little") == [ListeningSocket(*expected, inode=41)]


def test_the_address_is_in_the_byte_order_of_the_host():
    assert parse_listening(listing("7F000001:01BB"), "big")[0].address == "127.0.0.1"


def test_only_listening_sockets_count():
    assert parse_listening(listing("0100007F:01BB", state="01"), "little") == []


@pytest.mark.parametrize("text", ["", HEAD + "\n", HEAD + "\n   0: 0100007F:01BB\n"])
def test_a_list_without_sockets_is_empty(text):
    assert parse_listening(text) == []


DEBIAN = """\
nginx version: nginx/1.22.1
built with OpenSSL 3.0.8 7 Feb 2023 (running with OpenSSL 3.0.15 3 Sep 2024)
TLS SNI support enabled
configure arguments: --with-cc-opt='-g -O2' --prefix=/usr/share/nginx \
--pid-path=/run/nginx.pid --modules-path=/usr/lib/nginx/modules --with-compat
"""
UBUNTU = """\
nginx version: nginx/1.18.0 (Ubuntu)
built with OpenSSL 3.0.2 15 Mar 2022
TLS SNI support enabled
configure arguments: --modules-path=/usr/lib/nginx/modules --with-http_ssl_module
"""
ENTERPRISE_LINUX = """\
nginx version: nginx/1.20.1
built by gcc 11.5.0 20240719 (Red Hat 11.5.0-5) (GCC)
built with OpenSSL 3.2.2 4 Jun 2024
TLS SNI support enabled
configure arguments: --prefix=/usr/share/nginx --modules-path=/usr/lib64/nginx/modules
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(DEBIAN, ("1.22.1", "OpenSSL 3.0.15", "/usr/lib/nginx/modules"), id="Debian"),
        pytest.param(UBUNTU, ("1.18.0", "OpenSSL 3.0.2", "/usr/lib/nginx/modules"), id="Ubuntu"),
        pytest.param(
            ENTERPRISE_LINUX,
            ("1.20.1", "OpenSSL 3.2.2", "/usr/lib64/nginx/modules"),
            id="Enterprise Linux",
        ),
        pytest.param("nginx version: nginx/1.28.0\n", ("1.28.0", None, None), id="built without"),
        pytest.param("", (None, None, None), id="no output"),
    ],
)
def test_nginx_says_what_it_is(text, expected):
    found = parse_nginx_version(text)
    assert (found["version"], found["tls_library"], found["modules_path"]) == expected


@pytest.fixture
def nginx_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program called nginx first on the PATH."""
    program = tmp_path / "nginx"
    program.write_text(f"#!/bin/sh\ncat >&2 <<'EOF'\n{DEBIAN}EOF\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(host, "find_nginx_master", lambda: 7)
    return program


def test_nginx_is_asked_for_its_version(nginx_program):
    assert find_nginx() == {
        "path": str(nginx_program),
        "version": "1.22.1",
        "tls_library": "OpenSSL 3.0.15",
        "modules_path": "/usr/lib/nginx/modules",
        "conf_path": None,
        "includes": [],
        "running": True,
        "pid": 7,
    }


def test_nginx_s_main_file_is_asked_for_what_it_includes(nginx_program, tmp_path):
    main_file = tmp_path / "nginx.conf"
    main_file.write_text("http {\n  include mime.types;\n  include /etc/nginx/conf.d/*.conf;\n}\n")
    nginx_program.write_text(
        f"#!/bin/sh\necho 'configure arguments: --conf-path={main_file}' >&2\n"
    )
    found = find_nginx()
    assert found["conf_path"] == str(main_file)
    assert found["includes"] == [str(tmp_path / "mime.types"), "/etc/nginx/conf.d/*.conf"]
    main_file.unlink()
    assert find_nginx()["includes"] == []


def test_an_nginx_that_cannot_run_is_still_there(nginx_program):
    nginx_program.write_bytes(b"\x7fELF broken")
    found = find_nginx()
    assert (found["path"], found["version"]) == (str(nginx_program), None)


# Renames itself as nginx does, then forks a worker that shares the socket.
FORKER = """
import os, socket, time
open("/proc/self/comm", "w").write("nginx")
server = socket.create_server(("127.0.0.1", 0))
os.fork()
os.write(1, f"{os.getpid()} {server.getsockname()[1]}\\n".encode())  # one write, unlike print
time.sleep(60)
"""


@pytest.fixture
def forked() -> Iterator[tuple[int, int, list[str]]]:
    """Start a server of two processes that share a socket; give its pid, port and command."""
    command = [sys.executable, "-c", FORKER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        lines = [process.stdout.readline().split() for _ in range(2)]
        yield process.pid, int(lines[0][1]), command
        os.killpg(process.pid, 9)


def listening_on(port):
    return [entry for entry in find_listeners() if entry["port"] == port]


def test_a_real_listener_is_found_once_with_its_lowest_process(forked):
    pid, port, _command = forked
    assert listening_on(port) == [
        {
            "address": "127.0.0.1",
            "port": port,
            "pid": pid,
            "process": "nginx",
            "paths": [sys.executable],
        }
    ]


def test_a_master_is_told_from_its_workers(forked, monkeypatch):
    pid, _port, _command = forked
    family = [found for found in host._pids() if found >= pid]
    monkeypatch.setattr(host, "_pids", lambda: iter(family))
    assert host.find_nginx_master() == pid


def test_the_newer_of_two_masters_is_found(monkeypatch):
    # As in an upgrade: 5 is the old master, 7 the new one, which is its child.
    children = {5: [6, 7], 7: [8, 9]}
    monkeypatch.setattr(host, "_pids", lambda: iter([5, 6, 7, 8, 9]))
    monkeypatch.setattr(host, "_process_name", lambda pid: "nginx" if pid >= 5 else "systemd")
    monkeypatch.setattr(host, "_in_our_namespace", lambda _pid: True)
    monkeypatch.setattr(host, "_parent", lambda pid: 1 if pid == 5 else 5 if pid < 8 else 7)
    monkeypatch.setattr(host, "_children", lambda pid: set(children.get(pid, [])))
    assert host.find_nginx_master() == 7


def test_an_nginx_in_a_container_is_not_this_hosts(forked, monkeypatch):
    pid, _port, _command = forked
    theirs, link = f"/proc/{pid}/ns/pid", host._link
    monkeypatch.setattr(host, "_pids", lambda: iter([pid]))
    monkeypatch.setattr(host, "_link", lambda path: "other" if path == theirs else link(path))
    assert host.find_nginx_master() is None


def test_a_socket_of_processes_that_cannot_be_seen_has_no_owner(monkeypatch):
    monkeypatch.setattr(host, "_pids", lambda: iter(()))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listening_on(port) == [
            {
                "address": "127.0.0.1",
                "port": port,
                "pid": None,
                "process": None,
                "paths": [],
            }
        ]


def test_a_port_nobody_listens_on_has_no_entry():
    with socket.create_server(("127.0.0.1", 0)) as freed:
        port = freed.getsockname()[1]
    assert listening_on(port) == []


@pytest.mark.skipif(not host.can_bind_ipv6(), reason="no IPv6 here")
def test_both_families_are_listed():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        with socket.create_server(("127.0.0.1", port)):
            found = listening_on(port)
    assert [entry["address"] for entry in found] == ["127.0.0.1", "::1"]
    assert {entry["pid"] for entry in found} == {os.getpid()}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"/bin/a\0-c\0secret\0/srv/b\0", ["/bin/a", "/srv/b"], id="words"),
        pytest.param(
            b"nginx: master process nginx\0\0\0",
            [],
            id="renamed and padded",
        ),
    ],
)
def test_only_paths_are_taken_from_a_command_line(content, expected):
    assert parse_paths(content) == expected


@pytest.mark.parametrize(
    ("has_folder", "process", "expected"),
    [
        pytest.param(True, b"systemd\n", "systemd", id="booted with systemd"),
        pytest.param(True, None, "systemd", id="process 1 is hidden"),
        pytest.param(True, b"sh\n", "none", id="a container that sees its host's folder"),
        pytest.param(False, b"systemd\n", "none", id="not booted"),
    ],
)
def test_the_init_system(monkeypatch, has_folder, process, expected):
    monkeypatch.setattr(os.path, "isdir", lambda _path: has_folder)
    monkeypatch.setattr(host, "_read", lambda _path: process)
    assert host.find_init() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('ID=debian\nPRETTY_NAME="Debian 12"\n', ("Debian 12", "Debian"), id="Debian"),
        pytest.param("NAME=Ubuntu\nID=ubuntu\nID_LIKE=debian\n", ("Ubuntu", "Debian"), id="Ubuntu"),
        pytest.param(
            'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\n',
            ("Rocky Linux", "RedHat"),
            id="Rocky",
        ),
        pytest.param("NAME='Fedora Linux'\nID=fedora\n", ("Fedora Linux", "RedHat"), id="Fedora"),
        pytest.param(
            '# a comment\nNAME="Arch Linux"\nID=arch\n', ("Arch Linux", "Archlinux"), id="Arch"
        ),
        pytest.param("NAME=Alpine\nID=alpine\n", ("Alpine", None), id="another"),
        pytest.param("", (None, None), id="nothing"),
    ],
)
def test_the_distribution_is_told_by_os_release(text, expected):
    found = host.parse_os_release(text)
    assert (found["distribution"], found["os_family"]) == expected


def test_a_host_is_described():
    found = host_info.run({"units": ["mtls-none.service"], "paths": ["/nowhere"]}, check_mode=True)
    assert abs(found.pop("epoch_seconds") - time.time()) < 60
    assert found["python"] == platform.python_version()
    assert found["init"] in ("systemd", "none")
    assert found["changed"] is False
    assert found["units"] == {"mtls-none.service": {"enabled": False, "active": False}}
    assert found["files"] == {"/nowhere": None}
    assert set(found) == {
        "changed",
        "distribution",
        "os_family",
        "package_manager",
        "init",
        "ipv6",
        "python",
        "system_python",
        "cryptography",
        "nginx",
        "listeners",
        "guards",
        "units",
        "files",
    }


def test_a_file_is_told_by_content_mode_and_owner(tmp_path):
    path = tmp_path / "script"
    path.write_text("print()\n")
    path.chmod(0o640)
    digest = hashlib.sha256(b"print()\n").hexdigest()
    found = host.describe_file(str(path))
    assert found == {"sha256": digest, "mode": "0640", "uid": os.geteuid()}
    assert host.describe_file(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param("UnitFileState=enabled\nActiveState=active\n", (True, True), id="both"),
        pytest.param("ActiveState=active\nUnitFileState=disabled\n", (False, True), id="by hand"),
        pytest.param("UnitFileState=\nActiveState=inactive\n", (False, False), id="unknown"),
    ],
)
def test_a_unit_is_told_by_systemd(tmp_path, monkeypatch, said, expected):
    program = tmp_path / "systemctl"
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{said}EOF\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(host, "find_init", lambda: "systemd")
    found = host.describe_unit("nginx")
    assert (found["enabled"], found["active"]) == expected
    monkeypatch.setattr(host, "find_init", lambda: "none")
    assert host.describe_unit("nginx") == {"enabled": False, "active": False}


def test_cryptography_may_be_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert host.find_cryptography() is None
