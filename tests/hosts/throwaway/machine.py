"""What this machine must have: programs, rights, and a Debian mirror to build from."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from throwaway import cgroups
from throwaway.process import HostsError, run, say

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")

# What running hosts takes, and what building their bases takes besides: program -> package.
RUN_PROGRAMS = {
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "ssh-keygen": "openssh-client",
    "systemd-nspawn": "systemd-container",
}
IMAGE_PROGRAMS = {"ip": "iproute2", "ssh-keygen": "openssh-client"}
BUILD_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
KERNEL = Path("/proc")
DEBIAN_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Mirrors:
    """Where Debian comes from: its main archive, and the security one if there is one."""

    main: str
    security: str = ""


def missing_packages(programs: dict[str, str]) -> list[str]:
    return sorted({package for name, package in programs.items() if not shutil.which(name)})


def require(building: bool, images: bool = False) -> None:
    """Check that hosts can run (and be built) here; install what is missing where that is easy.

    :param images: the hosts come from images, so that a container engine does the rest.
    :raises HostsError: it cannot be made to work; the message names everything missing.
    """
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), *SBIN])
    if os.geteuid() != 0:
        raise HostsError("Throw-away hosts need root: namespaces and mounts are made for them.")
    if not all((KERNEL / "self/ns" / name).exists() for name in ("net", "pid", "mnt", "uts")):
        raise HostsError("This kernel has no network, process and mount namespaces.")
    cgroups.hierarchies((KERNEL / "self/mountinfo").read_text())
    run_programs = IMAGE_PROGRAMS if images else RUN_PROGRAMS
    packages = missing_packages({**run_programs, **(BUILD_PROGRAMS if building else {})})
    if building and not DEBIAN_KEYS.exists():
        packages.append("debian-archive-keyring")
    if building and not importlib.util.find_spec("pip"):
        packages.append("python3-pip")
    if packages:
        install(packages)
    if images:
        return
    if not re.search(r"\boverlay$", (KERNEL / "filesystems").read_text(), re.MULTILINE):
        try:
            run("modprobe", "overlay")
        except HostsError as error:
            raise HostsError("This kernel has no overlay file system.") from error


def install(packages: list[str]) -> None:
    names = " ".join(packages)
    if not shutil.which("apt-get"):
        raise HostsError(
            f"Install these first (Debian's names; there is no apt-get here): {names}."
        )
    say(f"installing with apt-get: {names}")
    run("apt-get", "-qq", "update")
    run(
        *("apt-get", "-qq", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"),
        *("install", *packages),
        env={"DEBIAN_FRONTEND": "noninteractive"},
    )


def debian_mirrors() -> Mirrors:
    """Find Debian's mirrors in this machine's own apt set-up, whatever its release."""
    mirrors = parse_targets(_package_targets())
    if mirrors is None:
        run("apt-get", "-qq", "update")
        mirrors = parse_targets(_package_targets())
    if mirrors is None:
        raise HostsError("No Debian mirror is in this machine's apt set-up: add one to build from.")
    return mirrors


def parse_targets(lines: Iterable[str]) -> Mirrors | None:
    """Choose from ``ORIGIN|LABEL|COMPONENT|REPO_URI`` lines of ``apt-get indextargets``."""
    found: dict[str, str] = {}
    for line in lines:
        origin, label, component, uri = line.split("|", 3)
        if origin == "Debian" and component == "main":
            found.setdefault(label, uri)
    if "Debian" not in found:
        return None
    return Mirrors(main=found["Debian"], security=found.get("Debian-Security", ""))


def _package_targets() -> list[str]:
    """List the package indexes that apt has fetched; without any, their origin is unknown."""
    listed = run(
        *("apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)"),
        "Created-By: Packages",
    )
    return [line for line in listed.splitlines() if line.strip() and not line.startswith("|")]
