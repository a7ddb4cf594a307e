# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx.conf itself: what it includes, and the welcome server that some files bring."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import MtlsError

# A comment, a quoted string, one of the three signs that structure the file, or a word.
TOKEN = re.compile(
    r"""\#[^\n]* | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | [{};] | (?:\\.|\$\{|[^\s{};"'\\])+""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Directive:
    """One directive: its words, the blocks that it stands in, and where it is in the text."""

    words: tuple[str, ...]
    inside: tuple[str, ...]
    start: int
    # Just behind its ";" or its "}".
    end: int


def directives(text: str) -> Iterator[Directive]:
    """List the directives of a configuration file; a block comes after what it holds."""
    open_blocks: list[tuple[tuple[str, ...], int]] = []
    words: list[str] = []
    start = 0
    for match in TOKEN.finditer(text):
        token = match.group()
        if token.startswith("#"):
            continue
        inside = tuple(block[0][0] for block in open_blocks if block[0])
        if token == ";":
            yield Directive(tuple(words), inside, start, match.end())
        elif token == "{":
            open_blocks.append((tuple(words), start))
        elif token == "}":
            if open_blocks:
                block_words, block_start = open_blocks.pop()
                yield Directive(block_words, inside[:-1], block_start, match.end())
        else:
            if not words:
                start = match.start()
            words.append(token)
            continue
        words = []


def included_patterns(text: str, path: str) -> list[str]:
    """List what a main configuration file's http block includes, as absolute patterns.

    :param path: where the file is, for relative includes.
    """
    return [
        posixpath.join(posixpath.dirname(path), directive.words[-1].strip("\"'"))
        for directive in directives(text)
        if directive.inside == ("http",) and directive.words[:1] == ("include",)
    ]


def with_include(text: str, pattern: str, path: str) -> str:
    """Return nginx.conf with an include of ``pattern`` at the end of its http block.

    The text comes back as it is when it has that include already, relative or absolute.

    :param path: where the file is, for relative includes and for the error.
    :raises MtlsError: there is no http block to add it to.
    """
    if pattern in included_patterns(text, path):
        return text
    ends = [each.end - 1 for each in directives(text) if each.words == ("http",)]
    if not ends:
        raise MtlsError(f"{path} has no http block, so there is no place for the sites' include")
    end = ends[-1]
    before, after = text[:end].rstrip(" \t"), text[end:]
    newline = "" if before.endswith("\n") else "\n"
    return f"{before}{newline}\n    # Sites of edge.mtls.\n    include {pattern};\n{after}"


def without_servers(text: str) -> str:
    """Return a configuration file with its servers commented out.

    They stand in nginx.conf's http block, or at the top of a file that is included there.
    """
    for directive in reversed(list(directives(text))):
        if directive.inside in ((), ("http",)) and directive.words == ("server",):
            # Whole lines, so that nothing of the block stays behind.
            start = text.rfind("\n", 0, directive.start) + 1
            block = text[start : directive.end]
            commented = [f"#{line}" if line.strip() else line for line in block.split("\n")]
            note = "    # Taken out of the way by edge.mtls."
            text = text[:start] + "\n".join([note, *commented]) + text[directive.end :]
    return text
