# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alternative names and name constraints: what is accepted, refused, and found forbidden."""

from __future__ import annotations

import ipaddress
import string
from datetime import UTC, datetime

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.general_names import (
    alternative_names,
    constraint_violation,
    general_name,
    general_name_text,
    name_constraints,
    name_constraints_text,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.names import subject, utf8_string
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type as StringType
from cryptography.x509.oid import NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

KEY = ec.generate_private_key(ec.SECP256R1())
DAY = datetime(2027, 1, 1, tzinfo=UTC)
APP = subject("app", "here")
MAILBOX_OID = "1.3.6.1.5.5.7.8.9"
# One character more than DNS takes.
LONG_HOST = ".".join([*["a" * 63] * 3, "b" * 62])

quick = settings(max_examples=100, deadline=None, database=None)


def certificate(extension: x509.ExtensionType) -> x509.Certificate:
    """Return a certificate with one extension, after it was made and read."""
    builder = x509.CertificateBuilder().subject_name(APP).issuer_name(APP)
    builder = builder.public_key(KEY.public_key()).serial_number(1)
    builder = builder.not_valid_before(DAY).not_valid_after(DAY)
    made = builder.add_extension(extension, critical=False).sign(KEY, hashes.SHA256())
    return x509.load_der_x509_certificate(made.public_bytes(Encoding.DER))


def refusal(function) -> str:
    """Return what a function's error says, or nothing."""
    try:
        function()
    except MtlsError as error:
        return str(error)
    return ""


# Alternative names


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        pytest.param("DNS:app.example.com", None, id="host name"),
        pytest.param("DNS:App.Example.COM", None, id="case is kept"),
        pytest.param("DNS:localhost", None, id="one label"),
        pytest.param("DNS:*.example.com", None, id="wildcard"),
        pytest.param("DNS:_sip.example.com", None, id="underscore"),
        pytest.param("DNS:xn--zo-lja.example", None, id="A-label"),
        pytest.param(f"DNS:{'.'.join(['a' * 63] * 3)}.{'b' * 61}", None, id="253 characters"),
        pytest.param("IP:192.0.2.1", None, id="IPv4"),
        pytest.param("IP:2001:db8::1", None, id="IPv6"),
        pytest.param("IP:2001:0DB8:0:0:0:0:0:1", "IP:2001:db8::1", id="IPv6 in full"),
        pytest.param("email:me@example.com", None, id="mail address"),
        pytest.param("email:first.last+tag@Mail.Example.COM", None, id="dots and a tag"),
        pytest.param("email:!#$%&'*+-/=?^_`{|}~@localhost", None, id="all that a dot-atom holds"),
        pytest.param(f"email:{'a' * 64}@b", None, id="local part of 64"),
        pytest.param("URI:https://example.com", None, id="host of a URI"),
        pytest.param("URI:https://me@example.com:8443/a/b?c=d&e#f", None, id="all parts of a URI"),
        pytest.param("URI:https://[2001:db8::1]/", None, id="IPv6 in a URI"),
        pytest.param("URI:https://192.0.2.1:80/%C3%A9", None, id="IPv4 in a URI, and an escape"),
        pytest.param("URI:urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", None, id="URN"),
        pytest.param("URI:spiffe://example.com", None, id="trust domain"),
        pytest.param("URI:spiffe://a-b_c.1/ns/Prod/sa/..a_-.", None, id="SPIFFE ID"),
        pytest.param(f"URI:spiffe://a/{'b' * 2037}", None, id="SPIFFE ID of 2048"),
        pytest.param("UPN:me@example.com", None, id="UPN"),
        pytest.param("UPN:zoë@ad.example", None, id="UPN beyond ASCII"),
        pytest.param("otherName:1.2.3.4;UTF8:some text; über", None, id="otherName"),
        pytest.param("otherName:1.2.3.4;UTF8:UTF8:a", None, id="otherName that looks like one"),
        pytest.param("otherName:1.2.3.4;DER:0c0161", "otherName:1.2.3.4;UTF8:a", id="DER of text"),
        pytest.param("otherName:1.2.3.4;DER:0C010A", None, id="DER of a newline"),
        pytest.param("otherName:1.2.3.4;DER:0C00", None, id="DER of empty text"),
        pytest.param("otherName:1.2.3.4;DER:0C026120", None, id="DER of a space at the end"),
        pytest.param("otherName:1.2.3.4;DER:160161", None, id="DER of an IA5String"),
        pytest.param("otherName:1.2.3.4;DER:3000", None, id="DER of a sequence"),
        pytest.param(
            *("otherName:1.3.6.1.4.1.311.20.2.3;UTF8:a@b", "UPN:a@b"), id="UPN as otherName"
        ),
        pytest.param(
            *("otherName:1.3.6.1.4.1.311.20.2.3;UTF8:a", None), id="no UPN, but with its OID"
        ),
        pytest.param(f"otherName:1.2.3;UTF8:{'ä' * 40000}", None, id="otherName of 80,000 bytes"),
        pytest.param("RID:1.2.3.4", None, id="registered ID"),
        pytest.param("dirName:O=Example,C=DE", None, id="directory name"),
        pytest.param("dirName:cn=b+o=a", "dirName:O=a+CN=b", id="directory name, another way"),
        pytest.param(r"dirName:O=Zoë\, Inc.", r"dirName:O=Zo\C3\AB\, Inc.", id="escapes"),
        pytest.param("dirName:2.23.133.2.1=id:1", "dirName:2.23.133.2.1=#0C0469643A31", id="TPM"),
    ],
)
def test_an_alternative_name_reads_back_as_it_was_written(text, normal):
    name = general_name(text, "server")
    found = certificate(x509.SubjectAlternativeName([name]))
    assert alternative_names(found) == [general_name_text(name)] == [normal or text]
    assert general_name(normal or text, "server") == name


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("app.example.com", id="no kind"),
        pytest.param("", id="empty"),
        pytest.param("dns:app.example.com", id="kind in lower case"),
        pytest.param("EMAIL:me@example.com", id="kind in upper case"),
        pytest.param("othername:1.2.3;UTF8:a", id="kind in lower case"),
        pytest.param(" DNS:app", id="space before"),
    ],
)
def test_an_alternative_name_of_an_unknown_kind_is_refused(text):
    with pytest.raises(MtlsError, match=r"^server: the alternative name .* must start with one"):
        general_name(text, "server")


@pytest.mark.parametrize(
    ("reason", "texts"),
    [
        (
            "must be DNS: followed by a host name",
            [
                *("DNS:", "DNS:a..b", "DNS:.example.com", "DNS:example.com.", "DNS:-a.example"),
                *("DNS:a-.example", "DNS:a.*.example", "DNS:w*.example", "DNS:*", "DNS:*.", "DNS:*.*.a"),
                *("DNS:app example", "DNS:a,DNS:b", "DNS:zoë.example", "DNS:\u212aube.example"),
                *("DNS:a\u017f.example", f"DNS:{'a' * 64}.example", f"DNS:{'.'.join(['a' * 63] * 4)}"),
                *("DNS:a:b", "DNS:a/b", f"DNS:*.{'.'.join(['a' * 63] * 3)}.{'b' * 60}"),
            ],
        ),
        (
            "must be IP: followed by an address",
            [
                *("IP:", "IP:192.0.2.0/24", "IP:192.0.2.256", "IP:1", "IP:fe80::1%eth0", "IP:::1%"),
                *("IP:192.0.2.1 ", "IP:\u0661.0.0.1", "IP:[::1]", "IP:1.2.3.4:80", "IP:01.2.3.4"),
            ],
        ),
        (
            "must be email: followed by a mail address",
            [
                *("email:", "email:me", "email:@example.com", "email:me@", "email:a@b@c", "email:a b@c"),
                *("email:zoë@example.com", "email:me@zoë.example", "email:.a@b", "email:a.@b"),
                *("email:a..b@c", "email:Me <me@example.com>", "email:<me@example.com>", 'email:"a"@b'),
                *("email:a@*.example.com", "email:a@[192.0.2.1]", "email:a@b,c@d", "email:a@b."),
                *(f"email:{'a' * 65}@b", f"email:a@{LONG_HOST}"),
            ],
        ),
        (
            "must be URI: followed by an absolute URI",
            [
                *("URI:", "URI:example.com", "URI:/a", "URI://example.com", "URI:https:", "URI:https://"),
                *("URI:https:///a", "URI:file:///a", "URI:1a://b", "URI:https://a b/", "URI:https://a/ b"),
                *("URI:https://zoë.example/", "URI:https://example.com/é", "URI:https://a/%zz"),
                *("URI:https://a/b#c#d", "URI:https://a:b/", "URI:https://a:/", "URI:https://a:123456/"),
                *("URI:https://a@b@c/", "URI:https://[::1", "URI:https://[::g]/", "URI:https://[1.2.3.4]/"),
                *("URI:https://-a/", "URI:https://*.example.com/", "URI:https://a/[b]", "URI:https://a\\b"),
                *("URI:https://a?b/<c>", "URI:urn:é", "URI:spiffe://", "URI:spiffe:///a"),
            ],
        ),
        (
            "must be a SPIFFE ID",
            [
                *("URI:spiffe://example.com/", "URI:spiffe://Example.com/a", "URI:SPIFFE://example.com/a"),
                *("URI:Spiffe://example.com", "URI:spiffe://example.com//a", "URI:spiffe://example.com/a/"),
                *("URI:spiffe://a/./b", "URI:spiffe://a/..", "URI:spiffe://a/b/../c", "URI:spiffe://a/b?c"),
                *("URI:spiffe://a/b#c", "URI:spiffe://a:80/b", "URI:spiffe://me@a/b", "URI:spiffe://a/b:c"),
                *("URI:spiffe://a/%41", "URI:spiffe://a/b~c", "URI:spiffe:a", "URI:spiffe:/a/b"),
                *("URI:spiffe://[::1]/a", f"URI:spiffe://a/{'b' * 2038}", "URI:spiffe://a?", "URI:spiffe://a#"),
            ],
        ),
        (
            "must be UPN: followed by",
            ["UPN:", "UPN:a", "UPN:@b", "UPN:a@", "UPN:a@b@c", "UPN:a b@c", "UPN:a@b "],
        ),
        (
            "must be otherName: followed by an OID",
            [
                *("otherName:", "otherName:1.2.3", "otherName:1.2.3;", "otherName:1.2.3;UTF8:"),
                *("otherName:1.2.3;IA5:a", "otherName:1.2.3;utf8:a", "otherName:1.2.3;a", "otherName:;UTF8:a"),
                *("otherName:msUPN;UTF8:a", "otherName:1.2.3;UTF8:a ", "otherName:1.2.3:UTF8;a"),
            ],
        ),
        (
            "must hold one element of DER",
            [
                *("otherName:1.2.3;DER:0", "otherName:1.2.3;DER:0C", "otherName:1.2.3;DER:0C0161FF"),
                *("otherName:1.2.3;DER:xx", "otherName:1.2.3;DER:0C8000", "otherName:1.2.3;DER:0C810161"),
                *("otherName:1.2.3;DER:1F0161", "otherName:1.2.3;DER:0C820001"),
            ],
        ),
        (
            "needs a valid OID",
            [
                *("RID:", "RID:1", "RID:a", "RID:1.2.", "RID:1.2.3 ", "RID:3.1", "RID:1.2.268435456"),
                *("otherName:1;UTF8:a", "otherName:3.1;UTF8:a", "otherName:1..2;DER:0C00"),
            ],
        ),
        ("must hold a name as in RFC 4514", ["dirName:", "dirName:a", "dirName:O=a, C=DE", "dirName:/O=a"]),
        ("holds C=, which must be two upper-case letters", ["dirName:C=de"]),
        ("holds org=, which must be one of", ["dirName:org=a"]),
        ("must be printable", ["DNS:a\n", "DNS:a\0", "UPN:a\u202e@b", "otherName:1.2;UTF8:\ud800", "URI:a:\r"]),
    ],
)  # fmt: skip
def test_an_alternative_name_that_no_certificate_should_hold_is_refused(reason, texts):
    for text in texts:
        said = refusal(lambda text=text: general_name(text, "server"))
        assert said.startswith(f"server: the alternative name {text!r} {reason}")


def test_names_of_others_are_written_as_they_are():
    names = [
        x509.DNSName("*"),
        x509.RFC822Name("example.com"),
        x509.UniformResourceIdentifier("a b"),
        x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a\n")])),
        x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x13\x01a"),
    ]
    assert alternative_names(certificate(x509.SubjectAlternativeName(names))) == [
        "DNS:*",
        "URI:a b",
        r"dirName:CN=a\0A",
        "email:example.com",
        "otherName:1.2.3;DER:130161",
    ]


def test_without_alternative_names_the_list_is_empty():
    assert alternative_names(certificate(x509.BasicConstraints(False, None))) == []


# Name constraints


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("DNS:example.com", id="host"),
        pytest.param("DNS:com", id="top-level domain"),
        pytest.param("IP:10.0.0.0/8", id="IPv4"),
        pytest.param("IP:192.0.2.1/32", id="one IPv4"),
        pytest.param("IP:0.0.0.0/0", id="all of IPv4"),
        pytest.param("IP:2001:db8::/32", id="IPv6"),
        pytest.param("IP:::/0", id="all of IPv6"),
        pytest.param("email:example.com", id="mail of a host"),
        pytest.param("email:.example.com", id="mail of a domain"),
        pytest.param("email:me@example.com", id="one mailbox"),
        pytest.param("URI:example.com", id="URI of a host"),
        pytest.param("URI:.example.com", id="URI of a domain"),
        pytest.param("dirName:O=Example,C=DE", id="directory name"),
    ],
)
def test_a_name_constraint_reads_back_as_it_was_written(text):
    for given_texts in (([text], []), ([], [text]), ([text, "DNS:b.example"], ["DNS:a"])):
        made = name_constraints(*given_texts, "authority")
        [found] = certificate(made).extensions
        assert found.value == made
        assert name_constraints_text(found.value) == given_texts


def test_without_names_there_are_no_constraints():
    assert name_constraints([], [], "authority") is None
    assert name_constraints_text(None) == ([], [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("example.com", "must start with one of DNS:, IP:, email:, URI:, dirName:"),
        ("UPN:a@b", "must start with one of DNS:"),
        ("RID:1.2.3", "must start with one of DNS:"),
        ("DNS:.example.com", "must be DNS:example.com without the leading dot"),
        ("DNS:*.example.com", "must be DNS: followed by a host name"),
        ("DNS:", "must be DNS: followed by a host name"),
        ("DNS:.", "must be DNS: followed by a host name"),
        ("IP:10.1.2.3/8", "must be IP:10.0.0.0/8, because a network's host bits are zero"),
        ("IP:2001:db8::1/32", "must be IP:2001:db8::/32, because"),
        ("IP:10.0.0.0", "must be IP: followed by a network"),
        ("IP:10.0.0.0/33", "must be IP: followed by a network"),
        ("IP:10.0.0.0/255.0.0.0", "must be IP: followed by a network"),
        ("IP:10.0.0.0/0.255.255.255", "must be IP: followed by a network"),
        ("IP:10.0.0.0/", "must be IP: followed by a network"),
        ("IP:fe80::%eth0/64", "must be IP: followed by a network"),
        ("IP:", "must be IP: followed by a network"),
        ("email:@example.com", "must be email: followed by a mail address"),
        ("email:", "must be email: followed by a host"),
        ("email:.", "must be email: followed by a host"),
        ("email:..example.com", "must be email: followed by a host"),
        ("email:*.example.com", "must be email: followed by a host"),
        ("email:zoë.example", "must be email: followed by a host"),
        (f"email:.{LONG_HOST}", "must be email: followed by a host"),
        (f"DNS:{LONG_HOST}", "must be DNS: followed by a host name"),
        ("URI:https://example.com", "must be URI: followed by a host"),
        ("URI:", "must be URI: followed by a host"),
        ("URI:*.example.com", "must be URI: followed by a host"),
        ("dirName:O", "must hold a name as in RFC 4514"),
        ("DNS:a\n", "must be printable"),
    ],
)
def test_a_name_constraint_that_verifiers_misread_is_refused(text, reason):
    for given_texts in (([text], []), ([], [text]), (["DNS:a", text], [])):
        said = refusal(lambda given_texts=given_texts: name_constraints(*given_texts, "authority"))
        assert said.startswith(f"authority: the name constraint {text!r} {reason}")


# What constraints forbid


def violation(permitted=(), excluded=(), names=(), common_name="app", **attributes):
    constraints = name_constraints(list(permitted), list(excluded), "here")
    return constraint_violation(
        constraints,
        subject(common_name, "here", attributes),
        [general_name(name, "here") for name in names],
    )


@pytest.mark.parametrize(
    ("tree", "inside", "outside"),
    [
        pytest.param(
            "DNS:Example.com",
            ["DNS:example.com", "DNS:a.EXAMPLE.com", "DNS:a.b.example.com", "DNS:*.example.com"],
            ["DNS:com", "DNS:notexample.com", "DNS:example.com.evil"],
            id="DNS",
        ),
        pytest.param("IP:10.0.0.0/8", ["IP:10.1.2.3"], ["IP:11.0.0.1", "IP:::a00:1"], id="IPv4"),
        pytest.param("IP:2001:db8::/32", ["IP:2001:db8::1"], ["IP:2001:db9::", "IP:1.2.3.4"], id="IPv6"),
        pytest.param(
            "email:example.com",
            ["email:me@example.com", "email:You@EXAMPLE.com"],
            ["email:me@a.example.com", "email:me@notexample.com"],
            id="mail of a host",
        ),
        pytest.param(
            "email:.example.com",
            ["email:me@a.example.com", "email:me@a.b.Example.com"],
            ["email:me@example.com", "email:me@a.example.org"],
            id="mail of a domain",
        ),
        pytest.param(
            "email:me@example.com",
            ["email:me@example.com", "email:me@EXAMPLE.COM"],
            ["email:Me@example.com", "email:not.me@example.com", "email:me@a.example.com"],
            id="one mailbox",
        ),
        pytest.param(
            "URI:example.com",
            ["URI:https://example.com", "URI:https://EXAMPLE.com:8443/a:b", "URI:spiffe://example.com/a"],
            ["URI:https://a.example.com/", "URI:spiffe://notexample.com/a"],
            id="URI of a host",
        ),
        pytest.param(
            "URI:.example.com",
            ["URI:https://a.example.com/", "URI:spiffe://a.b.example.com/a"],
            ["URI:https://example.com/", "URI:https://a.example.org/"],
            id="URI of a domain",
        ),
        pytest.param(
            "dirName:O=Example  Inc,C=DE",
            ["dirName:CN=a,O=example inc,C=DE", "dirName:O=EXAMPLE INC,C=DE"],
            ["dirName:C=DE", "dirName:C=DE,O=Example Inc", "dirName:O=Example,C=DE", "dirName:O=Éxample,C=DE"],
            id="directory name",
        ),
    ],
)  # fmt: skip
def test_a_name_is_inside_or_outside_of_a_subtree(tree, inside, outside):
    fits = {"C": "DE", "O": "Example Inc"} if tree.startswith("dirName") else {}
    for name in inside:
        assert violation([tree], names=[name], **fits) is None
        said = violation([], [tree], names=[name])
        assert said.startswith("the alternative name ")
        assert said.endswith(f" lies inside of what is excluded, {tree}")
    for name in outside:
        said = violation([tree], names=[name], **fits)
        assert said.startswith("the alternative name ")
        assert " lies outside of what is permitted, " in said
        assert violation([], [tree], names=[name]) is None


def test_names_of_other_kinds_are_free():
    names = ["IP:1.2.3.4", "URI:urn:a", "email:a@b", "UPN:a@b", "RID:1.2.3", "dirName:O=a"]
    assert violation(["DNS:example.com"], ["DNS:a.example.com"], names) is None


def test_one_of_several_permitted_subtrees_is_enough_and_an_excluded_one_counts_more():
    permitted, excluded = ["DNS:a.example", "DNS:b.example"], ["DNS:x.b.example"]
    assert violation(permitted, excluded, ["DNS:a.example", "DNS:w.b.example"]) is None
    assert violation(permitted, excluded, ["DNS:a.example", "DNS:c.example"]) == (
        "the alternative name DNS:c.example lies outside of what is permitted, "
        "DNS:a.example, DNS:b.example"
    )
    assert violation(permitted, excluded, ["DNS:y.x.b.example"]) == (
        "the alternative name DNS:y.x.b.example lies inside of what is excluded, DNS:x.b.example"
    )


def test_the_subject_is_held_against_directory_names():
    tree = "dirName:O=Example,C=DE"
    assert violation([tree], C="DE", O="Example", OU="a") is None
    assert violation([tree]) == (
        "the subject CN=app lies outside of what is permitted, dirName:O=Example,C=DE"
    )
    assert violation(excluded=[tree], C="DE", O="EXAMPLE") == (
        "the subject CN=app,O=EXAMPLE,C=DE lies inside of what is excluded, dirName:O=Example,C=DE"
    )
    constraints = name_constraints([tree], [], "here")
    assert constraint_violation(constraints, x509.Name([]), []) is None


def test_mail_addresses_of_the_subject_are_held_against_those_of_constraints():
    assert violation(["email:example.com"], emailAddress="me@example.com") is None
    assert violation(["email:example.com"], emailAddress=["a@example.com", "b@c"]) == (
        "the subject's emailAddress b@c lies outside of what is permitted, email:example.com"
    )
    foreign = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, "me")])
    constraints = name_constraints([], ["email:example.com"], "here")
    assert constraint_violation(constraints, foreign, []) == (
        "the subject's emailAddress me is no mail address, and the authority constrains those"
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(utf8_string("zoë@example.com"), None, id="inside"),
        pytest.param(utf8_string("zoë@example.org"), "lies outside", id="outside"),
        pytest.param(utf8_string("zoë@\u212aexample.com"), "lies outside", id="Kelvin sign"),
        pytest.param(b"\x16\x03a@b", "is no mail address", id="no UTF8String"),
    ],
)
def test_a_mailbox_beyond_ascii_is_a_mail_address_too(value, reason):
    name = x509.OtherName(x509.ObjectIdentifier(MAILBOX_OID), value)
    found = constraint_violation(name_constraints(["email:example.com"], [], "here"), APP, [name])
    assert found is None if reason is None else reason in found


def test_a_common_name_that_looks_like_a_host_is_one_where_no_other_is():
    assert violation(["DNS:example.com"], common_name="a.example.com") is None
    assert violation(["DNS:example.com"], common_name="localhost") is None
    assert violation(["DNS:example.com"], common_name="John Q. Public") is None
    assert (
        violation(["DNS:example.com"], names=["DNS:example.com"], common_name="a.example") is None
    )
    assert violation(["DNS:example.com"], names=["IP:1.2.3.4"], common_name="a.example") == (
        "the common name a.example, which looks like a host name, lies outside of what is "
        "permitted, DNS:example.com"
    )


@pytest.mark.parametrize(
    ("excluded", "is_forbidden"),
    [
        pytest.param("DNS:a.example.com", True, id="what the star stands for"),
        pytest.param("DNS:b.a.example.com", False, id="deeper"),
        pytest.param("DNS:a.example.org", False, id="elsewhere"),
    ],
)
def test_a_wildcard_must_not_stand_for_an_excluded_host(excluded, is_forbidden):
    said = violation([], [excluded], ["DNS:*.example.com"])
    assert bool(said) is is_forbidden


def test_a_wildcard_needs_more_than_one_permitted_host():
    assert "lies outside" in violation(["DNS:a.example.com"], names=["DNS:*.example.com"])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("URI:urn:example:a", id="no host"),
        pytest.param("URI:https://192.0.2.1/", id="IPv4"),
        pytest.param("URI:https://[::1]/", id="IPv6"),
        pytest.param("URI:https://me@example.com/", id="user"),
        pytest.param("URI:https://example.com?a", id="query without a path"),
        pytest.param("URI:https://example.com#a", id="fragment without a path"),
        pytest.param("URI:https://example.com/a:b", id="colon without a port"),
    ],
)
def test_a_uri_whose_host_some_verifiers_miss_is_forbidden_where_hosts_are_constrained(name):
    for trees in ((["URI:example.com"], []), ([], ["URI:example.org"])):
        assert "is one that verifiers can't hold against" in violation(*trees, [name])


@pytest.mark.parametrize(
    ("tree", "name", "said"),
    [
        pytest.param("", "a.example", None, id="empty, all"),
        pytest.param(".example.com", "a.example.com", None, id="leading dot, below"),
        pytest.param(".example.com", "example.com", "lies outside", id="leading dot, the host"),
    ],
)
def test_host_constraints_of_other_authorities_are_taken_as_openssl_takes_them(tree, name, said):
    constraints = x509.NameConstraints([x509.DNSName(tree)], None)
    found = constraint_violation(constraints, APP, [x509.DNSName(name)])
    assert found is None if said is None else said in found


def test_constraints_of_other_kinds_forbid_all_names_of_theirs():
    upn = general_name("UPN:a@b", "here")
    for tree in (upn, general_name("RID:1.2.3", "here")):
        for constraints in (x509.NameConstraints([tree], None), x509.NameConstraints(None, [tree])):
            found = constraint_violation(constraints, APP, [tree])
            assert found.endswith(
                "is one that verifiers can't hold against the authority's constraints"
            )
            assert constraint_violation(constraints, APP, [x509.DNSName("a")]) is None


@pytest.mark.skipif(
    not hasattr(StringType, "BitString"), reason="this cryptography reads no such names"
)
def test_bits_in_a_foreign_constraint_are_compared_as_they_are():
    oid = x509.ObjectIdentifier("2.5.4.45")
    bits = [x509.NameAttribute(oid, value, StringType.BitString) for value in (b"\0A", b"\0a")]
    names = [x509.DirectoryName(x509.Name([each])) for each in bits]
    constraints = x509.NameConstraints(None, names[:1])
    assert "lies inside" in constraint_violation(constraints, APP, names[:1])
    assert constraint_violation(constraints, APP, names[1:]) is None


# Properties


LABELS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
WORDS = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=8)
OIDS = st.lists(st.integers(0, 2**28 - 1), min_size=1, max_size=6).map(
    lambda numbers: "1.2." + ".".join(map(str, numbers))
)
TEXTS = st.text(max_size=200).filter(lambda text: text.isprintable() and text.strip() == text != "")
NAMES = st.one_of(
    HOSTS.map("DNS:{}".format),
    HOSTS.map("DNS:*.{}".format),
    st.ip_addresses().filter(lambda address: "%" not in str(address)).map("IP:{}".format),
    st.builds("email:{}@{}".format, LABELS, HOSTS),
    st.builds("URI:https://{}/{}".format, HOSTS, WORDS),
    st.builds("URI:spiffe://{}/a{}".format, HOSTS, WORDS),
    st.builds("UPN:{}@{}".format, LABELS, HOSTS),
    st.builds("otherName:{};UTF8:{}".format, OIDS, TEXTS),
    OIDS.map("RID:{}".format),
    st.builds("dirName:CN={}+OU={},O={},C=DE".format, LABELS, HOSTS, LABELS),
)
SEEDS = st.sampled_from(
    [
        *["DNS:a.b", "IP:::1", "email:a@b", "URI:https://a/b", "URI:spiffe://a/b", "UPN:a@b"],
        *["otherName:1.2.3;UTF8:a", "otherName:1.2.3;DER:0C0161", "RID:1.2.3", "dirName:O=a,C=DE"],
    ]
)
PIECES = st.one_of(
    st.text(max_size=3), st.sampled_from([*"@:/.;=,+#\\%*[]0 ", "\n", "\0", "é", "::"])
)


@st.composite
def spoiled(draw):
    """A name with something put in the place of a part of it."""
    text = draw(st.one_of(NAMES, SEEDS))
    start = draw(st.integers(0, len(text)))
    return text[:start] + draw(PIECES) + text[draw(st.integers(start, len(text))) :]


@quick
@given(st.lists(NAMES, min_size=1, max_size=5, unique=True))
def test_alternative_names_come_back_from_a_certificate(texts):
    names = [general_name(text, "here") for text in texts]
    canonical = [general_name_text(name) for name in names]
    assert [general_name(text, "here") for text in canonical] == names
    found = certificate(x509.SubjectAlternativeName(names))
    assert alternative_names(found) == sorted(canonical)
    [extension] = found.extensions
    assert list(extension.value) == names


@quick
@given(OIDS, st.binary(max_size=40))
@example("1.2.3", b"\x0c\x01\xff")
@example("1.3.6.1.4.1.311.20.2.3", b"\x0c\x03a@b")
def test_an_other_name_comes_back_whatever_it_holds(oid, content):
    name = x509.OtherName(x509.ObjectIdentifier(oid), bytes([0x30, len(content)]) + content)
    assert general_name(general_name_text(name), "here") == name


@settings(quick, max_examples=300)
@given(st.one_of(spoiled(), st.text(max_size=20)))
@example("email:a@b\udcff")
@example("RID:1.2.268435456")
@example("URI:https://[::1%eth0]/")
@example("URI:http://[" + "1" * 5000 + "]/")
@example("otherName:1.2.3;DER:é")
@example("dirName:1.2=#")
def test_any_text_becomes_an_alternative_name_or_a_clear_error(text):
    def there_and_back():
        name = general_name(text, "here")
        canonical = general_name_text(name)
        assert general_name(canonical, "here") == name
        assert alternative_names(certificate(x509.SubjectAlternativeName([name]))) == [canonical]

    said = refusal(there_and_back)
    assert not said or said.startswith(f"here: the alternative name {text!r} ")


@quick
@given(st.one_of(spoiled(), st.text(max_size=20)))
@example("IP:10.0.0.0/99999")
@example("IP:/8")
@example("email:.@")
def test_any_text_becomes_a_name_constraint_or_a_clear_error(text):
    def there_and_back():
        made = name_constraints([text], [], "here")
        [found] = certificate(made).extensions
        [canonical], nothing = name_constraints_text(found.value)
        assert nothing == []
        assert name_constraints([canonical], [], "here") == made

    said = refusal(there_and_back)
    assert not said or said.startswith(f"here: the name constraint {text!r} ")


@quick
@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_the_right_network_is_named_where_host_bits_are_set(address, length):
    network = ipaddress.ip_network(f"{address}/{length}", strict=False)
    text = f"IP:{address}/{length}"
    said = refusal(lambda: name_constraints([text], [], "here"))
    if network.network_address == address:
        assert said == ""
    else:
        assert f" must be IP:{network}, " in said
