# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One switch of nginx's configuration: compare, write, test, load, and take back what failed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from ..errors import MtlsError
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
)

# The first line of every configuration file that this collection writes.
MARKER = "# Managed by edge.mtls"


def switch(
    files: list[dict[str, str]],
    links: list[dict[str, str]],
    distribution_default_site: str | None,
    watched_paths: list[str],
    state_path: str,
    nginx_path: str | None,
    check_mode: bool,
) -> dict[str, Any]:
    """Bring nginx's files to what is wanted, all or nothing.

    :raises MtlsError: nginx refused them, and everything is as it was; or they can't be written.
    """
    wanted: dict[str, State] = {each["path"]: Content(each["content"]) for each in files}
    wanted.update({each["path"]: Link(each["target"]) for each in links})
    for path in [*wanted, *watched_paths, state_path]:
        if not os.path.isabs(path):
            raise MtlsError(f"{path!r} must be an absolute path")
    if distribution_default_site and _is_untouched(distribution_default_site):
        wanted[distribution_default_site] = None
    journal = Journal(state_path)
    try:
        if check_mode:
            return _result(_checked(wanted), "", False)
        if nginx_path is None:
            raise MtlsError("nginx_path is needed outside check mode: where is nginx?")
        nginx = Nginx(nginx_path)
        restored = journal.restore()
        remove_temporaries(list(wanted))
        due = _checked(wanted)
        read_by_nginx = [path for path, state in wanted.items() if state] + watched_paths
        applied = _apply(nginx, journal, due, state_path, read_by_nginx, restored)
    except OSError as error:
        if not check_mode:
            journal.restore()
        raise MtlsError(
            f"{error.filename or state_path} can't be written: {error.strerror}; "
            "nothing was changed"
        ) from error
    return _result(due, applied, restored)


def _checked(wanted: dict[str, State]) -> list[Change]:
    due = changes(wanted)
    for change in due:
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
        if isinstance(change.before, Content) and isinstance(change.after, Link):
            raise MtlsError(f"{change.path} is a file where a link belongs; move it away")
    return due


def _apply(
    nginx: Nginx,
    journal: Journal,
    due: list[Change],
    state_path: str,
    read_by_nginx: list[str],
    restored: bool,
) -> str:
    loaded = Path(state_path) / ".loaded.json"
    if due:
        check_space(state_path, due)
        journal.begin(due)
        for change in due:
            put(change.path, change.after)
    seen = _fingerprints(read_by_nginx)
    running = nginx.is_running()
    if not due and not restored and running and _last_loaded(loaded) == seen:
        return ""
    words = nginx.test()
    if words is not None:
        journal.restore()
        raise MtlsError(
            f"nginx refuses the configuration, so everything was put back: {words}"
            if due
            else f"nginx refuses its configuration: {words}"
        )
    try:
        applied = nginx.apply()
    except MtlsError as error:
        if journal.restore():
            if running:
                nginx.apply()
            raise MtlsError(f"{error}; everything was put back") from error
        raise
    put(str(loaded), Content(json.dumps(seen, indent=1) + "\n"))
    journal.end()
    return applied


def _result(due: list[Change], applied: str, restored: bool) -> dict[str, Any]:
    return {
        "changed": bool(due or applied or restored),
        "changed_paths": [change.path for change in due],
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


def _is_untouched(link: str) -> bool:
    """Tell whether a link leads to a file that still is as Debian's package brought it."""
    if not os.path.islink(link):
        return False
    target = os.path.realpath(link)
    try:
        listed = subprocess.run(
            ["dpkg-query", "--show", "--showformat", "${Conffiles}\n", "nginx-common"],
            capture_output=True, text=True, timeout=30, check=False,
        ).stdout  # fmt: skip
        content = Path(target).read_bytes()
    except (OSError, subprocess.SubprocessError):
        return False
    # MD5 is what dpkg keeps of each configuration file.
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return f" {target} {digest}" in listed
