# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's key on its host: made once, closed to others, and never overwritten."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import host_keys, keys
from ansible_collections.edge.mtls.plugins.module_utils.pki.general_names import alternative_names
from ansible_collections.edge.mtls.plugins.module_utils.pki.requests import read_request
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    as_nobody,
    name_of,
    new_key,
    tree,
)
from cryptography.hazmat.primitives import serialization


def ensure(path, *, key_type="P-256", check_mode=False, common_name="app", names=("DNS:app",)):
    return host_keys.ensure_request(str(path), common_name, list(names), key_type, check_mode)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("key_type", ["P-256", "P-384", "P-521", "Ed25519", "RSA-2048"])
def test_a_key_is_made_once_and_requests_are_made_from_it(tmp_path, key_type):
    path = tmp_path / "new/folder/key.pem"
    first = ensure(path, key_type=key_type)
    assert (first["changed"], first["reasons"]) == (True, ["missing"])
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert [each.name for each in path.parent.iterdir()] == ["key.pem"]
    before = tree(tmp_path)
    second = ensure(path, key_type=key_type)
    assert (second["changed"], second["reasons"]) == (False, [])
    assert second["public_key_sha256"] == first["public_key_sha256"]
    assert tree(tmp_path) == before
    request = read_request(second["request"], "server")
    assert request.subject == name_of("app")
    assert alternative_names(request) == ["DNS:app"]
    assert keys.public_key_fingerprint(request.public_key()) == first["public_key_sha256"]
    assert "PRIVATE" not in str(first) + str(second)


def test_the_umask_does_not_open_the_key(tmp_path):
    old_umask = os.umask(0)
    try:
        ensure(tmp_path / "key.pem")
    finally:
        os.umask(old_umask)
    assert mode(tmp_path / "key.pem") == 0o600


@pytest.mark.parametrize("bits", [0o644, 0o640, 0o604, 0o620, 0o666], ids=oct)
def test_a_key_that_others_can_read_or_write_is_closed(tmp_path, bits):
    path = tmp_path / "key.pem"
    made = ensure(path)
    path.chmod(bits)
    for check_mode, after in ((True, bits), (False, 0o600)):
        result = ensure(path, check_mode=check_mode)
        assert (result["changed"], result["reasons"]) == (True, [f"mode {bits:04o}"])
        assert result["public_key_sha256"] == made["public_key_sha256"]
        assert mode(path) == after
    assert ensure(path)["changed"] is False


@pytest.mark.parametrize("bits", [0o400, 0o600, 0o700], ids=oct)
def test_a_key_that_is_closed_enough_keeps_its_mode(tmp_path, bits):
    path = tmp_path / "key.pem"
    ensure(path)
    path.chmod(bits)
    assert ensure(path)["changed"] is False
    assert mode(path) == bits


def test_check_mode_makes_no_key(tmp_path):
    result = ensure(tmp_path / "new/key.pem", check_mode=True)
    assert (result["changed"], result["request"], result["public_key_sha256"]) == (True, None, None)
    assert list(tmp_path.iterdir()) == []


def test_check_mode_makes_a_request_where_there_is_a_key(tmp_path):
    made = ensure(tmp_path / "key.pem")
    before = tree(tmp_path)
    result = ensure(tmp_path / "key.pem", check_mode=True)
    assert result["changed"] is False
    assert result["public_key_sha256"] == made["public_key_sha256"]
    assert tree(tmp_path) == before


def test_a_key_of_another_type_is_never_overwritten(tmp_path):
    ensure(tmp_path / "key.pem")
    before = tree(tmp_path)
    with pytest.raises(MtlsError, match="holds a key of type P-256, not Ed25519: give the new key"):
        ensure(tmp_path / "key.pem", key_type="Ed25519")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(b"", "is not a private key in PEM", id="empty"),
        pytest.param(
            b"a letter to my mother\n", "is not a private key in PEM", id="something else"
        ),
        pytest.param(
            new_key().private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"x"),
            ),
            "is encrypted",
            id="with a passphrase",
        ),
    ],
)
def test_a_file_that_is_no_usable_key_is_left_alone(tmp_path, content, sentence):
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(MtlsError, match=f"key_path {path} {sentence}"):
        ensure(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["folder", "pipe"])
@pytest.mark.parametrize("check_mode", [False, True], ids=["for real", "check mode"])
def test_what_is_no_file_is_left_alone(tmp_path, kind, check_mode):
    path = tmp_path / "key.pem"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    path.chmod(0o755)
    with pytest.raises(MtlsError, match=f"key_path {path} is not a file"):
        ensure(path, check_mode=check_mode)
    assert mode(path) == 0o755


def test_a_key_behind_a_symlink_is_used(tmp_path):
    made = ensure(tmp_path / "real.pem")
    (tmp_path / "key.pem").symlink_to("real.pem")
    assert ensure(tmp_path / "key.pem")["public_key_sha256"] == made["public_key_sha256"]


def test_a_symlink_to_nowhere_is_named(tmp_path):
    (tmp_path / "key.pem").symlink_to("nowhere")
    with pytest.raises(MtlsError, match=r"key\.pem can't be used: No such file"):
        ensure(tmp_path / "key.pem")
    assert [path.name for path in tmp_path.iterdir()] == ["key.pem"]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        pytest.param("key.pem", "must be an absolute path", id="relative"),
        pytest.param("/dev/null/key.pem", "can't be used: Not a directory", id="below a file"),
        pytest.param(f"/{'a' * 300}", "can't be used: File name too long", id="too long"),
    ],
)
def test_a_path_that_cannot_be_is_named(path, sentence):
    with pytest.raises(MtlsError, match=f"key_path {path} {sentence}"):
        ensure(path)


def test_a_folder_that_is_closed_to_the_user_is_named():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        closed = Path(folder) / "closed"
        closed.mkdir(mode=0o700)
        for path in (closed / "key.pem", Path(folder) / "key.pem"):
            said = as_nobody(lambda path=path: ensure(path))
            assert said == f"key_path {path} can't be used: Permission denied"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param({"common_name": "a\nb"}, "must be printable", id="common name"),
        pytest.param({"names": ["app"]}, "the alternative name 'app'", id="SAN"),
        pytest.param({"key_type": "DSA"}, "key_type 'DSA' is not one of", id="key type"),
    ],
)
def test_what_cannot_be_asked_for_makes_no_key(tmp_path, options, sentence):
    with pytest.raises(MtlsError, match=sentence):
        ensure(tmp_path / "key.pem", **options)
    assert list(tmp_path.iterdir()) == []


def test_runs_at_the_same_time_agree_on_one_key(tmp_path):
    path = tmp_path / "key.pem"
    said, children = [], []
    for _ in range(3):
        reader, writer = os.pipe()
        if os.fork() == 0:
            try:
                text = ensure(path)["public_key_sha256"]
            except BaseException as error:  # noqa: BLE001
                text = repr(error)
            os.write(writer, text.encode())
            os._exit(0)
        os.close(writer)
        children.append(reader)
    for reader in children:
        with os.fdopen(reader) as file:
            said.append(file.read())
        os.wait()
    assert len(set(said)) == 1
    assert said[0] == ensure(path)["public_key_sha256"]
    assert [each.name for each in tmp_path.iterdir()] == ["key.pem"]
