# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites: each mistake ends in a sentence that names the entry, and the rest is filled in."""

from __future__ import annotations

import re

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.nginx.sites import (
    IDENTITY_HEADERS,
    server_names_bucket_size,
)
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.nginx.shared import (
    completed_site,
    completed_sites,
    wanted_site,
)

FILES = {"source": "files", "certificate_path": "/etc/ssl/a.pem", "key_path": "/etc/ssl/a.key"}
# What nginx's parser would take for more than a part of one word.
INJECTIONS = [
    pytest.param(";", id="semicolon"),
    pytest.param("{", id="opening brace"),
    pytest.param("}", id="closing brace"),
    pytest.param("$host", id="variable"),
    pytest.param("\n", id="newline"),
    pytest.param("\t", id="tab"),
    pytest.param(" ", id="space"),
    pytest.param('"', id="double quote"),
    pytest.param("'", id="single quote"),
    pytest.param("\\", id="backslash"),
    pytest.param("\0", id="NUL"),
]


def refusal(**options):
    """Return what is said against a site."""
    with pytest.raises(MtlsError) as caught:
        completed_site(**options)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["", "App", "-app", "a.b", "a/b", "a" * 64, "default", "store", "ä"]
)
def test_a_name_that_cannot_name_files_is_refused(name):
    assert refusal(name=name).startswith(f"mtls_gateway_sites[0] ({name}): name must be 1 to 63 of")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param(
            {"server_name": "192.0.2.1"}, "server_name 192.0.2.1 is an address", id="IPv4"
        ),
        pytest.param({"server_name": "::1"}, "server_name ::1 is an address", id="IPv6"),
        pytest.param({"server_name": "[::1]"}, "is an address", id="IPv6 in brackets"),
        pytest.param(
            {"server_name": "*.example.com"},
            "must be one host, which the proof calls",
            id="wildcard",
        ),
        pytest.param({"server_name": ".example.com"}, "must be a host name", id="leading dot"),
        pytest.param({"server_name": "a..b"}, "must be a host name", id="empty label"),
        pytest.param(
            {"server_name": "~^app"}, "must be a host name", id="nginx's regular expression"
        ),
        pytest.param({"server_name": "bücher.example"}, "must be a host name", id="not ASCII"),
        pytest.param(
            {"server_name": "app.example.com:8443"}, "must be a host name", id="with port"
        ),
        pytest.param({"server_name": f"{'a' * 64}.com"}, "must be a host name", id="long label"),
        pytest.param({"server_name": ".".join(["a" * 60] * 5)}, "must be a host name", id="long"),
        pytest.param(
            {"server_aliases": ["b.example.com", "10.0.0.1"]},
            "server_aliases 10.0.0.1 is an address",
            id="address as alias",
        ),
        pytest.param(
            {"server_aliases": ["a.*.example.com"]},
            "server_aliases 'a.*.example.com' must be a host name",
            id="inner wildcard",
        ),
    ],
)
def test_a_server_name_that_no_client_could_send_is_refused(options, sentence):
    said = refusal(**options)
    assert said.startswith("mtls_gateway_sites[0] (app): ")
    assert sentence in said


@pytest.mark.parametrize("injected", INJECTIONS)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(lambda text: {"name": f"app{text}"}, id="name"),
        pytest.param(lambda text: {"server_name": f"app{text}.example.com"}, id="server_name"),
        pytest.param(lambda text: {"server_aliases": [f"app{text}"]}, id="server_aliases"),
        pytest.param(lambda text: {"upstream": f"http://127.0.0.1:80/{text}"}, id="path"),
        pytest.param(lambda text: {"upstream": f"http://a{text}b"}, id="host"),
        pytest.param(
            lambda text: {"upstream": "https://b.example.com", "upstream_ca_path": f"/etc/{text}"},
            id="upstream_ca_path",
        ),
        pytest.param(lambda text: {"identity_header": f"X{text}"}, id="identity_header"),
        pytest.param(
            lambda text: {"certificate": {**FILES, "certificate_path": f"/a{text}"}},
            id="certificate_path",
        ),
        pytest.param(
            lambda text: {"certificate": {**FILES, "key_path": f"/a{text}"}}, id="key_path"
        ),
        pytest.param(
            lambda text: {"tls_profile": "custom", "tls_protocols": [f"TLSv1.3{text}"]},
            id="tls_protocols",
        ),
        pytest.param(
            lambda text: {
                "tls_profile": "custom",
                "tls_ciphers": [f"ECDHE-ECDSA-AES128-GCM-SHA256{text}"],
            },
            id="tls_ciphers",
        ),
    ],
)
def test_nothing_of_nginx_s_syntax_gets_through(options, injected):
    assert refusal(**options(injected)).startswith("mtls_gateway_sites[0] (app")


@pytest.mark.parametrize(
    ("option", "value", "range_"),
    [
        pytest.param("listen_port", 0, "1 to 65535", id="port 0"),
        pytest.param("listen_port", 65536, "1 to 65535", id="port too high"),
        pytest.param("keepalive_timeout_seconds", -1, "0 to 3600", id="negative keepalive"),
        pytest.param("session_timeout_seconds", 0, "1 to 86400", id="no session"),
        pytest.param("upstream_keepalive", 0, "1 to 1024", id="no upstream keepalive"),
    ],
)
def test_numbers_have_limits(option, value, range_):
    said = refusal(**{option: value})
    assert said == f"mtls_gateway_sites[0] (app): {option} {value} must be {range_}"


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        pytest.param("http://127.0.0.1", ("127.0.0.1:80", ""), id="usual port"),
        pytest.param("https://b.example.com", ("b.example.com:443", ""), id="usual port of https"),
        pytest.param("http://[::1]:8080", ("[::1]:8080", ""), id="IPv6"),
        pytest.param("http://b:8080/", ("b:8080", ""), id="only a slash"),
        # nginx would make /apiorders of /orders without the last slash.
        pytest.param("http://b:8080/api", ("b:8080", "/api/"), id="path"),
        pytest.param("http://b:8080/api/v1/", ("b:8080", "/api/v1/"), id="path that ends with one"),
    ],
)
def test_an_upstream_is_taken_apart(upstream, expected):
    found = completed_site(upstream=upstream)["upstream"]
    assert (found["server"], found["uri"]) == expected


@pytest.mark.parametrize(
    "upstream",
    [
        "127.0.0.1:8888", "//127.0.0.1", "tcp://127.0.0.1", "http://", "http:///path",
        "http://me:secret@127.0.0.1", "http://127.0.0.1:99999", "http://127.0.0.1:0",
        "http://127.0.0.1:http", "http://127.0.0.1?a=b", "http://127.0.0.1#a", "http://*.a.com",
        "http://unix:/run/app.sock", "http://[::1", "http://a..b", "http://bücher.example",
    ],
)  # fmt: skip
def test_another_upstream_is_refused(upstream):
    assert refusal(upstream=upstream) == (
        f"mtls_gateway_sites[0] (app): upstream {upstream!r} must be http:// or https:// with a "
        "host, a port if it isn't the usual one, and no user, query or fragment, such as "
        "http://127.0.0.1:8888"
    )


def test_an_https_upstream_needs_a_name_to_be_checked_against():
    assert "give a host name, or use http://" in refusal(upstream="https://127.0.0.1")


def test_an_upstream_ca_needs_https():
    said = refusal(upstream_ca_path="/etc/ssl/ca.pem")
    assert said.endswith("upstream_ca_path goes with an https:// upstream")


@pytest.mark.parametrize(
    "path", [pytest.param("ca.pem", id="relative"), pytest.param("/a b", id="space")]
)
def test_an_upstream_ca_path_is_plain_and_absolute(path):
    said = refusal(upstream="https://b", upstream_ca_path=path)
    assert said.endswith(f"upstream_ca_path {path!r} must be a plain absolute path")


@pytest.mark.parametrize("header", ["Host", "connection", "X-Forwarded-For", "cookie"])
def test_an_identity_header_with_another_meaning_is_refused(header):
    assert "that has no other meaning, such as X-SSL-DN" in refusal(identity_header=header)


@pytest.mark.parametrize("header", ["", "X_SSL_DN", "X:DN", "-DN", "1DN", "X" * 65, "X-ÄN"])
def test_what_nginx_would_drop_as_a_header_is_refused(header):
    said = refusal(identity_header=header)
    assert f"identity_header {header!r} must be a header name of letters, digits and '-'" in said


def test_every_other_identity_header_is_blanked():
    site = completed_site(identity_header="client-cert")
    assert "Client-Cert" not in site["blanked_headers"]
    assert len(site["blanked_headers"]) == len(IDENTITY_HEADERS) - 1
    # One of its own is one more.
    assert completed_site(identity_header="X-Caller")["blanked_headers"] == IDENTITY_HEADERS


@pytest.mark.parametrize(
    ("certificate", "sentence"),
    [
        pytest.param(
            {"source": "files", "key_path": "/k"}, "needs certificate_path and key_path", id="half"
        ),
        pytest.param(
            {**FILES, "key_path": "k"},
            "certificate path 'k' must be a plain absolute",
            id="relative",
        ),
        pytest.param(
            {**FILES, "source": "authority"},
            "certificate_path and key_path go with certificate.source: files, not with authority",
            id="files of an authority",
        ),
        pytest.param(
            {"source": "self_signed", "authority": "root"},
            "certificate.authority goes with certificate.source: authority",
            id="authority of a self-signed one",
        ),
        pytest.param(
            {"authority": "nobody"},
            "certificate.authority 'nobody' is not one of mtls_pki_authorities (root, services",
            id="unknown authority",
        ),
        pytest.param({"source": "acme"}, "value of source must be one of", id="unknown source"),
        pytest.param(
            {"key_type": "RSA"}, "value of key_type must be one of", id="unknown key type"
        ),
    ],
)
def test_a_server_certificate_that_cannot_be_is_refused(certificate, sentence):
    said = refusal(certificate=certificate)
    assert said.startswith("mtls_gateway_sites[0] (app): ")
    assert sentence in said


def test_without_an_authority_the_server_certificate_needs_another_source():
    with pytest.raises(MtlsError, match="which is empty"):
        completed_sites(
            wanted_site(client_authority=None, trusted_clients=["lonely"]),
            authorities=[],
            clients=[{"name": "lonely", "issuer": "self"}],
        )


@pytest.mark.parametrize(
    ("certificate", "expected"),
    [
        pytest.param(
            {},
            ("/etc/nginx/mtls/app/fullchain.pem", "/etc/nginx/mtls/app/key-p-256.pem"),
            id="authority",
        ),
        pytest.param(
            {"key_type": "RSA-2048"},
            ("/etc/nginx/mtls/app/fullchain.pem", "/etc/nginx/mtls/app/key-rsa-2048.pem"),
            id="another key beside the old one",
        ),
        pytest.param(
            {"source": "self_signed"},
            (
                "/etc/nginx/mtls/store/servers/app/fullchain.pem",
                "/etc/nginx/mtls/store/servers/app/key.pem",
            ),
            id="self-signed",
        ),
        pytest.param(FILES, ("/etc/ssl/a.pem", "/etc/ssl/a.key"), id="files"),
    ],
)
def test_where_the_server_certificate_lies(certificate, expected):
    site = completed_site(certificate=certificate)
    assert (site["certificate_file"], site["key_file"]) == expected


def test_the_smallest_site_is_completed():
    site = completed_site()
    expected = {
        "variable": "app",
        "listen_port": 443,
        "server_names": ["app.example.com"],
        "subject_alternative_names": ["DNS:app.example.com"],
        "common_name": "app.example.com",
        "identity_header": "X-SSL-DN",
        "upstream_keepalive": 16,
        "keepalive_timeout_seconds": 65,
        "session_timeout_seconds": 3600,
        "upstream": {
            "scheme": "http",
            "host": "127.0.0.1",
            "server": "127.0.0.1:8888",
            "uri": "",
            "ca_path": None,
        },
    }
    assert {option: site[option] for option in expected} == expected
    assert (site["certificate"]["source"], site["certificate"]["authority"]) == (
        "authority",
        "root",
    )
    assert not site["access"]["is_restricted"]


def test_a_name_too_long_for_a_common_name_is_an_alternative_name_only():
    long = ".".join(["a" * 30] * 3)
    site = completed_site(server_name=long)
    assert (site["common_name"], site["subject_alternative_names"]) == ("app", [f"DNS:{long}"])


def pair(**options):
    """Return two sites that differ in all that sites must differ in, but for the options."""
    return wanted_site(), wanted_site(**{"name": "b", "server_name": "b.example.com", **options})


@pytest.mark.parametrize(
    ("sites", "sentence"),
    [
        pytest.param(
            pair(name="app"), "its name is also that of mtls_gateway_sites[0] (app)", id="same name"
        ),
        pytest.param(
            pair(server_name="APP.example.com"),
            "APP.example.com on port 443 is already mtls_gateway_sites[0] (app)'s",
            id="same server name in another case",
        ),
        pytest.param(
            pair(server_aliases=["app.example.com"]),
            "app.example.com on port 443 is already mtls_gateway_sites[0] (app)'s",
            id="same server name as an alias",
        ),
        pytest.param(pair(tls_profile="modern"), "it shares port 443 with", id="other TLS profile"),
        pytest.param(
            pair(session_timeout_seconds=60), "it shares port 443 with", id="other sessions"
        ),
    ],
)
def test_two_sites_that_cannot_stand_together_are_refused(sites, sentence):
    with pytest.raises(MtlsError, match=re.escape(sentence)) as caught:
        completed_sites(*sites)
    assert str(caught.value).startswith("mtls_gateway_sites[1] (")


def test_names_that_fold_to_one_variable_are_refused():
    sites = wanted_site(name="a-b"), wanted_site(name="a_b", server_name="b.example.com")
    with pytest.raises(MtlsError, match=r"\[1\] \(a_b\): its name is also that of .*\(a-b\)"):
        completed_sites(*sites)


@pytest.mark.parametrize(
    "sites",
    [
        pytest.param(pair(server_name="app.example.com", listen_port=8443), id="same server name"),
        pytest.param(pair(tls_profile="modern", listen_port=8443), id="other TLS profile"),
    ],
)
def test_on_another_port_they_can(sites):
    assert len(completed_sites(*sites)) == 2


def test_no_site_is_a_site_list_too():
    assert completed_sites() == []


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        pytest.param(46, None, id="fits"),
        pytest.param(47, 128, id="one more"),
        pytest.param(253, 512, id="longest"),
    ],
)
def test_long_server_names_need_larger_buckets(length, expected):
    name = ("a" * 60 + ".") * 5
    sites = completed_sites(wanted_site(server_aliases=[name[:length]]))
    assert len(sites[0]["server_names"][1]) == length
    assert server_names_bucket_size(sites) == expected
