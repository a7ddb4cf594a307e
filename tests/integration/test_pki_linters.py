# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pkilint finds in our certificates and CRLs, measured by RFC 5280 and those it cites."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from ansible_collections.edge.mtls.tests.integration.pki_world import (
    ISSUERS,
    LEAVES,
    OURS,
    Store,
    plain_world,
    post_quantum_world,
    rich_world,
)
from pkilint import loader, pkix
from pkilint.bin import lint_pkix_signer_signee_cert_chain as chain_linter
from pkilint.pkix import certificate, crl, extension, name
from pkilint.validation import ValidationFindingSeverity as Severity

# What it finds and we keep: a pattern of the whole finding, and why it is right as it is.
ALLOWED = {
    r"invalid_domain_name_syntax: .*\"\*\.apps\.example\.com\"": (
        "It knows the names of RFC 5280 only, and wildcards are RFC 9525's."
    ),
    r"invalid_uri_syntax: .*\"spiffe://example.com/\S+\"": (
        "It knows no scheme spiffe, but the URI is one by RFC 3986."
    ),
    r"certificate_policies_policy_has_qualifier: ": (
        "RFC 5280, 4.2.1.4 recommends an OID alone, but the URL was asked for."
    ),
    r"ldap_uri_not_validated: ldap://": "It doesn't look into URLs of LDAP, which were asked for.",
}
# Made by OpenSSL, which is not what is judged here.
FOREIGN = {"adopted", "offline", "signed-by-x509", "signed-by-ca"}


class Finding(NamedTuple):
    path: str
    text: str


def severe(results: Iterable[object], path: object) -> Iterator[Finding]:
    """Yield each finding above INFO."""
    for result in results:
        for each in result.finding_descriptions:
            if each.finding.severity < Severity.INFO:
                code = each.finding.code.removeprefix("pkix.")
                yield Finding(str(path), f"{code}: {each.message or ''}")


CERTIFICATES = certificate.create_pkix_certificate_validator_container(
    certificate.create_decoding_validators(
        name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS
    ),
    [
        certificate.create_issuer_validator_container([]),
        certificate.create_validity_validator_container(),
        certificate.create_subject_validator_container([]),
        certificate.create_extensions_validator_container([]),
        certificate.create_spki_validator_container([]),
    ],
)
CRLS = crl.create_pkix_crl_validator_container(
    [
        pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
        pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
    ],
    [
        crl.create_issuer_validator_container([]),
        crl.create_validity_validator_container([]),
        crl.create_extensions_validator_container([]),
    ],
)


def lint_certificate(path: Path) -> list[Finding]:
    """Do what ``lint_pkix_cert lint`` does."""
    document = loader.RFC5280CertificateDocumentLoader().load_pem_document(path.read_text())
    return list(severe(CERTIFICATES.validate(document.root), path))


def lint_crl(path: Path) -> list[Finding]:
    """Do what ``lint_crl lint`` does."""
    document = loader.RFC5280CertificateListDocumentLoader().load_der_document(path.read_bytes())
    return list(severe(CRLS.validate(document.root), path))


def lint_pair(issuer: Path, subject: Path) -> list[Finding]:
    """Do what ``lint_pkix_signer_signee_cert_chain lint`` does."""
    documents: dict[str, object] = {}
    for role, path in (("issuer", issuer), ("subject", subject)):
        documents[role] = loader.RFC5280CertificateDocumentLoader().load_pem_document(
            path.read_text(), role, parent=documents
        )
    decoding = chain_linter.create_decoder_validation_container()
    results = [each for it in documents.values() for each in decoding.validate(it.root)]
    results += chain_linter.create_issuer_validation_container().validate(documents["issuer"].root)
    results += chain_linter.create_subject_validation_container().validate(
        documents["subject"].root
    )
    return list(severe(results, subject))


def unexplained(findings: list[Finding]) -> list[Finding]:
    return [it for it in findings if not any(re.match(known, it.text) for known in ALLOWED)]


WORLDS = {"plain": plain_world, "rich": rich_world, "post-quantum": post_quantum_world}


@pytest.fixture(scope="module", params=WORLDS)
def store(request, tmp_path_factory) -> Store:
    return WORLDS[request.param](tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def rich(tmp_path_factory) -> Store:
    return rich_world(tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("kind", ["authorities", "clients", "servers", "peers"])
def test_certificates_are_as_rfc_5280_wants_them(store, kind):
    paths = [
        path
        for path in sorted(store.path.glob(f"{kind}/*/certificate.pem"))
        if path.parent.name not in FOREIGN or kind != "authorities"
    ]
    assert paths or kind == "peers"
    assert unexplained([each for path in paths for each in lint_certificate(path)]) == []


def test_crls_are_as_rfc_5280_wants_them(store):
    paths = sorted(store.path.glob("crls/*.crl"))
    assert paths or store.path.name == "plain"
    assert unexplained([each for path in paths for each in lint_crl(path)]) == []


PAIRS = [
    *((f"authorities/{name}", above) for name, above in ISSUERS.items() if above),
    *((leaf, issuer) for leaf, (issuer, _purpose) in LEAVES.items()),
]


@pytest.mark.parametrize(("subject", "issuer"), PAIRS)
def test_certificates_fit_their_issuers(rich, subject, issuer):
    """Names, key identifiers, policies and signatures."""
    assert unexplained(lint_pair(rich.authority(issuer), rich.leaf(subject))) == []


# It verifies no signatures of ML-DSA, but all the rest. OpenSSL 3.5 does (test_pki_post_quantum).
UNVERIFIED = ["unsupported_algorithm: "]


@pytest.mark.parametrize(
    ("subject", "issuer", "expected"),
    [
        ("authorities/services", "ml-dsa-87", UNVERIFIED),
        ("clients/small", "services", UNVERIFIED),
        ("clients/classic", "services", UNVERIFIED),
        ("clients/below-classic", "mixed", []),
    ],
)
def test_certificates_of_ml_dsa_fit_their_issuers(tmp_path_factory, subject, issuer, expected):
    store = post_quantum_world(tmp_path_factory.getbasetemp())
    found = lint_pair(store.authority(issuer), store.leaf(subject))
    assert [finding.text for finding in found] == expected


def test_a_root_that_is_rolled_over_fits_its_predecessor(tmp_path):
    store = Store(tmp_path / "store")
    for stage in (None, "prepare", "sign"):
        store.keep_authority("root", "Root CA", subject=OURS, roll_over=stage)
    cross, old = store.authority("root", "cross.pem"), store.leaf("predecessors/root")
    for path in (cross, old, store.authority("root")):
        assert lint_certificate(path) == []
    assert lint_pair(old, cross) == []


def test_a_stranger_would_not_fit(rich):
    findings = lint_pair(rich.authority("walled"), rich.leaf("clients/person"))
    assert any("signature_verification_failed" in finding.text for finding in findings)


def test_what_is_allowed_is_still_found(rich):
    paths = rich.path.glob("*/*/certificate.pem")
    texts = [finding.text for path in paths for finding in lint_certificate(path)]
    assert [known for known in ALLOWED if not any(re.match(known, it) for it in texts)] == []
