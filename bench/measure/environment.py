"""The environment that everything is measured in: one Python, one cryptography, one disk."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

CHECKOUT = Path(__file__).resolve().parents[2]
BENCH = CHECKOUT / "bench"
CACHE = CHECKOUT / ".cache/bench"
VENV = CACHE / "venv"
TIMEOUT_SECONDS = 900
PACKAGES = ("ansible", "cryptography")

# What must not depend on who starts this.
UNWANTED_VARIABLES = ("ANSIBLE_", "OPENSSL_", "PYTHON")


class BenchError(Exception):
    """Something that ends the run, with its reason."""


def say(text: str) -> None:
    """Tell how far the run is."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def workplace() -> Iterator[Path]:
    """Give a folder on the checkout's disk; one run at a time, and nothing is left of it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchError("another run is under way, and two would slow each other") from None
        for left_behind in CACHE.glob("run-*"):
            shutil.rmtree(left_behind)
        with tempfile.TemporaryDirectory(prefix="run-", dir=CACHE) as folder:
            yield Path(folder)


def prepare() -> None:
    """Make the virtual environment unless it is there, with the versions of pins.txt."""
    pins = CHECKOUT / "pins.txt"
    made_of = hashlib.sha256(f"{sys.version} {CHECKOUT} {pins.read_text()}".encode()).hexdigest()
    stamp = VENV / ".ready"
    if stamp.exists() and stamp.read_text() == made_of:
        return
    say(f"Setting up {VENV.relative_to(CHECKOUT)} with {' and '.join(PACKAGES)} (once) ...")
    command([sys.executable, "-m", "venv", "--clear", VENV])
    words = ["-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    command([VENV / "bin/python", *words, "--constraint", pins, *PACKAGES], PIP_USER="0")
    stamp.write_text(made_of)


def command(words: Sequence[str | Path], text: str = "", **variables: str | Path) -> str:
    """Run a program with a text on its standard input; return what it prints.

    :raises BenchError: it fails or takes too long.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(UNWANTED_VARIABLES)
    }
    environment |= {"LC_ALL": "C.UTF-8", **{k: str(v) for k, v in variables.items()}}
    environment["PATH"] = f"{VENV / 'bin'}:{os.environ['PATH']}"
    try:
        done = subprocess.run(
            words,
            input=text,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"{words[0]} took more than {TIMEOUT_SECONDS} s") from None
    except OSError as error:
        raise BenchError(f"{words[0]} can't be started: {error.strerror}") from error
    if done.returncode:
        shown = " ".join(map(str, words))
        output = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
        raise BenchError(f"{shown} ended with {done.returncode}\n{output}")
    return done.stdout


class Processors:
    """Tells how busy the machine was with other things since this was made."""

    def __init__(self) -> None:
        self._started = monotonic()
        self._others = _busy_seconds() - sum(os.times()[:4])

    def share_of_others(self) -> float:
        """Return the share of all processors' time that went elsewhere, from 0 to 1."""
        others = _busy_seconds() - sum(os.times()[:4]) - self._others
        cores = os.cpu_count() or 1
        return max(0.0, others / (cores * (monotonic() - self._started)))


def _busy_seconds() -> float:
    user, nice, system, _idle, _waiting, *rest = Path("/proc/stat").read_text().split()[1:9]
    return sum(map(int, (user, nice, system, *rest))) / os.sysconf("SC_CLK_TCK")


def machine_facts() -> dict[str, str]:
    """Say what a figure depends on: the machine and the versions."""
    listing = command(["python", "-m", "pip", "list", "--format", "json"])
    versions = {each["name"]: each["version"] for each in json.loads(listing)}
    [manifest] = VENV.glob("lib/*/site-packages/ansible_collections/community/crypto/MANIFEST.json")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": str(len(os.sched_getaffinity(0))),
        "file_system": command(["df", "--output=fstype", CACHE]).split()[1],
        "python": platform.python_version(),
        "cryptography": versions["cryptography"],
        "ansible_core": versions["ansible-core"],
        "community_crypto": json.loads(manifest.read_text())["collection_info"]["version"],
        "openssl": command(["openssl", "version"]).split()[1],
    }
