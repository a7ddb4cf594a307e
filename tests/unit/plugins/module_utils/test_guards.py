# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SELinux, firewalld and ufw, played by programs that answer as they do.

firewalld and ufw are also met for real, in tests/integration; SELinux is only played here.
"""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.edge.mtls.plugins.module_utils import guards
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError

# Keeps its ports in a folder, one for now and one for later boots.
FIREWALL_CMD = """#!/bin/sh
echo "firewall-cmd $*" >>"$FOLDER/calls"
when=now
[ "$1" != --permanent ] || { when=permanent; shift; }
mkdir -p "$FOLDER/now" "$FOLDER/permanent"
port=${1#*=}
case $1 in
--state) [ -e "$FOLDER/running" ] ;;
--query-port=*) [ -e "$FOLDER/$when/${port%/tcp}" ] ;;
--query-service=*) [ -e "$FOLDER/$when/$port" ] ;;
--list-rich-rules) cat "$FOLDER/$when.rich" 2>/dev/null || : ;;
--add-port=*) : >"$FOLDER/$when/${port%/tcp}" ;;
--remove-port=*) rm -f "$FOLDER/$when/${port%/tcp}" ;;
*) echo "unknown $1" >&2; exit 2 ;;
esac
"""
UFW = """#!/bin/sh
echo "ufw $*" >>"$FOLDER/calls"
case "$1 $2" in
"show added")
  echo "Added user rules (see 'ufw status' for running firewall):"
  cat "$FOLDER/rules" 2>/dev/null || : ;;
"app info") printf 'Profile: %s\\n\\nPorts:\\n  80,443/tcp\\n' "$3" ;;
"allow "*) echo "ufw $1 $2 comment '$4'" >>"$FOLDER/rules" ;;
"delete allow") sed -i "\\\\|^ufw allow $3 |d" "$FOLDER/rules" ;;
*) echo "unknown $*" >&2; exit 2 ;;
esac
"""
# As Enterprise Linux 9 lists them, in short.
SEMANAGE = """#!/bin/sh
echo "semanage $*" >>"$FOLDER/calls"
case "$2" in
--list)
  cat "$FOLDER/added" 2>/dev/null
  cat <<'END'
ephemeral_port_t               tcp      32768-60999
http_cache_port_t              tcp      8080, 8118, 8123, 10001-10010
http_port_t                    tcp      80, 81, 443, 488, 8008, 8009, 8443, 9000
http_port_t                    udp      80, 443
postgresql_port_t              tcp      5432, 9898
unreserved_port_t              tcp      61001-65535, 1024-32767
unreserved_port_t              udp      61000-65535, 1024-32767
END
  ;;
--add) echo "http_port_t tcp $7" >>"$FOLDER/added" ;;
--delete) sed -i "/ $7$/d" "$FOLDER/added" ;;
*) echo "unknown $*" >&2; exit 2 ;;
esac
"""
SETSEBOOL = """#!/bin/sh
echo "setsebool $*" >>"$FOLDER/calls"
echo "1 1" >"$FOLDER/selinux/booleans/$2"
"""


class Host:
    """A host with any of the three."""

    def __init__(self, folder):
        self.folder = folder
        self.state_path = folder / "state"

    def install(self, name, script):
        program = self.folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(script)
        program.chmod(0o755)

    def with_firewalld(self):
        self.install("firewall-cmd", FIREWALL_CMD)
        (self.folder / "running").touch()

    def with_ufw(self, *rules):
        self.install("ufw", UFW)
        (self.folder / "ufw.conf").write_text("# settings\nENABLED=yes\nLOGLEVEL=low\n")
        (self.folder / "rules").write_text("".join(f"{rule}\n" for rule in rules))

    def with_selinux(self, semanage=True, may_connect=False):
        booleans = self.folder / "selinux/booleans"
        booleans.mkdir(parents=True)
        (self.folder / "selinux/enforce").write_text("1")
        (booleans / "httpd_can_network_connect").write_text("1 1" if may_connect else "0 0")
        self.install("setsebool", SETSEBOOL)
        if semanage:
            self.install("semanage", SEMANAGE)

    def calls(self):
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def changes(self):
        """Return the calls that changed something."""
        words = ("--add", "--remove", "--delete", "ufw allow", "ufw delete", "setsebool")
        return [line for line in self.calls() if any(word in line for word in words)]

    def open_ports(self, *ports, **options):
        defaults = {"close_others": True, "connects": False, "check_mode": False}
        state_path = str(self.state_path)
        return guards.open_ports(list(ports), **{**defaults, "state_path": state_path, **options})


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDER", str(tmp_path))
    # What the scripts use, and none of this machine's own three.
    (tmp_path / "bin").mkdir()
    for name in ("sh", "mkdir", "rm", "cat", "sed"):
        (tmp_path / "bin" / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(guards, "SELINUX_PATH", str(tmp_path / "selinux"))
    monkeypatch.setattr(guards, "UFW_SETTINGS_PATH", str(tmp_path / "ufw.conf"))
    return Host(tmp_path)


def test_a_host_without_any_is_left_alone(host):
    assert guards.active_guards() == []
    assert host.open_ports(443, connects=True) == {"changed": False, "actions": []}
    assert not host.state_path.exists()


def test_only_what_is_active_counts(host):
    host.with_firewalld()
    host.with_ufw()
    host.with_selinux()
    assert guards.active_guards() == ["SELinux", "firewalld", "ufw"]
    (host.folder / "running").unlink()
    (host.folder / "ufw.conf").write_text("ENABLED=no\n")
    (host.folder / "selinux/enforce").unlink()
    assert guards.active_guards() == []


def test_all_three_at_once(host):
    host.with_firewalld()
    host.with_ufw()
    host.with_selinux()
    plan = host.open_ports(7443, connects=True, check_mode=True)
    assert host.changes() == []
    assert not host.state_path.exists()
    assert host.open_ports(7443, connects=True) == plan
    assert plan["actions"] == [
        "SELinux: open port 7443/tcp",
        "firewalld: open port 7443/tcp",
        "ufw: open port 7443/tcp",
        "SELinux: let nginx connect to upstreams",
    ]
    assert host.open_ports(7443, connects=True) == {"changed": False, "actions": []}


# firewalld


def test_firewalld_opens_a_port_for_now_and_for_later(host):
    host.with_firewalld()
    assert host.open_ports(443, 8443)["actions"] == [
        "firewalld: open port 443/tcp",
        "firewalld: open port 8443/tcp",
    ]
    assert host.changes() == [
        "firewall-cmd --add-port=443/tcp",
        "firewall-cmd --permanent --add-port=443/tcp",
        "firewall-cmd --add-port=8443/tcp",
        "firewall-cmd --permanent --add-port=8443/tcp",
    ]
    assert host.open_ports(443, 8443)["changed"] is False


def test_firewalld_lost_the_runtime_rule(host):
    host.with_firewalld()
    host.open_ports(443)
    (host.folder / "now/443").unlink()
    host.calls()
    assert host.open_ports(443)["changed"] is True
    assert host.changes() == ["firewall-cmd --add-port=443/tcp"]


@pytest.mark.parametrize("rule", ["https", "443"])
def test_a_port_that_firewalld_lets_through_is_not_ours(host, rule):
    host.with_firewalld()
    for when in ("now", "permanent"):
        (host.folder / when).mkdir()
        (host.folder / when / rule).touch()
    assert host.open_ports(443)["changed"] is False
    assert host.open_ports()["changed"] is False
    assert host.changes() == []


def test_firewalld_keeps_a_port_to_some_callers(host):
    host.with_firewalld()
    rule = 'rule family="ipv4" source address="10.0.0.0/8" port port="443" protocol="tcp" accept\n'
    for when in ("now", "permanent"):
        (host.folder / f"{when}.rich").write_text(rule)
    assert host.open_ports(443)["changed"] is False
    assert host.open_ports(44)["changed"] is True


# ufw


def test_ufw_opens_a_port(host):
    host.with_ufw("ufw allow 22/tcp")
    assert host.open_ports(443)["actions"] == ["ufw: open port 443/tcp"]
    assert host.changes() == ["ufw allow 443/tcp comment edge.mtls"]
    assert host.open_ports(443)["changed"] is False


@pytest.mark.parametrize(
    "rule",
    [
        "ufw allow 443/tcp",
        "ufw allow 443",
        "ufw limit 443/tcp",
        "ufw deny 443/tcp",
        "ufw allow 80,443/tcp",
        "ufw allow 400:500/tcp",
        "ufw allow in on eth0 to any port 443 proto tcp",
        "ufw allow from 10.0.0.0/8 to any port 443 proto tcp comment 'the office'",
        "ufw allow 'Nginx Full'",
    ],
)
def test_a_port_that_ufw_has_a_rule_for_is_left_alone(host, rule):
    host.with_ufw(rule)
    assert host.open_ports(443)["changed"] is False


@pytest.mark.parametrize(
    "rule",
    [
        "ufw allow 4430/tcp",
        "ufw allow 443/udp",
        "ufw allow 444:500/tcp",
        "ufw allow from 10.4.43.0/24",
        "ufw allow 22/tcp comment 'not 443'",
        "ufw allow from 443::1 to any port 22",
        "ufw allow from any port 443 to any port 22 proto tcp",
        "ufw allow out 443/tcp",
        "ufw allow out to any port 443 proto tcp",
        "ufw route allow proto tcp from any to any port 443",
    ],
)
def test_a_rule_for_something_else_does_not_count(host, rule):
    host.with_ufw(rule)
    assert host.open_ports(443)["changed"] is True


# SELinux


def test_selinux_gives_a_free_port_to_nginx(host):
    host.with_selinux()
    assert host.open_ports(7443)["actions"] == ["SELinux: open port 7443/tcp"]
    assert host.changes() == ["semanage port --add --type http_port_t --proto tcp 7443"]
    assert host.open_ports(7443)["changed"] is False


@pytest.mark.parametrize("port", [443, 8443, 8080, 10005])
def test_selinux_lets_nginx_have_some_ports_anyway(host, port):
    host.with_selinux()
    assert host.open_ports(port)["changed"] is False


def test_selinux_keeps_a_port_for_another_service(host):
    host.with_selinux()
    with pytest.raises(MtlsError) as caught:
        host.open_ports(7443, 5432)
    assert str(caught.value) == (
        "port 5432: SELinux keeps it for another service (postgresql_port_t); set listen_port "
        "(mtls_gateway_sites) to another one"
    )
    assert host.changes() == []


def test_selinux_without_semanage_has_the_usual_ports(host):
    host.with_selinux(semanage=False)
    assert host.open_ports(443, 8443)["changed"] is False
    with pytest.raises(MtlsError, match="port 7443: SELinux does not let nginx listen there, and "):
        host.open_ports(7443)


def test_selinux_lets_nginx_connect_once(host):
    host.with_selinux()
    assert host.open_ports(connects=True)["actions"] == ["SELinux: let nginx connect to upstreams"]
    assert host.changes() == ["setsebool -P httpd_can_network_connect on"]
    assert host.open_ports(connects=True)["changed"] is False
    assert host.open_ports()["changed"] is False


@pytest.mark.parametrize("boolean", ["on", "missing"])
def test_selinux_lets_nginx_connect_already_or_knows_no_nginx(host, boolean):
    host.with_selinux(may_connect=True)
    if boolean == "missing":
        (host.folder / "selinux/booleans/httpd_can_network_connect").unlink()
    assert host.open_ports(connects=True)["changed"] is False


# What was opened and is not needed any more


def test_what_was_opened_here_is_closed_again(host):
    host.with_firewalld()
    host.with_ufw()
    host.with_selinux()
    host.open_ports(443, 7443)
    host.calls()
    assert host.open_ports(7443)["actions"] == [
        "firewalld: close port 443/tcp",
        "ufw: close port 443/tcp",
    ]
    host.calls()
    assert host.open_ports()["changed"] is True
    assert host.changes() == [
        "semanage port --delete --type http_port_t --proto tcp 7443",
        "firewall-cmd --remove-port=7443/tcp",
        "firewall-cmd --permanent --remove-port=7443/tcp",
        "ufw delete allow 7443/tcp",
    ]
    assert host.open_ports()["changed"] is False


def test_nothing_is_closed_before_it_is_time(host):
    host.with_firewalld()
    host.open_ports(443)
    assert host.open_ports(8443, close_others=False)["actions"] == ["firewalld: open port 8443/tcp"]
    assert host.open_ports(8443)["actions"] == ["firewalld: close port 443/tcp"]


def test_a_kill_between_writing_down_and_opening_is_made_good(host):
    host.with_firewalld()
    host.state_path.mkdir()
    (host.state_path / ".opened.json").write_text(json.dumps({"firewalld": [443]}))
    assert host.open_ports(443)["changed"] is True
    assert host.open_ports()["actions"] == ["firewalld: close port 443/tcp"]


def test_a_command_that_fails_is_named_with_its_words(host):
    host.with_firewalld()
    script = FIREWALL_CMD.replace(
        "--add-port=*) : >", "--add-port=*) echo 'Error: PYTHON_OOPS' >&2; exit 1; : >"
    )
    host.install("firewall-cmd", script)
    with pytest.raises(MtlsError, match="firewall-cmd --add-port=443/tcp failed: Error: PYTHON_O"):
        host.open_ports(443)


def test_a_record_that_cannot_be_written_stops_before_anything_is_opened(host):
    host.with_firewalld()
    host.state_path.write_text("a file where a folder belongs")
    with pytest.raises(MtlsError, match=r"state/\.opened\.json can't be written"):
        host.open_ports(443)
    assert host.changes() == []


def test_programs_speak_english_here(host, monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    host.install("ufw", "#!/bin/sh\necho ufw allow $([ $LC_ALL = C ] && echo 443/tcp)\n")
    (host.folder / "ufw.conf").write_text("ENABLED=yes\n")
    assert host.open_ports(443)["changed"] is False
    assert os.environ["LC_ALL"] == "de_DE.UTF-8"
