# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that tell how large nginx's hash tables must be."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.edge.mtls.plugins.module_utils.nginx.access import map_bucket_size
from ansible_collections.edge.mtls.plugins.module_utils.nginx.sites import server_names_bucket_size


class FilterModule:
    """The filters of nginx's hash tables."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters."""
        return {
            "map_bucket_size": map_bucket_size,
            "server_names_bucket_size": server_names_bucket_size,
        }
