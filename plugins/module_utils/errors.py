# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked for and can't be done."""

from __future__ import annotations


class MtlsError(Exception):
    """Says in one text what is wrong: the variable or option, the entry, what would be right."""
