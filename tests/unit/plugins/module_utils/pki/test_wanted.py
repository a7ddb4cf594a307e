# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The PKI as a whole: put in order, checked against itself, and completed."""

from __future__ import annotations

from itertools import permutations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.wanted import (
    complete_authorities,
    complete_clients,
)

DEFAULTS = {"key_type": "P-384", "valid_days": 90, "renew_before_days": 9}


def authority(name, issuer=None, **options):
    defaults = {"common_name": None, "key_type": "P-256", "valid_days": 3650, "path_length": None}
    return {"name": name, "issuer": issuer, **defaults, **options}


def client(name, **options):
    given = ("common_name", "issuer", "key_type", "valid_days", "renew_before_days")
    return {"name": name, **dict.fromkeys(given), "pkcs12": True, **options}


ROOT = complete_authorities([authority("root"), authority("services", "root")])


@pytest.mark.parametrize("order", list(permutations("abcd")), ids="".join)
def test_parents_come_before_their_children(order):
    issuers = {"a": None, "b": "a", "c": "b", "d": "a"}
    found = [
        each["name"] for each in complete_authorities([authority(n, issuers[n]) for n in order])
    ]
    assert sorted(found) == list("abcd")
    assert found.index("a") < found.index("b") < found.index("c")
    assert found.index("a") < found.index("d")


def test_an_authority_that_signs_no_other_gets_path_length_0():
    found = complete_authorities(
        [
            authority("root"),
            authority("middle", "root"),
            authority("low", "middle"),
            authority("open", "middle", path_length=2),
            authority("other"),
        ]
    )
    assert {each["name"]: each["path_length"] for each in found} == {
        "root": None,
        "middle": None,
        "low": 0,
        "open": 2,
        "other": None,
    }


def test_a_common_name_is_made_from_the_name():
    [found] = complete_authorities([authority("root")])
    assert found["common_name"] == "root CA"
    [found] = complete_authorities([authority("root", common_name="Example Root CA")])
    assert found["common_name"] == "Example Root CA"


def test_no_authority_at_all_is_no_error():
    assert complete_authorities([]) == []


@pytest.mark.parametrize(
    ("authorities", "sentence"),
    [
        pytest.param(
            [authority("a"), authority("a")],
            r"mtls_pki_authorities\[1\] \(a\): the name is used twice",
            id="same name",
        ),
        pytest.param(
            [authority("a", "b")],
            r"mtls_pki_authorities\[0\] \(a\): issuer 'b' is not one of .* \(a\)",
            id="unknown issuer",
        ),
        pytest.param([authority("a", "a")], "leads back to 'a'; a root has no issuer", id="itself"),
        pytest.param(
            [authority("a", "b"), authority("b", "a")],
            "following the issuers leads back",
            id="circle",
        ),
        pytest.param(
            [authority("root"), authority("a", "c"), authority("b", "a"), authority("c", "b")],
            "following the issuers leads back",
            id="circle of three",
        ),
        pytest.param(
            [authority("x", "a"), authority("a", "b"), authority("b", "a")],
            "following the issuers leads back",
            id="into a circle",
        ),
        pytest.param(
            [authority("a", common_name="Same"), authority("b", common_name="Same")],
            r"mtls_pki_authorities\[1\] \(b\): common_name 'Same' is also that of .*\[0\] \(a\)",
            id="same subject",
        ),
        pytest.param(
            [authority("a", common_name="SAME CA"), authority("b", "a", common_name="Same ca")],
            "rules on the issuer could not tell the two apart",
            id="same subject in another case",
        ),
        pytest.param(
            [authority("a", common_name="b CA"), authority("b")],
            "also that of",
            id="same as a made one",
        ),
        pytest.param([authority("self")], "and not be 'self'", id="reserved name"),
    ],
)
def test_authorities_that_cannot_be_are_named(authorities, sentence):
    with pytest.raises(MtlsError, match=sentence):
        complete_authorities(authorities)


@pytest.mark.parametrize(
    "name", ["", "A", "a/b", "..", "a..b", ".a", "a@b", "self", "a" * 129, "ä"]
)
def test_a_name_that_cannot_be_a_folder_is_refused(name):
    with pytest.raises(MtlsError, match=r"mtls_pki_authorities\[0\] .*: name must be 1 to 128 of"):
        complete_authorities([authority(name)])
    with pytest.raises(MtlsError, match=r"mtls_pki_clients\[0\] .*: name must be 1 to 128 of"):
        complete_clients([client(name)], ROOT, False, DEFAULTS)


def test_a_client_that_says_nothing_gets_the_defaults_and_the_first_authority():
    assert complete_clients([client("client1")], ROOT, False, DEFAULTS) == [
        {"name": "client1", "common_name": "client1", "issuer": "root", "pkcs12": True, **DEFAULTS}
    ]


def test_what_a_client_says_counts():
    said = {
        "issuer": "services",
        "common_name": "Client One",
        "key_type": "Ed25519",
        "valid_days": 30,
        "renew_before_days": 3,
        "pkcs12": False,
    }
    assert complete_clients([client("client1", **said)], ROOT, True, DEFAULTS) == [
        {"name": "client1", **said}
    ]


@pytest.mark.parametrize(
    ("issuer", "is_default"),
    [pytest.param(None, True, id="by default"), pytest.param("self", False, id="when asked for")],
)
def test_a_self_signed_client_is_the_one_that_tutorials_make(issuer, is_default):
    [found] = complete_clients([client("client1", issuer=issuer)], [], is_default, DEFAULTS)
    assert found["issuer"] == "self"
    assert (found["key_type"], found["valid_days"]) == ("RSA-4096", 10000)
    said = {"key_type": "P-256", "valid_days": 9, "renew_before_days": 1}
    [found] = complete_clients(
        [client("client1", issuer=issuer, **said)], ROOT, is_default, DEFAULTS
    )
    assert {name: found[name] for name in said} == said


@pytest.mark.parametrize(
    ("clients", "sentence"),
    [
        pytest.param(
            [client("a"), client("a")],
            r"mtls_pki_clients\[1\] \(a\): the name is used twice",
            id="same name",
        ),
        pytest.param(
            [client("a", issuer="x")],
            r"mtls_pki_clients\[0\] \(a\): issuer 'x' is not one of .* \(root, services\)",
            id="unknown issuer",
        ),
        pytest.param(
            [client("a"), client("b", common_name="a")],
            r"\[1\] \(b\): common_name 'a' and issuer 'root' are also those of .*\[0\] \(a\)",
            id="same subject and issuer",
        ),
        pytest.param(
            [client("a", issuer="self"), client("b", issuer="self", common_name="a")],
            "could not tell the two apart",
            id="same subject, both self-signed",
        ),
        pytest.param(
            [client("a", issuer="self", common_name="root CA")],
            "a self-signed certificate would look like that authority's",
            id="self-signed with an authority's subject",
        ),
    ],
)
def test_clients_that_cannot_be_told_apart_are_named(clients, sentence):
    with pytest.raises(MtlsError, match=sentence):
        complete_clients(clients, ROOT, False, DEFAULTS)


@pytest.mark.parametrize(
    "clients",
    [
        pytest.param(
            [client("a"), client("b", common_name="a", issuer="services")], id="another issuer"
        ),
        pytest.param([client("a"), client("b", common_name="a", issuer="self")], id="self-signed"),
        pytest.param([client("a"), client("b", common_name="A")], id="another case"),
    ],
)
def test_the_same_common_name_is_fine_where_rules_can_tell(clients):
    assert len(complete_clients(clients, ROOT, False, DEFAULTS)) == 2


def test_without_an_authority_a_client_needs_one():
    with pytest.raises(MtlsError, match="which is empty"):
        complete_clients([client("a")], [], False, DEFAULTS)
