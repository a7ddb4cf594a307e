# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles: those of every store, and the user's own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.profiles import (
    KINDS,
    lifetime,
    profile_of,
    read_profiles,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    certificate,
    extended_key_usages,
    extension,
    file,
    keep,
    keep_authority,
    outcome,
    wanted,
)
from cryptography import x509

MINUTE = timedelta(minutes=1)
CLIENT_AUTH, SERVER_AUTH = "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1"


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep_authority(store)
    return store


def own(**options):
    return read_profiles([{"name": "own", **options}])["own"]


@pytest.mark.parametrize(
    ("kind", "usages"),
    [
        pytest.param("client", [CLIENT_AUTH], id="client"),
        pytest.param("server", [SERVER_AUTH], id="server"),
        pytest.param("peer", [SERVER_AUTH, CLIENT_AUTH], id="peer"),
    ],
)
def test_every_store_has_these(store, kind, usages):
    names = {} if kind == "client" else {"subject_alternative_names": ["DNS:a"]}
    keep(store, wanted(profile=kind, **names))
    found = certificate(file(store, "certificate.pem", kind))
    assert extended_key_usages(found) == usages
    usage = extension(found, x509.KeyUsage)
    assert (usage.critical, usage.value.digital_signature) == (True, True)
    assert read_profiles([])[kind].valid == 365 * DAY
    assert read_profiles([])[kind].key_type == "P-256"


def test_what_an_own_profile_does_not_say_comes_from_its_base():
    bases = read_profiles([])
    for kind in KINDS:
        found = own(base=kind)
        assert (found.kind, found.name) == (kind, "own")
        assert found.extended_key_usage == bases[kind].extended_key_usage
        assert (found.key_usage, found.valid) == (bases[kind].key_usage, bases[kind].valid)


def test_everything_that_an_own_profile_says_is_in_its_certificates(store):
    profile = {
        "name": "mail",
        "base": "client",
        "key_type": "RSA-2048",
        "valid_days": 90,
        "key_usage": ["digitalSignature", "keyEncipherment"],
        "extended_key_usage": ["emailProtection", "clientAuth", "1.2.3.4", "clientAuth"],
        "certificate_policies": ["1.2.3.5"],
        "extensions": [{"oid": "1.2.3.6", "critical": False, "value_base64": "BAA="}],
    }
    entry = wanted(profile="mail", profiles=[profile])
    [described] = keep(store, entry)["certificates"].values()
    assert (described["action"], described["days_left"]) == ("issue", 90)
    found = certificate(file(store, "certificate.pem"))
    assert extended_key_usages(found) == ["1.3.6.1.5.5.7.3.4", CLIENT_AUTH, "1.2.3.4"]
    assert extension(found, x509.KeyUsage).value.key_encipherment
    assert found.public_key().key_size == 2048
    assert len(extension(found, x509.CertificatePolicies).value) == 1
    assert "1.2.3.6" in [each.oid.dotted_string for each in found.extensions]
    assert outcome(keep(store, entry)) == ("ok", [])


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        pytest.param({"key_type": "P-384"}, ["key type P-384"], id="key type"),
        pytest.param({"key_usage": ["keyAgreement"]}, ["keyUsage changed"], id="key usage"),
        pytest.param({"key_usage": []}, ["-keyUsage"], id="no key usage"),
        pytest.param(
            {"extended_key_usage": ["smartcardLogon"]}, ["extKeyUsage changed"], id="extended"
        ),
        pytest.param({"extended_key_usage": []}, ["-extKeyUsage"], id="no extended one"),
        pytest.param({"certificate_policies": ["1.2.3"]}, ["+certificatePolicies"], id="policies"),
        pytest.param(
            {"extensions": [{"oid": "1.2.3", "critical": True, "value_base64": "BAA="}]},
            ["+1.2.3"],
            id="an extension",
        ),
        pytest.param({"valid_days": 90}, [], id="life"),
        pytest.param({"renew_before_days": 9}, [], id="margin"),
    ],
)
def test_a_profile_that_changes_reissues_its_certificates(store, change, reasons):
    plain = {"name": "own", "base": "client"}
    keep(store, wanted(profile="own", profiles=[plain]))
    entry = wanted(profile="own", profiles=[{**plain, **change}])
    assert outcome(keep(store, entry)) == ("reissue" if reasons else "ok", reasons)
    assert outcome(keep(store, entry)) == ("ok", [])


def test_a_self_signed_certificate_has_no_key_usage(store):
    # With one that lacks keyCertSign, OpenSSL takes no self-signed certificate for an anchor.
    keep(store, wanted(issuer="self"))
    with pytest.raises(x509.ExtensionNotFound):
        extension(certificate(file(store, "certificate.pem")), x509.KeyUsage)


def test_a_profile_may_have_another_as_its_base_only_if_it_is_always_there():
    first, second = {"name": "a", "base": "peer"}, {"name": "b", "base": "client"}
    assert list(read_profiles([first, second])) == ["client", "server", "peer", "a", "b"]


@pytest.mark.parametrize(
    ("profiles", "sentence"),
    [
        pytest.param([{"name": "peer"}], "that name is taken by a profile that is", id="built in"),
        pytest.param([{"name": "a"}, {"name": "a"}], "that name is taken by another", id="twice"),
    ],
)
def test_a_name_is_taken_once(profiles, sentence):
    with pytest.raises(MtlsError, match=sentence):
        read_profiles(profiles)


def test_an_unknown_profile_is_named_with_those_that_are_known():
    with pytest.raises(
        MtlsError, match="certificate 'c': profile 'x' is not one of client, server"
    ):
        profile_of({"name": "c", "profile": "x"}, read_profiles([]))


@pytest.mark.parametrize(
    ("options", "margin"),
    [
        pytest.param({}, 30 * DAY, id="a year"),
        pytest.param({"valid_days": 90}, 30 * DAY, id="90 days"),
        pytest.param({"valid_days": 89}, 89 * DAY / 3, id="less"),
        pytest.param({"valid_days": 3650}, 30 * DAY, id="long"),
        pytest.param({"valid_minutes": 60}, 20 * MINUTE, id="an hour"),
        pytest.param({"valid_minutes": 1}, MINUTE / 3, id="a minute"),
        pytest.param({"renew_before_days": 0}, 0 * DAY, id="none"),
        pytest.param({"renew_before_days": 364}, 364 * DAY, id="nearly all"),
        pytest.param({"renew_before_minutes": 5}, 5 * MINUTE, id="minutes"),
        pytest.param(
            {"valid_minutes": 60, "renew_before_minutes": 59}, 59 * MINUTE, id="both in minutes"
        ),
    ],
)
def test_it_is_renewed_in_the_last_third_of_its_life_unless_said(options, margin):
    assert own(**options).renewal_margin == margin


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"valid_days": None, "valid_minutes": None}, None, id="null"),
        pytest.param({"valid_days": 3}, 3 * DAY, id="days"),
        pytest.param({"valid_minutes": 3}, 3 * MINUTE, id="minutes"),
        pytest.param({"valid_days": 0}, 0 * DAY, id="zero"),
    ],
)
def test_a_life_is_given_in_days_or_minutes(given, expected):
    assert lifetime(given, "valid", "x") == expected


def test_an_entry_may_say_less_than_its_profile():
    base = [{"name": "job", "valid_minutes": 60, "renew_before_minutes": 30}]
    assert wanted(profile="job", profiles=base).profile.renewal_margin == 30 * MINUTE
    found = wanted(profile="job", profiles=base, valid_days=2).profile
    assert (found.valid, found.renewal_margin) == (2 * DAY, 30 * MINUTE)
    with pytest.raises(MtlsError, match="'client1': renew_before_days must be .* valid_minutes 20"):
        wanted(profile="job", profiles=base, valid_minutes=20)
