# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a store, which also tells who holds it."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import MtlsError
from .messages import Say

# After this long, a run that waits for another one says so.
PATIENCE_SECONDS = 2


@contextmanager
def hold_lock(store: Path, timeout_seconds: float, say: Say) -> Iterator[None]:
    """Keep every other writer out of a store's folder, which is made if it isn't there.

    :raises MtlsError: it can't be made, or another run holds the lock for too long.
    """
    lock = _open(store)
    try:
        _wait(lock, store, timeout_seconds, say)
        _write_holder(lock)
        yield
        os.ftruncate(lock, 0)
    finally:
        os.close(lock)


@contextmanager
def hold_lock_if_free(store: Path) -> Iterator[bool]:
    """Hold the lock unless another run does, and tell which."""
    lock = _open(store)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def _open(store: Path) -> int:
    try:
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(store / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise MtlsError(f"store_path {store} can't be made: {error.strerror}") from error


def _wait(lock: int, store: Path, timeout_seconds: float, say: Say) -> None:
    started, told = time.monotonic(), False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            waited = time.monotonic() - started
        except OSError as error:
            raise MtlsError(
                f"store_path {store} can't be locked: {error.strerror}; a shared folder "
                "must support locks (NFS does from version 3 on)"
            ) from error
        if waited > timeout_seconds:
            raise MtlsError(
                f"another run has held the store {store} for {timeout_seconds:g} seconds"
                f"{_holder(lock)}: let it finish, then try again"
            )
        if waited > PATIENCE_SECONDS and not told:
            say(
                f"waiting for another run that holds the store {store}{_holder(lock)}, "
                f"at most {timeout_seconds:g} seconds"
            )
            told = True
        time.sleep(0.05)


def _write_holder(lock: int) -> None:
    # Only for the eyes of who waits. A full disk shall not stop a run that has nothing to do.
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)


def _holder(lock: int) -> str:
    text = os.pread(lock, 200, 0).decode(errors="replace")
    return f" ({text})" if text else ""
