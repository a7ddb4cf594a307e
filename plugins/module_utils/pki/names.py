# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: of entries in the store, and distinguished ones, from and to text (RFC 5280)."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, NamedTuple

from ..errors import MtlsError
from .library import x509

# What a name in the store may be: it becomes a folder, so it can neither climb out of the
# store nor hide; "@" stays free for "site@host".
ENTRY_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,127}\Z")


class _Shape(NamedTuple):
    """What the values of an attribute look like, and what an error says of one that doesn't."""

    pattern: re.Pattern[str]
    demand: str


# cryptography gives each attribute the string type that RFC 5280 wants, but doesn't look
# whether a value fits it. Where no shape is given it is UTF8String, which holds any text.
_PRINTABLE_STRING = _Shape(
    re.compile(r"[A-Za-z0-9 '()+,./:=?-]+\Z"),
    "must be made of a-z, A-Z, 0-9, spaces and '()+,-./:=? (a PrintableString)",
)
_COUNTRY = _Shape(re.compile(r"[A-Z]{2}\Z"), "must be two upper-case letters (ISO 3166)")
_LABEL = _Shape(re.compile(r"[!-~]+\Z"), "must be one label of a domain name, in ASCII")
_MAILBOX = _Shape(re.compile(r"[!-?A-~]+@[!-?A-~]+\Z"), "must be a mail address in ASCII")


class AttributeKind(NamedTuple):
    """A type of attribute, by the short name that OpenSSL prints.

    ``longest_bytes`` is the upper bound of RFC 5280, appendix A (ub-name where it has none), or
    of X.520. They count characters, but cryptography counts bytes of UTF-8.
    """

    name: str
    oid: str
    longest_bytes: int = 32768
    shape: _Shape | None = None


_COMMON_NAME = AttributeKind("CN", "2.5.4.3", 64)
ATTRIBUTE_KINDS = (
    AttributeKind("C", "2.5.4.6", 2, _COUNTRY),
    AttributeKind("ST", "2.5.4.8", 128),
    AttributeKind("L", "2.5.4.7", 128),
    AttributeKind("O", "2.5.4.10", 64),
    AttributeKind("OU", "2.5.4.11", 64),
    AttributeKind("serialNumber", "2.5.4.5", 64, _PRINTABLE_STRING),
    AttributeKind("emailAddress", "1.2.840.113549.1.9.1", 255, _MAILBOX),
    AttributeKind("DC", "0.9.2342.19200300.100.1.25", 63, _LABEL),
    AttributeKind("UID", "0.9.2342.19200300.100.1.1", 256),
    AttributeKind("title", "2.5.4.12", 64),
    AttributeKind("GN", "2.5.4.42"),
    AttributeKind("SN", "2.5.4.4"),
    AttributeKind("street", "2.5.4.9", 128),
    AttributeKind("postalCode", "2.5.4.17", 40),
    AttributeKind("name", "2.5.4.41"),
    AttributeKind("initials", "2.5.4.43"),
    AttributeKind("generationQualifier", "2.5.4.44"),
    AttributeKind("dnQualifier", "2.5.4.46", shape=_PRINTABLE_STRING),
    AttributeKind("pseudonym", "2.5.4.65", 128),
    AttributeKind("description", "2.5.4.13", 1024),
    AttributeKind("businessCategory", "2.5.4.15", 128),
    AttributeKind("organizationIdentifier", "2.5.4.97", 256),
    AttributeKind("jurisdictionL", "1.3.6.1.4.1.311.60.2.1.1", 128),
    AttributeKind("jurisdictionST", "1.3.6.1.4.1.311.60.2.1.2", 128),
    AttributeKind("jurisdictionC", "1.3.6.1.4.1.311.60.2.1.3", 2, _COUNTRY),
)
_KNOWN = ", ".join(kind.name for kind in ATTRIBUTE_KINDS)
_BY_OID = {kind.oid: kind for kind in (_COMMON_NAME, *ATTRIBUTE_KINDS)}
# RFC 4514, section 2.3: case doesn't matter in a short name.
_BY_NAME = {kind.name.lower(): kind for kind in (_COMMON_NAME, *ATTRIBUTE_KINDS)}
# What people may mean: X.520's names, without the "Name" that many of them end in.
_MEANT = {
    **{kind.name.lower(): kind.name for kind in ATTRIBUTE_KINDS},
    "common": "CN",
    "country": "C",
    "domaincomponent": "DC",
    "email": "emailAddress",
    "given": "GN",
    "locality": "L",
    "organization": "O",
    "organizationalunit": "OU",
    "stateorprovince": "ST",
    "streetaddress": "street",
    "surname": "SN",
    "userid": "UID",
}

_OID = re.compile(r"(?:[01]\.[1-3]?[0-9]|2\.(?:0|[1-9][0-9]{0,8}))(?:\.(?:0|[1-9][0-9]{0,8}))*\Z")
# cryptography can't read certificates with OIDs beyond these: 36 no larger number, none a longer.
_LARGEST_OID_NUMBER = 2**28 - 1
_LONGEST_OID_BYTES = 63
# Below these OpenSSL has names for attributes.
_NAMED_BY_OPENSSL = (
    *("0.9.2342.", "1.2.643.", "1.2.840.113549.", "1.3.6.1.4.1.311.", "1.3.6.1.5.5.7."),
    *("2.5.", "2.23."),
)

# RFC 4514, section 3: one attribute, and what parts it from the next.
_RFC4514_ATTRIBUTE = re.compile(
    r"(?P<name>[A-Za-z][A-Za-z0-9-]*|[0-9.]+)="
    r'(?P<value>(?:\\[0-9A-Fa-f]{2}|\\[ "#+,;<=>\\]|[^"+,;<>\\])*)'
    r"(?P<separator>[,+]|\Z)"
)
_ESCAPE = re.compile(rb"\\([0-9A-Fa-f]{2}|.)")


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


def subject(
    common_name: str, where: str, attributes: dict[str, str | list[str]] | None = None
) -> Any:
    """Build the subject of a certificate.

    ``attributes`` come before the common name, in their order, which should be from general
    to specific. They go by OpenSSL's short name or by OID; a list stands for several of a kind.

    :raises MtlsError: an attribute is unknown, or a value is empty, too long or unfit for it.
    """
    found = []
    for name, values in (attributes or {}).items():
        kind = _subject_kind(name, where)
        for value in values if isinstance(values, list) else [values]:
            label = f"{where}: the subject attribute {name} {value!r}"
            found.append(_labelled_attribute(kind, value, label))
    label = f"{where}: common_name {common_name!r}"
    found.append(_labelled_attribute(_COMMON_NAME, common_name, label))
    return x509.Name(found)


def _subject_kind(name: str, where: str) -> AttributeKind:
    label = f"{where}: the subject attribute {name!r}"
    if not isinstance(name, str):
        raise MtlsError(f"{label} must be text; write an OID in quotes")
    kind = _BY_OID.get(name) or _BY_NAME.get(name.lower())
    if kind is _COMMON_NAME:
        raise MtlsError(f"{label} must be given as common_name, and stands last")
    if kind and name in (kind.name, kind.oid):
        return kind
    if name.startswith(_NAMED_BY_OPENSSL):
        # A rule that names the subject would then hold for some versions only.
        raise MtlsError(
            f"{label} must be one of {_KNOWN} or an OID of your own, because OpenSSL has names "
            "for some OIDs like this one, and more in each version"
        )
    try:
        return _unnamed_kind(name)
    except ValueError as problem:
        raise MtlsError(f"{label} {problem}") from None


def _unnamed_kind(name: str) -> AttributeKind:
    if name[:1].isdigit():
        return AttributeKind(name, object_identifier(name).dotted_string)
    # X.520 says organizationName where "organization" stands here.
    close = get_close_matches(re.sub(r"(?<=.)name\Z", "", name.lower()), _MEANT, 1)
    hint = f": did you mean {_MEANT[close[0]]}?" if close else ""
    raise ValueError(f"must be one of {_KNOWN} or an OID such as 1.3.6.1.4.1.99999.1{hint}")


def _labelled_attribute(kind: AttributeKind, value: str, label: str) -> Any:
    try:
        return _attribute(kind, value)
    except ValueError as problem:
        raise MtlsError(f"{label} {problem}") from None


def _attribute(kind: AttributeKind, value: str) -> Any:
    """Build one attribute.

    :raises ValueError: the value doesn't fit; the text is what an error says of it.
    """
    if not isinstance(value, str):
        raise ValueError("must be text; write a number in quotes")
    if not value.isprintable() or value != value.strip():
        raise ValueError("must be printable, with no space at either end")
    size = len(value.encode())
    if not 1 <= size <= kind.longest_bytes:
        raise ValueError(
            f"must take 1 to {kind.longest_bytes} bytes in UTF-8 (RFC 5280, X.520), not {size}"
        )
    if kind.shape and not kind.shape.pattern.match(value):
        raise ValueError(kind.shape.demand)
    return x509.NameAttribute(x509.ObjectIdentifier(kind.oid), value)


def object_identifier(text: str) -> Any:
    """Read an OID in dotted form.

    :raises ValueError: it is none that all verifiers read; the text is what an error says of it.
    """
    if _OID.match(text):
        first, second, *others = map(int, text.split("."))
        # X.690, 8.19.4: the first two become one; each takes a byte for every seven bits.
        numbers = [40 * first + second, *others]
        size = sum(max(1, -(-number.bit_length() // 7)) for number in numbers)
        if max(numbers) <= _LARGEST_OID_NUMBER and size <= _LONGEST_OID_BYTES:
            return x509.ObjectIdentifier(text)
    raise ValueError(
        f"needs a valid OID, numbers up to {_LARGEST_OID_NUMBER} with dots between them, such as "
        f"1.3.6.1.4.1.99999.1, that take at most {_LONGEST_OID_BYTES} bytes"
    )


def distinguished_name(text: str) -> Any:
    """Read a distinguished name as RFC 4514 spells it, the most specific part first.

    This reads what ``rfc2253`` writes, if ``subject`` takes such values. What has no name but
    an OID must be a UTF8String.

    :raises ValueError: it is none; the text is what an error says of it.
    """
    rdns: list[list[Any]] = []
    position, separator = 0, ","
    while separator:
        part = _RFC4514_ATTRIBUTE.match(text, position)
        if not part:
            raise ValueError(
                "must hold a name as in RFC 4514, such as CN=app,O=Example, with a backslash "
                'before each of "+,;<>\\ in a value'
            )
        if separator == ",":
            rdns.append([])
        rdns[-1].append(_rfc4514_attribute(part["name"], part["value"]))
        position, separator = part.end(), part["separator"]
    if any(len({attribute.oid for attribute in rdn}) < len(rdn) for rdn in rdns):
        raise ValueError("must not hold the same attribute twice between two commas")
    return x509.Name([x509.RelativeDistinguishedName(rdn) for rdn in reversed(rdns)])


def _rfc4514_attribute(name: str, value: str) -> Any:
    text = _rfc4514_value(value)
    try:
        kind = _BY_OID.get(name) or _BY_NAME.get(name.lower()) or _unnamed_kind(name)
        if text is None:
            raise ValueError("must be in UTF-8, or # and a UTF8String in hexadecimal DER")
        return _attribute(kind, text)
    except ValueError as problem:
        raise ValueError(f"holds {name}=, which {problem}") from None


def _rfc4514_value(value: str) -> str | None:
    try:
        # OpenSSL leaves a number sign bare that is the whole value.
        if value.startswith("#") and value != "#":
            return utf8_string_text(bytes.fromhex(value[1:]))
        return _ESCAPE.sub(_unescaped, value.encode()).decode()
    except ValueError:
        return None


def _unescaped(escape: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escape[1].decode()) if len(escape[1]) == 2 else escape[1]


def rfc2253(name: Any) -> str:
    """Write a distinguished name exactly as nginx's $ssl_client_s_dn does.

    nginx prints what OpenSSL's XN_FLAG_RFC2253 makes: last attribute first, special
    characters and everything outside printable ASCII escaped byte by byte. Attributes that
    have no name go by OID, with their whole DER. So do those here that only others' subjects
    hold, and that OpenSSL may have a name for.
    """
    parts = []
    for rdn in reversed(list(name.rdns)):
        # DER sorts the attributes of one RDN (X.690, 11.6), but cryptography 36 reads them in any
        # order. OpenSSL walks the name backwards, and so through each RDN too.
        attributes = sorted(rdn, key=_der, reverse=True) if len(list(rdn)) > 1 else rdn
        parts.append("+".join(_attribute_text(attribute) for attribute in attributes))
    return ",".join(parts)


def common_name_rfc2253(common_name: str) -> str:
    """Write the subject that holds nothing but a common name, as ``rfc2253`` would."""
    return f"CN={_escape(common_name)}"


def _attribute_text(attribute: Any) -> str:
    oid = attribute.oid.dotted_string
    if oid in _BY_OID:
        return f"{_BY_OID[oid].name}={_escape(attribute.value)}"
    element = _der(attribute)
    for _layer in ("Name", "RelativeDistinguishedName", "AttributeTypeAndValue"):
        element, _end = der_element(element)
    _type, value = der_element(element)
    return f"{oid}=#{value.hex().upper()}"


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


def _der(attribute: Any) -> bytes:
    encoded: bytes = x509.Name([attribute]).public_bytes()
    return encoded


def utf8_string(text: str) -> bytes:
    """Write text as the DER of a UTF8String."""
    content = text.encode()
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8 or 1, "big")
    if len(content) >= 0x80:  # X.690, 8.1.3.5: the length's own length comes first
        length = bytes([0x80 | len(length)]) + length
    return b"\x0c" + length + content


def utf8_string_text(der: bytes) -> str | None:
    """Return the text of a UTF8String, or None when the DER isn't one."""
    try:
        content, rest = der_element(der)
        return None if rest or der[0] != 0x0C else content.decode()
    except ValueError:
        return None


def der_element(der: bytes) -> tuple[bytes, bytes]:
    """Split DER into the first element's content, and what follows the element.

    :raises ValueError: it breaks off, or isn't DER (X.690, 8.1 and 10.1).
    """
    if len(der) < 2 or der[0] & 0x1F == 0x1F:
        raise ValueError("no DER element with a tag of one byte")
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
        if length < 0x80 or der[2] == 0:
            raise ValueError("DER lengths are as short as can be")
    if len(der) < start + length:
        raise ValueError("DER breaks off")
    return der[start : start + length], der[start + length :]
