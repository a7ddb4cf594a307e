# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS settings: Mozilla's profiles, and a custom one that stays safe."""

from __future__ import annotations

import re

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.nginx.shared import (
    completed_site,
    completed_sites,
    wanted_site,
)

ECDSA, RSA = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"


def custom(**options):
    return {"tls_profile": "custom", **{f"tls_{name}": value for name, value in options.items()}}


def test_intermediate_is_mozilla_s():
    assert completed_site()["tls"] == {
        "protocols": ["TLSv1.2", "TLSv1.3"],
        "ciphers": [
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-RSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-RSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            "ECDHE-RSA-CHACHA20-POLY1305",
        ],
        "prefer_server_ciphers": False,
        "groups": ["X25519", "prime256v1", "secp384r1"],
    }


def test_modern_is_tls_1_3_alone():
    found = completed_site(tls_profile="modern")["tls"]
    assert (found["protocols"], found["ciphers"]) == (["TLSv1.3"], [])


def test_custom_says_exactly_what_is_wanted():
    found = completed_site(
        certificate={"key_type": "RSA-2048"},
        **custom(protocols=["TLSv1.2"], ciphers=[RSA], prefer_server_ciphers=True),
    )["tls"]
    del found["groups"]
    assert found == {"protocols": ["TLSv1.2"], "ciphers": [RSA], "prefer_server_ciphers": True}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param(
            {"tls_ciphers": [RSA]},
            "tls_protocols, tls_ciphers and tls_prefer_server_ciphers go with tls_profile: "
            "custom, not with intermediate",
            id="ciphers of a profile",
        ),
        pytest.param(
            {"tls_profile": "modern", "tls_prefer_server_ciphers": False},
            "go with tls_profile: custom, not with modern",
            id="preference of a profile, though it is the same",
        ),
        pytest.param(
            custom(protocols=["TLSv1.1"]),
            "tls_protocols 'TLSv1.1' must be one of TLSv1.2, TLSv1.3",
            id="old protocol",
        ),
        pytest.param(
            custom(ciphers=["AES128-SHA"]),
            "tls_ciphers 'AES128-SHA' must be a TLS 1.2 cipher with forward secrecy",
            id="cipher without forward secrecy",
        ),
        pytest.param(
            custom(ciphers=["ECDHE-RSA-AES128-SHA256"]),
            "and authenticated encryption, such as ECDHE-ECDSA-AES128-GCM-SHA256",
            id="cipher without authentication",
        ),
        pytest.param(custom(ciphers=["ALL"]), "tls_ciphers 'ALL' must be", id="keyword"),
        pytest.param(custom(ciphers=[f"{RSA}:ALL"]), "must be a TLS 1.2 cipher", id="list in one"),
        pytest.param(custom(), "so it must be given when tls_protocols has TLSv1.2", id="nothing"),
        pytest.param(
            custom(protocols=["TLSv1.3"], ciphers=[RSA]),
            "and only then (those of TLSv1.3 are all safe)",
            id="ciphers that TLS 1.3 does not look at",
        ),
        pytest.param(
            custom(protocols=["TLSv1.2"], ciphers=[RSA]),
            "none of tls_ciphers works with a server key of type P-256; add one that starts with "
            "ECDHE-ECDSA-, or set certificate.key_type to RSA-2048",
            id="RSA ciphers for an ECDSA key",
        ),
        pytest.param(
            {
                "certificate": {"key_type": "RSA-4096"},
                **custom(protocols=["TLSv1.2"], ciphers=[ECDSA]),
            },
            "add one that starts with ECDHE-RSA-, or set certificate.key_type to P-256",
            id="ECDSA ciphers for an RSA key",
        ),
        pytest.param({"tls_profile": "old"}, "value of tls_profile must be one of", id="profile"),
    ],
)
def test_settings_that_are_unsafe_or_of_no_use_are_refused(options, sentence):
    with pytest.raises(MtlsError, match=re.escape(sentence)) as caught:
        completed_site(**options)
    assert str(caught.value).startswith("mtls_gateway_sites[0] (app): ")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(
            {
                "certificate": {"source": "files", "certificate_path": "/a", "key_path": "/b"},
                **custom(protocols=["TLSv1.2"], ciphers=[RSA]),
            },
            id="the key's type is not known",
        ),
        pytest.param(
            {
                "certificate": {"key_type": "Ed25519"},
                **custom(protocols=["TLSv1.2"], ciphers=[ECDSA]),
            },
            id="Ed25519 counts as ECDSA",
        ),
        pytest.param(custom(protocols=["TLSv1.3"]), id="TLS 1.3 alone"),
    ],
)
def test_settings_that_work_are_taken(options):
    assert completed_site(**options)


HYBRID = "X25519MLKEM768"


@pytest.mark.parametrize(
    ("library", "expected"),
    [
        pytest.param("OpenSSL 3.0.15", False, id="Debian 12"),
        pytest.param("OpenSSL 3.4.9", False, id="the last one without"),
        pytest.param("OpenSSL 3.5.0", True, id="the first one with it"),
        pytest.param("OpenSSL 3.10.0", True, id="numbers are not text"),
        pytest.param("OpenSSL 4.0.0-beta1", True, id="later"),
        pytest.param("OpenSSL 1.1.1w", False, id="old"),
        pytest.param("LibreSSL 4.1.0", False, id="other numbers"),
        pytest.param(None, False, id="not known"),
    ],
)
def test_the_post_quantum_group_is_asked_for_where_it_is_known(library, expected):
    host = {"ipv6": True, "nginx": {"version": "1.26.3", "tls_library": library}}
    [site] = completed_sites(wanted_site(), host=host)
    assert (site["tls"]["groups"][0] == HYBRID) is expected
    assert site["tls"]["groups"][-3:] == ["X25519", "prime256v1", "secp384r1"]


def test_without_nginx_only_what_every_library_knows_is_asked_for():
    [site] = completed_sites(wanted_site(), host={"ipv6": True, "nginx": None})
    assert HYBRID not in site["tls"]["groups"]
