# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Authorities: made once, never replaced, and each difference named."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.authorities import find_authority
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    is_signed_by,
    not_after_of,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    SECOND,
    certificate,
    chain_subjects,
    keep_authority,
    rows,
    tree,
)


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def test_an_authority_is_made_once(store):
    first = keep_authority(store)
    assert (first["changed"], first["reasons"]) == (True, ["missing"])
    before = tree(store.path)
    second = keep_authority(store, now=NOW + DAY)
    assert (second["changed"], second["reasons"]) == (False, [])
    assert tree(store.path) == before
    assert {**first, "changed": False, "reasons": [], "days_left": 3649} == second


def test_what_is_returned_describes_the_file(store):
    result = keep_authority(store)
    found = certificate(result["certificate"])
    assert store.read("authority", "root", "certificate.pem") == result["certificate"].encode()
    assert store.read("authority", "root", "fullchain.pem") == result["bundle"].encode()
    assert result["subject"] == result["issuer_subject"] == "CN=root CA"
    assert result["key_type"] == "P-256"
    assert result["not_after"] == not_after_of(found).isoformat() == "2037-05-29T12:00:00+00:00"
    assert int(result["serial_number"], 16) == found.serial_number
    assert result["days_left"] == 3650


def test_a_chain_leads_up_to_the_root(store):
    keep_authority(store)
    keep_authority(store, "middle", issuer="root")
    result = keep_authority(store, "low", issuer="middle", path_length=0)
    assert chain_subjects(result["bundle"]) == ["CN=low CA", "CN=middle CA", "CN=root CA"]
    low, middle, root = (find_authority(store, name) for name in ("low", "middle", "root"))
    assert low.intermediates(NOW) == [low.certificate, middle.certificate]
    for child, parent in ((low, middle), (middle, root), (root, root)):
        assert child.certificate.issuer == parent.certificate.subject
        assert is_signed_by(child.certificate, parent.certificate)
    assert middle.intermediates(NOW) == [middle.certificate]
    assert (root.is_root, root.intermediates(NOW)) == (True, [])


@pytest.mark.parametrize("key_type", ["P-384", "P-521", "Ed25519", "RSA-2048"])
def test_every_key_type_signs_and_is_signed(store, key_type):
    keep_authority(store, key_type=key_type)
    keep_authority(store, "low", issuer="root", key_type="P-256")
    keep_authority(store, "lower", issuer="low", key_type=key_type)
    assert keep_authority(store, "lower", issuer="low", key_type=key_type)["changed"] is False


def test_an_authority_ends_with_its_issuer(store):
    keep_authority(store, valid_days=100)
    result = keep_authority(store, "low", issuer="root", valid_days=3650, now=NOW + DAY)
    assert result["days_left"] == 99


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param(
            {"common_name": "Other CA"},
            "subject is CN=root CA and can't become CN=Other CA, because everything that it signed",
            id="common name",
        ),
        pytest.param(
            {"subject": {"O": "Example"}},
            "subject is CN=root CA and can't become CN=root CA,O=Example, because",
            id="subject",
        ),
        pytest.param(
            {"key_type": "Ed25519"},
            "key_type is P-256 and can't become Ed25519; .* set roll_over: prepare on this entry",
            id="key type",
        ),
        pytest.param(
            {"path_length": 1},
            "path_length is without limit and can't become 1; .* set roll_over: prepare",
            id="path length",
        ),
        pytest.param(
            {"permitted_names": ("DNS:example.com",)},
            r"certificate can't be changed \(\+nameConstraints\); .* set roll_over: prepare",
            id="name constraints",
        ),
        pytest.param(
            {"certificate_policies": ("1.2.3.4",)},
            r"certificate can't be changed \(\+certificatePolicies\); .* set roll_over: prepare",
            id="policies",
        ),
        pytest.param(
            {"issuer": "other"},
            "issuer is CN=root CA and can't become other; add an authority with another name",
            id="issuer",
        ),
    ],
)
def test_a_live_authority_is_never_replaced(store, options, sentence):
    keep_authority(store, "other")
    keep_authority(store)
    before = tree(store.path)
    for check_mode in (True, False):
        with pytest.raises(MtlsError, match=f"authority 'root': its {sentence}"):
            keep_authority(store, check_mode=check_mode, **options)
    assert tree(store.path) == before


@pytest.mark.parametrize("key_type", ["P-256", "Ed25519"])
def test_an_intermediate_cannot_become_a_root(store, key_type):
    keep_authority(store, key_type=key_type)
    keep_authority(store, "low", issuer="root", path_length=0)
    with pytest.raises(MtlsError, match="its issuer is CN=root CA and can't become itself"):
        keep_authority(store, "low", path_length=0)
    with pytest.raises(MtlsError, match="its path_length is 0 and can't become without limit"):
        keep_authority(store, "low", issuer="root")


def test_another_lifetime_is_for_new_authorities_only(store):
    keep_authority(store)
    assert keep_authority(store, valid_days=10)["changed"] is False


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param({"name": "../root"}, "the name '../root' must be", id="name that climbs"),
        pytest.param(
            {"common_name": ""},
            "common_name is missing; only an authority that",
            id="no common name",
        ),
        pytest.param({"common_name": "a" * 65}, "must take 1 to 64 bytes", id="long common name"),
        pytest.param({"valid_days": 0}, "valid_days 0 must be 1 or more", id="no day"),
        pytest.param({"valid_days": -5}, "valid_days -5 must be 1 or more", id="days before now"),
        pytest.param({"valid_days": 10**9}, "beyond the year 9999", id="too many days"),
        pytest.param({"path_length": -1}, "path_length -1 must be 0 or more", id="path length"),
        pytest.param({"issuer": "root"}, "it can't be its own issuer", id="its own issuer"),
        pytest.param(
            {"issuer": "unknown"}, "its issuer 'unknown' is not in the store", id="unknown issuer"
        ),
        pytest.param({"key_type": "DSA"}, "key_type 'DSA' is not one of", id="key type"),
    ],
)
def test_what_cannot_be_made_is_said_and_nothing_is_made(store, options, sentence):
    with pytest.raises(MtlsError, match=sentence):
        keep_authority(store, **{"name": "root", **options})
    assert not store.exists


def test_a_child_with_the_subject_of_its_issuer_would_look_self_issued(store):
    keep_authority(store)
    with pytest.raises(MtlsError, match="common_name 'root CA' is also its issuer's"):
        keep_authority(store, "low", issuer="root", common_name="root CA")


def test_an_authority_that_signs_no_other_any_more_is_left_as_it_is(store):
    keep_authority(store, "root")
    keep_authority(store, "middle", issuer="root")
    assert not keep_authority(store, "middle", issuer="root", path_length=0)["changed"]


@pytest.mark.parametrize(
    ("limit", "depth"),
    [pytest.param(0, 0, id="none"), pytest.param(1, 1, id="one"), pytest.param(2, 2, id="two")],
)
def test_path_length_says_how_many_authorities_stand_below(store, limit, depth):
    keep_authority(store, "a0", path_length=limit)
    for level in range(1, depth + 1):
        keep_authority(store, f"a{level}", issuer=f"a{level - 1}")
    with pytest.raises(MtlsError, match=f"its issuer 'a{depth}' may have no authority below it"):
        keep_authority(store, "toomany", issuer=f"a{depth}")


def test_an_expired_authority_is_not_replaced_either(store):
    keep_authority(store, valid_days=10)
    assert keep_authority(store, valid_days=10, now=NOW + 10 * DAY - SECOND)["days_left"] == 0
    with pytest.raises(
        MtlsError, match=r"expired on 2027-06-11 .*; roll it over: set roll_over: prepare"
    ):
        keep_authority(store, valid_days=10, now=NOW + 10 * DAY)
    with pytest.raises(MtlsError, match=r"the issuer CN=root CA expired on 2027-06-11"):
        keep_authority(store, "low", issuer="root", now=NOW + 11 * DAY)


@pytest.mark.parametrize(
    ("back", "is_refused"),
    [pytest.param(60 * SECOND, False, id="a minute"), pytest.param(61 * SECOND, True, id="more")],
)
def test_a_clock_behind_the_store_is_noticed(store, back, is_refused):
    keep_authority(store)
    if is_refused:
        with pytest.raises(
            MtlsError, match=r"says 2027-06-01 11:58 UTC, but .* 12:00 UTC: set the"
        ):
            keep_authority(store, now=NOW - back)
    else:
        assert keep_authority(store, now=NOW - back)["changed"] is False


def test_a_clock_that_was_never_set_is_noticed_without_a_store(store):
    for check_mode in (True, False):
        with pytest.raises(MtlsError, match="says 1970-01-01, which is before this collection was"):
            keep_authority(store, now=datetime(1970, 1, 1, tzinfo=UTC), check_mode=check_mode)
    assert not store.path.exists()


def test_an_issuer_that_is_no_longer_there_is_named(store):
    keep_authority(store)
    with pytest.raises(MtlsError, match="authority 'root': its issuer 'gone' is not in the store"):
        keep_authority(store, issuer="gone")


def test_check_mode_makes_nothing(store):
    before = tree(store.path.parent)
    result = keep_authority(store, check_mode=True)
    assert (result["changed"], result["reasons"]) == (True, ["missing"])
    assert result["fullchain_path"] == str(store.path / "authorities/root/fullchain.pem")
    # Its issuer is made by the same play.
    assert keep_authority(store, "low", issuer="root", check_mode=True)["changed"]
    assert tree(store.path.parent) == before
    keep_authority(store)
    before = tree(store.path)
    assert keep_authority(store, check_mode=True)["changed"] is False
    assert keep_authority(store, "low", issuer="root", check_mode=True)["changed"]
    assert tree(store.path) == before


def test_an_authority_from_elsewhere_is_refused(store, tmp_path):
    keep_authority(store)
    other = Store(str(tmp_path / "other"))
    keep_authority(other, "foreign")
    (store.path / "authorities/foreign").symlink_to((other.path / "authorities/foreign").resolve())
    with pytest.raises(MtlsError, match="is not in the index of the store: it was put there by"):
        keep_authority(store, "foreign")


def test_an_authority_whose_files_were_lost_is_not_made_anew(store):
    keep_authority(store)
    (store.path / "generations").rename(store.path.parent / "lost")
    for check_mode in (True, False):
        with pytest.raises(MtlsError, match=r"fullchain\.pem is missing, though the authority was"):
            keep_authority(store, check_mode=check_mode)
    (store.path.parent / "lost").rename(store.path / "generations")
    assert keep_authority(store)["changed"] is False


@pytest.mark.parametrize(
    "content", [pytest.param(b"", id="empty"), pytest.param(b"spoiled\n", id="no PEM")]
)
def test_a_damaged_authority_is_named(store, content):
    keep_authority(store)
    (store.folder("authority", "root") / "fullchain.pem").write_bytes(content)
    with pytest.raises(MtlsError, match=r"root/fullchain\.pem is not a certificate in PEM"):
        keep_authority(store)


def test_an_authority_without_its_key_cannot_sign(store):
    keep_authority(store)
    keep_authority(store, "other")
    key = store.folder("authority", "root") / "key.pem"
    other = store.folder("authority", "other") / "key.pem"
    kept = key.read_bytes()
    for content, sentence in [
        (b"", "key.pem is not a private key in PEM"),
        (other.read_bytes(), "key.pem is not the key of 'root'"),
    ]:
        key.write_bytes(content)
        with pytest.raises(MtlsError, match=sentence):
            keep_authority(store, "low", issuer="root")
        key.write_bytes(kept)
    assert keep_authority(store, "low", issuer="root")["changed"]


def test_the_index_knows_every_authority(store):
    made = [keep_authority(store), keep_authority(store, "low", issuer="root")]
    assert rows(store, "kind, name, subject, serial_number, fingerprint_sha256, issued_at") == [
        (
            "authority",
            each["name"],
            each["subject"],
            each["serial_number"],
            each["fingerprint_sha256"],
            NOW.timestamp(),
        )
        for each in made
    ]


def test_a_copied_store_is_a_store(store, tmp_path):
    keep_authority(store)
    shutil.copytree(store.path, tmp_path / "copy", symlinks=True)
    shutil.rmtree(store.path)
    assert keep_authority(Store(str(tmp_path / "copy")))["changed"] is False
