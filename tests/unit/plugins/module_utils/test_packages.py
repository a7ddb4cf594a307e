"""Whether a configuration file still is as its package brought it; see also tests/integration."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils import packages

MD5 = "d41d8cd98f00b204e9800998ecf8427e"  # of nothing


@pytest.fixture
def answers(monkeypatch, tmp_path):
    """Let one package manager be there, with these answers; give an empty file to ask about."""

    def prepare(manager, outputs):
        path = tmp_path / "nginx.conf"
        path.touch()
        monkeypatch.setattr(
            packages.shutil, "which", lambda name: name if name == manager else None
        )
        monkeypatch.setattr(
            packages,
            "_output",
            lambda *command: outputs.get(command[1], "").replace("PATH", str(path)),
        )
        return str(path)

    return prepare


@pytest.mark.parametrize(
    ("manager", "outputs", "expected"),
    [
        pytest.param(
            "dpkg-query",
            {"--search": "nginx-common: PATH\n", "--show": f" PATH {MD5}\n /etc/other 1\n"},
            True,
            id="dpkg, untouched",
        ),
        pytest.param(
            "dpkg-query",
            {"--search": "nginx-common: PATH\n", "--show": " PATH 0123\n"},
            False,
            id="dpkg, edited",
        ),
        pytest.param("dpkg-query", {}, False, id="dpkg, nobody's"),
        pytest.param("rpm", {"--query": "nginx-core\n"}, True, id="rpm, untouched"),
        pytest.param(
            "rpm",
            {"--query": "nginx-core\n", "--verify": "S.5....T.  c PATH\n"},
            False,
            id="rpm, edited",
        ),
        pytest.param(
            "rpm",
            {"--query": "nginx-core\n", "--verify": ".......T.  c PATH\n"},
            True,
            id="rpm, touched but the same",
        ),
        pytest.param(
            "rpm", {"--query": "file PATH is not owned by any package\n"}, False, id="rpm, nobody's"
        ),
        pytest.param(
            "pacman",
            {"--query": "Backup Files    : PATH [unmodified]\n"},
            True,
            id="pacman, untouched",
        ),
        pytest.param(
            "pacman", {"--query": "Backup Files    : PATH [modified]\n"}, False, id="pacman, edited"
        ),
        pytest.param("apk", {}, False, id="another package manager"),
    ],
)
def test_a_file_is_as_packaged(answers, manager, outputs, expected):
    assert packages.is_as_packaged(answers(manager, outputs)) is expected


def test_what_is_not_there_is_not_as_packaged(tmp_path):
    assert packages.is_as_packaged(str(tmp_path / "missing")) is False
