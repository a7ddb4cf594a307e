# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What edge.mtls.probe makes of its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.probing import Request
from ansible_collections.edge.mtls.plugins.modules import probe

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://app.example.test/"
SECRET = "s3cret"


def params_with(**options: Any) -> dict[str, Any]:
    defaults = {name: spec.get("default") for name, spec in probe.ARGUMENT_SPEC.items()}
    return defaults | {"url": URL} | options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"url": "http://app.example.test/"}, "url must start with https", id="http"),
        pytest.param({"url": "app.example.test"}, "url must start with https", id="no scheme"),
        pytest.param({"url": "https://"}, "url must name a host", id="no host"),
        pytest.param({"url": "https://a..b/"}, "url must name a host", id="empty label"),
        pytest.param({"url": "https://a:b/"}, "url is not a URL", id="port not a number"),
        pytest.param({"url": "https://a:70000/"}, "url is not a URL", id="port too high"),
        pytest.param({"url": "https://a:0/"}, "url must name a port", id="port 0"),
        pytest.param({"url": "https://[::1/"}, "url is not a URL", id="broken IPv6"),
        pytest.param({"url": "https://a/b c"}, "url must be ASCII", id="space"),
        pytest.param(
            {"url": "https://a/\r\nX: y"}, "url must be ASCII", id="line break in the URL"
        ),
        pytest.param({"url": "https://bücher.example/"}, "url must be ASCII", id="not ASCII"),
        pytest.param({"url": f"https://me:{SECRET}@a/"}, "url must not carry", id="password in it"),
        pytest.param({"connect_to": "a:8443"}, "connect_to must name a host", id="with port"),
        pytest.param({"connect_to": ""}, "connect_to must name a host", id="empty address"),
        pytest.param({"server_name": "a b"}, "server_name must name a host", id="server name"),
        pytest.param({"method": "GET /x"}, "method must be", id="method"),
        pytest.param({"method": ""}, "method must be", id="empty method"),
        pytest.param({"timeout_seconds": 0}, "timeout_seconds must be", id="no time"),
        pytest.param(
            {"headers": {"X-A\r\nB": SECRET}}, "headers: entry 1 has a name", id="CRLF in a name"
        ),
        pytest.param(
            {"headers": {f"Authorization: {SECRET}": ""}},
            "headers: entry 1 has a name",
            id="a whole line as a name",
        ),
        pytest.param({"headers": {"": SECRET}}, "headers: entry 1 has a name", id="empty name"),
        pytest.param(
            {"headers": {"A": "b", "Authorization": f"{SECRET}\r\nX: y"}},
            "headers: the value of Authorization holds",
            id="CRLF in a value",
        ),
        pytest.param(
            {"headers": {"A": f"{SECRET}\0"}}, "headers: the value of A holds", id="NUL in a value"
        ),
        pytest.param(
            {"headers": {"A": [SECRET]}}, "headers: the value of A must be text", id="a list"
        ),
        pytest.param({"headers": {"A": True}}, "headers: the value of A must be text", id="a bool"),
        pytest.param(
            {"headers": {"content-length": "5"}}, "headers: content-length is set", id="framing"
        ),
        pytest.param(
            {"client_certificate_path": "/c.pem"},
            "client_certificate_path and client_key_path must be given together",
            id="no key",
        ),
        pytest.param(
            {"client_key_path": "/k.pem"},
            "client_certificate_path and client_key_path must be given together",
            id="no certificate",
        ),
        pytest.param(
            {"trusted_certificate_path": "/no/such"},
            r"trusted_certificate_path: cannot read /no/such \(No such file",
            id="no trust file",
        ),
        pytest.param(
            {"client_certificate_path": "/no/such", "client_key_path": "/no/key"},
            "client_certificate_path: cannot read /no/such",
            id="no certificate file",
        ),
    ],
)
def test_an_unusable_option_is_named_and_no_secret_told(options, message):
    with pytest.raises(MtlsError, match=message) as raised:
        probe.run(params_with(**options), check_mode=False)
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "holds no PEM certificate", id="empty"),
        pytest.param("garbage", "holds no PEM certificate", id="no PEM"),
        pytest.param(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "holds no usable PEM certificate",
            id="broken",
        ),
    ],
)
def test_a_trust_file_without_a_certificate_is_named(tmp_path: Path, content, message):
    path = tmp_path / "trust.pem"
    path.write_text(content)
    with pytest.raises(MtlsError, match=f"trusted_certificate_path: {path} {message}"):
        probe.run(params_with(trusted_certificate_path=str(path)), check_mode=False)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, ("app.example.test", 443, "/"), id="plain"),
        pytest.param({"url": "https://A.example"}, ("a.example", 443, "/"), id="no path"),
        pytest.param({"url": "https://a:8443/b?c=%20#d"}, ("a", 8443, "/b?c=%20"), id="in full"),
        pytest.param({"url": "https://[::1]:1/"}, ("::1", 1, "/"), id="IPv6"),
    ],
)
def test_a_url_says_where_to_go(options, expected):
    request = Request.from_params(params_with(**options))
    assert (request.host, request.port, request.target) == expected
    assert request.connect_to == request.server_name == request.host


def test_addresses_may_stand_in_brackets():
    request = Request.from_params(params_with(connect_to="[::1]", server_name="b.example"))
    assert (request.connect_to, request.server_name) == ("::1", "b.example")


def test_headers_and_body_are_not_shown_by_repr():
    request = Request.from_params(params_with(headers={"Cookie": SECRET}, body=SECRET))
    assert SECRET not in repr(request)
    assert request.to_bytes().count(SECRET.encode()) == 2


def test_an_empty_body_has_a_length_where_one_is_expected():
    assert b"Content-Length" not in Request.from_params(params_with()).to_bytes()
    posted = Request.from_params(params_with(method="POST")).to_bytes()
    assert b"\r\nContent-Length: 0\r\n" in posted
