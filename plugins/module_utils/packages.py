# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell whether a configuration file still is as its package brought it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from .commands import run_command


def is_as_packaged(path: str) -> bool:
    """Ask dpkg, rpm or pacman whether nobody has changed a configuration file since.

    A link counts as the file that it leads to. What no package brought, or what can't be found
    out, counts as changed, so that it is left alone.
    """
    target = os.path.realpath(path)
    if not os.path.isfile(target):
        return False
    if shutil.which("dpkg-query"):
        return _as_dpkg_knows_it(target)
    if shutil.which("rpm"):
        return _as_rpm_knows_it(target)
    if shutil.which("pacman"):
        return _as_pacman_knows_it(target)
    return False


def _as_dpkg_knows_it(path: str) -> bool:
    owner = _output("dpkg-query", "--search", path).partition(": ")[0]
    if not owner or "," in owner:
        return False
    listed = _output("dpkg-query", "--show", "--showformat", "${Conffiles}\n", owner)
    # MD5 is what dpkg keeps of each configuration file.
    digest = hashlib.md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest()
    return f" {path} {digest}\n" in f"{listed}\n"


def _as_rpm_knows_it(path: str) -> bool:
    package = _output("rpm", "--query", "--file", "--queryformat", "%{NAME}\n", path).strip()
    if not package or " " in package:
        return False
    # One line for each file that differs: nine signs, a "c" for configuration, the path. A "5"
    # among the signs means that the content differs; size and time alone don't count.
    for line in _output("rpm", "--verify", package).splitlines():
        if line.endswith(f" {path}"):
            return line[:9].strip() != "missing" and "5" not in line[:9]
    return True


def _as_pacman_knows_it(path: str) -> bool:
    owner = _output("pacman", "--query", "--owns", "--quiet", path).strip()
    listed = _output("pacman", "--query", "--info", "--info", owner) if owner else ""
    return re.search(rf"{re.escape(path)}\s+\[?unmodified\]?", listed, re.IGNORECASE) is not None


def _output(*command: str) -> str:
    """Return what a command prints, or nothing when it fails."""
    try:
        done = run_command(*command, timeout_seconds=60)
    except (OSError, subprocess.SubprocessError):
        return ""
    # rpm --verify tells by its status that something differs.
    return done.stdout if done.returncode == 0 or "--verify" in command else ""
