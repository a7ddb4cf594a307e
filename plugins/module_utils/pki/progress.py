# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far long work is."""

from __future__ import annotations

import time

from .messages import Say

# Short work says nothing.
SECONDS_BETWEEN = 5


class Progress:
    """Counts what is done and says so every few seconds, with rate and time left.

    :param say: takes a line such as ``1,200/10,000 issued, 850/s, 10 s left``.
    """

    def __init__(self, total: int, verb: str, say: Say) -> None:
        self._total, self._verb, self._say = total, verb, say
        self._done = 0
        self._started = self._said = time.monotonic()

    def advance(self) -> None:
        """Count one more."""
        self._done += 1
        now = time.monotonic()
        if now - self._said < SECONDS_BETWEEN:
            return
        self._said = now
        rate = self._done / (now - self._started)
        left = (self._total - self._done) / rate
        self._say(
            f"{self._done:,}/{self._total:,} {self._verb}, {rate:,.{0 if rate >= 10 else 1}f}/s, "
            f"{_duration(left)} left"
        )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
