# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the PKI share: a fixed instant, short calls, and a look at the whole disk."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import authorities, issuing, keys
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime(2027, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
NOBODY = 65534


def keep_authority(store: Store, name: str = "root", **options: Any) -> dict[str, Any]:
    now, check_mode = options.pop("now", NOW), options.pop("check_mode", False)
    defaults = {"common_name": f"{name} CA", "issuer": None, "key_type": "P-256"}
    defaults |= {"valid_days": 3650, "path_length": None}
    wanted = authorities.WantedAuthority(name, **{**defaults, **options})
    return authorities.ensure_authority(store, wanted, now, check_mode)


def wanted(name: str = "client1", **options: Any) -> issuing.WantedCertificate:
    defaults = {"profile": "client", "issuer": "root", "common_name": name, "key_type": "P-256"}
    defaults |= {"subject_alternative_names": [], "valid_days": 365, "renew_before_days": 30}
    return issuing.WantedCertificate(name, **{**defaults, **options})


def keep(
    store: Store,
    *entries: issuing.WantedCertificate,
    now: datetime = NOW,
    check_mode: bool = False,
    unwanted: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    return issuing.ensure_certificates(store, list(entries), now, check_mode, unwanted)


def outcome(result: dict[str, Any]) -> tuple[str, list[str]]:
    """Return action and reasons of the only certificate in a result."""
    [described] = result["certificates"].values()
    return described["action"], described["reasons"]


def certificate(path_or_pem: str | Path) -> x509.Certificate:
    text = path_or_pem.read_bytes() if isinstance(path_or_pem, Path) else path_or_pem.encode()
    return x509.load_pem_x509_certificate(text)


def chain_subjects(text: str) -> list[str]:
    """Name the subject of each certificate of a PEM file, in order."""
    end = "-----END CERTIFICATE-----\n"
    blocks = [block + end for block in text.split(end) if block]
    return [certificate(block).subject.rfc4514_string() for block in blocks]


def extension(found: x509.Certificate, kind: type) -> x509.Extension[Any]:
    return found.extensions.get_extension_for_class(kind)


def name_of(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def request_for(key: Any, common_name: str = "host", *extensions: Any) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name_of(common_name))
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def same_key(*holders: Any) -> bool:
    """Compare the public keys of private keys and certificates."""
    return len({keys.public_key_fingerprint(each.public_key()) for each in holders}) == 1


def rows(store: Store, columns: str) -> list[Any]:
    connection = sqlite3.connect(store.path / "index.sqlite3")
    try:
        return connection.execute(f"SELECT {columns} FROM certificate ORDER BY rowid").fetchall()
    finally:
        connection.close()


def tree(folder: Path) -> dict[str, Any]:
    """Describe everything below a folder, to compare before with after."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        content: Any = None
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        found[str(path)] = (oct(status.st_mode), status.st_ino, status.st_mtime_ns, content)
    return found


def as_nobody(function) -> str:
    """Run a function as a user without rights, and return the text of its MtlsError."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said = "it did not fail"
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            function()
        except MtlsError as error:
            said = str(error)
        except BaseException as error:  # noqa: BLE001
            said = repr(error)
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


# A managed host without cryptography, on which check mode must still give a plan.
BARE_HOST = """
import importlib, json, sys
sys.modules["cryptography"] = None
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([sys.argv[1]])
plugins = "ansible_collections.edge.mtls.plugins."
errors = importlib.import_module(plugins + "module_utils.errors")
module = importlib.import_module(plugins + "modules." + sys.argv[2])
results = []
for check_mode in (True, False):
    try:
        results.append(module.run(json.loads(sys.argv[3]), check_mode))
    except errors.MtlsError as error:
        results.append(str(error))
print(json.dumps(results))
"""
# This file is tests/unit/plugins/module_utils/pki/shared.py.
COLLECTIONS = Path(__file__).resolve().parents[5] / "collections"


def on_a_bare_host(module: str, params: dict[str, Any]) -> Any:
    """Return what a module says in check mode, and for real, where cryptography is missing."""
    words = [sys.executable, "-c", BARE_HOST, str(COLLECTIONS), module, json.dumps(params)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)
