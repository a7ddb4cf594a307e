# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What edge.mtls.probe reads from a certificate, against what cryptography and openssl read."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.certificate_text import describe_certificate
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

KEY = ec.generate_private_key(ec.SECP256R1())
ISSUER = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuer")])


def make(
    subject: x509.Name = ISSUER,
    serial: int = 1,
    not_after: datetime = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
    names: list[x509.GeneralName] | None = None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ISSUER)
        .public_key(KEY.public_key())
        .serial_number(serial)
        .not_valid_before(datetime(1990, 1, 1, tzinfo=UTC))
        .not_valid_after(not_after)
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256())


def described(certificate: x509.Certificate) -> Any:
    return describe_certificate(certificate.public_bytes(serialization.Encoding.DER))


ATTRIBUTES = st.builds(
    x509.NameAttribute,
    st.sampled_from(
        [
            NameOID.COMMON_NAME,
            NameOID.ORGANIZATION_NAME,
            NameOID.ORGANIZATIONAL_UNIT_NAME,
            NameOID.LOCALITY_NAME,
            NameOID.STATE_OR_PROVINCE_NAME,
            NameOID.USER_ID,
        ]
    ),
    st.text(st.sampled_from('ab ,+"\\<>;#=/ßΩ€😀'), min_size=1, max_size=20),
    st.just(_ASN1Type.UTF8String),
)
NAMES = st.lists(
    st.lists(ATTRIBUTES, min_size=1, max_size=2, unique_by=lambda item: item.oid).map(
        x509.RelativeDistinguishedName
    ),
    max_size=4,
).map(x509.Name)


@given(NAMES)
def test_a_name_reads_as_in_rfc_4514(name):
    # A set of DER is sorted, so the name is compared as it comes back.
    certificate = make(name)
    assert described(certificate)["subject"] == certificate.subject.rfc4514_string()


@pytest.mark.parametrize(
    ("oid", "value", "kind", "expected"),
    [
        pytest.param("2.5.4.6", "DE", "PrintableString", "C=DE", id="country"),
        pytest.param("1.2.840.113549.1.9.1", "a@b", "IA5String", "emailAddress=a@b", id="email"),
        pytest.param("2.5.4.5", "42", "PrintableString", "serialNumber=42", id="serial number"),
        pytest.param("0.9.2342.19200300.100.1.25", "x", "IA5String", "DC=x", id="domain"),
        pytest.param("2.5.4.3", "ü", "BMPString", "CN=ü", id="BMP"),
        pytest.param("2.5.4.3", "😀", "UniversalString", "CN=😀", id="universal"),
        pytest.param("2.5.4.3", "é", "T61String", "CN=é", id="teletex"),
        pytest.param("2.5.4.3", "a\nb\x1b", "UTF8String", "CN=a\\0Ab\\1B", id="controls"),
        pytest.param("2.999.7", "x", "UTF8String", "2.999.7=#0c0178", id="unknown"),
    ],
)
def test_an_attribute_keeps_its_usual_name(oid, value, kind, expected):
    encoding = {"BMPString": "utf-16-be", "UniversalString": "utf-32-be", "T61String": "latin-1"}
    plain = x509.NameAttribute(x509.ObjectIdentifier(oid), "xx", _ASN1Type.UTF8String)
    der = bytearray(make(x509.Name([plain])).public_bytes(serialization.Encoding.DER))
    # cryptography cannot write every string type, so the value is patched to one of its length.
    raw = value.encode(encoding.get(kind, "utf-8"))
    old = b"\x0c\x02xx"
    assert der.count(old) == 1
    new = bytes([getattr(_ASN1Type, kind).value, len(raw)]) + raw
    shrunk = resized(bytes(der), old, new)
    assert describe_certificate(shrunk)["subject"] == expected
    if kind != "T61String" and oid != "2.999.7":
        assert openssl_subject(shrunk) in (None, expected)


def resized(der: bytes, old: bytes, new: bytes) -> bytes:
    """Replace an element inside DER, correcting the lengths of all that hold it."""
    if der == old:
        return new
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    content, out = der[start : start + length], b""
    if not der[0] & 0x20 or old not in content:
        return der
    while content:
        size, head = content[1], 2
        if size & 0x80:
            head += size & 0x7F
            size = int.from_bytes(content[2:head], "big")
        out += resized(content[: head + size], old, new)
        content = content[head + size :]
    octets = len(out).to_bytes(2, "big")
    header = bytes([len(out)]) if len(out) < 0x80 else b"\x82" + octets
    return der[:1] + header + out


def openssl_subject(der: bytes) -> str | None:
    """Ask openssl, with characters left as they are; None where it is not installed."""
    program = shutil.which("openssl")
    if program is None:
        return None
    options = "RFC2253,-esc_msb,utf8"
    command = [program, "x509", "-inform", "DER", "-noout", "-subject", "-nameopt", options]
    printed = subprocess.run(command, input=der, capture_output=True, check=True).stdout
    return printed.decode().removeprefix("subject=").rstrip("\n")


@pytest.mark.parametrize(
    ("serial", "expected"),
    [
        pytest.param(1, "01", id="one"),
        pytest.param(0x80, "80", id="sign octet"),
        pytest.param(0xABC, "0ABC", id="odd digits"),
        pytest.param(2**159 - 1, "7F" + "FF" * 19, id="longest"),
    ],
)
def test_a_serial_number_reads_as_nginx_writes_it(serial, expected):
    assert described(make(serial=serial))["serial_number"] == expected


@pytest.mark.parametrize("year", [1999, 2000, 2049, 2050, 9999])
def test_both_kinds_of_time_are_read(year):
    not_after = datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
    expected = f"{year}-12-31T23:59:59Z"
    assert described(make(not_after=not_after))["not_after"] == expected


def test_alternative_names_carry_their_kind():
    certificate = make(
        names=[
            x509.DNSName("a.example"),
            x509.IPAddress(ipaddress.ip_address("::1")),
            x509.RFC822Name("a@b.example"),
            x509.UniformResourceIdentifier("spiffe://a/b"),
            x509.DirectoryName(ISSUER),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        ]
    )
    assert described(certificate)["subject_alt_names"] == [
        "DNS:a.example",
        "IP:::1",
        "email:a@b.example",
        "URI:spiffe://a/b",
        "dirName:CN=Issuer",
        "other:#2a03",
    ]


def test_no_alternative_names_are_an_empty_list():
    assert described(make())["subject_alt_names"] == []


@given(st.binary(max_size=60))
def test_what_is_no_certificate_keeps_its_fingerprint(junk):
    result = describe_certificate(junk)
    assert result is None if not junk else result["fingerprint_sha256"]


@given(st.integers(min_value=1, max_value=400), st.integers(min_value=0, max_value=255))
def test_a_damaged_certificate_raises_nothing(position, octet):
    der = bytearray(make(names=[x509.DNSName("a")]).public_bytes(serialization.Encoding.DER))
    der[position % len(der)] = octet
    assert describe_certificate(bytes(der))["fingerprint_sha256"]
