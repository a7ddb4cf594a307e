# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the PKI share: a store with some of everything, and programs to ask."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import KEY_TYPES
from ansible_collections.edge.mtls.plugins.modules import authority, certificates

SAN = ["DNS:app.example.com", "IP:192.0.2.1", "IP:2001:db8::1"]


def say(*words: object, **options: object) -> str:
    """Run a program, which must succeed, and return all that it prints."""
    done = subprocess.run(
        [str(word) for word in words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
        **options,
    )
    assert done.returncode == 0, f"{words[0]} ended with {done.returncode}: {done.stdout}"
    return done.stdout


class World:
    """One store with a root, an authority below it, and leaves of every key type.

    Made once where the path is the same, because an RSA key of 8192 bits takes seconds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keep_authority("root", common_name="Example Root CA")
        self.keep_authority("services", common_name="Services CA", issuer="root", path_length=0)
        self.keep_authority("other", common_name="Other Root CA")
        clients = [
            self.entry(key_type.lower(), key_type=key_type, issuer="services", pkcs12=True)
            for key_type in KEY_TYPES
        ]
        self.keep(
            *clients,
            self.entry("direct", pkcs12=True),
            self.entry("stranger", issuer="other"),
            self.entry("own", issuer="self", pkcs12=True),
            self.entry("own-ed25519", issuer="self", key_type="Ed25519"),
            self.entry("own-rsa", issuer="self", key_type="RSA-2048", valid_days=10000),
            self.server("app", issuer="services"),
            self.server("own", issuer="self"),
            self.server("app-rsa", key_type="RSA-2048"),
        )

    def keep_authority(self, name, *, common_name, issuer=None, path_length=None, key_type="P-256"):
        authority.run(
            {
                "store_path": str(self.path),
                "name": name,
                "common_name": common_name,
                "issuer": issuer,
                "key_type": key_type,
                "valid_days": 3650,
                "path_length": path_length,
            },
            False,
        )

    def entry(self, name, **options):
        return {
            "name": name,
            "profile": "client",
            "state": "present",
            "issuer": "root",
            "common_name": None,
            "subject_alternative_names": [],
            "key_type": "P-256",
            "valid_days": 365,
            "renew_before_days": 30,
            "request": None,
            "pkcs12": False,
            **options,
        }

    def server(self, name, **options):
        names = {"profile": "server", "subject_alternative_names": SAN}
        return self.entry(name, **{**names, "common_name": "app.example.com", **options})

    def keep(self, *entries):
        return certificates.run({"store_path": str(self.path), "certificates": entries}, False)

    def authority(self, name, file="certificate.pem"):
        return self.path / "authorities" / name / file

    def client(self, name, file="certificate.pem"):
        return self.path / "clients" / name / file

    def leaf(self, folder, file="certificate.pem"):
        """Return a file of, say, clients/client1."""
        return self.path / folder / file
