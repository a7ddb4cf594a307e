# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's templates, rendered as the role renders them and judged as nginx reads them."""

from __future__ import annotations

import functools
import itertools
import json
import re
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.edge.mtls.plugins.module_utils.nginx.sites import IDENTITY_HEADERS
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.nginx.shared import (
    AUTHORITIES,
    CLIENTS,
    HOST,
    completed_sites,
    wanted_site,
)

ROLES = Path(__file__).parents[4] / "roles"
ROLE = ROLES / "mtls_gateway"
FILES = {"source": "files", "certificate_path": "/etc/ssl/a.pem", "key_path": "/etc/ssl/a.key"}
CLIENT1 = {"clients": ["services1"]}


def pem(name):
    return f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n"


def variables(sites, family="Debian", **given):
    """Return what the role's templates find when nginx's files are written."""
    return {
        "ansible_search_path": [str(ROLE)],
        "inventory_hostname": "gateway",
        "__mtls_gateway_path": "/etc/nginx/mtls",
        "__mtls_gateway_wanted": {"sites": sites},
        "__mtls_nginx_host": HOST,
        "__mtls_nginx_layout": yaml.safe_load(
            (ROLES / f"mtls_nginx/vars/{family}.yml").read_text()
        )["__mtls_nginx_distribution"],
        "__mtls_pki_authority": {
            "results": [
                {"name": each["name"], "generations": pem(each["name"])} for each in AUTHORITIES
            ]
        },
        "__mtls_pki_issued": {
            "certificates": {
                f"client/{each['name']}": {"certificate": pem(each["name"])} for each in CLIENTS
            }
        },
        **given,
    }


def render(template, **found):
    lookup = f"{{{{ lookup('ansible.builtin.template', '{template}') }}}}"
    return Templar(DataLoader(), variables=found).template(trust_as_template(lookup))


def render_site(host=HOST, **options):
    return _render_site(json.dumps([host, options]))


# Many tests look at the same text.
@functools.cache
def _render_site(wanted):
    host, options = json.loads(wanted)
    [site] = completed_sites(wanted_site(**options), host=host)
    return render("site.conf.j2", site=site, **variables([site], __mtls_nginx_host=host))


def render_default(*sites, host=HOST):
    completed = completed_sites(*sites, host=host)
    return render("default.conf.j2", **variables(completed, __mtls_nginx_host=host))


def parse(text):
    """Read a configuration as nginx does: each directive's words, and the block it may have."""
    words, blocks, quoted = [], [[]], r'"((?:\\.|[^"\\])*)"|([{};])|(#[^\n]*)|([^\s{};"]+)'
    end = 0
    for match in re.finditer(quoted, text):
        assert not text[end : match.start()].strip(), f"what is {text[end : match.start()]!r}?"
        end = match.end()
        string, sign, comment, word = match.groups()
        if comment is not None:
            continue
        if sign == ";":
            assert words, "a lonely semicolon"
            blocks[-1].append((words, None))
        elif sign == "{":
            blocks[-1].append((words, []))
            blocks.append(blocks[-1][-1][1])
        elif sign == "}":
            assert not words, f"no semicolon after {words}"
            blocks.pop()
        else:
            words.append(word if string is None else re.sub(r"\\(.)", r"\1", string))
            continue
        words = []
    assert not words
    assert len(blocks) == 1, "a block is open"
    return blocks[0]


def blocks(parsed, *words):
    return [block for found, block in parsed if found[: len(words)] == list(words)]


def values(block, name):
    return [words[1:] for words, _inner in block if words[0] == name]


def value(block, name):
    [found] = values(block, name)
    return found


def only_server(text):
    [server] = blocks(parse(text), "server")
    return server


# Every kind of trust with every kind of list, certificate, upstream and TLS.
TRUST = {
    "root": {"client_authority": "root"},
    "intermediate": {"client_authority": "services"},
    "self-signed": {"client_authority": None, "trusted_clients": ["lonely"]},
}
LISTS = {
    "everybody": None,
    "clients": {"clients": {"root": ["services1"], "self-signed": ["lonely"]}},
    "issuers": {"issuers": {"root": ["services"], "self-signed": None}},
    "subjects": {"subjects": {"root": ["CN=a,O=b"], "self-signed": ["CN=lonely"]}},
    "all three": {
        "clients": {"root": ["services1"], "self-signed": ["lonely"]},
        "issuers": {"root": ["robots"], "self-signed": None},
        "subjects": {"root": [r"CN=Smith\, \"J\" {1\;}"], "self-signed": ["CN=a"]},
    },
}
REST = {
    "plain": {},
    "with all": {
        "server_aliases": ["b.example.com", "*.c.example.com"],
        "listen_port": 8443,
        "upstream": "https://backend.example.com:8443/api",
        "certificate": FILES,
        "tls_profile": "custom",
        "tls_protocols": ["TLSv1.2"],
        "tls_ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"],
        "tls_prefer_server_ciphers": True,
        "identity_header": "Client-Cert",
        "keepalive_timeout_seconds": 0,
        "session_timeout_seconds": 60,
    },
}


def matrix():
    for (trust, who), (list_, names), (rest, options) in itertools.product(
        TRUST.items(), LISTS.items(), REST.items()
    ):
        kind = "self-signed" if trust == "self-signed" else "root"
        allow = {key: found[kind] for key, found in names.items() if found[kind]} if names else None
        if allow != {}:
            yield pytest.param({**who, **options, "allow": allow}, id=f"{trust}, {list_}, {rest}")


each_site = pytest.mark.parametrize("options", list(matrix()))


@each_site
def test_every_site_asks_for_a_certificate_and_trusts_somebody(options):
    server = only_server(render_site(**options))
    assert value(server, "ssl_verify_client") == ["on"]
    assert value(server, "ssl_client_certificate") == ["/etc/nginx/mtls/app/clients.pem"]
    assert int(value(server, "ssl_verify_depth")[0]) >= 1
    # This would authenticate clients too, before nginx 1.27.2.
    assert values(server, "ssl_trusted_certificate") == []
    # Without ssl there would be no verification at all.
    assert all("ssl" in words for words in values(server, "listen"))
    assert len(values(server, "listen")) == 2


@each_site
def test_no_bundle_is_empty(options):
    [site] = completed_sites(wanted_site(**options))
    text = render("clients.pem.j2", site=site, **variables([site]))
    trusted = [*site["access"]["authorities"], *site["access"]["clients"]]
    assert trusted
    assert re.findall(r"BEGIN CERTIFICATE-----\n(\w+)\n", text) == trusted
    for name in trusted:
        assert pem(name) in text.splitlines(keepends=True) or f"\n{pem(name)}" in text


@each_site
def test_every_location_repeats_the_whole_set_of_headers(options):
    server = only_server(render_site(**options))
    assert values(server, "proxy_set_header") == []
    locations = blocks(server, "location")
    assert locations
    header = options.get("identity_header", "X-SSL-DN")
    expected = {
        "Connection": "",
        "Host": "$host",
        "X-Forwarded-For": "$remote_addr",
        "X-Forwarded-Proto": "$scheme",
        **dict.fromkeys(IDENTITY_HEADERS, ""),
        header: "$ssl_client_s_dn",
    }
    for location in locations:
        found = values(location, "proxy_set_header")
        assert dict(found) == expected
        assert len(found) == len(expected)
    # A name with an underscore never gets that far.
    assert value(server, "underscores_in_headers") == ["off"]


@each_site
def test_each_rule_stands_on_an_exact_map(options):
    parsed = parse(render_site(**options))
    maps = {words[2]: (words[1], block) for words, block in parsed if words[0] == "map"}
    for _source, block in maps.values():
        pairs = [words for words, _inner in block]
        assert pairs[0] == ["default", "-"]
        assert len(pairs) > 1
        # The value repeats the key, whose case nginx does not look at.
        assert all(key == repeated for key, repeated in pairs[1:])
    [server] = blocks(parsed, "server")
    text = str(server)
    assert all(name in text for name in maps)
    assert bool(options["allow"]) == ("$mtls_verdict" in text)


@each_site
def test_who_is_in_the_maps(options):
    [_site] = completed_sites(wanted_site(**options))
    found = {
        words[2]: [key for (key, _value), _inner in block[1:]]
        for words, block in parse(render_site(**options))
        if words[0] == "map"
    }
    allow = options["allow"] or {}
    names = {"services1": "services1 <- CN=Example Services CA", "lonely": "lonely <- CN=lonely"}
    issuers = {"services": "CN=Example Services CA", "robots": "CN=Example Robots CA"}
    expected = {
        "$mtls_app_trusted_issuer": list(issuers.values())
        if options["client_authority"] == "services"
        else [],
        "$mtls_app_allowed_caller": [f"CN={names[name]}" for name in allow.get("clients", [])],
        "$mtls_app_allowed_issuer": [issuers[name] for name in allow.get("issuers", [])],
        "$mtls_app_allowed_subject": allow.get("subjects", []),
    }
    assert found == {name: keys for name, keys in expected.items() if keys}


@each_site
def test_the_verdict_is_refused_until_a_rule_allows(options):
    server = only_server(render_site(**options))
    statements = [
        words
        for words, _inner in server
        if words[0] in ("set", "if") and "_issuer)" not in words[-1]
    ]
    if options["allow"] is None:
        assert statements == []
        return
    assert statements[0] == ["set", "$mtls_verdict", "refused"]
    assert statements[-1] == ["if", "($mtls_verdict", "!=", "allowed)"]
    rules = [inner for words, inner in server if words[0] == "if"]
    assert rules[-1] == [(["return", "403"], None)]
    refusing = 1 if options["client_authority"] == "services" else 0
    for inner in rules[refusing:-1]:
        assert inner == [(["set", "$mtls_verdict", "allowed"], None)]


@each_site
def test_the_rest_of_a_site(options):
    server = only_server(render_site(**options))
    assert value(server, "server_tokens") == ["off"]
    assert value(server, "ssl_session_tickets") == ["off"]
    assert value(server, "server_name") == ["app.example.com", *options.get("server_aliases", [])]
    [location] = blocks(server, "location")
    assert value(location, "proxy_http_version") == ["1.1"]
    assert value(location, "proxy_redirect") == ["off"]
    if "upstream" not in options:
        assert value(location, "proxy_pass") == ["http://mtls_app"]
        assert values(location, "proxy_ssl_verify") == []
        return
    assert value(location, "proxy_pass") == ["https://mtls_app/api/"]
    assert value(location, "proxy_ssl_verify") == ["on"]
    assert value(location, "proxy_ssl_server_name") == ["on"]
    assert value(location, "proxy_ssl_name") == ["backend.example.com"]
    assert value(location, "proxy_ssl_trusted_certificate") == [
        "/etc/ssl/certs/ca-certificates.crt"
    ]
    assert value(server, "ssl_certificate") == ["/etc/ssl/a.pem"]
    assert value(server, "ssl_certificate_key") == ["/etc/ssl/a.key"]
    assert value(server, "ssl_protocols") == ["TLSv1.2"]
    assert value(server, "ssl_ciphers") == ["ECDHE-RSA-AES128-GCM-SHA256"]
    assert value(server, "ssl_prefer_server_ciphers") == ["on"]
    assert value(server, "keepalive_timeout") == ["0s"]
    assert value(server, "ssl_session_timeout") == ["60s"]


@each_site
def test_the_text_is_tidy(options):
    for text in (render_site(**options), render_default(wanted_site(**options))):
        assert text.startswith("# Managed by edge.mtls; changes made here are lost.\n")
        assert text.endswith("}\n")
        assert not re.search(r"[ \t]$|\t|\n\n\n|\{\n\n|\n\n *\}", text, re.MULTILINE)
        depth = 0
        for line in text.splitlines():
            depth -= line.strip() == "}"
            assert line == "" or line == "    " * depth + line.strip(), line
            depth += line.endswith("{")


def test_modern_names_no_ciphers():
    server = only_server(render_site(tls_profile="modern"))
    assert value(server, "ssl_protocols") == ["TLSv1.3"]
    assert values(server, "ssl_ciphers") == []


def test_the_upstream_ca_may_be_a_file_of_its_own():
    text = render_site(upstream="https://b", upstream_ca_path="/etc/ssl/b.pem")
    [location] = blocks(only_server(text), "location")
    assert value(location, "proxy_ssl_trusted_certificate") == ["/etc/ssl/b.pem"]


@pytest.mark.parametrize("ipv6", [True, False])
def test_ipv6_is_listened_on_where_there_is_some(ipv6):
    host = {**HOST, "ipv6": ipv6}
    for text in (render_site(host), render_default(wanted_site(), host=host)):
        assert ("[::]:443" in text) is ipv6


# The default server.

TWO_PORTS = [
    wanted_site(),
    wanted_site(name="b", server_name="b.example.com"),
    wanted_site(name="c", server_name="c.example.com", listen_port=8443, tls_profile="modern"),
]


def test_each_port_turns_unknown_names_away():
    servers = blocks(parse(render_default(*TWO_PORTS)), "server")
    assert [values(server, "listen") for server in servers] == [
        [["443", "ssl", "default_server"], ["[::]:443", "ssl", "default_server"]],
        [["8443", "ssl", "default_server"], ["[::]:8443", "ssl", "default_server"]],
    ]
    for server in servers:
        assert value(server, "ssl_reject_handshake") == ["on"]
        # Whoever names a site in the handshake and nobody in the request arrives here, too.
        assert value(server, "return") == ["444"]
        assert blocks(server, "location") == []
        assert value(server, "underscores_in_headers") == ["off"]
    assert [value(server, "ssl_protocols") for server in servers] == [
        ["TLSv1.2", "TLSv1.3"],
        ["TLSv1.3"],
    ]


@pytest.mark.parametrize(
    ("version", "can_reject"),
    [("1.18.0", False), ("1.19.3", False), ("1.19.4", True), ("1.31.0", True), (None, True)],
)
def test_an_nginx_that_cannot_reject_hangs_up(version, can_reject):
    host = {**HOST, "nginx": {"version": version, "tls_library": "OpenSSL 1.1.1f"}}
    server = only_server(render_default(wanted_site(), host=host))
    assert value(server, "return") == ["444"]
    assert values(server, "ssl_reject_handshake") == ([["on"]] if can_reject else [])
    certificate = [] if can_reject else [["/etc/nginx/mtls/app/fullchain.pem"]]
    assert values(server, "ssl_certificate") == certificate
    assert values(server, "ssl_verify_client") == []


def test_before_nginx_is_there_the_plan_is_for_a_current_one():
    host = {"ipv6": True, "nginx": None}
    assert "ssl_reject_handshake on;" in render_default(wanted_site(), host=host)


def test_a_site_and_the_default_server_share_their_tls_settings():
    default = blocks(parse(render_default(*TWO_PORTS)), "server")[0]
    sites = completed_sites(*TWO_PORTS)
    site = only_server(render("site.conf.j2", site=sites[0], **variables(sites)))
    for name in (
        "ssl_protocols", "ssl_ciphers", "ssl_prefer_server_ciphers", "ssl_ecdh_curve",
        "ssl_session_cache", "ssl_session_timeout", "ssl_session_tickets",
    ):  # fmt: skip
        assert value(site, name) == value(default, name)


@pytest.mark.parametrize(
    ("options", "directive"),
    [
        pytest.param(
            {"allow": {"subjects": ["CN=" + "a" * 44]}},
            ["map_hash_bucket_size", "128"],
            id="long subject",
        ),
        pytest.param(
            {"server_name": "a" * 47}, ["server_names_hash_bucket_size", "128"], id="long name"
        ),
    ],
)
def test_larger_buckets_are_asked_for_when_they_are_needed(options, directive):
    assert directive in [words for words, _block in parse(render_default(wanted_site(**options)))]
    assert "bucket_size" not in render_default(wanted_site())


def session_cache(*sites, **given):
    completed = completed_sites(*sites)
    found = variables(completed, **given)
    return value(
        only_server(render("site.conf.j2", site=completed[0], **found)), "ssl_session_cache"
    )


def test_other_trust_ends_old_sessions():
    before = session_cache(wanted_site())
    assert session_cache(wanted_site()) == before
    assert re.fullmatch(r"shared:mtls_443_[0-9a-f]{8}:10m", before[0])
    # Another authority, and another key of the same one.
    assert session_cache(wanted_site(client_authority="other")) != before
    renewed = [{"name": each["name"], "generations": pem("renewed")} for each in AUTHORITIES]
    assert session_cache(wanted_site(), __mtls_pki_authority={"results": renewed}) != before
    # A list is looked at with every request, so it ends none.
    assert session_cache(wanted_site(allow=CLIENT1)) == before
    # All sites of a port share one cache.
    other = wanted_site(name="b", server_name="b.example.com", client_authority="other")
    assert session_cache(wanted_site(), other) not in (before, session_cache(wanted_site()))
    elsewhere = {**other, "listen_port": 8443}
    assert session_cache(wanted_site(), elsewhere) == before


# What is written where.


def switched(family, *sites):
    completed = completed_sites(*sites)
    rendered = [
        {
            "name": site["name"],
            "site": "site",
            "clients": "clients",
            "fullchain": "fullchain",
            "source": site["certificate"]["source"],
        }
        for site in completed
    ]
    found = variables(completed, family, __mtls_gateway_rendered_sites=rendered)
    files = yaml.safe_load(render("files.yml.j2", **found))
    links = yaml.safe_load(render("links.yml.j2", **found))
    return {each["path"]: each["content"] for each in files}, {
        each["path"]: each["target"] for each in links or []
    }


def test_on_debian_a_site_is_a_file_and_a_link():
    files, links = switched("Debian", wanted_site())
    available, enabled = "/etc/nginx/sites-available", "/etc/nginx/sites-enabled"
    assert list(files)[:-1] == [
        "/etc/nginx/mtls/app/clients.pem",
        "/etc/nginx/mtls/app/fullchain.pem",
        f"{available}/mtls-app.conf",
    ]
    assert sorted(links) == sorted(path.replace(available, enabled) for path in list(files)[2:])
    assert all(target == path.replace(enabled, available) for path, target in links.items())


@pytest.mark.parametrize("family", ["RedHat", "Archlinux"])
def test_elsewhere_a_site_is_a_file(family):
    files, links = switched(family, wanted_site())
    assert "/etc/nginx/conf.d/mtls-app.conf" in files
    assert links == {}


@pytest.mark.parametrize("name", ["0", "00", "a", "z"])
def test_nginx_reads_the_bucket_size_before_the_first_map(name):
    files, _links = switched("RedHat", wanted_site(name=name))
    in_order = sorted(path for path in files if path.endswith(".conf"))
    assert files[in_order[0]].startswith("# Managed by edge.mtls")
    assert in_order[1].endswith(f"/mtls-{name}.conf")


@pytest.mark.parametrize(
    "source", [FILES, {"source": "self_signed"}], ids=lambda each: each["source"]
)
def test_a_certificate_of_another_source_is_not_written(source):
    files, _links = switched("Debian", wanted_site(certificate=source))
    assert "/etc/nginx/mtls/app/fullchain.pem" not in files


@pytest.mark.parametrize("family", ["Debian", "RedHat"])
def test_no_site_leaves_nothing(family):
    assert switched(family) == ({}, {})
