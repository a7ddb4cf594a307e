"""Contracts that hold for the collection as a whole, so that its parts cannot drift."""

from __future__ import annotations

import ast
import os
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).parent.parent.parent
ROLES = sorted((CHECKOUT / "roles").glob("mtls_*"))
MODULES = sorted((CHECKOUT / "plugins/modules").glob("*.py"))
PIN = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)==(?P<version>[^;]+)(; (?P<marker>.+))?")

each_role = pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
each_module = pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def options(role: Path) -> dict[str, Any]:
    found: dict[str, Any] = load(role / "meta/argument_specs.yml")["argument_specs"]["main"]
    return found.get("options", {})


def pins() -> list[re.Match[str]]:
    lines = (CHECKOUT / "pins.txt").read_text().splitlines()
    matches = [(line, PIN.fullmatch(line)) for line in lines if not line.startswith("#")]
    assert [line for line, match in matches if not match] == []
    return [match for _line, match in matches if match]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@each_role
def test_role_defaults_are_the_documented_ones(role: Path) -> None:
    documented = {name: o["default"] for name, o in options(role).items() if "default" in o}
    assert (load(role / "defaults/main.yml") or {}) == documented


@each_role
def test_role_variables_start_with_the_name_of_the_role(role: Path) -> None:
    names = set(options(role))
    for path in [*role.glob("defaults/*.yml"), *role.glob("vars/*.yml")]:
        names |= set(load(path) or {})
    prefixes = (f"{role.name}_", f"__{role.name}_")
    assert sorted(name for name in names if not name.startswith(prefixes)) == []


def test_every_role_carries_the_prefix_of_the_collection() -> None:
    found = [path.name for path in (CHECKOUT / "roles").glob("*") if path.is_dir()]
    assert sorted(found) == [role.name for role in ROLES]


@each_module
def test_module_is_documented(module: Path) -> None:
    values = {
        target.id: ast.literal_eval(node.value)
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert yaml.safe_load(values["DOCUMENTATION"])["module"] == module.stem
    assert [
        task for task in yaml.safe_load(values["EXAMPLES"]) if f"edge.mtls.{module.stem}" in task
    ]
    assert isinstance(yaml.safe_load(values["RETURN"]) or {}, dict)


@each_module
def test_module_is_tested(module: Path) -> None:
    use = re.compile(rf"(edge\.mtls|plugins\.modules)(\.| import (\w+, )*){module.stem}\b")
    tests = [*(CHECKOUT / "tests").rglob("test_*.py"), *(CHECKOUT / "molecule").rglob("*.yml")]
    assert any(use.search(path.read_text()) for path in tests)


def test_each_package_is_pinned_once() -> None:
    seen = [(canonical(pin["name"]), pin["marker"]) for pin in pins()]
    assert sorted(seen, key=str) == sorted(set(seen), key=str)


def test_the_environment_holds_what_is_pinned() -> None:
    pinned = {(canonical(pin["name"]), pin["version"]) for pin in pins()}
    installed = {(canonical(d.name), d.version) for d in metadata.distributions()}
    beside = {item for item in installed if item[0] not in ("pip", "setuptools")}
    assert beside - pinned == set()


def test_the_oldest_pinned_ansible_core_is_the_oldest_that_is_allowed() -> None:
    tested = [pin["version"] for pin in pins() if pin["name"] == "ansible-core"]
    oldest = min(tuple(map(int, version.split("."))) for version in tested)
    allowed = load(CHECKOUT / "meta/runtime.yml")["requires_ansible"]
    assert allowed == f">={oldest[0]}.{oldest[1]}.0"


def test_programs_are_executable() -> None:
    files = [p for top in ("script", ".ci") for p in (CHECKOUT / top).iterdir() if p.is_file()]
    programs = [path for path in files if path.read_bytes().startswith(b"#!")]
    assert {"run", "site", "test"} <= {path.name for path in programs}
    assert [path.name for path in programs if not os.access(path, os.X_OK)] == []
