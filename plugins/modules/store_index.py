#!/usr/bin/python
# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Add to a store's index what its files hold and it lacks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: store_index
short_description: Add to a store's index what its files hold and it lacks
version_added: 0.1.0
description:
  - Makes the index anew when it was lost, from the certificates and CRLs in the store's folder.
  - Adds what an index lacks that came back from an older backup.
  - What the index knows already stays as it is. A certificate that none of the store's authorities
    signed is an error.
  - Who revoked something and what C(edge.mtls.authority) was told of URLs isn't in the files. The
    next run of that module brings the URLs back. Certificates whose files were removed are not
    found; what of them was revoked stays on the CRLs.
author: [The edge.mtls authors (@edge-mtls)]
extends_documentation_fragment: [edge.mtls.store]
seealso:
  - module: edge.mtls.pki_info
"""

EXAMPLES = r"""
- name: Bring back an index that was lost
  edge.mtls.store_index:
    store_path: /home/me/.local/share/edge-mtls
  delegate_to: localhost
"""

RETURN = r"""
certificates:
  description: The certificates that were added, as C(<profile>/<name>).
  type: list
  elements: str
  returned: success
revocations:
  description: Serial numbers of the revocations that were added, upper-case hex.
  type: list
  elements: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.library import require_cryptography
from ansible_collections.edge.mtls.plugins.module_utils.pki.messages import Say, say_nothing
from ansible_collections.edge.mtls.plugins.module_utils.pki.rebuilding import rebuild_index
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store

ARGUMENT_SPEC: dict[str, Any] = {"store_path": {"type": "path", "required": True}}


def run(params: dict[str, Any], check_mode: bool, say: Say = say_nothing) -> dict[str, Any]:
    """Add to the index what it lacks.

    :param say: takes a message for the user.
    :raises MtlsError: there is no store, or one of its files is damaged or a stranger's.
    """
    require_cryptography()
    result = rebuild_index(Store(params["store_path"], say), check_mode)
    added = [*result["certificates"], *(f"revocation {each}" for each in result["revocations"])]
    if added:
        result["diff"] = {"before": "", "after": "".join(f"{each}\n" for each in added)}
    return result


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        result = run(module.params, module.check_mode)
    except MtlsError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
