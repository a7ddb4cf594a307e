"""Those who issue certificates, each with the same work to do; every call returns its time."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from .environment import BENCH, CHECKOUT, BenchError, command
from .judge import judge
from .names import client_name

MODULES = CHECKOUT / "plugins/modules"
ISSUER = "services"
AUTHORITIES = 2  # of a store: the root and the issuer


@dataclass(frozen=True)
class Sample:
    """What one run took."""

    seconds: float
    peak_mb: float | None = None


class Contestants:
    """All of them, in one folder; what they issue is judged and may be removed.

    Before each run the disk is given all that others have left for later, or who waits for the
    disk would wait for theirs too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._authority = folder / "authority"
        self._authority.mkdir()
        self._work("authority", folder=self._authority)

    def remove(self, name: str) -> None:
        """Remove what was issued into the folder of that name, keys too."""
        shutil.rmtree(self.folder / name)

    def floor(self, name: str, count: int, sync_once: bool = False) -> Sample:
        """Issue in a bare loop around cryptography; ``sync_once`` waits once for the disk."""
        target = self.folder / name
        how = {"count": count, "sync_once": sync_once}
        result = self._work("floor", folder=target, authority=self._authority, **how)
        self._judge_flat(target, count)
        return Sample(result["seconds"], result["peak_mb"])

    def openssl(self, name: str, count: int) -> Sample:
        """Issue with the openssl program in a shell loop."""
        target = self.folder / name
        os.sync()
        started = perf_counter()
        command([BENCH / "contestants/openssl.sh", target, self._authority, str(count)])
        seconds = perf_counter() - started
        self._judge_flat(target, count)
        return Sample(seconds)

    def community_crypto(self, name: str, count: int, changes: bool = True) -> Sample:
        """Run community.crypto's playbook; ``changes`` says whether it must change something."""
        target = self.folder / name
        variables = {"folder": str(target), "authority": str(self._authority)}
        clients = [client_name(number) for number in range(count)]
        sample = self._play("community_crypto", {**variables, "clients": clients}, changes)
        self._judge_flat(target, count)
        return sample

    def new_store(self, name: str) -> None:
        """Make a store with a root and an issuer, which is not measured."""
        for params in (
            {"name": "root", "common_name": "Bench Root CA"},
            {"name": ISSUER, "common_name": "Bench Issuing CA", "issuer": "root"},
        ):
            store = {"store_path": str(self.folder / name)}
            self._work("module", name="authority", params={**store, **params})

    def playbook(self, name: str, count: int, changes: bool = True) -> Sample:
        """Run the playbook with this collection's module."""
        clients = [{"name": client_name(n), "issuer": ISSUER} for n in range(count)]
        variables = {"store_path": str(self.folder / name), "clients": clients}
        sample = self._play("edge_mtls.yml", variables, changes)
        self._judge_store(name, count)
        return sample

    def module(
        self,
        name: str,
        count: int,
        changes: bool = True,
        key_type: str = "P-256",
        one_core: bool = False,
    ) -> Sample:
        """Call the module's own code in a fresh Python."""
        entry = {"name": "any", "issuer": ISSUER, "key_type": key_type}
        params = {"store_path": str(self.folder / name), "certificates": [entry]}
        how = {"copies": count, "one_core": one_core}
        result = self._work("module", name="certificates", params=params, **how)
        if result["changed"] != changes:
            raise BenchError(f"the module reports changed: {result['changed']}")
        if key_type == "P-256":
            self._judge_store(name, count)
        return Sample(result["seconds"], result["peak_mb"])

    @property
    def has_info(self) -> bool:
        """Tell whether the collection has a module that lists what a store holds."""
        return (MODULES / "pki_info.py").exists()

    def info(self, name: str, expected: int, **filters: Any) -> Sample:
        """Call the code of the module that lists what a store holds, which must be so many."""
        params = {"store_path": str(self.folder / name), **filters}
        result = self._work("module", name="pki_info", params=params)
        if result["certificates"] != expected:
            raise BenchError(f"pki_info lists {result['certificates']} instead of {expected}")
        return Sample(result["seconds"], result["peak_mb"])

    def _judge_flat(self, target: Path, count: int) -> None:
        judge(self._authority / "root.pem", f"{target}/{{name}}.{{file}}.pem", count)

    def _judge_store(self, name: str, count: int) -> None:
        store = self.folder / name
        root = store / "authorities/root/certificate.pem"
        judge(root, f"{store}/clients/{{name}}/{{file}}.pem", count)

    def _work(self, job: str, **arguments: Any) -> dict[str, Any]:
        request = json.dumps({"job": job, **arguments}, default=str)
        path = f"{BENCH}:{CHECKOUT / 'collections'}"
        os.sync()
        printed = command(["python", "-m", "measure.worker"], request, PYTHONPATH=path)
        result: dict[str, Any] = json.loads(printed)
        return result

    def _play(self, playbook: str, variables: dict[str, Any], changes: bool) -> Sample:
        path = self.folder / "variables.json"
        path.write_text(json.dumps(variables))
        home = self.folder / "ansible"
        os.sync()
        started = perf_counter()
        printed = command(
            ["ansible-playbook", "-e", f"@{path}", BENCH / "contestants" / playbook],
            ANSIBLE_CONFIG=CHECKOUT / "ansible.cfg",
            ANSIBLE_COLLECTIONS_PATH=CHECKOUT / "collections",
            ANSIBLE_HOME=home,
            ANSIBLE_REMOTE_TEMP=home / "tmp",
        )
        seconds = perf_counter() - started
        changed = re.search(r"changed=([0-9]+)", printed)
        if not changed or bool(int(changed[1])) != changes:
            raise BenchError(f"{playbook} should have changed={changes}:\n{printed[-2000:]}")
        return Sample(seconds)
