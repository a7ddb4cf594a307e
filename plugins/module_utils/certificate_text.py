# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe tells of a server's certificate, read with the standard library alone.

Python decodes a certificate for us only after it verified it, so the few fields that a report
needs are read here; OpenSSL has already parsed the same bytes.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from datetime import datetime, timezone
from typing import Any

_ATTRIBUTE_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
}
_STRING_TYPES = {
    0x0C: "utf-8",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
_SUBJECT_ALT_NAME = "2.5.29.17"
_GENERAL_NAMES = {0x81: "email", 0x82: "DNS", 0x86: "URI"}


def describe_certificate(der: bytes) -> dict[str, Any] | None:
    """Name a certificate's subject, issuer, expiry, serial number and alternative names."""
    if not der:
        return None
    described: dict[str, Any] = dict.fromkeys(
        ("subject", "issuer", "not_after", "serial_number", "subject_alt_names")
    )
    described["fingerprint_sha256"] = hashlib.sha256(der).hexdigest()
    try:
        to_be_signed = _elements(_elements(_elements(der)[0][1])[0][1])
        if to_be_signed[0][0] == 0xA0:  # the version, absent in a version 1 certificate
            del to_be_signed[0]
        serial, _algorithm, issuer, validity, subject = (item[1] for item in to_be_signed[:5])
        described["serial_number"] = _serial(serial)
        described["issuer"] = _name(issuer)
        described["subject"] = _name(subject)
        described["not_after"] = _instant(*_elements(validity)[1])
        described["subject_alt_names"] = _alternative_names(to_be_signed[6:])
    except (ValueError, IndexError):
        pass  # the fingerprint still tells which certificate it was
    return described


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    """Split DER into (tag, content) pairs (X.690, 8.1)."""
    found = []
    while der:
        tag, length, start = der[0], der[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(der[2:start], "big")
        if len(der) < start + length:
            raise ValueError("DER breaks off")
        found.append((tag, der[start : start + length]))
        der = der[start + length :]
    return found


def _oid(content: bytes) -> str:
    arcs, value = [], 0
    for octet in content:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def _serial(content: bytes) -> str:
    """Spell a serial number as nginx and openssl do: upper-case hexadecimal, whole octets."""
    number = int.from_bytes(content, "big", signed=True)
    digits = f"{abs(number):X}"
    return ("-" if number < 0 else "") + digits.zfill(len(digits) + len(digits) % 2)


def _instant(tag: int, content: bytes) -> str:
    text = content.decode("ascii")
    if tag == 0x17:  # UTCTime has a two-digit year (RFC 5280, 4.1.2.5.1)
        text = ("19" if text >= "5" else "20") + text
    parsed = datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc)
    return parsed.strftime("%Y-%m-%dT%H:%M:%SZ")


def _name(content: bytes) -> str:
    """Spell a distinguished name as RFC 4514 does, most specific part first."""
    return ",".join(
        "+".join(_attribute(attribute) for _tag, attribute in _elements(relative))
        for _tag, relative in reversed(_elements(content))
    )


def _attribute(content: bytes) -> str:
    (_tag, oid), (tag, value) = _elements(content)
    kind = _ATTRIBUTE_NAMES.get(_oid(oid))
    if kind is None or tag not in _STRING_TYPES:
        whole = content[2 + len(oid) :]
        return f"{kind or _oid(oid)}=#{whole.hex()}"
    text = re.sub(r'([,+"\\<>;])', r"\\\1", value.decode(_STRING_TYPES[tag]))
    text = re.sub(r"^([ #])|( )$", r"\\\1\2", text)
    # RFC 4514 lets controls through; a line of a report had better not.
    text = re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda hit: _hex_pairs(hit.group()), text)
    return f"{kind}={text}"


def _hex_pairs(text: str) -> str:
    return "".join(f"\\{octet:02X}" for octet in text.encode("utf-8"))


def _alternative_names(optional_fields: list[tuple[int, bytes]]) -> list[str]:
    for tag, content in optional_fields:
        if tag != 0xA3:
            continue
        for _tag, extension in _elements(_elements(content)[0][1]):
            (_oid_tag, oid), *_critical, (_octets_tag, value) = _elements(extension)
            if _oid(oid) == _SUBJECT_ALT_NAME:
                return [_general_name(*name) for name in _elements(_elements(value)[0][1])]
    return []


def _general_name(tag: int, content: bytes) -> str:
    if tag in _GENERAL_NAMES:
        return f"{_GENERAL_NAMES[tag]}:{content.decode('ascii')}"
    if tag == 0x87:
        return f"IP:{ipaddress.ip_address(content)}"
    if tag == 0xA4:
        return f"dirName:{_name(_elements(content)[0][1])}"
    return f"other:#{content.hex()}"
