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

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import issuing, keys
from ansible_collections.edge.mtls.plugins.module_utils.pki.extensions import Pointers
from ansible_collections.edge.mtls.plugins.module_utils.pki.keeping import ensure_authority
from ansible_collections.edge.mtls.plugins.module_utils.pki.profiles import read_profiles
from ansible_collections.edge.mtls.plugins.module_utils.pki.revocations import (
    WantedRevocation,
    ensure_revocations,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.plugins.module_utils.pki.wanted_authority import WantedAuthority
from ansible_collections.edge.mtls.plugins.module_utils.pki.wanted_certificate import (
    WantedCertificate,
    read_wanted,
)
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
    return ensure_authority(store, wanted_authority(name, **options), now, check_mode)


def wanted_authority(name: str = "root", **options: Any) -> WantedAuthority:
    if "certificate_path" not in options:
        options = {"common_name": f"{name} CA", **options}
    pointers = Pointers(**{url: options.pop(url, ()) for url in vars(Pointers())})
    return WantedAuthority(name, pointers=pointers, **options)


def wanted(name: str = "client1", **options: Any) -> WantedCertificate:
    """Return a checked certificate; ``profiles`` and ``pack_passphrase`` belong to no entry."""
    profiles = read_profiles(options.pop("profiles", []))
    passphrase = options.pop("pack_passphrase", None)
    passphrases = {} if passphrase is None else {name: passphrase}
    [found] = read_wanted([{"issuer": "root", **options, "name": name}], profiles, passphrases)
    return found


def keep(
    store: Store,
    *entries: WantedCertificate,
    now: datetime = NOW,
    check_mode: bool = False,
    unwanted: Sequence[tuple[str, str]] = (),
    key_passphrases: dict[str, str] | None = None,
) -> dict[str, Any]:
    return issuing.ensure_certificates(
        store, list(entries), now, check_mode, unwanted, key_passphrases
    )


def revoke(store: Store, *entries: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Keep revocations, each given by its options, and the CRLs."""
    return ensure_revocations(
        store,
        [WantedRevocation(**entry) for entry in entries],
        options.get("valid_days", 30),
        options.get("key_passphrases", {}),
        options.get("by", "ada"),
        options.get("now", NOW),
        options.get("check_mode", False),
    )


def none_of_the_set(store: Store, sentence: str, *entries: WantedCertificate) -> None:
    """Make sure that an entry that can't be met keeps a good one from being issued."""
    before = kept(store)
    with pytest.raises(MtlsError, match=sentence):
        keep(store, wanted("good"), *entries)
    assert kept(store) == before


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


def extended_key_usages(found: x509.Certificate) -> list[str]:
    """Name the extended key usages of a certificate by their OIDs."""
    return [usage.dotted_string for usage in extension(found, x509.ExtendedKeyUsage).value]


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


def file(store: Store, name: str, profile: str = "client", entry: str = "client1") -> Path:
    return store.folder(profile, entry) / name


def files_match(store: Store, entry: str = "client1", profile: str = "client") -> bool:
    """Compare the current key with the current certificate."""
    found = certificate(file(store, "certificate.pem", profile, entry))
    text = file(store, "key.pem", profile, entry).read_bytes()
    return same_key(keys.key_from_pem(text, "key"), found)


def rows(store: Store, columns: str) -> list[Any]:
    connection = sqlite3.connect(store.path / "index.sqlite3")
    try:
        return connection.execute(f"SELECT {columns} FROM certificate ORDER BY rowid").fetchall()
    finally:
        connection.close()


def kept(store: Store) -> dict[str, Any]:
    """Describe a store but for the lock, which a run takes before it finds out the last things."""
    lock = {str(store.path), str(store.path / ".lock")}
    return {path: found for path, found in tree(store.path).items() if path not in lock}


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
