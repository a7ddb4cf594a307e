"""One host's life: a root file system over its base, and systemd-nspawn that runs it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from throwaway import network
from throwaway.bases import cache_folder, find_kind
from throwaway.cgroups import Group
from throwaway.process import HostsError, Interrupted, attempt, locked, pause, run

BOOT_SECONDS = 60
CONSOLE_TAIL_LINES = 15
NSPAWN_STATE = Path("/run/systemd/nspawn")
KEEPER = Path(__file__).parent / "keeper.sh"

# Without systemd the host is what a container is: a reaper as PID 1, one program, and
# Debian's own word that packages must not start their services.
PLAIN_COMMAND = ("sh", "-c", "mkdir -p /run/sshd && exec /usr/sbin/sshd -D -e")
PLAIN_POLICY = "#!/bin/sh\nexit 101\n"

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}


@dataclass(frozen=True)
class Host:
    """What is written down about a host before the first part of it is made."""

    name: str
    lab: str
    kind: str
    address: str
    subnet: str
    base_path: str
    folder: str
    image: str = ""
    engine: str = ""


class Container:
    """A host on this machine: makes, starts, finds and removes everything that belongs to it."""

    # It exits with a status for every state but one; the word is what counts.
    boot_state_command = "systemctl is-system-running || true"

    def __init__(self, host: Host) -> None:
        self.host = host
        self.folder = Path(host.folder)
        self.root = self.folder / "root"
        self.full_name = network.namespace(host.lab, host.name)
        self.group = Group(f"{host.lab}/{host.name}")
        self.systemd = find_kind(host.kind).systemd

    def record(self) -> None:
        """Put the host on record, before any part of it exists."""
        self.folder.mkdir(mode=0o700)
        new = self.folder / "host.json.new"
        new.write_text(json.dumps(asdict(self.host)))
        new.rename(self.folder / "host.json")

    def create(self) -> None:
        """Make the file system and the network of the host; nothing runs yet."""
        host = self.host
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True)
        run(
            *("mount", "-t", "overlay", self.full_name, str(self.root), "-o"),
            f"volatile,lowerdir={host.base_path},"
            f"upperdir={self.folder / 'upper'},workdir={self.folder / 'work'}",
        )
        etc = self.root / "etc"
        (etc / "hostname").write_text(host.name + "\n")
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n{host.address} {host.name}\n")
        public_key = ssh_key().with_suffix(".pub").read_text()
        (self.root / "root/.ssh/authorized_keys").write_text(public_key)
        if not self.systemd:
            policy = self.root / "usr/sbin/policy-rc.d"
            policy.write_text(PLAIN_POLICY)
            policy.chmod(0o755)
        network.attach_host(
            host.lab, host.name, IPv4Network(host.subnet), IPv4Address(host.address)
        )

    def start(self) -> None:
        """Start it, and wait until it has booted and answers by ssh."""
        self.group.create()
        command = [
            *("systemd-nspawn", "--quiet", f"--directory={self.root}"),
            *(f"--machine={self.full_name}", f"--hostname={self.host.name}"),
            f"--network-namespace-path=/run/netns/{self.full_name}",
            # A firewall is the business of a host; its network is its own.
            "--capability=CAP_NET_ADMIN",
            *("--register=no", "--keep-unit", "--link-journal=no"),
            *("--resolv-conf=off", "--timezone=off"),
            *(("--console=read-only", "--boot") if self.systemd else ("--console=pipe",)),
            *(() if self.systemd else ("--as-pid2", *PLAIN_COMMAND)),
        ]
        with self._console.open("wb") as console:
            keeper = subprocess.Popen(
                ["sh", str(KEEPER), *map(str, self.group.folders), "--", *command],
                # The host gets cgroup 2 also where this machine still has version 1 beside it.
                env={
                    **os.environ,
                    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                    "SYSTEMD_NSPAWN_LOCK": "0",
                },
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        try:
            self._wait_until_ready(lambda: keeper.poll() is None)
        except BaseException:
            # It may not have entered its group yet, where it would be found.
            keeper.kill()
            keeper.wait()
            raise

    def _wait_until_ready(self, alive: Callable[[], bool]) -> None:
        """Wait for ssh, which starts late in the boot, and then for the end of the boot."""
        deadline = time.monotonic() + BOOT_SECONDS
        while not _greets(self.host.address):
            pause()
            if time.monotonic() > deadline or not alive():
                raise HostsError(self._complaint("did not come up"))
        while self.systemd:
            state = self._boot_state()
            if state in ("running", "degraded"):
                break
            pause()
            if time.monotonic() > deadline:
                raise HostsError(self._complaint(f"is still {state or 'silent'}"))

    def running(self) -> bool:
        return self.group.populated()

    def leader(self) -> int:
        """Return the process that is PID 1 inside, as it is numbered outside."""
        for tasks in sorted(self.group.path.rglob("cgroup.procs")):
            for line in _read(tasks).split():
                status = _read(Path("/proc") / line / "status")
                inner = [row for row in status.splitlines() if row.startswith("NSpid:")]
                if inner and inner[0].split()[1:][-2:] == [line, "1"]:
                    return int(line)
        raise HostsError(f"The host {self.host.name} is not running.")

    def enter(self, *command: str) -> list[str]:
        """Return the command that runs a command inside; it needs neither network nor ssh."""
        environment = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        if "TERM" in os.environ:
            environment.append(f"TERM={os.environ['TERM']}")
        inside = ("nsenter", "--target", str(self.leader()), "--all", "--")
        return [*inside, "env", "-i", *environment, *command]

    def reboot(self) -> None:
        """Shut the host down in order and boot it again; its files stay, /run does not."""
        before = self.leader()
        if self.systemd:
            # systemctl's own end is not waited for: the host may be gone before it.
            attempt(*self.enter("systemctl", "--no-block", "reboot"))
            deadline = time.monotonic() + BOOT_SECONDS
            while _alive(before):
                pause()
                if time.monotonic() > deadline:
                    raise HostsError(self._complaint("did not shut down"))
            self._wait_until_ready(self.running)
        else:
            self.stop()
            self.start()

    def stop(self) -> None:
        # The network stays until nothing runs, so that open connections are seen to close.
        self.group.kill()

    def remove(self) -> None:
        """Remove whatever there is of the host, be it whole, half made or half removed."""
        self.stop()
        network.detach_host(self.host.lab, self.host.name, IPv4Address(self.host.address))
        attempt("umount", "--lazy", str(self.root))
        self.group.remove()
        for leftover in NSPAWN_STATE.glob(f"*/{self.full_name}"):
            shutil.rmtree(leftover, ignore_errors=True)
        if os.path.ismount(self.root):
            raise HostsError(f"{self.root} is still mounted: unmount it, then try again.")
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _console(self) -> Path:
        return self.folder / "console.log"

    def _complaint(self, what: str) -> str:
        tail = "\n".join(self._said().strip().splitlines()[-CONSOLE_TAIL_LINES:])
        return f"The host {self.host.name} {what}; its console said last:\n{tail}"

    def _said(self) -> str:
        return self._console.read_text(errors="replace")

    def _boot_state(self) -> str:
        """Return systemd's own word for how far it is, empty while it does not answer."""
        try:
            return run(*self.enter("sh", "-c", self.boot_state_command)).strip()
        except Interrupted:
            raise
        except HostsError:
            return ""


def ssh_key() -> Path:
    """Return the private key that opens every host, made at the first need."""
    key = cache_folder() / "id_ed25519"
    if not key.exists():
        with locked(cache_folder()):
            if not key.exists():
                new = key.with_suffix(".new")
                new.unlink(missing_ok=True)
                run(
                    *("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "throw-away hosts"),
                    *("-f", str(new)),
                )
                new.with_suffix(".new.pub").rename(key.with_suffix(".pub"))
                new.rename(key)
    return key


def _greets(address: str) -> bool:
    """Say whether an ssh server answers."""
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _alive(process: int) -> bool:
    state = _read(Path(f"/proc/{process}/stat")).rpartition(") ")[2]
    return bool(state) and not state.startswith("Z")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
