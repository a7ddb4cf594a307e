# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand-over of a client certificate: key, certificate and authorities as programs want them."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import io
import plistlib
import secrets
import tarfile
import uuid
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.parsers.expat import ExpatError

from ..errors import MtlsError
from .certificates import certificate_fingerprint, not_before_of, to_pem
from .instructions import howto
from .keys import POST_QUANTUM_KEY_TYPES, key_to_pem, key_type_of, public_key_fingerprint
from .library import VERSION, UnsupportedAlgorithm, hashes, pkcs12, serialization

# What each pack is made of: the name of the client, followed by this.
ENDINGS = {
    "pkcs12": [".p12"],
    "pkcs12_legacy": [".legacy.p12"],
    "truststore": [".truststore.p12"],
    "der": [".cer", ".key.der"],
    "tar": [".tar.gz"],
    "zip": [".zip"],
    "mobileconfig": [".mobileconfig"],
}
PACKS = list(ENDINGS)

# A passphrase of 125 random bits is beyond guessing, so stretching it would only cost time.
FEW_ROUNDS = 2048
# One that a person chose isn't. Many more, and .NET refuses the file (Microsoft's KB5025823).
MANY_ROUNDS = 100000
# No letter that is mistaken for another when the passphrase is typed from a screen.
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
# A truststore holds nothing secret, and this is what Java programs expect one to open with.
TRUSTSTORE_PASSPHRASE = "changeit"

# The tags of DER (X.690) that a PKCS #12 has around its MAC.
INTEGER, OCTET_STRING, SEQUENCE = 0x02, 0x04, 0x30


@dataclass(frozen=True)
class Credential:
    """A client's key and certificate, and the authorities above it.

    :param name: the client's name in the store; the files are called after it.
    :param intermediates: the authorities below the root, the issuer first.
    :param root: the trust anchor; of a self-signed certificate the certificate itself.
    """

    name: str
    key: Any
    certificate: Any
    intermediates: list[Any]
    root: Any

    @property
    def where(self) -> str:
        """How errors call it."""
        return f"client certificate {self.name!r}"

    @property
    def authorities(self) -> list[Any]:
        """All above the certificate, the issuer first; none above a self-signed one."""
        return [] if self.root == self.certificate else [*self.intermediates, self.root]


def new_passphrase() -> str:
    """Make a passphrase of 25 characters in five groups."""
    groups = ("".join(secrets.choice(ALPHABET) for dummy in range(5)) for dummy in range(5))
    return "-".join(groups)


def file_names(packs: Collection[str], name: str) -> list[str]:
    """Name the files that the packs of a client are made of.

    All hold the key, so they are for the owner's eyes, but for the truststore.

    :raises MtlsError: a pack isn't one of ``PACKS``.
    """
    for pack in packs:
        if pack not in ENDINGS:
            raise MtlsError(
                f"client certificate {name!r}: the pack {pack!r} is not one of {', '.join(PACKS)}"
            )
    return [name + ending for pack in dict.fromkeys(packs) for ending in ENDINGS[pack]]


def needs_passphrase(packs: Collection[str]) -> bool:
    """Tell whether one of the packs holds a PKCS #12 with the key."""
    return not set(packs) <= {"truststore", "der"}


def check_key_type(packs: Collection[str], key_type: str, where: str) -> None:
    """Make sure that keys of a type can be packed here.

    :raises MtlsError: this cryptography can't put them into a PKCS #12.
    """
    is_old = not hasattr(serialization.PrivateFormat, "PKCS12")  # before 38
    if needs_passphrase(packs) and (
        key_type in POST_QUANTUM_KEY_TYPES or (is_old and key_type == "Ed25519")
    ):
        raise _unpackable(key_type, where)


def _unpackable(key_type: str, where: str) -> MtlsError:
    return MtlsError(
        f"{where}: cryptography {VERSION} can't pack a key of type {key_type} as PKCS #12; "
        "take another key_type, or leave out all packs but truststore and der"
    )


def check_passphrase(passphrase: str | None, where: str) -> str:
    """Return a passphrase that every program reads alike.

    :param where: how the error calls what it is for.
    :raises MtlsError: it isn't one, or there is none.
    """
    if not passphrase:
        raise MtlsError(f"{where}: its packs need a passphrase, and there is none")
    if not passphrase.isascii() or not passphrase.isprintable():
        raise MtlsError(
            f"{where}: its passphrase must be of printable ASCII characters, because programs "
            "don't agree on how to write others into a PKCS #12"
        )
    return passphrase


def build_packs(
    packs: Collection[str],
    credential: Credential,
    passphrase: str | None,
    *,
    strong_passphrase: bool,
) -> dict[str, bytes]:
    """Make the files that ``file_names`` names.

    :param passphrase: opens every PKCS #12 that holds the key; None where none is needed.
    :param strong_passphrase: it is as good as those of ``new_passphrase``; any other is stretched.
    :raises MtlsError: this cryptography can't make one of the packs, or the passphrase won't do.
    """
    names, wanted, name = file_names(packs, credential.name), set(packs), credential.name
    files = {}
    if needs_passphrase(packs):
        checked = check_passphrase(passphrase, credential.where)
        rounds = FEW_ROUNDS if strong_passphrase else MANY_ROUNDS
        if wanted & {"pkcs12", "tar", "zip"}:
            files[f"{name}.p12"] = _pkcs12(credential, checked, rounds)
        if wanted & {"pkcs12_legacy", "mobileconfig"}:
            files[f"{name}.legacy.p12"] = _pkcs12(credential, checked, rounds, is_legacy=True)
    if "truststore" in wanted:
        files[f"{name}.truststore.p12"] = _truststore(credential)
    if "der" in wanted:
        files[f"{name}.cer"] = _der(credential.certificate)
        files[f"{name}.key.der"] = credential.key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    if "mobileconfig" in wanted:
        files[f"{name}.mobileconfig"] = _mobileconfig(credential, files[f"{name}.legacy.p12"])
    # Last, because whoever gets an archive finds all else that was made in it.
    if wanted & {"tar", "zip"}:
        folder = _folder(credential, files)
        modified = not_before_of(credential.certificate)
        if "tar" in wanted:
            files[f"{name}.tar.gz"] = _tar(name, folder, modified)
        if "zip" in wanted:
            files[f"{name}.zip"] = _zip(name, folder, modified)
    return {file: files[file] for file in names}


def pkcs12_in(name: str, file_name: str, content: bytes) -> bytes | None:
    """Return the PKCS #12 with the key that a pack's file holds, or None for a pack without one.

    Of a damaged file it is empty, so that it doesn't open.
    """
    member = f"{name}/{name}.p12"
    try:
        if file_name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return archive.read(member)
        if file_name.endswith(".tar.gz"):
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                found = tar.extractfile(member)
                return found.read() if found else b""
        if file_name.endswith(".mobileconfig"):
            payloads = plistlib.loads(content)["PayloadContent"]
            return next(
                each["PayloadContent"]
                for each in payloads
                if each["PayloadType"] == "com.apple.security.pkcs12"
            )
    except (
        OSError,
        EOFError,
        LookupError,
        StopIteration,
        ValueError,
        ExpatError,
        zipfile.BadZipFile,
        tarfile.TarError,
    ):
        return b""
    is_truststore = file_name.endswith(ENDINGS["truststore"][0])
    return content if file_name.endswith(".p12") and not is_truststore else None


def opens_with(pack: bytes, passphrase: str, certificate: Any) -> bool:
    """Tell whether a PKCS #12 opens with a passphrase and holds a certificate with its key."""
    try:
        opened = pkcs12.load_pkcs12(pack, passphrase.encode())
    except (ValueError, UnsupportedAlgorithm):
        return False
    if opened.key is None or opened.cert is None or opened.cert.certificate != certificate:
        return False
    return public_key_fingerprint(opened.key.public_key()) == public_key_fingerprint(
        certificate.public_key()
    )


def _der(certificate: Any) -> bytes:
    encoded: bytes = certificate.public_bytes(serialization.Encoding.DER)
    return encoded


def _pkcs12(
    credential: Credential, passphrase: str, rounds: int, *, is_legacy: bool = False
) -> bytes:
    """Pack key, certificate and authorities as PKCS #12 (RFC 7292), which browsers import.

    :param is_legacy: encrypt with 3DES and SHA-1, the best that older systems read, not AES-256.
    """
    private_format = serialization.PrivateFormat
    if hasattr(private_format, "PKCS12"):
        builder = private_format.PKCS12.encryption_builder().kdf_rounds(rounds)
        if is_legacy:
            builder = builder.key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
            builder = builder.hmac_hash(hashes.SHA1())
        else:
            builder = builder.key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
            builder = builder.hmac_hash(hashes.SHA256())
        encryption = builder.build(passphrase.encode())
    elif is_legacy:
        # It would encrypt with 3DES, but leave the MAC's hash to OpenSSL: SHA-256 by now.
        raise MtlsError(
            f"{credential.where}: pkcs12_legacy and mobileconfig need Python's cryptography 38 or "
            f"newer, and there is only {VERSION}"
        )
    else:  # cryptography before 38 leaves no choice: 3DES
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    try:
        pack: bytes = pkcs12.serialize_key_and_certificates(
            credential.name.encode(),
            credential.key,
            credential.certificate,
            credential.authorities,
            encryption,
        )
    except TypeError as error:
        key_type = key_type_of(credential.key.public_key())
        raise _unpackable(key_type, credential.where) from error
    # cryptography makes the MAC with 1 or 2048 rounds, whatever it was asked for. Whoever guesses
    # would try the MAC, and the many rounds of the encryption would be for nothing.
    return _with_new_mac(pack, passphrase, rounds) if rounds > FEW_ROUNDS else pack


def _truststore(credential: Credential) -> bytes:
    """Pack the authorities the way Java trusts them, readable by anybody.

    Not with the owner's passphrase: it would be there to be guessed from a file of no secrets.
    """
    if not hasattr(pkcs12, "serialize_java_truststore"):
        raise MtlsError(
            f"{credential.where}: a truststore needs Python's cryptography 45 or newer, and there "
            f"is only {VERSION}"
        )
    if not credential.authorities:
        raise MtlsError(
            f"{credential.where}: it is signed by itself, so a truststore has no authority to hold"
        )
    aliases = [f"intermediate-{number}" for number in range(1, len(credential.authorities))]
    pack: bytes = pkcs12.serialize_java_truststore(
        [
            pkcs12.PKCS12Certificate(authority, alias.encode())
            for authority, alias in zip(credential.authorities, [*aliases, "root"])
        ],
        serialization.NoEncryption(),
    )
    return _with_new_mac(pack, TRUSTSTORE_PASSPHRASE, FEW_ROUNDS)


def _with_new_mac(pack: bytes, passphrase: str, rounds: int) -> bytes:
    """Replace the MAC of a PKCS #12 by one of another passphrase and number of rounds.

    Hash and salt stay: macOS was seen to refuse files with a longer salt than these 8 bytes.
    """
    [(_whole, pfx)] = _elements(pack)
    [(version, _content), (signed, content_info), (_whole, mac_data)] = _elements(pfx)
    [_content_type, (_whole, tagged)] = _elements(content_info)
    [(_whole, data)] = _elements(tagged)
    (_whole, digest_info), (salt, salt_bytes), *_rounds = _elements(mac_data)
    [(algorithm, _content), (_whole, digest)] = _elements(digest_info)
    hash_name = {20: "sha1", 32: "sha256"}[len(digest)]
    mac = hmac.new(_mac_key(passphrase, salt_bytes, rounds, hash_name), data, hash_name).digest()
    return _element(
        SEQUENCE,
        version,
        signed,
        _element(
            SEQUENCE,
            _element(SEQUENCE, algorithm, _element(OCTET_STRING, mac)),
            salt,
            _element(INTEGER, rounds.to_bytes(rounds.bit_length() // 8 + 1, "big")),
        ),
    )


def _mac_key(passphrase: str, salt: bytes, rounds: int, hash_name: str) -> bytes:
    """Derive the key of a MAC (RFC 7292, B.2), as long as the hash, so that one block suffices."""
    block_bytes = hashlib.new(hash_name).block_size
    key = bytes([3]) * block_bytes  # 3: the key is for a MAC
    for text in (salt, passphrase.encode("utf-16-be") + b"\0\0"):
        blocks = -(-len(text) // block_bytes)
        key += (text * block_bytes)[: blocks * block_bytes]
    for _round in range(rounds):
        key = hashlib.new(hash_name, key).digest()
    return key


def _elements(encoded: bytes) -> list[tuple[bytes, bytes]]:
    """List the DER elements in a row: each as a whole, and its content (X.690, 8.1)."""
    found = []
    while encoded:
        start, length = 2, encoded[1]
        if length & 0x80:  # that many bytes tell the length
            start += length & 0x7F
            length = int.from_bytes(encoded[2:start], "big")
        found.append((encoded[: start + length], encoded[start : start + length]))
        encoded = encoded[start + length :]
    return found


def _element(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def _mobileconfig(credential: Credential, legacy_pack: bytes) -> bytes:
    """Wrap the legacy PKCS #12 and the authorities as a configuration profile of Apple's.

    The passphrase stays out, so that the device asks for it. By its identifier a renewed profile
    takes the place of the one before.
    """
    name = credential.name
    anchor = certificate_fingerprint(credential.root)[:16]
    fingerprint = certificate_fingerprint(credential.certificate)

    def payload(part: str, kind: str, title: str, content: Any) -> dict[str, Any]:
        return {
            "PayloadType": kind,
            "PayloadVersion": 1,
            "PayloadIdentifier": f"edge.mtls.{anchor}.{name}{part}",
            "PayloadUUID": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{fingerprint}{part}")).upper(),
            "PayloadDisplayName": title,
            "PayloadContent": content,
        }

    payloads = [payload(".identity", "com.apple.security.pkcs12", name, legacy_pack)]
    for number, authority in enumerate(credential.authorities):
        kind = "root" if authority == credential.root else "pkcs1"
        title = authority.subject.rfc4514_string()
        payloads.append(
            payload(f".authority{number}", f"com.apple.security.{kind}", title, _der(authority))
        )
    return plistlib.dumps(payload("", "Configuration", f"Client certificate {name}", payloads))


def _folder(credential: Credential, packs: dict[str, bytes]) -> dict[str, bytes]:
    """Put together what an archive holds: plain files, the other packs, and how to use them."""
    intermediates = credential.authorities[:-1]
    files = {
        "certificate.pem": to_pem(credential.certificate),
        "fullchain.pem": b"".join(map(to_pem, [credential.certificate, *intermediates])),
        "key.pem": key_to_pem(credential.key),
    }
    # Relative, so the folder may lie anywhere and curl must be called in it.
    curl = 'cert = "fullchain.pem"\nkey = "key.pem"\n'
    if credential.authorities:
        files["ca.pem"] = to_pem(credential.root)
        curl += 'cacert = "ca.pem"\n'
    files.update({"curl.conf": curl.encode(), **packs})
    files["HOWTO.txt"] = howto(credential.name, credential.certificate, files).encode()
    return files


def _tar(name: str, files: dict[str, bytes], modified: datetime) -> bytes:
    """Pack a folder for its owner alone; the same files make the same archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo(name)
        folder.type, folder.mode, folder.mtime = tarfile.DIRTYPE, 0o700, int(modified.timestamp())
        archive.addfile(folder)
        for file, content in files.items():
            info = tarfile.TarInfo(f"{name}/{file}")
            info.size, info.mode, info.mtime = len(content), 0o600, folder.mtime
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def _zip(name: str, files: dict[str, bytes], modified: datetime) -> bytes:
    """Pack a folder for its owner alone; the same files make the same archive."""
    buffer = io.BytesIO()
    # All that ZIP can say. A small computer without a clock starts in 1970.
    first, last = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
    moment = min(max(modified.timetuple()[:6], first), last)
    with zipfile.ZipFile(buffer, "w") as archive:
        for file, content in {"": b"", **files}.items():  # "" is the folder itself
            info = zipfile.ZipInfo(f"{name}/{file}", moment)
            info.create_system = 3  # Unix, so that the modes count
            info.external_attr = (0o100600 if file else 0o040700) << 16
            info.compress_type = zipfile.ZIP_DEFLATED if file else zipfile.ZIP_STORED
            archive.writestr(info, content)
    return buffer.getvalue()
