#!/usr/bin/python
# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: probe
short_description: Make one HTTPS request, with or without a client certificate
version_added: 0.1.0
description:
  - Opens one connection, makes one HTTP/1.1 request and tells what came of it, so that a play can
    check who gets in and who does not.
  - An answer of any status, a refusal and a server that cannot be reached are all results. The
    module only fails when an option cannot be used.
  - Redirects are not followed and proxies from the environment are not used.
  - Needs nothing but Python's standard library. Speaks TLS 1.2 and TLS 1.3.
options:
  url:
    description:
      - What to ask for. It must start with C(https://).
    type: str
    required: true
  connect_to:
    description:
      - Open the TCP connection to this host name or address instead of the one in O(url). The port
        stays the one of O(url).
    type: str
  server_name:
    description:
      - The name to send as SNI, and the name that the server's certificate must carry. By default
        it is the host of O(url).
      - For an IP address no SNI is sent, as RFC 6066 has it.
    type: str
  trusted_certificate_path:
    description:
      - A PEM file with the certificates that the server's must lead to. By default those that the
        system trusts.
      - Each certificate in it is an anchor of its own, also an intermediate one.
    type: path
  verify:
    description:
      - Whether the server's certificate must be trusted and carry the right name. If it is not,
        no request is sent.
    type: bool
    default: true
  client_certificate_path:
    description:
      - A PEM file with the certificate to show to the server, followed by its intermediates.
    type: path
  client_key_path:
    description:
      - The PEM file with the key of O(client_certificate_path). It must not be protected by a
        password.
    type: path
  method:
    description:
      - The HTTP method.
    type: str
    default: GET
  headers:
    description:
      - Request headers. C(Host), C(User-Agent) and C(Accept) replace the module's own.
      - C(Connection), C(Content-Length) and C(Transfer-Encoding) cannot be given.
    type: dict
    default: {}
  body:
    description:
      - The request body, sent as UTF-8.
    type: str
  timeout_seconds:
    description:
      - How long the whole request may take, from the name look-up to the end of the body.
    type: int
    default: 10
attributes:
  check_mode:
    description: The request is made in check mode too. It is as harmless as its O(method).
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
author:
  - The edge.mtls authors (@edge-mtls)
"""

EXAMPLES = r"""
- name: Ask with the certificate
  edge.mtls.probe:
    url: https://app.example.com/
    connect_to: 127.0.0.1
    trusted_certificate_path: /etc/ssl/example/root.pem
    client_certificate_path: /home/me/client1/fullchain.pem
    client_key_path: /home/me/client1/key.pem
  register: answer
  failed_when: answer.status != 200

- name: Nobody else gets in
  edge.mtls.probe:
    url: https://app.example.com/
    trusted_certificate_path: /etc/ssl/example/root.pem
  register: answer
  failed_when: answer.outcome not in ['answered', 'refused'] or answer.status not in [400, none]
"""

RETURN = r"""
outcome:
  description:
    - V(answered) when the server answered the request, with whatever status.
    - V(refused) when the server ended the TLS connection with an alert or by closing it, during the
      handshake or in place of an answer. Under TLS 1.3 a server judges the client's certificate
      only after the handshake.
    - V(unverified) when the server's certificate was not accepted. No request was sent.
    - V(unreachable) when there was no connection, no TLS, or no answer in time.
  returned: success
  type: str
  sample: answered
status:
  description: The HTTP status, or null without one.
  returned: success
  type: int
  sample: 200
reason:
  description: The words after the status, or null.
  returned: success
  type: str
  sample: OK
headers:
  description: The answer's headers. Names are in lower case, repeated ones joined by a comma.
  returned: success
  type: dict
  sample: {content-type: application/json}
content:
  description: The first 64 KiB of the answer's body, read as UTF-8.
  returned: success
  type: str
  sample: '{"method": "GET"}'
content_truncated:
  description: Whether the body was longer than RV(content).
  returned: success
  type: bool
  sample: false
json:
  description: The body as data when it is complete and JSON, else null.
  returned: success
  type: raw
  sample: {method: GET}
tls_version:
  description: The version of TLS that was agreed on, or null when the handshake did not succeed.
  returned: success
  type: str
  sample: TLSv1.3
cipher:
  description: OpenSSL's name of the cipher suite, or null.
  returned: success
  type: str
  sample: TLS_AES_256_GCM_SHA384
verified:
  description: Whether the server's certificate was checked and accepted.
  returned: success
  type: bool
  sample: true
server_certificate:
  description:
    - The certificate that the server showed, or null when it could not be seen.
    - With RV(outcome=unverified) it comes from a second connection, made without verification,
      without the client's certificate and without a request.
  returned: success
  type: dict
  contains:
    subject:
      description: Its subject, written as in RFC 4514.
      returned: success
      type: str
      sample: CN=app.example.com
    issuer:
      description: Who signed it, written as in RFC 4514.
      returned: success
      type: str
      sample: CN=Example Root CA
    not_after:
      description: The last second at which it is valid, UTC.
      returned: success
      type: str
      sample: '2027-02-21T12:00:00Z'
    serial_number:
      description: Its serial number, in upper-case hexadecimal as nginx and openssl write it.
      returned: success
      type: str
      sample: 0A1B2C
    fingerprint_sha256:
      description: The SHA-256 of the whole certificate, in lower-case hexadecimal.
      returned: success
      type: str
      sample: 4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865
    subject_alt_names:
      description: Its alternative names, each with its kind.
      returned: success
      type: list
      elements: str
      sample: ['DNS:app.example.com', 'IP:127.0.0.1']
error:
  description: What went wrong, on one line; empty when nothing did.
  returned: success
  type: str
  sample: ''
elapsed_seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 0.021
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.probing import SECRET_HEADERS, probe

ARGUMENT_SPEC: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "connect_to": {"type": "str"},
    "server_name": {"type": "str"},
    "trusted_certificate_path": {"type": "path"},
    "verify": {"type": "bool", "default": True},
    "client_certificate_path": {"type": "path"},
    "client_key_path": {"type": "path", "no_log": False},
    "method": {"type": "str", "default": "GET"},
    "headers": {"type": "dict", "default": {}},
    "body": {"type": "str"},
    "timeout_seconds": {"type": "int", "default": 10},
}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make the request; it is the same in check mode, and changes nothing here."""
    return {"changed": False, **probe(params)}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    # Ansible prints the options with -vvv; these values it shall know and hide.
    module.no_log_values.update(
        str(value)
        for name, value in module.params["headers"].items()
        if value and str(name).lower() in SECRET_HEADERS
    )
    try:
        result = run(module.params, module.check_mode)
    except MtlsError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
