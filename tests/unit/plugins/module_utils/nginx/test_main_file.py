"""nginx.conf: the include that sites need, and the welcome server that some bring."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.nginx.main_file import (
    with_include,
    without_servers,
)

PATH = "/etc/nginx/nginx.conf"
PATTERN = "/etc/nginx/conf.d/*.conf"
BARE = """\
user http;
events {
    worker_connections 1024;
}
# http { never }
http {
    log_format main '{ "a": "$b" }';
    include mime.types;

    server {
        listen 80;  # }
        location / {
            root /usr/share/nginx/html;
        }
    }
}
"""


def test_the_include_is_added_at_the_end_of_http():
    assert with_include(BARE, PATTERN, PATH) == (
        BARE[: -len("}\n")] + f"\n    # Sites of edge.mtls.\n    include {PATTERN};\n}}\n"
    )


def test_it_is_added_once():
    once = with_include(BARE, PATTERN, PATH)
    assert with_include(once, PATTERN, PATH) == once


@pytest.mark.parametrize(
    "include",
    [
        pytest.param("include /etc/nginx/conf.d/*.conf;", id="absolute"),
        pytest.param("include conf.d/*.conf;", id="relative"),
        pytest.param('include "conf.d/*.conf";', id="quoted"),
    ],
)
def test_an_include_that_is_there_is_enough(include):
    text = BARE.replace("include mime.types;", include)
    assert with_include(text, PATTERN, PATH) == text


@pytest.mark.parametrize(
    "elsewhere",
    [
        pytest.param("# include conf.d/*.conf;", id="in a comment"),
        pytest.param("server { include conf.d/*.conf; }", id="in a server"),
        pytest.param("log_format x 'include conf.d/*.conf;';", id="in a string"),
        pytest.param("include conf.d/*.inc;", id="of another pattern"),
    ],
)
def test_an_include_elsewhere_is_not(elsewhere):
    text = BARE.replace("include mime.types;", elsewhere)
    assert f"    include {PATTERN};\n}}\n" in with_include(text, PATTERN, PATH)


def test_a_one_line_block_gets_it_too():
    assert "http { a b;\n\n" in with_include("http { a b; }", PATTERN, PATH)


def test_no_http_block_is_an_error():
    with pytest.raises(MtlsError, match=r"/etc/nginx/nginx.conf has no http block"):
        with_include("events {}\n", PATTERN, PATH)


def test_the_welcome_server_is_commented_out_and_nothing_else():
    without = without_servers(BARE)
    assert [line for line in without.splitlines() if line not in BARE.splitlines()] == [
        "    # Taken out of the way by edge.mtls.",
        "#    server {",
        "#        listen 80;  # }",
        "#        location / {",
        "#            root /usr/share/nginx/html;",
        "#        }",
        "#    }",
    ]
    assert without_servers(without) == without


def test_without_a_server_nothing_changes():
    text = "http {\n    include conf.d/*.conf;\n}\n"
    assert without_servers(text) == text
