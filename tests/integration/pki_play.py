# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real runs of ansible-playbook: in the controller, and sent to a host as any module is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

# Like "local" in all but its name, so that the module is sent as to any other host.
ELSEWHERE = '''
DOCUMENTATION = """
name: elsewhere
short_description: This machine, as if it were another
description: For tests.
author: The edge.mtls authors (@edge-mtls)
"""
from ansible.plugins.connection.local import Connection as Local
class Connection(Local):
    transport = "elsewhere"
'''
INVENTORY = {
    "all": {
        "vars": {
            "ansible_python_interpreter": sys.executable,
            "store_path": "{{ playbook_dir }}/{{ inventory_hostname }}/store",
            "key_path": "{{ playbook_dir }}/{{ inventory_hostname }}/tls/key.pem",
        },
        "hosts": {
            "here": {"ansible_connection": "local"},
            "there": {"ansible_connection": "elsewhere"},
        },
    }
}


class Play:
    """A folder with an inventory of two hosts, on which tasks are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "connection_plugins").mkdir()
        (folder / "connection_plugins/elsewhere.py").write_text(ELSEWHERE)
        (folder / "inventory.json").write_text(json.dumps(INVENTORY))

    def run(self, *tasks, arguments=(), watch=None, **play):
        """Return what ansible-playbook prints.

        :param play: further keywords of the play.
        :param watch: is called again and again while it runs, with its process id.
        """
        plays = [{"hosts": "all", "gather_facts": False, "tasks": list(tasks), **play}]
        (self.folder / "play.json").write_text(json.dumps(plays))
        process = subprocess.Popen(
            [
                Path(sys.executable).with_name("ansible-playbook"),
                *("-i", self.folder / "inventory.json", *arguments, self.folder / "play.json"),
            ],
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / "collections"),
                "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_PIPELINING": "0",
                "ANSIBLE_LOCAL_TEMP": str(self.folder / "temporary/local"),
                "ANSIBLE_REMOTE_TEMP": str(self.folder / "temporary/remote"),
            },
            stdout=(self.folder / "output").open("w"),
            stderr=subprocess.STDOUT,
        )
        try:
            until = time.monotonic() + 120
            while process.poll() is None and time.monotonic() < until:
                if watch is not None:
                    watch(process.pid)
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
        output = (self.folder / "output").read_text()
        assert process.returncode == 0, output
        return output

    def secrets(self):
        """Return every line of every private key, and every passphrase, that was made."""
        lines: set[str] = set()
        for path in self.folder.rglob("*"):
            if path.name == "key.pem" or path.name.endswith(".passphrase"):
                lines |= set(path.read_text().split("\n"))
        return {line for line in lines if len(line) > 20 and not line.startswith("-----")}


def results(output: str, host: str) -> list[dict]:
    """Read each task's result from what ``-v`` prints."""
    found = []
    for match in re.finditer(
        rf"^(ok|changed|fatal): \[{host}\](: FAILED!)? => ", output, re.MULTILINE
    ):
        value, _end = json.JSONDecoder().raw_decode(output, match.end())
        # With -vvv, what the module was given.
        value.pop("invocation", None)
        found.append(value)
    return found
