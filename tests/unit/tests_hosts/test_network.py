from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network

import pytest
from throwaway import network
from throwaway.process import HostsError

SUBNET = IPv4Network("10.99.7.0/24")


def test_subnet_is_the_same_one_for_the_same_lab():
    assert network.choose_subnet("a", []) == network.choose_subnet("a", [])


def test_subnets_of_two_labs_mostly_differ():
    chosen = {network.choose_subnet(f"lab{number}", []) for number in range(20)}
    assert len(chosen) > 15


@pytest.mark.parametrize(
    "cover",
    [
        pytest.param(lambda subnet: subnet, id="the same network"),
        pytest.param(lambda subnet: subnet.supernet(new_prefix=20), id="a wider one"),
        pytest.param(lambda subnet: IPv4Network(f"{subnet[200]}/32"), id="one address in it"),
    ],
)
def test_subnet_avoids_what_is_routed(cover):
    first = network.choose_subnet("lab", [])
    routed = cover(first)
    assert not network.choose_subnet("lab", [routed]).overlaps(routed)


def test_subnet_comes_from_the_second_pool_where_the_first_is_routed():
    chosen = network.choose_subnet("lab", [IPv4Network("10.0.0.0/8")])
    assert chosen.subnet_of(network.POOLS[1])


def test_subnet_refused_when_everything_is_routed():
    with pytest.raises(HostsError, match="a route to every one"):
        network.choose_subnet("lab", network.POOLS)


def test_subnet_holds_the_wanted_address():
    assert network.choose_subnet("lab", [], IPv4Address("10.99.7.40")) == SUBNET


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        pytest.param("10.99.7.40", "is in use", id="routed already"),
        pytest.param("192.0.2.1", "lies outside", id="in no pool"),
    ],
)
def test_subnet_of_a_wanted_address_is_refused(address, reason):
    with pytest.raises(HostsError, match=reason):
        network.choose_subnet("lab", [SUBNET], IPv4Address(address))


def test_address_is_the_lowest_free_one():
    assert network.choose_address(SUBNET, [SUBNET[11], SUBNET[13]]) == SUBNET[12]


def test_address_is_the_wanted_one():
    assert network.choose_address(SUBNET, [], SUBNET[99]) == SUBNET[99]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        pytest.param("10.99.7.12", "belongs to another host", id="taken"),
        pytest.param("10.99.7.1", "hands out 10.99.7.11 to 10.99.7.250", id="the gateway"),
        pytest.param("10.99.7.254", "hands out", id="this machine"),
        pytest.param("10.99.8.20", "hands out", id="of another lab"),
    ],
)
def test_address_is_refused(wanted, reason):
    with pytest.raises(HostsError, match=reason):
        network.choose_address(SUBNET, [SUBNET[12]], IPv4Address(wanted))


def test_address_refused_when_the_lab_is_full():
    with pytest.raises(HostsError, match="full"):
        network.choose_address(SUBNET, list(SUBNET.hosts()))


def test_default_routes_claim_nothing():
    routes = [{"dst": dst} for dst in ("default", "0.0.0.0/1", "128.0.0.0/1")]
    assert network.parse_routes(json.dumps(routes)) == []


def test_routes_are_read_with_and_without_a_prefix():
    routes = [{"dst": "10.1.0.0/16"}, {"dst": "10.99.7.255", "type": "broadcast"}]
    assert network.parse_routes(json.dumps(routes)) == [
        IPv4Network("10.1.0.0/16"),
        IPv4Network("10.99.7.255/32"),
    ]


def test_interface_names_fit_the_kernel():
    assert len(network.uplink("x" * 36)) <= 15
