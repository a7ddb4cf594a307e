from __future__ import annotations

import subprocess
from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from throwaway import images, lab
from throwaway.container import Container, Host
from throwaway.process import HostsError

HOST = Host("web", "nightly", "debian12", "10.99.1.11", "10.99.1.0/24", "", "/nowhere/web")

# Stands for podman: writes its arguments down, knows no container, and has one image.
ENGINE = """\
#!/bin/sh
echo "$*" >>"$0.calls"
case "$1 $2" in
"image inspect") echo sha256:cafe ;;
"container inspect") exit 1 ;;
esac
"""


@pytest.fixture
def engine(tmp_path, monkeypatch):
    program = tmp_path / "podman"
    program.write_text(ENGINE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    calls = tmp_path / "podman.calls"
    calls.touch()
    return lambda: calls.read_text().splitlines()


@pytest.mark.parametrize(
    ("kind", "setting", "image"),
    [
        pytest.param("el9", "", "", id="not asked for"),
        pytest.param("el9", "rockylinux:9", "rockylinux:9", id="one for all"),
        pytest.param("el9", "arch=archlinux el9=rockylinux:9", "rockylinux:9", id="by kind"),
        pytest.param("el9", "arch=archlinux fedora", "fedora", id="one for the others"),
        pytest.param("debian12-plain", "debian12=debian:12", "debian:12", id="plain as its base"),
    ],
)
def test_a_kind_gets_its_image(kind, setting, image):
    assert images.choose(kind, setting) == image


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        pytest.param("arch=archlinux", "names no image for the kind el9: add el9=IMAGE", id="none"),
        pytest.param("el8=rockylinux:8", "no kind of host named el8", id="unknown kind"),
    ],
)
def test_a_kind_without_an_image_is_an_error(setting, message):
    with pytest.raises(HostsError, match=message):
        images.choose("el9", setting)


def test_podman_is_taken_before_docker(engine, tmp_path):
    (tmp_path / "docker").symlink_to(tmp_path / "podman")
    assert images.engine() == "podman"


def test_without_an_engine_it_says_which_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostsError, match="neither podman nor docker"):
        images.engine()


def test_a_changed_image_or_preparation_is_prepared_anew(engine, tmp_path, monkeypatch):
    name = images.prepared("podman", "debian:12")
    assert images.prepared("podman", "debian:12") == name
    changed = tmp_path / "prepare.sh"
    changed.write_text("true")
    monkeypatch.setattr(images, "PREPARE", changed)
    assert images.prepared("podman", "debian:12") != name


def test_the_preparation_is_a_shell_script():
    subprocess.run(["sh", "-n", images.PREPARE], check=True)


@pytest.mark.parametrize(
    ("kind", "systemd"),
    [
        pytest.param("debian12", True, id="systemd"),
        pytest.param("debian12-plain", False, id="plain"),
    ],
)
def test_only_hosts_with_systemd_get_rights_and_are_started_again(engine, kind, systemd):
    images.ImageHost(replace(HOST, kind=kind, image="debian:12", engine="podman")).create()
    [create] = engine()
    assert "--name=em-nightly.web" in create
    assert "--ip=10.99.1.11" in create
    assert ("--cap-add=SYS_ADMIN" in create) is systemd
    assert ("--restart=always" in create) is systemd


def test_a_network_leads_out_over_the_address_that_hosts_of_bases_use(engine):
    images.create_network("podman", "nightly", IPv4Network("10.99.1.0/24"))
    [create] = engine()
    assert create.endswith("--subnet=10.99.1.0/24 --gateway=10.99.1.1 em-nightly")


def test_hosts_are_found_again_as_what_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "STATE", tmp_path)
    for host in (HOST, replace(HOST, name="box", image="debian:12", engine="podman")):
        folder = tmp_path / "nightly" / host.name
        folder.parent.mkdir(exist_ok=True)
        Container(replace(host, folder=str(folder))).record()
    found = {each.host.name: type(each) for each in lab.Lab("nightly").containers()}
    assert found == {"web": Container, "box": images.ImageHost}
