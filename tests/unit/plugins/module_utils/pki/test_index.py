# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The index: earlier versions, what it remembers, and what it gives back."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    Extent,
    Signer,
    build_certificate,
    not_after_of,
    serial_number_text,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.index import (
    SCHEMA_VERSION,
    Entry,
    Index,
    Revocation,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import public_key_fingerprint
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    keep,
    keep_authority,
    name_of,
    new_key,
    outcome,
    revoke,
    rows,
    tree,
    wanted,
)

KEY = new_key()
ISSUER = public_key_fingerprint(KEY.public_key())
ISSUED_AT = int(NOW.timestamp())
# As version 1 made it.
SCHEMA_1 = """
CREATE TABLE certificate (
    issuer_key         TEXT NOT NULL,
    serial_number      TEXT NOT NULL,
    kind               TEXT NOT NULL,
    name               TEXT NOT NULL,
    subject            TEXT NOT NULL,
    not_before         INTEGER NOT NULL,
    not_after          INTEGER NOT NULL,
    issued_at          INTEGER NOT NULL,
    fingerprint_sha256 TEXT NOT NULL UNIQUE,
    der                BLOB NOT NULL,
    PRIMARY KEY (issuer_key, serial_number)
);
CREATE INDEX certificate_name ON certificate (kind, name);
PRAGMA user_version = 1;
"""
COLUMNS_1 = (
    "issuer_key, serial_number, kind, name, subject, not_before, not_after, issued_at,"
    " fingerprint_sha256, der"
)


@pytest.fixture
def index(tmp_path):
    with Index(tmp_path / "index.sqlite3", writable=True) as index:
        yield index


def entry(name="client1", kind="client", days=365, key=KEY):
    lifetime = Extent(NOW, NOW + days * DAY)
    found = build_certificate(name_of(name), key.public_key(), Signer(KEY), lifetime, [])
    return Entry(kind, name, ISSUER, found, f"digest of {name}")


def record(index, *entries):
    index.record(entries, ISSUED_AT)
    return [serial_number_text(each.certificate) for each in entries]


def said(serial, reason="keyCompromise", at=ISSUED_AT, by="ada"):
    return Revocation(ISSUER, serial, at, reason, by)


@pytest.fixture
def old_store(tmp_path):
    """A store as version 1 left it: the same files, and an index with fewer columns."""
    store = Store(str(tmp_path / "store"))
    keep_authority(store)
    keep(store, wanted())
    kept = rows(store, COLUMNS_1)
    path = store.path / "index.sqlite3"
    path.unlink()
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA_1)
    marks = ", ".join("?" * len(kept[0]))
    connection.executemany(f"INSERT INTO certificate VALUES ({marks})", kept)
    connection.commit()
    connection.close()
    path.chmod(0o600)
    return store


def version(store):
    connection = sqlite3.connect(store.path / "index.sqlite3")
    try:
        return connection.execute("PRAGMA user_version").fetchone()[0]
    finally:
        connection.close()


def test_an_index_of_version_1_is_read_without_being_touched(old_store):
    before = tree(old_store.path)
    with old_store.index() as index:
        [found] = index.of_name("client", "client1")
        assert (found.issuer_subject, found.subject) == ("CN=root CA", "CN=client1")
        assert (found.specification, found.reason) == ("", None)
        assert index.authority_names() == {found.issuer_key: "root"}
    assert outcome(keep(old_store, wanted(), check_mode=True)) == ("ok", [])
    keep_authority(old_store, check_mode=True)
    revoke(old_store, {"name": "client1"}, check_mode=True)
    assert tree(old_store.path) == before
    assert version(old_store) == 1


def test_an_index_of_version_1_is_brought_up_to_date_by_the_first_write(old_store):
    kept = rows(old_store, COLUMNS_1)
    keep(old_store, wanted(), wanted("client2"))
    assert version(old_store) == SCHEMA_VERSION
    assert rows(old_store, COLUMNS_1)[:2] == kept
    assert rows(old_store, "issuer_subject") == [("CN=root CA",)] * 3
    assert "" not in [value for [value] in rows(old_store, "public_key")]
    assert outcome(keep(old_store, wanted())) == ("ok", [])
    # What is new works on it.
    assert revoke(old_store, {"name": "client1"})["changed"]
    assert outcome(keep(old_store, wanted())) == ("revoked", [])


def test_a_step_to_the_present_version_that_fails_changes_nothing(old_store, monkeypatch):
    before = (old_store.path / "index.sqlite3").read_bytes()

    def kill(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("ansible_collections.edge.mtls.plugins.module_utils.pki.index.row_of", kill)
    with pytest.raises(KeyboardInterrupt):
        old_store.index(writable=True)
    assert version(old_store) == 1
    monkeypatch.undo()
    assert len(before) == len((old_store.path / "index.sqlite3").read_bytes())
    with old_store.index(writable=True) as index:
        assert len(index.of_name("client", "client1")) == 1
    assert version(old_store) == SCHEMA_VERSION


def test_what_was_recorded_is_given_back(index):
    first, second = entry(), entry(days=10)
    serials = record(index, first, second)
    found = index.of_name("client", "client1")
    assert [row.serial_number for row in found] == serials
    row = found[0]
    assert index.find(row.fingerprint_sha256) == row
    assert index.find("00" * 32) is None
    assert index.of_serial_number(serials[1]) == [found[1]]
    assert index.signed_by(ISSUER) == found
    assert index.signed_by("another") == []
    assert row.not_after == not_after_of(first.certificate).timestamp()
    assert (row.issued_at, row.specification) == (ISSUED_AT, "digest of client1")
    assert (row.reason, row.is_revoked) == (None, False)
    assert index.latest_issue() == ISSUED_AT


def test_nothing_of_a_set_is_recorded_when_a_serial_number_is_taken(index):
    one = entry()
    record(index, one)
    with pytest.raises(MtlsError, match="can't be written: UNIQUE constraint failed"):
        record(index, entry("other"), Entry("client", "thief", ISSUER, one.certificate))
    assert index.of_name("client", "other") == []


def test_what_a_killed_run_recorded_is_not_recorded_twice(index):
    one = entry()
    record(index, one)
    record(index, one, entry("other"))
    assert len(index.of_name("client", "client1")) == 1
    assert len(index.of_name("client", "other")) == 1


@pytest.mark.parametrize(
    ("words", "reason", "is_revoked"),
    [
        pytest.param([], None, False, id="nothing"),
        pytest.param(["keyCompromise"], "keyCompromise", True, id="revoked"),
        pytest.param(["certificateHold"], "certificateHold", True, id="on hold"),
        pytest.param(["certificateHold", "removeFromCRL"], "removeFromCRL", False, id="released"),
        pytest.param(["certificateHold", "superseded"], "superseded", True, id="for good"),
        pytest.param(
            ["certificateHold", "removeFromCRL", "superseded"], "superseded", True, id="again"
        ),
    ],
)
def test_the_last_word_counts(index, words, reason, is_revoked):
    other, serial = record(index, entry("other"), entry())
    for word in words:
        index.revoke([said(serial, word)])
    [row] = index.of_name("client", "client1")
    assert (row.reason, row.is_revoked) == (reason, is_revoked)
    assert [each[0] for each in index.revocations(ISSUER)] == [serial] * is_revoked
    [row] = index.of_name("client", "other")
    assert (row.serial_number, row.is_revoked) == (other, False)


def test_each_revocation_says_when_why_and_until_when(index):
    one, two = entry(), entry("client2", days=5)
    first, second = record(index, one, two)
    index.revoke([said(second, at=ISSUED_AT + 9), said(first, "superseded", at=ISSUED_AT + 5)])
    assert index.revocations(ISSUER) == [
        (first, ISSUED_AT + 5, "superseded", not_after_of(one.certificate).timestamp()),
        (second, ISSUED_AT + 9, "keyCompromise", not_after_of(two.certificate).timestamp()),
    ]
    assert index.revocations("another") == []


def test_what_is_revoked_stays_so_though_its_certificate_was_lost(index):
    index.revoke([said("4F2A")])
    [(serial, _at, reason, not_after)] = index.revocations(ISSUER)
    assert (serial, reason) == ("4F2A", "keyCompromise")
    assert not_after > (NOW + 2000 * 365 * DAY).timestamp()


def test_the_newest_crl_is_the_one_with_the_highest_number(index):
    assert index.latest_crl(ISSUER) is None
    for number in (5, 900, 17):
        index.record_crl(ISSUER, number, ISSUED_AT, ISSUED_AT + 60, f"crl {number}")
    assert index.latest_crl(ISSUER) == (900, ISSUED_AT, ISSUED_AT + 60, "crl 900")
    assert index.latest_crl("another") is None
    with pytest.raises(MtlsError, match="UNIQUE constraint failed"):
        index.record_crl(ISSUER, 900, ISSUED_AT, ISSUED_AT + 60, "again")


def test_settings_are_kept_by_authority(index):
    assert index.settings("root") == {}
    index.save_settings("root", {"moves_leaves": True})
    index.save_settings("root", {"moves_leaves": False, "pointers": {"crl_urls": ["http://a"]}})
    assert index.settings("root") == {
        "moves_leaves": False,
        "pointers": {"crl_urls": ["http://a"]},
    }
    assert index.settings("other") == {}


def test_all_is_stated_with_who_revoked_it_and_whether_it_is_superseded(index):
    old, new, other = record(index, entry(days=3), entry(), entry("b", "server"))
    index.revoke([said(old, "certificateHold"), said(old, "superseded", ISSUED_AT + 7, "grace")])
    found = [(row.serial_number, *rest) for row, *rest in index.stated()]
    assert found == [
        (old, ISSUED_AT + 7, "grace", True),
        (new, None, None, False),
        (other, None, None, False),
    ]


def test_what_is_stated_can_be_narrowed_down(index):
    record(index, entry("a", days=3), entry("b", days=5), entry("c", days=7))

    def names(**given):
        return [row.name for row, *_rest in index.stated(**given)]

    assert names(names=["a", "c", "x"]) == ["a", "c"]
    at_the_end_of_b = int((NOW + timedelta(days=5)).timestamp())
    assert names(not_after=at_the_end_of_b) == ["a", "b"]
    assert names(not_after=at_the_end_of_b - 1) == ["a"]
    assert names(names=["b", "c"], not_after=at_the_end_of_b) == ["b"]


def test_a_lookup_of_many_finds_what_lookups_of_one_find(index):
    entries = [entry(f"c{number}") for number in range(5)]
    record(index, *entries)
    found = [index.of_name("client", f"c{number}")[0] for number in range(5)]
    index.revoke([said(found[2].serial_number)])
    digests = [row.fingerprint_sha256 for row in found]
    many = index.find_all([*digests, "00" * 32])
    assert many == {digest: index.find(digest) for digest in digests}
    assert [many[digest].is_revoked for digest in digests] == [False, False, True, False, False]
