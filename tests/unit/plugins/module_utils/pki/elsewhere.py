# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An authority that somebody else runs, for the tests of adopting one."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.edge.mtls.plugins.module_utils.pki import keys
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    Extent,
    Signer,
    build_certificate,
    to_pem,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.extensions import (
    authority_extensions,
)
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    name_of,
    new_key,
)
from cryptography import x509

CA = authority_extensions(None, [], [], [], "")


class Elsewhere:
    """An authority that somebody runs without us: files with its certificate and key."""

    def __init__(self, folder, name="corporate", parent=None, key=None):
        self.key, self.parent, self._name = key or new_key(), parent, name
        folder.mkdir(exist_ok=True)
        self.certificate_path = folder / f"{name}.pem"
        self.key_path = folder / f"{name}.key"
        self.key_path.write_bytes(keys.key_to_pem(self.key))
        self.renew()

    def renew(self, days=1000, extensions=CA, key=None, common_name=None, start=-DAY):
        signer = Signer(self.parent.key, self.parent.certificate) if self.parent else None
        key = key or self.key
        self.certificate = build_certificate(
            name_of(common_name or f"{self._name} CA"),
            key.public_key(),
            signer or Signer(key),
            Extent(NOW + start, NOW + days * DAY),
            extensions,
        )
        self.certificate_path.write_bytes(to_pem(self.certificate))

    def sign(self, request_path, path, **options):
        """Sign a request as an offline root would, with what it asks for."""
        request = x509.load_pem_x509_csr(Path(request_path).read_bytes())
        asked = [(each.value, each.critical) for each in request.extensions]
        found = build_certificate(
            options.get("subject", request.subject),
            options.get("public_key", request.public_key()),
            Signer(self.key, self.certificate),
            Extent(NOW - DAY, NOW + 500 * DAY),
            options.get("extensions", asked),
        )
        path.write_bytes(to_pem(found))
        return found

    def with_key(self):
        return {**self.alone(), "key_path": str(self.key_path)}

    def alone(self):
        return {"certificate_path": str(self.certificate_path)}
