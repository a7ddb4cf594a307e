# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Distinguished names, ours against OpenSSL's, which nginx uses: rules are made of these texts."""

from __future__ import annotations

import string
import subprocess
from datetime import UTC, datetime

from ansible_collections.edge.mtls.plugins.module_utils.pki.names import (
    LONGEST_COMMON_NAME_BYTES,
    common_name_rfc2253,
    rfc2253,
    subject,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

KEY = ec.generate_private_key(ec.SECP256R1())
DAY = datetime(2027, 1, 1, tzinfo=UTC)
# Each name costs a run of openssl, about 5 ms, so a failure is not made smaller either.
quick = settings(
    max_examples=15, deadline=None, database=None, phases=[Phase.explicit, Phase.generate]
)

SPECIAL = st.sampled_from(" #,+\"\\<>;=/'$%{}~éßЖ中😀")
CHARACTERS = st.one_of(SPECIAL, st.characters(codec="utf-8"))


def text(characters, longest=12):
    texts = st.text(characters, min_size=1, max_size=longest)
    return texts.filter(lambda value: len(value.encode()) <= LONGEST_COMMON_NAME_BYTES)


PRINTABLE = st.one_of(SPECIAL, st.characters(codec="utf-8", exclude_categories=["C", "Z"]))
COMMON_NAMES = text(PRINTABLE, 20).map(str.strip).filter(bool)
ATTRIBUTES = st.one_of(
    st.tuples(
        st.sampled_from(
            [
                NameOID.COMMON_NAME,
                NameOID.ORGANIZATION_NAME,
                NameOID.ORGANIZATIONAL_UNIT_NAME,
                NameOID.STATE_OR_PROVINCE_NAME,
                NameOID.LOCALITY_NAME,
                NameOID.USER_ID,
            ]
        ),
        text(CHARACTERS),
    ),
    st.tuples(
        st.sampled_from([NameOID.EMAIL_ADDRESS, NameOID.DOMAIN_COMPONENT]),
        text(st.sampled_from(string.ascii_letters + " #,+@.-")),
    ),
    st.tuples(
        st.just(NameOID.SERIAL_NUMBER),
        text(st.sampled_from(string.ascii_letters + string.digits + " '()+,-./:=?")),
    ),
    st.tuples(st.just(NameOID.COUNTRY_NAME), st.sampled_from(["DE", "GB", "US"])),
).map(lambda pair: x509.NameAttribute(*pair))
RDNS = st.lists(ATTRIBUTES, min_size=1, max_size=3, unique_by=lambda attribute: attribute.oid)
NAMES = st.lists(RDNS.map(x509.RelativeDistinguishedName), min_size=1, max_size=5).map(x509.Name)


def certificate(name: x509.Name) -> bytes:
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(KEY.public_key()).serial_number(1)
    builder = builder.not_valid_before(DAY).not_valid_after(DAY)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def openssl_subject(der: bytes) -> str:
    """Return a subject as nginx's $ssl_client_s_dn holds it."""
    words = ["openssl", "x509", "-inform", "DER", "-noout", "-subject", "-nameopt", "RFC2253"]
    said = subprocess.run(words, input=der, capture_output=True, check=True).stdout.decode()
    return said.removeprefix("subject=").removesuffix("\n")


@quick
@given(st.lists(COMMON_NAMES, min_size=10, max_size=10))
@example(["#", "##", "a#", "a b", "a  b", '"', "\\", "=", "a=b,c=d", ";"])
@example(["+", "<", ">", "/", "$", "CN=admin", "x,O=y", "-", "~", "é" * 32])
def test_a_common_name_is_written_as_openssl_writes_it(common_names):
    for common_name in common_names:
        name = subject(common_name, "client")
        expected = openssl_subject(certificate(name))
        assert rfc2253(name) == expected
        assert common_name_rfc2253(common_name) == expected


@quick
@given(st.lists(NAMES, min_size=10, max_size=10))
def test_a_whole_name_is_written_as_openssl_writes_it(names):
    """Names from elsewhere: several attributes, several in one RDN, control characters."""
    for name in names:
        der = certificate(name)
        assert rfc2253(x509.load_der_x509_certificate(der).subject) == openssl_subject(der)


@quick
@given(st.lists(COMMON_NAMES, min_size=20, max_size=20, unique=True))
def test_two_common_names_are_never_written_alike(common_names):
    assert len({common_name_rfc2253(each) for each in common_names}) == len(common_names)
