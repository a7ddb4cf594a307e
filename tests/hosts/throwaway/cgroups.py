"""Control groups: everything a host runs is in one, so it can be found and ended.

Two layouts are met: cgroup 2 alone at /sys/fs/cgroup, and the hybrid one, where
systemd-nspawn also wants the named ``systemd`` hierarchy of version 1.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from throwaway.process import HostsError, pause

PARENT = "edge-mtls"


def hierarchies(mountinfo: str) -> tuple[Path, list[Path]]:
    """Return the mount point of cgroup 2, and of version 1's ``systemd`` hierarchy if any."""
    unified: Path | None = None
    named: list[Path] = []
    for line in mountinfo.splitlines():
        mount, _, filesystem = line.partition(" - ")
        mount_point = Path(mount.split()[4])
        kind, _, options = filesystem.split(maxsplit=2)
        if kind == "cgroup2" and unified is None:
            unified = mount_point
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            named.append(mount_point)
    if unified is None:
        raise HostsError("This machine has no cgroup 2 hierarchy mounted, which hosts need.")
    return unified, named


class Group:
    """The control group of a lab (``LAB``) or of one host (``LAB/HOST``)."""

    def __init__(self, name: str) -> None:
        unified, named = hierarchies(Path("/proc/self/mountinfo").read_text())
        self.path = unified / PARENT / name
        self.folders = [self.path, *(root / PARENT / name for root in named)]

    def create(self) -> None:
        for folder in self.folders:
            while not folder.exists():
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                except FileNotFoundError:  # another lab just removed the empty parent
                    pause(0)

    def populated(self) -> bool:
        """Whether a process lives in it; one that is dead but not yet reaped does not."""
        try:
            return "populated 1" in (self.path / "cgroup.events").read_text()
        except FileNotFoundError:
            return False

    def kill(self) -> None:
        """End everything in it, at once and for good."""
        while self.populated():
            try:
                (self.path / "cgroup.kill").write_text("1")
            except FileNotFoundError:
                return
            pause()

    def remove(self) -> None:
        """Remove it and what is empty above it."""
        for folder in self.folders:
            for path in _deepest_first(folder):
                _remove_folder(path)
            parent = folder.parent
            while parent.name and _remove_folder(parent) and parent.name != PARENT:
                parent = parent.parent


def _deepest_first(folder: Path) -> Iterator[Path]:
    for path, _, _ in os.walk(folder, topdown=False):
        yield Path(path)


def _remove_folder(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
