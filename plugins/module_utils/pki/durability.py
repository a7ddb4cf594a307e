# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing files to the disk, so that they outlive a power cut."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path


def write_file(path: str | Path, content: bytes, mode: int) -> None:
    """Write a new file with exactly this mode. It is not on the disk before ``sync_files``."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def sync_files(folder: str | Path) -> None:
    """Wait until everything that was written below a folder is on the disk.

    One call for the whole file system costs about as much as one for a single file, so a thousand
    certificates cost what a few did. Where there is no such call (not Linux), all file systems
    are asked.

    :raises OSError: the disk reports that something could not be written.
    """
    if _syncfs is None:
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


_syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
