# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: where authorities, keys and certificates live as files.

    <store>/index.sqlite3                         every certificate ever issued
    <store>/authorities/root -> ../generations/authorities/root/<serial number>
    <store>/clients/client1  -> ../generations/clients/client1/<serial number>

One issue is one folder under generations/. It becomes the current one when a symlink is
renamed over the old one, so a reader never meets a key beside the wrong certificate.
The index knows a certificate before its files exist: a kill in between leaves an entry
without files, never files without an entry.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import MtlsError
from .certificates import serial_number_text
from .index import Entry, Index

FOLDERS = {"authority": "authorities", "client": "clients", "server": "servers"}
CERTIFICATE = "certificate.pem"
FULLCHAIN = "fullchain.pem"
KEY = "key.pem"
LOCK_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Issue:
    """One new certificate and the files that go with it."""

    entry: Entry
    # file name -> content; what is in ``secret`` gets mode 0600
    files: dict[str, bytes]
    secret: frozenset[str] = field(default_factory=frozenset)


class Store:
    """A store at a path. Nothing is created before ``locked``."""

    def __init__(self, path: str) -> None:
        if not os.path.isabs(path):
            raise MtlsError(f"store_path {path!r} must be an absolute path")
        self.path = Path(path)

    def folder(self, kind: str, name: str) -> Path:
        """Return where the current files of a name are, whether they exist or not."""
        return self.path / FOLDERS[kind] / name

    def read(self, kind: str, name: str, file_name: str) -> bytes | None:
        """Return a current file's content, or None when there is none.

        :raises MtlsError: it is there and can't be read.
        """
        path = self.folder(kind, name) / file_name
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise MtlsError(f"{path} can't be read: {error.strerror}") from error

    def check_usable(self) -> None:
        """Make sure that the store can be written, or made where it doesn't exist yet.

        :raises MtlsError: it can't, or the folder holds something else.
        """
        probe = self.path
        # These two say no, where Path's raise, when a folder above can't be searched.
        while not os.path.lexists(probe):
            probe = probe.parent
        if not os.path.isdir(probe):
            raise MtlsError(f"store_path {self.path}: {probe} is not a folder")
        if not os.access(probe, os.R_OK | os.W_OK | os.X_OK) or _is_read_only(probe):
            raise MtlsError(
                f"store_path {self.path}: user {_user()} can't write to {probe}; name another "
                "folder, or mend its owner and permissions"
            )
        if probe != self.path:
            return
        # One look at the folder, because another run may be making the store right now.
        found = set(os.listdir(self.path))
        others = sorted(found - {".gitignore", ".lock"})
        if others and self._index_path.name not in found:
            raise MtlsError(
                f"store_path {self.path} is neither empty nor a store: it holds {others[0]} and "
                f"no {self._index_path.name}; name another folder, or bring the index back"
            )

    @property
    def exists(self) -> bool:
        """Tell whether the store has been made."""
        return self._index_path.exists()

    @property
    def _index_path(self) -> Path:
        return self.path / "index.sqlite3"

    def index(self) -> Index:
        """Open the index."""
        return Index(self._index_path)

    @contextmanager
    def locked(self, timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
        """Make the store if it isn't there, and keep every other writer out.

        :raises MtlsError: it can't be made, or another run holds the lock for too long.
        """
        self.check_usable()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise MtlsError(f"store_path {self.path} can't be made: {error.strerror}") from error
        try:
            deadline = time.monotonic() + timeout_seconds
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise MtlsError(
                            f"another run has held the store {self.path} for {timeout_seconds:g} "
                            "seconds: let it finish, then try again"
                        ) from None
                    time.sleep(0.05)
            self._write_gitignore()
            yield
        finally:
            os.close(lock)

    def _write_gitignore(self) -> None:
        path = self.path / ".gitignore"
        try:
            # An empty one is what a kill or a full disk left behind.
            if not path.exists() or path.stat().st_size == 0:
                path.write_text("# Keys are never committed.\n*\n")
        except OSError as error:
            raise MtlsError(f"{path} can't be written: {error.strerror}") from error

    def publish(self, issues: list[Issue], issued_at: int) -> None:
        """Record new certificates, write their files, and make them the current ones.

        The caller holds the lock.

        :raises MtlsError: the disk is full or can't be written; what was current stays current.
        """
        if not issues:
            return
        old_umask = os.umask(0o077)
        try:
            with self.index() as index:
                index.record([issue.entry for issue in issues], issued_at)
            for issue in issues:
                self._write(issue)
        except OSError as error:
            raise MtlsError(f"the store {self.path} can't be written: {error.strerror}") from error
        finally:
            os.umask(old_umask)

    def has_files(self, kind: str, name: str) -> bool:
        """Tell whether there are files of a name, current or older."""
        return os.path.lexists(self.folder(kind, name)) or self._generations(kind, name).exists()

    def forget(self, kind: str, name: str) -> None:
        """Remove all files of a name, keys too. The index keeps its certificates.

        The caller holds the lock.

        :raises MtlsError: they can't be removed.
        """
        try:
            # The link first: without it nobody takes what is left for current.
            self.folder(kind, name).unlink(missing_ok=True)
            if self._generations(kind, name).exists():
                shutil.rmtree(self._generations(kind, name))
        except OSError as error:
            raise MtlsError(f"{error.filename} can't be removed: {error.strerror}") from error

    def _generations(self, kind: str, name: str) -> Path:
        return self.path / "generations" / FOLDERS[kind] / name

    def _write(self, issue: Issue) -> None:
        kind, name = FOLDERS[issue.entry.kind], issue.entry.name
        generation = self._generations(issue.entry.kind, name) / serial_number_text(
            issue.entry.certificate
        )
        current = self.path / kind / name
        candidate = current.with_name(f".{name}.new")
        generation.mkdir(parents=True)
        try:
            for file_name, content in issue.files.items():
                mode = 0o600 if file_name in issue.secret else 0o644
                _write_durably(generation / file_name, content, mode)
            _sync_folder(generation)
            _sync_folder(generation.parent)
            current.parent.mkdir(exist_ok=True)
            candidate.unlink(missing_ok=True)
            candidate.symlink_to(os.path.relpath(generation, current.parent))
            candidate.rename(current)
        except OSError:
            # Half an issue would only make a full disk fuller at every try.
            shutil.rmtree(generation, ignore_errors=True)
            raise
        _sync_folder(current.parent)


def _write_durably(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_read_only(path: Path) -> bool:
    # access(2) says yes to root on some read-only mounts; the mount's own flag doesn't.
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError as error:
        return error.errno == errno.EROFS


def _user() -> Any:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return os.geteuid()
