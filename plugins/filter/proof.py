# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the proof: what to ask a site, and whether the answers are right."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.edge.mtls.plugins.module_utils.nginx.proof import proof_cases, proof_table


class FilterModule:
    """The filters of the proof."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters."""
        return {"proof_cases": proof_cases, "proof_table": proof_table}
