# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate extensions (RFC 5280, 4.2): from options to X.509, and what differs."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import MtlsError
from .general_names import general_name_text, name_constraints
from .library import AuthorityInformationAccessOID, x509
from .names import object_identifier

# As OpenSSL's configuration and RFC 5280 spell them, and cryptography's argument.
KEY_USAGES = {
    "digitalSignature": "digital_signature",
    "contentCommitment": "content_commitment",
    "keyEncipherment": "key_encipherment",
    "dataEncipherment": "data_encipherment",
    "keyAgreement": "key_agreement",
    "keyCertSign": "key_cert_sign",
    "cRLSign": "crl_sign",
    "encipherOnly": "encipher_only",
    "decipherOnly": "decipher_only",
}
AUTHORITY_ONLY_USAGES = ("keyCertSign", "cRLSign")
EXTENDED_KEY_USAGES = {
    "serverAuth": "1.3.6.1.5.5.7.3.1",
    "clientAuth": "1.3.6.1.5.5.7.3.2",
    "codeSigning": "1.3.6.1.5.5.7.3.3",
    "emailProtection": "1.3.6.1.5.5.7.3.4",
    "timeStamping": "1.3.6.1.5.5.7.3.8",
    "OCSPSigning": "1.3.6.1.5.5.7.3.9",
    "ipsecIKE": "1.3.6.1.5.5.7.3.17",
    "smartcardLogon": "1.3.6.1.4.1.311.20.2.2",
    "KPClientAuth": "1.3.6.1.5.2.3.4",
}
OID = re.compile(r"[012](\.(0|[1-9]\d*))+\Z", re.ASCII)
URL = re.compile(r"(https?|ldap)://[!-~]+\Z")
# What a leaf's or an authority's own options decide; an own extension can't be one of these.
GOVERNED_OIDS = {
    "2.5.29.14": "subjectKeyIdentifier",
    "2.5.29.15": "keyUsage",
    "2.5.29.17": "subjectAltName",
    "2.5.29.19": "basicConstraints",
    "2.5.29.30": "nameConstraints",
    "2.5.29.31": "cRLDistributionPoints",
    "2.5.29.32": "certificatePolicies",
    "2.5.29.35": "authorityKeyIdentifier",
    "2.5.29.37": "extKeyUsage",
    "1.3.6.1.5.5.7.1.1": "authorityInfoAccess",
}

# What an authority's pointers become.
POINTER_OIDS = ("2.5.29.31", "1.3.6.1.5.5.7.1.1")

Extensions = list[tuple[Any, bool]]


@dataclass(frozen=True)
class Pointers:
    """Where to find an authority's CRL, certificate and OCSP responder.

    It puts them into every certificate that it signs. Each is a list of URLs.
    """

    crl_urls: tuple[str, ...] = ()
    ca_issuers_urls: tuple[str, ...] = ()
    ocsp_urls: tuple[str, ...] = ()

    def check(self, where: str) -> None:
        """Make sure that all are URLs that a verifier can follow.

        :raises MtlsError: one is not.
        """
        for option, urls in vars(self).items():
            for url in urls:
                if not URL.match(url):
                    raise MtlsError(
                        f"{where}: {option} {url!r} must be an http, https or ldap URL, in ASCII "
                        "and without spaces"
                    )

    def extensions(self) -> Extensions:
        """Return CRL distribution points and authority information access."""
        found: Extensions = []
        if self.crl_urls:
            # One point whose CRL lies at several places, not several points (RFC 5280, 4.2.1.13).
            names = [x509.UniformResourceIdentifier(url) for url in self.crl_urls]
            points = [x509.DistributionPoint(names, None, None, None)]
            found.append((x509.CRLDistributionPoints(points), False))
        accesses = [
            x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
            for method, urls in (
                (AuthorityInformationAccessOID.OCSP, self.ocsp_urls),
                (AuthorityInformationAccessOID.CA_ISSUERS, self.ca_issuers_urls),
            )
            for url in urls
        ]
        if accesses:
            found.append((x509.AuthorityInformationAccess(accesses), False))
        return found


def policies_extension(policies: Sequence[str], where: str) -> Extensions:
    """Build certificatePolicies of OIDs, each with the address of its practice statement if given.

    :param policies: ``1.3.6.1.4.1.99999.1`` or ``1.3.6.1.4.1.99999.1 https://example.com/cps``.
    :raises MtlsError: one is neither.
    """
    found = []
    for text in policies:
        oid, _space, url = text.partition(" ")
        if not OID.match(oid) or (url and not URL.match(url)):
            raise MtlsError(
                f"{where}: the certificate policy {text!r} must be an OID such as "
                "1.3.6.1.4.1.99999.1, or one followed by a space and the URL of its practice "
                "statement"
            )
        found.append(x509.PolicyInformation(_object_identifier(oid, where), [url] if url else None))
    if len({policy.policy_identifier for policy in found}) < len(found):
        raise MtlsError(f"{where}: a certificate policy is named twice (RFC 5280, 4.2.1.4)")
    return [(x509.CertificatePolicies(found), False)] if found else []


def key_usage_extension(usages: Sequence[str]) -> Extensions:
    """Build keyUsage, which is always critical; without any usage there is none."""
    if not usages:
        return []
    arguments = {argument: name in usages for name, argument in KEY_USAGES.items()}
    return [(x509.KeyUsage(**arguments), True)]


def extended_key_usage_oid(text: str, where: str) -> str:
    """Return the OID of an extended key usage, which may be given by its name.

    :raises MtlsError: it is neither a name that is known here nor an OID.
    """
    oid = EXTENDED_KEY_USAGES.get(text, text)
    if not OID.match(oid):
        raise MtlsError(
            f"{where}: the extended key usage {text!r} must be an OID or one of "
            f"{', '.join(EXTENDED_KEY_USAGES)}"
        )
    _object_identifier(oid, where)
    return oid


def own_extension(oid: str, critical: bool, value_base64: str, where: str) -> tuple[Any, bool]:
    """Build an extension whose value the user brings, DER in Base64.

    :raises MtlsError: the OID is none or one that an option decides, or the value is no Base64.
    """
    if not OID.match(oid):
        raise MtlsError(f"{where}: the extension {oid!r} must be named by its OID, such as 1.2.3.4")
    if oid in GOVERNED_OIDS:
        raise MtlsError(
            f"{where}: the extension {oid} is {GOVERNED_OIDS[oid]}, which other options decide; "
            "leave it out here"
        )
    try:
        value = base64.b64decode(value_base64, validate=True)
    except ValueError:
        value = b""
    if not value:
        raise MtlsError(f"{where}: the value of extension {oid} must be DER in Base64")
    return x509.UnrecognizedExtension(_object_identifier(oid, where), value), critical


def _object_identifier(text: str, where: str) -> Any:
    try:
        return object_identifier(text)
    except ValueError as error:
        raise MtlsError(f"{where}: {text!r} {error}") from None


def authority_extensions(
    path_length: int | None,
    permitted_names: Sequence[str],
    excluded_names: Sequence[str],
    policies: Sequence[str],
    where: str,
) -> Extensions:
    """Return what makes a certificate an authority's.

    :raises MtlsError: a name constraint or a policy is wrong.
    """
    found: Extensions = [(x509.BasicConstraints(ca=True, path_length=path_length), True)]
    found += key_usage_extension(AUTHORITY_ONLY_USAGES)
    constraints = name_constraints(list(permitted_names), list(excluded_names), where)
    if constraints is not None:
        found.append((constraints, True))
    return found + policies_extension(policies, where)


def differences(certificate: Any, wanted: Extensions, ignored: Sequence[str] = ()) -> list[str]:
    """Say how a certificate's extensions differ from those that are wanted.

    Key identifiers follow from the keys, and are not looked at.

    :param ignored: OIDs that are not looked at either.
    """
    has = {
        extension.oid.dotted_string: (extension.value, extension.critical)
        for extension in certificate.extensions
        if not isinstance(extension.value, (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier))
    }
    wants = {value.oid.dotted_string: (value, critical) for value, critical in wanted}
    found = []
    for oid in dict.fromkeys([*wants, *has]):
        if oid in ignored or has.get(oid) == wants.get(oid):
            continue
        if oid == "2.5.29.17":
            found += _name_differences(has.get(oid), wants.get(oid))
            continue
        name = GOVERNED_OIDS.get(oid, oid)
        if oid in has and oid in wants:
            found.append(f"{name} changed")
        else:
            found.append(f"+{name}" if oid in wants else f"-{name}")
    return found


def _name_differences(has: Any, wants: Any) -> list[str]:
    had, wanted = (
        {general_name_text(name) for name in each[0]} if each else set() for each in (has, wants)
    )
    added = [f"SAN +{name}" for name in sorted(wanted - had)]
    return added + [f"SAN -{name}" for name in sorted(had - wanted)]
