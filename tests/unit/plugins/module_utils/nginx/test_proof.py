# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof: the right questions are asked, and every wrong answer is told from the right one."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.nginx.proof import (
    FORGED,
    UNKNOWN_NAME,
    proof_cases,
    proof_table,
)
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.nginx.shared import (
    CLIENTS,
    completed_site,
    completed_sites,
    wanted_site,
)


def credentials(store):
    return {
        f"client/{client['name']}": {
            "fullchain_path": f"{store}/{client['name']}/fullchain.pem",
            "key_path": f"{store}/{client['name']}/key.pem",
        }
        for client in CLIENTS
    }


FACTS = {
    "host": "Gateway1",
    "address": "192.0.2.1",
    "path": "/health",
    "status": 204,
    "clients": credentials("/store"),
    "strangers": credentials("/strangers"),
    "store_path": "/store",
    "ca_path": "",
}
RESTRICTED = {"client_authority": "services", "allow": {"clients": ["services1"]}}


def cases(*sites, **facts):
    return proof_cases(list(sites), {**FACTS, **facts})


def test_a_restricted_site_is_asked_by_everybody():
    assert [case["case"] for case in cases(completed_site(**RESTRICTED))] == [
        "certificate of services1",
        "services1 forging X-SSL-DN",
        "robots1, who is not on the list",
        "no certificate",
        "another authority's services1",
        "unknown server name",
    ]


def test_an_open_site_has_nobody_who_is_not_on_the_list():
    assert "403" not in str([case["expected"] for case in cases(completed_site())])


def test_a_site_for_strangers_to_the_pki_is_asked_without_a_certificate():
    site = completed_site(client_authority="other", allow={"subjects": ["CN=elsewhere"]})
    assert [case["case"] for case in cases(site)] == [
        "other1, who is not on the list",
        "no certificate",
        "unknown server name",
    ]


def test_every_site_is_asked():
    sites = completed_sites(
        wanted_site(), wanted_site(name="b", server_name="b.example.com", listen_port=8443)
    )
    found = cases(*sites)
    assert {case["site"] for case in found} == {"app", "b"}
    assert {case["request"]["url"] for case in found} == {
        "https://app.example.com:443/health",
        "https://b.example.com:8443/health",
        f"https://{UNKNOWN_NAME}:443/health",
        f"https://{UNKNOWN_NAME}:8443/health",
    }
    assert {case["request"]["connect_to"] for case in found} == {"192.0.2.1"}


def test_the_requests_show_what_they_say():
    by_name = {case["case"]: case for case in cases(completed_site(**RESTRICTED))}
    shown = {name: case["request"].get("client_certificate_path") for name, case in by_name.items()}
    assert shown == {
        "certificate of services1": "/store/services1/fullchain.pem",
        "services1 forging X-SSL-DN": "/store/services1/fullchain.pem",
        "robots1, who is not on the list": "/store/robots1/fullchain.pem",
        "no certificate": None,
        "another authority's services1": "/strangers/services1/fullchain.pem",
        "unknown server name": None,
    }
    # The server's own certificate is checked too, but for a name that it can't have.
    unverified = [name for name, case in by_name.items() if case["request"].get("verify") is False]
    assert unverified == ["unknown server name"]


def test_a_forger_tries_every_header_in_both_spellings():
    site = completed_site(identity_header="X-Caller")
    [forging] = [case for case in cases(site) if "forging" in case["case"]]
    headers = forging["request"]["headers"]
    assert {"X-Caller", "X_Caller", "X-SSL-DN", "X_SSL_DN", "Client-Cert", "Client_Cert"} <= set(
        headers
    )
    assert set(headers.values()) == {FORGED}
    assert forging["expected"]["header"] == "X-Caller"


@pytest.mark.parametrize(
    ("certificate", "expected"),
    [
        pytest.param({}, "/store/trust/root.pem", id="authority"),
        pytest.param({"authority": "people"}, "/store/trust/people.pem", id="another one"),
        pytest.param(
            {"source": "self_signed"}, "/store/trusted/app@gateway1.pem", id="self-signed"
        ),
        pytest.param(
            {"source": "files", "certificate_path": "/a", "key_path": "/b"}, None, id="files"
        ),
    ],
)
def test_what_the_server_s_certificate_must_come_from(certificate, expected):
    found = cases(completed_site(certificate=certificate))
    assert {case["request"]["trusted_certificate_path"] for case in found} == {expected}


def test_files_may_come_from_an_authority_that_is_named():
    certificate = {"source": "files", "certificate_path": "/a", "key_path": "/b"}
    found = cases(completed_site(certificate=certificate), ca_path="/etc/ca.pem")
    assert found[0]["request"]["trusted_certificate_path"] == "/etc/ca.pem"


# The judgement.

SITE = completed_site(**RESTRICTED)
CASES = {case["case"]: case for case in cases(SITE)}
ALLOWED, FORGING, NOT_LISTED, NOBODY, STRANGER, UNKNOWN = CASES


def backend(status=204, **headers):
    return answered(
        status,
        json={"service": "edge.mtls sample backend", "headers": {"Host": "a", **headers}},
    )


def answered(status, content="", json=None):
    return {
        "outcome": "answered",
        "status": status,
        "error": None,
        "content": content,
        "json": json,
    }


def unanswered(outcome, error="it said no"):
    return {"outcome": outcome, "status": None, "error": error, "content": "", "json": None}


RIGHT = {
    ALLOWED: backend(**{"X-SSL-DN": "CN=services1"}),
    FORGING: backend(**{"X-SSL-DN": "CN=services1"}),
    NOT_LISTED: answered(403),
    NOBODY: answered(400, "400 No required SSL certificate was sent"),
    STRANGER: answered(400, "400 The SSL certificate error"),
    UNKNOWN: unanswered("refused", "unrecognized name"),
}


def judge(case, answer):
    [row] = proof_table([{**answer, "item": CASES[case]}])
    return row


@pytest.mark.parametrize("case", CASES)
def test_the_right_answer_passes(case):
    row = judge(case, RIGHT[case])
    assert (row["passed"], row["failure"]) == (True, "")
    assert (row["site"], row["case"]) == ("app", case)


ANSWERS = {
    "let in": backend(**{"X-SSL-DN": "CN=services1"}),
    "let in elsewhere": answered(200),
    "failed": answered(500),
    "another 400": answered(400),
    "unreachable": unanswered("unreachable"),
    "another server": unanswered("unverified"),
    "refused": unanswered("refused"),
}
WRONG = [
    pytest.param(case, answer, id=f"{case}: {name}")
    for case in CASES
    for name, answer in ANSWERS.items()
    if (case, name) not in {(ALLOWED, "let in"), (FORGING, "let in"), (UNKNOWN, "refused")}
]


@pytest.mark.parametrize(("case", "answer"), WRONG)
def test_any_other_answer_fails(case, answer):
    row = judge(case, answer)
    assert not row["passed"]
    assert row["failure"]


@pytest.mark.parametrize(
    ("case", "answer", "failure"),
    [
        pytest.param(ALLOWED, answered(403), "it was answered with 403", id="kept out"),
        pytest.param(
            ALLOWED,
            answered(502),
            "it was answered with 502: the upstream does not answer",
            id="502",
        ),
        pytest.param(
            ALLOWED, answered(504), "it was answered with 504: the upstream is too slow", id="504"
        ),
        pytest.param(ALLOWED, unanswered("refused"), "it was refused (it said no)", id="refused"),
        pytest.param(
            ALLOWED,
            unanswered("unreachable"),
            "it was unreachable (it said no): is a firewall in the way?",
            id="unreachable",
        ),
        pytest.param(
            UNKNOWN, answered(200), "it was answered (200)", id="served where it should not be"
        ),
        pytest.param(
            NOBODY,
            answered(400, "400 Bad Request"),
            "the answer does not say 'No required SSL certificate was sent'",
            id="another 400",
        ),
        pytest.param(
            STRANGER,
            answered(400, "400 No required SSL certificate was sent"),
            "the answer does not say 'The SSL certificate error'",
            id="no certificate arrived",
        ),
        pytest.param(ALLOWED, backend(), "the backend saw None in X-SSL-DN", id="no name"),
        pytest.param(
            ALLOWED,
            backend(**{"X-SSL-DN": "CN=services2"}),
            "the backend saw 'CN=services2' in X-SSL-DN",
            id="another name",
        ),
        pytest.param(
            FORGING,
            backend(**{"X-SSL-DN": FORGED}),
            "the backend saw 'CN=forged' in X-SSL-DN",
            id="forged",
        ),
        pytest.param(
            FORGING,
            backend(**{"X-SSL-DN": ["CN=services1", FORGED]}),
            "the backend saw ['CN=services1', 'CN=forged'] in X-SSL-DN",
            id="forged beside the right one",
        ),
        pytest.param(
            FORGING,
            backend(**{"X-SSL-DN": "CN=services1", "Client-Cert": FORGED, "X_SSL_DN": FORGED}),
            "the backend saw the forged client-cert, x_ssl_dn",
            id="forged under other names",
        ),
    ],
)
def test_a_failure_says_what_is_wrong(case, answer, failure):
    row = judge(case, answer)
    assert (row["passed"], row["failure"]) == (False, failure)


def test_another_backend_s_answer_is_judged_by_its_status():
    assert judge(ALLOWED, answered(204, json={"headers": {}}))["passed"]
    assert judge(ALLOWED, answered(204, json=["a"]))["passed"]
    assert not judge(ALLOWED, answered(200, json={"headers": {}}))["passed"]


@pytest.mark.parametrize(
    ("case", "answer", "expected", "seen"),
    [
        pytest.param(ALLOWED, RIGHT[ALLOWED], "204", "204, backend saw CN=services1", id="allowed"),
        pytest.param(ALLOWED, answered(204), "204", "204", id="another backend"),
        pytest.param(
            NOBODY, RIGHT[NOBODY], "400", "400 No required SSL certificate was sent", id="nobody"
        ),
        pytest.param(UNKNOWN, RIGHT[UNKNOWN], "no handshake", "no handshake", id="unknown name"),
        pytest.param(UNKNOWN, unanswered("unreachable"), "no handshake", "unreachable", id="down"),
    ],
)
def test_the_table_shows_what_came(case, answer, expected, seen):
    row = judge(case, answer)
    assert (row["expected"], row["answer"]) == (expected, seen)
