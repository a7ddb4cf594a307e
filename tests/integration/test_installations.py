# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way nginx may have come to a host, and what may stand in front of it there.

Needs root; the first run builds the bases of Debian 12, EL 9 and Arch, which takes a minute.
"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.edge.mtls.tests.integration.gateway import Caller, ThrowAwayHost

pytestmark = pytest.mark.hosts

KINDS = ["debian12", "el9", "arch"]
INSTALL = {
    "debian12": "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq; "
    "apt-get install -qq --no-install-recommends nginx >/dev/null",
    "el9": "dnf install -y -q nginx && systemctl enable -q --now nginx",
    "arch": "pacman -Sy --noconfirm nginx >/dev/null && systemctl enable -q --now nginx",
}
# Where a user of each distribution would put a site of their own.
OWN_SITE = "server {\n    listen 8080;\n    location / { return 200 mine; }\n}\n"
OWN_SITE_PATH = {
    "debian12": "/etc/nginx/sites-enabled/mine",
    "el9": "/etc/nginx/conf.d/mine.conf",
    "arch": "/etc/nginx/nginx.conf",
}
NEWER = {
    "debian12": "echo 'deb [trusted=yes] file:/srv/newer ./' >/etc/apt/sources.list.d/newer.list",
    "el9": "sed 's/appstream/newer/i; s,/srv/repo,/srv/newer,' /etc/yum.repos.d/appstream.repo "
    ">/etc/yum.repos.d/newer.repo",
    # Both lists were made at once, and pacman asks for one only if it is newer.
    "arch": "sed -i 's,/srv/repo,/srv/newer,' /etc/pacman.conf; touch /srv/newer/*.db",
}
VERSION = {
    "debian12": "dpkg-query -W -f '${Version}' nginx",
    "el9": "rpm -q --queryformat '%{RELEASE}' nginx",
    "arch": "pacman -Q nginx",
}
IS_NEWER = {"debian12": r"\+newer$", "el9": r"^2\.el9$", "arch": r"-2$"}
UNCHANGED = re.compile(r"gateway +: ok=\d+ +changed=0 +unreachable=0 +failed=0 ")
OURS = {"name": "app", "server_name": "gateway", "upstream": "http://127.0.0.1:8888"}


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Callable[[str], ThrowAwayHost]]:
    """Boot a host of a kind, in a lab of its own."""
    hosts: list[ThrowAwayHost] = []

    def make(kind: str) -> ThrowAwayHost:
        host = ThrowAwayHost("installation-test", tmp_path, kind)
        hosts.append(host)
        return host.up()

    yield make
    for host in hosts:
        host.down()


def curl(host: ThrowAwayHost, *arguments: str, port: int = 443) -> str:
    """Return the status that curl gets from outside of the host, 000 for none."""
    words = ["curl", "--silent", "--max-time", "3", "--output", "/dev/null", "--insecure"]
    words += ["--write-out", "%{http_code}", "--connect-to", f"::{host.address}:{port}"]
    done = subprocess.run(
        [*words, *arguments, "https://gateway/"], capture_output=True, text=True, check=False
    )
    return done.stdout


def statuses(host: ThrowAwayHost, port: int = 443) -> tuple[str, str]:
    """Return the status with and without a certificate."""
    client = host.store / "clients/client1"
    credentials = ["--cert", str(client / "fullchain.pem"), "--key", str(client / "key.pem")]
    return curl(host, *credentials, port=port), curl(host, port=port)


def page(host: ThrowAwayHost, port: int) -> str:
    words = ["curl", "--silent", "--max-time", "3", f"http://{host.address}:{port}/"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


@contextmanager
def steady_calls(host: ThrowAwayHost) -> Iterator[None]:
    """Call the site all the time, each time anew, and expect an answer each time."""
    client = host.store / "clients/client1"
    caller = Caller(client / "fullchain.pem", client / "key.pem")
    answers: list[int | None] = []
    ended = threading.Event()

    def call() -> None:
        while not ended.is_set():
            try:
                answers.append(caller.ask(host.address, "gateway").status)
            except OSError:
                answers.append(None)
            time.sleep(0.01)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert len(answers) > 50
    assert set(answers) == {200}


# An nginx that was there before.


@pytest.mark.parametrize("kind", KINDS)
def test_an_nginx_that_was_there_keeps_its_sites(boot, kind):
    host = boot(kind)
    host.shell(INSTALL[kind])
    path = OWN_SITE_PATH[kind]
    if kind == "arch":
        text = host.shell(f"cat {path}")
        end = text.rindex("}")
        host.write(path, f"{text[:end]}    # Mine.\n    {OWN_SITE}{text[end:]}")
    else:
        host.write(path, OWN_SITE)
    # A stale pid file, as "nginx -t" leaves it behind where nginx does not run.
    host.shell("systemctl stop nginx; : >/run/nginx.pid; nginx -t -q")
    look = "cd /etc/nginx; find . -type f -o -type l | grep -v mtls | sort | xargs sha256sum"
    before = host.shell(look), host.shell("cat /etc/nginx/nginx.conf")

    host.play({})
    assert statuses(host) == ("200", "400")
    assert page(host, 8080) == "mine"
    # Who had nginx before may be using what its welcome site shows.
    assert "Welcome to nginx" in page(host, 80)
    after = host.shell(look), host.shell("cat /etc/nginx/nginx.conf")
    if kind == "arch":
        include = "\n    # Sites of edge.mtls.\n    include /etc/nginx/conf.d/*.conf;\n"
        end = before[1].rindex("}")
        assert after[1] == before[1][:end] + include + before[1][end:]
    else:
        assert after == before
    assert UNCHANGED.search(host.play({}))

    host.play({"mtls_gateway_sites": [], "mtls_gateway_purge": True})
    assert statuses(host) == ("000", "000")
    assert page(host, 8080) == "mine"
    assert host.shell("find /etc/nginx -name '*mtls*.conf' -o -name 'key*.pem'") == ""
    assert host.shell(look) == after[0]


@pytest.mark.parametrize("was_there", [True, False], ids=["was there", "from its repository"])
def test_an_nginx_of_nginx_org_keeps_its_layout(boot, was_there):
    host = boot("debian12")
    host.shell(
        "echo 'deb [trusted=yes] file:/srv/nginx.org ./' >/etc/apt/sources.list.d/nginx.list"
    )
    if was_there:
        host.shell(INSTALL["debian12"])
    host.play({})
    assert host.shell("dpkg-query -W -f '${Version}' nginx").startswith("99.")
    assert statuses(host) == ("200", "400")
    assert host.shell("ls /etc/nginx/conf.d").split() == [
        "00-mtls.conf",
        "default.conf",
        "mtls-app.conf",
    ]
    assert host.shell("ls -d /etc/nginx/sites-*", check=False).startswith("ls: cannot access")
    assert ("Welcome to nginx" in page(host, 80)) == was_there
    assert UNCHANGED.search(host.play({}))


def test_a_run_that_fails_after_installing_leaves_the_welcome_site_to_the_next(boot):
    host = boot("debian12")
    # Taken by another program: the switch fails, and nginx was installed by then.
    host.shell(
        "systemd-run -q --unit taker python3 -m http.server 443; "
        "until ss -ltn | grep -q :443; do sleep 0.05; done"
    )
    assert "port 443 of gateway is taken" in host.play({}, fails=True)
    host.shell("systemctl stop taker")
    broken = {**OURS, "client_authority": "root", "upstream": "http://nowhere.invalid"}
    assert "host not found in upstream" in host.play({"mtls_gateway_sites": [broken]}, fails=True)
    assert "Welcome to nginx" in page(host, 80)
    host.play({})
    assert statuses(host) == ("200", "400")
    assert page(host, 80) == ""
    # From then on it is theirs: one that comes back stays.
    host.shell("ln -s ../sites-available/default /etc/nginx/sites-enabled/; nginx -s reload")
    assert UNCHANGED.search(host.play({}))
    assert "Welcome to nginx" in page(host, 80)


# Versions.


@pytest.mark.parametrize("kind", KINDS)
def test_the_version_is_the_one_that_is_asked_for_and_an_upgrade_refuses_nobody(boot, kind):
    host = boot(kind)
    if kind == "arch":
        said = host.play({"mtls_nginx_package_version": "1.26.*"}, fails=True)
        assert "must be empty on gateway: pacman has one version of each package" in said
        host.play({})
    else:
        said = host.play({"mtls_nginx_package_version": "9.9.*"}, fails=True)
        assert re.search(r"nginx[=-]9\.9\.\* and python3-cryptography could not be installed", said)
        assert "nothing else was changed" in said
        assert host.shell("command -v nginx", check=False) == ""
        host.play({"mtls_nginx_package_version": "1.22.*"})
        assert "1.20.*" in host.play({"mtls_nginx_package_version": "1.20.*"}, fails=True)
    assert statuses(host) == ("200", "400")

    find_program = "readlink /proc/$(cat /run/nginx.pid)/exe"
    old_version, program = host.shell(VERSION[kind]), host.shell(find_program)
    host.shell(NEWER[kind])
    assert UNCHANGED.search(host.play({}))
    assert host.shell(VERSION[kind]) == old_version
    with steady_calls(host):
        host.play({"mtls_nginx_package_state": "latest"})
    assert re.search(IS_NEWER[kind], host.shell(VERSION[kind]).strip())
    # What runs is what lies there, under systemd still.
    assert host.shell(find_program) == program
    assert host.shell("systemctl is-active nginx").strip() == "active"
    assert host.shell("systemctl show -P MainPID nginx") == host.shell("cat /run/nginx.pid")
    assert UNCHANGED.search(host.play({"mtls_nginx_package_state": "latest"}))


# Firewalls.

SET_UP = {
    "firewalld": "apt-get install -qq --no-install-recommends firewalld netbase >/dev/null; "
    "systemctl start firewalld",
    "ufw": "apt-get install -qq --no-install-recommends ufw netbase >/dev/null; "
    "ufw allow 22/tcp; ufw --force enable",
}
RESTRICT = {
    "firewalld": "for when in '' --permanent; do firewall-cmd $when --add-rich-rule="
    "'rule family=ipv4 source address=192.0.2.0/24 port port=7443 protocol=tcp accept'; done",
    "ufw": "ufw allow from 192.0.2.0/24 to any port 7443 proto tcp",
}
UNRESTRICT = {
    "firewalld": RESTRICT["firewalld"].replace("--add-", "--remove-"),
    "ufw": RESTRICT["ufw"].replace("ufw allow", "ufw delete allow"),
}


def listed_ports(host: ThrowAwayHost, firewall: str) -> list[str]:
    """List the ports that are open to everybody, but for ssh's."""
    command = {
        "firewalld": "firewall-cmd --list-ports; firewall-cmd --permanent --list-ports",
        "ufw": "ufw show added | grep -o '[0-9]*/tcp'",
    }
    return sorted(set(host.shell(command[firewall]).split()) - {"22/tcp"})


@pytest.mark.parametrize("firewall", ["firewalld", "ufw"])
def test_a_firewall_lets_callers_to_the_sites_and_nowhere_else(boot, firewall):
    host = boot("debian12")
    host.shell(f"export DEBIAN_FRONTEND=noninteractive; apt-get update -qq; {SET_UP[firewall]}")
    site = {**OURS, "client_authority": "root", "listen_port": 7443}
    variables = {"mtls_gateway_sites": [site]}
    opening = f"{firewall}: open port 7443/tcp"
    # The host's owner lets nobody near it but some, or does not want it touched.
    host.shell(RESTRICT[firewall])
    assert opening not in host.play(variables, "--check", "--diff")
    host.shell(UNRESTRICT[firewall])
    if firewall == "ufw":
        untouched = {**variables, "mtls_gateway_open_ports": False}
        assert opening not in host.play(untouched, "--check", "--diff")

    assert opening in host.play(variables, "--check", "--diff")
    assert not set(listed_ports(host, firewall)) & {"7443/tcp"}
    host.play(variables)
    assert statuses(host, 7443) == ("200", "400")
    assert UNCHANGED.search(host.play(variables))
    # The backend is on loopback; this is about the firewall still being one.
    host.shell("systemd-run -q python3 -m http.server 9999")
    assert page(host, 9999) == ""
    host.reboot()
    assert statuses(host, 7443) == ("200", "400")

    host.play({"mtls_gateway_sites": [{**site, "listen_port": 443}]})
    assert statuses(host) == ("200", "400")
    assert listed_ports(host, firewall) == ["443/tcp"]
