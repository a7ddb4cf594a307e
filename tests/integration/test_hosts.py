"""The throw-away hosts for real: what they do, and that nothing of them stays behind.

Needs root; the first run builds the base of Debian 12, which takes half a minute.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.hosts

TOOLING = Path(__file__).parents[1] / "hosts"
DEADLINE_SECONDS = 60

# Makes a base of four files instead of a Debian; waits in the middle while $WAIT_WHILE exists.
QUICK_RECIPE = """\
mkdir -p "$1/mounted" "$1/etc" "$1/usr/sbin" "$1/usr/bin"
mount -t tmpfs edge-mtls-test "$1/mounted"
touch "$WAIT_WHILE.reached"
while [ -e "$WAIT_WHILE" ]; do sleep 0.05; done
umount "$1/mounted"
touch "$1/etc/os-release" "$1/usr/sbin/sshd" "$1/usr/bin/python3"
"""


class Lab:
    """The command line, in a lab of this test's own."""

    def __init__(self, name, tooling=TOOLING, **environment):
        self.name = name
        self.command = str(tooling / "hosts")
        self.environment = {**os.environ, "EDGE_MTLS_LAB": name, **environment}

    def start(self, *arguments):
        return subprocess.Popen(
            [self.command, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def try_to(self, *arguments):
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=5 * DEADLINE_SECONDS)
        return process.returncode, output.strip(), errors.strip()

    def run(self, *arguments):
        status, output, errors = self.try_to(*arguments)
        assert status == 0, errors
        return output

    def up(self, *arguments):
        """Bring hosts up; return their addresses by their names."""
        instances = json.loads(self.run("up", "--json=-", *arguments))
        return {instance["instance"]: instance["address"] for instance in instances}

    def traces(self):
        """Find everything on this machine that bears the lab's name, as a list to read."""
        found = [f"namespace {path}" for path in Path("/run/netns").glob(f"em-{self.name}*")]
        found += [f"file {path}" for path in Path("/var/lib/edge-mtls-hosts").glob(self.name)]
        found += [f"file {path}" for path in Path("/run/systemd/nspawn").rglob(f"*{self.name}*")]
        found += [f"cgroup {path}" for path in Path("/sys/fs/cgroup").rglob(self.name)]
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        found += [f"mount {line}" for line in mounts if self.name in line]
        return found + [f"process {line}" for line in processes(self.name)]


def processes(word):
    """List living processes with a word in their command line or control group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().replace("\0", " ")
            group = (folder / "cgroup").read_text()
        except OSError:  # it just ended
            continue
        if words and (word in words or f"/{word}" in group):
            found.append(f"{folder.name} {words}")
    return found


def wait_for(condition):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def routes():
    listed = subprocess.run(["ip", "-4", "route"], capture_output=True, text=True, check=True)
    return listed.stdout


@pytest.fixture
def lab():
    made = Lab(f"test-{os.getpid()}")
    yield made
    made.try_to("down", "--all")


@pytest.fixture(scope="module", autouse=True)
def base():
    Lab("test-build").run("build", "debian12")


@pytest.mark.parametrize(
    ("kind", "first_process"),
    [
        pytest.param("debian12", "systemd", id="systemd"),
        pytest.param("debian12-plain", "(sd-stubinit)", id="plain"),
    ],
)
def test_host_lives_from_up_to_down(lab, kind, first_process):
    address = lab.up("web", "--kind", kind)["web"]
    inside = ("exec", "web", "--")
    assert lab.run(*inside, "cat", "/proc/1/comm") == first_process
    assert lab.run(*inside, "hostname") == "web"
    assert f"{address}/24" in lab.run(*inside, "ip", "address")
    with socket.create_connection((address, 22), timeout=5) as connection:
        assert connection.recv(4) == b"SSH-"

    lab.run(*inside, "touch", "/root/stays", "/run/goes")
    boot_id = lab.run(*inside, "cat", "/proc/sys/kernel/random/boot_id")
    lab.run("reboot", "web")
    assert lab.run(*inside, "cat", "/proc/sys/kernel/random/boot_id") != boot_id
    assert lab.run(*inside, "sh", "-c", "ls /root/stays /run/goes 2>&1; true") == (
        "ls: cannot access '/run/goes': No such file or directory\n/root/stays"
    )

    network = address.rpartition(".")[0]
    assert network in routes()
    lab.run("down", "--all")
    assert lab.traces() == []
    assert network not in routes()


def test_host_starts_without_nginx_and_without_a_package_list(lab):
    lab.up("debian12")
    inside = ("exec", "debian12", "--", "sh", "-c")
    assert lab.run(*inside, "command -v nginx openssl; apt-cache policy nginx; true") == ""
    assert "cryptography" in lab.run(*inside, "python3 -c 'import cryptography' 2>&1; true")
    lab.run(*inside, "apt-get -qq update && apt-get -qq install -y nginx python3-cryptography")
    assert lab.run(*inside, "systemctl is-active nginx") == "active"


def test_hosts_see_each_other_and_go_one_by_one(lab):
    addresses = lab.up("one=debian12", "two=debian12-plain")
    greeting = f"exec 3<>/dev/tcp/{addresses['two']}/22; head -c 4 <&3"
    assert lab.run("exec", "one", "--", "bash", "-c", greeting) == "SSH-"
    assert lab.run("run", "--", "bash", "-c", greeting) == "SSH-"
    listed = [line.split() for line in lab.run("list").splitlines()]
    assert [lab.name, "two", "debian12-plain", addresses["two"], "up"] in listed

    lab.run("down", "one")
    status, _, errors = lab.try_to("exec", "one", "--", "true")
    assert (status, errors) == (
        1,
        f"hosts: No host named one is up in the lab {lab.name}; up are: two.",
    )
    assert lab.run("exec", "two", "--", "hostname") == "two"
    lab.run("down", "two")
    assert lab.traces() == []


def test_host_of_the_same_name_is_replaced(lab):
    lab.up("web=debian12")
    lab.run("exec", "web", "--", "touch", "/root/old")
    lab.up("web=debian12")
    assert lab.run("exec", "web", "--", "ls", "/root") == ""


def test_two_labs_are_apart(lab):
    other = Lab(f"{lab.name}-b")
    try:
        ours, theirs = lab.up("web=debian12-plain")["web"], other.up("web=debian12-plain")["web"]
        assert ours.rpartition(".")[0] != theirs.rpartition(".")[0]
        greeting = f"exec 3<>/dev/tcp/{theirs}/22"
        status, _, errors = lab.try_to("exec", "web", "--", "bash", "-c", greeting)
        assert status != 0
        assert "No route to host" in errors  # at once, instead of hanging
        status, _, errors = lab.try_to("up", "x=debian12-plain", "--address", theirs)
        assert (status, "is not one of this lab's" in errors) == (1, True)
        lab.run("down", "--all")
        assert other.run("exec", "web", "--", "hostname") == "web"
    finally:
        other.run("down", "--all")
    assert other.traces() == []


def test_host_that_cannot_boot_leaves_nothing(lab, tmp_path):
    """systemd-nspawn is made to fail; all that was made before it must go."""
    fake = tmp_path / "systemd-nspawn"
    fake.write_text("#!/bin/sh\necho out of order\nexit 1\n")
    fake.chmod(0o755)
    broken = Lab(lab.name, PATH=f"{tmp_path}:{os.environ['PATH']}")
    status, _, errors = broken.try_to("up", "one=debian12", "two=debian12")
    assert status == 1
    assert "did not come up; its console said last:\nout of order" in errors
    assert lab.traces() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("/run/netns/em-{lab}", id="with the network"),
        pytest.param("/var/lib/edge-mtls-hosts/{lab}/a/host.json", id="with the record"),
        pytest.param("/var/lib/edge-mtls-hosts/{lab}/a/console.log", id="while booting"),
    ],
)
def test_interrupted_up_leaves_nothing(lab, moment, number):
    process = lab.start("up", "a=debian12", "b=debian12", "c=debian12-plain")
    wait_for(Path(moment.format(lab=lab.name)).exists)
    process.send_signal(number)
    _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert (process.returncode, errors) == (130, "hosts: Interrupted.\n")
    assert lab.traces() == []


@pytest.mark.parametrize(
    "cleaner",
    [pytest.param(["down", "--all"], id="down"), pytest.param(["up", "b=debian12"], id="up")],
)
def test_killed_up_is_cleaned_up_by_the_next_command(lab, cleaner):
    process = lab.start("up", "a=debian12")
    wait_for(Path(f"/var/lib/edge-mtls-hosts/{lab.name}/a/console.log").exists)
    process.kill()
    process.communicate()
    assert lab.traces() != []
    lab.run(*cleaner)
    assert not [trace for trace in lab.traces() if f"{lab.name}.a" in trace]
    lab.run("down", "--all")
    assert lab.traces() == []


@pytest.fixture
def quick(tmp_path):
    """A copy of the tooling that builds in no time, with a cache of its own."""
    tooling = tmp_path / "checkout" / "tests" / "hosts"
    shutil.copytree(TOOLING, tooling, ignore=shutil.ignore_patterns("__pycache__"))
    (tooling / "rootfs" / "debian").write_text(QUICK_RECIPE)
    wait_while = tmp_path / "wait"
    made = Lab(
        f"quick-{os.getpid()}",
        tooling,
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        WAIT_WHILE=str(wait_while),
    )
    made.wait_while = wait_while
    made.reached = tmp_path / "wait.reached"
    made.cache = tmp_path / "cache" / "edge-mtls" / "hosts"
    return made


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGKILL, id="SIGKILL")]
)
def test_interrupted_build_leaves_nothing_and_is_begun_anew(quick, number):
    quick.wait_while.touch()
    process = quick.start("build", "debian12")
    wait_for(quick.reached.exists)
    process.send_signal(number)
    process.communicate(timeout=DEADLINE_SECONDS)
    wait_for(lambda: not processes(str(quick.cache)))
    assert "edge-mtls-test" not in Path("/proc/self/mountinfo").read_text()
    assert not list(quick.cache.glob("*/built"))
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert [path.name for path in quick.cache.glob("*/*")] == ["log"]

    quick.wait_while.unlink()
    quick.run("build", "debian12")
    assert len(list(quick.cache.glob("*/built"))) == 1
    assert not list(quick.cache.glob("*/root.part"))


def test_two_builds_at_once_build_once(quick):
    quick.wait_while.touch()
    first = quick.start("build", "debian12")
    wait_for(quick.reached.exists)
    second = quick.start("build", "debian12")
    assert second.stderr.readline() == "debian12: waiting, it is being built already\n"
    quick.wait_while.unlink()
    errors = [process.communicate(timeout=DEADLINE_SECONDS)[1] for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0]
    assert ["debian12: built" in error for error in errors] == [True, False]


def test_clean_keeps_a_base_that_a_host_runs_on(lab, tmp_path):
    """In a copy of the cache: other labs of this machine may need the real one."""
    lab.up("web=debian12-plain")
    base = Path(json.loads(record(lab, "web"))["base_path"]).parent
    lab.run("down", "--all")
    copied = tmp_path / "edge-mtls" / "hosts" / base.name
    copied.parent.mkdir(parents=True)
    subprocess.run(["cp", "-a", base, copied], check=True)

    lab = Lab(lab.name, XDG_CACHE_HOME=str(tmp_path))
    lab.up("web=debian12-plain")
    assert lab.run("clean", "--all") == ""
    assert lab.run("exec", "web", "--", "hostname") == "web"
    lab.run("down", "--all")
    assert lab.run("clean", "--all") == f"removed {base.name}"
    assert not copied.exists()


def record(lab, name):
    return Path(f"/var/lib/edge-mtls-hosts/{lab.name}/{name}/host.json").read_text()
