# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What OpenSSL and GnuTLS read in our certificates is what was asked for, and nothing else."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import KEY_TYPES
from ansible_collections.edge.mtls.tests.integration.pki_world import (
    EXCLUDED,
    EXCLUDED_TOO,
    HOST_NAMES,
    LEAVES,
    PERMITTED,
    PERSON_NAMES,
    foreign,
    line_of,
    plain_world,
    pointers,
    rich_world,
    say,
)

TYPES = pytest.mark.parametrize("key_type", KEY_TYPES)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return plain_world(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    return rich_world(tmp_path_factory.getbasetemp())


def openssl_extensions(path: Path) -> dict[str, str]:
    """Map each extension, and whether it is critical, to what OpenSSL says of it."""
    text = say("openssl", "x509", "-in", path, "-noout", "-text", "-certopt", "ext_error")
    lines = text.split("X509v3 extensions:\n")[1].split("    Signature Algorithm")[0].splitlines()
    found: dict[str, str] = {}
    for line in lines:
        if line.startswith(" " * 16):
            name = list(found)[-1]
            found[name] = f"{found[name]} {line.strip()}".strip()
        else:
            found[line.strip().removeprefix("X509v3 ")] = ""
    # OpenSSL 3.0 and 3.1 print two colons.
    return {name: re.sub(r"(othername: [^:]+)::", r"\1:", text) for name, text in found.items()}


IDENTIFIER = r"(([0-9A-F]{2}:){19}[0-9A-F]{2})"


def test_openssl_reads_the_extensions_of_authorities(world):
    root = openssl_extensions(world.authority("root"))
    assert root.pop("Basic Constraints: critical") == "CA:TRUE"
    assert root.pop("Key Usage: critical") == "Certificate Sign, CRL Sign"
    identifier = root.pop("Subject Key Identifier:")
    assert re.fullmatch(IDENTIFIER, identifier)
    assert root.pop("Authority Key Identifier:") == identifier
    assert root == {}
    services = openssl_extensions(world.authority("services"))
    assert services["Basic Constraints: critical"] == "CA:TRUE, pathlen:0"
    assert services["Authority Key Identifier:"] == identifier
    assert services["Subject Key Identifier:"] != identifier


@TYPES
def test_openssl_reads_the_extensions_of_clients(world, key_type):
    found = openssl_extensions(world.client(key_type.lower()))
    assert found.pop("Basic Constraints: critical") == "CA:FALSE"
    assert found.pop("Key Usage: critical") == "Digital Signature"
    assert found.pop("Extended Key Usage:") == "TLS Web Client Authentication"
    assert re.fullmatch(IDENTIFIER, found.pop("Subject Key Identifier:"))
    issuer = openssl_extensions(world.authority("services"))["Subject Key Identifier:"]
    assert found.pop("Authority Key Identifier:") == issuer
    assert found == {}


def test_openssl_reads_the_extensions_of_servers(world):
    found = openssl_extensions(world.leaf("servers/app"))
    assert found["Extended Key Usage:"] == "TLS Web Server Authentication"
    assert found["Key Usage: critical"] == "Digital Signature"
    assert found["Subject Alternative Name:"] == (
        "DNS:app.example.com, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1"
    )


def test_openssl_reads_a_self_signed_client_as_no_authority(world):
    found = openssl_extensions(world.client("own-rsa"))
    assert found["Basic Constraints: critical"] == "CA:FALSE"
    assert found["Extended Key Usage:"] == "TLS Web Client Authentication"
    assert found["Authority Key Identifier:"] == found["Subject Key Identifier:"]
    assert not [name for name in found if name.startswith("Key Usage")]


def gnutls_extensions(path: Path) -> dict[str, list[str]]:
    """Map each extension, and whether it is critical, to the lines that GnuTLS says of it."""
    text = say("certtool", "-i", "--infile", path)
    lines = text.split("\tExtensions:\n")[1].split("\n\tSignature Algorithm")[0].splitlines()
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("\t\t\t"):
            found[list(found)[-1]].append(line.strip())
        else:
            found[line.strip()] = []
    return found


# What was asked for, what OpenSSL prints of it, and what GnuTLS does.
NAMES = {
    "DNS:app.example.com": ("DNS:app.example.com", "DNSname: app.example.com"),
    "DNS:*.apps.example.com": ("DNS:*.apps.example.com", "DNSname: *.apps.example.com"),
    "IP:10.1.2.3": ("IP Address:10.1.2.3", "IPAddress: 10.1.2.3"),
    "IP:2001:db8::1": ("IP Address:2001:DB8:0:0:0:0:0:1", "IPAddress: 2001:db8::1"),
    "URI:spiffe://example.com/ns/app": (
        "URI:spiffe://example.com/ns/app",
        "URI: spiffe://example.com/ns/app",
    ),
    "email:ada@lab.example.com": ("email:ada@lab.example.com", "RFC822Name: ada@lab.example.com"),
    "UPN:ada@example.com": (
        "othername: UPN:ada@example.com",
        "User Principal Name: ada@example.com",
    ),
    "RID:1.3.6.1.4.1.99999.6": (
        "Registered ID:1.3.6.1.4.1.99999.6",
        "Registered ID: 1.3.6.1.4.1.99999.6",
    ),
    "URI:https://id.example.com/ada?x=1#me": (
        "URI:https://id.example.com/ada?x=1#me",
        "URI: https://id.example.com/ada?x=1#me",
    ),
    "otherName:1.3.6.1.4.1.99999.7;UTF8:Zoë": (
        "othername: 1.3.6.1.4.1.99999.7:Zoë",
        "otherName OID: 1.3.6.1.4.1.99999.7, otherName DER: 0c045a6fc3ab, otherName ASCII: ..Zo..",
    ),
    "otherName:1.3.6.1.4.1.99999.8;DER:0201FF": (
        "othername: 1.3.6.1.4.1.99999.8:<unsupported>",
        "otherName OID: 1.3.6.1.4.1.99999.8, otherName DER: 0201ff, otherName ASCII: ...",
    ),
    r"dirName:CN=Ada\, Countess,O=Example,C=DE": (
        "DirName:/C=DE/O=Example/CN=Ada, Countess",
        r"directoryName: CN=Ada\, Countess,O=Example,C=DE",
    ),
    # That of the subject
    "email:ada@example.com": ("email:ada@example.com", "RFC822Name: ada@example.com"),
}


@pytest.mark.parametrize(
    ("leaf", "names"),
    [
        pytest.param("servers/app", HOST_NAMES, id="server"),
        pytest.param("clients/person", [*PERSON_NAMES, "email:ada@example.com"], id="client"),
    ],
)
def test_alternative_names_are_what_was_asked_for(rich, leaf, names):
    said = openssl_extensions(rich.leaf(leaf))["Subject Alternative Name:"]
    assert said == ", ".join(NAMES[name][0] for name in names)
    lines = gnutls_extensions(rich.leaf(leaf))["Subject Alternative Name (not critical):"]
    assert ", ".join(lines) == ", ".join(NAMES[name][1] for name in names)


CONSTRAINTS = {
    "DNS:example.com": ("DNS:example.com", "DNSname: example.com"),
    "IP:10.0.0.0/8": ("IP:10.0.0.0/255.0.0.0", "IPAddress: 10.0.0.0/8"),
    "IP:2001:db8::/32": (
        "IP:2001:DB8:0:0:0:0:0:0/FFFF:FFFF:0:0:0:0:0:0",
        "IPAddress: 2001:db8::/32",
    ),
    "email:example.com": ("email:example.com", "RFC822Name: example.com"),
    "email:.example.com": ("email:.example.com", "RFC822Name: .example.com"),
    "URI:example.com": ("URI:example.com", "URI: example.com"),
    "URI:.example.com": ("URI:.example.com", "URI: .example.com"),
    "dirName:O=Example,C=DE": ("DirName:C = DE, O = Example", "directoryName: O=Example,C=DE"),
    "DNS:secret.example.com": ("DNS:secret.example.com", "DNSname: secret.example.com"),
    "IP:10.9.0.0/16": ("IP:10.9.0.0/255.255.0.0", "IPAddress: 10.9.0.0/16"),
    "IP:2001:db8:dead::/48": (
        "IP:2001:DB8:DEAD:0:0:0:0:0/FFFF:FFFF:FFFF:0:0:0:0:0",
        "IPAddress: 2001:db8:dead::/48",
    ),
    "email:root@example.com": ("email:root@example.com", "RFC822Name: root@example.com"),
    "email:.secret.example.com": ("email:.secret.example.com", "RFC822Name: .secret.example.com"),
    "URI:secret.example.com": ("URI:secret.example.com", "URI: secret.example.com"),
    "dirName:OU=Forbidden,O=Example,C=DE": (
        "DirName:C = DE, O = Example, OU = Forbidden",
        "directoryName: OU=Forbidden,O=Example,C=DE",
    ),
}


@pytest.mark.parametrize(
    ("name", "excluded"), [("corp-1", EXCLUDED), ("walled", [*EXCLUDED, *EXCLUDED_TOO])]
)
def test_name_constraints_are_what_was_asked_for(rich, name, excluded):
    openssl, gnutls = (
        ["Permitted:", *(CONSTRAINTS[each][reader] for each in PERMITTED), "Excluded:"]
        + [CONSTRAINTS[each][reader] for each in excluded]
        for reader in (0, 1)
    )
    certificate = rich.authority(name)
    assert openssl_extensions(certificate)["Name Constraints: critical"] == " ".join(openssl)
    assert gnutls_extensions(certificate)["Name Constraints (critical):"] == gnutls


@pytest.mark.parametrize("path", ["authorities/corp", "authorities/edwards", "clients/nightly"])
def test_policies_are_what_was_asked_for(rich, path):
    first, second, statement = (
        "1.3.6.1.4.1.99999.2",
        "1.3.6.1.4.1.99999.3",
        "https://pki.example.com/cps",
    )
    assert openssl_extensions(rich.leaf(path))["Certificate Policies:"] == (
        f"Policy: {first} CPS: {statement} Policy: {second}"
    )
    assert gnutls_extensions(rich.leaf(path))["Certificate Policies (not critical):"] == (
        [first, f"URI: {statement}", second]
    )


@pytest.mark.parametrize(
    ("path", "issuer"),
    [
        ("authorities/corp-1", "corp"),
        ("authorities/walled", "corp"),
        ("authorities/corp-2", "corp-1"),
        ("clients/person", "corp-3"),
        ("servers/app", "corp-3"),
    ],
)
def test_everything_points_to_where_its_issuer_publishes(rich, path, issuer):
    urls = pointers(issuer)
    points = [f"URI:{url}" for url in urls["crl_urls"]]
    [ocsp], [certificate] = urls["ocsp_urls"], urls["ca_issuers_urls"]
    openssl = openssl_extensions(rich.leaf(path))
    assert openssl["CRL Distribution Points:"] == " ".join(["Full Name:", *points])
    assert openssl["Authority Information Access:"] == (
        f"OCSP - URI:{ocsp} CA Issuers - URI:{certificate}"
    )
    gnutls = gnutls_extensions(rich.leaf(path))
    assert gnutls["CRL Distribution points (not critical):"] == [
        point.replace("URI:", "URI: ") for point in points
    ]
    access = [
        line for line in gnutls["Authority Information Access (not critical):"] if "URI" in line
    ]
    assert access == [f"Access Location URI: {ocsp}", f"Access Location URI: {certificate}"]


@pytest.mark.parametrize("path", ["authorities/corp", "authorities/edwards", "clients/edwards"])
def test_what_has_no_pointers_shows_none(rich, path):
    """A root has no issuer to ask; the others' issuers were given no URLs."""
    found = " ".join(openssl_extensions(rich.leaf(path)))
    assert "Distribution" not in found
    assert "Access" not in found


def test_a_profile_of_our_own_is_what_was_asked_for(rich):
    openssl = openssl_extensions(rich.client("nightly"))
    assert openssl["Key Usage: critical"] == "Digital Signature, Key Agreement"
    assert openssl["Extended Key Usage:"] == (
        "TLS Web Client Authentication, E-mail Protection, 1.3.6.1.4.1.99999.4"
    )
    assert openssl["1.3.6.1.4.1.99999.5:"] == "<Not Supported>"
    parsed = say("openssl", "asn1parse", "-in", rich.client("nightly"))
    assert re.search(r":1.3.6.1.4.1.99999.5\n.+HEX DUMP]:0C036A6F62\n", parsed)
    gnutls = gnutls_extensions(rich.client("nightly"))
    assert gnutls["Key Usage (critical):"] == ["Digital signature.", "Key agreement."]
    assert gnutls["Key Purpose (not critical):"] == (
        ["TLS WWW Client.", "Email protection.", "1.3.6.1.4.1.99999.4"]
    )
    assert "Hexdump: 0c036a6f62" in gnutls["Unknown extension 1.3.6.1.4.1.99999.5 (not critical):"]


def test_a_peer_is_for_both(rich):
    found = openssl_extensions(rich.leaf("peers/node"))["Extended Key Usage:"]
    assert found == "TLS Web Server Authentication, TLS Web Client Authentication"


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        (
            "authorities/corp",
            "CN=Example Root CA,1.3.6.1.4.1.99999.1=#0c114bc3a4726e746e65722053747261c39f65,"
            "emailAddress=pki@example.com,serialNumber=HRB 12345,OU=Sécurité,OU=Operations,"
            "O=Example Öl GmbH,L=Köln,ST=Nordrhein-Westfalen,C=DE,DC=example,DC=com",
        ),
        (
            "clients/person",
            "CN=person,name=Ada King,jurisdictionC=DE,jurisdictionST=Nordrhein-Westfalen,"
            "jurisdictionL=Köln,organizationIdentifier=VATDE-123456789,"
            "businessCategory=Private Organization,description=Note G,pseudonym=A. A. L.,"
            "dnQualifier=1815,generationQualifier=I,initials=A. K.,postalCode=SW1Y 4JH,"
            "street=12 St James's Square,SN=King,GN=Ada,title=Countess,"
            "emailAddress=ada@example.com,UID=ada,OU=Analytical Engines,O=Example,C=DE",
        ),
    ],
)
def test_subjects_are_what_was_asked_for(rich, name, subject):
    words = ["openssl", "x509", "-in", rich.leaf(name), "-noout", "-subject"]
    said = say(*words, "-nameopt", "RFC2253,utf8,-esc_msb").strip().removeprefix("subject=")
    assert re.sub(r"#[0-9A-F]+", lambda found: found[0].lower(), said) == subject
    [theirs] = re.findall(r"\tSubject: (.+)", say("certtool", "-i", "--infile", rich.leaf(name)))
    for shown, ours in {
        "EMAIL=": "emailAddress=",
        "surName=": "SN=",
        "givenName=": "GN=",
        "jurisdictionOfIncorporationCountryName=": "jurisdictionC=",
        "jurisdictionOfIncorporationStateOrProvinceName=": "jurisdictionST=",
        "jurisdictionOfIncorporationLocalityName=": "jurisdictionL=",
        "2.5.4.97=#0c0f56415444452d313233343536373839": "organizationIdentifier=VATDE-123456789",
    }.items():
        theirs = theirs.replace(shown, ours)
    assert theirs == subject


def instants(path: Path) -> list[datetime]:
    said = say("openssl", "x509", "-in", path, "-noout", "-dates").splitlines()
    return [datetime.strptime(line.split("=")[1], "%b %d %H:%M:%S %Y GMT") for line in said]


@pytest.mark.parametrize(
    ("path", "minutes"),
    [
        pytest.param("clients/nightly", 60, id="an hour"),
        pytest.param("clients/person", 365 * 1440, id="a year"),
        pytest.param("clients/aged", 29000 * 1440, id="beyond 2050"),
        pytest.param("authorities/corp", 36500 * 1440, id="a hundred years"),
    ],
)
def test_validity_is_what_was_asked_for(rich, path, minutes):
    # And five minutes for clocks that are behind.
    start, end = instants(rich.leaf(path))
    assert (end - start).total_seconds() / 60 == minutes + 5


@pytest.mark.parametrize("leaf", LEAVES)
def test_nothing_outlives_its_issuer(rich, leaf):
    ends = [instants(rich.leaf(leaf))[1]]
    ends += [instants(rich.authority(name))[1] for name in line_of(LEAVES[leaf][0])]
    assert ends == sorted(ends)


def test_both_read_everything_without_complaint(rich):
    for path in [*rich.path.glob("*/*/certificate.pem"), *foreign(rich, "").glob("*.pem")]:
        if ".crl" not in path.name and ".line" not in path.name:
            assert "error" not in say("certtool", "-i", "--infile", path)
            words = ["openssl", "x509", "-in", path, "-noout", "-text"]
            assert "Parse Error" not in say(*words, "-certopt", "ext_error")
