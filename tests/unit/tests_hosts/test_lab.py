from __future__ import annotations

from pathlib import Path

import pytest
from throwaway import lab
from throwaway.process import HostsError

HERE = Path("/somewhere/checkout")


def test_lab_of_a_checkout_is_its_own():
    assert lab.lab_name("", HERE) == lab.lab_name("", HERE)
    assert lab.lab_name("", HERE) != lab.lab_name("", HERE.parent)


def test_lab_is_named_by_the_environment():
    assert lab.lab_name("nightly", HERE) == "nightly"


def test_scenarios_have_labs_beside_the_checkouts_own():
    names = {lab.lab_name("nightly", HERE, scenario) for scenario in ("", "default", "fleet")}
    assert names == {"nightly", "nightly-default", "nightly-fleet"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("Upgrade", "upgrade", id="capitals"),
        pytest.param("a_b", "a-b", id="underscore"),
        pytest.param("x" * 40 + "1", "x" * 40 + "2", id="long"),
    ],
)
def test_scenarios_of_any_name_have_labs_that_differ(one, other):
    names = [lab.lab_name("m" * 24, HERE, scenario) for scenario in (one, other)]
    assert names[0] != names[1]
    assert all(len(name) <= lab.LAB_NAME_LENGTH for name in names)


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a.b", "a_b", "../up", "x" * 25])
def test_names_that_fit_no_interface_are_refused(name):
    with pytest.raises(HostsError, match="cannot name a host"):
        lab.check_name(name, "host")


@pytest.mark.parametrize("name", ["a", "7", "debian12-plain", "x" * 24])
def test_names_that_fit_are_taken(name):
    assert lab.check_name(name, "host") == name
