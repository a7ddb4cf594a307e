# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests: a public key that is proven to be held, and nothing else."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import to_pem
from ansible_collections.edge.mtls.plugins.module_utils.pki.general_names import alternative_names
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import generate
from ansible_collections.edge.mtls.plugins.module_utils.pki.requests import (
    build_request,
    read_request,
)
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    name_of,
    new_key,
    request_for,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa


def armoured(der: bytes) -> str:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"


def spoiled(text: str, position: int) -> str:
    der = bytearray(base64.b64decode("".join(text.splitlines()[1:-1])))
    der[position] ^= 1
    return armoured(bytes(der))


@pytest.mark.parametrize("key_type", ["P-256", "P-384", "P-521", "Ed25519", "RSA-2048"])
def test_a_request_proves_possession_and_carries_names(key_type):
    names = [x509.DNSName("app.example.com")]
    extensions = [(x509.SubjectAlternativeName(names), False)]
    request = build_request(generate(key_type), name_of("app"), extensions)
    found = read_request(to_pem(request).decode(), "server")
    assert found.subject == name_of("app")
    assert alternative_names(found) == ["DNS:app.example.com"]


def test_a_request_without_names_is_read():
    request = build_request(new_key(), name_of("app"), [])
    assert alternative_names(read_request(to_pem(request).decode(), "server")) == []


@pytest.mark.parametrize(
    "position", [pytest.param(-1, id="in the signature"), pytest.param(24, id="in the subject")]
)
def test_a_request_that_its_own_key_did_not_sign_is_refused(position):
    text = spoiled(request_for(new_key()), position)
    with pytest.raises(MtlsError, match="server: the request is not signed by the key that it"):
        read_request(text, "server")


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(rsa.generate_private_key(65537, 1024), id="RSA of 1024 bits"),
        pytest.param(dsa.generate_private_key(1024), id="DSA"),
        pytest.param(ec.generate_private_key(ec.SECP256K1()), id="a curve that TLS lacks"),
        pytest.param(ec.generate_private_key(ec.SECP192R1()), id="a short curve"),
    ],
)
def test_a_key_that_is_weak_or_strange_is_refused(key):
    with pytest.raises(MtlsError, match=r"server: the request's key is of type .*, and must be"):
        read_request(request_for(key), "server")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("app.example.com", id="words"),
        pytest.param(armoured(b"\x30\x00"), id="nothing inside"),
        pytest.param("\udcff", id="undecodable byte"),
        pytest.param("-----BEGIN CERTIFICATE REQUEST-----\n", id="cut off"),
    ],
)
def test_what_is_no_request_is_refused(text):
    with pytest.raises(MtlsError, match="server: the request is not a CSR in PEM"):
        read_request(text, "server")
