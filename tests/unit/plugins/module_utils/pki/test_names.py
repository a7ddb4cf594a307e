# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that are accepted, refused, and written the way nginx writes them."""

from __future__ import annotations

import string
from datetime import UTC, datetime

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.names import (
    check_entry_name,
    common_name_rfc2253,
    der_element,
    distinguished_name,
    object_identifier,
    rfc2253,
    subject,
    utf8_string,
    utf8_string_text,
)
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

quick = settings(max_examples=80, deadline=None, database=None)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a", id="one letter"),
        pytest.param("7", id="one digit"),
        pytest.param("app.example.com@web-1_2", id="all that is allowed"),
        pytest.param("a" * 128, id="128 characters"),
    ],
)
def test_an_entry_name_that_is_safe_as_a_folder_is_kept(name):
    assert check_entry_name(name, "client") == name


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param(".", id="here"),
        pytest.param("..", id="above"),
        pytest.param("../client1", id="above, then down"),
        pytest.param("a..b", id="two dots within"),
        pytest.param("a/b", id="slash"),
        pytest.param("/etc", id="absolute"),
        pytest.param("a\\b", id="backslash"),
        pytest.param(".hidden", id="leading dot"),
        pytest.param("-rf", id="leading hyphen"),
        pytest.param("_x", id="leading underscore"),
        pytest.param("@host", id="leading at"),
        pytest.param("a\0b", id="NUL"),
        pytest.param("a\n", id="newline at the end"),
        pytest.param("a\nb", id="newline"),
        pytest.param("a b", id="space"),
        pytest.param("Client1", id="upper case"),
        pytest.param("a" * 129, id="129 characters"),
        pytest.param("a" * 200, id="200 characters"),
        pytest.param("zoë", id="letter beyond ASCII"),
        pytest.param("a\u0661", id="digit beyond ASCII"),
        pytest.param("a\u212a", id="Kelvin sign"),
        pytest.param("a:b", id="colon"),
        pytest.param("a*", id="star"),
        pytest.param("$(id)", id="shell"),
    ],
)
def test_an_entry_name_that_could_climb_hide_or_collide_is_refused(name):
    with pytest.raises(MtlsError, match=r"client: the name .* must be 1 to 128 of a-z, 0-9"):
        check_entry_name(name, "client")


@pytest.mark.parametrize(
    "common_name",
    [
        pytest.param("c", id="one character"),
        pytest.param("c" * 64, id="64 characters"),
        pytest.param("é" * 32, id="64 bytes"),
        pytest.param('a, b+c="d"\\<e>;#=/', id="special characters"),
        pytest.param("#1", id="leading number sign"),
        pytest.param("Zoë 证书 \U0001f600", id="beyond ASCII"),
    ],
)
def test_a_common_name_becomes_the_whole_subject(common_name):
    [attribute] = subject(common_name, "client")
    assert (attribute.oid, attribute.value) == (NameOID.COMMON_NAME, common_name)


def through_a_certificate(name: x509.Name) -> x509.Name:
    """Return a name as it is after a certificate was made and read."""
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(KEY.public_key()).serial_number(1)
    builder = builder.not_valid_before(DAY).not_valid_after(DAY)
    made = builder.sign(KEY, hashes.SHA256())
    return x509.load_der_x509_certificate(made.public_bytes(Encoding.DER)).subject


@pytest.mark.parametrize(
    ("common_name", "reason"),
    [
        pytest.param("", "must take 1 to 64 bytes .*, not 0", id="empty"),
        pytest.param("c" * 65, "must take 1 to 64 bytes .*, not 65", id="65 characters"),
        pytest.param("é" * 33, "must take 1 to 64 bytes .*, not 66", id="33 characters, 66 bytes"),
        pytest.param("a\nb", "must be printable", id="newline"),
        pytest.param("a\n", "must be printable", id="newline at the end"),
        pytest.param("a\0b", "must be printable", id="NUL"),
        pytest.param("a\x7f", "must be printable", id="DEL"),
        pytest.param("a\u202eb", "must be printable", id="writes backwards"),
        pytest.param("a\udcffb", "must be printable", id="undecodable byte"),
        pytest.param(" a", "no space at either end", id="space before"),
        pytest.param("a ", "no space at either end", id="space behind"),
        pytest.param(" ", "no space at either end", id="nothing but a space"),
        pytest.param("a\u3000", "printable", id="ideographic space behind"),
    ],
)
def test_a_common_name_that_cannot_stand_in_a_certificate_is_refused(common_name, reason):
    with pytest.raises(MtlsError, match=f"client: common_name .* {reason}"):
        subject(common_name, "client")


# Attributes of a subject


EVERY_ATTRIBUTE = {
    "C": ("DE", "PrintableString"),
    "ST": ("Île-de-France", "UTF8String"),
    "L": ("München", "UTF8String"),
    "O": ("Example, Inc.", "UTF8String"),
    "OU": ("Édge+Ops", "UTF8String"),
    "serialNumber": ("SN-0042/7 (b)", "PrintableString"),
    "emailAddress": ("me@example.com", "IA5String"),
    "DC": ("example", "IA5String"),
    "UID": ("ü-1", "UTF8String"),
    "title": ("Dr.", "UTF8String"),
    "GN": ("Zoë", "UTF8String"),
    "SN": ("Müller", "UTF8String"),
    "street": ("Hauptstraße 1", "UTF8String"),
    "postalCode": ("10115", "UTF8String"),
    "1.2.3.4": ("ö", "UTF8String"),
    "2.5.4.46": ("q-1", "PrintableString"),
    "2.5.4.97": ("VATDE-1", "UTF8String"),
}


def test_each_attribute_has_the_string_type_that_rfc_5280_wants():
    wanted = {name: value for name, (value, _type) in EVERY_ATTRIBUTE.items()}
    found = through_a_certificate(subject("app", "client", wanted))
    types = [(attribute.value, attribute._type.name) for attribute in found]
    assert types == [*EVERY_ATTRIBUTE.values(), ("app", "UTF8String")]


def test_attributes_keep_their_order_and_the_common_name_stands_last():
    found = subject("app", "client", {"DC": ["com", "example"], "C": "DE", "OU": ["b", "a"]})
    assert rfc2253(found) == "CN=app,OU=a,OU=b,C=DE,DC=example,DC=com"


def test_an_oid_with_a_short_name_is_written_by_it():
    found = subject("app", "client", {"2.5.4.10": "Example", "1.2.840.113549.1.9.1": "a@b"})
    assert rfc2253(found) == "CN=app,emailAddress=a@b,O=Example"


@pytest.mark.parametrize("attributes", [None, {}, {"O": []}])
def test_a_subject_may_be_a_common_name_alone(attributes):
    assert rfc2253(subject("app", "client", attributes)) == "CN=app"


@pytest.mark.parametrize(
    ("name", "longest"),
    [
        *[("ST", 128), ("L", 128), ("O", 64), ("OU", 64), ("serialNumber", 64), ("DC", 63)],
        *[("UID", 256), ("title", 64), ("GN", 32768), ("SN", 32768), ("street", 128)],
        *[("postalCode", 40), ("1.2.3.4", 32768)],
    ],
)
def test_an_attribute_is_as_long_as_rfc_5280_and_x_520_let_it_be(name, longest):
    subject("app", "client", {name: "a" * longest})
    with pytest.raises(
        MtlsError, match=f"subject attribute {name} .* must take 1 to {longest} bytes"
    ):
        subject("app", "client", {name: "a" * (longest + 1)})
    with pytest.raises(MtlsError, match=r"must take 1 to .*, not 0"):
        subject("app", "client", {name: ""})


def test_bytes_are_counted_and_not_characters():
    with pytest.raises(MtlsError, match=r"O 'éé.*' must take 1 to 64 bytes .*, not 66"):
        subject("app", "client", {"O": "é" * 33})


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        pytest.param({"C": "de"}, "C 'de' must be two upper-case", id="lower-case country"),
        pytest.param({"C": "DEU"}, "C 'DEU' must take 1 to 2 bytes", id="three letters"),
        pytest.param({"C": "D"}, "C 'D' must be two upper-case letters", id="one letter"),
        pytest.param({"serialNumber": "a_b"}, "must be made of", id="no PrintableString"),
        pytest.param({"serialNumber": "é"}, "must be made of", id="beyond ASCII"),
        pytest.param({"emailAddress": "é@b"}, "must be a mail address in ASCII", id="mail"),
        pytest.param({"emailAddress": "me"}, "must be a mail address", id="no at"),
        pytest.param({"emailAddress": "a@b@c"}, "must be a mail address", id="two at"),
        pytest.param({"DC": "zoë"}, "must be one label", id="DC beyond ASCII"),
        pytest.param({"DC": "a b"}, "must be one label", id="DC with a space"),
        pytest.param({"O": " a"}, "O ' a' must be printable, with no space", id="space before"),
        pytest.param({"O": "a\n"}, "must be printable", id="newline"),
        pytest.param({"O": "a\udcff"}, "must be printable", id="undecodable byte"),
        pytest.param({"O": ["a", "b\0"]}, r"O 'b\x00' must be printable", id="one of a list"),
        pytest.param({"postalCode": 10115}, "postalCode 10115 must be text", id="number"),
        pytest.param({"O": None}, "O None must be text", id="nothing"),
        pytest.param({"CN": "a"}, "'CN' must be given as common_name", id="CN"),
        pytest.param({"cn": "a"}, "'cn' must be given as common_name", id="cn"),
        pytest.param({"2.5.4.3": "a"}, "must be given as common_name", id="OID of CN"),
        pytest.param({"o": "a"}, ": did you mean O?", id="case"),
        pytest.param({"organizationName": "a"}, "did you mean O?", id="long name"),
        pytest.param({"organisation": "a"}, "did you mean O?", id="British"),
        pytest.param({"givenName": "a"}, "did you mean GN?", id="givenName"),
        pytest.param({"surname": "a"}, "did you mean SN?", id="surname"),
        pytest.param({"commonName": "a"}, "did you mean CN?", id="commonName"),
        pytest.param({"emailAdress": "a"}, "did you mean emailAddress?", id="typing error"),
        pytest.param({"xyzzy": "a"}, "'xyzzy' must be one of C, ST, L, O, OU, ", id="unknown"),
        pytest.param({"": "a"}, "attribute '' must be one of C, ", id="empty"),
        pytest.param({1.5: "a"}, "attribute 1.5 must be text", id="number as a name"),
        pytest.param({"1": "a"}, "'1' needs a valid OID", id="one number"),
        pytest.param({"3.1": "a"}, "needs a valid OID", id="no such root"),
        pytest.param({"1.40": "a"}, "needs a valid OID", id="no such arc"),
        pytest.param({"1.2.03": "a"}, "needs a valid OID", id="leading zero"),
        pytest.param({"1.2.": "a"}, "needs a valid OID", id="trailing dot"),
        pytest.param({"1.2.3\n": "a"}, "needs a valid OID", id="newline in the OID"),
        pytest.param({"1.2.\u0663": "a"}, "needs a valid OID", id="digit beyond ASCII"),
        pytest.param({"1.2.268435456": "a"}, "needs a valid OID", id="large number"),
        pytest.param({"2.268435376": "a"}, "needs a valid OID", id="large sum"),
        pytest.param({"1.2" + ".3" * 80: "a"}, "needs a valid OID", id="long OID"),
        pytest.param({"2.5.4.20": "a"}, "OpenSSL has names", id="telephoneNumber"),
        pytest.param({"2.23.133.2.1": "a"}, "OpenSSL has names", id="named since 3.4"),
    ],
)
def test_an_attribute_that_cannot_stand_in_a_subject_is_refused(attributes, reason):
    with pytest.raises(MtlsError, match=r"^client: the subject attribute ") as caught:
        subject("app", "client", attributes)
    assert reason in str(caught.value)


# What nginx prints


@pytest.mark.parametrize(
    ("common_name", "expected"),
    [
        pytest.param("client1", "CN=client1", id="plain"),
        pytest.param("a,b", r"CN=a\,b", id="comma"),
        pytest.param('"+<>;\\', r"CN=\"\+\<\>\;\\", id="specials"),
        pytest.param("#a#", r"CN=\#a#", id="number sign at the start only"),
        pytest.param("#", "CN=#", id="number sign alone"),
        pytest.param("a=b/c", "CN=a=b/c", id="equals and slash stay"),
        pytest.param("a b", "CN=a b", id="space within stays"),
        pytest.param("é", r"CN=\C3\A9", id="two bytes"),
        pytest.param("証", r"CN=\E8\A8\BC", id="three bytes"),
    ],
)
def test_a_subject_is_written_as_nginx_writes_it(common_name, expected):
    assert rfc2253(subject(common_name, "client")) == expected
    assert common_name_rfc2253(common_name) == expected


def test_the_last_attribute_of_a_subject_comes_first():
    found = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example, Inc"),
            x509.NameAttribute(NameOID.COMMON_NAME, "client1"),
        ]
    )
    assert rfc2253(found) == r"CN=client1,O=Example\, Inc,C=DE"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("1.2.3.4", "1.2.3.4=#0C0161", id="own OID"),
        pytest.param("UID", "UID=a", id="UID"),
        pytest.param("GN", "GN=a", id="GN"),
    ],
)
def test_only_attributes_that_openssl_knows_are_written_by_name(name, expected):
    assert rfc2253(subject("app", "client", {name: "a"})) == f"CN=app,{expected}"


def test_a_long_value_without_a_name_is_written_with_its_length():
    written = rfc2253(subject("app", "client", {"1.2.3.4": "a" * 300}))
    assert written == "CN=app,1.2.3.4=#0C82012C" + "61" * 300


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        pytest.param(StringType.PrintableString, "1.2.3.4=#130161", id="PrintableString"),
        pytest.param(StringType.BMPString, "1.2.3.4=#1E020061", id="BMPString"),
    ],
)
def test_the_type_of_a_foreign_value_shows_where_it_is_dumped(type_, expected):
    attribute = x509.NameAttribute(x509.ObjectIdentifier("1.2.3.4"), "a", type_)
    assert rfc2253(through_a_certificate(x509.Name([attribute]))) == expected


def test_the_last_of_several_attributes_in_one_rdn_comes_first():
    name = through_a_certificate(distinguished_name("O=Example+OU=b+CN=a,C=DE"))
    assert rfc2253(name) == "O=Example+OU=b+CN=a,C=DE"


# RFC 4514


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        pytest.param("CN=app", None, id="one"),
        pytest.param("O=Example,C=DE", None, id="two"),
        pytest.param("o=Example,Street=a", "O=Example,street=a", id="case"),
        pytest.param("2.5.4.10=Example", "O=Example", id="OID of a name"),
        pytest.param("1.2.3.4=a", "1.2.3.4=#0C0161", id="own OID"),
        pytest.param("1.2.3.4=#0c0161", "1.2.3.4=#0C0161", id="hexadecimal"),
        pytest.param("O=#0C0161", "O=a", id="hexadecimal with a name"),
        pytest.param("CN=b+O=a", "O=a+CN=b", id="several in one"),
        pytest.param("O=Zoë", r"O=Zo\C3\AB", id="UTF-8"),
        pytest.param(r"O=Zo\c3\ab", r"O=Zo\C3\AB", id="escaped UTF-8"),
        pytest.param(
            r"O=a\,b\+c\"d\\e\<f\>g\;h\=i\ j", r"O=a\,b\+c\"d\\e\<f\>g\;h=i j", id="special"
        ),
        pytest.param(r"O=\#a", None, id="number sign"),
        pytest.param("O=#", None, id="nothing but a number sign"),
        pytest.param("O=a=b", None, id="equals"),
        pytest.param("dnQualifier=a", None, id="another name of OpenSSL"),
    ],
)
def test_a_distinguished_name_reads_back_as_it_was_written(text, normal):
    name = distinguished_name(text)
    assert rfc2253(name) == rfc2253(through_a_certificate(name)) == (normal or text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "must hold a name as in RFC 4514", id="empty"),
        pytest.param("app", "must hold a name as in RFC 4514", id="no attribute"),
        pytest.param("=a", "must hold a name as in RFC 4514", id="no type"),
        pytest.param("O=a,", "must hold a name as in RFC 4514", id="trailing comma"),
        pytest.param(",O=a", "must hold a name as in RFC 4514", id="leading comma"),
        pytest.param("O=a+", "must hold a name as in RFC 4514", id="trailing plus"),
        pytest.param("O=a;C=DE", "must hold a name as in RFC 4514", id="semicolon"),
        pytest.param('O="a"', "must hold a name as in RFC 4514", id="quotes"),
        pytest.param("O=a\\", "must hold a name as in RFC 4514", id="trailing backslash"),
        pytest.param("O=a\\x", "must hold a name as in RFC 4514", id="escaped letter"),
        pytest.param("O=a, C=DE", "must hold a name as in RFC 4514", id="space behind comma"),
        pytest.param("/C=DE/O=a", "must hold a name as in RFC 4514", id="slashes"),
        pytest.param("O=", "holds O=, which must take 1 to 64 bytes", id="no value"),
        pytest.param("C=de", "holds C=, which must be two upper-case letters", id="country"),
        pytest.param(r"O=a\0A", "holds O=, which must be printable", id="escaped newline"),
        pytest.param(r"O=a\ ", "holds O=, which must be printable, with no space", id="space"),
        pytest.param(r"O=\C3", "holds O=, which must be in UTF-8", id="half a letter"),
        pytest.param("O=#zz", "holds O=, which must be in UTF-8, or #", id="no hexadecimal"),
        pytest.param("O=#130161", "holds O=, which must be in UTF-8, or #", id="no UTF8String"),
        pytest.param("O=#0C0261", "holds O=, which must be in UTF-8, or #", id="DER breaks off"),
        pytest.param("organisation=a", "holds organisation=, .* did you mean O?", id="unknown"),
        pytest.param("1.2.03=a", "holds 1.2.03=, which needs a valid OID", id="OID"),
        pytest.param(".=a", "holds .=, which must be one of", id="dot"),
        pytest.param("O=a+O=b", "must not hold the same attribute twice", id="type twice"),
        pytest.param("O=a+O=a", "must not hold the same attribute twice", id="all twice"),
    ],
)
def test_text_that_is_no_distinguished_name_is_refused(text, reason):
    with pytest.raises(ValueError, match=f"^{reason}"):
        distinguished_name(text)


# Properties


def refusal(function) -> str:
    """Return what a function's error says, or nothing."""
    try:
        function()
    except (MtlsError, ValueError) as error:
        return str(error)
    return ""


def plain(characters, longest):
    """Text as attributes take it."""
    texts = st.text(characters, min_size=1, max_size=longest).map(str.strip)
    return texts.filter(lambda text: text and text.isprintable() and len(text.encode()) <= longest)


TEXT = plain(st.one_of(st.sampled_from(" #,+\"\\<>;='é中😀"), st.characters(codec="utf-8")), 40)
WORD = plain(st.sampled_from(string.ascii_letters + string.digits), 20)
NUMBERS = st.lists(st.integers(0, 2**28 - 1), min_size=1, max_size=6)
OIDS = NUMBERS.map(lambda numbers: "1.2." + ".".join(map(str, numbers))).filter(
    # OpenSSL knows it, and so it is none of one's own.
    lambda oid: not oid.startswith("1.2.643")
)
VALUES = {
    **dict.fromkeys(
        ["ST", "L", "O", "OU", "UID", "title", "GN", "SN", "street", "postalCode"], TEXT
    ),
    "C": st.sampled_from(["DE", "GB"]),
    **dict.fromkeys(["serialNumber", "DC"], WORD),
    "emailAddress": WORD.map(lambda word: f"{word}@example.com"),
}
PAIRS = st.one_of(
    *[st.tuples(st.just(name), values) for name, values in VALUES.items()], st.tuples(OIDS, TEXT)
)


@quick
@given(TEXT, st.lists(PAIRS, max_size=6))
def test_a_subject_comes_back_from_a_certificate_and_from_its_text(common_name, pairs):
    attributes: dict[str, list[str]] = {}
    for name, value in pairs:
        attributes.setdefault(name, []).append(value)
    name = subject(common_name, "client", attributes)
    values = [value for values in attributes.values() for value in values]
    assert [attribute.value for attribute in name] == [*values, common_name]
    found = through_a_certificate(name)
    assert found == name
    assert found.public_bytes() == distinguished_name(rfc2253(found)).public_bytes()


RDNS = st.lists(PAIRS, min_size=1, max_size=3, unique_by=lambda pair: pair[0])


@quick
@given(st.lists(RDNS, min_size=1, max_size=4))
def test_a_name_with_several_attributes_in_one_rdn_comes_back(rdns):
    text = ",".join(
        "+".join(
            f"{name}=" + "".join(f"\\{byte:02x}" for byte in value.encode()) for name, value in rdn
        )
        for rdn in rdns
    )
    name = distinguished_name(text)
    written = rfc2253(name)
    assert rfc2253(distinguished_name(written)) == written
    assert rfc2253(through_a_certificate(name)) == written


ANYTHING = st.one_of(st.text(max_size=12), st.text(st.sampled_from("CNO=,+#\\0a ."), max_size=12))


@quick
@given(st.one_of(ANYTHING, st.sampled_from(list(VALUES))), st.one_of(ANYTHING, st.integers()))
@example("1.2.268435456", "a")
@example("2.999999999999999999999999", "a")
@example("1.2." + "9" * 5000, "a")
def test_any_attribute_becomes_a_subject_or_a_clear_error(name, value):
    said = refusal(lambda: through_a_certificate(subject("app", "here", {name: value})))
    assert not said or said.startswith(
        (f"here: the subject attribute {name!r} ", f"here: the subject attribute {name} {value!r} ")
    )


@quick
@given(ANYTHING)
def test_any_text_becomes_a_distinguished_name_or_a_clear_error(text):
    said = refusal(lambda: rfc2253(through_a_certificate(distinguished_name(text))))
    assert not said or said.startswith(("must ", "holds "))


@quick
@given(OIDS)
@example("2.268435375")
@example("0.39")
@example("1.2" + ".3" * 62)
def test_an_oid_comes_back(oid):
    assert object_identifier(oid).dotted_string == oid
    assert rfc2253(through_a_certificate(distinguished_name(f"{oid}=a"))) == f"{oid}=#0C0161"


@quick
@given(st.text(max_size=300))
@example("")
@example("a" * 127)
@example("a" * 128)
@example("a" * 255)
@example("a" * 256)
@example("a" * 65536)
def test_a_utf8_string_comes_back(text):
    assert utf8_string_text(utf8_string(text)) == text


@quick
@given(st.binary(max_size=300))
@example(b"\x0c\x81\x01a")
@example(b"\x0c\x82\x00\x80" + b"a" * 128)
@example(b"\x0c\x80a\0\0")
@example(b"\x0c\x02a")
@example(b"\x0c\x01aa")
@example(b"\x0c\x01\xff")
@example(b"\x1f\x01a")
@example(b"\x0c\xff")
def test_what_is_taken_for_a_utf8_string_is_exactly_that(der):
    text = utf8_string_text(der)
    assert text is None or utf8_string(text) == der
    try:
        content, rest = der_element(der)
    except ValueError:
        return
    assert der.endswith(content + rest)
