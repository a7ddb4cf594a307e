# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof: which requests to send to a site, and whether the answers are the right ones."""

from __future__ import annotations

from typing import Any

# A name that no site has (RFC 6761 reserves .invalid).
UNKNOWN_NAME = "unknown.invalid"
FORGED = "CN=forged"


def proof_cases(sites: list[dict[str, Any]], facts: dict[str, Any]) -> list[dict[str, Any]]:
    """List the requests that show who gets in and who doesn't, each with its expected answer.

    :param sites: completed sites of one host.
    :param facts: ``host`` (inventory name), ``address`` (where to connect to), ``path`` and
        ``status`` (what to ask for, and what an allowed caller gets), ``clients`` and ``strangers``
        (what edge.mtls.certificates returned for the PKI's clients, and for those with the same
        subjects that no site trusts), ``store_path``, and ``ca_path`` (for certificates of the
        source "files"; empty for the system's own trust).
    """
    cases = []
    for site in sites:
        verdicts: dict[str, dict[str, Any]] = {}
        for caller in site["access"]["callers"]:
            verdicts.setdefault(caller["verdict"], caller)
        request = {
            "url": f"https://{site['server_name']}:{site['listen_port']}{facts['path']}",
            "connect_to": facts["address"],
            "trusted_certificate_path": _trusted_path(site, facts),
        }
        allowed = verdicts.get("allowed")
        blocked = verdicts.get("not on the list")
        if allowed:
            subject, header = allowed["subject"], site["identity_header"]
            with_certificate = {**request, **_files(facts["clients"], allowed["name"])}
            expected = {"status": facts["status"], "identity": subject, "header": header}
            cases.append(
                _case(site, f"certificate of {allowed['name']}", with_certificate, expected)
            )
            forged = dict.fromkeys([header, *site["blanked_headers"]], FORGED)
            forged.update({name.replace("-", "_"): FORGED for name in forged})
            cases.append(
                _case(
                    site,
                    f"{allowed['name']} forging {header}",
                    {**with_certificate, "headers": forged},
                    {**expected, "absent": FORGED},
                )
            )
        if blocked:
            cases.append(
                _case(
                    site,
                    f"{blocked['name']}, who is not on the list",
                    {**request, **_files(facts["clients"], blocked["name"])},
                    {"status": 403},
                )
            )
        cases.append(
            _case(
                site,
                "no certificate",
                request,
                {"status": 400, "text": "No required SSL certificate was sent"},
            )
        )
        if allowed:
            cases.append(
                _case(
                    site,
                    f"another authority's {allowed['name']}",
                    {**request, **_files(facts["strangers"], allowed["name"])},
                    {"status": 400, "text": "The SSL certificate error"},
                )
            )
        cases.append(
            _case(
                site,
                "unknown server name",
                # nginx before 1.19.4 shows a certificate before it hangs up, and for another name.
                {
                    **request,
                    "url": f"https://{UNKNOWN_NAME}:{site['listen_port']}{facts['path']}",
                    "verify": False,
                },
                {"outcome": "refused"},
            )
        )
    return cases


def proof_table(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Judge the answers.

    :param results: edge.mtls.probe's results, each with its case under ``item``.
    """
    table = []
    for result in results:
        case, expected = result["item"], result["item"]["expected"]
        failure = _failure(result, expected)
        table.append(
            {
                "site": case["site"],
                "case": case["case"],
                "expected": _expectation(expected),
                "answer": _answer(result, expected),
                "passed": failure is None,
                "failure": failure or "",
            }
        )
    return table


def _case(
    site: dict[str, Any], case: str, request: dict[str, Any], expected: dict[str, Any]
) -> dict[str, Any]:
    return {"site": site["name"], "case": case, "request": request, "expected": expected}


def _trusted_path(site: dict[str, Any], facts: dict[str, Any]) -> str | None:
    """Return the file that the server's certificate must come from, on the store's host."""
    certificate = site["certificate"]
    if certificate["source"] == "files":
        return facts["ca_path"] or None
    if certificate["source"] == "self_signed":
        return f"{facts['store_path']}/trusted/{site['name']}@{facts['host'].lower()}.pem"
    return f"{facts['store_path']}/trust/{certificate['authority']}.pem"


def _files(certificates: dict[str, dict[str, Any]], name: str) -> dict[str, str]:
    client = certificates[f"client/{name}"]
    return {
        "client_certificate_path": client["fullchain_path"],
        "client_key_path": client["key_path"],
    }


def _failure(result: dict[str, Any], expected: dict[str, Any]) -> str | None:
    """Say what is wrong with an answer, or None when it is the expected one."""
    wanted_outcome = expected.get("outcome", "answered")
    if result["outcome"] != wanted_outcome:
        hint = ": is a firewall in the way?" if result["outcome"] == "unreachable" else ""
        return f"it was {result['outcome']} ({result['error'] or result['status']}){hint}"
    if "status" in expected and result["status"] != expected["status"]:
        hints = {502: ": the upstream does not answer", 504: ": the upstream is too slow"}
        return f"it was answered with {result['status']}{hints.get(result['status'], '')}"
    if "text" in expected and expected["text"] not in result["content"]:
        return f"the answer does not say {expected['text']!r}"
    seen = _headers_seen(result)
    if seen is None:
        return None
    if "identity" in expected and seen.get(expected["header"].lower()) != expected["identity"]:
        return f"the backend saw {seen.get(expected['header'].lower())!r} in {expected['header']}"
    if "absent" in expected:
        passed_on = [name for name, value in seen.items() if expected["absent"] in str(value)]
        if passed_on:
            return f"the backend saw the forged {', '.join(passed_on)}"
    return None


def _headers_seen(result: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the backend says it received; only the sample backend says it."""
    body = result.get("json")
    if not isinstance(body, dict) or body.get("service") != "edge.mtls sample backend":
        return None
    return {name.lower(): value for name, value in body["headers"].items()}


def _expectation(expected: dict[str, Any]) -> str:
    if "outcome" in expected:
        return "no handshake"
    return f"{expected['status']}"


def _answer(result: dict[str, Any], expected: dict[str, Any]) -> str:
    if result["outcome"] == "refused":
        return "no handshake"
    if result["outcome"] != "answered":
        return str(result["outcome"])
    seen = _headers_seen(result)
    if seen is not None and "header" in expected:
        return f"{result['status']}, backend saw {seen.get(expected['header'].lower())}"
    if "text" in expected and expected["text"] in result["content"]:
        return f"{result['status']} {expected['text']}"
    return str(result["status"])
