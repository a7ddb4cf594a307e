# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extensions: from options to X.509, and what differs."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    Signer,
    build_certificate,
    extent,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.extensions import (
    EXTENDED_KEY_USAGES,
    GOVERNED_OIDS,
    KEY_USAGES,
    Pointers,
    authority_extensions,
    differences,
    extended_key_usage_oid,
    key_usage_extension,
    own_extension,
    policies_extension,
)
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    name_of,
    new_key,
)
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

KEY = new_key()


def carrying(extensions):
    lives = extent(NOW, DAY)
    return build_certificate(name_of("a"), KEY.public_key(), Signer(KEY), lives, extensions)


def names(*texts):
    return [(x509.SubjectAlternativeName([x509.DNSName(text) for text in texts]), False)]


def usages(*oids):
    return [(x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in oids]), False)]


CLIENT, SERVER = EXTENDED_KEY_USAGES["clientAuth"], EXTENDED_KEY_USAGES["serverAuth"]
OWN = base64.b64encode(b"\x04\x00").decode()


@pytest.mark.parametrize("usage", KEY_USAGES)
def test_each_key_usage_sets_its_own_bit(usage):
    wanted = {usage, "keyAgreement"} if usage in ("encipherOnly", "decipherOnly") else {usage}
    [(value, critical)] = key_usage_extension(sorted(wanted))
    assert critical
    found = carrying([(value, critical)]).extensions.get_extension_for_class(x509.KeyUsage).value
    assert found == value
    argument = KEY_USAGES[usage]
    assert getattr(found, argument)
    others = [name for name in KEY_USAGES.values() if name not in {KEY_USAGES[u] for u in wanted}]
    for other in others:
        if other not in ("encipher_only", "decipher_only") or found.key_agreement:
            assert not getattr(found, other)


def test_without_a_usage_there_is_no_such_extension():
    assert key_usage_extension([]) == []


@pytest.mark.parametrize(
    ("text", "oid"),
    [*EXTENDED_KEY_USAGES.items(), pytest.param("1.2.3.4", "1.2.3.4", id="an OID")],
)
def test_an_extended_key_usage_is_known_by_its_name_or_oid(text, oid):
    assert extended_key_usage_oid(text, "x") == oid


@pytest.mark.parametrize(
    "text", ["", "ClientAuth", "1", "3.1.2", "1.02.3", "1.2.", "1.2 3", "1.2\n"]
)
def test_any_other_extended_key_usage_is_refused(text):
    with pytest.raises(MtlsError, match="profile 'p': the extended key usage .* must be an OID or"):
        extended_key_usage_oid(text, "profile 'p'")


@pytest.mark.parametrize(
    ("text", "qualifiers"),
    [
        pytest.param("1.3.6.1.4.1.99999.1", None, id="OID"),
        pytest.param("1.2.3 https://example.com/cps", ["https://example.com/cps"], id="with URL"),
    ],
)
def test_a_policy_may_name_its_practice_statement(text, qualifiers):
    [(value, critical)] = policies_extension([text], "x")
    assert not critical
    assert [policy.policy_qualifiers for policy in value] == [qualifiers]
    assert (
        carrying([(value, critical)]).extensions.get_extension_for_class(type(value)).value == value
    )


def test_without_policies_there_is_no_such_extension():
    assert policies_extension([], "x") == []


@pytest.mark.parametrize("text", ["", "x", "1.2.3  http://a", "1.2.3 example.com", "1.2.3 ftp://a"])
def test_any_other_policy_is_refused(text):
    with pytest.raises(MtlsError, match="x: the certificate policy .* must be an OID such as"):
        policies_extension([text], "x")


@pytest.mark.parametrize(
    ("oid", "value", "sentence"),
    [
        pytest.param("x", OWN, "the extension 'x' must be named by its OID", id="no OID"),
        pytest.param("1.2.3", "", "must be DER in Base64", id="empty"),
        pytest.param("1.2.3", "äö", "must be DER in Base64", id="no Base64"),
        pytest.param("1.2.3", "BA", "must be DER in Base64", id="cut off"),
        *(
            pytest.param(oid, OWN, f"is {name}, which other options decide", id=name)
            for oid, name in GOVERNED_OIDS.items()
        ),
    ],
)
def test_an_own_extension_that_cannot_be_is_refused(oid, value, sentence):
    with pytest.raises(MtlsError, match=f"profile 'p': .*{sentence}"):
        own_extension(oid, False, value, "profile 'p'")


@pytest.mark.parametrize("critical", [True, False])
def test_an_own_extension_goes_in_as_it_is(critical):
    value, is_critical = own_extension("1.2.3.4", critical, OWN, "x")
    found = carrying([(value, is_critical)]).extensions
    [extension] = [each for each in found if each.oid.dotted_string == "1.2.3.4"]
    assert (extension.critical, extension.value.value) == (critical, b"\x04\x00")


def test_pointers_become_one_distribution_point_and_one_access_list():
    pointers = Pointers(("http://a/1.crl", "ldap://b/2"), ("http://a/ca.cer",), ("http://ocsp",))
    points, access = (value for value, _critical in pointers.extensions())
    [point] = points
    assert [name.value for name in point.full_name] == ["http://a/1.crl", "ldap://b/2"]
    assert [(each.access_method, each.access_location.value) for each in access] == [
        (AuthorityInformationAccessOID.OCSP, "http://ocsp"),
        (AuthorityInformationAccessOID.CA_ISSUERS, "http://a/ca.cer"),
    ]
    assert [critical for _value, critical in pointers.extensions()] == [False, False]
    assert Pointers().extensions() == []


@pytest.mark.parametrize("option", ["crl_urls", "ca_issuers_urls", "ocsp_urls"])
@pytest.mark.parametrize(
    "url", ["", "a", "ftp://a", "http://", "http://a b", "http://ä", "http://a\n"]
)
def test_what_no_verifier_could_follow_is_refused(option, url):
    with pytest.raises(
        MtlsError, match=f"authority 'a': {option} .* must be an http, https or ldap"
    ):
        Pointers(**{option: (url,)}).check("authority 'a'")


BASE = [(x509.BasicConstraints(ca=False, path_length=None), True)]


@pytest.mark.parametrize(
    ("has", "wants", "expected"),
    [
        pytest.param([], [], [], id="nothing"),
        pytest.param(BASE + names("a"), names("a") + BASE, [], id="another order"),
        pytest.param([], BASE, ["+basicConstraints"], id="more"),
        pytest.param(BASE, [], ["-basicConstraints"], id="less"),
        pytest.param(
            BASE, [(BASE[0][0], False)], ["basicConstraints changed"], id="not critical any more"
        ),
        pytest.param(usages(CLIENT), usages(SERVER), ["extKeyUsage changed"], id="usage"),
        pytest.param(
            usages(CLIENT, SERVER),
            usages(SERVER, CLIENT),
            ["extKeyUsage changed"],
            id="usage order",
        ),
        pytest.param(names("b", "a"), names("a", "b"), [], id="names in another order"),
        pytest.param(names("a"), names("a", "c", "b"), ["SAN +DNS:b", "SAN +DNS:c"], id="names +"),
        pytest.param(
            names("a", "b"), names("c"), ["SAN +DNS:c", "SAN -DNS:a", "SAN -DNS:b"], id="all"
        ),
        pytest.param([], names("a"), ["SAN +DNS:a"], id="first name"),
        pytest.param(names("a"), [], ["SAN -DNS:a"], id="last name"),
        pytest.param(
            [],
            [own_extension("1.2.3.4", False, OWN, "x")],
            ["+1.2.3.4"],
            id="an extension of one's own",
        ),
        pytest.param(
            key_usage_extension(["digitalSignature"]) + BASE,
            key_usage_extension(["keyAgreement"]) + usages(CLIENT),
            ["keyUsage changed", "+extKeyUsage", "-basicConstraints"],
            id="several",
        ),
    ],
)
def test_each_difference_is_named(has, wants, expected):
    assert differences(carrying(has), wants) == expected


def test_what_is_ignored_is_not_named():
    assert differences(carrying(BASE), [], ["2.5.29.19"]) == []


def test_key_identifiers_are_no_difference():
    assert len(carrying([]).extensions) == 2
    assert differences(carrying([]), []) == []


def test_an_authority_is_one_by_critical_extensions():
    found = authority_extensions(0, ["DNS:a.example"], ["IP:10.0.0.0/8"], ["1.2.3"], "x")
    assert {type(value).__name__: critical for value, critical in found} == {
        "BasicConstraints": True,
        "KeyUsage": True,
        "NameConstraints": True,
        "CertificatePolicies": False,
    }
    assert differences(carrying(found), found) == []
