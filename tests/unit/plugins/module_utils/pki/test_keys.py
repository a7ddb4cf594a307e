# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private keys: every type is made, written, read and recognised."""

from __future__ import annotations

import re

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import keys
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import (
    ALL_KEY_TYPES,
    POST_QUANTUM_KEY_TYPES,
    check_key_type,
    generate,
    is_encrypted,
    is_post_quantum,
    key_from_pem,
    key_to_pem,
    key_type_of,
    public_key_fingerprint,
)
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import new_key
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448


# The larger RSA keys take seconds; the integration tests make one.
@pytest.mark.parametrize("key_type", ["P-256", "P-384", "P-521", "Ed25519", "RSA-2048", "RSA-3072"])
def test_a_key_is_of_the_type_that_was_asked_for_and_reads_back(key_type):
    key = generate(key_type)
    text = key_to_pem(key)
    assert text.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    again = key_from_pem(text, "key.pem")
    assert key_type_of(again.public_key()) == key_type
    assert public_key_fingerprint(again.public_key()) == public_key_fingerprint(key.public_key())
    assert re.fullmatch("[0-9a-f]{64}", public_key_fingerprint(key.public_key()))


@pytest.mark.parametrize("key_type", ["RSA-1024", "RSA-9999999", "DSA", "p-256", "", "P-192"])
def test_no_other_type_is_made(key_type):
    with pytest.raises(MtlsError, match=f"key_type '{key_type}' is not one of P-256, "):
        generate(key_type)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param(ec.generate_private_key(ec.SECP256K1()), "secp256k1", id="other curve"),
        pytest.param(ed448.Ed448PrivateKey.generate(), "Ed448PublicKey", id="Ed448"),
        pytest.param(dsa.generate_private_key(1024), "DSAPublicKey", id="DSA"),
    ],
)
def test_a_strange_key_is_named_and_not_taken_for_one_of_ours(key, expected):
    assert key_type_of(key.public_key()).lstrip("_") == expected


def test_a_key_with_a_passphrase_is_refused():
    text = new_key().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    with pytest.raises(MtlsError, match=r"key\.pem is encrypted") as error:
        key_from_pem(text, "key.pem")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "text", [pytest.param(b"", id="empty"), pytest.param(key_to_pem(new_key())[:-60], id="cut off")]
)
def test_what_is_no_key_is_named_and_not_shown(text):
    with pytest.raises(MtlsError) as error:
        key_from_pem(text, "key.pem")
    assert str(error.value) == "key.pem is not a private key in PEM"


# ML-DSA (FIPS 204), which cryptography makes from version 49 on.

needs_mldsa = pytest.mark.skipif(keys.mldsa is None, reason="this cryptography is older than 49")


@needs_mldsa
@pytest.mark.parametrize("key_type", POST_QUANTUM_KEY_TYPES)
def test_a_post_quantum_key_is_made_written_and_recognised(key_type):
    key = generate(key_type)
    assert key_type_of(key.public_key()) == key_type
    assert is_post_quantum(key.public_key())
    for passphrase in (None, "nobody reads this"):
        again = key_from_pem(key_to_pem(key, passphrase), "key.pem", passphrase)
        assert public_key_fingerprint(again.public_key()) == public_key_fingerprint(
            key.public_key()
        )


@pytest.mark.parametrize("key_type", ["P-256", "Ed25519", "RSA-2048"])
def test_the_other_keys_are_not_post_quantum(key_type):
    assert not is_post_quantum(generate(key_type).public_key())


@pytest.mark.parametrize("key_type", POST_QUANTUM_KEY_TYPES)
def test_an_older_library_is_named_with_what_it_can_do(monkeypatch, key_type):
    monkeypatch.setattr(keys, "mldsa", None)
    monkeypatch.setattr(keys, "VERSION", "48.0.1")
    for refused in (generate, check_key_type):
        with pytest.raises(
            MtlsError,
            match=f"key_type {key_type} needs cryptography 49 or newer, and there is 48.0.1 on the "
            "host of the store; take one of P-256, ",
        ):
            refused(key_type)
    assert key_type_of(new_key().public_key()) == "P-256"


def test_every_type_can_be_asked_for():
    for key_type in ALL_KEY_TYPES:
        if keys.mldsa is not None or key_type not in POST_QUANTUM_KEY_TYPES:
            check_key_type(key_type)


# Passphrases.

SECRET, OTHER = "nobody reads this", "guessed wrong"


@pytest.mark.parametrize("key_type", ["P-256", "Ed25519", "RSA-2048"])
def test_a_key_with_a_passphrase_opens_with_it_alone(key_type):
    key = generate(key_type)
    text = key_to_pem(key, SECRET)
    assert is_encrypted(text)
    assert text.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    again = key_from_pem(text, "key.pem", SECRET)
    assert public_key_fingerprint(again.public_key()) == public_key_fingerprint(key.public_key())
    with pytest.raises(MtlsError) as caught:
        key_from_pem(text, "key.pem", OTHER)
    assert str(caught.value) == "key.pem can't be opened with the passphrase given for it"


def test_a_passphrase_that_is_not_needed_is_not_looked_at():
    text = key_to_pem(new_key())
    assert not is_encrypted(text)
    assert key_from_pem(text, "key.pem", OTHER)


def test_the_old_encryption_of_openssl_is_known_too():
    key = new_key()
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(SECRET.encode()),
    )
    assert is_encrypted(text)
    assert key_from_pem(text, "key.pem", SECRET)
    with pytest.raises(MtlsError, match="can't be opened"):
        key_from_pem(text, "key.pem", OTHER)
