# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's private key, which is made on its host and stays there."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import MtlsError
from . import keys
from .certificates import to_pem
from .general_names import general_name
from .library import require_cryptography, x509
from .names import subject
from .requests import build_request


def ensure_request(
    key_path: str,
    common_name: str,
    subject_alternative_names: list[str],
    key_type: str,
    check_mode: bool,
) -> dict[str, Any]:
    """Make the key unless it is there, and a CSR that proves its possession.

    Check mode answers without cryptography while there is no key: the host may be bare.

    :raises MtlsError: the path can't be used, or the key there is of another type.
    """
    path = Path(key_path)
    where = f"key_path {key_path}"
    if not path.is_absolute():
        raise MtlsError(f"{where} must be an absolute path")
    mode = _mode(path, where)
    reasons = []
    if mode is None:
        reasons.append("missing")
    elif mode & 0o077:
        reasons.append(f"mode {mode:04o}")
    result: dict[str, Any] = {
        "changed": bool(reasons),
        "reasons": reasons,
        "key_path": key_path,
        "key_type": key_type,
        "request": None,
        "public_key_sha256": None,
    }
    if mode is None and check_mode:
        return result
    require_cryptography()
    name = subject(common_name, where)
    names = [general_name(text, where) for text in subject_alternative_names]
    extensions = [(x509.SubjectAlternativeName(names), False)] if names else []
    try:
        if mode is None:
            _write_new(path, keys.key_to_pem(keys.generate(key_type)))
        elif reasons and not check_mode:
            path.chmod(0o600)
        key = keys.key_from_pem(path.read_bytes(), where)
    except OSError as error:
        raise MtlsError(f"{where} can't be used: {error.strerror}") from error
    found = keys.key_type_of(key.public_key())
    if found != key_type:
        raise MtlsError(
            f"{where} holds a key of type {found}, not {key_type}: "
            "give the new key another path, then take the old one away"
        )
    result["request"] = to_pem(build_request(key, name, extensions)).decode()
    result["public_key_sha256"] = keys.public_key_fingerprint(key.public_key())
    return result


def _mode(path: Path, where: str) -> int | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MtlsError(f"{where} can't be used: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise MtlsError(f"{where} is not a file")
    return stat.S_IMODE(found.st_mode)


def _write_new(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    candidate = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        # link(2) fails where rename(2) would overwrite a key that another run has just made.
        with suppress(FileExistsError):
            os.link(candidate, path)
    finally:
        candidate.unlink()
