# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages for the user while work goes on."""

from __future__ import annotations

from typing import Callable

Say = Callable[[str], None]


def say_nothing(_text: str) -> None:
    """Take a message where there is nobody to show it to."""
