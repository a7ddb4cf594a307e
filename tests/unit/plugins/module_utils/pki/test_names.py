# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that are accepted, refused, and written the way nginx writes them."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.names import (
    alternative_names,
    check_entry_name,
    common_name_rfc2253,
    general_name,
    general_name_text,
    rfc2253,
    subject,
)
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    new_key,
    request_for,
)
from cryptography import x509
from cryptography.x509.oid import NameOID


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a", id="one letter"),
        pytest.param("7", id="one digit"),
        pytest.param("app.example.com@web-1_2", id="all that is allowed"),
        pytest.param("a" * 128, id="128 characters"),
    ],
)
def test_an_entry_name_that_is_safe_as_a_folder_is_kept(name):
    assert check_entry_name(name, "client") == name


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param(".", id="here"),
        pytest.param("..", id="above"),
        pytest.param("../client1", id="above, then down"),
        pytest.param("a..b", id="two dots within"),
        pytest.param("a/b", id="slash"),
        pytest.param("/etc", id="absolute"),
        pytest.param("a\\b", id="backslash"),
        pytest.param(".hidden", id="leading dot"),
        pytest.param("-rf", id="leading hyphen"),
        pytest.param("_x", id="leading underscore"),
        pytest.param("@host", id="leading at"),
        pytest.param("a\0b", id="NUL"),
        pytest.param("a\n", id="newline at the end"),
        pytest.param("a\nb", id="newline"),
        pytest.param("a b", id="space"),
        pytest.param("Client1", id="upper case"),
        pytest.param("a" * 129, id="129 characters"),
        pytest.param("a" * 200, id="200 characters"),
        pytest.param("zoë", id="letter beyond ASCII"),
        pytest.param("a\u0661", id="digit beyond ASCII"),
        pytest.param("a\u212a", id="Kelvin sign"),
        pytest.param("a:b", id="colon"),
        pytest.param("a*", id="star"),
        pytest.param("$(id)", id="shell"),
    ],
)
def test_an_entry_name_that_could_climb_hide_or_collide_is_refused(name):
    with pytest.raises(MtlsError, match=r"client: the name .* must be 1 to 128 of a-z, 0-9"):
        check_entry_name(name, "client")


@pytest.mark.parametrize(
    "common_name",
    [
        pytest.param("c", id="one character"),
        pytest.param("c" * 64, id="64 characters"),
        pytest.param("é" * 32, id="64 bytes"),
        pytest.param('a, b+c="d"\\<e>;#=/', id="special characters"),
        pytest.param("#1", id="leading number sign"),
        pytest.param("Zoë 证书 \U0001f600", id="beyond ASCII"),
    ],
)
def test_a_common_name_becomes_the_whole_subject(common_name):
    [attribute] = subject(common_name, "client")
    assert (attribute.oid, attribute.value) == (NameOID.COMMON_NAME, common_name)


@pytest.mark.parametrize(
    ("common_name", "reason"),
    [
        pytest.param("", "must take 1 to 64 bytes .*, not 0", id="empty"),
        pytest.param("c" * 65, "must take 1 to 64 bytes .*, not 65", id="65 characters"),
        pytest.param("é" * 33, "must take 1 to 64 bytes .*, not 66", id="33 characters, 66 bytes"),
        pytest.param("a\nb", "must be printable", id="newline"),
        pytest.param("a\n", "must be printable", id="newline at the end"),
        pytest.param("a\0b", "must be printable", id="NUL"),
        pytest.param("a\x7f", "must be printable", id="DEL"),
        pytest.param("a\u202eb", "must be printable", id="writes backwards"),
        pytest.param("a\udcffb", "must be printable", id="undecodable byte"),
        pytest.param(" a", "no space at either end", id="space before"),
        pytest.param("a ", "no space at either end", id="space behind"),
        pytest.param(" ", "no space at either end", id="nothing but a space"),
        pytest.param("a\u3000", "printable", id="ideographic space behind"),
    ],
)
def test_a_common_name_that_cannot_stand_in_a_certificate_is_refused(common_name, reason):
    with pytest.raises(MtlsError, match=f"client: common_name .* {reason}"):
        subject(common_name, "client")


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        pytest.param("DNS:app.example.com", None, id="host name"),
        pytest.param("DNS:App.Example.COM", None, id="case is kept"),
        pytest.param("DNS:localhost", None, id="one label"),
        pytest.param("DNS:*.example.com", None, id="wildcard"),
        pytest.param("DNS:_sip.example.com", None, id="underscore"),
        pytest.param("DNS:xn--zo-lja.example", None, id="A-label"),
        pytest.param(f"DNS:{'.'.join(['a' * 63] * 3)}.{'b' * 61}", None, id="253 characters"),
        pytest.param("IP:192.0.2.1", None, id="IPv4"),
        pytest.param("IP:2001:db8::1", None, id="IPv6"),
        pytest.param("IP:2001:0DB8:0:0:0:0:0:1", "IP:2001:db8::1", id="IPv6 in full"),
    ],
)
def test_an_alternative_name_reads_back_as_it_was_written(text, normal):
    name = general_name(text, "server")
    request = request_for(new_key(), "host", x509.SubjectAlternativeName([name]))
    assert general_name_text(name) == (normal or text)
    assert alternative_names(x509.load_pem_x509_csr(request.encode())) == [normal or text]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("app.example.com", id="no kind"),
        pytest.param("dns:app.example.com", id="kind in lower case"),
        pytest.param("URI:https://example.com", id="other kind"),
        pytest.param("email:me@example.com", id="mail address"),
        pytest.param("DNS:", id="no host"),
        pytest.param("DNS:a..b", id="empty label"),
        pytest.param("DNS:.example.com", id="leading dot"),
        pytest.param("DNS:example.com.", id="trailing dot"),
        pytest.param("DNS:-a.example", id="label starts with a hyphen"),
        pytest.param("DNS:a-.example", id="label ends with a hyphen"),
        pytest.param("DNS:a.*.example", id="wildcard within"),
        pytest.param("DNS:w*.example", id="half a wildcard"),
        pytest.param("DNS:*", id="nothing but a wildcard"),
        pytest.param("DNS:app.example.com\n", id="newline"),
        pytest.param("DNS:app example", id="space"),
        pytest.param("DNS:app.example.com,DNS:evil.example", id="two in one"),
        pytest.param("DNS:zoë.example", id="beyond ASCII"),
        pytest.param("DNS:\u212aube.example", id="Kelvin sign"),
        pytest.param("DNS:a\u017f.example", id="long s"),
        pytest.param(f"DNS:{'a' * 64}.example", id="label of 64"),
        pytest.param(f"DNS:{'.'.join(['a' * 63] * 4)}", id="255 characters"),
        pytest.param("IP:", id="no address"),
        pytest.param("IP:192.0.2.0/24", id="network"),
        pytest.param("IP:192.0.2.256", id="no such address"),
        pytest.param("IP:1", id="number"),
        pytest.param("IP:fe80::1%eth0", id="zone of one host"),
    ],
)
def test_an_alternative_name_that_no_certificate_should_hold_is_refused(text):
    with pytest.raises(MtlsError, match=r"server: the alternative name .* must be DNS: followed"):
        general_name(text, "server")


def test_an_alternative_name_of_another_kind_is_still_named():
    assert general_name_text(x509.RFC822Name("me@example.com")) == "RFC822Name:me@example.com"


@pytest.mark.parametrize(
    ("common_name", "expected"),
    [
        pytest.param("client1", "CN=client1", id="plain"),
        pytest.param("a,b", r"CN=a\,b", id="comma"),
        pytest.param('"+<>;\\', r"CN=\"\+\<\>\;\\", id="specials"),
        pytest.param("#a#", r"CN=\#a#", id="number sign at the start only"),
        pytest.param("#", "CN=#", id="number sign alone"),
        pytest.param("a=b/c", "CN=a=b/c", id="equals and slash stay"),
        pytest.param("a b", "CN=a b", id="space within stays"),
        pytest.param("é", r"CN=\C3\A9", id="two bytes"),
        pytest.param("証", r"CN=\E8\A8\BC", id="three bytes"),
    ],
)
def test_a_subject_is_written_as_nginx_writes_it(common_name, expected):
    assert rfc2253(subject(common_name, "client")) == expected
    assert common_name_rfc2253(common_name) == expected


def test_the_last_attribute_of_a_subject_comes_first():
    found = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example, Inc"),
            x509.NameAttribute(NameOID.COMMON_NAME, "client1"),
        ]
    )
    assert rfc2253(found) == r"CN=client1,O=Example\, Inc,C=DE"


def test_a_subject_that_nginx_would_write_in_a_way_unknown_here_is_refused():
    title = x509.Name([x509.NameAttribute(NameOID.TITLE, "Dr")])
    with pytest.raises(MtlsError, match=r"subject attribute 2\.5\.4\.12 is not one"):
        rfc2253(title)
