# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page that comes with a client certificate, for an owner who never had one."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from .certificates import key_type_in, not_after_of
from .names import rfc2253

# The page as it reads. A line that starts with [ca] is only there where that is true, one with
# [no ca] only where it isn't; ``howto`` knows what is. What is indented by four can be typed.
PAGE = """\
HOW TO USE THE CLIENT CERTIFICATE {name}

Some services only answer callers that show a certificate. This is yours:

    name          {subject}
    signed by     {issuer}
    valid until   {not_after:%Y-%m-%d %H:%M} UTC; ask for the next one in time

Whoever has key.pem can pass for you, so keep this folder to yourself. If it got
lost or somebody else saw it, tell those who gave it to you at once: they will
revoke it. The .p12 files ask for a passphrase, which comes separately.

[ca]ca.pem is the authority that signed your certificate and, as a rule, that of the
[ca]service. If the service has a public certificate instead, leave ca.pem out below
[ca]and delete its line from curl.conf. A program that trusts ca.pem believes it
[ca]about every web site: only do that if you trust those who run the authority.
[no ca]Your certificate is signed by itself, so no authority comes with it. Where the
[no ca]service's certificate isn't a public one, ask for the authority that signed it,
[no ca]and let your programs trust that.
[ed25519]
[ed25519]Your key is of type Ed25519. curl, Python, Git and Java 15 take it; browsers,
[ed25519]Windows, macOS and iOS do not. If you need those, ask for a key of type P-256.

Type commands in this folder, and your service where https://YOUR-SERVICE/ is.

CURL
    curl --config curl.conf https://YOUR-SERVICE/

  The curl of Windows itself can't read key.pem: see WINDOWS.

FIREFOX
  Settings > Privacy & Security > Certificates > View Certificates, and there
  Your Certificates > Import: {name}.p12
[ca]  Authorities > Import: ca.pem, and tick "identify websites"

CHROME, EDGE
  On Windows and macOS they use what the system holds: see there. On Linux it is
  Settings > Privacy and security > Security > Manage certificates. Or type this
  after the browser's first start, with the package libnss3-tools (nss-tools):

    pk12util -d sql:$HOME/.pki/nssdb -i {name}.p12
[ca]    certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n {name}-ca -i ca.pem

PYTHON, with requests and with nothing else
    import requests
    mine = ("fullchain.pem", "key.pem")
[ca]    answer = requests.get("https://YOUR-SERVICE/", cert=mine, verify="ca.pem")
[no ca]    answer = requests.get("https://YOUR-SERVICE/", cert=mine)
    print(answer.status_code, answer.text)

    import http.client, ssl
[ca]    context = ssl.create_default_context(cafile="ca.pem")
[no ca]    context = ssl.create_default_context()
    context.load_cert_chain("fullchain.pem", "key.pem")
    service = http.client.HTTPSConnection("YOUR-SERVICE", context=context)
    service.request("GET", "/")
    print(service.getresponse().read().decode())

GIT
    git config --global http.https://YOUR-SERVICE/.sslCert "$PWD/fullchain.pem"
    git config --global http.https://YOUR-SERVICE/.sslKey "$PWD/key.pem"
[ca]    git config --global http.https://YOUR-SERVICE/.sslCAInfo "$PWD/ca.pem"

WINDOWS
  Double-click {name}.p12, keep "Current User", type the passphrase, and leave
  the rest as it is. Or in PowerShell, where the last two lines make a call:

    certutil -user -importpfx {name}.p12
[ca]    certutil -user -addstore Root ca.pem
    $mine = Get-PfxCertificate {name}.p12
    Invoke-WebRequest https://YOUR-SERVICE/ -Certificate $mine

[legacy]  Before Windows 10 1709 and Server 2019 take {name}.legacy.p12.
[no legacy]  Before Windows 10 1709 and Server 2019 take the older form: see MACOS.

MACOS
[legacy]    security import {name}.legacy.p12 -k ~/Library/Keychains/login.keychain-db
[no legacy]    security import {name}.p12 -k ~/Library/Keychains/login.keychain-db
[ca]    security add-trusted-cert -k ~/Library/Keychains/login.keychain-db ca.pem
[no legacy]
[no legacy]  Before macOS 15 that says "MAC verification failed". Then make an older form
[no legacy]  of the file, with a passphrase that you choose, and import that:
[no legacy]
[no legacy]    /usr/bin/openssl pkcs12 -export -in fullchain.pem -inkey key.pem \\
[no legacy]      -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1 \\
[no legacy]      -out {name}.legacy.p12

IPHONE, IPAD
  Send {for_apple} there by AirDrop or mail and open it. Then
  Settings > General > VPN & Device Management: install it with its passphrase.
[ca]  Last, Settings > General > About > Certificate Trust Settings: switch it on.
[no legacy]  Before iOS 18 it calls the passphrase wrong: make the older form.

JAVA
  {name}.p12 is a key store as it is, with no need to make a JKS of it.
[legacy]  Java before 8u301 and 11.0.12 takes {name}.legacy.p12 in its place.
[no legacy]  Java before 8u301 and 11.0.12 takes the older form: see MACOS.

    keytool -list -keystore {name}.p12
[ca][no truststore]    keytool -importcert -noprompt -alias ca -file ca.pem \\
[ca][no truststore]      -keystore {name}.truststore.p12 -storepass changeit
    java -Djavax.net.ssl.keyStore={name}.p12 \\
      -Djavax.net.ssl.keyStorePassword=PASSPHRASE \\
[ca]      -Djavax.net.ssl.trustStore={name}.truststore.p12 \\
[ca]      -Djavax.net.ssl.trustStorePassword=changeit \\
      YOUR-PROGRAM
[der]
[der]OTHER PROGRAMS
[der]  {name}.cer and {name}.key.der are certificate and key in binary (DER).

IF IT DOES NOT WORK
  "No required SSL certificate was sent": the program doesn't use these files.
  "Unable to get local issuer": it doesn't trust the authority of the service.
  "403 Forbidden": the service knows you and doesn't let you in. Ask for access.
"""
CONDITION = re.compile(r"\[(no )?(\w+)\]")


def howto(name: str, certificate: Any, files: Collection[str]) -> str:
    """Write the page for one certificate.

    :param files: the names of the files that lie beside the page.
    """
    is_true = {
        "ca": "ca.pem" in files,
        "der": f"{name}.cer" in files,
        "ed25519": key_type_in(certificate) == "Ed25519",
        "legacy": f"{name}.legacy.p12" in files,
        "truststore": f"{name}.truststore.p12" in files,
    }
    if f"{name}.mobileconfig" in files:
        for_apple = f"{name}.mobileconfig"
    else:
        for_apple = f"{name}.legacy.p12" if is_true["legacy"] else f"{name}.p12"
        for_apple += " and ca.pem" if is_true["ca"] else ""
    lines = PAGE.splitlines(keepends=True)
    return "".join(_text_here(line, is_true) for line in lines).format(
        name=name,
        subject=rfc2253(certificate.subject),
        issuer=rfc2253(certificate.issuer),
        not_after=not_after_of(certificate),
        for_apple=for_apple,
    )


def _text_here(line: str, is_true: dict[str, bool]) -> str:
    while condition := CONDITION.match(line):
        if is_true[condition[2]] == bool(condition[1]):
            return ""
        line = line[condition.end() :]
    return line
