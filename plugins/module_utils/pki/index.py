# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The index: every certificate ever issued by a store, in one SQLite file. Nothing is deleted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import MtlsError
from .certificates import (
    certificate_fingerprint,
    not_after_of,
    not_before_of,
    serial_number_text,
)
from .keys import public_key_fingerprint
from .library import serialization, x509
from .names import rfc2253

SCHEMA_VERSION = 2
# Each step changes nothing where another run has taken it in the same instant.
SCHEMA = """
CREATE TABLE IF NOT EXISTS certificate (
    -- SHA-256 of the issuer's public key: a serial number is unique per issuer only
    issuer_key         TEXT NOT NULL,
    serial_number      TEXT NOT NULL,
    -- authority, client, server or peer
    kind               TEXT NOT NULL,
    name               TEXT NOT NULL,
    subject            TEXT NOT NULL,
    -- seconds since 1970-01-01 UTC
    not_before         INTEGER NOT NULL,
    not_after          INTEGER NOT NULL,
    issued_at          INTEGER NOT NULL,
    fingerprint_sha256 TEXT NOT NULL UNIQUE,
    der                BLOB NOT NULL,
    issuer_subject     TEXT NOT NULL DEFAULT '',
    -- SHA-256 of the subject's own public key
    public_key         TEXT NOT NULL DEFAULT '',
    -- digest of everything that was asked for, by which an unchanged wish is known again
    specification      TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (issuer_key, serial_number)
);
CREATE INDEX IF NOT EXISTS certificate_name ON certificate (kind, name);
"""
SCHEMA_OF_VERSION_2 = """
CREATE INDEX IF NOT EXISTS certificate_issued ON certificate (issued_at);
CREATE INDEX IF NOT EXISTS certificate_expiry ON certificate (not_after);
CREATE INDEX IF NOT EXISTS certificate_key ON certificate (public_key);
-- what was said of a certificate; the last word counts
CREATE TABLE IF NOT EXISTS revocation (
    issuer_key    TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    revoked_at    INTEGER NOT NULL,
    -- CRLReason of RFC 5280; removeFromCRL releases what was on hold
    reason        TEXT NOT NULL,
    revoked_by    TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS revocation_certificate ON revocation (issuer_key, serial_number);
CREATE TABLE IF NOT EXISTS crl (
    issuer_key         TEXT NOT NULL,
    crl_number         INTEGER NOT NULL,
    this_update        INTEGER NOT NULL,
    next_update        INTEGER NOT NULL,
    fingerprint_sha256 TEXT NOT NULL,
    PRIMARY KEY (issuer_key, crl_number)
);
-- what an authority puts into the certificates that it signs, as JSON
CREATE TABLE IF NOT EXISTS setting (authority TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
COLUMNS_OF_VERSION_2 = ("issuer_subject", "public_key", "specification")

_LAST_WORD = (
    "(SELECT {column} FROM revocation r WHERE r.issuer_key = c.issuer_key"
    " AND r.serial_number = c.serial_number ORDER BY r.rowid DESC LIMIT 1)"
)
_REASON = _LAST_WORD.format(column="reason")
_COLUMNS = (
    "c.kind, c.name, c.issuer_key, c.serial_number, c.subject, c.issuer_subject, c.not_before,"
    " c.not_after, c.issued_at, c.fingerprint_sha256, c.public_key, c.specification,"
    f" {_REASON}"
)
_STATED_COLUMNS = (
    f"{_COLUMNS}, {_LAST_WORD.format(column='revoked_at')},"
    f" {_LAST_WORD.format(column='revoked_by')}, EXISTS (SELECT 1 FROM certificate n"
    " WHERE n.kind = c.kind AND n.name = c.name AND n.rowid > c.rowid)"
)


@dataclass(frozen=True)
class Entry:
    """One issued certificate, as the index takes it in."""

    kind: str
    name: str
    issuer_key: str
    certificate: Any
    specification: str = ""


class Row(NamedTuple):
    """One issued certificate, as the index gives it back. Instants are seconds since 1970."""

    kind: str
    name: str
    issuer_key: str
    serial_number: str
    subject: str
    issuer_subject: str
    not_before: int
    not_after: int
    issued_at: int
    fingerprint_sha256: str
    public_key: str
    specification: str
    # the last word on its revocation, or None
    reason: str | None

    @property
    def is_revoked(self) -> bool:
        """Tell whether it is revoked or on hold."""
        return self.reason not in (None, RELEASED)

    @property
    def is_revoked_for_good(self) -> bool:
        """Tell whether it is revoked, and can't be released any more."""
        return self.reason not in (None, RELEASED, HOLD)


RELEASED = "removeFromCRL"
HOLD = "certificateHold"
# 9999-12-31T23:59:59Z, when a certificate without end expires (RFC 5280, 4.1.2.5).
END_OF_TIME = 253402300799


@dataclass(frozen=True)
class Revocation:
    """What somebody said of a certificate. ``revoked_at`` is in seconds since 1970."""

    issuer_key: str
    serial_number: str
    revoked_at: int
    reason: str
    revoked_by: str


class Index:
    """The open index. Use it as a context manager; writes are durable when they return.

    :param writable: make the file, or bring it to the present version, where it isn't. Without
        that, a file of an earlier version is read by way of a copy in memory.
    :raises MtlsError: the file is no index, or one of a later version.
    """

    def __init__(self, path: Path, writable: bool = False) -> None:
        self.path = path
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=60)
        except sqlite3.Error as error:
            raise MtlsError(f"the index {path} can't be used: {error}") from error
        try:
            self._connection.execute("PRAGMA synchronous = FULL")
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise MtlsError(
                    f"{path} was written by a later version of this collection: update edge.mtls"
                )
            if version < SCHEMA_VERSION:
                if not writable:
                    self._read_from_memory()
                self._update()
        except (sqlite3.Error, MtlsError) as error:
            self._connection.close()
            if isinstance(error, MtlsError):
                raise
            raise MtlsError(f"the index {path} can't be used: {error}") from error

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._connection.close()

    def _read_from_memory(self) -> None:
        on_disk, self._connection = (
            self._connection,
            sqlite3.connect(":memory:", isolation_level=None),
        )
        try:
            on_disk.backup(self._connection)
        finally:
            on_disk.close()

    def _update(self) -> None:
        """Bring the file to the present version, in one transaction."""
        with self.transaction():
            for statement in SCHEMA.split(";\n")[:-1]:
                self._connection.execute(statement)
            found = {row[1] for row in self._connection.execute("PRAGMA table_info(certificate)")}
            for column in COLUMNS_OF_VERSION_2:
                if column not in found:
                    self._connection.execute(
                        f"ALTER TABLE certificate ADD COLUMN {column} TEXT NOT NULL DEFAULT ''"
                    )
            for statement in SCHEMA_OF_VERSION_2.split(";\n")[:-1]:
                self._connection.execute(statement)
            rows = self._connection.execute("SELECT rowid, der FROM certificate").fetchall()
            for number, der in rows:
                row = row_of(Entry("", "", "", x509.load_der_x509_certificate(der)))
                self._connection.execute(
                    "UPDATE certificate SET issuer_subject = ?, public_key = ? WHERE rowid = ?",
                    (row.issuer_subject, row.public_key, number),
                )
            self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make one transaction of all that is written in the meantime.

        :raises MtlsError: it can't be written.
        """
        if self._connection.in_transaction:
            yield
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself when, say, the disk is full.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise MtlsError(f"the index {self.path} can't be written: {error}") from error

    def record(self, entries: Iterable[Entry], issued_at: int) -> None:
        """Write all entries in one transaction, but for those that are there already.

        That happens to what is adopted, when a run was killed before the files were in their place.

        :raises MtlsError: it can't be written, or a serial number is taken (then none is written).
        """
        columns = [*Row._fields[:-1], "der"]
        rows = [
            (
                *row_of(entry)._replace(issued_at=issued_at)[:-1],
                entry.certificate.public_bytes(serialization.Encoding.DER),
            )
            for entry in entries
        ]
        with self.transaction():
            self._connection.executemany(
                f"INSERT INTO certificate ({', '.join(columns)})"
                f" SELECT {', '.join(f'?{number + 1}' for number in range(len(columns)))}"
                " WHERE NOT EXISTS (SELECT 1 FROM certificate WHERE kind = ?1 AND name = ?2"
                f" AND fingerprint_sha256 = ?{columns.index('fingerprint_sha256') + 1})",
                rows,
            )

    def revoke(self, revocations: Sequence[Revocation]) -> None:
        """Write what was said of certificates, in one transaction.

        :raises MtlsError: it can't be written.
        """
        with self.transaction():
            self._connection.executemany(
                "INSERT INTO revocation VALUES (?, ?, ?, ?, ?)",
                [tuple(vars(each).values()) for each in revocations],
            )

    def record_crl(
        self, issuer_key: str, number: int, this_update: int, next_update: int, fingerprint: str
    ) -> None:
        """Write that a CRL was made. Instants are seconds since 1970.

        :raises MtlsError: it can't be written, or the number is taken.
        """
        with self.transaction():
            self._connection.execute(
                "INSERT INTO crl VALUES (?, ?, ?, ?, ?)",
                (issuer_key, number, this_update, next_update, fingerprint),
            )

    def save_settings(self, authority: str, settings: dict[str, Any]) -> None:
        """Keep what an authority puts into what it signs.

        :raises MtlsError: it can't be written.
        """
        with self.transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO setting VALUES (?, ?)",
                (authority, json.dumps(settings, sort_keys=True)),
            )

    def settings(self, authority: str) -> dict[str, Any]:
        """Return what was kept for an authority; nothing where that was never done."""
        row = self._row("SELECT value FROM setting WHERE authority = ?", authority)
        settings: dict[str, Any] = json.loads(row[0]) if row else {}
        return settings

    def latest_issue(self) -> int:
        """Return when the newest certificate was issued, in seconds since 1970, or 0."""
        return int(self._row("SELECT max(issued_at) FROM certificate")[0] or 0)

    def latest_crl(self, issuer_key: str) -> tuple[int, int, int, str] | None:
        """Return number, thisUpdate, nextUpdate and fingerprint of a key's newest CRL."""
        found: tuple[int, int, int, str] | None = self._row(
            "SELECT crl_number, this_update, next_update, fingerprint_sha256 FROM crl"
            " WHERE issuer_key = ? ORDER BY crl_number DESC LIMIT 1",
            issuer_key,
        )
        return found

    def find(self, fingerprint_sha256: str) -> Row | None:
        """Return the certificate of a fingerprint, or None when it was not issued here."""
        found = self._row(
            f"SELECT {_COLUMNS} FROM certificate c WHERE c.fingerprint_sha256 = ?",
            fingerprint_sha256,
        )
        return Row(*found) if found else None

    def find_all(self, fingerprints_sha256: Sequence[str]) -> dict[str, Row]:
        """Map each of these fingerprints to its certificate, if it was issued here."""
        query = (
            f"SELECT {_COLUMNS} FROM certificate c"
            " WHERE c.fingerprint_sha256 IN (SELECT value FROM json_each(?))"
        )
        rows = map(Row._make, self._rows(query, json.dumps(fingerprints_sha256)))
        return {row.fingerprint_sha256: row for row in rows}

    def of_name(self, kind: str, name: str) -> list[Row]:
        """Return every certificate of a name, the oldest first."""
        return self._certificates("c.kind = ? AND c.name = ?", kind, name)

    def of_serial_number(self, serial_number: str) -> list[Row]:
        """Return the certificates with a serial number: one for each authority, in theory."""
        return self._certificates("c.serial_number = ?", serial_number)

    def signed_by(self, issuer_key: str) -> list[Row]:
        """Return every certificate that a key signed, the oldest first."""
        return self._certificates("c.issuer_key = ?", issuer_key)

    def authority_names(self) -> dict[str, str]:
        """Map each authority's public key to its name."""
        rows = self._rows("SELECT public_key, name FROM certificate WHERE kind = 'authority'")
        return dict(rows)

    def revocations(self, issuer_key: str) -> list[tuple[str, int, str, int]]:
        """Return serial number, instant, reason and notAfter of each revocation that stands."""
        return self._rows(
            # What is revoked stays revoked, also where the certificate itself was lost.
            "SELECT r.serial_number, r.revoked_at, r.reason,"
            f" coalesce(c.not_after, {END_OF_TIME}) FROM revocation r"
            " LEFT JOIN certificate c USING (issuer_key, serial_number)"
            " WHERE r.issuer_key = ? AND r.reason <> ? AND r.rowid = (SELECT max(l.rowid) FROM"
            " revocation l WHERE l.issuer_key = r.issuer_key"
            " AND l.serial_number = r.serial_number) ORDER BY r.revoked_at, r.serial_number",
            issuer_key,
            RELEASED,
        )

    def stated(
        self, names: Sequence[str] = (), not_after: int | None = None
    ) -> Iterator[tuple[Row, int | None, str | None, bool]]:
        """Yield each certificate, when and by whom it was revoked, and whether it is superseded.

        :param names: only these; all when there are none.
        :param not_after: only what expires at this instant or before; all where it is None.
        """
        query = f"SELECT {_STATED_COLUMNS} FROM certificate c WHERE 1"
        parameters: list[Any] = []
        if names:
            query += " AND c.name IN (SELECT value FROM json_each(?))"
            parameters.append(json.dumps(list(names)))
        if not_after is not None:
            query += " AND c.not_after <= ?"
            parameters.append(not_after)
        try:
            for row in self._connection.execute(
                query + " ORDER BY c.kind, c.name, c.rowid", parameters
            ):
                yield Row(*row[:-3]), row[-3], row[-2], bool(row[-1])
        except sqlite3.Error as error:
            raise MtlsError(f"the index {self.path} can't be read: {error}") from error

    def _certificates(self, where: str, *parameters: str) -> list[Row]:
        query = f"SELECT {_COLUMNS} FROM certificate c WHERE {where} ORDER BY c.rowid"
        return [Row(*row) for row in self._rows(query, *parameters)]

    def _row(self, query: str, *parameters: str) -> Any:
        try:
            return self._connection.execute(query, parameters).fetchone()
        except sqlite3.Error as error:
            raise MtlsError(f"the index {self.path} can't be read: {error}") from error

    def _rows(self, query: str, *parameters: str) -> list[Any]:
        try:
            return self._connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise MtlsError(f"the index {self.path} can't be read: {error}") from error


def row_of(entry: Entry) -> Row:
    """Return what the index will hold of a certificate, but for when it was issued."""
    certificate = entry.certificate
    return Row(
        entry.kind,
        entry.name,
        entry.issuer_key,
        serial_number_text(certificate),
        rfc2253(certificate.subject),
        rfc2253(certificate.issuer),
        int(not_before_of(certificate).timestamp()),
        int(not_after_of(certificate).timestamp()),
        0,
        certificate_fingerprint(certificate),
        public_key_fingerprint(certificate.public_key()),
        entry.specification,
        None,
    )
