# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping an authority: its passphrase, its pointers, its constraints, and what is trusted."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import keys
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    certificates_from_pem,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    certificate,
    extension,
    file,
    keep,
    keep_authority,
    outcome,
    revoke,
    tree,
    wanted,
    wanted_authority,
)
from cryptography import x509

SECRET, OTHER, WRONG = "nobody reads this", "nor this one", "guessed wrong"


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def key_text(store, name="root"):
    return (store.folder("authority", name) / "key.pem").read_bytes()


@pytest.mark.parametrize(
    ("first", "then", "reasons"),
    [
        pytest.param({}, {"key_passphrase": SECRET}, ["key passphrase changed"], id="set"),
        pytest.param(
            {"key_passphrase": SECRET},
            {"key_passphrase": OTHER, "previous_key_passphrase": SECRET},
            ["key passphrase changed"],
            id="changed",
        ),
        pytest.param(
            {"key_passphrase": SECRET},
            {"previous_key_passphrase": SECRET},
            ["key passphrase removed"],
            id="removed",
        ),
        pytest.param({"key_passphrase": SECRET}, {"key_passphrase": SECRET}, [], id="kept"),
        pytest.param(
            {"key_passphrase": SECRET},
            {"key_passphrase": SECRET, "previous_key_passphrase": OTHER},
            [],
            id="changed long ago",
        ),
        pytest.param({"key_passphrase": SECRET}, {}, [], id="not given"),
        pytest.param({}, {"previous_key_passphrase": SECRET}, [], id="removed long ago"),
    ],
)
def test_the_passphrase_of_a_key_follows_what_is_wanted(store, first, then, reasons):
    made = keep_authority(store, **first)
    before = tree(store.path)
    assert keep_authority(store, check_mode=True, **then)["reasons"] == reasons
    assert tree(store.path) == before
    done = keep_authority(store, **then)
    assert (done["reasons"], done["changed"]) == (reasons, bool(reasons))
    assert done["certificate"] == made["certificate"]
    assert keep_authority(store, **then)["changed"] is False
    has_now = then.get("key_passphrase") if reasons else first.get("key_passphrase")
    assert keys.is_encrypted(key_text(store)) is bool(has_now)
    assert keys.key_from_pem(key_text(store), "key", has_now)
    assert oct((store.folder("authority", "root") / "key.pem").stat().st_mode)[-3:] == "600"
    passphrases = {"root": has_now} if has_now else {}
    assert outcome(keep(store, wanted(), key_passphrases=passphrases)) == ("issue", ["missing"])


def test_a_wrong_previous_passphrase_is_said_and_nothing_changes(store):
    keep_authority(store, key_passphrase=SECRET)
    before = tree(store.path)
    for given in ({"key_passphrase": OTHER}, {}):
        with pytest.raises(
            MtlsError, match=r"key\.pem can't be opened with the passphrase"
        ) as said:
            keep_authority(store, previous_key_passphrase=WRONG, **given)
        assert not any(text in str(said.value) for text in (SECRET, OTHER, WRONG))
    assert tree(store.path) == before


@pytest.mark.parametrize(
    ("passphrases", "sentence"),
    [
        pytest.param({}, "is encrypted: give the passphrase of authority 'root' in", id="missing"),
        pytest.param({"low": SECRET}, "is encrypted: give the passphrase of", id="of another"),
        pytest.param({"root": WRONG}, "can't be opened with the passphrase given", id="wrong"),
    ],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_passphrase_is_needed_when_something_is_signed(store, passphrases, sentence, check_mode):
    keep_authority(store, key_passphrase=SECRET)
    good = {"root": SECRET}
    keep(store, wanted(), key_passphrases=good)
    revoke(store, key_passphrases=good)
    before = tree(store.path)
    # Nothing is due, so nothing is opened.
    assert outcome(keep(store, wanted(), key_passphrases=passphrases)) == ("ok", [])
    assert revoke(store, key_passphrases=passphrases)["changed"] is False
    for call in (
        lambda: keep(store, wanted("c2"), key_passphrases=passphrases, check_mode=check_mode),
        lambda: revoke(
            store, {"name": "client1"}, key_passphrases=passphrases, check_mode=check_mode
        ),
    ):
        with pytest.raises(MtlsError, match=sentence) as said:
            call()
        assert SECRET not in str(said.value)
        assert WRONG not in str(said.value)
    assert tree(store.path) == before


def test_an_issuer_is_opened_with_its_own_passphrase(store):
    keep_authority(store, key_passphrase=SECRET)
    with pytest.raises(MtlsError, match="give the passphrase of authority 'root'"):
        keep_authority(store, "low", issuer="root", key_passphrase=OTHER)
    keep_authority(store, "low", issuer="root", key_passphrase=OTHER, issuer_key_passphrase=SECRET)
    keep(store, wanted(issuer="low"), key_passphrases={"low": OTHER})
    assert keep_authority(store, "low", issuer="root", key_passphrase=OTHER)["changed"] is False


def test_no_passphrase_is_shown(store):
    secrets = {
        "key_passphrase": SECRET,
        "previous_key_passphrase": OTHER,
        "issuer_key_passphrase": WRONG,
    }
    entry = wanted_authority(**secrets)
    result = keep_authority(store, **secrets)
    client = wanted(packs=["pkcs12"], pack_passphrase=SECRET)
    issued = keep(store, client, key_passphrases={"root": SECRET})
    for text in (repr(entry), str(entry), repr(result), repr(issued), repr(client)):
        assert not any(secret in text for secret in secrets.values())
    assert b"PRIVATE" not in repr(result).encode()


POINTERS = {
    "crl_urls": ("http://pki.example.com/root.crl", "ldap://pki.example.com/cn=root"),
    "ca_issuers_urls": ("http://pki.example.com/root.cer",),
    "ocsp_urls": ("http://ocsp.example.com",),
}


def test_pointers_go_into_what_is_signed_and_not_into_the_authority(store):
    made = keep_authority(store, **POINTERS)
    assert made["reasons"] == ["missing", "crl_urls and ca_issuers_urls and ocsp_urls changed"]
    root = certificate(made["certificate"])
    with pytest.raises(x509.ExtensionNotFound):
        extension(root, x509.CRLDistributionPoints)
    low = certificate(keep_authority(store, "low", issuer="root")["certificate"])
    keep(store, wanted())
    for found in (low, certificate(file(store, "certificate.pem"))):
        [point] = extension(found, x509.CRLDistributionPoints).value
        assert tuple(name.value for name in point.full_name) == POINTERS["crl_urls"]
        access = extension(found, x509.AuthorityInformationAccess).value
        assert [each.access_location.value for each in access] == [
            *POINTERS["ocsp_urls"],
            *POINTERS["ca_issuers_urls"],
        ]
    assert keep_authority(store, **POINTERS)["changed"] is False


@pytest.mark.parametrize(
    ("before", "after", "reasons", "differences"),
    [
        pytest.param({}, POINTERS, ["crl_urls and ca_issuers_urls and ocsp_urls changed"],
                     ["+cRLDistributionPoints", "+authorityInfoAccess"], id="set"),
        pytest.param(POINTERS, {**POINTERS, "crl_urls": ("http://b.example/x",)},
                     ["crl_urls changed"], ["cRLDistributionPoints changed"], id="changed"),
        pytest.param(POINTERS, {}, ["crl_urls and ca_issuers_urls and ocsp_urls changed"],
                     ["-cRLDistributionPoints", "-authorityInfoAccess"], id="removed"),
    ],
)  # fmt: skip
def test_a_leaf_with_other_pointers_is_issued_anew(store, before, after, reasons, differences):
    keep_authority(store, **before)
    keep_authority(store, "low", issuer="root")
    keep(store, wanted())
    assert keep_authority(store, check_mode=True, **after)["reasons"] == reasons
    assert outcome(keep(store, wanted())) == ("ok", [])
    assert keep_authority(store, **after)["reasons"] == reasons
    assert keep_authority(store, **after)["changed"] is False
    assert outcome(keep(store, wanted())) == ("reissue", differences)
    assert outcome(keep(store, wanted())) == ("ok", [])
    # An authority can't be replaced for that, and keeps what it has.
    assert keep_authority(store, "low", issuer="root")["changed"] is False


CONSTRAINED = {
    "permitted_names": ("DNS:example.com", "dirName:O=Example"),
    "excluded_names": ("DNS:secret.example.com",),
}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param(
            {"subject_alternative_names": ["DNS:a.example.org"]}, "a.example.org", id="out"
        ),
        pytest.param(
            {"subject_alternative_names": ["DNS:a.secret.example.com"]}, "secret", id="excluded"
        ),
        pytest.param({"subject": {"O": "Other"}}, "O=Other|dirName", id="subject"),
    ],
)
@pytest.mark.parametrize("issuer", ["root", "low"])
def test_a_leaf_that_a_verifier_would_refuse_is_not_issued(store, issuer, options, sentence):
    keep_authority(store, **CONSTRAINED, subject={"O": "Example"})
    keep_authority(store, "low", issuer="root", subject={"O": "Example"})
    good = {"subject": {"O": "Example"}, "issuer": issuer}
    with pytest.raises(
        MtlsError,
        match=f"client certificate 'client1': .*({sentence}).*, says the authority .*CN=root CA"
        ".*; every verifier would refuse it",
    ):
        keep(store, wanted("good", **good), wanted(**{**good, **options}))
    assert not (store.path / "clients").exists()
    inside = {"subject_alternative_names": ["DNS:a.example.com", "IP:10.0.0.1"]}
    assert outcome(keep(store, wanted(**good, **inside))) == ("issue", ["missing"])


def test_an_authority_that_a_verifier_would_refuse_is_not_made(store):
    keep_authority(store, **CONSTRAINED, subject={"O": "Example"})
    before = tree(store.path)
    with pytest.raises(MtlsError, match="authority 'low': .*, says the authority .*CN=root CA"):
        keep_authority(store, "low", issuer="root", subject={"O": "Other"})
    assert tree(store.path) == before


def test_what_is_trusted_is_written_anew_where_it_was_lost_or_changed(store):
    keep_authority(store)
    path = store.path / "trust/root.pem"
    good = path.read_bytes()
    reasons = ["trust bundle missing or another one"]
    path.unlink()
    assert keep_authority(store)["reasons"] == reasons
    path.write_bytes(good + b"# and another\n")
    assert keep_authority(store, check_mode=True)["reasons"] == reasons
    assert keep_authority(store)["reasons"] == reasons
    assert path.read_bytes() == good
    assert oct(path.stat().st_mode)[-3:] == "644"


def test_what_is_trusted_of_an_intermediate_leads_up_to_its_root(store):
    keep_authority(store)
    low = keep_authority(store, "low", issuer="root")
    found = certificates_from_pem((store.path / "trust/low.pem").read_bytes(), "")
    assert [each.subject.rfc4514_string() for each in found] == ["CN=low CA", "CN=root CA"]
    assert low["trust_path"] == str(store.path / "trust/low.pem")


def test_an_authority_may_live_for_minutes(store):
    result = keep_authority(store, valid_minutes=90)
    assert result["not_after"] == "2027-06-01T13:30:00+00:00"
    assert keep_authority(store, valid_days=1, common_name="root CA")["changed"] is False
    with pytest.raises(MtlsError, match="it expired on 2027-06-01"):
        keep_authority(store, valid_minutes=90, now=NOW + DAY)


def test_every_extension_that_was_asked_for_is_there(store):
    result = keep_authority(
        store,
        path_length=1,
        certificate_policies=("1.2.3.4 https://example.com/cps", "1.2.3.5"),
        **CONSTRAINED,
    )
    found = certificate(result["certificate"])
    policies = extension(found, x509.CertificatePolicies).value
    assert [each.policy_identifier.dotted_string for each in policies] == ["1.2.3.4", "1.2.3.5"]
    assert policies[0].policy_qualifiers == ["https://example.com/cps"]
    assert extension(found, x509.NameConstraints).critical
    assert extension(found, x509.BasicConstraints).value.path_length == 1
