# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates: what they carry, how long they live, and why one must be replaced."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import keys
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    CLOCK_SKEW,
    Extent,
    Signer,
    build_certificate,
    certificate_from_pem,
    days_left,
    extent,
    is_signed_by,
    not_after_of,
    not_before_of,
    path_length_of,
    renewal_reason,
    serial_number_text,
    signature_hash,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.extensions import authority_extensions
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import generate
from ansible_collections.edge.mtls.plugins.module_utils.pki.profiles import read_profiles
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    SECOND,
    extended_key_usages,
    extension,
    name_of,
    new_key,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

MARGIN = 30 * DAY
MINUTE = timedelta(minutes=1)
PROFILES = read_profiles([])


def build_authority(subject, public_key, signer, lifetime, path_length=None):
    extensions = authority_extensions(path_length, [], [], [], "authority")
    return build_certificate(subject, public_key, signer, lifetime, extensions)


def build_leaf(subject, key, signer, lifetime, profile="client", names=()):
    is_self_signed = signer.certificate is None
    extensions = PROFILES[profile].extensions_of(list(names), is_self_signed, "leaf")
    return build_certificate(subject, key.public_key(), signer, lifetime, extensions)


@pytest.mark.parametrize(
    ("time_left", "expected"),
    [
        pytest.param(MARGIN + SECOND, None, id="outside the margin"),
        pytest.param(MARGIN, None, id="at the margin"),
        pytest.param(MARGIN - SECOND, "expires in 29 days", id="inside the margin"),
        pytest.param(9 * DAY, "expires in 9 days", id="well inside"),
        pytest.param(DAY, "expires in 1 days", id="one day"),
        pytest.param(DAY - SECOND, "expires in 1439 minutes", id="less than a day"),
        pytest.param(MINUTE, "expires in 1 minutes", id="a minute"),
        pytest.param(SECOND, "expires in 0 minutes", id="one second left"),
        pytest.param(0 * DAY, "expires in 0 minutes", id="the last valid instant"),
        pytest.param(-SECOND, "expired on 2027-06-01", id="one second too late"),
        pytest.param(-400 * DAY, "expired on 2026-04-27", id="long ago"),
    ],
)
def test_a_certificate_is_due_within_the_margin(time_left, expected):
    assert renewal_reason(NOW + time_left, NOW, MARGIN) == expected


def test_without_a_margin_only_an_expired_certificate_is_due():
    assert renewal_reason(NOW, NOW, timedelta(0)) is None
    assert renewal_reason(NOW - SECOND, NOW, timedelta(0)) == "expired on 2027-06-01"


@pytest.mark.parametrize(
    ("not_after", "now"),
    [
        pytest.param(NOW.replace(tzinfo=None), NOW, id="notAfter"),
        pytest.param(NOW, NOW.replace(tzinfo=None), id="now"),
        pytest.param(NOW.replace(tzinfo=None), NOW.replace(tzinfo=None), id="both"),
    ],
)
def test_naive_instants_are_refused(not_after, now):
    with pytest.raises(ValueError, match="timezone-aware"):
        renewal_reason(not_after, now, MARGIN)


def authority(start: datetime, end: datetime) -> x509.Certificate:
    key = new_key()
    return build_authority(name_of("Root CA"), key.public_key(), Signer(key), Extent(start, end))


def test_a_certificate_starts_a_little_earlier_and_lives_as_long_as_asked():
    assert extent(NOW, 365 * DAY) == Extent(NOW - CLOCK_SKEW, NOW + 365 * DAY)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param(
            NOW - DAY, NOW + 400 * DAY, Extent(NOW - CLOCK_SKEW, NOW + 365 * DAY), id="lives longer"
        ),
        pytest.param(
            NOW - DAY, NOW + 9 * DAY, Extent(NOW - CLOCK_SKEW, NOW + 9 * DAY), id="ends before"
        ),
        pytest.param(NOW, NOW + SECOND, Extent(NOW, NOW + SECOND), id="starts now, ends at once"),
    ],
)
def test_a_certificate_never_reaches_beyond_its_issuer(start, end, expected):
    assert extent(NOW, 365 * DAY, authority(start, end)) == expected


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        pytest.param(
            NOW - 9 * DAY, NOW - DAY, "CN=Root CA expired on 2027-05-31: .*2027-06-01", id="expired"
        ),
        pytest.param(NOW - 9 * DAY, NOW, "expired on 2027-06-01", id="ends now"),
        pytest.param(
            NOW + SECOND,
            NOW + DAY,
            "CN=Root CA is only valid from 2027-06-01 12:00 UTC",
            id="early",
        ),
    ],
)
def test_an_issuer_that_is_not_valid_now_cannot_sign(start, end, reason):
    with pytest.raises(MtlsError, match=reason):
        extent(NOW, 365 * DAY, authority(start, end))


def test_a_certificate_may_live_for_minutes():
    assert extent(NOW, 5 * MINUTE) == Extent(NOW - CLOCK_SKEW, NOW + 5 * MINUTE)


@pytest.mark.parametrize(
    "days", [pytest.param(3_000_000, id="years"), pytest.param(999_999_999, id="eons")]
)
def test_no_certificate_lives_beyond_the_year_9999(days):
    with pytest.raises(MtlsError, match=f"{days} days of validity reach beyond the year 9999"):
        extent(NOW, days * DAY)


@pytest.mark.parametrize("path_length", [None, 0, 3], ids=["no limit", "0", "3"])
def test_an_authority_carries_what_rfc_5280_demands(path_length):
    key = new_key()
    found = build_authority(
        name_of("Root CA"), key.public_key(), Signer(key), extent(NOW, 9 * DAY), path_length
    )
    constraints = extension(found, x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=path_length)
    assert path_length_of(found) == path_length
    usage = extension(found, x509.KeyUsage)
    assert usage.critical
    assert (usage.value.key_cert_sign, usage.value.crl_sign) == (True, True)
    assert not usage.value.digital_signature
    identifier = extension(found, x509.SubjectKeyIdentifier).value.digest
    assert extension(found, x509.AuthorityKeyIdentifier).value.key_identifier == identifier
    assert found.version is x509.Version.v3
    with pytest.raises(x509.ExtensionNotFound):
        extension(found, x509.ExtendedKeyUsage)


@pytest.mark.parametrize(
    ("profile", "usage"),
    [
        pytest.param("client", [ExtendedKeyUsageOID.CLIENT_AUTH], id="client"),
        pytest.param("server", [ExtendedKeyUsageOID.SERVER_AUTH], id="server"),
        pytest.param(
            "peer", [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH], id="peer"
        ),
    ],
)
@pytest.mark.parametrize("is_self_signed", [False, True], ids=["signed", "self-signed"])
def test_a_leaf_is_no_authority_and_serves_one_purpose(profile, usage, is_self_signed):
    root_key, key = new_key(), new_key()
    lifetime = extent(NOW, 9 * DAY)
    root = build_authority(name_of("Root CA"), root_key.public_key(), Signer(root_key), lifetime)
    signer = Signer(key) if is_self_signed else Signer(root_key, root)
    names = [x509.DNSName("app.example.com")]
    found = build_leaf(name_of("leaf"), key, signer, lifetime, profile, names)
    constraints = extension(found, x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)
    assert extended_key_usages(found) == [each.dotted_string for each in usage]
    assert list(extension(found, x509.SubjectAlternativeName).value) == names
    issuer = found if is_self_signed else root
    assert found.issuer == issuer.subject
    assert is_signed_by(found, issuer)
    assert (
        extension(found, x509.AuthorityKeyIdentifier).value.key_identifier
        == extension(issuer, x509.SubjectKeyIdentifier).value.digest
    )
    has_key_usage = any(each.oid == x509.KeyUsage.oid for each in found.extensions)
    # With one that lacks keyCertSign, OpenSSL takes no self-signed certificate for an anchor.
    assert has_key_usage is not is_self_signed
    if has_key_usage:
        key_usage = extension(found, x509.KeyUsage)
        assert (key_usage.critical, key_usage.value.digital_signature) == (True, True)
        assert not key_usage.value.key_cert_sign
    assert (not_before_of(found), not_after_of(found)) == (lifetime.not_before, lifetime.not_after)


def test_a_leaf_without_alternative_names_has_no_such_extension():
    key = new_key()
    found = build_leaf(name_of("c"), key, Signer(key), extent(NOW, 9 * DAY))
    with pytest.raises(x509.ExtensionNotFound):
        extension(found, x509.SubjectAlternativeName)


KEY_TYPES = ["P-256", "P-384", "P-521", "Ed25519", "RSA-2048"]
if keys.mldsa is not None:
    KEY_TYPES += ["ML-DSA-44", "ML-DSA-65"]


@pytest.fixture(scope="module")
def self_signed():
    found = {}
    for key_type in KEY_TYPES:
        key = generate(key_type)
        found[key_type] = build_leaf(name_of("c"), key, Signer(key), extent(NOW, 9 * DAY))
    return found


@pytest.mark.parametrize("issuer_type", KEY_TYPES)
@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_only_the_key_that_signed_is_recognised(self_signed, key_type, issuer_type):
    assert is_signed_by(self_signed[key_type], self_signed[issuer_type]) is (
        key_type == issuer_type
    )


def test_another_key_of_the_same_type_is_not_the_one_that_signed():
    def one(key):
        return build_leaf(name_of("c"), key, Signer(key), extent(NOW, 9 * DAY))

    assert not is_signed_by(one(new_key()), one(new_key()))


@pytest.mark.parametrize(
    ("key_type", "expected"),
    [
        pytest.param("P-256", hashes.SHA256, id="P-256"),
        pytest.param("P-384", hashes.SHA384, id="P-384"),
        pytest.param("P-521", hashes.SHA512, id="P-521"),
        pytest.param("RSA-2048", hashes.SHA256, id="RSA"),
    ],
)
def test_the_hash_is_as_strong_as_the_key(self_signed, key_type, expected):
    assert isinstance(self_signed[key_type].signature_hash_algorithm, expected)
    assert isinstance(signature_hash(self_signed[key_type].public_key()), expected)


@pytest.mark.parametrize("key_type", [each for each in KEY_TYPES if each[:2] in ("Ed", "ML")])
def test_these_bring_their_own_hash(self_signed, key_type):
    assert self_signed[key_type].signature_hash_algorithm is None
    assert signature_hash(self_signed[key_type].public_key()) is None


@pytest.mark.parametrize(
    ("serial_number", "expected"),
    [
        pytest.param(1, "01", id="one digit"),
        pytest.param(0xAB, "AB", id="two digits"),
        pytest.param(0xABC, "0ABC", id="three digits"),
        pytest.param(1 << 158, "40" + "00" * 19, id="twenty bytes"),
    ],
)
def test_a_serial_number_is_whole_bytes_of_upper_case_hex(serial_number, expected):
    class Certificate:
        pass

    found = Certificate()
    found.serial_number = serial_number
    assert serial_number_text(found) == expected


@pytest.mark.parametrize(
    ("time_left", "expected"),
    [
        pytest.param(10 * DAY, 10, id="whole days"),
        pytest.param(10 * DAY - SECOND, 10, id="rounded up"),
        pytest.param(9 * DAY + 3 * SECOND, 9, id="rounded down"),
        pytest.param(-2 * DAY, -2, id="expired"),
    ],
)
def test_days_left_are_rounded(time_left, expected):
    assert days_left(authority(NOW - 99 * DAY, NOW + time_left), NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\x00", id="binary"),
        pytest.param(
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", id="no certificate"
        ),
    ],
)
def test_what_is_no_certificate_is_named(text):
    with pytest.raises(MtlsError, match=r"/store/c\.pem is not a certificate in PEM"):
        certificate_from_pem(text, "/store/c.pem")
