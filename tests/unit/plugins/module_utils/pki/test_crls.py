# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRLs: what is in them, when they are made anew, and where they lie."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    CLOCK_SKEW,
    instant_of,
    is_signed_with,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    SECOND,
    certificate,
    extension,
    file,
    keep,
    keep_authority,
    revoke,
    tree,
    wanted,
)
from cryptography import x509

END = b"-----END X509 CRL-----\n"


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep_authority(store)
    keep(store, wanted(), wanted("client2", valid_days=400))
    return store


def path(store, name="root.pem"):
    return store.path / "crls" / name


def lists(store, name="root.pem"):
    blocks = [block + END for block in path(store, name).read_bytes().split(END)[:-1]]
    return [x509.load_pem_x509_crl(block) for block in blocks]


def number_of(crl):
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def serials(crl):
    return {entry.serial_number for entry in crl}


def leaf(store, entry="client1"):
    return certificate(file(store, "certificate.pem", entry=entry))


def root(store, name="root"):
    return certificate(store.folder("authority", name) / "certificate.pem")


@pytest.mark.parametrize("key_type", ["P-384", "Ed25519", "RSA-2048"])
def test_a_crl_is_what_rfc_5280_demands(tmp_path, key_type):
    store = Store(str(tmp_path / "store"))
    keep_authority(store, key_type=key_type)
    keep(store, wanted())
    result = revoke(store, {"name": "client1", "reason": "keyCompromise"})
    [crl] = lists(store)
    issuer = root(store)
    assert crl.issuer == issuer.subject
    assert is_signed_with(crl, issuer.public_key())
    assert instant_of(crl, "last_update") == NOW - CLOCK_SKEW
    assert instant_of(crl, "next_update") == NOW + 30 * DAY
    identifier = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    digest = extension(issuer, x509.SubjectKeyIdentifier).value.digest
    assert identifier.value.key_identifier == digest
    assert number_of(crl) == result["crls"]["root"]["crl_number"] == NOW.timestamp()
    [entry] = crl
    assert entry.serial_number == leaf(store).serial_number
    assert instant_of(entry, "revocation_date") == NOW
    assert x509.load_der_x509_crl(path(store, "root.crl").read_bytes()) == crl
    assert result["crls"]["root"] == {
        "reasons": ["1 changed"],
        "pem_path": str(path(store)),
        "der_path": str(path(store, "root.crl")),
        "crl_number": NOW.timestamp(),
        "this_update": "2027-06-01T11:55:00+00:00",
        "next_update": "2027-07-01T12:00:00+00:00",
        "days_left": 30,
        "revoked": 1,
    }


def test_an_unspecified_reason_is_left_out(store):
    revoke(store, {"name": "client1"})
    [[entry]] = lists(store)
    assert len(entry.extensions) == 0


@pytest.mark.parametrize(
    ("life_over", "reasons"),
    [
        pytest.param(0 * DAY, [], id="new"),
        pytest.param(15 * DAY, [], id="half of it left"),
        pytest.param(15 * DAY + SECOND, ["lapses on 2027-07-01"], id="less than half"),
        pytest.param(30 * DAY, ["lapses on 2027-07-01"], id="at its end"),
        pytest.param(30 * DAY + SECOND, ["lapsed on 2027-07-01"], id="over"),
    ],
)
def test_a_crl_is_made_anew_when_half_its_life_is_over(store, life_over, reasons):
    revoke(store)
    before = tree(store.path)
    now = NOW + life_over
    assert revoke(store, now=now, check_mode=True)["crls"]["root"]["reasons"] == reasons
    assert tree(store.path) == before
    result = revoke(store, now=now)
    assert (result["crls"]["root"]["reasons"], result["changed"]) == (reasons, bool(reasons))
    assert (tree(store.path) == before) is (not reasons)
    assert revoke(store, now=now)["changed"] is False


@pytest.mark.parametrize(
    ("first", "then", "reasons"),
    [
        pytest.param(30, 14, ["is to live for 14 days"], id="shorter"),
        pytest.param(14, 30, [], id="longer"),
        pytest.param(30, 1, ["is to live for 1 days"], id="a day"),
    ],
)
def test_another_life_counts_where_it_is_shorter(store, first, then, reasons):
    revoke(store, valid_days=first)
    assert revoke(store, valid_days=then)["crls"]["root"]["reasons"] == reasons
    assert revoke(store, valid_days=then)["changed"] is False


@pytest.mark.parametrize("damage", ["deleted", "empty", "spoiled", "an older one", "another's"])
def test_a_file_that_is_not_the_newest_list_is_made_anew(store, tmp_path, damage):
    revoke(store)
    old = path(store).read_bytes()
    revoke(store, {"name": "client1"}, now=NOW + DAY)
    if damage == "deleted":
        path(store).unlink()
    elif damage == "another's":
        other = Store(str(tmp_path / "other"))
        keep_authority(other)
        revoke(other)
        path(store).write_bytes(path(other).read_bytes())
    else:
        content = {"empty": b"", "spoiled": old.replace(b"M", b"N", 5), "an older one": old}
        path(store).write_bytes(content[damage])
    result = revoke(store, now=NOW + DAY)
    assert result["crls"]["root"]["reasons"] == ["its file is missing or another one"]
    assert serials(lists(store)[0]) == {leaf(store).serial_number}
    assert revoke(store, now=NOW + DAY)["changed"] is False


@pytest.mark.parametrize("name", ["all.pem", "root.crl"])
@pytest.mark.parametrize("damage", ["deleted", "spoiled"])
def test_a_copy_of_the_list_that_was_lost_is_written_anew(store, name, damage):
    revoke(store)
    good = path(store, name).read_bytes()
    number = number_of(lists(store)[0])
    if damage == "deleted":
        path(store, name).unlink()
    else:
        path(store, name).write_bytes(b"spoiled")
    assert revoke(store, check_mode=True)["changed"] is True
    assert revoke(store)["changed"] is True
    assert path(store, name).read_bytes() == good
    assert number_of(lists(store)[0]) == number
    assert revoke(store)["changed"] is False


def test_numbers_grow_with_each_list_even_in_one_second(store):
    numbers = []
    for entry in ([], [{"name": "client1"}], [{"name": "client2"}]):
        revoke(store, *entry)
        numbers.append(number_of(lists(store)[0]))
    assert numbers == [NOW.timestamp() + step for step in range(3)]


def test_numbers_grow_after_the_store_came_back_from_a_backup(store, tmp_path):
    revoke(store)
    shutil.copytree(store.path, tmp_path / "backup", symlinks=True)
    for days in (1, 2):
        revoke(store, {"name": f"client{days}"}, now=NOW + days * DAY)
    lost = number_of(lists(store)[0])
    shutil.rmtree(store.path)
    (tmp_path / "backup").rename(store.path)
    revoke(store, {"name": "client1"}, now=NOW + 3 * DAY)
    assert number_of(lists(store)[0]) > lost


def test_what_has_expired_leaves_after_it_was_listed_once_more(store):
    revoke(store, {"name": "client1"}, valid_days=400)
    serial = leaf(store).serial_number
    after = NOW + 366 * DAY
    # It has expired, and that alone makes no new list.
    assert revoke(store, valid_days=400, now=NOW + 190 * DAY)["changed"] is False
    revoke(store, valid_days=400, now=NOW + 300 * DAY)
    assert revoke(store, valid_days=400, now=after)["changed"] is False
    revoke(store, {"name": "client2"}, valid_days=400, now=after)
    both = {serial, leaf(store, "client2").serial_number}
    assert serials(lists(store)[0]) == both
    assert revoke(store, valid_days=400, now=after)["changed"] is False
    revoke(store, {"name": "client2", "reason": "superseded"}, valid_days=14, now=after + DAY)
    assert serials(lists(store)[0]) == both - {serial}


def test_what_was_revoked_is_listed_though_the_index_lost_its_certificate(store):
    revoke(store, {"name": "client1"})
    with store.index(writable=True) as index:
        index._connection.execute("DELETE FROM certificate WHERE name = 'client1'")
    assert revoke(store)["changed"] is False
    revoke(store, {"name": "client2"}, now=NOW + 5 * DAY)
    assert len(serials(lists(store)[0])) == 2


def test_a_revocation_that_a_kill_kept_off_the_list_gets_there(store, monkeypatch):
    revoke(store)

    def kill(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "replace", kill)
        with pytest.raises(KeyboardInterrupt):
            revoke(store, {"name": "client1"})
    assert serials(lists(store)[0]) == set()
    result = revoke(store)
    assert result["changed"] is True
    assert serials(lists(store)[0]) == {leaf(store).serial_number}
    assert revoke(store)["changed"] is False


def test_one_file_holds_the_lists_of_all_authorities(store):
    keep_authority(store, "low", issuer="root")
    keep_authority(store, "other")
    result = revoke(store)
    assert list(result["crls"]) == ["low", "other", "root"]
    whole = b"".join(path(store, f"{name}.pem").read_bytes() for name in result["crls"])
    assert path(store, "all.pem").read_bytes() == whole
    before = path(store, "other.pem").read_bytes()
    revoke(store, {"name": "client1"}, now=NOW + DAY)
    assert path(store, "other.pem").read_bytes() == before
    assert sum(len(serials(crl)) for crl in lists(store, "all.pem")) == 1
    keep_authority(store, "late", issuer="other", now=NOW + DAY)
    assert revoke(store, now=NOW + DAY)["crls"]["late"]["reasons"] == ["missing"]
    assert len(lists(store, "all.pem")) == 4


def test_an_authority_without_its_key_has_no_list(store, tmp_path):
    certificate_path = store.folder("authority", "root") / "certificate.pem"
    other = Store(str(tmp_path / "other"))
    keep_authority(other, certificate_path=str(certificate_path))
    result = revoke(other)
    assert (result["changed"], result["crls"]) == (False, {})


def test_a_store_without_authorities_has_no_lists(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep(store, wanted(issuer="self"))
    assert revoke(store) == {"changed": False, "revocations": [], "crls": {}}


def test_while_an_authority_rolls_over_each_of_its_keys_has_a_list(store):
    old = root(store)
    revoke(store)
    for stage in ("prepare", "sign"):
        keep_authority(store, roll_over=stage)
        revoke(store)
        assert len(lists(store)) == 2
    new = root(store)
    first, second = lists(store)
    assert first.is_signature_valid(new.public_key())
    assert second.is_signature_valid(old.public_key())
    # What is published is the list of the key that signs now.
    assert x509.load_der_x509_crl(path(store, "root.crl").read_bytes()) == first
    revoke(store, {"name": "client1"}, now=NOW + DAY)
    assert [len(serials(crl)) for crl in lists(store)] == [0, 1]
    assert revoke(store, now=NOW + DAY)["changed"] is False


def test_only_what_changes_is_written(store):
    revoke(store)
    before = tree(store.path / "crls")
    for now in (NOW, NOW + 15 * DAY):
        assert revoke(store, now=now)["changed"] is False
        assert tree(store.path / "crls") == before


def test_everybody_may_read_a_list(store):
    revoke(store)
    modes = {each.name: oct(each.stat().st_mode)[-3:] for each in path(store).parent.iterdir()}
    assert modes == {"all.pem": "644", "root.pem": "644", "root.crl": "644"}


@pytest.mark.parametrize("days", [0, -1, 3_000_000, 10**12])
def test_a_life_that_cannot_be_is_named(store, days):
    with pytest.raises(MtlsError, match=f"crl_valid_days {days} "):
        revoke(store, valid_days=days)


def test_a_day_is_the_shortest_life(store):
    revoke(store, valid_days=1)
    [crl] = lists(store)
    assert instant_of(crl, "next_update") - NOW == timedelta(days=1)
    assert revoke(store, valid_days=1)["changed"] is False
