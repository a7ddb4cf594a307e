# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may call: trust that is never empty, and maps that let in exactly who was named."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.nginx.access import (
    SUBJECT,
    bucket_size,
    map_bucket_size,
)
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.nginx.shared import (
    AUTHORITIES,
    CLIENTS,
    completed_site,
    completed_sites,
    wanted_site,
)

WHERE = "mtls_gateway_sites[0] (app): "


def access(**options):
    return completed_site(**options)["access"]


def verdicts(**options):
    return {caller["name"]: caller["verdict"] for caller in access(**options)["callers"]}


def refusal(clients=CLIENTS, **options):
    with pytest.raises(MtlsError) as caught:
        completed_sites(wanted_site(**options), clients=clients)
    said = str(caught.value)
    assert said.startswith(WHERE)
    return said.removeprefix(WHERE)


def allow(clients=(), issuers=(), subjects=()):
    return {"clients": list(clients), "issuers": list(issuers), "subjects": list(subjects)}


@pytest.mark.parametrize(
    "trust",
    [
        pytest.param({"client_authority": None}, id="none"),
        pytest.param({"client_authority": ""}, id="empty"),
        pytest.param({"client_authority": None, "trusted_clients": []}, id="empty list"),
        pytest.param({"trusted_clients": ["lonely"]}, id="both"),
    ],
)
def test_a_site_trusts_one_kind_of_anchor(trust):
    assert refusal(**trust).startswith(
        "give either client_authority (an authority whose clients may call) or trusted_clients"
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param(
            {"client_authority": "rot"},
            "client_authority 'rot' is not one of mtls_pki_authorities (root, services, robots, "
            "people, other)",
            id="unknown authority",
        ),
        pytest.param(
            {"client_authority": None, "trusted_clients": ["lonely", "x"]},
            "trusted_clients 'x' is not one of mtls_pki_clients (root1, services1, robots1, "
            "people1, other1, services2, lonely)",
            id="unknown trusted client",
        ),
        pytest.param(
            {"client_authority": None, "trusted_clients": ["root1"]},
            "trusted_clients 'root1' is signed by authority 'root'; trust that with "
            "client_authority instead",
            id="trusted client of an authority",
        ),
        pytest.param(
            {"allow": allow()},
            "allow names nobody; name clients, issuers or subjects, or leave allow out to let in "
            "every client that is trusted",
            id="allow of nobody",
        ),
        pytest.param({"allow": {}}, "allow names nobody", id="empty allow"),
        pytest.param(
            {"allow": allow(clients=["root1", "x"])},
            "allow.clients 'x' is not one of mtls_pki_clients (root1",
            id="allow of an unknown client",
        ),
        pytest.param(
            {"allow": allow(issuers=["x"])},
            "allow.issuers 'x' is not one of mtls_pki_authorities (root",
            id="allow of an unknown issuer",
        ),
        pytest.param(
            {"allow": allow(clients=["other1"])},
            "allow.clients 'other1' is signed by 'other', which this site does not trust, so it "
            "could never call",
            id="allow of a client of another root",
        ),
        pytest.param(
            {"client_authority": "services", "allow": allow(clients=["root1"])},
            "allow.clients 'root1' is signed by 'root', which this site does not trust",
            id="allow of a client of the authority above",
        ),
        pytest.param(
            {"allow": allow(clients=["lonely"])},
            "allow.clients 'lonely' is signed by 'self', which this site does not trust",
            id="allow of a self-signed client",
        ),
        pytest.param(
            {"client_authority": "services", "allow": allow(issuers=["people"])},
            "allow.issuers 'people' is not an authority that this site trusts, so its clients "
            "could never call",
            id="allow of a sibling",
        ),
        pytest.param(
            {"client_authority": "services", "allow": allow(issuers=["root"])},
            "allow.issuers 'root' is not an authority that this site trusts",
            id="allow of the authority above",
        ),
    ],
)
def test_access_that_cannot_be_meant_is_refused(options, sentence):
    assert refusal(**options).startswith(sentence)


def test_an_allow_that_is_null_does_not_mean_everybody():
    with pytest.raises(MtlsError) as caught:
        completed_sites({**wanted_site(), "allow": None})
    assert str(caught.value) == f"{WHERE}allow is empty; say what it should hold, or leave it out"


@pytest.mark.parametrize(
    ("subject", "sentence"),
    [
        pytest.param("client1", "must be a whole subject", id="only a common name"),
        pytest.param("/CN=client1/O=Example", "must be a whole subject", id="slash form"),
        pytest.param("CN = client1", "must be a whole subject", id="openssl's own form"),
        pytest.param("CN=client1, O=Example", "must be a whole subject", id="space behind a comma"),
        pytest.param("~CN=client.*", "must be a whole subject", id="nginx's regular expression"),
        pytest.param("CN=Jürgen", "must be a whole subject", id="not escaped"),
        pytest.param('CN="a"', "must be a whole subject", id="quotes"),
        pytest.param("CN=a;b", "must be a whole subject", id="semicolon"),
        pytest.param("CN=a\nO=b", "must be a whole subject", id="newline"),
        pytest.param("CN=a\\", "must be a whole subject", id="lonely backslash"),
        pytest.param("CN=a,", "must be a whole subject", id="trailing comma"),
        pytest.param("", "must be a whole subject", id="empty"),
        pytest.param("CN=a$b", "holds a '$', which nginx would take for a variable", id="dollar"),
    ],
)
def test_a_subject_that_nginx_would_not_print_or_read_is_refused(subject, sentence):
    assert sentence in refusal(allow=allow(subjects=[subject]))


@pytest.mark.parametrize(
    "subject",
    [
        "CN=client1",
        "CN=client1,O=Example",
        "CN=a+UID=b,DC=example,DC=com",
        r"CN=Smith\, John,O=A \"B\" C",
        r"CN=J\C3\BCrgen",
        r"CN=\#1\+\<\>\;\\",
        r"CN=\ a\ ",
        "1.2.3.4=#0C0161",
        "emailAddress=a@example.com",
        "CN=",
        "CN=*.example.com (test) {1} 'x' a=b",
    ],
)
def test_what_openssl_prints_is_a_subject(subject):
    assert SUBJECT.match(subject)


def test_subjects_that_differ_only_in_case_cannot_stand_in_one_map():
    said = refusal(allow=allow(subjects=["CN=bob", "CN=BOB"]))
    assert said.startswith("'CN=bob' and 'CN=BOB' differ only in case")


def test_clients_that_differ_only_in_case_cannot_either():
    clients = [
        {"name": "a", "issuer": "root", "common_name": "Bob"},
        {"name": "b", "issuer": "root", "common_name": "bob"},
    ]
    said = refusal(clients, allow=allow(clients=["a", "b"]))
    assert "differ only in case" in said
    # One of them alone is told from the other by the map's value.
    assert completed_sites(wanted_site(allow=allow(clients=["a"])), clients=clients)


def test_a_client_with_a_dollar_in_its_name_can_be_let_in_but_not_listed():
    clients = [{"name": "a", "issuer": "root", "common_name": "a$b"}]
    assert completed_sites(wanted_site(), clients=clients)
    assert "holds a '$'" in refusal(clients, allow=allow(clients=["a"]))


def test_who_is_named_twice_stands_once_in_the_map():
    found = access(allow=allow(clients=["root1", "root1"], subjects=["CN=a", "CN=a"]))
    assert found["allowed_callers"] == ['"CN=root1 <- CN=Example Root CA"']
    assert found["allowed_subjects"] == ['"CN=a"']


ALLOWED, NOT_LISTED, NOT_TRUSTED = "allowed", "not on the list", "not trusted"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(
            {"client_authority": "root"},
            dict.fromkeys(["root1", "services1", "services2", "robots1", "people1"], ALLOWED),
            id="root with all below it",
        ),
        pytest.param(
            {"client_authority": "services"},
            dict.fromkeys(["services1", "services2", "robots1"], ALLOWED),
            id="intermediate without those above and beside it",
        ),
        pytest.param({"client_authority": "robots"}, {"robots1": ALLOWED}, id="the lowest"),
        pytest.param({"client_authority": "other"}, {"other1": ALLOWED}, id="another root"),
        pytest.param(
            {"client_authority": None, "trusted_clients": ["lonely"]},
            {"lonely": ALLOWED},
            id="self-signed",
        ),
        pytest.param(
            {"client_authority": "services", "allow": allow(clients=["services1"])},
            {"services1": ALLOWED, "services2": NOT_LISTED, "robots1": NOT_LISTED},
            id="listed client",
        ),
        pytest.param(
            {"client_authority": "services", "allow": allow(issuers=["services"])},
            {"services1": ALLOWED, "services2": ALLOWED, "robots1": NOT_LISTED},
            id="listed issuer, which does not stand for those below it",
        ),
        pytest.param(
            {
                "client_authority": "services",
                "allow": allow(["services2"], ["robots"], ["CN=services1", "CN=people1"]),
            },
            {"services1": ALLOWED, "services2": ALLOWED, "robots1": ALLOWED},
            id="one match is enough",
        ),
        pytest.param(
            {"client_authority": "services", "allow": allow(subjects=["CN=Services1"])},
            dict.fromkeys(["services1", "services2", "robots1"], NOT_LISTED),
            id="case counts",
        ),
    ],
)
def test_what_becomes_of_each_client(options, expected):
    everybody = {client["name"]: NOT_TRUSTED for client in CLIENTS}
    assert verdicts(**options) == {**everybody, **expected}


@pytest.mark.parametrize(
    ("authority", "trusted", "depth", "issuers"),
    [
        pytest.param("root", ["root", "services", "people", "robots"], 2, [], id="root"),
        pytest.param("other", ["other"], 1, [], id="root alone"),
        pytest.param(
            "services",
            ["services", "robots", "root"],
            2,
            ['"CN=Example Services CA"', '"CN=Example Robots CA"'],
            id="intermediate, whose root must be trusted and is not let in",
        ),
        pytest.param(
            "robots",
            ["robots", "services", "root"],
            2,
            ['"CN=Example Robots CA"'],
            id="second intermediate",
        ),
    ],
)
def test_what_nginx_trusts(authority, trusted, depth, issuers):
    found = access(client_authority=authority)
    assert sorted(found["authorities"]) == sorted(trusted)
    assert found["verify_depth"] == depth
    assert found["trusted_issuers"] == issuers
    assert found["clients"] == []


def test_self_signed_clients_are_their_own_anchors():
    found = access(client_authority=None, trusted_clients=["lonely"])
    assert (found["authorities"], found["clients"], found["verify_depth"]) == ([], ["lonely"], 1)


def test_whatever_the_order_of_the_authorities():
    sites = [
        completed_sites(wanted_site(), authorities=order)[0]["access"]
        for order in (AUTHORITIES, AUTHORITIES[::-1])
    ]
    assert sorted(sites[0]["authorities"]) == sorted(sites[1]["authorities"])
    assert sites[0]["verify_depth"] == sites[1]["verify_depth"]


def test_a_caller_is_a_subject_and_an_issuer_that_cannot_be_forged_from_one_name():
    clients = [
        {"name": "a", "issuer": "root", "common_name": "a <- CN=Example Services CA"},
        {"name": "b", "issuer": "services", "common_name": "a"},
    ]
    sites = completed_sites(wanted_site(allow=allow(clients=["a", "b"])), clients=clients)
    assert sites[0]["access"]["allowed_callers"] == [
        r'"CN=a \\<- CN=Example Services CA <- CN=Example Root CA"',
        '"CN=a <- CN=Example Services CA"',
    ]


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        pytest.param(0, None, id="nothing"),
        pytest.param(46, None, id="fits"),
        pytest.param(47, 128, id="one more"),
        pytest.param(110, 128, id="fits into two lines"),
        pytest.param(111, 256, id="one more than that"),
        pytest.param(1006, 1024, id="long"),
        pytest.param(4078, 4096, id="nearly as long as a parameter can be"),
    ],
)
def test_a_bucket_is_as_large_as_nginx_needs_it(length, expected):
    assert bucket_size(length) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"allow": allow(subjects=["CN=" + "a" * 43])}, None, id="subject that fits"),
        pytest.param({"allow": allow(subjects=["CN=" + "a" * 44])}, 128, id="longer subject"),
        pytest.param({"allow": allow(clients=["root1"])}, None, id="caller"),
        pytest.param({}, None, id="no map"),
    ],
)
def test_the_longest_key_of_all_maps_counts(options, expected):
    sites = completed_sites(wanted_site(name="b", server_name="b"), wanted_site(**options))
    assert map_bucket_size(sites) == expected
