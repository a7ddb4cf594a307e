# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the PKI share: stores with some of everything, and programs to ask."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.edge.mtls.plugins.module_utils.pki.keys import (
    KEY_TYPES,
    POST_QUANTUM_KEY_TYPES,
)
from ansible_collections.edge.mtls.plugins.modules import authority, certificates, revocations

SAN = ["DNS:app.example.com", "IP:192.0.2.1", "IP:2001:db8::1"]


def ask(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a program, which may refuse; all that it prints is in ``stdout``."""
    return subprocess.run(
        [str(word) for word in words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
        **options,
    )


def say(*words: object, **options: object) -> str:
    """Run a program, which must succeed, and return all that it prints."""
    done = ask(*words, **options)
    assert done.returncode == 0, f"{words[0]} ended with {done.returncode}: {done.stdout}"
    return done.stdout


def complete(module, params: dict[str, object]) -> dict[str, object]:
    """Check options and add what wasn't given, as Ansible does before a module runs."""
    given = {name: value for name, value in params.items() if value is not None}
    checked = ArgumentSpecValidator(module.ARGUMENT_SPEC).validate(given)
    assert checked.error_messages == []
    return checked.validated_parameters


class Store:
    """A store, what the modules keep in it, and where its files are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _run(self, module, **params):
        return module.run(complete(module, {"store_path": str(self.path), **params}), False)

    def keep_authority(self, name, common_name=None, **options):
        return self._run(authority, name=name, common_name=common_name, **options)

    def keep(self, *entries, **options):
        return self._run(certificates, certificates=list(entries), **options)["certificates"]

    def revoke(self, *entries, **options):
        return self._run(revocations, certificates=list(entries), **options)

    def authority(self, name, file="certificate.pem"):
        return self.path / "authorities" / name / file

    def trust(self, name):
        return self.path / f"trust/{name}.pem"

    def crl(self, name, kind="pem"):
        return self.path / f"crls/{name}.{kind}"

    def client(self, name, file="certificate.pem"):
        return self.leaf(f"clients/{name}", file)

    def leaf(self, folder, file="certificate.pem"):
        """Return a file of, say, clients/client1."""
        return self.path / folder / file


def client(name, issuer="root", **options):
    return {"name": name, "issuer": issuer, **options}


def server(name, issuer="root", **options):
    names = {"profile": "server", "subject_alternative_names": SAN}
    return client(name, issuer, **{**names, "common_name": "app.example.com", **options})


@cache
def plain_world(base: Path) -> Store:
    """Make a root, an authority below it, and leaves of every key type.

    Once for all tests, because an RSA key of 8192 bits takes seconds.
    """
    store = Store(base / "pki-world/plain")
    store.keep_authority("root", "Example Root CA")
    store.keep_authority("services", "Services CA", issuer="root", path_length=0)
    store.keep_authority("other", "Other Root CA")
    packed = {"packs": ["pkcs12"]}
    store.keep(
        *(client(each.lower(), "services", key_type=each, **packed) for each in KEY_TYPES),
        client("direct", **packed),
        client("stranger", "other"),
        client("own", "self", **packed),
        client("own-ed25519", "self", key_type="Ed25519"),
        client("own-rsa", "self", key_type="RSA-2048", valid_days=10000),
        server("app", "services"),
        server("own", "self"),
        server("app-rsa", key_type="RSA-2048"),
    )
    return store


# What can be said of a subject, general to specific.
SUBJECT = {
    "DC": ["com", "example"],
    "C": "DE",
    "ST": "Nordrhein-Westfalen",
    "L": "Köln",
    "O": "Example Öl GmbH",
    "OU": ["Operations", "Sécurité"],
    "serialNumber": "HRB 12345",
    "emailAddress": "pki@example.com",
    "1.3.6.1.4.1.99999.1": "Kärntner Straße",
}
OURS = {"C": "DE", "O": "Example"}
PERSON = {
    **OURS,
    "OU": "Analytical Engines",
    "UID": "ada",
    "emailAddress": "ada@example.com",
    "title": "Countess",
    "GN": "Ada",
    "SN": "King",
    "street": "12 St James's Square",
    "postalCode": "SW1Y 4JH",
    "initials": "A. K.",
    "generationQualifier": "I",
    "dnQualifier": "1815",
    "pseudonym": "A. A. L.",
    "description": "Note G",
    "businessCategory": "Private Organization",
    "organizationIdentifier": "VATDE-123456789",
    "jurisdictionL": "Köln",
    "jurisdictionST": "Nordrhein-Westfalen",
    "jurisdictionC": "DE",
    "name": "Ada King",
}
POLICIES = ["1.3.6.1.4.1.99999.2 https://pki.example.com/cps", "1.3.6.1.4.1.99999.3"]
PERMITTED = [
    *("DNS:example.com", "IP:10.0.0.0/8", "IP:2001:db8::/32"),
    *("email:example.com", "email:.example.com", "URI:example.com", "URI:.example.com"),
    "dirName:O=Example,C=DE",
]
EXCLUDED = [
    *("DNS:secret.example.com", "IP:10.9.0.0/16", "IP:2001:db8:dead::/48"),
    *("email:root@example.com", "email:.secret.example.com"),
]
# GnuTLS 3.7 refuses every subject where one is excluded, and every URI where one is.
EXCLUDED_TOO = ["URI:secret.example.com", "dirName:OU=Forbidden,O=Example,C=DE"]
HOST_NAMES = [
    *("DNS:app.example.com", "DNS:*.apps.example.com", "IP:10.1.2.3", "IP:2001:db8::1"),
    "URI:spiffe://example.com/ns/app",
]
PERSON_NAMES = [
    *("email:ada@lab.example.com", "UPN:ada@example.com", "RID:1.3.6.1.4.1.99999.6"),
    "URI:https://id.example.com/ada?x=1#me",
    *("otherName:1.3.6.1.4.1.99999.7;UTF8:Zoë", "otherName:1.3.6.1.4.1.99999.8;DER:0201FF"),
    r"dirName:CN=Ada\, Countess,O=Example,C=DE",
]
PASSPHRASE = "eleven little mice"
PROFILES = [
    {
        "name": "job",
        "key_type": "P-384",
        "valid_minutes": 60,
        "key_usage": ["digitalSignature", "keyAgreement"],
        "extended_key_usage": ["clientAuth", "emailProtection", "1.3.6.1.4.1.99999.4"],
        "certificate_policies": POLICIES,
        # a UTF8String, "job"
        "extensions": [{"oid": "1.3.6.1.4.1.99999.5", "value_base64": "DANqb2I="}],
    },
    {
        "name": "mail",
        "key_usage": ["digitalSignature", "contentCommitment"],
        "extended_key_usage": ["emailProtection"],
    },
]
# Each authority of the rich world, and who signed it.
ISSUERS = {
    "corp": None,
    "corp-1": "corp",
    "corp-2": "corp-1",
    "corp-3": "corp-2",
    "edwards": "corp-2",
    "walled": "corp",
    "adopted": None,
    "below-adopted": "adopted",
    "offline": None,
    "signed-by-x509": "offline",
    "signed-by-ca": "offline",
}
# Each good leaf of the rich world: who signed it, and what OpenSSL calls what it is for.
LEAVES = {
    "clients/person": ("corp-3", "sslclient"),
    "clients/nightly": ("corp-3", "sslclient"),
    "clients/mail": ("corp-3", "smimesign"),
    "clients/aged": ("corp-3", "sslclient"),
    "clients/edwards": ("edwards", "sslclient"),
    "clients/walled": ("walled", "sslclient"),
    "clients/adopted": ("adopted", "sslclient"),
    "clients/below-adopted": ("below-adopted", "sslclient"),
    "clients/signed-by-x509": ("signed-by-x509", "sslclient"),
    "clients/signed-by-ca": ("signed-by-ca", "sslclient"),
    "servers/app": ("corp-3", "sslserver"),
    "servers/walled": ("walled", "sslserver"),
    "peers/node": ("corp-3", "sslserver"),
}


def line_of(issuer: str) -> list[str]:
    """Name an authority of the rich world and all above it, the root last."""
    above = ISSUERS[issuer]
    return [issuer, *(line_of(above) if above else [])]


def pointers(name):
    return {
        "crl_urls": [f"http://pki.example.com/{name}.crl", f"ldap://pki.example.com/cn={name}"],
        "ca_issuers_urls": [f"http://pki.example.com/{name}.cer"],
        "ocsp_urls": [f"http://ocsp.example.com/{name}"],
    }


@cache
def rich_world(base: Path) -> Store:
    """Make a line of four authorities with all that can be said of them, and adopt others."""
    store = Store(base / "pki-world/rich")

    def keep(name, common_name, **options):
        options = {"subject": OURS, "valid_days": 30000, **options}
        store.keep_authority(name, common_name, issuer=ISSUERS[name], **options)

    policies = {"certificate_policies": POLICIES}
    constraints = {"permitted_names": PERMITTED, "excluded_names": EXCLUDED}
    everything = {"subject": SUBJECT, "valid_days": 36500, **policies, **pointers("corp")}
    keep("corp", "Example Root CA", key_type="P-384", path_length=3, **everything)
    keep("corp-1", "Policy CA", key_type="P-521", **constraints, **policies, **pointers("corp-1"))
    keep("corp-2", "Region CA", key_type="RSA-3072", path_length=1, **policies)
    secret = {"key_passphrase": PASSPHRASE}
    keep("corp-3", "Services CA", path_length=0, **secret, **policies, **pointers("corp-3"))
    keep("edwards", "Edwards CA", key_type="Ed25519", path_length=0, **policies)
    constraints["excluded_names"] = [*EXCLUDED, *EXCLUDED_TOO]
    keep("walled", "Walled CA", key_type="P-384", path_length=0, **constraints)
    adopt_others(store)

    people, hosts = {"subject_alternative_names": PERSON_NAMES}, {"profile": "server"}
    hosts["subject_alternative_names"] = HOST_NAMES
    job = {"subject_alternative_names": ["URI:spiffe://example.com/jobs/nightly"]}
    further = {
        "clients/person": {"subject": PERSON, **people},
        "clients/nightly": {"profile": "job", **job},
        "clients/mail": {"profile": "mail", "subject_alternative_names": PERSON_NAMES[:1]},
        "clients/aged": {"valid_days": 29000, "key_type": "RSA-2048"},
        "clients/edwards": {"key_type": "Ed25519"},
        "clients/walled": people,
        "servers/app": hosts,
        "servers/walled": hosts,
        "peers/node": {**hosts, "profile": "peer"},
    }
    leaves = {each: {"issuer": LEAVES[each][0], **further.get(each, {})} for each in LEAVES}
    leaves |= {f"clients/{name}": {"issuer": "corp-3"} for name in ("revoked", "held")}
    named = [{"name": key.split("/")[1], "subject": OURS, **it} for key, it in leaves.items()]
    passphrases = dict.fromkeys(("corp-3", "adopted"), PASSPHRASE)
    store.keep(*named, profiles=PROFILES, key_passphrases=passphrases)
    store.revoke(
        {"name": "revoked", "reason": "keyCompromise"},
        {"name": "held", "reason": "certificateHold"},
        key_passphrases=passphrases,
    )
    crls = [store.path / "crls/all.pem", foreign(store, "offline.crl.pem")]
    foreign(store, "all.crl.pem").write_bytes(b"".join(each.read_bytes() for each in crls))
    return store


@cache
def post_quantum_world(base: Path) -> Store:
    """Make authorities and leaves of ML-DSA, alone and mixed with others."""
    store = Store(base / "pki-world/post-quantum")
    for key_type in POST_QUANTUM_KEY_TYPES:
        store.keep_authority(key_type.lower(), f"{key_type} root", key_type=key_type)
    store.keep_authority("mixed", "Mixed root")
    services = {"issuer": "ml-dsa-87", "key_type": "ML-DSA-65", "path_length": 0}
    store.keep_authority("services", "Services CA", **services)
    small = {"key_type": "ML-DSA-44"}
    store.keep(
        *(client(each.lower(), each.lower(), key_type=each) for each in POST_QUANTUM_KEY_TYPES),
        client("small", "services", **small),
        client("classic", "services", key_type="P-256"),
        client("below-classic", "mixed", key_type="ML-DSA-65"),
        client("own", "self", key_type="ML-DSA-65"),
        client("gone", "services", **small),
        server("app", "services", **small),
    )
    store.revoke({"name": "gone", "reason": "superseded"})
    return store


P256 = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
OPENSSL_CA = """
[ca]
default_ca = offline
[offline]
database = index.txt
new_certs_dir = .
rand_serial = yes
crlnumber = crlnumber
default_md = sha256
default_days = 3000
default_crl_days = 30
policy = anything
x509_extensions = identifiers
crl_extensions = identifier
copy_extensions = copyall
[anything]
countryName = optional
organizationName = optional
commonName = supplied
[identifiers]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[identifier]
authorityKeyIdentifier = keyid
"""


def foreign(store: Store, file: str) -> Path:
    """Return a file that others made: keys, roots and a CRL of theirs."""
    return store.path.parent / "foreign" / file


def adopt_others(store: Store) -> None:
    """Bring in authorities that OpenSSL made: one with its key, and one that stays offline."""
    folder = foreign(store, "")
    folder.mkdir()
    root = ["openssl", "req", "-x509", "-days", "3650", "-passout", f"pass:{PASSPHRASE}"]
    root += ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    for name, key in (("adopted", ["rsa:2048"]), ("offline", P256)):
        files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"]
        say(*root, "-newkey", *key, *files, "-subj", f"/C=DE/O=Example/CN={name} root")
    adopted = {"certificate_path": str(folder / "adopted.pem"), "key_passphrase": PASSPHRASE}
    store.keep_authority("adopted", key_path=str(folder / "adopted.key"), **adopted)
    below = {"issuer": "adopted", "issuer_key_passphrase": PASSPHRASE, "path_length": 0}
    store.keep_authority("below-adopted", "Below CA", subject=OURS, valid_days=3000, **below)

    store.keep_authority("offline", certificate_path=str(folder / "offline.pem"))
    (folder / "ca.cnf").write_text(OPENSSL_CA)
    (folder / "index.txt").touch()
    (folder / "crlnumber").write_text("01\n")
    secret = ["-passin", f"pass:{PASSPHRASE}"]
    signed = {
        "signed-by-x509": ["x509", "-req", "-CA", "offline.pem", "-CAkey", "offline.key"],
        "signed-by-ca": ["ca", "-batch", "-notext", "-config", "ca.cnf"],
    }
    signed["signed-by-x509"] += ["-copy_extensions", "copyall", "-days", "3000", "-extfile"]
    signed["signed-by-x509"] += ["ca.cnf", "-extensions", "identifiers"]
    signed["signed-by-ca"] += ["-cert", "offline.pem", "-keyfile", "offline.key"]
    for name, words in signed.items():
        asked = {"subject": OURS, "issuer": "offline", "path_length": 0}
        pending = store.keep_authority(name, f"{name} CA", **asked)
        assert pending["state"] == "pending"
        shutil.copy(pending["request_path"], folder / f"{name}.csr")
        files = ["-in", f"{name}.csr", "-out", f"{name}.pem"]
        say("openssl", *words, *secret, *files, cwd=folder)
        brought = {"certificate_path": str(folder / f"{name}.pem")}
        assert store.keep_authority(name, f"{name} CA", **asked, **brought)["state"] == "live"
    crl = ["ca", "-gencrl", "-config", "ca.cnf", "-cert", "offline.pem", "-keyfile", "offline.key"]
    say("openssl", *crl, *secret, "-out", "offline.crl.pem", cwd=folder)
