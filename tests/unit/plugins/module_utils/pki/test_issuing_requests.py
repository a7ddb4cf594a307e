# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates whose key is elsewhere: only a CSR is here."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import is_signed_by
from ansible_collections.edge.mtls.plugins.module_utils.pki.general_names import alternative_names
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    certificate,
    extension,
    keep,
    keep_authority,
    name_of,
    new_key,
    outcome,
    request_for,
    same_key,
    wanted,
)
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

SAN = ["DNS:app.example.com", "IP:192.0.2.1"]


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep_authority(store)
    return store


def server(request, **options):
    defaults = {"profile": "server", "subject_alternative_names": SAN, "request": request}
    return wanted("app@web1", **{"common_name": "app.example.com", **defaults, **options})


def test_a_request_is_signed_and_its_key_stays_away(store):
    key = new_key()
    entry = server(request_for(key))
    [described] = keep(store, entry)["certificates"].values()
    assert "key_path" not in described
    folder = store.folder("server", "app@web1")
    assert sorted(path.name for path in folder.iterdir()) == ["certificate.pem", "fullchain.pem"]
    assert same_key(certificate(folder / "certificate.pem"), key)
    # A request is signed anew at every run, and often with other bytes; the key is what counts.
    assert outcome(keep(store, server(request_for(key, "other")))) == ("ok", [])


def test_a_request_brings_a_key_and_nothing_else(store):
    asked_for = [
        x509.BasicConstraints(ca=True, path_length=None),
        x509.SubjectAlternativeName([x509.DNSName("bank.example"), x509.DNSName("*.example")]),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.CODE_SIGNING]),
        x509.KeyUsage(True, True, True, True, True, True, True, False, False),
        x509.NameConstraints([x509.DNSName("example")], None),
    ]
    keep(store, server(request_for(new_key(), "bank.example", *asked_for)))
    found = certificate(store.folder("server", "app@web1") / "certificate.pem")
    assert found.subject == name_of("app.example.com")
    assert extension(found, x509.BasicConstraints).value.ca is False
    assert alternative_names(found) == sorted(SAN)
    assert list(extension(found, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not extension(found, x509.KeyUsage).value.key_cert_sign
    assert len(found.extensions) == 6
    root = certificate(store.folder("authority", "root") / "certificate.pem")
    assert is_signed_by(found, root)


def test_another_public_key_is_a_reason(store):
    keep(store, server(request_for(new_key())))
    entry = server(request_for(new_key()))
    assert outcome(keep(store, entry)) == ("reissue", ["public key changed"])
    assert outcome(keep(store, entry)) == ("ok", [])


def test_a_key_that_goes_away_or_comes_back_is_a_reason(store):
    key = new_key()
    keep(store, server(None))
    folder = store.folder("server", "app@web1")
    assert (folder / "key.pem").exists()
    assert outcome(keep(store, server(request_for(key)))) == ("reissue", ["public key changed"])
    assert not (folder / "key.pem").exists()
    assert outcome(keep(store, server(None))) == ("reissue", ["key missing"])


def test_a_renewed_request_keeps_its_key(store):
    entry = server(request_for(new_key()))
    keep(store, entry)
    result = keep(store, entry, now=NOW + 350 * DAY)
    assert outcome(result) == ("renew", ["expires in 15 days"])
