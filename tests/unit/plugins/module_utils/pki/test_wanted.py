# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The PKI as a whole: put in order, checked against itself, and completed."""

from __future__ import annotations

from itertools import permutations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.options import (
    AUTHORITY,
    PROFILE,
    REVOCATION,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.wanted import (
    check_passphrase_names,
    complete_authorities,
    complete_clients,
    complete_revocations,
)
from ansible_collections.edge.mtls.plugins.module_utils.wanted import CLIENT_SPEC

DEFAULTS = {"key_type": "P-384", "valid_days": 90, "renew_before_days": 9}


def authority(name, issuer=None, **options):
    """Return an entry with every key present, as the argument specification leaves it."""
    absent = {key: spec.get("default") for key, spec in AUTHORITY.items()}
    return {**absent, "name": name, "issuer": issuer, **options}


def client(name, **options):
    absent = {key: spec.get("default") for key, spec in CLIENT_SPEC.items()}
    return {**absent, "name": name, **options}


def profile(name, base="client"):
    return {**dict.fromkeys(PROFILE), "name": name, "base": base}


def complete(clients, authorities=None, self_signed=False, profiles=()):
    authorities = ROOT if authorities is None else authorities
    return complete_clients(clients, authorities, self_signed, DEFAULTS, list(profiles))


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
            r"mtls_pki_authorities\[1\] \(b\): subject 'CN=Same' is also that of .*\[0\] \(a\)",
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
        complete([client(name)])


def test_a_client_that_says_nothing_gets_the_defaults_and_the_first_authority():
    [found] = complete([client("client1")])
    assert found["issuer"] == "root"
    assert (found["common_name"], found["profile"]) == ("client1", "client")
    assert {option: found[option] for option in DEFAULTS} == DEFAULTS
    assert (found["packs"], found["rekey"], found["reissue_revoked"]) == (["pkcs12"], True, False)


def test_what_a_client_says_counts():
    said = {
        "issuer": "services",
        "common_name": "Client One",
        "key_type": "Ed25519",
        "valid_days": 30,
        "renew_before_days": 3,
        "subject": {"O": "Example"},
        "subject_alternative_names": ["email:ada@example.com"],
        "rekey": False,
        "reissue_revoked": True,
        "packs": ["zip"],
        "profile": "client",
    }
    assert complete([client("client1", **said)], self_signed=True) == [{"name": "client1", **said}]


@pytest.mark.parametrize(
    ("issuer", "is_default"),
    [pytest.param(None, True, id="by default"), pytest.param("self", False, id="when asked for")],
)
def test_a_self_signed_client_is_the_one_that_tutorials_make(issuer, is_default):
    [found] = complete([client("client1", issuer=issuer)], [], is_default)
    assert found["issuer"] == "self"
    assert (found["key_type"], found["valid_days"]) == ("RSA-4096", 10000)
    said = {"key_type": "P-256", "valid_days": 9, "renew_before_days": 1}
    [found] = complete([client("client1", issuer=issuer, **said)], ROOT, is_default)
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
            r"\[1\] \(b\): subject 'CN=a' and issuer 'root' are also those of .*\[0\] \(a\)",
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
        complete(clients)


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
    assert len(complete(clients)) == 2


def test_without_an_authority_a_client_needs_one():
    with pytest.raises(MtlsError, match="which is empty"):
        complete([client("a")], [])


@pytest.mark.parametrize(
    ("authorities", "is_refused"),
    [
        pytest.param(
            [authority("a", common_name="Same", subject={"O": "A"}),
             authority("b", common_name="Same", subject={"O": "B"})], False, id="another subject"
        ),
        pytest.param(
            [authority("a", common_name="Same", subject={"O": "A"}),
             authority("b", common_name="Same", subject={"O": "a"})], True, id="in another case"
        ),
        pytest.param(
            [authority("a", certificate_path="/a.pem"), authority("b", certificate_path="/b.pem")],
            False, id="two that bring their own"
        ),
    ],
)  # fmt: skip
def test_authorities_are_told_apart_by_the_whole_subject(authorities, is_refused):
    if is_refused:
        with pytest.raises(MtlsError, match="could not tell the two apart"):
            complete_authorities(authorities)
    else:
        assert len(complete_authorities(authorities)) == 2


def test_an_authority_that_was_brought_keeps_its_own_common_name():
    [found] = complete_authorities([authority("root", certificate_path="/root.pem")])
    assert found["common_name"] is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, {"valid_days": 90, "renew_before_days": 9}, id="nothing"),
        pytest.param({"valid_days": 5}, {"valid_days": 5}, id="life"),
        pytest.param({"valid_minutes": 5}, {"valid_minutes": 5}, id="life in minutes"),
        pytest.param(
            {"renew_before_days": 5}, {"valid_days": 90, "renew_before_days": 5}, id="margin"
        ),
        pytest.param(
            {"renew_before_minutes": 5},
            {"valid_days": 90, "renew_before_minutes": 5},
            id="margin in minutes",
        ),
        pytest.param(
            {"valid_days": 5, "renew_before_minutes": 5},
            {"valid_days": 5, "renew_before_minutes": 5},
            id="both",
        ),
    ],
)
def test_the_defaults_never_contradict_what_a_client_says(given, expected):
    [found] = complete([client("a", **given)])
    lives = ("valid_days", "valid_minutes", "renew_before_days", "renew_before_minutes")
    assert {option: found[option] for option in lives if option in found} == expected
    assert found["key_type"] == "P-384"


def test_a_client_of_an_own_profile_takes_nothing_from_the_defaults():
    [found] = complete([client("a", profile="job")], profiles=[profile("job")])
    assert found["profile"] == "job"
    assert {"key_type", "valid_days", "renew_before_days"} & set(found) == set()


@pytest.mark.parametrize(
    ("name", "profiles", "sentence"),
    [
        pytest.param("x", [], r"profile 'x' is not 'client' nor .* \(there is none\)", id="none"),
        pytest.param("x", [profile("job")], r"with that base \(job\)", id="unknown"),
        pytest.param("web", [profile("web", "server")], "is not 'client' nor", id="another base"),
        pytest.param("server", [], "is not 'client' nor", id="a server's"),
        pytest.param("peer", [], "is not 'client' nor", id="a peer's"),
    ],
)
def test_a_client_has_a_profile_for_clients(name, profiles, sentence):
    with pytest.raises(MtlsError, match=rf"mtls_pki_clients\[0\] \(a\): .*{sentence}"):
        complete([client("a", profile=name)], profiles=profiles)


def test_two_clients_may_share_a_common_name_in_another_subject():
    clients = [client("a", common_name="x", subject={"OU": "1"}), client("b", common_name="x")]
    assert len(complete(clients)) == 2


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param({"C": "Germany"}, id="value"),
        pytest.param({"Organisation": "x"}, id="attribute"),
        pytest.param({"O": 5}, id="number"),
    ],
)
def test_a_wrong_subject_is_named_with_the_entry(subject):
    with pytest.raises(MtlsError, match=r"mtls_pki_clients\[0\] \(a\): the subject attribute"):
        complete([client("a", subject=subject)])
    with pytest.raises(MtlsError, match=r"mtls_pki_authorities\[0\] \(a\): the subject attribute"):
        complete_authorities([authority("a", subject=subject)])


def revocation(**options):
    return {**{key: spec.get("default") for key, spec in REVOCATION.items()}, **options}


@pytest.mark.parametrize(
    ("entry", "is_refused"),
    [
        pytest.param(revocation(name="a"), True, id="the same name"),
        pytest.param(revocation(name="a", profile="server"), False, id="of a server"),
        pytest.param(revocation(name="a", state="released"), False, id="released"),
        pytest.param(revocation(name="b"), False, id="another name"),
        pytest.param(revocation(serial_number="4F"), False, id="by serial number"),
    ],
)
def test_who_is_revoked_by_name_is_not_reissued_at_every_run(entry, is_refused):
    clients = complete([client("a", reissue_revoked=True), client("b")])
    if is_refused:
        with pytest.raises(MtlsError, match=r"mtls_pki_revoked\[0\] \(a\): .* serial_number"):
            complete_revocations([entry], clients)
    else:
        assert complete_revocations([entry], clients) == [entry]


def test_a_passphrase_for_no_authority_is_named():
    check_passphrase_names(["root"], ROOT)
    with pytest.raises(MtlsError, match=r"mtls_pki_key_passphrases: 'rooot' is not one of .*root"):
        check_passphrase_names(["rooot"], ROOT)
