# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An authority whose issuer's key is elsewhere waits for its certificate."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import keys
from ansible_collections.edge.mtls.plugins.module_utils.pki.extensions import (
    authority_extensions,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.elsewhere import (
    Elsewhere,
)
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    certificate,
    extension,
    keep,
    keep_authority,
    name_of,
    new_key,
    outcome,
    same_key,
    tree,
    wanted,
)
from cryptography import x509

SECRET, OTHER = "nobody reads this", "nor this one"


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


@pytest.fixture
def corporate(tmp_path):
    return Elsewhere(tmp_path / "elsewhere")


def adopt(store, name="corporate", **options):
    return keep_authority(store, name, **options)


@pytest.fixture
def waiting(store, corporate):
    adopt(store, **corporate.alone())
    options = {"issuer": "corporate", "path_length": 0, "permitted_names": ("DNS:example.com",)}
    return options, keep_authority(store, "low", **options)


def test_an_authority_below_gets_a_key_and_a_request_and_waits(store, waiting):
    options, result = waiting
    assert (result["state"], result["reasons"]) == ("pending", ["request made"])
    assert result["request_path"] == str(store.path / "pending/low/request.pem")
    request = x509.load_pem_x509_csr((store.path / "pending/low/request.pem").read_bytes())
    assert request.subject == name_of("low CA")
    assert request.is_signature_valid
    constraints = request.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    assert request.extensions.get_extension_for_class(x509.NameConstraints).critical
    key = store.path / "pending/low/key.pem"
    assert oct(key.stat().st_mode)[-3:] == "600"
    assert same_key(keys.key_from_pem(key.read_bytes(), "key"), request)
    before = tree(store.path)
    again = keep_authority(store, "low", **options)
    assert (again["changed"], again["state"]) == (False, "pending")
    assert again["request_path"] == result["request_path"]
    assert tree(store.path) == before
    with pytest.raises(
        MtlsError, match="client1': authority 'low' waits for its certificate: have"
    ):
        keep(store, wanted(issuer="low"))
    with pytest.raises(MtlsError, match="'lower': authority 'low' waits for its certificate: have"):
        keep_authority(store, "lower", issuer="low")


def test_a_request_is_only_announced_in_check_mode(store, corporate):
    adopt(store, **corporate.alone())
    before = tree(store.path)
    result = keep_authority(store, "low", issuer="corporate", check_mode=True)
    assert (result["changed"], result["reasons"], result["state"]) == (
        True,
        ["request made"],
        "absent",
    )
    assert tree(store.path) == before


def test_the_certificate_that_comes_completes_it(store, corporate, waiting, tmp_path):
    _options, result = waiting
    path = tmp_path / "low.pem"
    given = {"issuer": "corporate", "certificate_path": str(path)}
    with pytest.raises(MtlsError, match=r"certificate_path .*low\.pem does not exist"):
        keep_authority(store, "low", **given)
    signed = corporate.sign(result["request_path"], path)
    done = keep_authority(store, "low", **given)
    assert (done["state"], done["has_key"], done["reasons"]) == ("live", True, ["adopted"])
    assert certificate(done["certificate"]) == signed
    assert extension(signed, x509.NameConstraints).critical
    assert not (store.path / "pending/low").exists()
    assert keep_authority(store, "low", **given)["changed"] is False
    path.unlink()
    assert keep_authority(store, "low", **given)["changed"] is False
    assert outcome(keep(store, wanted(issuer="low"))) == ("issue", ["missing"])


def test_a_certificate_for_another_key_does_not_complete_it(store, corporate, waiting, tmp_path):
    _options, result = waiting
    corporate.sign(result["request_path"], tmp_path / "low.pem", public_key=new_key().public_key())
    before = tree(store.path)
    with pytest.raises(MtlsError, match=r"pending/low/key\.pem is not the key of certificate_path"):
        keep_authority(store, "low", issuer="corporate", certificate_path=str(tmp_path / "low.pem"))
    assert tree(store.path) == before


def test_a_waiting_key_is_encrypted_and_may_change_its_passphrase(store, corporate, tmp_path):
    adopt(store, **corporate.alone())
    result = keep_authority(store, "low", issuer="corporate", key_passphrase=SECRET)
    assert b"ENCRYPTED" in (store.path / "pending/low/key.pem").read_bytes()
    corporate.sign(result["request_path"], tmp_path / "low.pem")
    given = {"issuer": "corporate", "certificate_path": str(tmp_path / "low.pem")}
    with pytest.raises(MtlsError, match="is encrypted, and no passphrase was given"):
        keep_authority(store, "low", **given)
    secrets = {"key_passphrase": OTHER, "previous_key_passphrase": SECRET}
    keep_authority(store, "low", **given, **secrets)
    text = (store.folder("authority", "low") / "key.pem").read_bytes()
    assert keys.key_from_pem(text, "", OTHER)


def test_what_may_not_be_signed_gets_no_request(store, corporate):
    corporate.renew(extensions=authority_extensions(0, [], [], [], ""))
    adopt(store, **corporate.alone())
    with pytest.raises(MtlsError, match="may have no authority below it"):
        keep_authority(store, "low", issuer="corporate")
    assert not (store.path / "pending").exists()
