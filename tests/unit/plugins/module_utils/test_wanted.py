# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user wrote: checked key by key, and documented as it is checked."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import options
from ansible_collections.edge.mtls.plugins.module_utils.wanted import (
    CLIENT_SPEC,
    SITE_SPEC,
    complete,
    entries,
)

ROLES = Path(__file__).parents[4] / "roles"
DEFAULTS = {"key_type": "P-256", "valid_days": 365, "renew_before_days": 30}


def documented(role, variable):
    spec = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())
    return spec["argument_specs"]["main"]["options"][variable]["options"]


def contract(spec):
    """Keep of a specification what decides what a user may write."""
    return {
        name: {
            "type": option["type"],
            "elements": option.get("elements"),
            "choices": option.get("choices"),
            "default": option.get("default"),
            "required": option.get("required", False),
            "options": contract(option.get("options", {})),
        }
        for name, option in spec.items()
    }


@pytest.mark.parametrize(
    ("role", "variable", "spec"),
    [
        pytest.param("mtls_pki", "mtls_pki_authorities", options.AUTHORITY, id="authorities"),
        pytest.param("mtls_pki", "mtls_pki_profiles", options.PROFILE, id="profiles"),
        pytest.param("mtls_pki", "mtls_pki_revoked", options.REVOCATION, id="revocations"),
        pytest.param("mtls_pki", "mtls_pki_clients", CLIENT_SPEC, id="clients"),
        pytest.param("mtls_gateway", "mtls_gateway_sites", SITE_SPEC, id="sites"),
    ],
)
def test_what_is_checked_is_what_is_documented(role, variable, spec):
    assert contract(spec) == contract(documented(role, variable))


def site(**options):
    return {"name": "app", "server_name": "a", "upstream": "http://b", **options}


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        pytest.param(None, "mtls_gateway_sites must be a list of entries", id="null"),
        pytest.param({"name": "app"}, "mtls_gateway_sites must be a list", id="not a list"),
        pytest.param(["app"], "mtls_gateway_sites[0] must be a dictionary such as", id="a word"),
        pytest.param(
            [site(), {"name": "b"}],
            "mtls_gateway_sites[1] (b): missing required arguments: server_name, upstream",
            id="missing keys",
        ),
        pytest.param(
            [site(server_name=None)],
            "mtls_gateway_sites[0] (app): server_name is empty; it must be given",
            id="required and null",
        ),
        pytest.param(
            [site(trusted_clients=None)],
            "mtls_gateway_sites[0] (app): argument 'trusted_clients' is of type NoneType",
            id="null where there is a default",
        ),
        pytest.param(
            [site(allow={"clients": None})],
            "mtls_gateway_sites[0] (app): argument 'clients' is of type NoneType",
            id="null inside",
        ),
        pytest.param(
            [site(certificate=None)],
            "mtls_gateway_sites[0] (app): certificate is empty; say what it should hold",
            id="null for a dictionary",
        ),
        pytest.param(
            [{}], "mtls_gateway_sites[0]: missing required arguments: name, server_name", id="empty"
        ),
        pytest.param(
            [site(upsteam="x")],
            "mtls_gateway_sites[0] (app): upsteam is not known here; did you mean upstream?",
            id="mistyped key",
        ),
        pytest.param(
            [site(zzz=1)],
            "mtls_gateway_sites[0] (app): zzz is not known here; it may have name, server_name, ",
            id="unknown key",
        ),
        pytest.param(
            [site(allow={"client": ["a"]})],
            "mtls_gateway_sites[0] (app): allow: client is not known here; did you mean clients?",
            id="mistyped inner key",
        ),
        pytest.param(
            [site(allow=None)],
            "mtls_gateway_sites[0] (app): allow is empty; say what it should hold, or leave it out",
            id="null where everybody would be let in",
        ),
        pytest.param(
            [site(allow=["client1"])], "mtls_gateway_sites[0] (app): ", id="list for a dictionary"
        ),
        pytest.param(
            [site(listen_port="https")], "mtls_gateway_sites[0] (app): ", id="not a number"
        ),
        pytest.param(
            [site(tls_profile="old")],
            "mtls_gateway_sites[0] (app): value of tls_profile must be one of: intermediate, ",
            id="not a choice",
        ),
    ],
)
def test_a_mistake_is_said_with_the_variable_and_the_entry(value, sentence):
    with pytest.raises(MtlsError) as caught:
        entries(value, SITE_SPEC, "mtls_gateway_sites")
    assert str(caught.value).startswith(sentence)


def test_values_get_their_types_and_defaults():
    [found] = entries(
        [site(listen_port="8443", server_aliases="a,b", certificate={"valid_days": "90"})],
        SITE_SPEC,
        "mtls_gateway_sites",
    )
    assert (found["listen_port"], found["server_aliases"]) == (8443, ["a", "b"])
    assert found["certificate"]["valid_days"] == 90
    assert (found["certificate"]["source"], found["certificate"]["key_type"]) == (
        "authority",
        "P-256",
    )
    assert (found["allow"], found["client_authority"], found["trusted_clients"]) == (None, None, [])


def test_null_is_nothing_where_there_is_no_default():
    assert entries([site(client_authority=None, tls_ciphers=None)], SITE_SPEC, "x") == entries(
        [site()], SITE_SPEC, "x"
    )


def test_what_the_user_wrote_is_not_changed():
    written = site(allow={"clients": ["a"]}, certificate={})
    entries([written], SITE_SPEC, "mtls_gateway_sites")
    assert written == site(allow={"clients": ["a"]}, certificate={})


def test_without_a_host_the_sites_are_left_alone():
    found = complete([{"name": "root"}], [{"name": "client1"}], False, DEFAULTS, sites="nonsense")
    assert sorted(found) == ["authorities", "clients", "profiles", "revoked"]
