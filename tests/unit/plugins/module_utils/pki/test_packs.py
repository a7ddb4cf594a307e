# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand-over of a client certificate: which files, what is in them, and what to do with them."""

from __future__ import annotations

import io
import itertools
import plistlib
import re
import tarfile
import uuid
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import packs
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import key_from_pem, key_to_pem
from ansible_collections.edge.mtls.plugins.module_utils.pki.packs import (
    PACKS,
    Credential,
    build_packs,
    file_names,
    needs_passphrase,
    new_passphrase,
    opens_with,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    NOW,
    SECOND,
    certificate,
    chain_subjects,
    keep,
    keep_authority,
    new_key,
    same_key,
    wanted,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12

PASSPHRASE = "nobody reads this 7"
FILES = {
    "pkcs12": ["client1.p12"],
    "pkcs12_legacy": ["client1.legacy.p12"],
    "truststore": ["client1.truststore.p12"],
    "der": ["client1.cer", "client1.key.der"],
    "tar": ["client1.tar.gz"],
    "zip": ["client1.zip"],
    "mobileconfig": ["client1.mobileconfig"],
}
# What this cryptography can make; the matrix runs these tests with the oldest one as well.
HAS_LEGACY = hasattr(serialization.PrivateFormat, "PKCS12")
HAS_TRUSTSTORE = hasattr(pkcs12, "serialize_java_truststore")
LEGACY = pytest.mark.skipif(not HAS_LEGACY, reason="cryptography before 38")
TRUSTSTORE = pytest.mark.skipif(not HAS_TRUSTSTORE, reason="cryptography before 45")
MARKS = {"pkcs12_legacy": LEGACY, "mobileconfig": LEGACY, "truststore": TRUSTSTORE}
EACH_PACK = pytest.mark.parametrize(
    "pack", [pytest.param(pack, marks=MARKS.get(pack, ())) for pack in PACKS]
)
MISSING = [
    mark for mark, there in ((LEGACY, HAS_LEGACY), (TRUSTSTORE, HAS_TRUSTSTORE)) if not there
]
ALL = [pack for pack in PACKS if MARKS.get(pack) not in MISSING]


def credential_in(store: Store, name: str, *above: str) -> Credential:
    authorities = [
        certificate(store.path / "authorities" / each / "certificate.pem") for each in above
    ]
    folder = store.path / "clients" / name
    found = certificate(folder / "certificate.pem")
    *intermediates, root = authorities or [found]
    key = key_from_pem((folder / "key.pem").read_bytes(), "key.pem")
    return Credential(name, key, found, intermediates, root)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(str(tmp_path_factory.mktemp("packs") / "store"))
    keep_authority(store)
    keep_authority(store, "services", issuer="root")
    keep(
        store,
        wanted(issuer="services"),
        wanted("direct"),
        wanted("own", issuer="self"),
        wanted("edward", key_type="Ed25519"),
    )
    return store


@pytest.fixture(scope="module")
def client1(store):
    return credential_in(store, "client1", "services", "root")


@pytest.fixture(scope="module")
def own(store):
    return credential_in(store, "own")


def build(credential, *wanted_packs, passphrase=PASSPHRASE, strong_passphrase=True):
    return build_packs(wanted_packs, credential, passphrase, strong_passphrase=strong_passphrase)


def folder_in(archive: bytes) -> dict[str, bytes]:
    """Return the files of an archive, by their names in its folder."""
    if archive.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(archive)) as found:
            members = {name: found.read(name) for name in found.namelist() if name[-1] != "/"}
    else:
        with tarfile.open(fileobj=io.BytesIO(archive)) as found:
            files = [member for member in found if member.isfile()]
            members = {member.name: found.extractfile(member).read() for member in files}
    return {name.partition("/")[2]: content for name, content in members.items()}


# Which files


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_is_made_of_files_that_are_called_after_the_client(pack):
    assert file_names([pack], "client1") == FILES[pack]


def test_files_come_in_the_order_of_the_packs_and_once():
    expected = ["a.b.zip", "a.b.cer", "a.b.key.der"]
    assert file_names(["zip", "der", "zip"], "a.b") == expected
    assert file_names([], "client1") == []
    names = file_names(PACKS, "client1")
    assert len(set(names)) == len(names)


def test_a_pack_that_nobody_knows_is_named(client1):
    sentence = "client certificate 'client1': the pack 'jks' is not one of pkcs12, pkcs12_legacy, "
    with pytest.raises(MtlsError, match=sentence):
        file_names(["zip", "jks"], "client1")
    with pytest.raises(MtlsError, match=sentence):
        build(client1, "zip", "jks")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param([], False, id="nothing"),
        pytest.param(["der"], False, id="der"),
        pytest.param(["truststore", "der"], False, id="truststore and der"),
        pytest.param(["pkcs12"], True, id="pkcs12"),
        pytest.param(["pkcs12_legacy"], True, id="pkcs12_legacy"),
        pytest.param(["mobileconfig"], True, id="mobileconfig"),
        pytest.param(["der", "tar"], True, id="der and tar"),
        pytest.param(["zip"], True, id="zip"),
    ],
)
def test_a_passphrase_is_needed_where_a_pkcs12_holds_the_key(asked, expected):
    assert needs_passphrase(asked) is expected


@EACH_PACK
def test_what_is_built_is_what_was_named(client1, pack):
    made = build(client1, pack)
    assert list(made) == FILES[pack]
    assert all(made.values())


def test_all_packs_are_built_at_once(client1):
    assert list(build(client1, *ALL)) == file_names(ALL, "client1")
    assert build(client1) == {}


# Passphrases


@pytest.mark.parametrize(
    ("passphrase", "reason"),
    [
        pytest.param(None, "its packs need a passphrase, and there is none", id="none"),
        pytest.param("", "its packs need a passphrase, and there is none", id="empty"),
        pytest.param("geheimnisträger", "must be of printable ASCII characters", id="umlaut"),
        pytest.param("geheimnis\n", "must be of printable ASCII characters", id="line break"),
        pytest.param("geheimnis\0", "must be of printable ASCII characters", id="NUL"),
    ],
)
@pytest.mark.parametrize("pack", ["pkcs12", "pkcs12_legacy", "tar", "zip", "mobileconfig"])
def test_a_passphrase_that_programs_read_differently_is_refused(client1, pack, passphrase, reason):
    with pytest.raises(MtlsError, match=f"^client certificate 'client1': .*{reason}") as error:
        build(client1, pack, passphrase=passphrase)
    assert "geheimnis" not in str(error.value)


def test_what_holds_no_pkcs12_needs_no_passphrase(client1):
    assert build(client1, "der", passphrase=None).keys() == {"client1.cer", "client1.key.der"}


def test_each_passphrase_is_new():
    assert len({new_passphrase() for dummy in range(50)}) == 50


# PKCS #12


PKCS12 = pytest.mark.parametrize(
    ("pack", "file"),
    [
        pytest.param("pkcs12", "client1.p12", id="modern"),
        pytest.param("pkcs12_legacy", "client1.legacy.p12", id="legacy", marks=LEGACY),
    ],
)
STRENGTH = pytest.mark.parametrize("strong", [True, False], ids=["random", "chosen"])


@STRENGTH
@PKCS12
def test_a_pkcs12_holds_the_key_the_certificate_and_all_above(client1, pack, file, strong):
    made = build(client1, pack, strong_passphrase=strong)[file]
    found = pkcs12.load_pkcs12(made, PASSPHRASE.encode())
    assert found.cert.friendly_name == b"client1"
    assert found.cert.certificate == client1.certificate
    assert same_key(found.key, client1.certificate)
    above = {each.certificate.subject.rfc4514_string() for each in found.additional_certs}
    assert above == {"CN=services CA", "CN=root CA"}


def test_a_pkcs12_of_a_self_signed_certificate_holds_it_once(own):
    found = pkcs12.load_pkcs12(build(own, "pkcs12")["own.p12"], PASSPHRASE.encode())
    assert found.cert.certificate == own.certificate
    assert found.additional_certs == []


@STRENGTH
@PKCS12
def test_a_pkcs12_opens_with_its_passphrase_and_no_other(client1, store, pack, file, strong):
    made = build(client1, pack, strong_passphrase=strong)[file]
    assert opens_with(made, PASSPHRASE, client1.certificate)
    for other in ("", "guess", PASSPHRASE + " ", PASSPHRASE.upper(), "é", "\udcff"):
        assert not opens_with(made, other, client1.certificate)
    for above in (client1.intermediates[0], credential_in(store, "direct", "root").certificate):
        assert not opens_with(made, PASSPHRASE, above)


def test_a_pkcs12_does_not_open_for_another_certificate_of_the_same_key(client1):
    other = (
        x509.CertificateBuilder()
        .subject_name(client1.certificate.subject)
        .issuer_name(client1.certificate.issuer)
        .public_key(client1.key.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + SECOND)
        .sign(client1.key, hashes.SHA256())
    )
    made = build(client1, "pkcs12")["client1.p12"]
    assert opens_with(made, PASSPHRASE, client1.certificate)
    assert not opens_with(made, PASSPHRASE, other)


def test_what_is_no_pkcs12_of_the_certificate_does_not_open(client1):
    whole = build(client1, "pkcs12")["client1.p12"]
    for cut in (0, 1, 9, len(whole) // 2, len(whole) - 1):
        assert not opens_with(whole[:cut], PASSPHRASE, client1.certificate)
    assert not opens_with(key_to_pem(client1.key), PASSPHRASE, client1.certificate)
    encryption = serialization.BestAvailableEncryption(PASSPHRASE.encode())
    without_key = pkcs12.serialize_key_and_certificates(
        None, None, None, [client1.certificate], encryption
    )
    assert not opens_with(without_key, PASSPHRASE, client1.certificate)


def test_a_pkcs12_with_the_key_of_another_does_not_open(client1, monkeypatch):
    # Not every cryptography makes such a file, and all might read one.
    found = SimpleNamespace(key=new_key(), cert=SimpleNamespace(certificate=client1.certificate))
    monkeypatch.setattr(pkcs12, "load_pkcs12", lambda *_arguments: found)
    assert not opens_with(b"", PASSPHRASE, client1.certificate)
    found.key = client1.key
    assert opens_with(b"", PASSPHRASE, client1.certificate)


def test_a_chosen_passphrase_is_stretched_wherever_it_could_be_guessed(client1):
    """Not only the encryption: the MAC is where guessing costs least."""
    made = build(client1, "pkcs12", strong_passphrase=False)["client1.p12"]
    rounds = b"\x02\x03\x01\x86\xa0"  # INTEGER 100000 in DER
    assert made.endswith(rounds)
    if HAS_LEGACY:  # the oldest cryptography hides one of them in what is encrypted
        assert made.count(rounds) >= 2


@pytest.mark.parametrize("pack", ["pkcs12_legacy", "mobileconfig"])
def test_an_old_library_makes_no_legacy_pack_that_old_systems_would_not_read(
    client1, monkeypatch, pack
):
    old = SimpleNamespace(PrivateFormat=SimpleNamespace())
    monkeypatch.setattr(packs, "serialization", old)
    monkeypatch.setattr(packs, "VERSION", "37.0.4")
    sentence = (
        "client certificate 'client1': pkcs12_legacy and mobileconfig need Python's cryptography "
        "38 or newer, and there is only 37.0.4"
    )
    with pytest.raises(MtlsError, match=f"^{sentence}$"):
        build(client1, pack)


# Truststores


@TRUSTSTORE
def test_a_truststore_holds_the_authorities_and_no_secret(client1):
    made = build(client1, "truststore", passphrase=None)["client1.truststore.p12"]
    found = pkcs12.load_pkcs12(made, b"changeit")
    assert found.key is None
    assert {each.friendly_name: each.certificate for each in found.additional_certs} == {
        b"intermediate-1": client1.intermediates[0],
        b"root": client1.root,
    }
    assert not opens_with(made, "changeit", client1.certificate)


def test_an_old_library_makes_no_truststore(client1, monkeypatch):
    monkeypatch.setattr(packs, "pkcs12", SimpleNamespace())
    monkeypatch.setattr(packs, "VERSION", "44.0.1")
    sentence = (
        "client certificate 'client1': a truststore needs Python's cryptography 45 or newer, and "
        "there is only 44.0.1"
    )
    with pytest.raises(MtlsError, match=f"^{sentence}$"):
        build(client1, "truststore")


@TRUSTSTORE
def test_a_self_signed_certificate_has_no_truststore(own):
    sentence = "client certificate 'own': it is signed by itself, so a truststore has no authority"
    with pytest.raises(MtlsError, match=sentence):
        build(own, "truststore")


# DER


def test_der_is_the_same_certificate_and_key(client1):
    made = build(client1, "der")
    assert made["client1.cer"] == client1.certificate.public_bytes(serialization.Encoding.DER)
    key = serialization.load_der_private_key(made["client1.key.der"], password=None)
    assert same_key(key, client1.certificate)


# Archives


ARCHIVE = pytest.mark.parametrize(
    ("pack", "file"),
    [
        pytest.param("tar", "client1.tar.gz", id="tar"),
        pytest.param("zip", "client1.zip", id="zip"),
    ],
)
PLAIN = {"HOWTO.txt", "ca.pem", "certificate.pem", "curl.conf", "fullchain.pem", "key.pem"}


@ARCHIVE
def test_an_archive_holds_plain_files_the_pkcs12_and_how_to_use_them(client1, pack, file):
    found = folder_in(build(client1, pack)[file])
    assert found.keys() == PLAIN | {"client1.p12"}
    assert same_key(key_from_pem(found["key.pem"], "key.pem"), client1.certificate)
    assert chain_subjects(found["certificate.pem"].decode()) == ["CN=client1"]
    assert chain_subjects(found["fullchain.pem"].decode()) == ["CN=client1", "CN=services CA"]
    assert chain_subjects(found["ca.pem"].decode()) == ["CN=root CA"]
    assert opens_with(found["client1.p12"], PASSPHRASE, client1.certificate)
    assert found["curl.conf"].decode().splitlines() == [
        'cert = "fullchain.pem"',
        'key = "key.pem"',
        'cacert = "ca.pem"',
    ]


@ARCHIVE
def test_an_archive_holds_the_other_packs_as_they_are(client1, pack, file):
    made = build(client1, *ALL)
    found = folder_in(made[file])
    beside = {name for each in ALL if each not in ("tar", "zip") for name in FILES[each]}
    assert found.keys() == PLAIN | beside
    assert {name: found[name] for name in beside} == {name: made[name] for name in beside}


@ARCHIVE
def test_an_archive_of_a_self_signed_certificate_has_no_authority(own, pack, file):
    found = folder_in(build(own, pack)[file.replace("client1", "own")])
    assert found.keys() == PLAIN - {"ca.pem"} | {"own.p12"}
    assert found["fullchain.pem"] == found["certificate.pem"]
    assert "cacert" not in found["curl.conf"].decode()


def test_a_tar_is_for_its_owner_and_tells_nothing_of_the_machine(client1):
    made = build(client1, "tar")["client1.tar.gz"]
    assert made[4:8] == bytes(4)  # gzip's own time: none (RFC 1952)
    with tarfile.open(fileobj=io.BytesIO(made)) as archive:
        folder, *files = archive.getmembers()
    assert (folder.name, folder.type, folder.mode) == ("client1", tarfile.DIRTYPE, 0o700)
    for member in files:
        assert member.name.startswith("client1/")
        assert (member.type, member.mode) == (tarfile.REGTYPE, 0o600)
    for member in [folder, *files]:
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
        assert member.mtime == (NOW - 5 * 60 * SECOND).timestamp()


def test_a_zip_is_for_its_owner_and_tells_nothing_of_the_machine(client1):
    with zipfile.ZipFile(io.BytesIO(build(client1, "zip")["client1.zip"])) as archive:
        assert archive.testzip() is None
        folder, *files = archive.infolist()
    assert (folder.filename, folder.is_dir()) == ("client1/", True)
    assert folder.external_attr >> 16 == 0o040700
    for member in files:
        assert member.filename.startswith("client1/")
        assert (member.create_system, member.external_attr >> 16) == (3, 0o100600)
        # notBefore, five minutes before the certificate was signed
        assert member.date_time == (2027, 6, 1, 11, 55, 0)


@ARCHIVE
def test_the_same_input_makes_the_same_archive_but_for_the_pkcs12(client1, monkeypatch, pack, file):
    first, second = (folder_in(build(client1, pack)[file]) for dummy in range(2))
    assert {name for name in first if first[name] != second[name]} == {"client1.p12"}
    monkeypatch.setattr(packs, "_pkcs12", lambda *_arguments: b"always the same")
    assert build(client1, pack)[file] == build(client1, pack)[file]


@pytest.mark.parametrize(
    ("year", "expected"),
    [
        pytest.param(1970, (1980, 1, 1, 0, 0, 0), id="a machine without a clock"),
        pytest.param(2200, (2107, 12, 31, 23, 59, 58), id="far in the future"),
    ],
)
def test_archives_stand_any_clock(client1, monkeypatch, year, expected):
    instant = NOW.replace(year=year)
    monkeypatch.setattr(packs, "not_before_of", lambda _certificate: instant)
    made = build(client1, "tar", "zip")
    with zipfile.ZipFile(io.BytesIO(made["client1.zip"])) as archive:
        assert {member.date_time for member in archive.infolist()} == {expected}
    with tarfile.open(fileobj=io.BytesIO(made["client1.tar.gz"])) as archive:
        assert {member.mtime for member in archive} == {instant.timestamp()}


@ARCHIVE
def test_a_long_name_fits(client1, pack, file):
    name = "a" * 128
    made = build(replace(client1, name=name), pack)[file.replace("client1", name)]
    assert folder_in(made).keys() == PLAIN | {f"{name}.p12"}


# Apple's configuration profiles


def profile(credential, **options):
    made = build(credential, "mobileconfig", **options)
    return plistlib.loads(made[f"{credential.name}.mobileconfig"])


@LEGACY
def test_a_profile_holds_the_legacy_pkcs12_and_the_authorities(client1):
    made = build(client1, "mobileconfig", "pkcs12_legacy")
    found = plistlib.loads(made["client1.mobileconfig"])
    identity, *authorities = found["PayloadContent"]
    assert identity["PayloadType"] == "com.apple.security.pkcs12"
    assert identity["PayloadContent"] == made["client1.legacy.p12"]
    assert [(each["PayloadType"], each["PayloadContent"]) for each in authorities] == [
        ("com.apple.security.pkcs1", packs._der(client1.intermediates[0])),
        ("com.apple.security.root", packs._der(client1.root)),
    ]
    assert [each["PayloadDisplayName"] for each in authorities] == ["CN=services CA", "CN=root CA"]


@LEGACY
def test_a_profile_asks_for_its_passphrase(client1):
    made = build(client1, "mobileconfig")["client1.mobileconfig"]
    assert PASSPHRASE.encode() not in made
    assert "Password" not in plistlib.loads(made)["PayloadContent"][0]


@LEGACY
def test_a_profile_of_a_self_signed_certificate_holds_no_authority(own):
    [identity] = profile(own)["PayloadContent"]
    assert opens_with(identity["PayloadContent"], PASSPHRASE, own.certificate)


def every_payload(credential):
    found = profile(credential)
    return [found, *found["PayloadContent"]]


@LEGACY
def test_a_profile_says_what_every_payload_must(client1):
    for payload in every_payload(client1):
        assert payload["PayloadVersion"] == 1
        assert payload["PayloadDisplayName"]
        assert re.fullmatch(
            r"edge\.mtls\.[0-9a-f]{16}\.client1(\.\w+)?", payload["PayloadIdentifier"]
        )
        assert str(uuid.UUID(payload["PayloadUUID"])).upper() == payload["PayloadUUID"]
    assert profile(client1)["PayloadType"] == "Configuration"
    for key in ("PayloadUUID", "PayloadIdentifier"):
        values = [payload[key] for payload in every_payload(client1)]
        assert len(set(values)) == len(values) == 4


@LEGACY
def test_a_renewed_profile_takes_the_place_of_the_one_before(client1, store):
    def each(key, credential):
        return [payload[key] for payload in every_payload(credential)]

    edward = credential_in(store, "edward")
    renewed = replace(client1, key=edward.key, certificate=edward.certificate)
    assert each("PayloadIdentifier", renewed) == each("PayloadIdentifier", client1)
    assert each("PayloadUUID", client1) == each("PayloadUUID", client1)
    assert not set(each("PayloadUUID", renewed)) & set(each("PayloadUUID", client1))


# The page that explains


def page(credential, *wanted_packs):
    return folder_in(next(iter(build(credential, "zip", *wanted_packs).values())))[
        "HOWTO.txt"
    ].decode()


EXTRAS = [pack for pack in ALL if pack not in ("tar", "zip", "pkcs12")]
COMBINATIONS = [
    chosen for count in range(len(EXTRAS) + 1) for chosen in itertools.combinations(EXTRAS, count)
]


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        pytest.param(name, chosen, id="-".join([name, *chosen]))
        for name in ("client1", "own", "edward")
        for chosen in COMBINATIONS
        # What signed itself has no authority that a truststore could hold.
        if not (name == "own" and "truststore" in chosen)
    ],
)
def test_the_page_is_one_page_about_the_files_beside_it(store, name, chosen):
    above = {"client1": ["services", "root"], "own": [], "edward": ["root"]}[name]
    if name == "edward" and not HAS_LEGACY:
        pytest.skip("cryptography before 38")
    credential = credential_in(store, name, *above)
    found = folder_in(build(credential, "zip", *chosen)[f"{name}.zip"])
    text = found["HOWTO.txt"].decode("ascii")
    lines = text.splitlines()
    assert len(lines) <= 106
    assert max(map(len, lines)) <= 80
    assert not re.search(r"[{}]|^\[|\n\n\n|[ \t]\n", text)
    assert PASSPHRASE not in text
    named = set(re.findall(r"[\w.]+\.(?:p12|pem|conf|cer|der|mobileconfig)\b", text))
    # Those are made by commands of the page.
    made_by_it = {f"{name}.legacy.p12", f"{name}.truststore.p12"}
    assert named - made_by_it <= found.keys()
    assert found.keys() - named <= {"HOWTO.txt", "certificate.pem"}


def test_the_page_names_the_certificate_and_its_end(client1):
    lines = page(client1).splitlines()
    assert lines[0] == "HOW TO USE THE CLIENT CERTIFICATE client1"
    assert "    name          CN=client1" in lines
    assert "    signed by     CN=services CA" in lines
    assert "    valid until   2028-05-31 12:00 UTC; ask for the next one in time" in lines


def test_the_page_of_a_self_signed_certificate_trusts_nobody(own):
    text = page(own)
    assert "signed by itself" in text
    for word in ("ca.pem", "cacert", "truststore", "trustStore", "Root", "add-trusted-cert"):
        assert word not in text


@LEGACY
def test_the_page_warns_of_a_key_that_browsers_do_not_take(store, client1):
    sentence = "Your key is of type Ed25519."
    assert sentence in page(credential_in(store, "edward", "root"))
    assert sentence not in page(client1)


@LEGACY
def test_the_page_sends_old_systems_to_the_legacy_file_where_there_is_one(client1):
    without, with_legacy = page(client1), page(client1, "pkcs12_legacy")
    assert "openssl pkcs12 -export" in without
    assert "openssl pkcs12 -export" not in with_legacy
    assert "Server 2019 take client1.legacy.p12" in with_legacy
    assert "Send client1.legacy.p12 and ca.pem there" in with_legacy
    assert "Send client1.mobileconfig there" in page(client1, "mobileconfig")


# Errors


class NotAKey:
    """What cryptography can't pack, such as a key of a kind that is newer than it."""

    def public_key(self):
        return self


@pytest.mark.parametrize("pack", ["pkcs12", "tar", "zip"])
def test_a_key_that_can_not_be_packed_is_named_and_not_shown(client1, pack):
    sentence = (
        "client certificate 'client1': cryptography .* can't pack a key of type NotAKey as PKCS "
        "#12; take another key_type, or leave out all packs but truststore and der"
    )
    with pytest.raises(MtlsError, match=f"^{sentence}$") as error:
        build(replace(client1, key=NotAKey()), pack)
    assert PASSPHRASE not in str(error.value)
