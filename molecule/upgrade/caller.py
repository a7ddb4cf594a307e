"""caller.py STORE RUNNING RESULT NAME=ADDRESS...: call sites without a pause, count the answers.

Each call is a connection and a handshake of its own. Ends when the file RUNNING is gone, or after
five minutes, and then writes to RESULT how often each answer came.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from pathlib import Path

store, running, result, *sites = sys.argv[1:]
deadline = time.monotonic() + 300
root = f"{store}/authorities/root/fullchain.pem"
client = f"{store}/clients/client1"


def call(name: str, address: str) -> str:
    """Return "ok", another status, or what went wrong."""
    try:
        # Loaded each time, because the upgrade may renew it.
        context = ssl.create_default_context(cafile=root)
        context.load_cert_chain(f"{client}/fullchain.pem", f"{client}/key.pem")
        with (
            socket.create_connection((address, 443), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=name) as connection,
        ):
            connection.sendall(
                f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
            )
            received = b""
            while data := connection.recv(65536):
                received += data
    except OSError as error:
        return repr(error)
    status = received.partition(b"\r\n")[0].decode()
    return "ok" if status == "HTTP/1.1 200 OK" else status


def keep_calling(name: str, address: str) -> None:
    while Path(running).exists() and time.monotonic() < deadline:
        answers[name][call(name, address)] += 1
        time.sleep(0.02)


pairs = [site.split("=") for site in sites]
answers: dict[str, Counter[str]] = {name: Counter() for name, _address in pairs}
threads = [threading.Thread(target=keep_calling, args=pair) for pair in pairs]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
Path(result).write_text(json.dumps(answers))
