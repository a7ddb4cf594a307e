# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One switch of nginx's configuration: compare, write, test, load, and take back what failed."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import MtlsError
from ..packages import is_as_packaged
from .main_file import with_include, without_servers
from .service import Nginx
from .transaction import (
    Change,
    Content,
    Journal,
    Link,
    State,
    changes,
    check_space,
    put,
    remove_temporaries,
    state_of,
)

# The first line of every configuration file that this collection writes.
MARKER = "# Managed by edge.mtls"
# What a site has in its folder below the state's.
SITE_FILES = ("clients.pem", "fullchain.pem", "key-*.pem")


def switch(
    files: list[dict[str, str]],
    links: list[dict[str, str]],
    owned_paths: list[str],
    welcome_sites: list[str],
    watched_paths: list[str],
    state_path: str,
    nginx_path: str | None,
    check_mode: bool,
    included: str | None = None,
    purge: bool = False,
    main_path: str = "/etc/nginx/nginx.conf",
) -> dict[str, Any]:
    """Bring nginx's files to what is wanted, all or nothing.

    :raises MtlsError: nginx refused them, and everything is as it was; or they can't be written.
    """
    wanted: dict[str, State] = {each["path"]: Content(each["content"]) for each in files}
    wanted.update({each["path"]: Link(each["target"]) for each in links})
    read_by_nginx = [*wanted, *watched_paths]
    for path in [*wanted, *owned_paths, *watched_paths, state_path]:
        if not os.path.isabs(path):
            raise MtlsError(f"{path!r} must be an absolute path")

    def compare() -> list[Change]:
        main_file = os.path.realpath(main_path)
        # The main file is edited, also where it is a link; any other link is taken away.
        sites = [main_file if path == main_path else path for path in welcome_sites]
        states = _without_welcome_sites(sites)
        if included:
            _add_include(states, main_file, included)
        return _checked({**wanted, **states}, owned_paths)

    try:
        if check_mode:
            purged = _purge(state_path, wanted, delete=False) if purge else []
            return _result(compare(), "", False, purged)
        if nginx_path is None:
            raise MtlsError("nginx_path is needed outside check mode: where is nginx?")
        journal = Journal(state_path)
        # Only one run at a time: a second one would take the journal of the first for that of a
        # run that was killed.
        with journal.held():
            restored = journal.restore()
            remove_temporaries([*wanted, main_path])
            due = compare()
            applied = _apply(
                Nginx(nginx_path),
                journal,
                due,
                Path(state_path) / ".loaded.json",
                read_by_nginx,
                _server_names(files),
                restored,
            )
            purged = _purge(state_path, wanted, delete=True) if purge else []
    except OSError as error:
        path = error.filename or state_path
        raise MtlsError(f"{path} can't be written: {error.strerror}") from error
    return _result(due, applied, restored, purged)


def _without_welcome_sites(paths: list[str]) -> dict[str, State]:
    """Say what takes welcome sites away: a link goes, a server in a file is commented out."""
    states: dict[str, State] = {}
    for path in paths:
        if not is_as_packaged(path):
            continue
        found = state_of(path)
        if isinstance(found, Content):
            states[path] = replace(found, text=without_servers(found.text))
        else:
            states[path] = None
    return states


def _add_include(states: dict[str, State], path: str, pattern: str) -> None:
    """Have the main file include the pattern; on a bare host (check mode) there is none yet."""
    found = states.get(path) or state_of(path)
    if isinstance(found, Content):
        states[path] = replace(found, text=with_include(found.text, pattern, path))


def _checked(wanted: dict[str, State], owned_paths: list[str]) -> list[Change]:
    """Compare what is wanted with what is there, and refuse to touch what isn't ours."""
    unwanted: dict[str, State] = {
        path: None
        for pattern in owned_paths
        for path in sorted(glob.glob(pattern))
        if path not in wanted and _is_marked(path)
    }
    due = changes({**wanted, **unwanted})
    for change in due:
        if isinstance(change.after, Content) and isinstance(change.before, Link):
            raise MtlsError(f"{change.path} is a link where a file belongs; move it away")
        if isinstance(change.after, Link) and isinstance(change.before, Content):
            raise MtlsError(f"{change.path} is a file where a link belongs; move it away")
        if (
            isinstance(change.before, Content)
            and isinstance(change.after, Content)
            and change.after.text.startswith(MARKER)
            and not change.before.text.startswith(MARKER)
        ):
            raise MtlsError(
                f"{change.path} was not written by this collection; move it away or name the site "
                "differently"
            )
    return due


def _apply(
    nginx: Nginx,
    journal: Journal,
    due: list[Change],
    loaded: Path,
    read_by_nginx: list[str],
    server_names: set[str],
    restored: bool,
) -> str:
    if due:
        check_space(str(loaded.parent), due)
        journal.begin(due)
    # After a killed run nobody knows what nginx has loaded.
    memory_is_unsure = restored
    try:
        _write_all(due)
        seen = _fingerprints(read_by_nginx)
        running = nginx.is_running()
        is_current = running and not nginx.is_outdated() and _last_loaded(loaded) == seen
        if is_current and not due and not restored:
            return ""
        words = nginx.test(server_names)
        if words is not None:
            raise MtlsError(f"nginx refuses the configuration: {words}")
        memory_is_unsure = True
        applied = nginx.apply()
    except BaseException as error:
        if due:
            put_back = _put_back(nginx, journal, reload=memory_is_unsure)
            if isinstance(error, MtlsError):
                raise MtlsError(f"{error}; {put_back}") from error
        raise
    journal.end()
    put(str(loaded), Content(json.dumps(seen, indent=1) + "\n"))
    return applied


def _write_all(due: list[Change]) -> None:
    for change in due:
        try:
            put(change.path, change.after)
        except OSError as error:
            raise MtlsError(f"{change.path} can't be written: {error.strerror}") from error


def _put_back(nginx: Nginx, journal: Journal, reload: bool) -> str:
    """Put everything back as the journal has it; say how that went."""
    try:
        journal.restore()
        if reload and nginx.is_running():
            nginx.apply()
    except OSError as error:
        return f"putting everything back failed too ({error.strerror}); the next run will do it"
    except MtlsError as error:
        return f"everything was put back, but: {error}"
    return "everything was put back"


def _purge(state_path: str, wanted: dict[str, State], delete: bool) -> list[str]:
    """Delete what sites that are gone have left in their folders; name the sites.

    Only files of ours go. A folder that somebody else keeps something in stays.
    """
    purged = []
    for folder in sorted(path for path in Path(state_path).glob("*") if path.is_dir()):
        if any(Path(path).parent == folder for path in wanted):
            continue
        ours = [path for pattern in SITE_FILES for path in folder.glob(pattern)]
        if not ours:
            continue
        purged.append(folder.name)
        if delete:
            for path in ours:
                path.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()
    return purged


def _result(due: list[Change], applied: str, restored: bool, purged: list[str]) -> dict[str, Any]:
    return {
        "changed": bool(due or applied or restored or purged),
        "changed_paths": [change.path for change in due],
        "purged": purged,
        "applied": applied,
        "restored": restored,
        "diff": [change.diff() for change in due],
    }


def _fingerprints(paths: list[str]) -> dict[str, str]:
    """Tell by content what nginx reads; a link counts as what it points to."""
    found = {}
    for path in sorted(paths):
        try:
            found[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError:
            found[path] = ""
    return found


def _last_loaded(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _server_names(files: list[dict[str, str]]) -> set[str]:
    """List the names that the files give their servers, but for the placeholder."""
    found: set[str] = set()
    for each in files:
        for names in re.findall(r"^\s*server_name\s([^;]*);", each["content"], re.MULTILINE):
            found.update(names.split())
    return found - {"_"}


def _is_marked(path: str) -> bool:
    """Tell whether this collection wrote a file, or what a link points to."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MARKER)) == MARKER.encode()
    except OSError:
        return False
