# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text as nginx's configuration parser reads it back."""

from __future__ import annotations

from ..errors import MtlsError


def quote(text: str, where: str) -> str:
    """Put a string between double quotes so that nginx reads the same string.

    nginx knows no way to write a "$" that isn't the start of a variable, so a text with
    one is refused rather than changed.

    :raises MtlsError: the text holds a "$" or a control character.
    """
    if "$" in text:
        raise MtlsError(
            f"{where}: {text!r} holds a '$', which nginx would take for a variable; "
            "give that certificate another name"
        )
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        raise MtlsError(f"{where}: {text!r} holds a control character")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
