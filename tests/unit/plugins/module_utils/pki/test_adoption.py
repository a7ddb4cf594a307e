# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adopting an authority: with its key, without, or renewed."""

from __future__ import annotations

import shutil

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import keys
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    certificates_from_pem,
    instant_of,
    is_signed_by,
    to_pem,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.extensions import (
    key_usage_extension,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.elsewhere import (
    CA,
    Elsewhere,
)
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    certificate,
    file,
    keep,
    keep_authority,
    name_of,
    new_key,
    outcome,
    rows,
    same_key,
    tree,
    wanted,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448

SECRET, OTHER = "nobody reads this", "nor this one"


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


@pytest.fixture
def corporate(tmp_path):
    return Elsewhere(tmp_path / "elsewhere")


def adopt(store, name="corporate", **options):
    return keep_authority(store, name, **options)


def test_an_authority_is_adopted_with_its_key_and_signs(store, corporate):
    before = tree(store.path.parent)
    planned = adopt(store, check_mode=True, **corporate.with_key())
    assert (planned["reasons"], planned["state"]) == (["adopted"], "absent")
    assert tree(store.path.parent) == before
    done = adopt(store, **corporate.with_key())
    assert (done["reasons"], done["state"], done["has_key"]) == (["adopted"], "live", True)
    assert certificate(done["certificate"]) == corporate.certificate
    assert adopt(store, **corporate.with_key())["changed"] is False
    assert outcome(keep(store, wanted(issuer="corporate"))) == ("issue", ["missing"])
    leaf = certificate(file(store, "certificate.pem"))
    assert is_signed_by(leaf, corporate.certificate)
    assert rows(store, "kind, name") == [("authority", "corporate"), ("client", "client1")]


def test_the_files_may_go_once_they_were_adopted(store, corporate):
    adopt(store, **corporate.with_key())
    corporate.key_path.unlink()
    assert adopt(store, **corporate.with_key())["changed"] is False
    corporate.certificate_path.unlink()
    assert adopt(store, **corporate.with_key())["changed"] is False
    assert keep_authority(store, "low", issuer="corporate")["state"] == "live"


def test_without_its_key_it_is_trusted_and_cannot_sign(store, corporate):
    done = adopt(store, **corporate.alone())
    assert (done["state"], done["has_key"]) == ("live", False)
    assert (store.path / "trust/corporate.pem").read_bytes() == to_pem(corporate.certificate)
    with pytest.raises(
        MtlsError,
        match="client certificate 'client1': authority 'corporate' can't sign it .*not in the store",
    ):
        keep(store, wanted(issuer="corporate"))


def test_a_key_may_come_later(store, corporate):
    adopt(store, **corporate.alone())
    done = adopt(store, **corporate.with_key())
    assert (done["reasons"], done["has_key"]) == (["key brought"], True)
    assert adopt(store, **corporate.with_key())["changed"] is False
    assert len(rows(store, "name")) == 1
    keep(store, wanted(issuer="corporate"))


def test_an_intermediate_is_adopted_below_its_issuer(store, corporate, tmp_path):
    services = Elsewhere(tmp_path / "elsewhere", "services", corporate)
    with pytest.raises(MtlsError, match="is not a root but was signed by CN=corporate CA; adopt"):
        adopt(store, "services", **services.with_key())
    adopt(store, **corporate.alone())
    done = adopt(store, "services", issuer="corporate", **services.with_key())
    assert certificates_from_pem(done["bundle"].encode(), "") == [
        services.certificate,
        corporate.certificate,
    ]
    assert adopt(store, "services", issuer="corporate", **services.with_key())["changed"] is False


def test_in_check_mode_its_issuer_may_be_adopted_by_the_same_play(store, corporate, tmp_path):
    services = Elsewhere(tmp_path / "elsewhere", "services", corporate)
    planned = adopt(store, "services", issuer="corporate", check_mode=True, **services.with_key())
    assert planned["reasons"] == ["adopted"]


def test_a_renewed_certificate_of_the_same_key_is_taken(store, corporate):
    adopt(store, **corporate.with_key())
    keep(store, wanted(issuer="corporate"))
    corporate.renew(days=2000)
    done = adopt(store, **corporate.with_key())
    assert (done["reasons"], done["days_left"]) == (["certificate renewed"], 2000)
    assert adopt(store, **corporate.with_key())["changed"] is False
    assert outcome(keep(store, wanted(issuer="corporate"))) == ("ok", [])
    # The key is kept beside the new certificate, also where its file has gone.
    corporate.key_path.unlink()
    corporate.renew(days=3000)
    assert adopt(store, **corporate.with_key())["has_key"] is True


def test_what_is_below_follows_a_renewed_certificate(store, corporate):
    adopt(store, **corporate.with_key())
    keep_authority(store, "low", issuer="corporate", valid_days=900)
    keep(store, wanted(issuer="low"))
    corporate.renew(days=2000)
    adopt(store, **corporate.with_key())
    done = keep_authority(store, "low", issuer="corporate")
    assert done["reasons"] == ["chain changed"]
    trusted = certificates_from_pem((store.path / "trust/low.pem").read_bytes(), "")
    assert trusted[1] == corporate.certificate
    assert keep_authority(store, "low", issuer="corporate")["changed"] is False
    # A leaf doesn't show the root, so it stays.
    assert outcome(keep(store, wanted(issuer="low"))) == ("ok", [])
    assert oct((store.folder("authority", "low") / "fullchain.pem").stat().st_mode)[-3:] == "644"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"key": new_key()}, id="another key"),
        pytest.param({"common_name": "Other CA"}, id="another subject"),
    ],
)
def test_another_authority_under_the_same_name_is_refused(store, corporate, change):
    adopt(store, **corporate.alone())
    corporate.renew(**change)
    before = tree(store.path)
    with pytest.raises(MtlsError, match="has another key or subject than .* under another name"):
        adopt(store, **corporate.alone())
    assert tree(store.path) == before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(
            {"extensions": []}, "is not an authority's certificate: it needs basic", id="a leaf"
        ),
        pytest.param(
            {"extensions": [CA[0], *key_usage_extension(["digitalSignature"])]},
            "is not an authority's certificate: .* keyCertSign in it",
            id="without keyCertSign",
        ),
        pytest.param(
            {"days": -0.5},
            "is valid from 2027-05-31 to 2027-06-01, and this machine's clock says 2027-06-01",
            id="expired",
        ),
        pytest.param({"start": DAY}, "is valid from 2027-06-02 to ", id="not valid yet"),
    ],
)
def test_what_is_no_authority_now_is_refused(store, corporate, change, sentence):
    corporate.renew(**change)
    with pytest.raises(
        MtlsError, match=f"authority 'corporate': certificate_path .*corporate.pem {sentence}"
    ):
        adopt(store, **corporate.alone())
    assert not store.exists


def test_an_authority_without_key_usage_is_taken(store, corporate):
    corporate.renew(extensions=CA[:1])
    assert adopt(store, **corporate.with_key())["state"] == "live"


def test_a_strange_key_is_refused(store, tmp_path):
    key = ed448.Ed448PrivateKey.generate()
    name = name_of("corporate CA")
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - DAY, NOW + DAY)
        .add_extension(*CA[0])
    )  # fmt: skip
    (tmp_path / "c.pem").write_bytes(to_pem(builder.sign(key, None)))
    with pytest.raises(MtlsError, match="has a key of type .*Ed448.*, and must have one of P-256"):
        adopt(store, certificate_path=str(tmp_path / "c.pem"))


def test_a_common_name_that_is_given_must_be_its_own(store, corporate):
    with pytest.raises(MtlsError, match="has the subject CN=corporate CA, not CN=Other"):
        adopt(store, common_name="Other", **corporate.alone())
    assert adopt(store, common_name="corporate CA", **corporate.alone())["changed"]


def test_the_wrong_issuer_is_named(store, corporate, tmp_path):
    keep_authority(store, "other")
    services = Elsewhere(tmp_path / "elsewhere", "services", corporate)
    with pytest.raises(MtlsError, match="is not signed by 'other', but by CN=corporate CA"):
        adopt(store, "services", issuer="other", **services.alone())


def test_a_key_of_another_certificate_is_refused(store, corporate):
    corporate.key_path.write_bytes(keys.key_to_pem(new_key()))
    with pytest.raises(MtlsError, match="key_path .*corporate.key is not the key of certificate_p"):
        adopt(store, **corporate.with_key())
    assert not store.exists


def test_what_is_no_pem_is_named(store, corporate):
    corporate.key_path.write_text("spoiled")
    with pytest.raises(MtlsError, match=r"key_path .*corporate\.key is not a private key in PEM"):
        adopt(store, **corporate.with_key())
    corporate.certificate_path.write_text("spoiled")
    with pytest.raises(MtlsError, match=r"certificate_path .*\.pem is not a certificate in PEM"):
        adopt(store, **corporate.with_key())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param({}, "is encrypted, and no passphrase was given for it", id="none"),
        pytest.param({"key_passphrase": OTHER}, "can't be opened with the passphrase", id="other"),
        pytest.param(
            {"key_passphrase": "new one", "previous_key_passphrase": OTHER},
            "can't be opened with the passphrase",
            id="other previous one",
        ),
        pytest.param({"key_passphrase": SECRET}, None, id="the same"),
        pytest.param(
            {"key_passphrase": OTHER, "previous_key_passphrase": SECRET}, None, id="changed"
        ),
        pytest.param({"previous_key_passphrase": SECRET}, None, id="removed"),
    ],
)
def test_an_encrypted_key_is_adopted(store, corporate, given, sentence):
    corporate.key_path.write_bytes(keys.key_to_pem(corporate.key, SECRET))
    if sentence:
        with pytest.raises(MtlsError, match=sentence) as caught:
            adopt(store, **corporate.with_key(), **given)
        assert not any(secret in str(caught.value) for secret in (SECRET, OTHER))
        return
    adopt(store, **corporate.with_key(), **given)
    text = (store.folder("authority", "corporate") / "key.pem").read_bytes()
    assert same_key(keys.key_from_pem(text, "", given.get("key_passphrase")), corporate.key)
    assert keys.is_encrypted(text) is ("key_passphrase" in given)
    assert adopt(store, **corporate.with_key(), **given)["changed"] is False


def test_a_copy_of_another_store_can_be_adopted(store, tmp_path):
    other = Store(str(tmp_path / "other"))
    result = keep_authority(other, "root", subject={"O": "Example"})
    folder = other.folder("authority", "root")
    given = {"certificate_path": result["certificate_path"], "key_path": str(folder / "key.pem")}
    done = adopt(store, **given)
    shutil.rmtree(other.path)
    assert done["subject"] == "CN=root CA,O=Example"
    assert adopt(store, **given)["changed"] is False


def test_a_serial_number_that_is_taken_is_named(store, corporate):
    adopt(store, **corporate.with_key())
    first = corporate.certificate
    again = (
        x509.CertificateBuilder()
        .subject_name(first.subject)
        .issuer_name(first.issuer)
        .public_key(first.public_key())
        .serial_number(first.serial_number)
        .not_valid_before(instant_of(first, "not_valid_before"))
        .not_valid_after(instant_of(first, "not_valid_after") + DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(corporate.key, hashes.SHA256())
    )
    corporate.certificate_path.write_bytes(to_pem(again))
    with pytest.raises(MtlsError, match="has the serial number of authority corporate's"):
        adopt(store, **corporate.with_key())
