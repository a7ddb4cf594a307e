# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx.conf itself, where a distribution's does not include the folder that sites are in."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from ..errors import MtlsError

# A comment, a quoted string, a word, or one of the three signs that structure the file.
TOKEN = re.compile(
    r"""\#[^\n]* | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | [{};] | (?:\\.|\$\{|[^\s{};"'\\])+""",
    re.VERBOSE | re.DOTALL,
)


def with_include(text: str, pattern: str, path: str) -> str:
    """Return nginx.conf with an include of ``pattern`` at the end of its http block.

    The text comes back as it is when it has that include already, relative or absolute.

    :param path: where the file is, for relative includes and for the error.
    :raises MtlsError: there is no http block to add it to.
    """
    depth, http_depth, end = 0, None, None
    statement: list[str] = []
    for match in _tokens(text):
        token = match.group()
        if token == "{":
            depth += 1
            if statement == ["http"] and depth == 1:
                http_depth = depth
        elif token == "}":
            if depth == http_depth:
                http_depth, end = None, match.start()
            depth -= 1
        elif token != ";":
            statement.append(token)
            continue
        elif http_depth == depth and _includes(statement, pattern, path):
            return text
        statement = []
    if end is None:
        raise MtlsError(f"{path} has no http block, so there is no place for the sites' include")
    indent = "    "
    before, after = text[:end].rstrip(" \t"), text[end:]
    newline = "" if before.endswith("\n") else "\n"
    return f"{before}{newline}\n{indent}# Sites of edge.mtls.\n{indent}include {pattern};\n{after}"


def _tokens(text: str) -> Iterator[re.Match[str]]:
    return (match for match in TOKEN.finditer(text) if not match.group().startswith("#"))


def _includes(statement: list[str], pattern: str, path: str) -> bool:
    if len(statement) != 2 or statement[0] != "include":
        return False
    included = statement[1].strip("\"'")
    return posixpath.join(posixpath.dirname(path), included) == pattern
