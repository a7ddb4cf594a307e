"""Hosts from container images: podman or docker runs them in systemd-nspawn's place.

The engine's own network leads out, so that the package managers reach their mirrors. Images
lack what a play needs to reach them; one prepared image is derived from each and kept.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from ipaddress import IPv4Network
from pathlib import Path

from throwaway import network
from throwaway.bases import cache_folder, find_kind
from throwaway.container import ENVIRONMENT, Container, Host, ssh_key
from throwaway.process import HostsError, Interrupted, attempt, locked, run, say, uninterrupted

VARIABLE = "EDGE_MTLS_IMAGE"
ENGINES = ("podman", "docker")
REPOSITORY = "edge-mtls-hosts"
PREPARE = Path(__file__).parent / "prepare.sh"
STOP_SECONDS = 60

# What systemd needs as PID 1, and its units for their sandboxes.
SYSTEMD_OPTIONS = {
    "podman": (
        *("--systemd=always", "--security-opt=label=disable"),
        *("--cap-add=SYS_ADMIN", "--cap-add=SYS_PTRACE"),
    ),
    "docker": (
        *("--privileged", "--cgroupns=private", "--stop-signal=SIGRTMIN+3"),
        *("--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp:exec"),
    ),
}
HAS_SYSTEMD = "command -v systemctl >/dev/null"
# By this file a reboot is recognised, and containers see that of the machine.
OWN_BOOT_ID = (
    "cat /proc/sys/kernel/random/uuid >/run/boot_id"
    " && mount --bind /run/boot_id /proc/sys/kernel/random/boot_id"
)
# The shell stays PID 1, which collects the dead that others leave behind.
PLAIN_COMMAND = "mkdir -p /run/sshd; $(command -v sshd) -D -e & wait"
PLAIN_POLICY = r"printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d"
PLAIN_POLICY += " && chmod 755 /usr/sbin/policy-rc.d"


def choose(kind: str, setting: str) -> str:
    """Choose the image for a kind of host, empty where nobody asked for images.

    :param setting: the variable's value: ``IMAGE`` for every kind, or ``KIND=IMAGE ...``.
    """
    images: dict[str, str] = {}
    for word in setting.split():
        name, _, image = word.rpartition("=")
        if name:
            find_kind(name)
        images[name] = image
    if not images:
        return ""
    for name in (kind, find_kind(kind).base, ""):
        if images.get(name):
            return images[name]
    raise HostsError(f"{VARIABLE} names no image for the kind {kind}: add {kind}=IMAGE.")


def engine() -> str:
    """Return the program that runs containers here."""
    for program in ENGINES:
        if shutil.which(program):
            return program
    raise HostsError(f"{VARIABLE} is set, but there is neither podman nor docker: install one.")


def prepared(program: str, image: str) -> str:
    """Return the name that the prepared form of an image has, pulling the image if needed."""
    find_id = (program, "image", "inspect", "--format", "{{.Id}}", image)
    try:
        found = run(*find_id)
    except Interrupted:
        raise
    except HostsError:
        say(f"{image}: pulling")
        run(program, "pull", "--quiet", image)
        found = run(*find_id)
    digest = hashlib.sha256(found.encode() + PREPARE.read_bytes())
    return f"{REPOSITORY}:{digest.hexdigest()[:12]}"


def ensure(program: str, image: str) -> str:
    """Prepare an image unless that was done before; return the prepared one's name."""
    name = prepared(program, image)
    folder = cache_folder() / name.replace(":", ".")
    with locked(folder, on_wait=lambda: say(f"{image}: waiting, it is being prepared already")):
        try:
            if not _exists(program, "image", name):
                say(f"{image}: installing what a host needs (once)")
                _prepare(program, image, name)
        finally:
            folder.rmdir()
    return name


def _prepare(program: str, image: str, name: str) -> None:
    # Not a build: if that is killed, it leaves containers that nobody can name.
    container = name.replace(":", "-")
    attempt(program, "rm", "--force", container)  # of a killed run
    try:
        run(program, "run", "--name", container, image, "sh", "-c", PREPARE.read_text())
        labels = (f"LABEL {REPOSITORY}={_cache()}", f"LABEL {REPOSITORY}.from={image}")
        changes = [f"--change={label}" for label in labels]
        run(program, "commit", *changes, container, name)
    except HostsError as error:
        if isinstance(error, Interrupted):
            raise
        raise HostsError(f"The image {image} cannot be prepared: {error}") from error
    finally:
        with uninterrupted():
            attempt(program, "kill", container)
            attempt(program, "rm", "--force", "--volumes", container)


def remove_prepared() -> list[str]:
    """Remove every prepared image of this cache that no host runs on; return their names."""
    removed = []
    for program in filter(shutil.which, ENGINES):
        try:
            names = run(
                *(program, "images", "--filter", f"label={REPOSITORY}={_cache()}"),
                *("--format", "{{.Repository}}:{{.Tag}}"),
            )
        except Interrupted:
            raise
        except HostsError:  # an engine that is not running has nothing of ours
            continue
        for name in names.split():
            attempt(program, "rmi", name)
            if not _exists(program, "image", name):
                removed.append(name)
    return removed


def _cache() -> str:
    """Name this cache, because the engine keeps the prepared images of all in one place."""
    return hashlib.sha256(str(cache_folder()).encode()).hexdigest()[:12]


def create_network(program: str, lab: str, subnet: IPv4Network) -> None:
    run(
        *(program, "network", "create", "--driver=bridge", f"--subnet={subnet}"),
        *(f"--gateway={subnet[network.GATEWAY]}", network.namespace(lab)),
    )


def remove_network(program: str, lab: str) -> None:
    attempt(program, "network", "rm", network.namespace(lab))


def _exists(program: str, sort: str, name: str) -> bool:
    try:
        run(program, sort, "inspect", name)
    except Interrupted:
        raise
    except HostsError:
        return False
    return True


class ImageHost(Container):
    """A host that podman or docker runs; its base is the name of a prepared image."""

    # Alpine has no systemd: there, a host of any kind is a plain one.
    boot_state_command = (
        f"if {HAS_SYSTEMD}; then {Container.boot_state_command}; else echo running; fi"
    )

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.program = host.engine

    def create(self) -> None:
        """Make the container and its place in the network; nothing runs yet."""
        host = self.host
        command, options = PLAIN_COMMAND, tuple[str, ...]()
        if self.systemd:
            command = f"if {HAS_SYSTEMD}; then {OWN_BOOT_ID}; exec /sbin/init; fi; {command}"
            # systemd ends when it is told to reboot; the engine is what starts it again.
            options = ("--restart=always", *SYSTEMD_OPTIONS[self.program])
        # If it were killed, the engine might be done with it later, when nobody looks any more.
        with uninterrupted():
            run(
                *(self.program, "create", "--pull=never", f"--name={self.full_name}"),
                *(f"--hostname={host.name}", f"--network={network.namespace(host.lab)}"),
                *(f"--ip={host.address}", "--cap-add=AUDIT_WRITE", *options),
                *(host.base_path, "sh", "-c", command),
            )

    def start(self) -> None:
        """Start it, and wait until it has booted and answers by ssh."""
        run(self.program, "start", self.full_name)
        prepare = "cat >/root/.ssh/authorized_keys"
        if not self.systemd:
            prepare += f"; {PLAIN_POLICY}"
        run(*self.enter("sh", "-ec", prepare), stdin=ssh_key().with_suffix(".pub").read_text())
        self._wait_until_ready(self.running)

    def running(self) -> bool:
        try:
            state = run(
                *(self.program, "container", "inspect", "--format", "{{.State.Running}}"),
                self.full_name,
            )
        except Interrupted:
            raise
        except HostsError:  # it was never created, or is gone
            return False
        return state.strip() == "true"

    def enter(self, *command: str) -> list[str]:
        environment = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        terminal = ["--tty"] if command and sys.stdin.isatty() and sys.stdout.isatty() else []
        inside = [self.program, "exec", "--interactive", *terminal, self.full_name]
        return [*inside, "env", "-i", *environment, *command]

    def reboot(self) -> None:
        # A plain host's PID 1 is a shell, which no signal from outside asks to stop.
        seconds = STOP_SECONDS if self.systemd else 0
        run(self.program, "stop", "--time", str(seconds), self.full_name)
        self.start()

    def remove(self) -> None:
        """Remove whatever there is of the host, be it whole, half made or half removed."""
        attempt(self.program, "kill", self.full_name)
        attempt(self.program, "rm", "--force", "--volumes", self.full_name)
        if _exists(self.program, "container", self.full_name):
            raise HostsError(f"{self.program} cannot remove the container {self.full_name}.")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _said(self) -> str:
        return run("sh", "-c", 'exec "$1" logs "$2" 2>&1', "sh", self.program, self.full_name)
