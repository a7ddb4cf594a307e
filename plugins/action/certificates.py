# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""edge.mtls.certificates inside the controller."""

from __future__ import annotations

from ansible_collections.edge.mtls.plugins.modules import certificates
from ansible_collections.edge.mtls.plugins.plugin_utils.in_controller import StoreAction


class ActionModule(StoreAction):
    """Run the module's own code here when the task's host is the control node."""

    module = certificates
