"""The stages of script/test, which starts this file inside .venv.

Each command is printed before it runs. The first stage that breaks ends the run; the last
line is always ``N passed, N failed``.
"""

from __future__ import annotations

import ast
import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKOUT = Path(__file__).resolve().parent.parent
CACHE = CHECKOUT / ".cache"
COLLECTION = "ansible_collections/edge/mtls"

# Programs that the integration tests call, and the Debian package that brings each.
PROGRAMS = {
    "certutil": "libnss3-tools",
    "curl": "curl",
    "git": "git",
    "gnutls-cli": "gnutls-bin",
    "javac": "default-jdk-headless",  # with keytool
    "openssl": "openssl",
    "unzip": "unzip",
}

# All that may lie at the top of the built collection.
PUBLISHED = {"FILES.json", "MANIFEST.json", "CHANGELOG.md", "LICENSE", "README.md"}
PUBLISHED |= {"changelogs", "docs", "meta", "playbooks", "plugins", "roles"}

# What `script/test matrix` tries: the Python of a kind of throw-away host, and the packages.
# EL 9's cryptography is the oldest that a supported host brings along.
MATRIX = {
    "oldest": ("debian12", "ansible-core=={oldest}"),
    "newest": ("debian13", "ansible-core=={newest}"),
    "cryptography": ("debian12", "ansible-core=={oldest}", "cryptography=={el9}"),
}
NOT_IN_MATRIX = (
    # The environments depart from the pins, which is their purpose.
    "tests/unit/test_collection.py::test_the_environment_holds_what_is_pinned",
    # The loader that starts their Python shows in its command line.
    "tests/unit/plugins/module_utils/test_host.py"
    "::test_a_real_listener_is_found_once_with_its_lowest_process",
)

# ansible-test wants to download this bootstrap of pip; Python brings one of its own.
GET_PIP = """\
import subprocess, sys
subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
words = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "pip", "install", "-qq", *words])
"""


class Run:
    """Prints and starts commands, and counts what passed and what failed."""

    def __init__(self, folder: Path) -> None:
        # For this run alone, since two may run at once.
        self.folder = folder
        self.passed = 0
        self.failures: list[str] = []

    def command(self, *words: str | Path, cwd: Path = CHECKOUT, **variables: str | Path) -> int:
        """Run a command with these environment variables added; return its exit code."""
        print("$", shlex.join(map(str, words)), flush=True)
        environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
        process = subprocess.Popen(words, cwd=cwd, env=environment, stdin=subprocess.DEVNULL)
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The terminal interrupted the command too, which may have hosts to clean up.
            process.wait()
            raise

    def check(self, *words: str | Path, cwd: Path = CHECKOUT, **variables: str | Path) -> bool:
        """Run a command that counts as one test; return whether it passed."""
        code = self.command(*words, cwd=cwd, **variables)
        return self.expect(code == 0, f"{shlex.join(map(str, words))} ended with {code}")

    def expect(self, passed: bool, failure: str) -> bool:
        """Count one test that failed for the given reason unless it passed."""
        if passed:
            self.passed += 1
        else:
            self.failures.append(failure)
        return passed

    def pytest(self, folder: str, arguments: list[str], path: str = "") -> None:
        """Run pytest on the folder, or on what the arguments name in it, counting each test.

        :param path: where programs are found, pytest first, unless it is as here.
        """
        results = self.folder / f"{Path(folder).name}.xml"
        results.unlink(missing_ok=True)  # of an earlier run
        named = any(word.startswith(folder) for word in arguments)
        words = arguments if named else [folder, *arguments]
        path = path or os.environ["PATH"]
        code = self.command("pytest", "-rs", f"--junit-xml={results}", *words, PATH=path)
        failed = 0
        for case in ET.parse(results).iter("testcase") if results.exists() else []:
            outcomes = {child.tag for child in case}
            if outcomes & {"failure", "error"}:
                failed += 1
                self.failures.append(f"{case.get('classname')}::{case.get('name')} failed")
            elif "skipped" not in outcomes:
                self.passed += 1
        # A crash, an interruption and a run without any test are failures too.
        if code and not failed:
            self.failures.append(f"pytest {shlex.join(words)} ended with {code}")

    def collection(self) -> Path:
        """Return a copy of the checkout that lies in folders as Ansible's tools insist on.

        The copy is a repository of its own: ansible-lint and ansible-test would otherwise ask
        the checkout's, which ignores .cache, and find nothing to complain about.
        """
        collection = self.folder / COLLECTION
        if not collection.exists():
            # The checkout may be another user's, say in a container.
            words = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others"]
            listing = output(*words, "--exclude-standard")
            for name in filter(None, listing.split("\0")):
                source, target = CHECKOUT / name, collection / name
                if source.is_file():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(source, target)
            output("git", "init", "--quiet", cwd=collection)
            output("git", "add", "--all", cwd=collection)
        return collection


def output(*words: str | Path, cwd: Path = CHECKOUT, **variables: str | Path) -> str:
    """Return what a helping command, which counts as no test, prints."""
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    return subprocess.run(
        words, cwd=cwd, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def lint(run: Run, _arguments: list[str]) -> None:
    """Check the form of Python, YAML, shell, documentation, changelog and Ansible content."""
    copy = run.collection()
    settings = [f"--config-file={COLLECTION}/pyproject.toml", "--cache-dir=../mypy"]
    run.check("ruff", "check", "--quiet")
    run.check("ruff", "format", "--diff", "--quiet")
    run.check("mypy", *settings, "ansible_collections", cwd=run.folder)
    run.check("yamllint", "--strict", ".")
    run.check("shellcheck", "-x", "--source-path=SCRIPTDIR", *shell_scripts(copy), cwd=copy)
    run.check("antsibull-docs", "lint-collection-docs", "--plugin-docs", ".", cwd=copy)
    run.check("antsibull-changelog", "lint", cwd=copy)
    run.check("ansible-lint", "--strict", cwd=copy, ANSIBLE_COLLECTIONS_PATH=run.folder)


def shell_scripts(folder: Path) -> list[str]:
    """Return the names of the shell scripts below a repository's folder."""
    names = output("git", "ls-files", cwd=folder).splitlines()
    heads = {name: (folder / name).read_bytes()[:40].split(b"\n")[0] for name in names}
    return [name for name in names if name.endswith(".sh") or re.match(rb"#!.*sh\b", heads[name])]


def sanity(run: Run, arguments: list[str]) -> None:
    """Run Ansible's own sanity tests, in a home folder of their own."""
    home = CACHE / "home"
    bootstraps = home / ".ansible/test/cache"
    bootstraps.mkdir(parents=True, exist_ok=True)
    for version in ("24_2", "25_2"):  # what ansible-core 2.19 and 2.21 ask for
        (bootstraps / f"get_pip_{version}.py").write_text(GET_PIP)
    write_pip_settings(home / ".config/pip/pip.conf")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    # Tests and bench are not shipped, and ruff and mypy have looked at them already.
    words = ["ansible-test", "sanity", "--color", "no", "--python", python]
    words += ["--exclude", "tests/", "--exclude", "bench/", *arguments]
    run.check(*words, cwd=run.collection(), HOME=home)


def write_pip_settings(path: Path) -> None:
    """Save pip's present settings, because ansible-test hides the environment and the home."""
    settings = configparser.RawConfigParser()
    listing = output("pip", "config", "list")
    for line in sorted(listing.splitlines(), key=lambda line: line.startswith(":env:")):
        name, value = line.split("=", 1)
        section, option = name.replace(":env:", "global").split(".", 1)
        settings.read_dict({section: {option: ast.literal_eval(value)}})
    settings.read_dict({"global": {"quiet": "2"}})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # an index's address may hold a password
    with path.open("w") as file:
        settings.write(file)


def unit(run: Run, arguments: list[str]) -> None:
    """Run the unit tests; the arguments are pytest's."""
    run.pytest("tests/unit", arguments)


def integration(run: Run, arguments: list[str]) -> None:
    """Run the integration tests with the programs they call; the arguments are pytest's."""
    packages = [package for name, package in PROGRAMS.items() if not shutil.which(name)]
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        apt = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
        run.command(*apt, "update", DEBIAN_FRONTEND="noninteractive")
        install = ["install", "--yes", "--no-install-recommends", *packages]
        if run.command(*apt, *install, DEBIAN_FRONTEND="noninteractive") == 0:
            packages = []
    if packages:
        run.expect(False, f"missing; on Debian: apt-get install {shlex.join(packages)}")
        return
    run.pytest("tests/integration", arguments)


def build(run: Run, _arguments: list[str]) -> None:
    """Build the collection from the checkout as it lies, install it elsewhere and start it."""
    galaxy = ["ansible-galaxy", "collection"]
    target = run.folder / "installed"
    if not run.check(*galaxy, "build", "--output-path", run.folder):
        return
    [tarball] = run.folder.glob("*.tar.gz")
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    print(f"{tarball.name}: {len(names)} entries, {tarball.stat().st_size / 1024:.0f} KiB")
    junk = sorted({name.split("/")[0] for name in names} - PUBLISHED)
    run.expect(not junk, f"the tarball holds {junk}; see build_ignore in galaxy.yml")
    elsewhere = {"ANSIBLE_COLLECTIONS_PATH": target, "ANSIBLE_CONFIG": CHECKOUT / "ansible.cfg"}
    words = [*galaxy, "install", "--offline", "--no-deps", "-p", target.name, tarball.name]
    run.check(*words, cwd=run.folder, **elsewhere)
    listing = output("ansible-doc", "--list", "edge.mtls", cwd=run.folder, **elsewhere)
    for module in sorted((CHECKOUT / "plugins/modules").glob("*.py")):
        name = f"edge.mtls.{module.stem}"
        run.expect(name in listing.split(), f"ansible-doc does not list {name}")
    for playbook in sorted((CHECKOUT / "playbooks").glob("*.yml")):
        name = f"edge.mtls.{playbook.stem}"
        run.check("ansible-playbook", "--syntax-check", name, cwd=run.folder, **elsewhere)


def molecule(run: Run, arguments: list[str]) -> None:
    """Run the scenarios named by the arguments, or all."""
    scenarios = sorted(path.parent.name for path in (CHECKOUT / "molecule").glob("*/molecule.yml"))
    if not scenarios:
        run.failures.append("molecule/ holds no scenario")
    for scenario in arguments or scenarios:
        run.check("molecule", "test", "-s", scenario)


def matrix(run: Run, arguments: list[str]) -> None:
    """Run unit tests and a scenario with the oldest and the newest packages that are supported."""
    pins = (CHECKOUT / "pins.txt").read_text()
    requires = re.search(r"'>=(.+)'", (CHECKOUT / "meta/runtime.yml").read_text())
    pinned = re.findall(r"^ansible-core==([0-9.]+)", pins, re.MULTILINE)
    if not requires:
        raise OSError("meta/runtime.yml: requires_ansible is not '>=VERSION'")
    bases = (CHECKOUT / "tests/hosts/throwaway/bases.py").read_text()
    [el9] = re.findall(r'cryptography="([0-9.]+)"', bases)
    newest = max(pinned, key=lambda version: [int(part) for part in version.split(".")])
    if unknown := [name for name in arguments if name not in MATRIX]:
        run.expect(False, f"no {', '.join(unknown)}; the matrix has {', '.join(MATRIX)}")
        return
    for name in arguments or MATRIX:
        kind, *templates = MATRIX[name]
        packages = [text.format(oldest=requires[1], newest=newest, el9=el9) for text in templates]
        venv = environment(run.folder / name, kind, packages)
        version = output(venv / "bin/python", "--version").strip()
        print(f"-- {name}: {' and '.join(packages)} on {version}", flush=True)
        path = f"{venv / 'bin'}:{os.environ['PATH']}"
        if name == "cryptography":
            # Only what uses it on managed hosts: the control node always has a current one.
            tests = ["tests/unit/plugins/module_utils/pki", "tests/unit/plugins/modules"]
            run.pytest("tests/unit", tests, path)
            continue
        run.pytest("tests/unit", [f"--deselect={test}" for test in NOT_IN_MATRIX], path)
        words = ["molecule", "test", "--scenario-name", "default", "--platform-name", "debian12"]
        run.check(*words, PATH=path)


def environment(folder: Path, kind: str, packages: list[str]) -> Path:
    """Make a virtual environment of the Python in a throw-away host's base.

    So nobody has to install other Pythons. The base's own loader and libraries run it outside of
    the base, and because its standard library lies where it looks first, it needs no settings.
    """
    root = Path(output(CHECKOUT / "tests/hosts/hosts", "build", kind).strip())
    name = (root / "usr/bin/python3").readlink().name
    [loader] = root.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*")
    python = folder / "base/bin" / name
    python.parent.mkdir(parents=True)
    (folder / "base/lib").mkdir()
    (folder / "base/lib" / name).symlink_to(root / "usr/lib" / name)
    start = shlex.join(map(str, ["--library-path", loader.parent, root / "usr/bin" / name]))
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(str(loader))} --argv0 "$0" {start} "$@"\n')
    python.chmod(0o755)
    output(python, "-m", "venv", "--without-pip", folder / "venv")

    constraints = folder / "constraints.txt"
    chosen = tuple(package.split("==")[0] + "==" for package in packages)
    pins = (CHECKOUT / "pins.txt").read_text().splitlines(keepends=True)
    constraints.write_text("".join(line for line in pins if not line.startswith(chosen)))
    words: list[str | Path] = ["pip", "--python", folder / "venv/bin/python", "install", "-qq"]
    words += ["--disable-pip-version-check", "--constraint", constraints, *packages]
    output(*words, "hypothesis", "molecule", "pytest", PIP_USER="0")
    return folder / "venv"


STAGES: dict[str, Callable[[Run, list[str]], None]] = {
    "lint": lint,
    "sanity": sanity,
    "unit": unit,
    "integration": integration,
    "build": build,
    "molecule": molecule,
    "matrix": matrix,
}
ON_REQUEST = ("matrix",)


def main(arguments: list[str]) -> int:
    """Run the stage that the first argument names, or all; return the exit code."""
    if arguments and arguments[0] not in STAGES:
        print(f"test: no stage {arguments[0]!r}; there are {', '.join(STAGES)}.", file=sys.stderr)
        return 2
    CACHE.mkdir(exist_ok=True)
    if not sys.stdout.isatty():
        os.environ["NO_COLOR"] = "1"
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        os.environ.pop(name, None)  # set where a hook of git starts this
    with tempfile.TemporaryDirectory(prefix="run-", dir=CACHE) as folder:
        run = Run(Path(folder))
        try:
            for stage in arguments[:1] or [name for name in STAGES if name not in ON_REQUEST]:
                print(f"== {stage}", flush=True)
                STAGES[stage](run, arguments[1:])
                if run.failures:
                    break
        except KeyboardInterrupt:
            run.failures.append("interrupted")
        except (OSError, subprocess.CalledProcessError, ET.ParseError) as error:
            run.failures.append(str(error))
    for failure in run.failures:
        print(f"{stage}: {failure}")
    print(f"{run.passed} passed, {len(run.failures)} failed")
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
