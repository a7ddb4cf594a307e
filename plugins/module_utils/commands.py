# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other programs, whose words are read."""

from __future__ import annotations

import os
import subprocess


def run_command(*command: str, timeout_seconds: int) -> subprocess.CompletedProcess[str]:
    """Run a program that says in English how it went, and never asks anything.

    :raises OSError: it can't be started.
    :raises subprocess.SubprocessError: it took too long.
    """
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_seconds,
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )
