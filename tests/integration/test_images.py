"""Hosts from a container image, for real where podman is installed.

The image is made here, of the base of Debian 12, so that no registry is needed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.skipif(not shutil.which("podman"), reason="podman is not installed"),
]

HOSTS = Path(__file__).parents[1] / "hosts/hosts"
IMAGE = "edge-mtls-test:12"
LAB = "images-test"


def output(*words, **options):
    process = subprocess.run(words, capture_output=True, text=True, **options)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Import the image; return the environment in which hosts are made from it."""
    # podman asks for higher limits than some machines allow.
    settings = tmp_path_factory.mktemp("podman") / "containers.conf"
    text = '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
    if shutil.which("runc"):  # crun boots no systemd beside cgroup 1
        text += '[engine]\nruntime = "runc"\n'
    settings.write_text(text)
    environment = {
        **os.environ,
        "CONTAINERS_CONF": str(settings),
        "EDGE_MTLS_IMAGE": IMAGE,
        "EDGE_MTLS_LAB": LAB,
    }
    root = output(HOSTS, "build", "debian12")
    tarball = settings.with_name("image.tar")
    output("tar", "--directory", root, "--create", "--file", tarball, ".")
    output("podman", "import", "--quiet", tarball, IMAGE, env=environment)
    tarball.unlink()
    yield environment
    output(HOSTS, "down", "--all", env=environment)
    listed = ["podman", "images", "--quiet", "--filter", f"label=edge-mtls-hosts.from={IMAGE}"]
    output("podman", "rmi", *output(*listed).split(), IMAGE, env=environment)


def test_hosts_from_an_image_boot_reboot_and_leave_nothing(environment):
    up = json.loads(
        output(HOSTS, "up", "--json=-", "debian12", "plain=debian12-plain", env=environment)
    )
    first = {}
    for host in up:
        ssh = ["ssh", "-i", host["identity_file"], "-o", "StrictHostKeyChecking=no"]
        ssh += ["-o", "UserKnownHostsFile=/dev/null", f"root@{host['address']}"]
        first[host["instance"]] = output(*ssh, "cat /proc/1/comm")
    assert first == {"debian12": "systemd", "plain": "sh"}

    boot_id = (HOSTS, "exec", "debian12", "--", "cat", "/proc/sys/kernel/random/boot_id")
    before = output(*boot_id, env=environment)
    output(HOSTS, "reboot", "debian12", env=environment)
    output(HOSTS, "reboot", "plain", env=environment)
    assert output(*boot_id, env=environment) != before

    output(HOSTS, "down", "--all", env=environment)
    assert f"em-{LAB}" not in output("podman", "ps", "--all", "--format", "{{.Names}}")
    assert f"em-{LAB}" not in output("podman", "network", "ls", "--format", "{{.Name}}")
    assert not Path("/var/lib/edge-mtls-hosts", LAB).exists()


def test_a_host_that_cannot_come_up_takes_the_others_with_it(environment):
    missing = {**environment, "EDGE_MTLS_IMAGE": f"debian12={IMAGE} arch=localhost/no-such:1"}
    process = subprocess.run(
        [HOSTS, "up", "debian12", "arch"], env=missing, capture_output=True, text=True
    )
    assert process.returncode == 1
    assert "no-such" in process.stderr
    assert not Path("/var/lib/edge-mtls-hosts", LAB).exists()
