# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The index: every certificate ever issued by a store, in one SQLite file. Nothing is deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import MtlsError
from .certificates import (
    certificate_fingerprint,
    not_after_of,
    not_before_of,
    serial_number_text,
)
from .library import serialization
from .names import rfc2253

SCHEMA_VERSION = 1
# It changes nothing where another run has made the index in the same instant.
SCHEMA = """
CREATE TABLE IF NOT EXISTS certificate (
    -- SHA-256 of the issuer's public key: a serial number is unique per issuer only
    issuer_key         TEXT NOT NULL,
    serial_number      TEXT NOT NULL,
    -- authority, client or server
    kind               TEXT NOT NULL,
    name               TEXT NOT NULL,
    subject            TEXT NOT NULL,
    -- seconds since 1970-01-01 UTC
    not_before         INTEGER NOT NULL,
    not_after          INTEGER NOT NULL,
    issued_at          INTEGER NOT NULL,
    fingerprint_sha256 TEXT NOT NULL UNIQUE,
    der                BLOB NOT NULL,
    PRIMARY KEY (issuer_key, serial_number)
);
CREATE INDEX IF NOT EXISTS certificate_name ON certificate (kind, name);
"""


@dataclass(frozen=True)
class Entry:
    """One issued certificate, as the index keeps it."""

    kind: str
    name: str
    issuer_key: str
    certificate: Any


class Index:
    """The open index. Use it as a context manager; writes are durable when ``record`` returns.

    :raises MtlsError: the file is no index, or one of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=60)
        except sqlite3.Error as error:
            raise MtlsError(f"the index {path} can't be used: {error}") from error
        try:
            self._connection.execute("PRAGMA synchronous = FULL")
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._connection.executescript(
                    f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                )
            elif version > SCHEMA_VERSION:
                raise MtlsError(
                    f"{path} was written by a later version of this collection: update edge.mtls"
                )
        except (sqlite3.Error, MtlsError) as error:
            self._connection.close()
            if isinstance(error, MtlsError):
                raise
            raise MtlsError(f"the index {path} can't be used: {error}") from error

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._connection.close()

    def record(self, entries: Iterable[Entry], issued_at: int) -> None:
        """Write all entries in one transaction.

        :raises MtlsError: it can't be written, or a serial number is taken (then none is written).
        """
        rows = [
            (
                entry.issuer_key,
                serial_number_text(entry.certificate),
                entry.kind,
                entry.name,
                rfc2253(entry.certificate.subject),
                int(not_before_of(entry.certificate).timestamp()),
                int(not_after_of(entry.certificate).timestamp()),
                issued_at,
                certificate_fingerprint(entry.certificate),
                entry.certificate.public_bytes(serialization.Encoding.DER),
            )
            for entry in entries
        ]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(
                    "INSERT INTO certificate VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
                )
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself when, say, the disk is full.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise MtlsError(f"the index {self.path} can't be written: {error}") from error

    def latest_issue(self) -> int:
        """Return when the newest certificate was issued, in seconds since 1970, or 0."""
        return int(self._row("SELECT max(issued_at) FROM certificate")[0] or 0)

    def knows(self, fingerprint_sha256: str) -> bool:
        """Tell whether a certificate was issued from this store."""
        query = "SELECT count(*) FROM certificate WHERE fingerprint_sha256 = ?"
        return bool(self._row(query, fingerprint_sha256)[0])

    def _row(self, query: str, *parameters: str) -> Any:
        try:
            return self._connection.execute(query, parameters).fetchone()
        except sqlite3.Error as error:
            raise MtlsError(f"the index {self.path} can't be read: {error}") from error
