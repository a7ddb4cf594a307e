# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: where authorities, keys and certificates live as files.

    <store>/index.sqlite3                         every certificate ever issued
    <store>/authorities/root -> ../generations/authorities/root/<serial number>
    <store>/clients/client1  -> ../generations/clients/client1/<serial number>
    <store>/staging/                              what a run is writing; goes with the next run

One issue is one folder under generations/. It is written under staging/, brought to the disk,
and moved to its place as a whole; then it becomes the current one when a symlink is renamed
over the old one, so a reader never meets a key beside the wrong certificate. The index knows
a certificate before its files exist: a kill in between leaves an entry without files, never
files without an entry.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import MtlsError
from .certificates import serial_number_text
from .durability import sync_files, write_file
from .index import Entry, Index
from .locking import hold_lock, hold_lock_if_free
from .messages import Say, say_nothing

FOLDERS = {
    "authority": "authorities",
    # The two that stand beside a current authority while it is rolled over.
    "successor": "successors",
    "predecessor": "predecessors",
    "client": "clients",
    "server": "servers",
    "peer": "peers",
}
# A roll-over moves an authority's generations from one role to the next.
GENERATIONS = {**FOLDERS, "successor": "authorities", "predecessor": "authorities"}
CERTIFICATE = "certificate.pem"
FULLCHAIN = "fullchain.pem"
KEY = "key.pem"
LOCK_TIMEOUT_SECONDS = 300
# So many are on their way to the disk at once: enough to share its costs, few enough to fit.
BATCH = 500


@dataclass(frozen=True)
class Issue:
    """One new certificate and the files that go with it."""

    entry: Entry
    # file name -> content; what is in ``secret`` gets mode 0600
    files: dict[str, bytes]
    secret: frozenset[str] = field(default_factory=frozenset)
    # the role that it takes: its entry's kind unless given
    role: str | None = None
    # further certificates among the files
    also: tuple[Entry, ...] = ()


class Store:
    """A store at a path. Nothing is created before ``locked``.

    :param say: takes a message for the user, such as that another run is waited for.
    """

    def __init__(self, path: str, say: Say = say_nothing) -> None:
        if not os.path.isabs(path):
            raise MtlsError(f"store_path {path!r} must be an absolute path")
        self.path = Path(path)
        self.say = say

    def folder(self, kind: str, name: str) -> Path:
        """Return where the current files of a name are, whether they exist or not."""
        return self.path / FOLDERS[kind] / name

    def read(self, kind: str, name: str, file_name: str) -> bytes | None:
        """Return a current file's content, or None when there is none.

        :raises MtlsError: it is there and can't be read.
        """
        # Strings instead of a Path: this is asked a hundred thousand times.
        return _read(f"{self.path}/{FOLDERS[kind]}/{name}/{file_name}")

    def has(self, kind: str, name: str, file_name: str) -> bool:
        """Tell whether there is such a current file."""
        return os.path.exists(f"{self.path}/{FOLDERS[kind]}/{name}/{file_name}")

    def names(self, kind: str) -> list[str]:
        """List the names that have current files."""
        try:
            return sorted(os.listdir(self.path / FOLDERS[kind]))
        except FileNotFoundError:
            return []

    def check_usable(self, may_lack_index: bool = False) -> None:
        """Make sure that the store can be written, or made where it doesn't exist yet.

        :param may_lack_index: it is about to be made anew.
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
        if probe != self.path or may_lack_index:
            return
        # One look at the folder, because another run may be making the store right now.
        found = set(os.listdir(self.path))
        others = sorted(found - {".gitignore", ".lock", "staging"})
        if others and self._index_path.name not in found:
            hint = (
                "bring the index back, or make it anew of the files: "
                "ansible-playbook edge.mtls.rebuild_index"
                if "generations" in found
                else "name another folder"
            )
            raise MtlsError(
                f"store_path {self.path} is neither empty nor a store: it holds {others[0]} and "
                f"no {self._index_path.name}; {hint}"
            )

    @property
    def exists(self) -> bool:
        """Tell whether the store has been made."""
        return self._index_path.exists()

    @property
    def _index_path(self) -> Path:
        return self.path / "index.sqlite3"

    @property
    def _staging(self) -> Path:
        return self.path / "staging"

    def index(self, writable: bool = False) -> Index:
        """Open the index. Only the holder of the lock may open it to write."""
        return Index(self._index_path, writable)

    @contextmanager
    def incomplete_index(self) -> Iterator[Index]:
        """Open the index to add what it lacks: all of it or, after a kill in between, nothing.

        The caller holds the lock.

        :raises MtlsError: it can't be written.
        """
        if self.exists:
            with self.index(writable=True) as index, index.transaction():
                yield index
            return
        with self._writing():
            path = self._staging / self._index_path.name
            with Index(path, writable=True) as index, index.transaction():
                yield index
            sync_files(self._staging)
            # That of the index that was lost; SQLite would take it for this one's.
            Path(f"{self._index_path}-journal").unlink(missing_ok=True)
            path.rename(self._index_path)
            sync_files(self.path)

    @contextmanager
    def locked(
        self, timeout_seconds: float = LOCK_TIMEOUT_SECONDS, may_lack_index: bool = False
    ) -> Iterator[None]:
        """Make the store if it isn't there, and keep every other writer out.

        What a run that was killed has left half-written is taken away.

        :raises MtlsError: it can't be made, or another run holds the lock for too long.
        """
        self.check_usable(may_lack_index)
        old_umask = os.umask(0o077)
        try:
            with hold_lock(self.path, timeout_seconds, self.say):
                self._write_gitignore()
                self._clear_staging()
                yield
        finally:
            os.umask(old_umask)

    def _write_gitignore(self) -> None:
        path = self.path / ".gitignore"
        try:
            # An empty one is what a kill or a full disk left behind.
            if not path.exists() or path.stat().st_size == 0:
                path.write_text("# Keys are never committed.\n*\n")
        except OSError as error:
            raise MtlsError(f"{path} can't be written: {error.strerror}") from error

    def _clear_staging(self) -> None:
        try:
            if self._staging.exists():
                shutil.rmtree(self._staging)
        except OSError as error:
            raise MtlsError(f"{error.filename} can't be removed: {error.strerror}") from error

    def tidy(self) -> None:
        """Take away what a run that was killed has left, where this run has nothing to write.

        :raises MtlsError: it can't be removed.
        """
        if not self._staging.exists():
            return
        with hold_lock_if_free(self.path) as is_mine:
            if is_mine:  # or it is the other run's, which is at work
                self._clear_staging()

    def publish(self, issues: Sequence[Issue], issued_at: int) -> None:
        """Record new certificates, write their files, and make them the current ones.

        The caller holds the lock.

        :raises MtlsError: the disk is full or can't be written; what was current stays current.
        """
        with self.index(writable=True) as index:
            # What goes with an issue comes first, because the last one of a name counts.
            entries = [entry for issue in issues for entry in (*issue.also, issue.entry)]
            index.record(entries, issued_at)
        with self._writing():
            staged = [self._stage(issue, number) for number, issue in enumerate(issues)]
            sync_files(self._staging)
            for issue, folder in zip(issues, staged):
                self._make_current(issue, folder)
            sync_files(self.path)

    def add(
        self,
        kind: str,
        name: str,
        files: dict[str, bytes],
        mode: int = 0o600,
        outdated: Sequence[str] = (),
    ) -> None:
        """Add files to the current ones of a name, or replace them.

        The caller holds the lock.

        :param outdated: files that don't fit the new ones and go, where they are there.
        :raises MtlsError: they can't be written; what was there stays there.
        """
        folder = self.folder(kind, name).resolve()
        with self._writing():
            for file_name, content in files.items():
                write_file(self._staging / file_name, content, mode)
            sync_files(self._staging)
            # A kill among the renames leaves one missing, never an old one beside a new one.
            for file_name in (*outdated, *[*files][1:]):
                (folder / file_name).unlink(missing_ok=True)
            for file_name in files:
                (self._staging / file_name).rename(folder / file_name)
            sync_files(folder)

    def replace(self, file_name: str, content: bytes) -> None:
        """Write a public file of the store as a whole, or leave the old one.

        The caller holds the lock.

        :raises MtlsError: it can't be written.
        """
        with self._writing():
            self._replace(self.path / file_name, content, 0o644)

    def _replace(self, path: Path, content: bytes, mode: int) -> None:
        candidate = self._staging / path.name
        candidate.unlink(missing_ok=True)
        write_file(candidate, content, mode)
        sync_files(self._staging)
        path.parent.mkdir(exist_ok=True)
        candidate.rename(path)
        sync_files(path.parent)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            try:
                self._staging.mkdir(mode=0o700, exist_ok=True)
                yield
            finally:
                # Half an issue would only make a full disk fuller at every try.
                shutil.rmtree(self._staging, ignore_errors=True)
        except OSError as error:
            raise MtlsError(f"the store {self.path} can't be written: {error.strerror}") from error

    def pending_folder(self, name: str) -> Path:
        """Return where an authority's key waits for a certificate from elsewhere."""
        return self.path / "pending" / name

    def keep_pending(self, name: str, files: dict[str, bytes]) -> None:
        """Keep the secret files of an authority that waits for its certificate.

        The caller holds the lock.

        :raises MtlsError: they can't be written.
        """
        folder = self._staging / name
        with self._writing():
            folder.mkdir(mode=0o700)
            for file_name, content in files.items():
                write_file(folder / file_name, content, 0o600)
            sync_files(folder)
            self.pending_folder(name).parent.mkdir(mode=0o700, exist_ok=True)
            folder.rename(self.pending_folder(name))
            sync_files(self.path)

    def read_pending(self, name: str, file_name: str) -> bytes | None:
        """Return a file that waits for an authority's certificate, or None.

        :raises MtlsError: it is there and can't be read.
        """
        return _read(f"{self.pending_folder(name)}/{file_name}")

    def drop_pending(self, name: str) -> None:
        """Remove what waited for a certificate that has come.

        The caller holds the lock.

        :raises MtlsError: it can't be removed.
        """
        self._remove(self.pending_folder(name))

    def change_role(self, name: str, old: str, new: str) -> None:
        """Let an authority's generation stand in another role as well.

        The caller holds the lock.

        :raises MtlsError: it can't be written.
        """
        with self._writing():
            # Where a link leads is the same from every role's folder.
            self._link(os.readlink(self.folder(old, name)), new, name)
            sync_files(self.path)

    def leave_role(self, name: str, role: str) -> None:
        """Let an authority's generation not stand in a role any more. Its files stay.

        The caller holds the lock.

        :raises MtlsError: it can't be written.
        """
        with self._writing():
            self.folder(role, name).unlink(missing_ok=True)
            sync_files(self.path)

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
        except OSError as error:
            raise MtlsError(f"{error.filename} can't be removed: {error.strerror}") from error
        self._remove(self._generations(kind, name))

    def _remove(self, folder: Path) -> None:
        try:
            if folder.exists():
                # Away with it as a whole: a kill in between leaves no half of it in its place.
                self._staging.mkdir(mode=0o700, exist_ok=True)
                folder.rename(self._staging / folder.name)
                shutil.rmtree(self._staging)
        except OSError as error:
            raise MtlsError(f"{folder} can't be removed: {error.strerror}") from error

    def generations(self) -> Iterator[tuple[str, str, Path]]:
        """Yield kind, name and folder of every issue that has files, the oldest of a name first."""
        for kind in ("authority", "client", "server", "peer"):
            top = self.path / "generations" / FOLDERS[kind]
            for name in sorted(os.listdir(top)) if top.is_dir() else []:
                folders = [path for path in (top / name).iterdir() if path.is_dir()]
                for folder in sorted(folders, key=lambda path: path.stat().st_mtime_ns):
                    yield kind, name, folder

    def _generations(self, kind: str, name: str) -> Path:
        return self.path / "generations" / GENERATIONS[kind] / name

    def _stage(self, issue: Issue, number: int) -> str:
        folder = f"{self._staging}/{number}"
        os.mkdir(folder, 0o700)
        for file_name, content in issue.files.items():
            mode = 0o600 if file_name in issue.secret else 0o644
            write_file(f"{folder}/{file_name}", content, mode)
        return folder

    def _make_current(self, issue: Issue, staged: str) -> None:
        kind, name = issue.entry.kind, issue.entry.name
        generations = f"{self.path}/generations/{FOLDERS[kind]}/{name}"
        os.makedirs(generations, mode=0o700, exist_ok=True)
        serial_number = serial_number_text(issue.entry.certificate)
        if os.path.exists(f"{generations}/{serial_number}"):
            # One that is adopted again, after a kill or in the place of a later one.
            os.rename(f"{generations}/{serial_number}", f"{staged}.old")
        os.rename(staged, f"{generations}/{serial_number}")
        self._link(
            f"../generations/{FOLDERS[kind]}/{name}/{serial_number}", issue.role or kind, name
        )

    def _link(self, target: str, role: str, name: str) -> None:
        folder = f"{self.path}/{FOLDERS[role]}"
        candidate = f"{self._staging}/{name}.link"
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.symlink(target, candidate)
        os.rename(candidate, f"{folder}/{name}")


def _read(path: str) -> bytes | None:
    # Not open(), which takes three times as long, and this is done a hundred thousand times.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = b""
            while block := os.read(descriptor, 65536):
                content += block
            return content
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise MtlsError(f"{path} can't be read: {error.strerror}") from error


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
