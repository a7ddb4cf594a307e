# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instants as the index holds them, in seconds since 1970, and as everybody else does."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache


def from_seconds(seconds: float) -> datetime:
    """Return an instant as timezone-aware UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc)


# Thousands of certificates are issued in the same second.
@lru_cache(maxsize=1024)
def iso_text(seconds: int) -> str:
    """Write an instant as ISO 8601, UTC."""
    return from_seconds(seconds).isoformat()
