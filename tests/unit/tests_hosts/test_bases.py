from __future__ import annotations

import os
import time

import pytest
from throwaway import bases
from throwaway.machine import Mirrors
from throwaway.process import HostsError, Interrupted

SOURCES = [("debian", b"one"), ("files/nginx.conf", b"two")]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, and bases that are built by making three files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(bases, "debian_mirrors", lambda: Mirrors("file:///none"))
    monkeypatch.setattr(bases, "_build", build)
    build.names = []
    return bases.cache_folder()


def build(name, folder, _mirrors):
    build.names.append(name)
    for path in ("usr/sbin/sshd", "usr/bin/python3", "etc/os-release"):
        (folder / "root" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "root" / path).touch()
    (folder / "built").touch()


def set_age(name, days):
    then = time.time() - days * 24 * 3600
    os.utime(bases.base_folder(name) / "built", (then, then))


def test_key_is_stable_whatever_the_order_of_the_files():
    assert bases.base_key("el9", SOURCES, "x86_64") == bases.base_key(
        "el9", reversed(SOURCES), "x86_64"
    )


def test_key_begins_with_the_name():
    assert bases.base_key("el9", SOURCES, "x86_64").startswith("el9-")


@pytest.mark.parametrize(
    ("name", "sources", "machine"),
    [
        pytest.param("el10", SOURCES, "x86_64", id="another base"),
        pytest.param("el9", SOURCES, "aarch64", id="another processor"),
        pytest.param("el9", SOURCES[:1], "x86_64", id="a file less"),
        pytest.param("el9", [SOURCES[0], ("files/nginx.conf", b"2")], "x86_64", id="content"),
        pytest.param("el9", [SOURCES[0], ("nginx.conf", b"two")], "x86_64", id="a file's name"),
        pytest.param("el9", [("debian", b"onetwo"), SOURCES[1]], "x86_64", id="moved bytes"),
    ],
)
def test_key_changes_with(name, sources, machine):
    assert bases.base_key(name, sources, machine) != bases.base_key("el9", SOURCES, "x86_64")


def test_key_ignores_the_readme():
    assert "README.md" not in {name for name, _ in bases.recipes()}


def test_every_recipe_is_there():
    recipes = {name for name, _ in bases.recipes()}
    assert {base.recipe for base in bases.BASES.values()} <= recipes


def test_plain_host_shares_the_base_of_debian12():
    assert bases.find_kind("debian12-plain").base == "debian12"


def test_unknown_kind_names_the_known_ones():
    with pytest.raises(HostsError, match="no kind of host named el8: choose from debian12"):
        bases.find_kind("el8")


def test_base_is_built_once(cache):
    bases.ensure(["debian12"])
    bases.ensure(["debian12", "debian12-plain"])
    assert build.names == ["debian12"]


def test_base_that_is_made_of_another_brings_it(cache):
    bases.ensure(["arch", "el10"])
    assert build.names[0] == "debian13"
    assert sorted(build.names) == ["arch", "debian13", "el10"]


@pytest.mark.parametrize("path", ["built", "root/usr/sbin/sshd"])
def test_broken_base_is_rebuilt(cache, path):
    bases.ensure(["debian12"])
    (bases.base_folder("debian12") / path).unlink()
    bases.ensure(["debian12"])
    assert build.names == ["debian12", "debian12"]


def test_half_built_base_is_rebuilt_from_nothing(cache):
    rubbish = bases.base_folder("debian12") / "root.part" / "rubbish"
    rubbish.mkdir(parents=True)
    bases.ensure(["debian12"])
    assert not rubbish.exists()


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        pytest.param(HostsError("no space"), HostsError, "debian12 cannot be built: no space"),
        pytest.param(Interrupted("Interrupted."), Interrupted, "Interrupted"),
    ],
)
def test_failed_build_leaves_only_its_log(cache, monkeypatch, error, raised, message):
    def fail(_name, folder, _mirrors):
        (folder / "root.part").mkdir()
        (folder / "log").write_text("why")
        raise error

    monkeypatch.setattr(bases, "_build", fail)
    with pytest.raises(raised, match=message):
        bases.ensure(["debian12"])
    assert [path.name for path in bases.base_folder("debian12").iterdir()] == ["log"]


def test_use_renews_the_stamp(cache):
    bases.ensure(["debian12"])
    set_age("debian12", days=20)
    bases.ensure(["debian12"])
    assert time.time() - (bases.base_folder("debian12") / "built").stat().st_mtime < 60


def outdated(cache, name):
    old = cache / name
    build("old", old, None)
    return old


def test_clean_removes_outdated_bases_and_keeps_current_ones(cache):
    bases.ensure(["debian12"])
    outdated(cache, "debian12-000000000000")
    assert bases.remove_unused(0) == ["debian12-000000000000"]
    assert bases.is_whole(bases.base_folder("debian12"))


def test_clean_of_everything_removes_current_ones_too(cache):
    bases.ensure(["debian12"])
    assert bases.remove_unused(0, also_current=True) == [bases.base_folder("debian12").name]


def test_build_removes_what_was_not_used_for_14_days(cache):
    week_old = outdated(cache, "debian12-000000000007")
    month_old = outdated(cache, "debian12-000000000030")
    for folder, days in ((week_old, 7), (month_old, 30)):
        then = time.time() - days * 24 * 3600
        os.utime(folder / "built", (then, then))
    bases.ensure(["debian12"])
    assert week_old.exists()
    assert not month_old.exists()
