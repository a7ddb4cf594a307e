"""Bases: the root file systems that hosts are started from, built once and kept.

CACHE/debian12-1f2e.../root     the base itself, read-only to every host
                      /debs     packages from which others are made of it
                      /built    the stamp: it is whole; touched at every use
                      /log      what building it printed
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from throwaway.machine import Mirrors, debian_mirrors
from throwaway.process import HostsError, Interrupted, in_parallel, locked, run, say, uninterrupted

ROOTFS = Path(__file__).parent.parent / "rootfs"
UNUSED_SECONDS = 14 * 24 * 3600


@dataclass(frozen=True)
class Base:
    """How a root file system comes about.

    :ivar suite: the Debian release whose binaries it runs.
    :ivar recipe: the script in ``rootfs/`` that makes it.
    :ivar made_of: the base it is a changed copy of, instead of being bootstrapped.
    :ivar version: the release it claims to be, where the recipe serves several.
    :ivar cryptography: the version of Python's cryptography that this release ships, where
        Debian's differs; it comes from the package index.
    """

    suite: str
    recipe: str = "debian"
    made_of: str = ""
    version: str = ""
    cryptography: str = ""


@dataclass(frozen=True)
class Kind:
    """A kind of host: a base, and whether systemd runs it."""

    base: str
    systemd: bool = True


BASES = {
    "debian12": Base("bookworm"),
    "debian13": Base("trixie"),
    "el9": Base("bookworm", recipe="el", made_of="debian12", version="9", cryptography="36.0.2"),
    "el10": Base("trixie", recipe="el", made_of="debian13", version="10"),
    "arch": Base("trixie", recipe="arch", made_of="debian13"),
}
KINDS = {**{name: Kind(name) for name in BASES}, "debian12-plain": Kind("debian12", systemd=False)}


def find_kind(name: str) -> Kind:
    if name not in KINDS:
        raise HostsError(f"There is no kind of host named {name}: choose from {', '.join(KINDS)}.")
    return KINDS[name]


def cache_folder() -> Path:
    parent = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(parent) / "edge-mtls" / "hosts"


def base_key(name: str, sources: Iterable[tuple[str, bytes]], machine: str) -> str:
    """Name a base after everything it is made from, so that a change makes another one.

    :param sources: names and contents of the files that build it.
    """
    digest = hashlib.sha256(f"{name} {BASES[name]} {machine}".encode())
    for path, content in sorted(sources):
        digest.update(f"\0{path} {len(content)}\0".encode() + content)
    return f"{name}-{digest.hexdigest()[:12]}"


def recipes() -> list[tuple[str, bytes]]:
    """Read the files that decide what a base holds."""
    paths = [path for path in ROOTFS.rglob("*") if path.is_file()]
    return [(str(path.relative_to(ROOTFS)), path.read_bytes()) for path in paths]


def base_folder(name: str) -> Path:
    return cache_folder() / base_key(name, recipes(), platform.machine())


def is_whole(folder: Path) -> bool:
    """Say whether a base was built to the end and nobody emptied it since."""
    needed = ("built", "root/usr/sbin/sshd", "root/usr/bin/python3", "root/etc/os-release")
    return all((folder / path).exists() for path in needed)


def missing(kinds: Iterable[str]) -> list[str]:
    """Name the bases of these kinds that have to be built first."""
    names = dict.fromkeys(find_kind(kind).base for kind in kinds)
    return [name for name in names if not is_whole(base_folder(name))]


def ensure(kinds: Sequence[str]) -> None:
    """Build the bases of these kinds that are missing, in parallel; mark all as used."""
    to_build = missing(kinds)
    if to_build:
        mirrors = debian_mirrors()

        def build_family(first: str) -> None:
            _ensure(first, mirrors)
            others = [name for name in to_build if BASES[name].made_of == first]
            in_parallel(lambda name: _ensure(name, mirrors), others)

        in_parallel(build_family, dict.fromkeys(BASES[name].made_of or name for name in to_build))
        remove_unused(UNUSED_SECONDS)
    for kind in kinds:
        os.utime(base_folder(find_kind(kind).base) / "built")


def _ensure(name: str, mirrors: Mirrors) -> None:
    """Build one base, unless somebody else is just doing it."""
    base, folder = BASES[name], base_folder(name)
    with locked(folder, on_wait=lambda: say(f"{name}: waiting, it is being built already")):
        if is_whole(folder):
            return
        _empty(folder)
        start = time.monotonic()
        say(f"{name}: building from {base.made_of or 'Debian ' + base.suite}")
        try:
            _build(name, folder, mirrors)
        except BaseException as error:
            with uninterrupted():
                _empty(folder, keep=("log",))
            if isinstance(error, HostsError) and not isinstance(error, Interrupted):
                raise HostsError(f"The base {name} cannot be built: {error}") from error
            raise
        say(f"{name}: built in {time.monotonic() - start:.0f} s")


def _build(name: str, folder: Path, mirrors: Mirrors) -> None:
    base = BASES[name]
    part = folder / "root.part"
    others = {other.recipe for other in BASES.values() if other.made_of == name}
    if base.made_of:
        original = base_folder(base.made_of)
        run("cp", "-a", "--reflink=auto", str(original / "root"), str(part))
    else:
        original = folder
        (folder / "debs").mkdir()
    if base.cryptography:
        words = ("download", "--quiet", "--no-deps", "--only-binary=:all:", "--no-cache-dir")
        wanted = f"cryptography=={base.cryptography}"
        run(sys.executable, "-m", "pip", *words, f"--dest={folder / 'wheel'}", wanted)
    # Mounts and processes of the recipe end with it, however it ends, and so if we are killed.
    run(
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *("sh", "-eu", str(ROOTFS / base.recipe), str(part)),
        env={
            "BASE_SUITE": base.suite,
            "BASE_VERSION": base.version,
            "BASE_DEBS": str(original / "debs"),
            "BASE_WHEEL": str(folder / "wheel") if base.cryptography else "",
            "BASE_OTHERS": " ".join(sorted(others)),
            "MIRROR": mirrors.main,
            "SECURITY_MIRROR": mirrors.security,
            "LC_ALL": "C.UTF-8",
        },
        log_path=folder / "log",
    )
    part.rename(folder / "root")
    (folder / "built").touch()


def _empty(folder: Path, keep: tuple[str, ...] = ()) -> None:
    """Empty a base's folder, the stamp first, so that no half of it is ever taken as whole."""
    (folder / "built").unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.name in keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def remove_unused(unused_seconds: float, also_current: bool = False) -> list[str]:
    """Remove bases that no current kind needs, no host runs on and nobody used for so long.

    :returns: the names of what was removed.
    """
    cache, mounts = cache_folder(), Path("/proc/self/mountinfo").read_text()
    current = () if also_current else {base_folder(name) for name in BASES}
    removed = []
    for folder in sorted(cache.glob("*-*/")):
        if folder in current or f"={folder}/root," in mounts:
            continue
        with locked(folder):
            if time.time() - _last_used(folder) < unused_seconds:
                continue
            _empty(folder)
            folder.rmdir()
            removed.append(folder.name)
    return removed


def _last_used(folder: Path) -> float:
    stamp = folder / "built"
    return stamp.stat().st_mtime if stamp.exists() else folder.stat().st_mtime
