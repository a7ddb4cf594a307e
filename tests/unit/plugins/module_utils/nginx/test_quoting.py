# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quoting: nginx reads back the very string, or it is refused."""

from __future__ import annotations

import re

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.nginx.quoting import quote
from hypothesis import given
from hypothesis import strategies as st


def read_back(token: str) -> str:
    """Read a token between double quotes as ngx_conf_read_token does."""
    assert token[0] == token[-1] == '"'
    escapes = {"t": "\t", "r": "\r", "n": "\n", '"': '"', "'": "'", "\\": "\\"}
    inner = token[1:-1]
    assert not re.search(r'(?<!\\)(\\\\)*"', inner), "it ends early"
    assert not re.search(r"(?<!\\)(\\\\)*\\\Z", inner), "it does not end"
    return re.sub(r"\\(.)", lambda found: escapes.get(found[1], found[0]), inner)


@given(st.text(st.characters(min_codepoint=0x20, exclude_characters="$\x7f")))
def test_nginx_reads_back_what_was_written(text):
    assert read_back(quote(text, "x")) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("CN=a", '"CN=a"', id="plain"),
        pytest.param(r"CN=a\,b", r'"CN=a\\,b"', id="escaped comma"),
        pytest.param(r"CN=\"a\"", r'"CN=\\\"a\\\""', id="escaped quotes"),
        pytest.param("{a;b}#'c'", "\"{a;b}#'c'\"", id="what needs no escape between quotes"),
    ],
)
def test_quotes(text, expected):
    assert quote(text, "x") == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("a$b", "x: 'a$b' holds a '$', which nginx would take for a", id="variable"),
        pytest.param("a\nb", r"x: 'a\nb' holds a control character", id="newline"),
        pytest.param("a\0", r"x: 'a\x00' holds a control character", id="NUL"),
        pytest.param("a\x7f", r"x: 'a\x7f' holds a control character", id="delete"),
    ],
)
def test_what_cannot_be_written_is_refused(text, sentence):
    with pytest.raises(MtlsError, match=re.escape(sentence)):
        quote(text, "x")
