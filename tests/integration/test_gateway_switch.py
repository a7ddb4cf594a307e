# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch of nginx's configuration with a real nginx: whatever goes wrong, it goes on serving.

Needs root; the first run builds the base of Debian 12, which takes half a minute.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.nginx.access import bucket_size
from ansible_collections.edge.mtls.tests.integration.gateway import ThrowAwayHost

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.hosts

ENABLED = "/etc/nginx/sites-enabled"
OURS = "# Managed by edge.mtls\n"
TAKE_PORT = """
systemd-run --quiet --unit taker python3 -c '
import socket, time
server = socket.create_server(("0.0.0.0", 9000))
time.sleep(60)'
until ss -ltn | grep -q :9000; do sleep 0.05; done
"""


def site(port=9000, text="hello", name="try"):
    return {
        "path": f"{ENABLED}/mtls-{name}.conf",
        "content": f'{OURS}server {{\n    listen {port};\n    return 200 "{text}";\n}}\n',
    }


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowAwayHost]:
    """Boot a host with nginx and one steady site."""
    host = ThrowAwayHost("switch-test", tmp_path_factory.mktemp("switch"))
    try:
        host.up().shell(
            "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && "
            "apt-get install -qq --no-install-recommends nginx >/dev/null"
        )
        assert host.switch(files=[site(8080, "steady", "steady")])["applied"] == "reloaded"
        yield host
    finally:
        host.down()


def get(host, port):
    """Return what a site says, or None when it says nothing."""
    try:
        with socket.create_connection((host.address, port), timeout=5) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            received = b""
            while chunk := sock.recv(4096):
                received += chunk
    except OSError:
        return None
    return received.partition(b"\r\n\r\n")[2].decode()


@pytest.fixture
def steady(host):
    """Ask the steady site all the time, and expect an answer each time."""
    answers = []
    ended = threading.Event()

    def ask():
        while not ended.is_set():
            answers.append(get(host, 8080))
            time.sleep(0.01)

    thread = threading.Thread(target=ask)
    thread.start()
    yield
    ended.set()
    thread.join()
    assert len(answers) > 2
    assert set(answers) == {"steady"}


@pytest.fixture
def clean(host):
    """Leave nothing of the site that a test tries, and notice what it leaves itself."""
    look = (
        "find /etc/nginx -ls | awk '{print $3, $5, $6, $11, $12, $13}'; systemctl is-active nginx"
    )
    before = host.shell(look)
    yield
    assert isinstance(host.switch(owned_paths=[f"{ENABLED}/mtls-try.conf"]), dict)
    assert host.shell(look) == before


def test_a_site_comes_and_goes(host, clean, steady):
    result = host.switch(files=[site()])
    assert (result["changed_paths"], result["applied"]) == ([site()["path"]], "reloaded")
    assert get(host, 9000) == "hello"
    assert host.switch(files=[site()])["changed"] is False
    assert host.switch(owned_paths=[f"{ENABLED}/mtls-try.conf"])["applied"] == "reloaded"
    assert get(host, 9000) is None


def test_a_broken_file_is_refused_in_nginx_s_words(host, clean, steady):
    broken = {"path": site()["path"], "content": f"{OURS}server {{\n    lisen 9000;\n}}\n"}
    said = host.switch(files=[broken])
    assert said == (
        'nginx refuses the configuration: [emerg] unknown directive "lisen" in '
        f"{site()['path']}:3; configuration file /etc/nginx/nginx.conf test failed; "
        "everything was put back"
    )
    assert "mtls-try" not in host.shell(f"ls -A {ENABLED}")


def test_an_upstream_that_does_not_resolve_is_refused(host, clean, steady):
    content = f"{OURS}upstream u {{\n    server nowhere.invalid:80;\n}}\n"
    said = host.switch(files=[{"path": site()["path"], "content": content}])
    assert "host not found in upstream" in said
    assert said.endswith("everything was put back")


def test_a_server_name_that_another_file_has_is_refused(host, clean, steady):
    # nginx itself only warns, and asks whichever file it reads first.
    theirs = "server { listen 9000; server_name a.example.com; }"
    content = f"{OURS}server {{\n    listen 9000;\n    server_name a.example.com;\n}}\n"
    host.write(f"{ENABLED}/zzz", theirs)
    said = host.switch(files=[{"path": site()["path"], "content": content}])
    host.shell(f"rm {ENABLED}/zzz")
    assert 'conflicting server name "a.example.com" on 0.0.0.0:9000, ignored' in said
    assert said.endswith("everything was put back")


def test_a_port_that_is_taken_is_said_and_everything_put_back(host, clean, steady):
    host.shell(TAKE_PORT)
    said = host.switch(files=[site()])
    host.shell("systemctl stop taker")
    # nginx's own test does not see it, only the reload does.
    assert said == (
        "nginx went on with its old configuration: [emerg] bind() to 0.0.0.0:9000 failed "
        "(98: Address already in use); [emerg] still could not bind(); everything was put back"
    )
    assert "mtls-try" not in host.shell(f"ls -A {ENABLED}")
    # What nginx has loaded is what lies there.
    assert host.switch()["changed"] is False


def test_a_port_that_is_free_again_in_time_is_taken(host, clean, steady):
    host.shell(f"{TAKE_PORT}\n(sleep 0.7; systemctl stop taker) >/dev/null 2>&1 &")
    assert host.switch(files=[site()])["applied"] == "reloaded"
    assert get(host, 9000) == "hello"


def test_somebody_else_s_file_is_not_touched(host, clean, steady):
    host.write(site()["path"], "# theirs\n")
    said = host.switch(files=[site()], owned_paths=[f"{ENABLED}/mtls-*.conf"])
    assert said.startswith(f"{site()['path']} was not written by this collection; move it away")
    assert host.shell(f"cat {site()['path']}; rm {site()['path']}") == "# theirs\n"


# Programs that stand in for others and kill the module that calls them.
KILLERS = {
    "before nginx tests it": ("/root/nginx", "kill -9 $PPID"),
    "after nginx tested it": ("/root/nginx", '/usr/sbin/nginx "$@"; kill -9 $PPID'),
    "after nginx loaded it": (
        "/usr/local/sbin/systemctl",
        '/usr/bin/systemctl "$@" || exit; [ "$1" != reload ] || { sleep 0.3; kill -9 $PPID; }',
    ),
}


def kill_a_run(host, moment):
    """Kill a run that would put up a site, when it calls another program."""
    path, script = KILLERS[moment]
    host.write(path, f"#!/bin/sh\n{script}\n", "755")
    nginx_path = path if path.endswith("nginx") else "/usr/sbin/nginx"
    said = host.switch(files=[site(text="half")], nginx_path=nginx_path)
    host.shell(f"rm {path}")
    assert isinstance(said, str)
    assert "mtls-try.conf" in host.shell(f"ls -A {ENABLED}")


@pytest.mark.parametrize("moment", KILLERS)
def test_a_killed_run_is_undone_by_the_next_one(host, clean, steady, moment):
    kill_a_run(host, moment)
    result = host.switch(files=[site()])
    assert (result["restored"], result["changed"], result["applied"]) == (True, True, "reloaded")
    assert get(host, 9000) == "hello"
    assert host.switch(files=[site()])["changed"] is False


def test_a_killed_run_is_undone_when_the_next_one_wants_nothing_of_it(host, clean, steady):
    kill_a_run(host, "after nginx loaded it")
    assert host.switch()["restored"] is True
    assert get(host, 9000) is None


def test_a_killed_run_is_undone_even_when_the_next_one_is_wrong(host, clean, steady):
    kill_a_run(host, "after nginx loaded it")
    assert get(host, 9000) == "half"
    broken = {"path": site()["path"], "content": f"{OURS}bogus;\n"}
    assert host.switch(files=[broken]).endswith("everything was put back")
    # Also in nginx's memory.
    assert get(host, 9000) is None


@pytest.mark.parametrize("state_path", ["/mnt/small/state", "/etc/nginx/mtls"])
def test_a_full_disk_leaves_everything_as_it_was(host, clean, steady, state_path):
    host.shell("mkdir -p /mnt/small && mount -t tmpfs -o size=16k tmpfs /mnt/small")
    large = {"path": "/mnt/small/a", "content": "a" * 12000}
    small = {"path": "/mnt/small/b", "content": "b" * 8000}
    said = host.switch(files=[site(), large, small], state_path=state_path)
    left = host.shell(f"ls -A {ENABLED} /mnt/small; umount /mnt/small")
    assert "mtls-try" not in left
    if state_path == "/etc/nginx/mtls":
        assert said == (
            "/mnt/small/b can't be written: No space left on device; everything was put back"
        )
        assert left.endswith("/mnt/small:\n")
    else:
        assert said.startswith("the disk that holds /mnt/small/state is full: ")


def test_a_read_only_disk_leaves_everything_as_it_was(host, clean, steady):
    host.shell("mkdir -p /mnt/ro && mount -t tmpfs -o ro tmpfs /mnt/ro")
    said = host.switch(files=[site(), {"path": "/mnt/ro/a", "content": "a"}])
    assert said == "/mnt/ro/a can't be written: Read-only file system; everything was put back"
    said = host.switch(files=[site()], state_path="/mnt/ro/state")
    assert said == "/mnt/ro/state can't be written: Read-only file system"
    assert "mtls-try" not in host.shell(f"umount /mnt/ro; ls -A {ENABLED}")


def test_a_second_run_at_once_waits_for_the_first(host, clean, steady):
    results = {}

    def run(text):
        results[text] = host.switch(files=[site(text=text)])

    threads = [threading.Thread(target=run, args=(text,)) for text in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result["restored"] for result in results.values()] == [False, False]
    assert {result["applied"] for result in results.values()} == {"reloaded"}
    assert get(host, 9000) in ("one", "two")


def test_the_distribution_s_site_goes_once(host):
    link = f"{ENABLED}/default"
    options = {"welcome_sites": [link]}
    assert "Welcome to nginx" in get(host, 80)
    assert host.switch(**options)["changed_paths"] == [link]
    assert get(host, 80) is None
    assert host.switch(**options)["changed"] is False
    # One that somebody has edited is theirs.
    edited = "/etc/nginx/sites-available/default"
    host.shell(f"echo '# mine' >> {edited} && ln -s {edited} {link} && systemctl reload nginx")
    assert host.switch(**options)["changed_paths"] == []
    assert "Welcome to nginx" in get(host, 80)


def test_a_stopped_nginx_is_started(host, clean):
    host.shell("systemctl stop nginx")
    assert host.switch(files=[site()])["applied"] == "started"
    assert get(host, 9000) == "hello"
    assert host.switch(files=[site()])["changed"] is False


def test_a_start_that_fails_says_why_and_a_later_one_works(host, clean):
    host.shell(f"systemctl stop nginx; {TAKE_PORT}")
    said = host.switch(files=[site()])
    host.shell("systemctl stop taker")
    assert said == (
        "nginx did not start: [emerg] bind() to 0.0.0.0:9000 failed (98: Address already in use); "
        "[emerg] still could not bind(); everything was put back"
    )
    assert host.switch()["applied"] == "started"


def test_an_nginx_that_was_started_by_hand_is_reloaded(host, clean):
    host.shell("systemctl stop nginx; nginx")
    assert host.switch(files=[site()])["applied"] == "reloaded"
    assert get(host, 9000) == "hello"
    host.shell(
        "kill $(cat /run/nginx.pid); while pgrep -x nginx >/dev/null; do sleep 0.05; done;"
        "systemctl start nginx"
    )


def test_a_hash_bucket_is_as_large_as_this_nginx_needs_it(host):
    def takes(length, size):
        host.write(
            "/root/map.conf",
            "events {} pid /root/pid; error_log /dev/null; http { "
            f"map_hash_bucket_size {size}; map $uri $found {{ {'a' * length} 1; }} }}",
        )
        said = host.shell("nginx -t -q -c /root/map.conf", check=False)
        return "increase map_hash_bucket_size" not in said

    assert takes(46, bucket_size(46) or 64)
    for length in (47, 110, 111, 4078):
        size = bucket_size(length)
        assert (takes(length, size), takes(length, size // 2)) == (True, False), length
