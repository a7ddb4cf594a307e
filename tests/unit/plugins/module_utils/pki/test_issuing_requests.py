# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates whose key is elsewhere: only a CSR is here."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
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
    revoke,
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


@pytest.mark.parametrize(
    ("asked_for", "dropped"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param(
            [x509.SubjectAlternativeName([x509.DNSName("app.example.com")])], [], id="granted"
        ),
        pytest.param(
            [x509.SubjectAlternativeName([x509.DNSName("bank.example"), x509.DNSName("*.a")])],
            ["SAN DNS:*.a", "SAN DNS:bank.example"],
            id="names",
        ),
        pytest.param(
            [x509.BasicConstraints(ca=True, path_length=None)], ["basicConstraints"], id="to be CA"
        ),
        pytest.param(
            [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])], [], id="the same usage"
        ),
        pytest.param(
            [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])],
            ["extKeyUsage"],
            id="another usage",
        ),
        pytest.param(
            [x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")],
            ["1.2.3.4"],
            id="something unknown",
        ),
    ],
)
def test_what_a_request_asks_for_and_does_not_get_is_listed(store, asked_for, dropped):
    entry = server(request_for(new_key(), "app.example.com", *asked_for))
    [described] = keep(store, entry)["certificates"].values()
    assert sorted(described["dropped"]) == dropped
    [described] = keep(store, entry)["certificates"].values()
    assert (described["action"], sorted(described["dropped"])) == ("ok", dropped)


def test_another_subject_in_a_request_is_listed(store):
    [described] = keep(store, server(request_for(new_key(), "evil")))["certificates"].values()
    assert described["dropped"] == ["subject CN=evil"]


def test_whoever_holds_the_key_is_given_the_certificate_itself(store):
    keep_authority(store, "low", issuer="root")
    entry = server(request_for(new_key()), issuer="low")
    for _run in range(2):
        [described] = keep(store, entry)["certificates"].values()
        folder = store.folder("server", "app@web1")
        assert described["certificate"] == (folder / "certificate.pem").read_text()
        assert described["fullchain"] == (folder / "fullchain.pem").read_text()
        assert described["fullchain"].count("BEGIN CERTIFICATE") == 2


def test_a_key_that_was_compromised_gets_no_new_certificate(store):
    entry = server(request_for(new_key()), reissue_revoked=True)
    keep(store, entry)
    revoke(store, {"name": "app@web1", "profile": "server", "reason": "keyCompromise"})
    with pytest.raises(
        MtlsError, match="server certificate 'app@web1': its key was revoked as comp"
    ):
        keep(store, entry)
    another = server(request_for(new_key()), reissue_revoked=True)
    assert outcome(keep(store, another))[0] == "reissue"
