# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: of entries in the store, of subjects, and alternative ones (RFC 5280)."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from ..errors import MtlsError
from .library import NameOID, x509

# What a name in the store may be: it becomes a folder, so it can neither climb out of the
# store nor hide; "@" stays free for "site@host".
ENTRY_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,127}\Z")
DNS_NAME = re.compile(
    r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\Z",
    re.IGNORECASE | re.ASCII,
)
# RFC 5280, appendix A: ub-common-name. Counted in bytes, as cryptography does.
LONGEST_COMMON_NAME_BYTES = 64


def check_entry_name(name: str, where: str) -> str:
    """Return a name that is safe as a folder's name.

    :raises MtlsError: it is not; the text says what would be.
    """
    if not ENTRY_NAME.match(name) or ".." in name:
        raise MtlsError(
            f"{where}: the name {name!r} must be 1 to 128 of a-z, 0-9, '.', '_', '@' and '-', "
            "start with a letter or digit, and hold no '..'"
        )
    return name


def subject(common_name: str, where: str) -> Any:
    """Build the subject of a certificate from its common name.

    :raises MtlsError: the name is empty, longer than 64 bytes or holds control characters.
    """
    if not common_name.isprintable() or common_name != common_name.strip():
        raise MtlsError(
            f"{where}: common_name {common_name!r} must be printable, with no space at either end"
        )
    size = len(common_name.encode())
    if not 1 <= size <= LONGEST_COMMON_NAME_BYTES:
        raise MtlsError(
            f"{where}: common_name {common_name!r} must take 1 to {LONGEST_COMMON_NAME_BYTES} "
            f"bytes in UTF-8 (RFC 5280), not {size}"
        )
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def general_name(text: str, where: str) -> Any:
    """Turn ``DNS:app.example.com`` or ``IP:192.0.2.1`` into a GeneralName.

    :raises MtlsError: the kind is another or the value is not of that kind.
    """
    kind, _found, value = text.partition(":")
    if kind == "DNS" and DNS_NAME.match(value) and len(value) <= 253:
        return x509.DNSName(value)
    # A zone such as %eth0 means something on one host only, and a certificate can't hold it.
    if kind == "IP" and "%" not in value:
        try:
            return x509.IPAddress(ipaddress.ip_address(value))
        except ValueError:
            pass
    raise MtlsError(
        f"{where}: the alternative name {text!r} must be DNS: followed by a host name, "
        "or IP: followed by an address"
    )


def general_name_text(name: Any) -> str:
    """Write a GeneralName the way ``general_name`` reads it."""
    if isinstance(name, x509.DNSName):
        return f"DNS:{name.value}"
    if isinstance(name, x509.IPAddress):
        return f"IP:{name.value}"
    return f"{type(name).__name__}:{name.value}"


def alternative_names(certificate_or_request: Any) -> list[str]:
    """List the subject alternative names of a certificate or CSR, sorted."""
    try:
        found = certificate_or_request.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return []
    return sorted(general_name_text(name) for name in found.value)


def rfc2253(name: Any) -> str:
    """Write a distinguished name exactly as nginx's $ssl_client_s_dn does.

    nginx prints what OpenSSL's XN_FLAG_RFC2253 makes: last attribute first, special
    characters and everything outside printable ASCII escaped byte by byte.
    """
    parts = []
    for rdn in reversed(list(name.rdns)):
        # OpenSSL walks the name backwards, so the attributes of one RDN turn round too.
        attributes = [
            f"{_short_name(attribute)}={_escape(attribute.value)}"
            for attribute in reversed(list(rdn))
        ]
        parts.append("+".join(attributes))
    return ",".join(parts)


def common_name_rfc2253(common_name: str) -> str:
    """Write the subject that holds nothing but a common name, as ``rfc2253`` would."""
    return f"CN={_escape(common_name)}"


def _short_name(attribute: Any) -> str:
    names = {
        NameOID.COMMON_NAME: "CN",
        NameOID.COUNTRY_NAME: "C",
        NameOID.STATE_OR_PROVINCE_NAME: "ST",
        NameOID.LOCALITY_NAME: "L",
        NameOID.ORGANIZATION_NAME: "O",
        NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
        NameOID.EMAIL_ADDRESS: "emailAddress",
        NameOID.SERIAL_NUMBER: "serialNumber",
        NameOID.DOMAIN_COMPONENT: "DC",
        NameOID.USER_ID: "UID",
    }
    try:
        return names[attribute.oid]
    except KeyError:
        raise MtlsError(
            f"the subject attribute {attribute.oid.dotted_string} is not one that this collection "
            "can write the way nginx does"
        ) from None


def _escape(value: str) -> str:
    escaped = []
    encoded = value.encode()
    for position, byte in enumerate(encoded):
        character = chr(byte)
        edge_space = character == " " and position in (0, len(encoded) - 1)
        # Where the first character is also the last, OpenSSL only looks at its being the last.
        first_sign = character == "#" and position == 0 and len(encoded) > 1
        if character in ',+"\\<>;' or edge_space or first_sign:
            escaped.append("\\" + character)
        elif byte < 0x20 or byte > 0x7E:
            escaped.append(f"\\{byte:02X}")
        else:
            escaped.append(character)
    return "".join(escaped)
