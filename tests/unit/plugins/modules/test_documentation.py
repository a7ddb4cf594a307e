# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module documents is what it takes, down to the last suboption."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.edge.mtls.plugins.modules import (
    authority,
    certificates,
    pki_info,
    revocations,
    store_index,
)

FRAGMENTS = Path(__file__).parents[4] / "plugins/doc_fragments"
KEYS = ("type", "elements", "choices", "default", "required")


def of_specification(spec):
    return {
        name: {
            **{key: option[key] for key in KEYS if option.get(key) not in (None, False)},
            "options": of_specification(option.get("options", {})),
        }
        for name, option in spec.items()
    }


def of_documentation(options):
    return {
        name: {
            **{key: option[key] for key in KEYS if option.get(key) not in (None, False)},
            "options": of_documentation(option.get("suboptions", {})),
        }
        for name, option in options.items()
    }


def fragment(name):
    values: dict[str, str] = {}
    text = (FRAGMENTS / f"{name.rsplit('.', 1)[-1]}.py").read_text()
    exec(text, {"__name__": name}, values)
    return yaml.safe_load(values["ModuleDocFragment"].DOCUMENTATION).get("options", {})


@pytest.mark.parametrize(
    "module",
    [authority, certificates, pki_info, revocations, store_index],
    ids=lambda module: module.__name__.rsplit(".", 1)[-1],
)
def test_the_documented_options_are_the_options(module):
    documentation = yaml.safe_load(module.DOCUMENTATION)
    options = documentation.get("options", {})
    for name in documentation.get("extends_documentation_fragment", []):
        options |= fragment(name)
    assert of_documentation(options) == of_specification(module.ARGUMENT_SPEC)
