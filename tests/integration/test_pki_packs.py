# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others make of the packs: OpenSSL, GnuTLS, NSS and Java open them, and their page is followed.

Nothing here is a Windows, a Mac or an iPhone, so what the page says of those is read and not run.
"""

from __future__ import annotations

import http.server
import os
import plistlib
import pty
import re
import select
import shlex
import ssl
import subprocess
import sys
import termios
import threading
import time
from contextlib import contextmanager
from functools import cache
from itertools import takewhile
from urllib.parse import urlsplit

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    certificate_from_pem,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import key_from_pem
from ansible_collections.edge.mtls.plugins.module_utils.pki.packs import (
    PACKS,
    Credential,
    build_packs,
)
from ansible_collections.edge.mtls.tests.integration.pki_world import (
    ask,
    plain_world,
    say,
    server,
)

# As a person might choose it, with what a shell would trip over.
PASSPHRASE = "correct horse & $battery"
# Larger keys of RSA take OpenSSL seconds to load and differ in nothing else.
KEY_TYPES = ["P-256", "P-521", "Ed25519", "RSA-2048", "RSA-4096"]
TYPES = pytest.mark.parametrize("key_type", KEY_TYPES)
STRENGTH = pytest.mark.parametrize("strong", [True, False], ids=["random", "chosen"])


def each(key_types: list[str]):
    """Ask for a pack of each type that a chosen passphrase opens, and once for a random one's."""
    cases = [pytest.param(key_type, False, id=key_type) for key_type in key_types]
    random = pytest.param("P-256", True, id="P-256 with a random passphrase")
    return pytest.mark.parametrize(("key_type", "strong"), [*cases, random])


KIND = pytest.mark.parametrize("kind", ["p12", "legacy.p12"])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return plain_world(tmp_path_factory.getbasetemp())


def credential(world, name: str, *above: str) -> Credential:
    def read(path):
        return certificate_from_pem(path.read_bytes(), str(path))

    found = read(world.client(name))
    *intermediates, root = [read(world.authority(each)) for each in above] or [found]
    key = key_from_pem(world.client(name, "key.pem").read_bytes(), name)
    return Credential(name, key, found, intermediates, root)


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    """Make all packs of a client of each key type, once, and say in which folder."""

    @cache
    def make(name: str, strong: bool = True):
        folder = tmp_path_factory.mktemp("packs")
        built = build_packs(
            PACKS,
            credential(world, name, "services", "root"),
            PASSPHRASE,
            strong_passphrase=strong,
        )
        for file, content in built.items():
            (folder / file).write_bytes(content)
        return folder

    return make


# OpenSSL

ENCRYPTION = {
    "p12": ("PBES2, PBKDF2, AES-256-CBC", "sha256"),
    "legacy.p12": ("pbeWithSHA1And3-KeyTripleDES-CBC", "sha1"),
}


@STRENGTH
@KIND
@TYPES
def test_openssl_opens_the_pack(made, key_type, kind, strong):
    name = key_type.lower()
    words = ["openssl", "pkcs12", "-in", made(name, strong) / f"{name}.{kind}", "-info", "-noenc"]
    said = say(*words, "-passin", f"pass:{PASSPHRASE}")
    assert said.count("BEGIN CERTIFICATE") == 3
    assert said.count("BEGIN PRIVATE KEY") == 1
    encryption, mac = ENCRYPTION[kind]
    rounds = 2048 if strong else 100000
    # Key and certificates, and the MAC, by which a passphrase is guessed as well.
    assert said.count(f"{encryption}, Iteration {rounds}") == 2
    assert f"MAC: {mac}, Iteration {rounds}\n" in said
    # macOS was seen to refuse longer ones.
    assert "salt length: 8\n" in said
    assert f"friendlyName: {name}" in said


@KIND
def test_openssl_opens_no_pack_with_another_passphrase(made, kind):
    path = made("p-256", False) / f"p-256.{kind}"
    done = ask("openssl", "pkcs12", "-in", path, "-noenc", "-passin", "pass:guess")
    assert done.returncode != 0
    assert "PRIVATE KEY" not in done.stdout


@TYPES
def test_openssl_reads_the_der_files(made, world, key_type):
    name = key_type.lower()
    folder = made(name)
    read_key = ["openssl", "pkey", "-inform", "DER", "-in", folder / f"{name}.key.der"]
    read_certificate = ["openssl", "x509", "-inform", "DER", "-in", folder / f"{name}.cer"]
    assert say(*read_key) == world.client(name, "key.pem").read_text()
    assert say(*read_certificate) == world.client(name).read_text()
    assert say(*read_key, "-pubout") == say(*read_certificate, "-noout", "-pubkey")


@TYPES
def test_openssl_opens_what_the_profile_carries(made, world, tmp_path, key_type):
    name = key_type.lower()
    with (made(name, False) / f"{name}.mobileconfig").open("rb") as file:
        profile = plistlib.load(file)
    identity, *authorities = [payload["PayloadContent"] for payload in profile["PayloadContent"]]
    words = ["openssl", "pkcs12", "-noenc", "-passin", f"pass:{PASSPHRASE}"]
    (tmp_path / "identity").write_bytes(identity)
    assert world.client(name, "key.pem").read_text() in say(*words, "-in", tmp_path / "identity")
    for authority, content in zip(["services", "root"], authorities, strict=True):
        (tmp_path / authority).write_bytes(content)
        text = say("openssl", "x509", "-inform", "DER", "-in", tmp_path / authority)
        assert text == world.authority(authority).read_text()


# GnuTLS


@KIND
@each(KEY_TYPES)
def test_gnutls_opens_the_pack(made, key_type, kind, strong):
    name = key_type.lower()
    words = ["certtool", "--p12-info", "--inder", "--infile", made(name, strong) / f"{name}.{kind}"]
    said = say(*words, "--password", PASSPHRASE)
    assert said.count("BEGIN CERTIFICATE") == 3
    assert ask(*words, "--password", "guess").returncode != 0
    # It shows the key as it lies there, and wants to be asked again to decrypt it.
    key = said[said.index("-----BEGIN ENCRYPTED PRIVATE KEY") :]
    opened = say("certtool", "--key-info", "--pkcs8", "--password", PASSPHRASE, input=key)
    # GnuTLS 3.7 decrypts no Ed25519 key, not even one that OpenSSL encrypted.
    assert ("Public Key Info:" in opened) == (key_type != "Ed25519")


# NSS 3.87 imports no Ed25519 key, not even from a pack that OpenSSL made.
@KIND
@each([key_type for key_type in KEY_TYPES if key_type != "Ed25519"])
def test_nss_imports_the_pack(made, tmp_path, key_type, kind, strong):
    name, database = key_type.lower(), f"sql:{tmp_path}"
    say("certutil", "-N", "-d", database, "--empty-password")
    pack = made(name, strong) / f"{name}.{kind}"
    assert "IMPORT SUCCESSFUL" in say("pk12util", "-i", pack, "-d", database, "-W", PASSPHRASE)
    # "u": the database holds the private key as well.
    listing = say("certutil", "-L", "-d", database)
    assert re.search(rf"^{name} +u,u,u$", listing, re.MULTILINE)
    assert "Example Root CA" in listing


# Java


@KIND
@each(KEY_TYPES)
def test_java_reads_the_pack_as_a_key_store(made, key_type, kind, strong):
    name = key_type.lower()
    words = ["keytool", "-list", "-v", "-keystore", made(name, strong) / f"{name}.{kind}"]
    said = say(*words, "-storetype", "PKCS12", "-storepass", PASSPHRASE)
    assert f"Alias name: {name}\n" in said
    assert "Entry type: PrivateKeyEntry\nCertificate chain length: 3\n" in said
    assert ask(*words, "-storepass", "guess").returncode != 0


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["-storepass", "changeit"], id="with the usual passphrase"),
        pytest.param([], id="with none"),
    ],
)
def test_java_trusts_what_the_truststore_holds(made, arguments):
    path = made("p-256") / "p-256.truststore.p12"
    words = ["keytool", "-list", "-keystore", path, "-storetype", "PKCS12", *arguments]
    said = say(*words, input="\n")
    assert "contains 2 entries" in said
    assert re.findall(r"^(\S+), .*, trustedCertEntry, $", said, re.MULTILINE) == [
        "intermediate-1",
        "root",
    ]


def test_java_finds_out_when_a_truststore_was_changed(made, tmp_path):
    content = (made("p-256") / "p-256.truststore.p12").read_bytes()
    (tmp_path / "changed").write_bytes(content.replace(b"Example Root CA", b"Another Root CA"))
    words = ["keytool", "-list", "-keystore", tmp_path / "changed", "-storepass", "changeit"]
    done = ask(*words)
    assert done.returncode != 0
    assert "Integrity check failed" in done.stdout


# The archives, a service that asks for certificates, and the page in them

UNPACK = {"tar": ["tar", "-xzf"], "zip": ["unzip", "-q"]}
ENDING = {"tar": "tar.gz", "zip": "zip"}


def unpack(found: Credential, archive: str, folder, *others: str):
    """Unpack an archive with the real program; return the folder that was in it."""
    built = build_packs([archive, *others], found, PASSPHRASE, strong_passphrase=False)
    folder.mkdir(exist_ok=True)
    path = folder / f"{found.name}.{ENDING[archive]}"
    path.write_bytes(built[path.name])
    say(*UNPACK[archive], path.name, cwd=folder)
    path.unlink()
    [unpacked] = folder.iterdir()
    return unpacked


@pytest.mark.parametrize("archive", ["tar", "zip"])
def test_an_archive_unpacks_for_its_owner_alone(world, tmp_path, archive):
    folder = unpack(credential(world, "direct", "root"), archive, tmp_path / "out")
    assert folder.name == "direct"
    assert folder.stat().st_mode == 0o040700
    assert {path.stat().st_mode for path in folder.iterdir()} == {0o100600}
    for name in ("key.pem", "certificate.pem", "fullchain.pem"):
        assert (folder / name).read_text() == world.client("direct", name).read_text()


class Greeter(http.server.SimpleHTTPRequestHandler):
    """Says who called, and serves files of a folder."""

    def do_GET(self):
        if self.path != "/":
            super().do_GET()
            return
        [[(_kind, name)]] = self.connection.getpeercert()["subject"]
        body = f"hello {name}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


class Service(http.server.ThreadingHTTPServer):
    """An HTTPS server that only talks to callers with a certificate."""

    def __init__(self, context, folder):
        super().__init__(("127.0.0.1", 0), Greeter)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.folder = folder
        self.url = f"https://localhost:{self.server_port}/"

    def finish_request(self, request, client_address):
        Greeter(request, client_address, self, directory=self.folder)

    def handle_error(self, *_arguments):
        pass  # a caller that was turned away


@contextmanager
def serving(context, folder):
    service = Service(context, folder)
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield service
    finally:
        service.shutdown()
        thread.join()
        service.server_close()


@pytest.fixture(scope="module")
def service(world, tmp_path_factory):
    """Serve a Git repository to the clients of the root, and to those that vouch for themselves."""
    names = ["DNS:localhost", "IP:127.0.0.1"]
    world.keep(server("loopback", "services", subject_alternative_names=names))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    here = world.leaf("servers/loopback", "fullchain.pem")
    context.load_cert_chain(here, here.with_name("key.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    for trusted in (world.authority("root"), world.client("own")):
        context.load_verify_locations(trusted)
    folder = tmp_path_factory.mktemp("served")
    git = ["git", "-c", "user.name=ada", "-c", "user.email=ada@example.com", "-C"]
    say("git", "init", "-q", "--bare", folder / "app.git")
    tree = say(*git, folder / "app.git", "mktree", input="").strip()
    commit = say(*git, folder / "app.git", "commit-tree", "-m", "First", tree).strip()
    say(*git, folder / "app.git", "update-ref", "refs/heads/main", commit)
    say(*git, folder / "app.git", "update-server-info")
    with serving(context, str(folder)) as found:
        yield found


VARIANTS = {
    # name of the client, authorities above it, archive, other packs
    "P-256": ("p-256", ["services", "root"], "tar", []),
    "P-256 with all packs": ("p-256", ["services", "root"], "zip", PACKS[:4] + PACKS[6:]),
    "RSA-2048": ("rsa-2048", ["services", "root"], "zip", ["truststore"]),
    "Ed25519": ("ed25519", ["services", "root"], "tar", ["der"]),
}


@pytest.fixture(params=VARIANTS)
def folder(request, world, tmp_path):
    """Unpack an archive of each variant; what's tested is called in it, as the page says."""
    name, above, archive, others = VARIANTS[request.param]
    return unpack(credential(world, name, *above), archive, tmp_path / "out", *others)


def blocks(folder, title: str, service=None) -> list[str]:
    """Return what a section of the page tells to type, each block as it stands there."""
    text = (folder / "HOWTO.txt").read_text()
    if service is not None:
        text = text.replace("YOUR-SERVICE", urlsplit(service.url).netloc)
    lines = iter(text.splitlines())
    next(line for line in lines if re.match(rf"{title}\b", line))
    body = takewhile(lambda line: not re.match("[A-Z]{3}", line), lines)
    typed = "\n".join(line[4:] if line.startswith("    ") else "" for line in body)
    return [block for block in re.split(r"\n\n+", typed.strip("\n")) if block]


def at_home(folder, **more: str) -> dict[str, str]:
    """Return the environment of an owner who has nothing yet, and no proxy."""
    home = folder.parent.parent / "home"
    home.mkdir(exist_ok=True)
    kept = {"PATH": os.environ["PATH"], "HOME": str(home), "NO_PROXY": "localhost"}
    return {**kept, "LC_ALL": "C.UTF-8", **more}


def type_in(folder, command: str, *answers: str) -> str:
    """Run a command of a shell in a terminal, answering what it asks for; return what it printed.

    Programs ask for passphrases at the terminal, whatever stdin is.
    """
    terminal, end = pty.openpty()
    words = ["setsid", "--ctty", "sh", "-ec", command]
    process = subprocess.Popen(
        words, cwd=folder, env=at_home(folder), stdin=end, stdout=end, stderr=end
    )
    said, left, deadline = "", list(answers), time.monotonic() + 30
    try:
        while True:
            # Asked first, so that nothing is left unread when the answer is that it has ended.
            has_ended = process.poll() is not None
            if select.select([terminal], [], [], 0.02)[0]:
                said += os.read(terminal, 4096).decode()
            elif has_ended:
                break
            # What is typed before the program hides it gets thrown away.
            hides = not termios.tcgetattr(end)[3] & termios.ECHO
            if left and hides and re.search(r"assword[^\n]*: *\Z", said):
                said += "\n"
                os.write(terminal, f"{left.pop(0)}\n".encode())
            assert time.monotonic() < deadline, f"{command} hangs: {said}"
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
        os.close(end)
    assert process.returncode == 0, f"{command} ended with {process.returncode}: {said}"
    assert not left
    return said


def test_the_service_turns_away_who_shows_no_certificate(service, world):
    done = ask("curl", "-sS", "--noproxy", "*", "--cacert", world.authority("root"), service.url)
    assert done.returncode != 0
    assert "hello" not in done.stdout


def test_the_page_works_for_curl(folder, service):
    [command] = blocks(folder, "CURL", service)
    said = say(
        "sh", "-ec", command.replace("curl ", "curl -sS ", 1), cwd=folder, env=at_home(folder)
    )
    assert said == f"hello {folder.name}"


def test_the_page_works_for_python(folder, service):
    with_requests, with_nothing = blocks(folder, "PYTHON", service)
    assert "import requests" in with_requests
    for block, status in ((with_requests, "200 "), (with_nothing, "")):
        said = say(sys.executable, "-c", block, cwd=folder, env=at_home(folder))
        assert said == f"{status}hello {folder.name}\n"


def test_the_page_works_for_git(folder, service):
    [commands] = blocks(folder, "GIT", service)
    say("sh", "-ec", commands, cwd=folder, env=at_home(folder))
    said = say("git", "ls-remote", f"{service.url}app.git", cwd="/", env=at_home(folder))
    assert said.endswith("\trefs/heads/main\n")


def test_the_page_works_for_browsers_on_linux(folder, service, tmp_path):
    if folder.name == "ed25519":
        pytest.skip("NSS imports none, as the page says")
    [commands] = blocks(folder, "CHROME")
    database = "sql:$HOME/.pki/nssdb"
    # What a browser does when it starts for the first time.
    first = f"mkdir -p $HOME/.pki/nssdb; certutil -N -d {database} --empty-password; "
    said = type_in(folder, first + commands, PASSPHRASE)
    assert "IMPORT SUCCESSFUL" in said
    listing = say("sh", "-ec", f"certutil -L -d {database}", env=at_home(folder))
    assert re.search(rf"^{folder.name} +u,u,u$", listing, re.MULTILINE)
    # NSS itself calls, believes the server, and shows the certificate.
    (tmp_path / "request").write_text("GET / HTTP/1.0\r\n\r\n")
    call = f"tstclnt -4 -h localhost -p {service.server_port} -d {database} -n {folder.name}"
    # exec, so that it is the call itself that ends when it takes too long.
    said = say("sh", "-ec", f"exec {call} -A {tmp_path}/request", env=at_home(folder))
    assert f"hello {folder.name}" in said


CALL = """
public class Call {
    public static void main(String[] arguments) throws Exception {
        var answer = new java.net.URL(arguments[0]).openStream().readAllBytes();
        System.out.println(new String(answer));
    }
}
"""


def test_the_page_works_for_java(folder, service, tmp_path):
    (tmp_path / "Call.java").write_text(CALL)
    [commands] = blocks(folder, "JAVA", service)
    commands = commands.replace("=PASSPHRASE", f"={shlex.quote(PASSPHRASE)}")
    commands = commands.replace("YOUR-PROGRAM", f"{tmp_path}/Call.java {service.url}")
    said = type_in(folder, commands, PASSPHRASE)
    assert f"{folder.name}, " in said
    assert "PrivateKeyEntry" in said
    assert said.replace("\r", "").endswith(f"hello {folder.name}\n")


def test_the_page_works_for_those_who_need_the_older_form(folder):
    name = folder.name
    if (folder / f"{name}.legacy.p12").exists():
        assert not any("openssl" in block for block in blocks(folder, "MACOS"))
        return
    _in_the_keychain, command = blocks(folder, "MACOS")
    # Their /usr/bin/openssl is LibreSSL, which knows the same options.
    type_in(folder, command, "another one", "another one")
    words = ["openssl", "pkcs12", "-in", folder / f"{name}.legacy.p12", "-info", "-noenc"]
    said = say(*words, "-passin", "pass:another one")
    assert said.count("pbeWithSHA1And3-KeyTripleDES-CBC") == 2
    assert "MAC: sha1, " in said
    assert (folder / "key.pem").read_text() in said


def test_the_page_works_for_whoever_vouches_for_himself(world, service, tmp_path):
    folder = unpack(credential(world, "own"), "zip", tmp_path / "out")
    [command] = blocks(folder, "CURL", service)
    # The page sends its reader after the authority of the service, which comes with no pack.
    command = command.replace("curl ", f"curl -sS --cacert {world.authority('root')} ", 1)
    assert say("sh", "-ec", command, cwd=folder, env=at_home(folder)) == "hello own"
    [commands] = blocks(folder, "GIT", service)
    assert "sslCAInfo" not in commands
    for block in blocks(folder, "PYTHON", service):
        with_authority = at_home(
            folder,
            SSL_CERT_FILE=str(world.authority("root")),
            REQUESTS_CA_BUNDLE=str(world.authority("root")),
        )
        said = say(sys.executable, "-c", block, cwd=folder, env=with_authority)
        assert said.removeprefix("200 ") == "hello own\n"
