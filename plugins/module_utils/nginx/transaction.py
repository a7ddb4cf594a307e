# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change several files and links of a host together, and put all of them back if need be.

Before anything live is touched, what is there now is saved and listed in a journal. A run that
is killed leaves the journal behind; the next one restores from it before it does anything else.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from ..errors import MtlsError

# A dot in front, because nginx's includes (conf.d/*.conf, sites-enabled/*) pass over such names.
TEMPORARY = ".mtls-new-"


@dataclass(frozen=True)
class Content:
    """A regular file with this text and mode."""

    text: str
    mode: int = 0o644


@dataclass(frozen=True)
class Link:
    """A symbolic link to this target."""

    target: str


# What a path should be or is: a file, a link, or nothing.
State = Union[Content, Link, None]


@dataclass(frozen=True)
class Change:
    """One path, as it is and as it should be."""

    path: str
    before: State
    after: State

    def diff(self) -> dict[str, str]:
        """Describe the change in the form of Ansible's diff mode."""
        return {
            "before_header": self.path,
            "after_header": self.path,
            "before": _shown(self.before),
            "after": _shown(self.after),
        }


def state_of(path: str) -> State:
    """Read what a path is now.

    :raises MtlsError: it is something that can't be put back, such as a folder.
    """
    place = Path(path)
    if place.is_symlink():
        return Link(os.readlink(path))
    if not place.exists():
        return None
    if not place.is_file():
        raise MtlsError(f"{path} is neither a file nor a link; take it out of the way first")
    return Content(
        place.read_bytes().decode("utf-8", "surrogateescape"), place.stat().st_mode & 0o7777
    )


def changes(wanted: dict[str, State]) -> list[Change]:
    """Compare what is wanted with what is there; only real differences are returned."""
    found = [Change(path, state_of(path), after) for path, after in wanted.items()]
    return [change for change in found if change.before != change.after]


class Journal:
    """The record of a change that has begun and isn't known to be good yet."""

    def __init__(self, folder: str) -> None:
        self._path = Path(folder) / ".transaction.json"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs waiting; a run that is killed lets go."""
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def begin(self, due: list[Change]) -> None:
        """Save what is there now, durably, before the first change."""
        saved = json.dumps({change.path: _dump(change.before) for change in due})
        _write(str(self._path), Content(saved, 0o600))

    def end(self) -> None:
        """Forget the saved state: what is there now is good."""
        self._path.unlink(missing_ok=True)

    def restore(self) -> bool:
        """Put back what the journal saved; tell whether there was anything to put back.

        :raises MtlsError: the journal can't be read.
        """
        try:
            saved = json.loads(self._path.read_text())
        except FileNotFoundError:
            return False
        except ValueError as error:
            raise MtlsError(f"{self._path} is damaged; look at it, then remove it") from error
        # Only what differs: a disk that refused the change would refuse to undo nothing, too.
        for change in changes({path: _load(state) for path, state in saved.items()}):
            put(change.path, change.after)
        self.end()
        return True


def put(path: str, state: State) -> None:
    """Make a path what it should be, in one step that no reader can see half of."""
    if state is None:
        Path(path).unlink(missing_ok=True)
    else:
        Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _write(path, state)


def _write(path: str, state: Content | Link) -> None:
    place = Path(path)
    remove_temporaries([path])
    candidate = place.with_name(TEMPORARY + place.name)
    try:
        if isinstance(state, Link):
            candidate.symlink_to(state.target)
        else:
            descriptor = os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_EXCL, state.mode)
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, state.mode)
                file.write(state.text.encode("utf-8", "surrogateescape"))
                file.flush()
                os.fsync(descriptor)
        candidate.rename(place)
        _sync_folder(place.parent)
    except BaseException:
        candidate.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    # A rename lasts through a loss of power only when its folder is on the disk too.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(paths: list[str]) -> None:
    """Remove what a killed run may have left beside these paths."""
    for path in paths:
        place = Path(path)
        candidate = place.with_name(TEMPORARY + place.name)
        # A disk that is read-only refuses to remove even what is not there.
        if os.path.lexists(candidate):
            candidate.unlink()


def check_space(folder: str, due: list[Change]) -> None:
    """Refuse to begin on a disk that has no room for old and new together.

    :raises MtlsError: there is too little space.
    """
    needed = 65536 + 2 * sum(len(_shown(change.before) + _shown(change.after)) for change in due)
    place = Path(folder)
    while not place.exists():
        place = place.parent
    if shutil.disk_usage(place).free < needed:
        raise MtlsError(f"the disk that holds {folder} is full: {needed // 1024} KiB are needed")


def _shown(state: State) -> str:
    if state is None:
        return ""
    return f"link to {state.target}\n" if isinstance(state, Link) else state.text


def _dump(state: State) -> dict[str, Any] | None:
    if state is None:
        return None
    if isinstance(state, Link):
        return {"target": state.target}
    content = state.text.encode("utf-8", "surrogateescape")
    return {"content": base64.b64encode(content).decode(), "mode": state.mode}


def _load(state: dict[str, Any] | None) -> State:
    if state is None:
        return None
    if "target" in state:
        return Link(state["target"])
    content = base64.b64decode(state["content"])
    return Content(content.decode("utf-8", "surrogateescape"), state["mode"])
