# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""X.509 certificates (RFC 5280): building, reading, and saying why one must be replaced."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from ..errors import MtlsError
from .extensions import Extensions
from .keys import is_post_quantum, key_type_of
from .library import (
    InvalidSignature,
    ec,
    ed25519,
    hashes,
    padding,
    rsa,
    serialization,
    x509,
)

# A caller's or a server's clock may be a little behind the one that signs.
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class Signer:
    """What signs: the issuer's certificate and private key.

    Without a certificate the signer is the subject itself: the result is self-signed.
    """

    key: Any
    certificate: Any = None


@dataclass(frozen=True)
class Extent:
    """From when until when a certificate is valid, both timezone-aware UTC."""

    not_before: datetime
    not_after: datetime


def utc_now() -> datetime:
    """Return the present instant, whole seconds, as certificates hold it."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def extent(now: datetime, valid: timedelta, issuer: Any = None) -> Extent:
    """Say how long a new certificate lives: never longer than its issuer.

    :param valid: how long from now.
    :raises MtlsError: the issuer isn't valid now, or the end lies beyond the year 9999.
    """
    try:
        not_after = now + valid
    except OverflowError:
        raise MtlsError(f"{valid.days} days of validity reach beyond the year 9999") from None
    not_before = now - CLOCK_SKEW
    if issuer is not None:
        if not_after_of(issuer) <= now:
            raise MtlsError(
                f"the issuer {issuer.subject.rfc4514_string()} expired on "
                f"{not_after_of(issuer):%Y-%m-%d}: is this machine's clock right ({now:%Y-%m-%d})?"
            )
        if not_before_of(issuer) > now:
            raise MtlsError(
                f"the issuer {issuer.subject.rfc4514_string()} is only valid from "
                f"{not_before_of(issuer):%Y-%m-%d %H:%M} UTC, and this machine's clock says "
                f"{now:%Y-%m-%d %H:%M}: set the clock"
            )
        not_after = min(not_after, not_after_of(issuer))
        not_before = max(not_before, not_before_of(issuer))
    return Extent(not_before, not_after)


def build_certificate(
    subject: Any, public_key: Any, signer: Signer, extent: Extent, extensions: Extensions
) -> Any:
    """Sign a certificate with these extensions and the two key identifiers."""
    builder = _builder(subject, public_key, signer, extent)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    return builder.sign(signer.key, signature_hash(signer.key.public_key()))


def _builder(subject: Any, public_key: Any, signer: Signer, extent: Extent) -> Any:
    identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
    if signer.certificate is None:
        issuer_name = subject
        authority_identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            identifier
        )
    else:
        issuer_name = signer.certificate.subject
        authority_identifier = authority_key_identifier(signer.certificate)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(extent.not_before)
        .not_valid_after(extent.not_after)
        .add_extension(identifier, critical=False)
        .add_extension(authority_identifier, critical=False)
    )


def authority_key_identifier(issuer: Any) -> Any:
    """Name an issuer's key the way that its own certificate does."""
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:  # an adopted authority may be that old
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value)


def signature_hash(public_key: Any) -> Any:
    """Choose the hash that goes with a signing key; Ed25519 and ML-DSA bring their own."""
    if _hashes_itself(public_key):
        return None
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        if public_key.curve.key_size > 384:
            return hashes.SHA512()
        if public_key.curve.key_size > 256:
            return hashes.SHA384()
    return hashes.SHA256()


def _hashes_itself(public_key: Any) -> bool:
    return isinstance(public_key, ed25519.Ed25519PublicKey) or is_post_quantum(public_key)


def is_signed_by(certificate: Any, issuer: Any) -> bool:
    """Check a certificate's signature with its issuer's public key."""
    return certificate.issuer == issuer.subject and is_signed_with(certificate, issuer.public_key())


def is_signed_with(certificate: Any, key: Any) -> bool:
    """Check the signature of a certificate or CRL with a public key."""
    if (certificate.signature_hash_algorithm is None) != _hashes_itself(key):
        return False  # only these sign without a hash, so another kind of key made this
    if hasattr(certificate, "tbs_certificate_bytes"):
        signed = certificate.tbs_certificate_bytes
    else:
        signed = certificate.tbs_certlist_bytes
    arguments: list[Any] = [certificate.signature, signed]
    if isinstance(key, rsa.RSAPublicKey):
        arguments += [padding.PKCS1v15(), certificate.signature_hash_algorithm]
    elif isinstance(key, ec.EllipticCurvePublicKey):
        arguments.append(ec.ECDSA(certificate.signature_hash_algorithm))
    try:
        key.verify(*arguments)
    except InvalidSignature:
        return False
    return True


def not_before_of(certificate: Any) -> datetime:
    """Return notBefore as timezone-aware UTC."""
    return instant_of(certificate, "not_valid_before")


def not_after_of(certificate: Any) -> datetime:
    """Return notAfter, the last instant of validity, as timezone-aware UTC."""
    return instant_of(certificate, "not_valid_after")


def instant_of(holder: Any, name: str) -> datetime:
    """Return an instant of a certificate or CRL as timezone-aware UTC."""
    # cryptography 42 brought the aware form and deprecated the naive one.
    aware: datetime | None = getattr(holder, name + "_utc", None)
    if aware is not None:
        return aware
    naive: datetime = getattr(holder, name)
    return naive.replace(tzinfo=timezone.utc)


def renewal_reason(not_after: datetime, now: datetime, margin: timedelta) -> str | None:
    """Say why a certificate must be replaced, or None while it may stay.

    Instants are timezone-aware UTC; ``margin`` is the time before expiry at which
    renewal starts. notAfter itself is still valid (RFC 5280, 4.1.2.5).

    :raises ValueError: an instant is naive, so the comparison would be a guess.
    """
    if not_after.tzinfo is None or now.tzinfo is None:
        raise ValueError("not_after and now must be timezone-aware")
    left = not_after - now
    if left < timedelta(0):
        return f"expired on {not_after:%Y-%m-%d}"
    if left < margin:
        if left < timedelta(days=1):
            return f"expires in {left // timedelta(minutes=1)} minutes"
        return f"expires in {left.days} days"
    return None


def days_left(certificate: Any, now: datetime) -> int:
    """Return the days until a certificate expires, rounded; negative once it has."""
    return round((not_after_of(certificate) - now) / timedelta(days=1))


def serial_number_text(certificate: Any) -> str:
    """Write the serial number as nginx's $ssl_client_serial does: upper-case hex, whole bytes."""
    return hex_number(certificate.serial_number)


def hex_number(number: int) -> str:
    """Write a number in upper-case hex, as whole bytes."""
    text = f"{number:X}"
    return text.zfill(len(text) + len(text) % 2)


def certificate_fingerprint(certificate: Any) -> str:
    """SHA-256 over the DER encoding, in lower-case hex."""
    digest: str = certificate.fingerprint(hashes.SHA256()).hex()
    return digest


def to_pem(certificate_or_request: Any) -> bytes:
    """Write a certificate or CSR as PEM."""
    encoded: bytes = certificate_or_request.public_bytes(serialization.Encoding.PEM)
    return encoded


def certificate_from_pem(text: bytes, where: str) -> Any:
    """Read the first certificate of a PEM file; ``where`` names it in the error.

    :raises MtlsError: there is none.
    """
    try:
        return x509.load_pem_x509_certificate(text)
    except ValueError:
        raise MtlsError(f"{where} is not a certificate in PEM") from None


def certificates_from_pem(text: bytes, where: str) -> list[Any]:
    """Read every certificate of a PEM file; ``where`` names it in the error.

    :raises MtlsError: there is none, or one can't be read.
    """
    end = b"-----END CERTIFICATE-----"
    blocks = [block + end for block in text.split(end)[:-1]]
    return [certificate_from_pem(block, where) for block in blocks or [text]]


def path_length_of(certificate: Any) -> int | None:
    """Return how many authorities may stand below this one, or None for any number."""
    limit: int | None = basic_constraints_of(certificate).path_length
    return limit


def basic_constraints_of(certificate: Any) -> Any:
    """Return basicConstraints; those of a leaf where there are none."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return x509.BasicConstraints(ca=False, path_length=None)


def key_type_in(certificate_or_request: Any) -> str:
    """Name the type of the public key in a certificate or CSR."""
    return key_type_of(certificate_or_request.public_key())
