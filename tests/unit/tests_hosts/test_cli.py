from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from throwaway import cli, machine
from throwaway.lab import Wanted
from throwaway.process import HostsError


@pytest.fixture(autouse=True)
def unprivileged(monkeypatch):
    """No test here may get as far as touching the machine."""

    def refuse(building):
        raise HostsError("got past the arguments")

    monkeypatch.setattr(machine, "require", refuse)
    monkeypatch.setattr(cli, "stop_on_signals", lambda: None)


@pytest.mark.parametrize(
    ("hosts", "kind", "address", "wanted"),
    [
        pytest.param(["el9"], None, None, [Wanted("el9", "el9")], id="named as its kind"),
        pytest.param(["web=arch"], None, None, [Wanted("web", "arch")], id="NAME=KIND"),
        pytest.param(["el9="], None, None, [Wanted("el9", "el9")], id="empty kind"),
        pytest.param(
            ["a", "b=arch"], "el9", None, [Wanted("a", "el9"), Wanted("b", "arch")], id="--kind"
        ),
        pytest.param(
            ["el9"],
            None,
            "10.99.1.20",
            [Wanted("el9", "el9", IPv4Address("10.99.1.20"))],
            id="--address",
        ),
    ],
)
def test_hosts_are_read(hosts, kind, address, wanted):
    assert cli.wanted_hosts(hosts, kind, address) == wanted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["up", "web"], "needs a kind: write web=KIND", id="no kind"),
        pytest.param(["up", "web=el8"], "no kind of host named el8", id="unknown kind"),
        pytest.param(["up", "web", "--kind", "el8"], "no kind of host named el8", id="--kind"),
        pytest.param(["up", "We_b=el9"], "cannot name a host", id="bad name"),
        pytest.param(["up", "el9", "el9=el10"], "named twice", id="twice"),
        pytest.param(["up", "el9", "--address", "::1"], "not an IPv4 address", id="IPv6"),
        pytest.param(
            ["up", "el9", "arch", "--address", "10.99.1.20"], "exactly one host", id="one address"
        ),
        pytest.param(["build", "el8"], "no kind of host named el8", id="build"),
        pytest.param(["down"], "names, or --all", id="down nothing"),
        pytest.param(["down", "el9", "--all"], "names, or --all", id="down both"),
        pytest.param(["run", "--"], "which command", id="run nothing"),
        pytest.param(["exec", "el9", "--"], "which command", id="exec nothing"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments, message, capsys):
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("hosts: ")
    assert error.count("\n") == 1


def test_command_after_two_hyphens_keeps_its_own_options():
    args = cli.parser().parse_args(["exec", "el9", "--", "ls", "--all", "--", "x"])
    assert cli._command(args.cmd) == ["ls", "--all", "--", "x"]
