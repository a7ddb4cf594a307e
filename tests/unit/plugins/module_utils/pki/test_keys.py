# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private keys: every type is made, written, read and recognised."""

from __future__ import annotations

import re

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import (
    generate,
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
