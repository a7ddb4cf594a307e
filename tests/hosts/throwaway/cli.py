"""The command line of the throw-away hosts."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from throwaway import bases, images, lab, machine, network
from throwaway.container import Host, ssh_key
from throwaway.process import HostsError, Interrupted, in_parallel, say, stop_on_signals


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="hosts", description="Throw-away hosts with systemd and a real package manager."
    )
    top.add_argument(
        "--scenario",
        default="",
        metavar="NAME",
        help="use the lab of this molecule scenario instead of the checkout's own",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    build = commands.add_parser(
        "build", help="build the bases that are missing; print where they are"
    )
    build.add_argument("kinds", nargs="*", metavar="KIND", help="only for these kinds of hosts")

    up = commands.add_parser("up", help="boot hosts, replacing any of the same name")
    up.add_argument(
        "hosts",
        nargs="+",
        metavar="NAME[=KIND]",
        help="a host; without a kind anywhere, its name must be that of a kind",
    )
    up.add_argument("--kind", help="the kind of hosts that name none: " + ", ".join(bases.KINDS))
    up.add_argument("--address", metavar="IP", help="the address of the host, if it is only one")
    up.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write down how to reach them, as molecule reads it; - prints it",
    )

    down = commands.add_parser("down", help="destroy hosts, and the lab with the last of them")
    down.add_argument("names", nargs="*", metavar="NAME")
    down.add_argument("--all", action="store_true", help="all hosts of the lab")

    inside = commands.add_parser("exec", help="run a command inside a host, without ssh")
    inside.add_argument("name", metavar="NAME")
    inside.add_argument("cmd", nargs=argparse.REMAINDER, metavar="-- CMD ...")

    beside = commands.add_parser("run", help="run a command in the lab's network namespace")
    beside.add_argument("cmd", nargs=argparse.REMAINDER, metavar="-- CMD ...")

    reboot = commands.add_parser("reboot", help="reboot hosts and wait until they are back")
    reboot.add_argument("names", nargs="+", metavar="NAME")

    commands.add_parser("list", help="list the hosts of all labs on this machine")

    clean = commands.add_parser("clean", help="remove bases that are out of date")
    clean.add_argument(
        "--all", action="store_true", help="every base and prepared image that no host runs on"
    )
    return top


def wanted_hosts(
    hosts: Sequence[str], kind: str | None = None, address: str | None = None
) -> list[lab.Wanted]:
    """Read ``NAME[=KIND]`` arguments.

    :raises HostsError: a name, kind or address cannot be right; nothing was touched yet.
    """
    if address is not None and len(hosts) != 1:
        raise HostsError("--address takes exactly one host.")
    setting = os.environ.get(images.VARIABLE, "")
    wanted: list[lab.Wanted] = []
    for entry in hosts:
        name, _, own_kind = entry.partition("=")
        chosen = own_kind or kind or name
        lab.check_name(name, "host")
        if chosen not in bases.KINDS and chosen == name:
            kinds = ", ".join(bases.KINDS)
            raise HostsError(f"The host {name} needs a kind: write {name}=KIND, one of {kinds}.")
        bases.find_kind(chosen)
        if any(other.name == name for other in wanted):
            raise HostsError(f"The host {name} is named twice.")
        wanted.append(lab.Wanted(name, chosen, _address(address), images.choose(chosen, setting)))
    return wanted


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    stop_on_signals()
    try:
        COMMANDS[args.command](args)
    except Interrupted as interrupted:
        say(f"hosts: {interrupted}")
        return 130
    except (HostsError, OSError) as error:
        say(f"hosts: {error}")
        return 1
    return 0


def _build(args: argparse.Namespace) -> None:
    kinds = args.kinds or list(bases.KINDS)
    for kind in kinds:
        bases.find_kind(kind)
    machine.require(building=True)
    start = time.monotonic()
    bases.ensure(kinds)
    for name in dict.fromkeys(bases.find_kind(kind).base for kind in kinds):
        print(bases.base_folder(name) / "root")
    say(f"every base is there after {time.monotonic() - start:.0f} s")


def _up(args: argparse.Namespace) -> None:
    wanted = wanted_hosts(args.hosts, args.kind, args.address)
    missing = bases.missing(one.kind for one in wanted if not one.image)
    machine.require(building=bool(missing), images=all(one.image for one in wanted))
    start = time.monotonic()
    hosts = lab.current(args.scenario).up(wanted)
    if args.json:
        instances = json.dumps([_molecule_instance(host) for host in hosts], indent=2)
        if args.json.name == "-":
            print(instances)
            return
        args.json.write_text(instances + "\n")
    for host in hosts:
        print(f"{host.name} ({host.image or host.kind}) is up at {host.address}")
    say(f"after {time.monotonic() - start:.1f} s")


def _molecule_instance(host: Host) -> dict[str, object]:
    """Describe a host in the words of molecule's instance configuration."""
    reach = {"address": host.address, "port": 22, "user": "root", "identity_file": str(ssh_key())}
    return {"instance": host.name, "kind": host.kind, **reach}


def _down(args: argparse.Namespace) -> None:
    if args.all == bool(args.names):
        raise HostsError("Say which hosts go down: their names, or --all.")
    machine.require(building=False)
    destroyed = lab.current(args.scenario).down(None if args.all else args.names)
    say(f"destroyed: {', '.join(destroyed) or 'nothing, no host was up'}")


def _exec(args: argparse.Namespace) -> None:
    command = _command(args.cmd)
    machine.require(building=False)
    inside = lab.current(args.scenario).find(args.name).enter(*command)
    os.execvp(inside[0], inside)


def _run(args: argparse.Namespace) -> None:
    command = _command(args.cmd)
    machine.require(building=False)
    here = lab.current(args.scenario)
    if engine := here.engine():
        raise HostsError(f"The lab {here.name} is {engine}'s, and has no namespace to run it in.")
    if network.namespace(here.name) not in network.namespaces():
        raise HostsError(f"The lab {here.name} has no hosts: bring one up first.")
    inside = ["nsenter", f"--net=/run/netns/{network.namespace(here.name)}", "--", *command]
    os.execvp(inside[0], inside)


def _reboot(args: argparse.Namespace) -> None:
    machine.require(building=False)
    here = lab.current(args.scenario)
    with here.held():
        found = [here.find(name) for name in dict.fromkeys(args.names)]
        in_parallel(lambda host: host.reboot(), found)


def _list(_args: argparse.Namespace) -> None:
    machine.require(building=False)
    rows = [("LAB", "HOST", "KIND", "ADDRESS", "STATE")]
    for each in lab.all_labs():
        for container in each.containers():
            host, state = container.host, "up" if container.running() else "dead"
            rows.append((each.name, host.name, host.image or host.kind, host.address, state))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _clean(args: argparse.Namespace) -> None:
    machine.require(building=False)
    removed = bases.remove_unused(0, also_current=args.all)
    for name in [*removed, *(images.remove_prepared() if args.all else ())]:
        print(f"removed {name}")


def _command(words: list[str]) -> list[str]:
    command = words[1:] if words[:1] == ["--"] else words
    if not command:
        raise HostsError("Say which command to run, after --.")
    return command


def _address(text: str | None) -> IPv4Address | None:
    try:
        return IPv4Address(text) if text else None
    except AddressValueError as error:
        raise HostsError(f"{text} is not an IPv4 address.") from error


COMMANDS = {
    "build": _build,
    "up": _up,
    "down": _down,
    "exec": _exec,
    "run": _run,
    "reboot": _reboot,
    "list": _list,
    "clean": _clean,
}
