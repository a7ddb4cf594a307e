from __future__ import annotations

import os

import pytest
from throwaway import machine
from throwaway.machine import Mirrors
from throwaway.process import HostsError

MAIN = "Debian|Debian|main|http://mirror.test/debian/"
SECURITY = "Debian|Debian-Security|main|http://mirror.test/security/"


@pytest.fixture
def as_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.mark.parametrize(
    ("lines", "mirrors"),
    [
        pytest.param(
            [MAIN, SECURITY],
            Mirrors("http://mirror.test/debian/", "http://mirror.test/security/"),
            id="both",
        ),
        pytest.param([MAIN], Mirrors("http://mirror.test/debian/"), id="no security archive"),
        pytest.param(
            ["Debian|Debian|contrib|http://other.test/", MAIN],
            Mirrors("http://mirror.test/debian/"),
            id="only main counts",
        ),
        pytest.param(
            [MAIN, "Debian|Debian|main|http://second.test/"],
            Mirrors("http://mirror.test/debian/"),
            id="the first of two",
        ),
        pytest.param(["Ubuntu|Ubuntu|main|http://ubuntu.test/"], None, id="not Debian"),
        pytest.param([SECURITY], None, id="security alone"),
        pytest.param([], None, id="nothing"),
    ],
)
def test_mirrors_come_from_the_machines_own_sources(lines, mirrors):
    assert machine.parse_targets(lines) == mirrors


def test_empty_package_lists_are_fetched_first(monkeypatch):
    commands = []

    def run(*command):
        commands.append(command)
        return MAIN + "\n" if ("apt-get", "-qq", "update") in commands else "\n"

    monkeypatch.setattr(machine, "run", run)
    assert machine.debian_mirrors() == Mirrors("http://mirror.test/debian/")


def test_machine_without_a_debian_mirror_is_refused(monkeypatch):
    monkeypatch.setattr(machine, "run", lambda *_command: "")
    with pytest.raises(HostsError, match="No Debian mirror"):
        machine.debian_mirrors()


def test_missing_programs_are_named_by_their_packages():
    programs = {"sh": "dash", "no-such-b": "beta", "no-such-a": "alpha", "no-such-c": "alpha"}
    assert machine.missing_packages(programs) == ["alpha", "beta"]


def test_other_users_are_refused(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HostsError, match="need root"):
        machine.require(building=False)


def test_kernel_without_namespaces_is_refused(as_root, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "KERNEL", tmp_path)
    with pytest.raises(HostsError, match="namespaces"):
        machine.require(building=False)


def test_missing_packages_are_named_where_there_is_no_apt(as_root, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "SBIN", ())
    with pytest.raises(HostsError, match=r"no apt-get here.*: .*mmdebstrap.*systemd-container"):
        machine.require(building=True)
