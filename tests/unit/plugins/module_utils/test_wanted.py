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


# Every option of the PKI's variables, given wrongly, is said with the variable and the entry.

NO_LIST = {"a": 1}
BAD_AUTHORITY_OPTIONS = [
    ({"name": None}, "name is empty; it must be given"),
    ({"name": "a/b"}, "name must be 1 to 128 of"),
    ({"common_name": "a" * 65}, "common_name '"),
    ({"subject": "nonsense"}, "argument 'subject' is of type"),
    ({"subject": {"X": "y"}}, "the subject attribute 'X' must be one of"),
    ({"issuer": "x"}, "issuer 'x' is not one of mtls_pki_authorities (a)"),
    ({"key_type": "DSA"}, "value of key_type must be one of: P-256, "),
    ({"valid_days": "soon"}, "argument 'valid_days' is of type"),
    ({"valid_minutes": "soon"}, "argument 'valid_minutes' is of type"),
    ({"path_length": "deep"}, "argument 'path_length' is of type"),
    ({"permitted_names": NO_LIST}, "argument 'permitted_names' is of type"),
    ({"excluded_names": NO_LIST}, "argument 'excluded_names' is of type"),
    ({"certificate_policies": NO_LIST}, "argument 'certificate_policies' is of type"),
    ({"crl_urls": None}, "argument 'crl_urls' is of type NoneType"),
    ({"ca_issuers_urls": NO_LIST}, "argument 'ca_issuers_urls' is of type"),
    ({"ocsp_urls": NO_LIST}, "argument 'ocsp_urls' is of type"),
    ({"roll_over": "now"}, "value of roll_over must be one of: prepare, sign, move, retire"),
]
BAD_CLIENT_OPTIONS = [
    ({"name": "A"}, "name must be 1 to 128 of"),
    ({"profile": "x"}, "profile 'x' is not 'client' nor one of mtls_pki_profiles"),
    ({"issuer": "x"}, "issuer 'x' is not one of mtls_pki_authorities (root), nor 'self'"),
    ({"common_name": "a\nb"}, "common_name 'a\\nb' must be printable"),
    ({"subject": {"C": "Germany"}}, "the subject attribute C 'Germany' must"),
    ({"subject_alternative_names": NO_LIST}, "argument 'subject_alternative_names' is of type"),
    ({"key_type": "DSA"}, "value of key_type must be one of: P-256, "),
    ({"valid_days": "soon"}, "argument 'valid_days' is of type"),
    ({"valid_minutes": "soon"}, "argument 'valid_minutes' is of type"),
    ({"renew_before_days": "soon"}, "argument 'renew_before_days' is of type"),
    ({"renew_before_minutes": "soon"}, "argument 'renew_before_minutes' is of type"),
    ({"rekey": "perhaps"}, "argument 'rekey' is of type"),
    ({"reissue_revoked": "perhaps"}, "argument 'reissue_revoked' is of type"),
    ({"packs": ["rar"]}, "value of packs must be one or more of: pkcs12, "),
]
BAD_PROFILE_OPTIONS = [
    ({"name": None}, "name is empty; it must be given"),
    ({"base": "x"}, "value of base must be one of: client, server, peer"),
    ({"key_type": "DSA"}, "value of key_type must be one of: P-256, "),
    ({"valid_days": "soon"}, "argument 'valid_days' is of type"),
    ({"valid_minutes": "soon"}, "argument 'valid_minutes' is of type"),
    ({"renew_before_days": "soon"}, "argument 'renew_before_days' is of type"),
    ({"renew_before_minutes": "soon"}, "argument 'renew_before_minutes' is of type"),
    ({"key_usage": ["keyCertSign"]}, "value of key_usage must be one or more of"),
    ({"extended_key_usage": NO_LIST}, "argument 'extended_key_usage' is of type"),
    ({"certificate_policies": NO_LIST}, "argument 'certificate_policies' is of type"),
    ({"extensions": [{"oid": "1.2.3"}]}, "missing required arguments: value_base64"),
]
BAD_REVOCATION_OPTIONS = [
    ({"profile": "job"}, "value of profile must be one of: authority, client, server, peer"),
    ({"reason": "boredom"}, "value of reason must be one of: unspecified, "),
    ({"state": "gone"}, "value of state must be one of: revoked, released"),
]
TABLES = {
    "mtls_pki_authorities": (BAD_AUTHORITY_OPTIONS, options.AUTHORITY),
    "mtls_pki_clients": (BAD_CLIENT_OPTIONS, CLIENT_SPEC),
    "mtls_pki_profiles": (BAD_PROFILE_OPTIONS, options.PROFILE),
    "mtls_pki_revoked": (BAD_REVOCATION_OPTIONS, options.REVOCATION),
}


@pytest.mark.parametrize(
    ("variable", "given", "sentence"),
    [
        pytest.param(variable, *each, id=f"{variable[9:]} {each[0]}"[:70])
        for variable, (table, _spec) in TABLES.items()
        for each in [*table, ({"nams": "x"}, "nams is not known here; did you mean name?")]
    ],
)
def test_a_wrong_option_of_the_pki_is_said_with_the_variable_and_the_entry(
    variable, given, sentence
):
    values = {
        "mtls_pki_authorities": [{"name": "root"}],
        "mtls_pki_clients": [],
        "mtls_pki_profiles": [],
        "mtls_pki_revoked": [],
    }
    values[variable] = [{"name": "a", **given}]
    authorities, clients, profiles, revoked = values.values()
    with pytest.raises(MtlsError) as caught:
        complete(authorities, clients, False, DEFAULTS, profiles=profiles, revoked=revoked)
    said = str(caught.value)
    assert said.startswith(f"{variable}[0] (")
    assert sentence in said
    assert "\n" not in said


@pytest.mark.parametrize("variable", TABLES)
def test_every_option_of_the_pki_is_in_a_table_of_bad_ones(variable):
    table, spec = TABLES[variable]
    tested = {option for given, _sentence in table for option in given}
    # Ansible makes a text of anything; what is wrong with that one shows where it is used.
    texts = {
        option
        for option, each in spec.items()
        if each["type"] in ("str", "path") and "choices" not in each
    }
    assert tested <= set(spec)
    assert set(spec) - tested <= texts


@pytest.mark.parametrize("variable", TABLES)
@pytest.mark.parametrize(
    "value",
    [pytest.param(None, id="null"), pytest.param("a", id="a word"), pytest.param({}, id="one")],
)
def test_a_variable_that_is_no_list_is_named(variable, value):
    values = {each: [] for each in TABLES} | {variable: value}
    authorities, clients, profiles, revoked = values.values()
    with pytest.raises(MtlsError, match=f"{variable} must be a list of entries"):
        complete(authorities, clients, False, DEFAULTS, profiles=profiles, revoked=revoked)
