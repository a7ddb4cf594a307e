# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Those who judge our certificates and CRLs: OpenSSL, GnuTLS, NSS, and nginx as it lets in."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.edge.mtls.tests.integration.pki_world import ask, say

HOSTS = Path(__file__).parents[1] / "hosts/hosts"


def openssl_verdict(
    chain: Path,
    anchors: Path,
    *options: object,
    crls: Path | None = None,
    program: Sequence[object] = ("openssl",),
) -> str:
    """Return "OK", or what OpenSSL has against a certificate, the first of a chain."""
    words = [*program, "verify", "-x509_strict", "-no-CApath", "-no-CAstore", *options]
    if crls is not None:
        words += ["-crl_check_all", "-CRLfile", crls]
    done = ask(*words, "-CAfile", anchors, "-untrusted", chain, chain)
    problems = re.findall(r"^error \d+ at (\d+ depth) lookup: (.+)$", done.stdout, re.MULTILINE)
    assert (done.returncode == 0) == (not problems), done.stdout
    return ", ".join(f"{text} at {depth}" for depth, text in problems) or "OK"


def gnutls_verdict(chain: Path, anchors: Path, *options: object, crls: Path | None = None) -> str:
    """Return "Verified." and so on, as certtool says it of a chain."""
    revoked = [] if crls is None else ["--load-crl", crls]
    words = ["certtool", "--verify", "--load-ca-certificate", anchors, *revoked, *options]
    done = ask(*words, "--infile", chain)
    [verdict] = re.findall(r"^Chain verification output: (.+?)\s*$", done.stdout, re.MULTILINE)
    assert (done.returncode == 0) == verdict.startswith("Verified."), done.stdout
    return verdict


TRUSTED = "Verified. The certificate is trusted."


class Nss:
    """A database of NSS's, such as Firefox and Thunderbird keep."""

    def __init__(self, folder: Path) -> None:
        self._at = ["-d", f"sql:{folder}"]
        say("certutil", "-N", *self._at, "--empty-password")

    def add(self, name: str, path: Path, trust: str = ",,") -> None:
        say("certutil", "-A", *self._at, "-n", name, "-t", trust, "-i", path)

    def add_crl(self, path: Path) -> None:
        """Import a CRL in DER, which NSS checks with its issuer's certificate."""
        assert say("crlutil", "-I", *self._at, "-i", path).strip() == ""

    def verdict(self, name: str, usage: str = "C") -> str:
        """Return what NSS says; "C" asks for a TLS client, "V" for a server, "S" for mail."""
        said = ask("certutil", "-V", *self._at, "-n", name, "-u", usage, "-e", "-l").stdout
        return said.strip().removeprefix("certutil: ")


class Debian:
    """Programs of another Debian, whose loader and libraries run them here without a container.

    :param kind: the kind of throw-away host in whose base they lie, as packages.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        words = [str(HOSTS), "build", kind]  # silent for minutes where it was never built
        root = Path(
            subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        )
        for package in ("nginx", "openssl"):
            [archive] = root.glob(f"srv/repo/{package}_*.deb")
            say("dpkg-deb", "--extract", archive, folder)
        [loader] = root.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*")
        self._start = [loader, "--library-path", loader.parent]
        self._folder = folder

    def program(self, path: str) -> list[object]:
        """Return the words that start a program, such as usr/bin/openssl."""
        return [*self._start, self._folder / path]


NGINX = """
daemon off;
pid nginx.pid;
error_log error.log info;
worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
    server {{
        listen unix:{folder}/socket ssl;
        ssl_certificate server.pem;
        ssl_certificate_key server.key;
        ssl_client_certificate trust.pem;
        ssl_crl crls.pem;
        ssl_verify_client on;
        ssl_verify_depth {depth};
        add_header Version {version} always;
        return 200 "$ssl_protocol $ssl_client_s_dn";
    }}
}}
"""


class Nginx:
    """An nginx that asks for client certificates, and answers with whom it let in."""

    def __init__(self, folder: Path, server: Path, depth: int) -> None:
        self.folder, self._depth, self._version = folder, depth, 0
        shutil.copy(server, folder / "server.pem")
        shutil.copy(server.with_name("key.pem"), folder / "server.key")

    def trust(self, anchors: bytes, crls: bytes) -> None:
        """Write whom it is to trust; ``reload`` puts that into effect."""
        (self.folder / "trust.pem").write_bytes(anchors)
        (self.folder / "crls.pem").write_bytes(crls)
        self._version += 1
        settings = NGINX.format(folder=self.folder, depth=self._depth, version=self._version)
        (self.folder / "nginx.conf").write_text(settings)

    @contextmanager
    def running(self, program: Sequence[object]) -> Iterator[Nginx]:
        words = [*map(str, program), "-p", str(self.folder), "-c", "nginx.conf"]
        say(*words, "-t")
        with subprocess.Popen(words, stderr=subprocess.DEVNULL) as self._process:
            try:
                self._wait()
                yield self
            finally:
                self._process.terminate()

    def _wait(self) -> None:
        for _turn in range(500):
            try:
                with socket.socket(socket.AF_UNIX) as plain:
                    plain.connect(str(self.folder / "socket"))
            except (ConnectionError, FileNotFoundError):
                time.sleep(0.01)
            else:
                return
        raise AssertionError((self.folder / "error.log").read_text())

    def reload(self) -> None:
        """Take on what was written."""
        self._process.send_signal(signal.SIGHUP)

    def answer(self, chain: Path | None) -> str:
        """Return the status and the first line that whoever shows this certificate gets."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if chain is not None:
            context.load_cert_chain(chain, chain.with_name("key.pem"))
        for _turn in range(500):
            head, _end, body = self._ask(context).partition("\r\n\r\n")
            # One that knows nothing of the last reload may still be there.
            if f"\r\nVersion: {self._version}\r\n" in f"{head}\r\n":
                return f"{head.split()[1]} {body.splitlines()[0]}"
            time.sleep(0.01)
        raise AssertionError((self.folder / "error.log").read_text())

    def _ask(self, context: ssl.SSLContext) -> str:
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(10)
            plain.connect(str(self.folder / "socket"))
            with context.wrap_socket(plain, server_hostname="app.example.com") as tls:
                tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
                found = b""
                while piece := tls.recv(4096):
                    found += piece
        return found.decode()
