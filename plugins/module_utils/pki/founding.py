# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making an authority's certificate: a first one, a successor's, or one by the issuer's new key."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..errors import MtlsError
from . import keys
from .authorities import CROSS, Authority, signer_for
from .certificates import (
    Signer,
    build_certificate,
    extent,
    not_after_of,
    path_length_of,
    to_pem,
)
from .extensions import Extensions
from .general_names import constraint_violation
from .index import Entry
from .library import x509
from .requests import build_request
from .store import CERTIFICATE, FULLCHAIN, KEY, Issue, Store
from .wanted_authority import WantedAuthority

REQUEST = "request.pem"


def make(
    store: Store,
    wanted: WantedAuthority,
    parent: Authority | None,
    now: datetime,
    predecessor: Authority | None = None,
) -> None:
    """Make an authority with a new key.

    :param parent: who signs it; it signs itself where there is none.
    :param predecessor: whom it is to succeed; it becomes the successor of that.
    :raises MtlsError: the issuer may not sign it or can't.
    """
    key = keys.generate(wanted.key_type)
    signer = Signer(key)
    if parent is not None:
        check_may_sign(wanted, parent)
        signer = signer_for(store, parent, wanted.issuer_key_passphrase)
    crosses, also = list(parent.cross) if parent else [], []
    if predecessor is not None and parent is None and not_after_of(predecessor.certificate) > now:
        old = signer_for(store, predecessor, wanted.key_passphrase)
        cross = _sign(wanted, key.public_key(), old, wanted.extensions(), now)
        crosses.append(cross)
        also.append(Entry("authority", wanted.name, predecessor.key, cross))
    pointers = parent.pointers.extensions() if parent else []
    certificate = _sign(wanted, key.public_key(), signer, wanted.extensions() + pointers, now)
    publish(
        store,
        wanted.name,
        certificate,
        parent,
        now,
        key=keys.key_to_pem(key, wanted.key_passphrase),
        crosses=crosses,
        role="authority" if predecessor is None else "successor",
        also=also,
    )


def resign(
    store: Store, wanted: WantedAuthority, found: Authority, parent: Authority, now: datetime
) -> None:
    """Give an authority a certificate by its issuer's new key. Its own key and subject stay.

    So everything that it signed goes on working.

    :raises MtlsError: the issuer can't sign.
    """
    old = found.certificate
    kept = [
        (extension.value, extension.critical)
        for extension in old.extensions
        if extension.oid.dotted_string in _KEPT_OIDS
    ]
    signer = signer_for(store, parent, wanted.issuer_key_passphrase)
    left = extent(now, not_after_of(old) - now, signer.certificate)
    certificate = build_certificate(
        old.subject, old.public_key(), signer, left, kept + parent.pointers.extensions()
    )
    publish(
        store,
        found.name,
        certificate,
        parent,
        now,
        key=store.read(found.role, found.name, KEY),
        crosses=parent.cross,
        role=found.role,
    )


def rechain(store: Store, found: Authority, parent: Authority) -> None:
    """Write an authority's chain anew, after one above it got another certificate."""
    chain = (found.certificate, parent.certificate, *parent.above)
    files = {FULLCHAIN: b"".join(to_pem(each) for each in chain)}
    if parent.cross:
        files[CROSS] = b"".join(to_pem(each) for each in parent.cross)
    store.add(found.role, found.name, files, 0o644)


# What an authority's own options decide: basic constraints, key usage, name constraints, policies,
# and the mail addresses of its subject.
_KEPT_OIDS = ("2.5.29.19", "2.5.29.15", "2.5.29.30", "2.5.29.32", "2.5.29.17")


def make_request(store: Store, wanted: WantedAuthority) -> None:
    """Make a key and a CSR for an authority whose issuer's key is elsewhere."""
    key = keys.generate(wanted.key_type)
    request = build_request(key, wanted.subject_name(), wanted.extensions())
    files = {
        KEY: keys.key_to_pem(key, wanted.key_passphrase),
        REQUEST: to_pem(request),
    }
    store.keep_pending(wanted.name, files)


def publish(
    store: Store,
    name: str,
    certificate: Any,
    parent: Authority | None,
    now: datetime,
    *,
    key: bytes | None,
    crosses: Any = (),
    role: str = "authority",
    also: Any = (),
) -> None:
    """Write an authority's certificate, chain and key, and make them current in their role."""
    above = (parent.certificate, *parent.above) if parent else ()
    files = {
        CERTIFICATE: to_pem(certificate),
        FULLCHAIN: b"".join(to_pem(each) for each in (certificate, *above)),
    }
    if crosses:
        files[CROSS] = b"".join(to_pem(each) for each in crosses)
    if key is not None:
        files[KEY] = key
    issuer = parent.certificate if parent else certificate
    issuer_key = keys.public_key_fingerprint(issuer.public_key())
    entry = Entry("authority", name, issuer_key, certificate)
    issue = Issue(entry, files, frozenset({KEY}), role, tuple(also))
    store.publish([issue], int(now.timestamp()))


def check_may_sign(wanted: WantedAuthority, parent: Authority) -> None:
    """Make sure that verifiers would accept an authority of this issuer.

    :raises MtlsError: path length, name constraints or the subject forbid it.
    """
    limits = [
        (limit, distance)
        for distance, certificate in enumerate((parent.certificate, *parent.above))
        if (limit := path_length_of(certificate)) is not None
    ]
    if any(distance >= limit for limit, distance in limits):
        raise MtlsError(
            f"{wanted.where}: its issuer {parent.name!r} may have no authority below it "
            "(path length reached); give the new one another issuer"
        )
    name = wanted.subject_name()
    if name == parent.certificate.subject:
        raise MtlsError(
            f"{wanted.where}: common_name {wanted.common_name!r} is also its issuer's, so its "
            "certificate would look self-issued; give it another one"
        )
    check_constraints(parent, name, [], wanted.where)


def check_constraints(authority: Authority, subject: Any, names: list[Any], where: str) -> None:
    """Make sure that no authority of a line forbids a new certificate's names.

    :raises MtlsError: one does; verifiers would refuse the certificate (RFC 5280, 4.2.1.10).
    """
    for certificate in (authority.certificate, *authority.above):
        try:
            extension = certificate.extensions.get_extension_for_class(x509.NameConstraints)
        except x509.ExtensionNotFound:
            continue
        violation = constraint_violation(extension.value, subject, names)
        if violation:
            raise MtlsError(
                f"{where}: {violation}, says the authority "
                f"{certificate.subject.rfc4514_string()}; every verifier would refuse it"
            )


def _sign(
    wanted: WantedAuthority, public_key: Any, signer: Signer, extensions: Extensions, now: datetime
) -> Any:
    lives = extent(now, wanted.valid, signer.certificate)
    return build_certificate(wanted.subject_name(), public_key, signer, lives, extensions)
