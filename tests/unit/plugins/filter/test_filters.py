# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters, as Ansible finds and documents them; what they do is tested with module_utils."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.edge.mtls.plugins.filter import bucket_size, proof
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.nginx.shared import (
    completed_site,
)

FOLDER = Path(__file__).parents[4] / "plugins/filter"
FILTERS = {**bucket_size.FilterModule().filters(), **proof.FilterModule().filters()}


def render(template, **variables):
    return Templar(DataLoader(), variables=variables).template(trust_as_template(template))


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_is_documented_under_its_name(name):
    found = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    assert found["DOCUMENTATION"]["name"] == name
    assert f"edge.mtls.{name}" in found["EXAMPLES"]
    assert found["RETURN"]["_value"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("map_bucket_size", {"allow": {"subjects": ["CN=" + "a" * 64]}}, id="maps"),
        pytest.param("server_names_bucket_size", {"server_name": "a" * 60}, id="server names"),
    ],
)
def test_bucket_sizes_in_a_template(name, options):
    sites = [completed_site(**options)]
    assert render(f"{{{{ sites | edge.mtls.{name} }}}}", sites=sites) == 128
    assert render(f"{{{{ sites | edge.mtls.{name} }}}}", sites=[completed_site()]) is None


def test_the_proof_in_a_template():
    facts = {
        "host": "here",
        "address": "192.0.2.1",
        "path": "/",
        "status": 200,
        "store_path": "/store",
        "ca_path": "",
        "clients": {"client/root1": {"fullchain_path": "/c", "key_path": "/k"}},
        "strangers": {"client/root1": {"fullchain_path": "/c", "key_path": "/k"}},
    }
    answer = {"outcome": "refused", "status": None, "error": "no", "content": "", "json": None}
    table = render(
        "{{ [answer | combine({'item': (sites | edge.mtls.proof_cases(facts))[-1]})]"
        " | edge.mtls.proof_table }}",
        sites=[completed_site()],
        facts=facts,
        answer=answer,
    )
    assert [(row["case"], row["passed"]) for row in table] == [("unknown server name", True)]
