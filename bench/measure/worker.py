"""What is measured inside a Python process of its own: one job, JSON in and JSON out.

Only what the job is about lies between the two looks at the clock; starting Python and
importing does not.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import resource
import sqlite3
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .names import client_name

PEM = serialization.Encoding.PEM
DIGITAL_SIGNATURE, CERTIFICATE_SIGNATURE = 0, 5  # places in KeyUsage's arguments


def main() -> None:
    """Do the job that is asked for on standard input."""
    request = json.load(sys.stdin)
    json.dump(JOBS[request.pop("job")](**request), sys.stdout)


def module(
    name: str,
    params: dict[str, Any],
    copies: int = 0,
    one_core: bool = False,
) -> dict[str, Any]:
    """Call a module's own code.

    :param copies: make this many clients of the one certificate that ``params`` hold.
    :param one_core: use one core only.
    """
    if one_core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    code = importlib.import_module(f"ansible_collections.edge.mtls.plugins.modules.{name}")
    checked = ArgumentSpecValidator(code.ARGUMENT_SPEC).validate(params)
    if checked.error_messages:
        sys.exit("; ".join(checked.error_messages))
    options = checked.validated_parameters
    if copies:
        [entry] = options["certificates"]
        options["certificates"] = [{**entry, "name": client_name(n)} for n in range(copies)]
    started = perf_counter()
    result = code.run(options, False)
    seconds = perf_counter() - started
    told = {"changed": result["changed"], "certificates": len(result.get("certificates", ()))}
    return {"seconds": seconds, "peak_mb": peak_mb(), **told}


def peak_mb() -> float:
    """Return the most memory that this process or one that it started ever held, in MB."""
    # Its own ru_maxrss would begin with what the process held that has started this one.
    [own] = re.findall(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text())
    others = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(int(own), others) * 1024 / 1e6


def authority(folder: str) -> dict[str, Any]:
    """Make the root and the issuer below it that all but this collection sign with."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _level in range(2)]
    root = signed("Bench Root CA", keys[0], None, keys[0], for_authority=True)
    issuer = signed("Bench Issuing CA", keys[1], root, keys[0], for_authority=True)
    Path(folder, "root.pem").write_bytes(root.public_bytes(PEM))
    Path(folder, "issuer.pem").write_bytes(issuer.public_bytes(PEM))
    Path(folder, "issuer.key.pem").write_bytes(pem_of(keys[1]))
    return {}


def floor(folder: str, authority: str, count: int, sync_once: bool) -> dict[str, Any]:
    """Issue in a bare loop: the least that can be done and still be all that was asked for.

    :param sync_once: wait for the disk once for all, not for every file.
    """
    issuer = x509.load_pem_x509_certificate(Path(authority, "issuer.pem").read_bytes())
    pem = Path(authority, "issuer.key.pem").read_bytes()
    issuer_key: Any = serialization.load_pem_private_key(pem, None)
    chain = issuer.public_bytes(PEM)
    rows = []
    target = Path(folder)
    started = perf_counter()
    target.mkdir()
    for number in range(count):
        name = client_name(number)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = signed(name, key, issuer, issuer_key)
        text = certificate.public_bytes(PEM)
        write_file(target / f"{name}.key.pem", pem_of(key), 0o600, not sync_once)
        write_file(target / f"{name}.certificate.pem", text, 0o644, not sync_once)
        write_file(target / f"{name}.fullchain.pem", text + chain, 0o644, not sync_once)
        if not sync_once:
            sync_folder(target)
        der = certificate.public_bytes(serialization.Encoding.DER)
        rows.append((f"{certificate.serial_number:X}", name, der))
    if sync_once:
        os.sync()
    write_index(target / "index.sqlite3", rows)
    sync_folder(target)
    return {"seconds": perf_counter() - started, "peak_mb": peak_mb()}


def signed(
    common_name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    for_authority: bool = False,
) -> x509.Certificate:
    """Build and sign a certificate with the extensions that the collection gives its own."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    usage = [False] * 9
    usage[CERTIFICATE_SIGNATURE if for_authority else DIGITAL_SIGNATURE] = True
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False
        )
        .add_extension(x509.BasicConstraints(for_authority, None), True)
        .add_extension(x509.KeyUsage(*usage), True)
    )
    if not for_authority:
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(usages, False)
    return builder.sign(issuer_key, hashes.SHA256())


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Write a private key as PEM, unencrypted."""
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(PEM, form, serialization.NoEncryption())


def write_file(path: Path, content: bytes, mode: int, durably: bool) -> None:
    """Write a new file, and wait until it is on the disk if it must be."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.write(descriptor, content)
        if durably:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_index(path: Path, rows: list[tuple[str, str, bytes]]) -> None:
    """Write an index of all certificates in one transaction."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE issued (serial TEXT PRIMARY KEY, name TEXT, der BLOB)")
        with connection:
            connection.executemany("INSERT INTO issued VALUES (?, ?, ?)", rows)
    finally:
        connection.close()


JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    "module": module,
    "authority": authority,
    "floor": floor,
}

if __name__ == "__main__":
    main()
