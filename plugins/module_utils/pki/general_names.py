# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alternative names and name constraints, from and to text (RFC 5280, 4.2.1.6 and 4.2.1.10)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..errors import MtlsError
from .library import NameOID, x509
from .names import (
    der_element,
    distinguished_name,
    object_identifier,
    rfc2253,
    utf8_string,
    utf8_string_text,
)

DNS_NAME = re.compile(
    r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\Z",
    re.IGNORECASE | re.ASCII,
)
# RFC 5322, 3.2.3: a dot-atom, so that nothing needs quotes; its length is RFC 5321's.
_LOCAL_PART = re.compile(
    r"(?=.{1,64}\Z)[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z",
    re.IGNORECASE | re.ASCII,
)
# RFC 3986, appendix A: what may stand in the userinfo, and in what follows the authority.
_USERINFO = r"(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*"
_PATH_OR_QUERY = r"(?:[A-Za-z0-9._~!$&'()*+,;=:/?@-]|%[0-9A-Fa-f]{2})*"
_URI = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(//(?P<authority>[^/?#]*))?"
    rf"(?P<rest>{_PATH_OR_QUERY}(#{_PATH_OR_QUERY})?)\Z"
)
_AUTHORITY = re.compile(
    rf"({_USERINFO}@)?(?P<host>[A-Za-z0-9._-]+|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(:[0-9]{{1,5}})?\Z"
)
# SPIFFE-ID, 2: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md
_SPIFFE_ID = re.compile(
    r"(?=.{1,2048}\Z)spiffe://[a-z0-9._-]{1,255}(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._-]+)*\Z"
)
# Where OpenSSL 3.0 finds a URI's host: the first colon ends it, wherever that stands, or else the
# first slash. RFC 5280, 4.2.1.10, takes no address for a host.
_CONSTRAINED_URI = re.compile(
    r"[^:]+://(?![0-9.]+([:/]|\Z))(?P<host>[A-Za-z0-9._-]+)(:[0-9]+(/.*)?|/[^:]*)?\Z"
)
_NETWORK = re.compile(r"[0-9A-Fa-f.:]+/[0-9]{1,3}\Z")
_OTHER_NAME = re.compile(r"(?P<oid>[0-9.]+);(?P<form>UTF8|DER):(?P<value>.+)\Z")
_UPN = re.compile(r"[^@\s]+@[^@\s]+\Z")
UPN_OID = "1.3.6.1.4.1.311.20.2.3"
# RFC 9598: a mail address too, and constrained as one.
SMTP_UTF8_MAILBOX_OID = "1.3.6.1.5.5.7.8.9"


def general_name(text: str, where: str) -> Any:
    """Turn an alternative name such as ``DNS:app.example.com`` into a GeneralName.

    The kinds are DNS, IP, email, URI (a SPIFFE ID among them), UPN, otherName, RID and dirName,
    as OpenSSL's configuration spells them.

    :raises MtlsError: the kind is another or the value is not of that kind.
    """
    return _read(text, _NAME_READERS, f"{where}: the alternative name {text!r}")


def _read(text: str, readers: dict[str, Callable[[str], Any]], label: str) -> Any:
    kind, _found, value = text.partition(":")
    try:
        if kind not in readers:
            raise ValueError(f"must start with one of {', '.join(f'{each}:' for each in readers)}")
        if not text.isprintable():
            raise ValueError("must be printable")
        return readers[kind](value)
    except ValueError as problem:
        raise MtlsError(f"{label} {problem}") from None


def _is_host(text: str) -> bool:
    return bool(DNS_NAME.match(text)) and len(text) <= 253 and not text.startswith("*")


def _dns_name(value: str) -> Any:
    if not _is_host(value.removeprefix("*.")) or len(value) > 253:
        raise ValueError(
            "must be DNS: followed by a host name, such as DNS:app.example.com or "
            "DNS:*.example.com, in ASCII (xn-- for other letters)"
        )
    return x509.DNSName(value)


def _ip_address(value: str) -> Any:
    # A zone such as %eth0 means something on one host only, and a certificate can't hold it.
    if "%" not in value:
        try:
            return x509.IPAddress(ipaddress.ip_address(value))
        except ValueError:
            pass
    raise ValueError("must be IP: followed by an address, such as IP:192.0.2.1 or IP:2001:db8::1")


def _is_mail_address(text: str) -> bool:
    local_part, _at, host = text.rpartition("@")
    return bool(_LOCAL_PART.match(local_part)) and _is_host(host)


def _mail_address(value: str) -> Any:
    if not _is_mail_address(value):
        raise ValueError(
            "must be email: followed by a mail address in ASCII, such as email:me@example.com"
        )
    return x509.RFC822Name(value)


def _uri(value: str) -> Any:
    uri = _URI.match(value)
    if not uri or not (
        _has_host(uri["authority"]) if uri["authority"] is not None else uri["rest"]
    ):
        raise ValueError(
            "must be URI: followed by an absolute URI in ASCII, with a host after //, "
            "such as URI:https://example.com/app or URI:urn:example:app"
        )
    if uri["scheme"].lower() == "spiffe" and not _SPIFFE_ID.match(value):
        raise ValueError(
            "must be a SPIFFE ID: spiffe://, a trust domain of a-z, 0-9, '.', '-' and '_', and "
            "path segments of a-z, A-Z, 0-9, '.', '-' and '_', such as "
            "URI:spiffe://example.com/ns/app, at most 2048 bytes"
        )
    return x509.UniformResourceIdentifier(value)


def _has_host(authority: str) -> bool:
    found = _AUTHORITY.match(authority)
    if not found:
        return False
    if not found["ipv6"]:
        return _is_host(found["host"])
    try:
        return bool(ipaddress.IPv6Address(found["ipv6"]))
    except ValueError:
        return False


def _user_principal_name(value: str) -> Any:
    if not _UPN.match(value):
        raise ValueError("must be UPN: followed by user@domain, without spaces")
    return x509.OtherName(x509.ObjectIdentifier(UPN_OID), utf8_string(value))


def _other_name(value: str) -> Any:
    parts = _OTHER_NAME.match(value)
    if not parts or value != value.strip():
        raise ValueError(
            "must be otherName: followed by an OID and text, such as "
            "otherName:1.3.6.1.4.1.99999.1;UTF8:text, or by an OID and hexadecimal DER, such as "
            "otherName:1.3.6.1.4.1.99999.1;DER:0C0474657874"
        )
    oid = object_identifier(parts["oid"])
    if parts["form"] == "UTF8":
        return x509.OtherName(oid, utf8_string(parts["value"]))
    try:
        der = bytes.fromhex(parts["value"])
        _content, rest = der_element(der)
        if rest:
            raise ValueError
    except ValueError:
        raise ValueError("must hold one element of DER after DER:, in hexadecimal") from None
    return x509.OtherName(oid, der)


_NAME_READERS: dict[str, Callable[[str], Any]] = {
    "DNS": _dns_name,
    "IP": _ip_address,
    "email": _mail_address,
    "URI": _uri,
    "UPN": _user_principal_name,
    "otherName": _other_name,
    "RID": lambda value: x509.RegisteredID(object_identifier(value)),
    "dirName": lambda value: x509.DirectoryName(distinguished_name(value)),
}
_TEXT_KINDS = {
    "DNSName": "DNS",
    "IPAddress": "IP",
    "RFC822Name": "email",
    "UniformResourceIdentifier": "URI",
}


def general_name_text(name: Any) -> str:
    """Write a GeneralName the way ``general_name`` and ``name_constraints`` read it."""
    kind = type(name).__name__
    if kind in _TEXT_KINDS:
        return f"{_TEXT_KINDS[kind]}:{name.value}"
    if kind == "RegisteredID":
        return f"RID:{name.value.dotted_string}"
    if kind == "DirectoryName":
        return f"dirName:{rfc2253(name.value)}"
    oid = name.type_id.dotted_string
    text = utf8_string_text(name.value)
    if not text or not text.isprintable() or text != text.rstrip():
        return f"otherName:{oid};DER:{name.value.hex().upper()}"
    if oid == UPN_OID and _UPN.match(text):
        return f"UPN:{text}"
    return f"otherName:{oid};UTF8:{text}"


def alternative_names(certificate_or_request: Any) -> list[str]:
    """List the subject alternative names of a certificate or CSR, sorted."""
    try:
        found = certificate_or_request.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return []
    return sorted(general_name_text(name) for name in found.value)


def subject_mail_names(subject: Any, names: Sequence[Any] = ()) -> list[Any]:
    """Return the mail addresses of a subject as alternative names, but for those among ``names``.

    There is where verifiers look for them (RFC 5280, 4.1.2.6).
    """
    given = {name.value for name in names if isinstance(name, x509.RFC822Name)}
    found = {
        attribute.value: None
        for attribute in subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
        if attribute.value not in given and _is_mail_address(attribute.value)
    }
    return [x509.RFC822Name(value) for value in found]


def name_constraints(permitted: list[str], excluded: list[str], where: str) -> Any:
    """Build the constraints on all names below an authority, or None where there are none.

    DNS and dirName stand for all below them too. email and URI take a host, a dot and a domain
    for all hosts in it, or one address. IP takes a network.

    :raises MtlsError: the kind is another or the value is not of that kind.
    """
    permitted_trees, excluded_trees = (
        [_read(text, _TREE_READERS, f"{where}: the name constraint {text!r}") for text in texts]
        for texts in (permitted, excluded)
    )
    if not permitted_trees and not excluded_trees:
        return None
    return x509.NameConstraints(permitted_trees or None, excluded_trees or None)


def name_constraints_text(constraints: Any) -> tuple[list[str], list[str]]:
    """Write the permitted and the excluded names the way ``name_constraints`` reads them."""
    if constraints is None:
        return [], []
    return (
        [general_name_text(tree) for tree in constraints.permitted_subtrees or []],
        [general_name_text(tree) for tree in constraints.excluded_subtrees or []],
    )


def _dns_tree(value: str) -> Any:
    if value.startswith(".") and _is_host(value[1:]):
        raise ValueError(
            f"must be DNS:{value[1:]} without the leading dot, which stands for the host and all "
            "below it (RFC 5280, 4.2.1.10)"
        )
    if not _is_host(value):
        raise ValueError("must be DNS: followed by a host name, such as DNS:example.com")
    return x509.DNSName(value)


def _ip_tree(value: str) -> Any:
    try:
        network = ipaddress.ip_network(value if _NETWORK.match(value) else "", strict=False)
    except ValueError:
        raise ValueError(
            "must be IP: followed by a network, such as IP:192.0.2.0/24 or IP:2001:db8::/32"
        ) from None
    if ipaddress.ip_interface(value).ip != network.network_address:
        raise ValueError(f"must be IP:{network}, because a network's host bits are zero")
    return x509.IPAddress(network)


def _mail_tree(value: str) -> Any:
    if "@" in value:
        return _mail_address(value)
    if not _is_host(value[value.startswith(".") :]):
        raise ValueError(
            "must be email: followed by a host (example.com), a domain (.example.com) or an "
            "address (me@example.com)"
        )
    return x509.RFC822Name(value)


def _uri_tree(value: str) -> Any:
    if not _is_host(value[value.startswith(".") :]):
        raise ValueError(
            "must be URI: followed by a host (example.com) or a domain (.example.com) alone"
        )
    return x509.UniformResourceIdentifier(value)


_TREE_READERS: dict[str, Callable[[str], Any]] = {
    "DNS": _dns_tree,
    "IP": _ip_tree,
    "email": _mail_tree,
    "URI": _uri_tree,
    "dirName": _NAME_READERS["dirName"],
}


def constraint_violation(constraints: Any, subject: Any, names: list[Any]) -> str | None:
    """Say which name of a new certificate an authority's constraints forbid, or None.

    This follows RFC 5280, 4.2.1.10, and OpenSSL or Go where those are stricter.

    :param constraints: the authority's NameConstraints.
    :param subject: the new certificate's subject.
    :param names: its alternative names, as GeneralNames.
    """
    for label, kind, value in _constrained(subject, names):
        permitted, excluded = (
            [tree for tree in trees or [] if type(tree).__name__ == kind]
            for trees in (constraints.permitted_subtrees, constraints.excluded_subtrees)
        )
        try:
            if permitted and not any(_is_within(kind, value, tree.value) for tree in permitted):
                allowed = ", ".join(general_name_text(tree) for tree in permitted)
                return f"{label} lies outside of what is permitted, {allowed}"
            for tree in excluded:
                if _is_within(kind, value, tree.value) or _may_be(kind, value, tree.value):
                    return f"{label} lies inside of what is excluded, {general_name_text(tree)}"
        except ValueError as problem:
            return f"{label} {problem}"
    return None


def _constrained(subject: Any, names: list[Any]) -> Iterator[tuple[str, str, Any]]:
    """List what constraints apply to: how to call it, as which kind, and the value."""
    if list(subject):
        yield f"the subject {rfc2253(subject)}", "DirectoryName", subject
    for attribute in subject:
        if attribute.oid == NameOID.EMAIL_ADDRESS:
            yield f"the subject's emailAddress {attribute.value}", "RFC822Name", attribute.value
    for name in names:
        label, kind = f"the alternative name {general_name_text(name)}", type(name).__name__
        if kind == "OtherName" and name.type_id.dotted_string == SMTP_UTF8_MAILBOX_OID:
            yield label, "RFC822Name", utf8_string_text(name.value) or ""
        else:
            yield label, kind, name.value
    if not any(isinstance(name, x509.DNSName) for name in names):
        for attribute in subject:
            # OpenSSL takes it for a host name then, if it looks like one of several labels.
            value = attribute.value
            if attribute.oid == NameOID.COMMON_NAME and "." in value and _is_host(value):
                yield f"the common name {value}, which looks like a host name,", "DNSName", value


def _is_within(kind: str, value: Any, tree: Any) -> bool:
    """Tell whether a name lies within a subtree of its kind.

    :raises ValueError: verifiers can't tell, and refuse; the text is what an error says of it.
    """
    if kind == "DirectoryName":
        wanted, found = _comparable_rdns(tree), _comparable_rdns(value)
        return wanted == found[: len(wanted)]
    if kind == "IPAddress":
        return value in tree
    if kind == "DNSName":
        return not tree or _is_host_within(value, tree) or _is_host_within(value, f".{tree}")
    if kind == "RFC822Name":
        return _is_mail_within(value, tree)
    uri = _CONSTRAINED_URI.match(value) if kind == "UniformResourceIdentifier" else None
    if not uri:
        raise ValueError("is one that verifiers can't hold against the authority's constraints")
    return _is_host_within(uri["host"], tree)


def _is_host_within(host: str, tree: str) -> bool:
    return _lower(host).endswith(_lower(tree)) if tree[:1] == "." else _lower(host) == _lower(tree)


def _is_mail_within(value: str, tree: str) -> bool:
    local_part, at, host = value.rpartition("@")
    if not at:
        raise ValueError("is no mail address, and the authority constrains those")
    wanted_local_part, _at, wanted_host = tree.rpartition("@")
    # RFC 5280, 7.5: case matters before the @ only.
    return wanted_local_part in ("", local_part) and _is_host_within(host, wanted_host)


def _may_be(kind: str, value: Any, tree: Any) -> bool:
    """Tell whether a wildcard stands for an excluded host too (in Go since CVE-2025-61727)."""
    if kind != "DNSName" or not value.startswith("*."):
        return False
    return _lower(value[2:]) == _lower(tree.partition(".")[2])


def _comparable_rdns(name: Any) -> list[frozenset[tuple[Any, Any]]]:
    """Reduce a distinguished name to what OpenSSL compares: case and spaces don't count."""
    return [frozenset((each.oid, _comparable(each.value)) for each in rdn) for rdn in name.rdns]


def _comparable(value: Any) -> Any:
    # What isn't text is a BIT STRING.
    return b" ".join(_lower(value).split()) if isinstance(value, str) else value


def _lower(text: str) -> bytes:
    """Lower ASCII letters and no others, as OpenSSL and DNS do."""
    return text.encode().lower()
