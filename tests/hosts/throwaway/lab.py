"""A lab: hosts that see each other, on a network that nobody else is on."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from throwaway import bases, images, network
from throwaway.cgroups import Group
from throwaway.container import Container, Host, ssh_key
from throwaway.process import HostsError, in_parallel, locked, say, uninterrupted

# One place for the whole machine, because namespaces and subnets are the machine's too.
STATE = Path("/var/lib/edge-mtls-hosts")
CHECKOUT = Path(__file__).parents[3]
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?")
LAB_NAME_LENGTH = 36


@dataclass(frozen=True)
class Wanted:
    """A host that somebody wants up."""

    name: str
    kind: str
    address: IPv4Address | None = None
    image: str = ""


def check_name(name: str, what: str) -> str:
    if not NAME.fullmatch(name):
        raise HostsError(
            f"{name!r} cannot name a {what}: use 1 to 24 small letters, digits and inner hyphens."
        )
    return name


def lab_name(environment: str, checkout: Path, scenario: str = "") -> str:
    """Name the lab of a checkout, or of one of its molecule scenarios.

    :param environment: the value of EDGE_MTLS_LAB, empty if unset.
    """
    digest = hashlib.sha256(str(checkout).encode()).hexdigest()
    name = check_name(environment, "lab") if environment else digest[:8]
    if not scenario:
        return name
    # A scenario may be named as it likes; what a name cannot hold is left to the digest.
    plain = re.sub(r"[^a-z0-9-]+", "-", scenario.lower()).strip("-")
    if plain != scenario or len(name) + 1 + len(plain) > LAB_NAME_LENGTH:
        room = LAB_NAME_LENGTH - len(name) - 8
        plain = f"{plain[:room]}-{hashlib.sha256(scenario.encode()).hexdigest()[:6]}".strip("-")
    return f"{name}-{plain}"


def all_labs() -> list[Lab]:
    return [Lab(folder.name) for folder in sorted(STATE.glob("*")) if folder.is_dir()]


class Lab:
    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = STATE / name
        self._engine_file = self.folder / "engine"

    @contextmanager
    def held(self) -> Iterator[None]:
        with locked(self.folder, on_wait=lambda: say(f"waiting: the lab {self.name} is in use")):
            yield

    def containers(self) -> list[Container]:
        """Return every host that was ever begun and not removed since."""
        records = sorted(self.folder.glob("*/host.json"))
        hosts = [Host(**json.loads(path.read_text())) for path in records]
        return [images.ImageHost(host) if host.image else Container(host) for host in hosts]

    def engine(self) -> str:
        """Return the program that made the lab's network, empty where we did it ourselves."""
        return self._engine_file.read_text() if self._engine_file.exists() else ""

    def find(self, name: str) -> Container:
        for container in self.containers():
            if container.host.name == name and container.running():
                return container
        up = [container.host.name for container in self.containers() if container.running()]
        raise HostsError(
            f"No host named {name} is up in the lab {self.name}; up are: {', '.join(up) or 'none'}."
        )

    def up(self, wanted: Sequence[Wanted]) -> list[Host]:
        """Bring all of these hosts up, or none of them; either all are from images, or none."""
        for one in wanted:
            bases.find_kind(one.kind)
        engine, base_paths = _ensure_bases(wanted)
        ssh_key()
        with self.held():
            made: list[Container] = []
            try:
                self._make_room({one.name for one in wanted})
                address = next((one.address for one in wanted if one.address), None)
                subnet = self._connect(address, engine)
                for one, base_path in zip(wanted, base_paths, strict=True):
                    made.append(self._write_down(one, subnet, base_path, engine))
                in_parallel(self._boot, made)
            except BaseException:
                with uninterrupted():
                    in_parallel(_remove, made)
                    self._remove_if_empty()
                raise
            return [container.host for container in made]

    def down(self, names: Sequence[str] | None = None) -> list[str]:
        """Destroy these hosts, or all; with the last one the lab goes too.

        :returns: the names of what was destroyed.
        """
        with self.held(), uninterrupted():
            try:
                known = {container.host.name: container for container in self.containers()}
                doomed = list(known) if names is None else list(dict.fromkeys(names))
                for name in doomed:
                    if name not in known:
                        raise HostsError(f"No host named {name} is in the lab {self.name}.")
                in_parallel(_remove, [known[name] for name in doomed])
            finally:
                self._remove_if_empty()
        return doomed

    def _boot(self, container: Container) -> None:
        container.create()
        container.start()
        (container.folder / "ready").touch()

    def _write_down(
        self, wanted: Wanted, subnet: IPv4Network, base_path: str, engine: str
    ) -> Container:
        """Choose the host's address and put the host on record."""
        taken = [IPv4Address(container.host.address) for container in self.containers()]
        folder = self.folder / wanted.name
        shutil.rmtree(folder, ignore_errors=True)
        host = Host(
            name=wanted.name,
            lab=self.name,
            kind=wanted.kind,
            address=str(network.choose_address(subnet, taken, wanted.address)),
            subnet=str(subnet),
            base_path=base_path,
            folder=str(folder),
            image=wanted.image,
            engine=engine,
        )
        container = images.ImageHost(host) if host.image else Container(host)
        container.record()
        return container

    def _make_room(self, names: set[str]) -> None:
        """Remove hosts of these names, and what a killed run left: halves, the dead, a network."""
        in_parallel(
            _remove,
            [
                container
                for container in self.containers()
                if container.host.name in names
                or not container.running()
                or not (container.folder / "ready").exists()
            ],
        )
        if not self.containers():
            self._disconnect()

    def _connect(self, address: IPv4Address | None, engine: str) -> IPv4Network:
        """Return the lab's subnet; make its network unless it is there already."""
        for container in self.containers():
            if engine != self.engine():
                raise HostsError(
                    f"The lab {self.name} runs hosts {_made_by(self.engine())}, which see none "
                    f"{_made_by(engine)}: take them down first."
                )
            return IPv4Network(container.host.subnet)
        # Between choosing a subnet and routing it, no other lab may choose.
        with locked(STATE):
            subnet = network.choose_subnet(self.name, network.routed_networks(), address)
            if engine:
                self._engine_file.write_text(engine)
                images.create_network(engine, self.name, subnet)
            else:
                network.create_lab(self.name, subnet)
        return subnet

    def _disconnect(self) -> None:
        if engine := self.engine():
            images.remove_network(engine, self.name)
            self._engine_file.unlink()
        network.remove_lab(self.name)
        Group(self.name).remove()

    def _remove_if_empty(self) -> None:
        if not self.containers():
            self._disconnect()
            shutil.rmtree(self.folder, ignore_errors=True)
            with suppress(OSError):  # other labs are there
                STATE.rmdir()


def _ensure_bases(wanted: Sequence[Wanted]) -> tuple[str, list[str]]:
    """Make what these hosts are started from; return it, and the engine that runs images."""
    chosen = [one.image for one in wanted]
    if all(chosen):
        engine = images.engine()
        distinct = list(dict.fromkeys(chosen))
        ready = in_parallel(lambda image: images.ensure(engine, image), distinct)
        names = dict(zip(distinct, ready, strict=True))
        return engine, [names[image] for image in chosen]
    bases.ensure([one.kind for one in wanted])
    folders = [bases.base_folder(bases.find_kind(one.kind).base) for one in wanted]
    return "", [str(folder / "root") for folder in folders]


def _remove(container: Container) -> None:
    container.remove()


def _made_by(engine: str) -> str:
    return f"made by {engine}" if engine else "without images"


def current(scenario: str = "", name: str = "") -> Lab:
    """Return the lab that a command means."""
    environment = name or os.environ.get("EDGE_MTLS_LAB", "")
    return Lab(lab_name(environment, CHECKOUT, scenario))
