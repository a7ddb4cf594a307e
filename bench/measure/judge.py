"""Looks at what was issued, so that nobody is timed for doing less than the others."""

from __future__ import annotations

import re
from pathlib import Path

from .environment import BenchError, command
from .names import client_name

SAMPLE = 3
# Without the lines that differ from one certificate to the next.
EXTENSIONS = {
    "X509v3 Basic Constraints: critical": "CA:FALSE",
    "X509v3 Key Usage: critical": "Digital Signature",
    "X509v3 Extended Key Usage:": "TLS Web Client Authentication",
    "X509v3 Subject Key Identifier:": None,
    "X509v3 Authority Key Identifier:": None,
}


def judge(root: Path, pattern: str, count: int) -> None:
    """Check that all files are there, and a sample of the certificates with openssl.

    :param pattern: where files are; ``{name}`` and ``{file}`` stand in it.
    :raises BenchError: something is missing or wrong.
    """
    for number in range(count):
        for file in ("key", "certificate", "fullchain"):
            path = Path(pattern.format(name=client_name(number), file=file))
            _expect(path.is_file() and path.stat().st_size > 0, path, "is missing")
    for number in range(0, count, max(1, count // SAMPLE)):
        name = client_name(number)
        files = [pattern.format(name=name, file=f) for f in ("key", "certificate", "fullchain")]
        _judge_one(root, name, *map(Path, files))


def _judge_one(root: Path, name: str, key: Path, certificate: Path, fullchain: Path) -> None:
    _expect(key.stat().st_mode & 0o077 == 0, key, "may be read by others")
    text = certificate.read_text()
    chain = fullchain.read_text()
    _expect(chain.startswith(text), fullchain, "does not begin with the certificate")
    _expect(chain.count("BEGIN CERTIFICATE") == 2, fullchain, "does not hold the issuer")
    verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient"]
    command([*verify, "-CAfile", root, "-untrusted", fullchain, certificate])
    ours = command(["openssl", "pkey", "-in", key, "-pubout"])
    theirs = command(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"])
    _expect(ours == theirs, key, "is not the key of the certificate")
    shown = command(["openssl", "x509", "-in", certificate, "-noout", "-text"])
    for part in ("ASN1 OID: prime256v1", "ecdsa-with-SHA256", f"Subject: CN = {name}"):
        _expect(part in shown or part in shown.replace("CN=", "CN = "), certificate, f"no {part}")
    found = re.findall(r"^ {12}(X509v3 .*?)\s*\n\s+(.*)", shown, re.MULTILINE)
    _expect({title for title, _value in found} == set(EXTENSIONS), certificate, f"has {found}")
    for title, value in found:
        _expect(EXTENSIONS[title] in (value, None), certificate, f"{title} {value}")


def _expect(holds: bool, path: Path, otherwise: str) -> None:
    if not holds:
        raise BenchError(f"not the same work: {path} {otherwise}")
