"""A lab's network: a bridge in a namespace of its own, and one cable to this machine.

    this machine            namespace em-LAB           namespace em-LAB.HOST
    emXXXXXXXX .254 ------ uplink -- br0 .1 -- vN ------ eth0 .N

Hosts reach each other and this machine. Beyond it their gateway knows no way, and says so at
once: what looks for the rest of the world fails instead of hanging.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from throwaway.process import HostsError, attempt, run

# 198.18.0.0/15 is for benchmarks (RFC 2544): the way out where all of 10.0.0.0/8 is routed.
POOLS = (IPv4Network("10.99.0.0/16"), IPv4Network("198.18.0.0/16"))
GATEWAY = 1
FIRST_HOST = 11
LAST_HOST = 250
THIS_MACHINE = 254


def choose_subnet(
    lab: str, taken: Iterable[IPv4Network], address: IPv4Address | None = None
) -> IPv4Network:
    """Choose a /24 that overlaps nothing that is taken, and holds ``address`` if one is given.

    Each lab begins its search elsewhere, so that it mostly gets the same one again.
    """
    taken = list(taken)
    for pool in POOLS:
        subnets = list(pool.subnets(new_prefix=24))
        start = int(hashlib.sha256(lab.encode()).hexdigest(), 16) % len(subnets)
        for subnet in subnets[start:] + subnets[:start]:
            if address is not None and address not in subnet:
                continue
            if not any(subnet.overlaps(network) for network in taken):
                return subnet
    pools = " and ".join(str(pool) for pool in POOLS)
    if address is None:
        raise HostsError(f"No /24 of {pools} is free: this machine has a route to every one.")
    if not any(address in pool for pool in POOLS):
        raise HostsError(f"The address {address} lies outside {pools}, where hosts live.")
    raise HostsError(f"The network around {address} is in use: this machine has a route to it.")


def choose_address(
    subnet: IPv4Network, taken: Iterable[IPv4Address], wanted: IPv4Address | None = None
) -> IPv4Address:
    """Choose a host's address in the lab's subnet, or confirm the wanted one."""
    taken = set(taken)
    if wanted is not None:
        number = int(wanted) - int(subnet.network_address)
        if not FIRST_HOST <= number <= LAST_HOST:
            raise HostsError(
                f"The address {wanted} is not one of this lab's: it hands out "
                f"{subnet[FIRST_HOST]} to {subnet[LAST_HOST]}."
            )
        if wanted in taken:
            raise HostsError(f"The address {wanted} belongs to another host of this lab.")
        return wanted
    for number in range(FIRST_HOST, LAST_HOST + 1):
        if subnet[number] not in taken:
            return subnet[number]
    raise HostsError(f"The lab is full: every address of {subnet} is given away.")


def parse_routes(routes: str) -> list[IPv4Network]:
    """Read ``ip -json route``; a default route, whole or in two halves, claims nothing."""
    networks = []
    for route in json.loads(routes):
        if route["dst"] == "default":
            continue
        network = IPv4Network(route["dst"])
        if network.prefixlen > 1:
            networks.append(network)
    return networks


def routed_networks() -> list[IPv4Network]:
    return parse_routes(run("ip", "-json", "-4", "route", "show", "table", "all"))


def namespace(lab: str, host: str = "") -> str:
    return f"em-{lab}.{host}" if host else f"em-{lab}"


def namespaces() -> list[str]:
    """Return the names of all labs' namespaces on this machine."""
    listed = json.loads(run("ip", "-json", "netns", "list") or "[]")
    return [entry["name"] for entry in listed if entry["name"].startswith("em-")]


def uplink(lab: str) -> str:
    return "em" + hashlib.sha256(lab.encode()).hexdigest()[:8]


def create_lab(lab: str, subnet: IPv4Network) -> None:
    inside, cable = namespace(lab), uplink(lab)
    run("ip", "netns", "add", inside)
    _batch(
        inside,
        "link set lo up",
        "link add br0 type bridge",
        f"address add {subnet[GATEWAY]}/24 dev br0",
        "link set br0 up",
        "route add unreachable default",
    )
    forward = "echo 1 >/proc/sys/net/ipv4/ip_forward"  # without it, silence is the answer
    run("nsenter", f"--net=/run/netns/{inside}", "sh", "-c", forward)
    run("ip", "link", "add", cable, "type", "veth", "peer", "name", "uplink", "netns", inside)
    _batch(inside, "link set uplink master br0 up")
    run("ip", "address", "add", f"{subnet[THIS_MACHINE]}/24", "dev", cable)
    run("ip", "link", "set", cable, "up")


def remove_lab(lab: str) -> None:
    attempt("ip", "link", "delete", uplink(lab))
    for name in namespaces():
        if name == namespace(lab) or name.startswith(namespace(lab) + "."):
            attempt("ip", "netns", "delete", name)


def attach_host(lab: str, host: str, subnet: IPv4Network, address: IPv4Address) -> None:
    inside, port = namespace(lab, host), _port(address)
    run("ip", "netns", "add", inside)
    _batch(
        namespace(lab),
        f"link add {port} type veth peer name eth0 netns {inside}",
        f"link set {port} master br0 up",
    )
    _batch(
        inside,
        "link set lo up",
        f"address add {address}/24 dev eth0",
        "link set eth0 up",
        f"route add default via {subnet[GATEWAY]}",
    )


def detach_host(lab: str, host: str, address: IPv4Address) -> None:
    # The cable goes by name: with its namespace it would go too, but at some later time.
    attempt("ip", "-n", namespace(lab), "link", "delete", _port(address))
    attempt("ip", "netns", "delete", namespace(lab, host))


def _port(address: IPv4Address) -> str:
    return f"v{int(address) & 255}"


def _batch(inside: str, *commands: str) -> None:
    run("ip", "-n", inside, "-batch", "-", stdin="\n".join(commands) + "\n")
