# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One switch of nginx's configuration: all of it or nothing, wherever it is interrupted."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
from pathlib import Path

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.nginx import configuration
from ansible_collections.edge.mtls.plugins.module_utils.nginx.configuration import MARKER, switch

OURS = f"{MARKER}; changes made here are lost.\n"


class FakeNginx:
    """An nginx whose memory is a copy of its folder, and whose test looks for two words."""

    def __init__(self, folder):
        self.folder = folder
        self.running = True
        self.outdated = False
        # In a file, because it outlives the process that asks for a reload.
        self._memory = folder / "memory.json"
        self._load()
        self.calls = []
        self.fails = []

    def __call__(self, path):
        assert path == "/usr/sbin/nginx"
        return self

    def disk(self):
        """Return all files and links in nginx's folders, with their contents."""
        return {
            str(path.relative_to(self.folder)): os.readlink(path)
            if path.is_symlink()
            else path.read_text()
            for path in sorted(self.folder.glob("*/*"))
            if not path.is_dir() and "state/." not in str(path)
        }

    @property
    def memory(self):
        return json.loads(self._memory.read_text())

    def _load(self):
        self._memory.write_text(json.dumps(self.disk()))

    def test(self, server_names):
        self.calls.append("test")
        if "conflict" in server_names:
            return '[warn] conflicting server name "conflict" on 0.0.0.0:443, ignored'
        return "[emerg] bogus" if "bogus" in str(self.disk()) else None

    def is_running(self):
        return self.running

    def is_outdated(self):
        return self.outdated

    def apply(self):
        self.calls.append("apply")
        if self.fails:
            raise MtlsError(self.fails.pop())
        done = "started" if not self.running else "upgraded" if self.outdated else "reloaded"
        self.running, self.outdated = True, False
        self._load()
        return done


@pytest.fixture
def nginx(tmp_path, monkeypatch):
    for name in ("available", "enabled", "state"):
        (tmp_path / name).mkdir()
    fake = FakeNginx(tmp_path)
    monkeypatch.setattr(configuration, "Nginx", fake)
    return fake


def wanted(nginx, content="one\n", **options):
    available, enabled = (nginx.folder / name for name in ("available", "enabled"))
    return {
        "files": [
            {"path": f"{nginx.folder}/state/clients.pem", "content": f"clients of {content}"},
            {"path": f"{available}/mtls-app.conf", "content": f"{OURS}{content}"},
        ],
        "links": [{"path": f"{enabled}/mtls-app.conf", "target": f"{available}/mtls-app.conf"}],
        "owned_paths": [f"{available}/mtls-*.conf", f"{enabled}/mtls-*.conf"],
        "welcome_sites": [],
        "watched_paths": [],
        "state_path": f"{nginx.folder}/state",
        "nginx_path": "/usr/sbin/nginx",
        "check_mode": False,
        **options,
    }


def expected(nginx, content="one\n"):
    return {
        "available/mtls-app.conf": f"{OURS}{content}",
        "enabled/mtls-app.conf": f"{nginx.folder}/available/mtls-app.conf",
        "state/clients.pem": f"clients of {content}",
    }


def test_everything_is_written_tested_and_loaded(nginx):
    result = switch(**wanted(nginx))
    assert nginx.disk() == nginx.memory == expected(nginx)
    assert nginx.calls == ["test", "apply"]
    assert (result["changed"], result["applied"], result["restored"]) == (True, "reloaded", False)
    assert result["changed_paths"] == [
        f"{nginx.folder}/{name}"
        for name in ("state/clients.pem", "available/mtls-app.conf", "enabled/mtls-app.conf")
    ]
    assert [diff["after_header"] for diff in result["diff"]] == result["changed_paths"]


def test_a_second_run_leaves_everything_alone(nginx):
    switch(**wanted(nginx))
    nginx.calls.clear()
    assert switch(**wanted(nginx)) == {
        "changed": False,
        "changed_paths": [],
        "purged": [],
        "applied": "",
        "restored": False,
        "diff": [],
    }
    assert nginx.calls == []


# What sites that are gone have left.


def folders_of(nginx, *names):
    for name in names:
        folder = nginx.folder / "state" / name
        folder.mkdir(parents=True)
        for file in ("clients.pem", "fullchain.pem", "key-p-256.pem"):
            (folder / file).write_text(name)


def test_what_a_site_left_stays_unless_asked_for(nginx):
    folders_of(nginx, "gone")
    assert switch(**wanted(nginx, files=[], links=[]))["purged"] == []
    assert (nginx.folder / "state/gone/key-p-256.pem").exists()


def test_what_a_site_left_goes_when_asked_for(nginx):
    folders_of(nginx, "gone", "stays")
    (nginx.folder / "state/theirs").mkdir()
    (nginx.folder / "state/theirs/notes").write_text("mine")
    (nginx.folder / "state/gone-with-notes").mkdir()
    (nginx.folder / "state/gone-with-notes/key-ed25519.pem").write_text("key")
    (nginx.folder / "state/gone-with-notes/notes").write_text("mine")
    files = [{"path": f"{nginx.folder}/state/stays/clients.pem", "content": "x"}]
    options = wanted(nginx, files=files, links=[], purge=True)
    before = nginx.disk()
    plan = switch(**{**options, "check_mode": True})
    assert (plan["purged"], plan["changed"]) == (["gone", "gone-with-notes"], True)
    assert nginx.disk() == before
    assert switch(**options)["purged"] == ["gone", "gone-with-notes"]
    assert sorted(path for path in nginx.disk() if path.startswith("state/")) == []
    left = sorted(
        str(path.relative_to(nginx.folder / "state"))
        for path in nginx.folder.glob("state/[a-z]*/*")
    )
    assert left == [
        "gone-with-notes/notes",
        "stays/clients.pem",
        "stays/fullchain.pem",
        "stays/key-p-256.pem",
        "theirs/notes",
    ]
    assert switch(**options)["changed"] is False


def test_nothing_is_purged_when_nginx_refuses(nginx):
    folders_of(nginx, "gone")
    with pytest.raises(MtlsError, match="everything was put back"):
        switch(**wanted(nginx, "bogus", purge=True))
    assert (nginx.folder / "state/gone/key-p-256.pem").exists()


def test_a_program_that_was_replaced_is_a_reason(nginx):
    switch(**wanted(nginx))
    nginx.outdated = True
    result = switch(**wanted(nginx))
    assert (result["changed"], result["applied"], result["changed_paths"]) == (True, "upgraded", [])
    assert switch(**wanted(nginx))["changed"] is False


def test_check_mode_says_what_would_be_done_and_does_nothing(nginx):
    result = switch(**wanted(nginx, check_mode=True, nginx_path=None))
    assert (result["changed"], len(result["changed_paths"]), result["applied"]) == (True, 3, "")
    assert (nginx.disk(), nginx.calls) == ({}, [])
    assert os.listdir(nginx.folder / "state") == []


def test_check_mode_needs_no_folder(nginx):
    options = wanted(nginx, check_mode=True, state_path=f"{nginx.folder}/not/there")
    assert switch(**options)["changed"]
    assert not (nginx.folder / "not").exists()


def test_outside_check_mode_nginx_must_be_somewhere(nginx):
    with pytest.raises(MtlsError, match="nginx_path is needed outside check mode"):
        switch(**wanted(nginx, nginx_path=None))


def test_a_stopped_nginx_is_started(nginx):
    switch(**wanted(nginx))
    nginx.running = False
    result = switch(**wanted(nginx))
    assert (result["changed"], result["changed_paths"], result["applied"]) == (True, [], "started")


@pytest.mark.parametrize("option", ["files", "links", "owned_paths", "watched_paths", "state_path"])
def test_a_path_must_be_absolute(nginx, option):
    relative = {
        "files": [{"path": "a", "content": ""}],
        "links": [{"path": "a", "target": "b"}],
        "state_path": "a",
    }.get(option, ["a"])
    with pytest.raises(MtlsError, match="'a' must be an absolute path"):
        switch(**wanted(nginx, **{option: relative}))


# What isn't ours.


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        pytest.param(
            "available/mtls-app.conf",
            lambda path: path.write_text("server {}\n"),
            "was not written by this collection; move it away or name the site differently",
            id="file",
        ),
        pytest.param(
            "enabled/mtls-app.conf",
            lambda path: path.write_text(OURS),
            "is a file where a link belongs; move it away",
            id="file in place of a link",
        ),
        pytest.param(
            "available/mtls-app.conf",
            lambda path: path.symlink_to("/elsewhere"),
            "is a link where a file belongs; move it away",
            id="link in place of a file",
        ),
        pytest.param(
            "available/mtls-app.conf",
            lambda path: path.mkdir(),
            "is neither a file nor a link; take it out of the way first",
            id="folder",
        ),
    ],
)
@pytest.mark.parametrize("check_mode", [False, True], ids=["", "check mode"])
def test_what_is_not_ours_is_not_touched(nginx, name, make, sentence, check_mode):
    make(nginx.folder / name)
    before = nginx.disk()
    with pytest.raises(MtlsError) as caught:
        switch(**wanted(nginx, check_mode=check_mode))
    assert str(caught.value) == f"{nginx.folder}/{name} {sentence}"
    assert (nginx.disk(), nginx.calls) == (before, [])


def test_our_own_file_is_replaced_whatever_somebody_wrote_into_it(nginx):
    (nginx.folder / "available/mtls-app.conf").write_text(f"{OURS}edited\n")
    switch(**wanted(nginx))
    assert nginx.disk() == expected(nginx)


# What is not wanted any more.


def test_a_site_that_is_not_wanted_any_more_goes(nginx):
    switch(**wanted(nginx))
    result = switch(**wanted(nginx, files=[], links=[]))
    assert nginx.memory == nginx.disk() == {"state/clients.pem": "clients of one\n"}
    assert sorted(result["changed_paths"]) == [
        f"{nginx.folder}/available/mtls-app.conf",
        f"{nginx.folder}/enabled/mtls-app.conf",
    ]
    assert not switch(**wanted(nginx, files=[], links=[]))["changed"]


def test_only_what_is_ours_goes(nginx):
    (nginx.folder / "available/mtls-theirs.conf").write_text("server {}\n")
    (nginx.folder / "enabled/mtls-theirs.conf").symlink_to("../available/mtls-theirs.conf")
    (nginx.folder / "enabled/mtls-nowhere.conf").symlink_to("nowhere")
    (nginx.folder / "enabled/mtls-folder.conf").mkdir()
    before = nginx.disk()
    switch(**wanted(nginx))
    assert nginx.disk() == {**before, **expected(nginx)}


def test_what_had_to_go_comes_back_when_the_rest_is_refused(nginx):
    switch(**wanted(nginx))
    files = [{"path": f"{nginx.folder}/enabled/mtls-b.conf", "content": f"{OURS}bogus\n"}]
    with pytest.raises(MtlsError, match="everything was put back"):
        switch(**wanted(nginx, files=files, links=[]))
    assert nginx.disk() == nginx.memory == expected(nginx)


# The distribution's own site.


@pytest.fixture
def welcome_site(nginx, monkeypatch, tmp_path):
    """Put Debian's welcome site in place, and a dpkg that knows it."""
    site, link = nginx.folder / "available/default", nginx.folder / "enabled/default"
    site.write_text("server { listen 80 default_server; }\n")
    link.symlink_to(site)
    digest = hashlib.md5(site.read_bytes(), usedforsecurity=False).hexdigest()
    program = tmp_path / "bin/dpkg-query"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh
        case $1 in
        --search) echo "nginx-common: $2" ;;
        --show) printf ' /etc/nginx/nginx.conf 0\\n {site} {digest}\\n' ;;
        esac
        """
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return str(link)


def test_the_distribution_s_site_goes_and_a_second_run_is_quiet(nginx, welcome_site):
    options = wanted(nginx, welcome_sites=[welcome_site])
    assert welcome_site in switch(**options)["changed_paths"]
    assert not os.path.lexists(welcome_site)
    assert (nginx.folder / "available/default").exists()
    assert not switch(**options)["changed"]


def test_the_distribution_s_site_comes_back_with_the_rest(nginx, welcome_site):
    before = nginx.disk()
    with pytest.raises(MtlsError, match="everything was put back"):
        switch(**wanted(nginx, "bogus", welcome_sites=[welcome_site]))
    assert nginx.disk() == before


def test_the_servers_of_a_welcome_file_are_commented_out(nginx, welcome_site):
    # As nginx.org's packages bring it.
    site = nginx.folder / "available/default"
    options = wanted(nginx, welcome_sites=[str(site)])
    assert str(site) in switch(**options)["changed_paths"]
    assert site.read_text() == (
        "    # Taken out of the way by edge.mtls.\n#server { listen 80 default_server; }\n"
    )
    assert not switch(**options)["changed"]


def test_a_main_file_that_is_a_link_is_edited_and_stays_one(nginx, welcome_site):
    main_file = nginx.folder / "available/default"
    options = wanted(nginx, welcome_sites=[welcome_site], main_path=welcome_site)
    assert str(main_file) in switch(**options)["changed_paths"]
    assert os.readlink(welcome_site) == str(main_file)
    assert "#server { listen 80 default_server; }" in main_file.read_text()


def test_a_welcome_site_that_somebody_edited_stays(nginx, welcome_site):
    (nginx.folder / "available/default").write_text("server { listen 8080; }\n")
    switch(**wanted(nginx, welcome_sites=[welcome_site]))
    assert os.path.lexists(welcome_site)


def test_a_site_of_the_same_name_stays(nginx, welcome_site):
    Path(welcome_site).unlink()
    Path(welcome_site).write_text("server { listen 80 default_server; }\n")
    switch(**wanted(nginx, welcome_sites=[welcome_site]))
    assert os.path.exists(welcome_site)


def test_without_dpkg_it_stays(nginx, welcome_site, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    switch(**wanted(nginx, welcome_sites=[welcome_site]))
    assert os.path.lexists(welcome_site)


# What others write.


def test_a_watched_file_that_changed_is_loaded(nginx):
    watched = nginx.folder / "certificate.pem"
    watched.write_text("old")
    options = wanted(nginx, watched_paths=[str(watched)])
    switch(**options)
    assert not switch(**options)["changed"]
    watched.write_text("new")
    result = switch(**options)
    assert (result["changed"], result["changed_paths"], result["applied"]) == (True, [], "reloaded")
    assert not switch(**options)["changed"]


def test_a_watched_file_behind_a_link_counts(nginx):
    (nginx.folder / "1").write_text("old")
    (nginx.folder / "2").write_text("new")
    link = nginx.folder / "current"
    link.symlink_to("1")
    options = wanted(nginx, watched_paths=[str(link)])
    switch(**options)
    link.unlink()
    link.symlink_to("2")
    assert switch(**options)["applied"] == "reloaded"


def test_a_watched_file_that_is_not_there_is_for_nginx_to_refuse(nginx):
    options = wanted(nginx, watched_paths=["/not/there"])
    assert switch(**options)["applied"] == "reloaded"
    assert not switch(**options)["changed"]


def test_nobody_knows_what_was_loaded_when_the_note_is_gone(nginx):
    switch(**wanted(nginx))
    (nginx.folder / "state/.loaded.json").write_text("{")
    assert switch(**wanted(nginx))["applied"] == "reloaded"
    assert not switch(**wanted(nginx))["changed"]


# What nginx refuses.


@pytest.mark.parametrize("before", [None, "zero\n"], ids=["the first time", "later"])
def test_what_nginx_refuses_is_put_back(nginx, before):
    if before:
        switch(**wanted(nginx, before))
    disk, memory = nginx.disk(), nginx.memory
    nginx.calls.clear()
    with pytest.raises(MtlsError) as caught:
        switch(**wanted(nginx, "bogus\n"))
    assert str(caught.value) == (
        "nginx refuses the configuration: [emerg] bogus; everything was put back"
    )
    # nginx was not asked to load anything.
    assert nginx.calls == ["test"]
    assert (nginx.disk(), nginx.memory) == (disk, memory)
    assert switch(**wanted(nginx))["applied"] == "reloaded"


def test_a_name_that_another_server_has_is_refused(nginx):
    content = "server {\n    listen 443 ssl;\n    server_name a conflict\n        b;\n}\n"
    with pytest.raises(MtlsError, match=r'server name "conflict".*everything was put'):
        switch(**wanted(nginx, content))
    assert nginx.disk() == {}


def test_what_was_broken_before_is_not_called_ours(nginx):
    switch(**wanted(nginx))
    (nginx.folder / "enabled/theirs").write_text("bogus")
    nginx.running = False
    with pytest.raises(MtlsError) as caught:
        switch(**wanted(nginx))
    assert str(caught.value) == "nginx refuses the configuration: [emerg] bogus"


def test_a_reload_that_fails_is_put_back_and_loaded_again(nginx):
    switch(**wanted(nginx))
    nginx.calls.clear()
    nginx.fails = ["port taken"]
    with pytest.raises(MtlsError) as caught:
        switch(**wanted(nginx, "two\n"))
    assert str(caught.value) == "port taken; everything was put back"
    assert nginx.calls == ["test", "apply", "apply"]
    assert nginx.disk() == nginx.memory == expected(nginx)


def test_a_reload_that_fails_twice_is_said(nginx):
    switch(**wanted(nginx))
    nginx.fails = ["still taken", "port taken"]
    with pytest.raises(MtlsError) as caught:
        switch(**wanted(nginx, "two\n"))
    assert str(caught.value) == "port taken; everything was put back, but: still taken"
    assert nginx.disk() == expected(nginx)


def test_a_start_that_fails_leaves_nginx_stopped(nginx):
    nginx.running = False
    nginx.fails = ["port taken"]
    with pytest.raises(MtlsError, match=r"^port taken; everything was put back$"):
        switch(**wanted(nginx))
    assert (nginx.disk(), nginx.running) == ({}, False)


def test_an_nginx_that_cannot_be_run_is_a_failure_like_any_other(nginx, monkeypatch):
    def test(_server_names):
        raise MtlsError("nginx can't be run")

    monkeypatch.setattr(nginx, "test", test)
    with pytest.raises(MtlsError, match=r"^nginx can't be run; everything was put back$"):
        switch(**wanted(nginx))
    assert nginx.disk() == {}


def test_a_mistake_of_ours_is_put_back_too(nginx, monkeypatch):
    def test(_server_names):
        raise ZeroDivisionError

    monkeypatch.setattr(nginx, "test", test)
    with pytest.raises(ZeroDivisionError):
        switch(**wanted(nginx))
    assert nginx.disk() == {}


# Interrupted at every step.

# All that changes a disk.
STEPS = ["open", "fsync", "rename", "symlink", "unlink", "mkdir"]


def count_steps(monkeypatch, at_step):
    """Call ``at_step`` with the number of each step before it is taken."""
    taken = iter(range(10**6))

    def counting(function):
        def step(*arguments, **options):
            at_step(next(taken))
            return function(*arguments, **options)

        return step

    for name in STEPS:
        monkeypatch.setattr(os, name, counting(getattr(os, name)))


def run_and_die(options, step):
    """Run in a process that is killed before a step; tell whether it got that far."""
    child = os.fork()
    if child == 0:
        try:
            with pytest.MonkeyPatch.context() as patch:
                count_steps(
                    patch, lambda n: os.kill(os.getpid(), signal.SIGKILL) if n == step else None
                )
                switch(**options)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def every_step(attempt):
    """Try with each step in turn until there is none left; say how many there were."""
    step = 0
    while attempt(step):
        step += 1
    return step


@pytest.mark.parametrize(
    "next_one", ["two\n", "three\n", "bogus\n"], ids=["the same", "another", "a wrong one"]
)
def test_a_killed_run_is_undone_by_the_next_one(nginx, next_one):
    switch(**wanted(nginx))
    before = nginx.disk()

    def attempt(step):
        died = run_and_die(wanted(nginx, "two\n"), step)
        if next_one == "bogus\n":
            with pytest.raises(MtlsError, match="everything was put back"):
                switch(**wanted(nginx, next_one))
            # Killed after the last step but one, it was done already.
            assert nginx.disk() in (before, expected(nginx, "two\n"))
            assert nginx.memory == nginx.disk()
        else:
            switch(**wanted(nginx, next_one))
            assert nginx.disk() == expected(nginx, next_one)
            assert nginx.memory == expected(nginx, next_one)
        left = {name for name in os.listdir(nginx.folder / "state") if "mtls-new" in name}
        assert left <= {".mtls-new-.transaction.json", ".mtls-new-.loaded.json"}
        assert not list(nginx.folder.glob("[ae]*/.*"))
        switch(**wanted(nginx))
        assert nginx.disk() == before
        return died

    assert every_step(attempt) > 15


def test_what_a_killed_run_left_is_said_to_be_restored(nginx):
    switch(**wanted(nginx))
    # In the middle of it.
    assert run_and_die(wanted(nginx, "two\n"), 15)
    result = switch(**wanted(nginx))
    assert (result["changed"], result["changed_paths"], result["restored"]) == (True, [], True)
    assert not switch(**wanted(nginx))["changed"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param(errno.ENOSPC, "No space left on device", id="full disk"),
        pytest.param(errno.EROFS, "Read-only file system", id="read-only disk"),
    ],
)
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "from then on"])
def test_a_disk_that_fails_leaves_all_or_nothing(nginx, code, words, for_good):
    switch(**wanted(nginx))
    before = nginx.disk()

    def attempt(step):
        taken = []

        def fail(n):
            taken.append(n)
            if n == step or (for_good and n > step):
                raise OSError(code, words)

        with pytest.MonkeyPatch.context() as patch:
            count_steps(patch, fail)
            try:
                switch(**wanted(nginx, "two\n"))
                said = None
            except MtlsError as error:
                said = str(error)
                assert words in said
        if said is None:
            assert nginx.disk() == expected(nginx, "two\n")
        elif said.endswith("; everything was put back"):
            assert nginx.disk() == before
        if not for_good:
            assert nginx.disk() in (before, expected(nginx, "two\n"))
            assert nginx.disk() == nginx.memory
        # When the disk is well again, so is the site.
        switch(**wanted(nginx))
        assert nginx.disk() == nginx.memory == before
        return step in taken

    assert every_step(attempt) > 15


def test_the_path_that_cannot_be_written_is_named(nginx, monkeypatch):
    rename = os.rename

    def fail(source, target):
        if str(target).endswith("enabled/mtls-app.conf"):
            raise OSError(errno.EROFS, "Read-only file system")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(MtlsError) as caught:
        switch(**wanted(nginx))
    assert str(caught.value) == (
        f"{nginx.folder}/enabled/mtls-app.conf can't be written: Read-only file system; "
        "everything was put back"
    )
