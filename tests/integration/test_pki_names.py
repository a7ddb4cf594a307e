# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, ours against OpenSSL's, which nginx uses: rules are made of these texts."""

from __future__ import annotations

import string
import subprocess
from datetime import UTC, datetime
from itertools import count

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.general_names import (
    constraint_violation,
    general_name,
    name_constraints,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.names import (
    ATTRIBUTE_KINDS,
    common_name_rfc2253,
    distinguished_name,
    rfc2253,
    subject,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type as StringType
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

KEY = ec.generate_private_key(ec.SECP256R1())
DAY = datetime(2027, 1, 1, tzinfo=UTC)
YEAR_END = datetime(2027, 12, 31, tzinfo=UTC)
AT = ("-attime", str(int(DAY.timestamp()) + 3600))
numbers = count()
# One run of openssl looks at many names, and so a failure isn't made smaller either.
quick = settings(
    max_examples=12,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

SPECIAL = st.sampled_from(" #,+\"\\<>;=/'$%{}~éßЖ中😀")
CHARACTERS = st.one_of(SPECIAL, st.characters(codec="utf-8"))


def text(characters, longest=12):
    """Text that is no longer than a common name may be."""
    texts = st.text(characters, min_size=1, max_size=longest)
    return texts.filter(lambda value: len(value.encode()) <= 64)


PRINTABLE = st.one_of(SPECIAL, st.characters(codec="utf-8", exclude_categories=["C", "Z"]))
COMMON_NAMES = text(PRINTABLE, 20).map(str.strip).filter(bool)
OWN_OIDS = st.builds(
    "{}.{}".format,
    st.sampled_from(["1.2.3", "1.3.6.1.4.1.99999", "2.999", "2.16.999"]),
    st.integers(0, 2**28 - 1),
)

# Names as subject() makes them

TEXT_KINDS = ["ST", "L", "O", "OU", "UID", "title", "GN", "SN", "street", "postalCode"]
WORDS = text(st.sampled_from(string.ascii_letters + string.digits + "+,=-"))
PRINTABLE_STRINGS = text(st.sampled_from(string.ascii_letters + string.digits + " '()+,-./:=?"))
PAIRS = st.one_of(
    st.tuples(st.one_of(st.sampled_from(TEXT_KINDS), OWN_OIDS), COMMON_NAMES),
    st.tuples(st.just("serialNumber"), PRINTABLE_STRINGS.map(str.strip).filter(bool)),
    st.tuples(st.just("DC"), WORDS),
    st.tuples(st.just("emailAddress"), WORDS.map("{}@example.com".format)),
    st.tuples(st.just("C"), st.sampled_from(["DE", "GB", "US"])),
).filter(lambda pair: pair[0] != "postalCode" or len(pair[1].encode()) <= 40)

# Names from elsewhere: several attributes in one RDN, control characters, other string types

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
    st.tuples(st.just(NameOID.SERIAL_NUMBER), PRINTABLE_STRINGS),
    st.tuples(st.just(NameOID.COUNTRY_NAME), st.sampled_from(["DE", "GB", "US"])),
    st.tuples(OWN_OIDS.map(x509.ObjectIdentifier), text(CHARACTERS)),
    st.tuples(
        st.one_of(st.just(NameOID.TITLE), OWN_OIDS.map(x509.ObjectIdentifier)),
        text(st.sampled_from(string.ascii_letters + "éß")),
        st.just(StringType.BMPString),
    ),
).map(lambda arguments: x509.NameAttribute(*arguments))
RDNS = st.lists(ATTRIBUTES, min_size=1, max_size=3, unique_by=lambda attribute: attribute.oid)
NAMES = st.lists(RDNS.map(x509.RelativeDistinguishedName), min_size=1, max_size=5).map(x509.Name)


def certificate(name, extensions=(), issuer=None):
    """Return the DER of a certificate, whose issuer has the same key."""
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer or name)
    builder = builder.public_key(KEY.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(DAY).not_valid_after(YEAR_END)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def saved(folder, certificates):
    """Write certificates as PEM into a new folder; return it and the names of the files."""
    folder = folder / str(next(numbers))
    folder.mkdir()
    files = []
    for number, der in enumerate(certificates):
        loaded = x509.load_der_x509_certificate(der)
        pem = loaded.public_bytes(serialization.Encoding.PEM)
        files.append(f"{number}.pem")
        (folder / files[-1]).write_bytes(pem)
    return folder, files


def openssl(folder, *words):
    return subprocess.run(["openssl", *words], cwd=folder, capture_output=True, check=False)


def openssl_subjects(folder, names):
    """Return subjects as nginx's $ssl_client_s_dn holds them.

    `openssl verify` names the subject of each self-signed certificate that it refuses.
    """
    folder, files = saved(folder, [certificate(name) for name in names])
    said = openssl(folder, "verify", *AT, "-nameopt", "RFC2253", *files).stderr.decode()
    found = said.split("\n")[::3]
    assert said.count("error 18 at 0 depth") == len(files) == len(found) - 1
    return found[:-1]


@pytest.mark.parametrize(
    "common_name",
    [
        *["#", "##", "a#", "a b", "a  b", '"', "\\", "=", "a=b,c=d", ";", "+", "<", ">", "/", "$"],
        *["CN=admin", "x,O=y", "-", "~", "é" * 32],
    ],
)
def test_a_special_common_name_is_written_as_openssl_writes_it(tmp_path, common_name):
    name = subject(common_name, "client", {"O": common_name, "1.2.3.4": common_name})
    folder, [file] = saved(tmp_path, [certificate(name)])
    words = ["x509", "-in", file, "-noout", "-subject", "-nameopt", "RFC2253"]
    written = openssl(folder, *words).stdout.decode().removeprefix("subject=").removesuffix("\n")
    assert rfc2253(name) == written
    assert openssl_subjects(tmp_path, [name]) == [written]
    assert written.startswith(f"{common_name_rfc2253(common_name)},1.2.3.4=#0C")


@quick
@given(st.lists(COMMON_NAMES, min_size=20, max_size=20))
def test_a_common_name_is_written_as_openssl_writes_it(tmp_path, common_names):
    names = [subject(common_name, "client") for common_name in common_names]
    expected = openssl_subjects(tmp_path, names)
    assert [rfc2253(name) for name in names] == expected
    assert [common_name_rfc2253(common_name) for common_name in common_names] == expected


@quick
@given(st.lists(st.tuples(COMMON_NAMES, st.lists(PAIRS, max_size=6)), min_size=20, max_size=20))
def test_a_subject_is_written_as_openssl_writes_it_and_read_back(tmp_path, wanted):
    names = []
    for common_name, pairs in wanted:
        attributes = {}
        for name, value in pairs:
            attributes.setdefault(name, []).append(value)
        names.append(subject(common_name, "client", attributes))
    written = openssl_subjects(tmp_path, names)
    assert [rfc2253(name) for name in names] == written
    assert [distinguished_name(text) for text in written] == names


@quick
@given(st.lists(NAMES, min_size=20, max_size=20))
def test_a_name_from_elsewhere_is_written_as_openssl_writes_it(tmp_path, names):
    found = [x509.load_der_x509_certificate(certificate(name)).subject for name in names]
    assert [rfc2253(name) for name in found] == openssl_subjects(tmp_path, names)


@quick
@given(st.lists(COMMON_NAMES, min_size=20, max_size=20, unique=True))
def test_two_common_names_are_never_written_alike(common_names):
    assert len({common_name_rfc2253(each) for each in common_names}) == len(common_names)


def openssl_objects(folder):
    """Map each OID that OpenSSL knows to its short name."""
    lines = openssl(folder, "list", "-objects").stdout.decode().splitlines()
    pairs = [line.split(" = ") for line in lines if " = " in line]
    return {rest.split(", ")[-1]: name for name, rest in pairs}


def test_attributes_go_by_the_names_that_openssl_has_for_them(tmp_path):
    objects = openssl_objects(tmp_path)
    assert {kind.oid: objects[kind.oid] for kind in ATTRIBUTE_KINDS} == {
        kind.oid: kind.name for kind in ATTRIBUTE_KINDS
    }


def test_an_attribute_that_openssl_has_another_name_for_is_refused(tmp_path):
    attributes = [
        oid
        for oid in openssl_objects(tmp_path)
        if oid.startswith(("2.5.4.", "0.9.2342.", "1.2.840.113549.1.9.", "1.3.6.1.4.1.311.60."))
    ]
    assert len(attributes) > 100
    taken = {kind.oid for kind in ATTRIBUTE_KINDS}
    for oid in set(attributes) - taken:
        with pytest.raises(MtlsError, match=f"attribute '{oid}' must be"):
            subject("app", "client", {oid: "a"})


# Name constraints

TREES = [
    *("DNS:example.com", "DNS:a.example.com", "DNS:com", "DNS:EXAMPLE.org"),
    *("IP:10.0.0.0/8", "IP:10.1.0.0/16", "IP:10.1.2.3/32", "IP:2001:db8::/32", "IP:::/0"),
    *("email:example.com", "email:.example.com", "email:me@example.com", "email:Me@Example.org"),
    *("URI:example.com", "URI:.example.com", "URI:a.example.com"),
    *("dirName:O=Example,C=DE", "dirName:C=DE", "dirName:OU=a+O=Example,C=DE", "dirName:C=GB"),
    *("dirName:O=an  example,C=DE", "dirName:O=éple"),
]
LEAF_NAMES = [
    *("DNS:example.com", "DNS:a.example.com", "DNS:b.a.EXAMPLE.com", "DNS:notexample.com"),
    *("DNS:example.org", "DNS:com", "DNS:localhost"),
    *("IP:10.0.0.1", "IP:10.1.2.3", "IP:11.0.0.1", "IP:2001:db8::1", "IP:2001:db9::1", "IP:::1"),
    *("email:me@example.com", "email:ME@example.com", "email:me@a.example.com"),
    *("email:Me@EXAMPLE.ORG", "email:me@notexample.com", "email:me@com"),
    *(
        "URI:https://example.com",
        "URI:https://a.example.com:8443/b:c",
        "URI:spiffe://example.com/a",
    ),
    *("URI:https://EXAMPLE.com/?a#b", "URI:https://notexample.com/", "URI:urn:example:a"),
    *("dirName:CN=a,O=example,C=DE", "dirName:C=DE,O=Example", "dirName:OU=A+O=EXAMPLE,C=DE"),
    *("dirName:CN=a,O=An Example,C=DE", "dirName:O=éple", "dirName:O=Émple", "dirName:C=GB"),
    *("UPN:me@example.org", "RID:1.2.3", "otherName:1.3.6.1.5.5.7.8.9;UTF8:zoë@example.com"),
    "otherName:1.3.6.1.5.5.7.8.9;UTF8:me@a.example.org",
]
# Where we follow a stricter verifier than this OpenSSL may be.
STRICTER = [
    *("DNS:*.example.com", "DNS:*.com", "URI:https://example.com?a", "URI:https://me@example.com/"),
    *("URI:https://example.com/a:b", "URI:https://192.0.2.1/", "URI:https://[::1]/"),
]
SUBJECTS = [
    ("app", {}),
    ("app.example.com", {}),
    ("app.evil.example", {}),
    ("a_b.-c", {}),
    ("*.evil.example", {}),
    ("app", {"C": "DE", "O": "Example", "OU": "a"}),
    ("app", {"C": "DE", "O": "EXAMPLE", "emailAddress": "me@example.com"}),
    ("app", {"C": "DE", "O": "An Example"}),
    ("app", {"C": "GB", "emailAddress": ["me@example.com", "me@a.example.org"]}),
    ("app", {"O": "Example", "C": "DE"}),
]
LEAVES = st.tuples(
    st.sampled_from(SUBJECTS), st.lists(st.sampled_from(LEAF_NAMES), max_size=2, unique=True)
)


def refused_by_openssl(folder, authority, leaves):
    """Tell for each leaf whether OpenSSL refuses it because of the authority's constraints."""
    folder, [anchor, *files] = saved(folder, [authority, *leaves])
    done = openssl(folder, "verify", *AT, "-CAfile", anchor, *files)
    accepted = {line.removesuffix(": OK") for line in done.stdout.decode().splitlines()}
    problems = [line for line in done.stderr.decode().splitlines() if "lookup:" in line]
    assert len(accepted) + len(problems) == len(files)
    assert all("subtree violation" in line or "name syntax" in line for line in problems), problems
    return [file not in accepted for file in files]


def both_opinions(folder, permitted, excluded, leaves):
    """Return what OpenSSL says, and what we say, of leaves below an authority."""
    constraints = name_constraints(permitted, excluded, "authority")
    root = subject("Example Root CA", "authority")
    marks = [x509.BasicConstraints(True, None), *([constraints] if constraints else [])]
    made, ours = [], []
    for (common_name, attributes), texts in leaves:
        name = subject(common_name, "client", attributes)
        names = [general_name(text, "client") for text in texts]
        ours.append(constraint_violation(constraints, name, names) if constraints else None)
        marks_of_leaf = [x509.SubjectAlternativeName(names)] if names else []
        made.append(certificate(name, marks_of_leaf, root))
    return refused_by_openssl(folder, certificate(root, marks), made), ours


@quick
@given(
    st.lists(st.sampled_from(TREES), max_size=4, unique=True),
    st.lists(st.sampled_from(TREES), max_size=2, unique=True),
    st.lists(LEAVES, min_size=60, max_size=60),
)
def test_what_constraints_forbid_is_what_openssl_refuses(tmp_path, permitted, excluded, leaves):
    theirs, ours = both_opinions(tmp_path, permitted, excluded, leaves)
    for leaf, refused, violation in zip(leaves, theirs, ours, strict=True):
        assert refused is bool(violation), (leaf, violation)


@pytest.mark.parametrize("tree", TREES)
def test_each_constraint_forbids_what_openssl_refuses(tmp_path, tree):
    leaves = [(SUBJECTS[0], [name]) for name in LEAF_NAMES]
    leaves += [(each, names) for each in SUBJECTS for names in ([], ["DNS:example.com"])]
    if tree.startswith("dirName"):
        # The subject must not decide, as it would for all leaves alike.
        leaves += [(each, [name]) for each in SUBJECTS[5:8] for name in LEAF_NAMES]
    for trees in (([tree], []), ([], [tree])):
        theirs, ours = both_opinions(tmp_path, *trees, leaves)
        for leaf, refused, violation in zip(leaves, theirs, ours, strict=True):
            assert refused is bool(violation), (leaf, violation)


@pytest.mark.parametrize("tree", TREES)
def test_what_is_stricter_than_openssl_never_lets_more_through(tmp_path, tree):
    leaves = [(SUBJECTS[0], [name]) for name in STRICTER]
    for trees in (([tree], []), ([], [tree])):
        theirs, ours = both_opinions(tmp_path, *trees, leaves)
        for leaf, refused, violation in zip(leaves, theirs, ours, strict=True):
            assert violation or not refused, leaf
