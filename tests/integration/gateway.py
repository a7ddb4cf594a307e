# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the gateway share: a host, a caller, and certificates to attack with."""

from __future__ import annotations

import json
import os
import shlex
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CHECKOUT = Path(__file__).parent.parent.parent
HOSTS = CHECKOUT / "tests/hosts/hosts"
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
# Of a login shell of root.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Prints the result, or ends with the error as an error.
SWITCH = """
import json, sys
sys.path.insert(0, "/opt")
from shipped.errors import MtlsError
from shipped.nginx.configuration import switch
try:
    print(json.dumps(switch(**json.load(sys.stdin))))
except MtlsError as error:
    sys.exit(str(error))
"""
UNPACK = """
import json, pathlib, sys
for name, content in json.load(sys.stdin).items():
    path = pathlib.Path("/opt/shipped", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
"""


class ThrowAwayHost:
    """A host of one lab of its own, and the playbook run on it."""

    def __init__(self, lab: str, folder: Path, kind: str = "debian12") -> None:
        self.kind = kind
        self._environment = {**os.environ, "EDGE_MTLS_LAB": lab}
        self._folder = folder
        self.store = folder / "data/edge-mtls"
        self.address = ""
        self._ssh: list[str] = []
        self._variables: dict[str, Any] = {}
        self._is_shipped = False

    def up(self) -> ThrowAwayHost:
        made = json.loads(self._hosts("up", "--json=-", self.kind))[0]
        self.address = made["address"]
        options = [
            # Each run of a test has a host of its own under an address used before.
            "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
            f"-o ControlMaster=auto -o ControlPersist=60s -o ControlPath={self._folder}/ssh",
        ]
        self._variables = {
            "ansible_host": self.address,
            "ansible_user": made["user"],
            "ansible_ssh_private_key_file": made["identity_file"],
            "ansible_ssh_common_args": " ".join(options),
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        self._ssh = ["ssh", "-i", made["identity_file"], *shlex.split(" ".join(options))]
        self._ssh += ["-l", made["user"]]
        return self

    def down(self) -> None:
        self._end_connection()
        self._hosts("down", "--all")

    def _end_connection(self) -> None:
        if self._ssh:
            command = [*self._ssh, "-O", "exit", self.address]
            subprocess.run(command, capture_output=True, check=False)

    def reboot(self) -> None:
        self._end_connection()
        self._hosts("reboot", self.kind)

    def play(self, variables: dict[str, Any], *arguments: str, fails: bool = False) -> str:
        """Run playbooks/site.yml on the host; return what it printed."""
        inventory = self._folder / "inventory.yml"
        hosts = {"gateway": {**self._variables, **variables}}
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        done = subprocess.run(
            [
                Path(sys.executable).with_name("ansible-playbook"),
                *("-i", inventory, "playbooks/site.yml", *arguments),
            ],
            cwd=CHECKOUT,
            env={
                **self._environment,
                "XDG_DATA_HOME": str(self._folder / "data"),
                "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / "collections"),
                "ANSIBLE_PIPELINING": "1",
                "ANSIBLE_FORCE_COLOR": "0",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout[-6000:] + done.stderr
        return done.stdout

    def shell(self, script: str, check: bool = True) -> str:
        """Run a script inside the host; return what it printed."""
        done = self._run(f"{{ {script}\n}} 2>&1")
        assert not check or done.returncode == 0, f"{script}: {done.stdout}"
        return done.stdout

    def write(self, path: str, content: str, mode: str = "644") -> None:
        quoted = shlex.quote(path)
        done = self._run(f"cat > {quoted} && chmod {mode} {quoted}", content)
        assert done.returncode == 0, done.stderr

    def switch(self, **options: Any) -> dict[str, Any] | str:
        """Run what edge.mtls.nginx_configuration runs; return its result, or what it refuses."""
        defaults = {
            "files": [],
            "links": [],
            "owned_paths": [],
            "welcome_sites": [],
            "watched_paths": [],
            "state_path": "/etc/nginx/mtls",
            "nginx_path": "/usr/sbin/nginx",
            "check_mode": False,
        }
        if not self._is_shipped:
            self._ship()
        command = f"PATH={PATH} python3 -c {shlex.quote(SWITCH)}"
        done = self._run(command, json.dumps({**defaults, **options}))
        if done.returncode:
            return done.stderr.strip()
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def _ship(self) -> None:
        """Bring the collection's code to the host, as Ansible does with each task."""
        folder = CHECKOUT / "plugins/module_utils"
        files = {str(path.relative_to(folder)): path.read_text() for path in folder.glob("**/*.py")}
        done = self._run(f"python3 -c {shlex.quote(UNPACK)}", json.dumps(files))
        assert done.returncode == 0, done.stderr
        self._is_shipped = True

    def _run(self, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._ssh, self.address, command],
            input=stdin, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def _hosts(self, *words: str) -> str:
        done = subprocess.run(
            [HOSTS, *words],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@dataclass(frozen=True)
class Answer:
    """What came back; without a status nothing was served."""

    status: int | None
    text: str = ""
    tls_version: str | None = None
    resumed: bool = False
    session: ssl.SSLSession | None = field(default=None, compare=False, repr=False)

    @property
    def headers_seen(self) -> dict[str, Any]:
        """Return the headers that the sample backend received, with lower-case names."""
        body = json.loads(self.text)
        return {name.lower(): value for name, value in body["headers"].items()}


class Caller:
    """A client with or without a certificate; its sessions can be taken up again."""

    def __init__(
        self, certificate: Path | None = None, key: Path | None = None,
        version: ssl.TLSVersion | None = None,
    ) -> None:  # fmt: skip
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        if version:
            self._context.minimum_version = self._context.maximum_version = version
        if certificate and key:
            self._context.load_cert_chain(certificate, key)

    def connect(
        self,
        address: str,
        server_name: str | None,
        port: int = 443,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        plain = socket.create_connection((address, port), timeout=10)
        try:
            return self._context.wrap_socket(plain, server_hostname=server_name, session=session)
        except BaseException:
            plain.close()
            raise

    def ask(
        self,
        address: str,
        server_name: str | None,
        host: str | None = None,
        lines: tuple[str, ...] = (),
        session: ssl.SSLSession | None = None,
        port: int = 443,
        protocol: str = "HTTP/1.1",
        target: str = "/",
    ) -> Answer:
        """Send one request as it is written here, so that it may also be a wrong one."""
        named = [f"Host: {host or server_name}"] if protocol == "HTTP/1.1" or host else []
        head = [f"GET {target} {protocol}", *named, "Connection: close", *lines]
        try:
            with self.connect(address, server_name, port, session) as tls:
                tls.sendall("\r\n".join([*head, "", ""]).encode("latin-1"))
                answer, _found, body = receive_all(tls).partition(b"\r\n\r\n")
                words = answer.split(b" ", 2)
                return Answer(
                    int(words[1]) if len(words) > 1 else None,
                    body.decode("utf-8", "replace"),
                    tls.version(),
                    bool(tls.session_reused),
                    tls.session,
                )
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError) as error:
            return Answer(None, str(error))


def receive_all(tls: ssl.SSLSocket) -> bytes:
    received = b""
    while chunk := tls.recv(65536):
        received += chunk
    return received


class Forger:
    """Signs what the PKI never would, with the key of one of its authorities."""

    def __init__(self, authority: Path, folder: Path) -> None:
        self._certificate = x509.load_pem_x509_certificate(
            (authority / "certificate.pem").read_bytes()
        )
        self._key = serialization.load_pem_private_key((authority / "key.pem").read_bytes(), None)
        self._chain = (authority / "fullchain.pem").read_bytes()
        self._folder = folder

    def sign(
        self,
        common_name: str | None,
        usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CLIENT_AUTH,
        not_after: datetime = NOW + DAY,
    ) -> tuple[Path, Path]:
        """Return the paths of a certificate and its key; without a common name no subject."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(names))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 9 * DAY)
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        )
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())  # type: ignore[arg-type]
        stem = self._folder / f"{certificate.serial_number:x}"
        paths = stem.with_suffix(".pem"), stem.with_suffix(".key")
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + self._chain)
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths
