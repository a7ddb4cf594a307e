"""Call a site with curl, with and without a certificate, and around it; print what came."""

from __future__ import annotations

import json
import subprocess
import sys


def curl(*arguments: str) -> dict[str, object]:
    words = ["curl", "--silent", "--max-time", "10", "--write-out", "\n%{http_code}", *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    content, _newline, status = done.stdout.rpartition("\n")
    return {"exit_status": done.returncode, "status": int(status), "content": content}


address, name, store, trust = sys.argv[1:]
site = ["--connect-to", f"::{address}:", "--cacert", f"{store}/{trust}", f"https://{name}/orders"]
client = ["--cert", f"{store}/clients/client1/certificate.pem"]
client += ["--key", f"{store}/clients/client1/key.pem"]
forged = ["--header", "X-SSL-DN: CN=forged", "--header", "x_ssl_dn: CN=forged"]
answers = {
    "allowed": curl(*site, *client),
    "anonymous": curl(*site),
    "forged": curl(*site, *client, *forged),
    "posted": curl(*site, *client, "--data", "three apples"),
    # The backend listens on loopback only, and the distribution's own site is out of the way.
    "backend": curl(f"http://{address}:8888/"),
    "welcome": curl(f"http://{address}/"),
}
print(json.dumps(answers))
