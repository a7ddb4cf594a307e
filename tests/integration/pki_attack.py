# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the attacks on a store share: calls of the modules, processes of their own, the audit."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import tempfile
import time
import traceback
import zipfile
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path

from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    certificate_fingerprint,
    to_pem,
    utc_now,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import key_to_pem
from ansible_collections.edge.mtls.plugins.modules import (
    authority,
    certificates,
    pki_info,
    revocations,
    store_index,
)
from ansible_collections.edge.mtls.tests.integration.pki_world import complete
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

PASSPHRASES = ["a first passphrase", "a second passphrase"]
PACK_PASSPHRASE = "chosen by the user"
# What everybody may read.
PUBLIC = re.compile(r"(certificate|fullchain|cross)\.pem|(trust|crls)/.*|\.gitignore")


def call(module, check_mode=False, say=None, **options):
    """Run a module's code with these options, completed and checked by Ansible as in a play."""
    said = [] if say is None else [say]
    return module.run(complete(module, options), check_mode, *said)


class Pki:
    """A store, and short ways to call each module on it."""

    def __init__(self, path: Path, passphrase: str = PASSPHRASES[0]) -> None:
        self.path = path
        # of the authority "services"; every other key is unencrypted
        self.passphrase = passphrase

    def authority(self, name="root", check_mode=False, **options):
        if name == "services":
            passphrases = {"key_passphrase": self.passphrase}
            passphrases["previous_key_passphrase"] = PASSPHRASES[self.passphrase == PASSPHRASES[0]]
            urls = {"crl_urls": ["http://pki.example/services.crl"]}
            options = {"issuer": "root", "path_length": 0, **passphrases, **urls, **options}
        if "certificate_path" not in options:
            options = {"common_name": f"{name} CA", **options}
        return call(authority, check_mode, store_path=str(self.path), name=name, **options)

    def certificates(self, *entries, check_mode=False, say=None, **options):
        options = {"key_passphrases": {"services": self.passphrase}, **options}
        given = {"store_path": str(self.path), "certificates": list(entries), **options}
        return call(certificates, check_mode, say, **given)

    def clients(self, names, turn=0, check_mode=False, pack_passphrases=None, **options):
        """Keep clients; another ``turn`` is another common name, so that each is issued anew."""
        options = {"issuer": "root", "packs": ["pkcs12"], **options}
        entries = [{"name": name, "common_name": f"{name} {turn}", **options} for name in names]
        given = {"pack_passphrases": pack_passphrases or {}, "check_mode": check_mode}
        return self.certificates(*entries, **given)

    def revocations(self, *entries, check_mode=False):
        options = {"certificates": list(entries), "key_passphrases": {"services": self.passphrase}}
        return call(revocations, check_mode, store_path=str(self.path), **options)

    def rebuild(self, check_mode=False):
        return call(store_index, check_mode, store_path=str(self.path))

    def info(self, **filters):
        return call(pki_info, store_path=str(self.path), **filters)

    def current(self, name, file="certificate.pem", kind="clients"):
        return self.path / kind / name / file


class Elsewhere:
    """A root of somebody else's, in files that can be adopted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.certificate_path, self.key_path = folder / "root.pem", folder / "root-key.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "corporate CA")])
        self.key_path.write_bytes(key_to_pem(self._key))
        self.renew()

    def renew(self) -> None:
        """Write another certificate of the same key."""
        self._sign(self._name, self._key.public_key(), self.certificate_path)

    def sign(self, request_path: Path) -> Path:
        """Sign an authority's request; return the certificate's path."""
        request = x509.load_pem_x509_csr(request_path.read_bytes())
        path = self.folder / f"{hashlib.sha256(request_path.read_bytes()).hexdigest()[:16]}.pem"
        self._sign(request.subject, request.public_key(), path)
        return path

    def _sign(self, name, public_key, path: Path) -> None:
        now = utc_now()
        builder = (
            x509.CertificateBuilder(self._name, name, public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1000))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        )
        # Whole or not at all, because this may be killed, too.
        path.with_suffix(".new").write_bytes(to_pem(builder.sign(self._key, hashes.SHA256())))
        path.with_suffix(".new").rename(path)


# The audit


def audit(store: Path, may_lack_index: bool = False, is_settled: bool = False) -> int:
    """Check all that must hold at any instant; return how many certificates the index knows.

    :param is_settled: no run was killed or failed since the last one that came to its end.
    """
    index = store / "index.sqlite3"
    if index.exists():
        known, crls = _read_index(index)
    elif may_lack_index:
        known, crls = None, None
    else:
        left = {path.name for path in store.iterdir()} if store.exists() else set()
        assert left <= {".lock", ".gitignore", "staging"}
        return 0
    for folder, folders, files in os.walk(store):
        where = folder[len(str(store)) + 1 :]
        if not where and "staging" in folders:
            folders.remove("staging")
        for name in folders:
            assert os.path.isdir(f"{folder}/{name}"), f"{folder}/{name} leads nowhere"
        for name in files:
            _audit_file(f"{folder}/{name}", f"{where}/{name}", known, crls)
        if where.startswith("generations/") and where.count("/") == 3:
            _audit_issue(Path(folder), set(files), is_settled)
        if where.startswith("pending/"):
            _audit_pending(Path(folder))
    return len(known or ())


def _audit_file(path: str, where: str, known: set[str] | None, crls: set[str] | None) -> None:
    name = os.path.basename(where)
    if not PUBLIC.fullmatch(name) and not PUBLIC.fullmatch(where):
        assert os.stat(path).st_mode & 0o077 == 0, f"{path} can be read by others"
    if name.endswith(".crl"):
        crl = x509.load_der_x509_crl(Path(path).read_bytes())
        assert crls is None or crl.fingerprint(hashes.SHA256()).hex() in crls, path
    elif where.startswith("crls/"):
        store = path[: -len(where)]
        found = {_crl_in(block, store) for block in _blocks(path, "X509 CRL")}
        assert crls is None or found <= crls, f"{path} is not in the index"
    elif name.endswith(".pem") and name not in ("key.pem", "request.pem"):
        found = {_fingerprint(block) for block in _blocks(path, "CERTIFICATE")}
        assert known is None or found <= known, f"{path} is not in the index"


def _read_index(index: Path) -> tuple[set[str], set[str]]:
    """Return the fingerprints of all certificates and of all CRLs."""
    with closing(sqlite3.connect(index)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not connection.execute("PRAGMA user_version").fetchone()[0]:
            return set(), set()
        rows = connection.execute("SELECT issuer_key, serial_number, der FROM certificate")
        found = [(key, serial, _fingerprint(der)) for key, serial, der in rows]
        serials = [(key, serial) for key, serial, _fingerprint_sha256 in found]
        assert len(set(serials)) == len(serials), "a serial number was given out twice"
        numbers = connection.execute("SELECT issuer_key, crl_number, fingerprint_sha256 FROM crl")
        return {each[-1] for each in found}, {each[-1] for each in numbers}


def _audit_issue(folder: Path, files: set[str], is_settled: bool) -> None:
    assert files >= {"certificate.pem", "fullchain.pem"}, f"{folder} is half an issue"
    text = (folder / "certificate.pem").read_bytes()
    assert (folder / "fullchain.pem").read_bytes().startswith(text)
    if "key.pem" in files:
        is_same = _public_key_of((folder / "key.pem").read_bytes()) == _public_key_in(text)
        assert is_same, f"{folder}: the key is another's"
    name = folder.parent.name
    made = folder / f"{name}.p12.passphrase"
    packs = [(folder / file).read_bytes() for file in files if file.endswith(".p12")]
    if made.exists():
        assert all(_opens(pack, made.read_text().strip()) for pack in packs), folder
    elif is_settled:
        if f"{name}.zip" in files:
            with zipfile.ZipFile(folder / f"{name}.zip") as archive:
                packs.append(archive.read(f"{name}/{name}.p12"))
        assert all(_opens(pack, PACK_PASSPHRASE) for pack in packs), folder


def _audit_pending(folder: Path) -> None:
    request = x509.load_pem_x509_csr((folder / "request.pem").read_bytes())
    key = _public_key_of((folder / "key.pem").read_bytes())
    assert _public_bytes(request.public_key()) == key


def _blocks(path: str, label: str) -> list[bytes]:
    """Split a PEM file, which must be whole."""
    text, end = Path(path).read_bytes(), f"-----END {label}-----\n".encode()
    assert not text or text.endswith(end), f"{path} is half-written"
    return [block + end for block in text.split(end)[:-1]]


# Most files stay as they are from one audit to the next.


@cache
def _fingerprint(text: bytes) -> str:
    is_pem = text.startswith(b"-----")
    load = x509.load_pem_x509_certificate if is_pem else x509.load_der_x509_certificate
    return certificate_fingerprint(load(text))


@cache
def _public_key_in(text: bytes) -> bytes:
    return _public_bytes(x509.load_pem_x509_certificate(text).public_key())


@cache
def _public_key_of(text: bytes) -> bytes:
    for passphrase in PASSPHRASES if b"ENCRYPTED" in text else [None]:
        try:
            key = serialization.load_pem_private_key(text, passphrase and passphrase.encode())
        except ValueError:
            continue
        return _public_bytes(key.public_key())
    raise AssertionError("a key can't be opened")


def _public_bytes(key) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@cache
def _opens(pack: bytes, passphrase: str) -> bool:
    try:
        pkcs12.load_pkcs12(pack, passphrase.encode())
    except ValueError:
        return False
    return True


@cache
def _crl_in(text: bytes, store: str) -> str:
    crl = x509.load_pem_x509_crl(text)
    signers = [
        x509.load_pem_x509_certificate(path.read_bytes())
        for path in Path(store).glob("generations/authorities/*/*/certificate.pem")
    ]
    keys = [each.public_key() for each in signers if each.subject == crl.issuer]
    assert any(map(crl.is_signature_valid, keys)), "a CRL's signature is wrong"
    return crl.fingerprint(hashes.SHA256()).hex()


def assert_settled(store: Path) -> None:
    """See that nothing of a run is left."""
    audit(store, is_settled=True)
    assert not (store / "staging").exists()
    for waiting in store.glob("pending/*"):
        assert not (store / "authorities" / waiting.name).exists(), f"{waiting} is left"
    assert (store / ".gitignore").read_text().endswith("\n*\n")


# Processes


def child(function, *arguments):
    """Run a function in a process of its own; return its id and where its result is read."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reader)
        try:
            said = json.dumps([function(*arguments), None])
        except BaseException:  # noqa: BLE001
            said = json.dumps([None, traceback.format_exc()])
        with os.fdopen(writer, "w") as file:
            file.write(said)
        os._exit(0)
    os.close(writer)
    return process, reader


def said_by(process, reader):
    """Return a process's result, or None when it was killed before."""
    with os.fdopen(reader) as file:
        said = file.read()
    os.waitpid(process, 0)
    result, broke = json.loads(said) if said else (None, None)
    assert broke is None, broke
    return result


def at_once(functions):
    """Start all functions at the same instant, each in its process; return their results."""
    start = time.monotonic() + 0.1

    def wait_and_run(function):
        time.sleep(max(0, start - time.monotonic()))
        return function()

    return [said_by(*each) for each in [child(wait_and_run, function) for function in functions]]


def kill_after(seconds, function, *arguments, is_ready=lambda: True):
    """Run a function in a process that is killed so long after it got ready."""
    process, reader = child(function, *arguments)
    has_ended = (os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    while not is_ready() and os.waitid(*has_ended) is None:
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    assert said_by(process, reader) is None, "it ended before it was killed"


@contextmanager
def memory_folder():
    """Make a folder in memory, where writing takes next to no time; kills hit more of the work."""
    memory = Path("/dev/shm")
    parent = memory if os.access(memory, os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="edge-mtls-", dir=parent)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder)
