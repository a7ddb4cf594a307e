# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others make of our CRLs: OpenSSL, GnuTLS and NSS, and whom they refuse because of them."""

from __future__ import annotations

import re
import shutil
from datetime import datetime
from types import SimpleNamespace

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.pki.crls import REASONS
from ansible_collections.edge.mtls.tests.integration.pki_judges import (
    TRUSTED,
    Nss,
    gnutls_verdict,
    openssl_verdict,
)
from ansible_collections.edge.mtls.tests.integration.pki_world import (
    ISSUERS,
    LEAVES,
    PASSPHRASE,
    Store,
    client,
    foreign,
    line_of,
    rich_world,
    say,
)

REASON = pytest.mark.parametrize("reason", REASONS)
# Whose key is in the store, so that they have a CRL.
SIGNING = [name for name in ISSUERS if name != "offline"]
SIGNERS = pytest.mark.parametrize("name", SIGNING)
# NSS 3.87 knows no Ed25519.
KNOWN_TO_NSS = [name for name in SIGNING if name != "edwards"]
REVOKED_BY_GNUTLS = (
    "Not verified. The certificate is NOT trusted. The certificate chain is revoked."
)
REVOKED_BY_NSS = "Peer's Certificate has been revoked."


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return rich_world(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def revoked(tmp_path_factory):
    """Revoke a client for each reason and an authority, then release the one on hold.

    Of each step the CRLs and what the module said are kept.
    """
    store = Store(tmp_path_factory.mktemp("revoked") / "store")
    store.keep_authority("root", "Root CA")
    store.keep_authority("services", "Services CA", issuer="root", key_type="RSA-2048")
    store.keep_authority("fallen", "Fallen CA", issuer="root", key_type="Ed25519")
    names = [reason.lower() for reason in REASONS]
    store.keep(*(client(name, "services") for name in [*names, "good"]), client("poor", "fallen"))
    steps = {
        "nothing yet": [],
        "all": [
            *({"name": reason.lower(), "reason": reason} for reason in REASONS),
            {"name": "fallen", "profile": "authority", "reason": "cACompromise"},
        ],
        "released": [{"name": "certificatehold", "state": "released"}],
    }
    said, folders = {}, {}
    for step, entries in steps.items():
        said[step] = store.revoke(*entries)
        folders[step] = store.path.parent / step
        shutil.copytree(store.path / "crls", folders[step])
    return SimpleNamespace(store=store, said=said, crls=folders)


def verdicts(revoked, name, step):
    """Return what OpenSSL and GnuTLS say of a client at a step."""
    given = (revoked.store.client(name, "fullchain.pem"), revoked.store.authority("root"))
    crls = revoked.crls[step] / "all.pem"
    return openssl_verdict(*given, crls=crls), gnutls_verdict(*given, crls=crls)


def nss_of(revoked, folder, name, step):
    """Give NSS a client of a step, and all that it needs to judge it."""
    folder.mkdir()
    nss = Nss(folder)
    nss.add("root", revoked.store.authority("root"), "CT,,")
    nss.add("services", revoked.store.authority("services"))
    for authority in ("root", "services"):
        nss.add_crl(revoked.crls[step] / f"{authority}.crl")
    nss.add(name, revoked.store.client(name))
    return nss


# Whom they refuse


@REASON
def test_whoever_is_revoked_is_refused(revoked, reason):
    assert verdicts(revoked, reason.lower(), "nothing yet") == ("OK", TRUSTED)
    assert verdicts(revoked, reason.lower(), "all") == (
        "certificate revoked at 0 depth",
        REVOKED_BY_GNUTLS,
    )


@REASON
def test_nss_refuses_whoever_is_revoked(revoked, tmp_path, reason):
    name = reason.lower()
    assert nss_of(revoked, tmp_path / "before", name, "nothing yet").verdict(name) == (
        "certificate is valid"
    )
    assert nss_of(revoked, tmp_path / "after", name, "all").verdict(name) == (
        f"{name} : {REVOKED_BY_NSS}"
    )


def test_whoever_is_released_from_hold_is_accepted_again(revoked, tmp_path):
    assert verdicts(revoked, "certificatehold", "released") == ("OK", TRUSTED)
    nss = nss_of(revoked, tmp_path / "before", "certificatehold", "all")
    assert REVOKED_BY_NSS in nss.verdict("certificatehold")
    # A newer CRL takes the place of the one that the database holds.
    nss.add_crl(revoked.crls["released"] / "services.crl")
    assert nss.verdict("certificatehold") == "certificate is valid"


@pytest.mark.parametrize("step", ["all", "released"])
def test_all_others_stay_accepted(revoked, tmp_path, step):
    assert verdicts(revoked, "good", step) == ("OK", TRUSTED)
    assert nss_of(revoked, tmp_path / "nss", "good", step).verdict("good") == "certificate is valid"


def test_an_authority_that_is_revoked_takes_its_clients_along(revoked):
    assert verdicts(revoked, "poor", "nothing yet") == ("OK", TRUSTED)
    assert verdicts(revoked, "poor", "all") == (
        "certificate revoked at 1 depth",
        REVOKED_BY_GNUTLS,
    )


@pytest.mark.parametrize("leaf", LEAVES)
def test_openssl_accepts_every_leaf_with_the_crls_of_its_whole_chain(world, leaf):
    issuer, purpose = LEAVES[leaf]
    root = world.authority(line_of(issuer)[-1])
    crls = foreign(world, "all.crl.pem")
    chain = world.leaf(leaf, "fullchain.pem")
    assert openssl_verdict(chain, root, "-purpose", purpose, crls=crls) == "OK"


@pytest.mark.parametrize("name", ["revoked", "held"])
def test_openssl_refuses_a_client_of_an_authority_whose_key_is_encrypted(world, name):
    chain = world.client(name, "fullchain.pem")
    crls = foreign(world, "all.crl.pem")
    verdict = openssl_verdict(chain, world.authority("corp"), crls=crls)
    assert verdict == "certificate revoked at 0 depth"


# Whose they are


@SIGNERS
def test_openssl_verifies_the_crl_with_its_issuer(world, name):
    issuer = ["-CAfile", world.authority(name), "-no-CApath", "-no-CAstore"]
    assert "verify OK" in say("openssl", "crl", "-in", world.crl(name), "-verify", *issuer)


@SIGNERS
def test_gnutls_verifies_the_crl_with_its_issuer(world, name):
    # It wants the whole line, because only a root is an anchor to it.
    line = b"".join(world.authority(each).read_bytes() for each in line_of(name))
    trusted = foreign(world, f"{name}.line.pem")
    trusted.write_bytes(line)
    words = ["certtool", "--verify-crl", "--load-ca-certificate", trusted]
    assert "Verified." in say(*words, "--infile", world.crl(name))


def test_nss_imports_the_crls(world, tmp_path):
    nss = Nss(tmp_path)
    for name in KNOWN_TO_NSS:
        nss.add(name, world.authority(name), ",," if ISSUERS[name] else "CT,,")
        # For this, NSS verifies the signature.
        nss.add_crl(world.crl(name, "crl"))


def test_the_file_of_all_crls_holds_each_authoritys(world):
    together = b"".join(world.crl(name).read_bytes() for name in sorted(SIGNING))
    assert (world.path / "crls/all.pem").read_bytes() == together


# What they hold


@SIGNERS
def test_der_equals_pem(world, tmp_path, name):
    say("openssl", "crl", "-in", world.crl(name), "-outform", "DER", "-out", tmp_path / "der")
    assert (tmp_path / "der").read_bytes() == world.crl(name, "crl").read_bytes()
    words = ["certtool", "--crl-info", "--no-text", "--inder", "--infile", world.crl(name, "crl")]
    assert say(*words) == world.crl(name).read_text()


def field(text: str, label: str) -> str:
    """Return what follows a label, on the line below it if need be."""
    return re.search(rf"{label}:(?: critical)?\s*(\S.*)", text)[1].strip()


@SIGNERS
def test_openssl_reads_whose_crl_it_is_and_its_number(world, name):
    said = world.revoke(key_passphrases=dict.fromkeys(("corp-3", "adopted"), PASSPHRASE))
    text = say("openssl", "crl", "-in", world.crl(name), "-noout", "-text", "-nameopt", "RFC2253")
    certificate = world.authority(name)
    words = ["openssl", "x509", "-in", certificate, "-noout", "-nameopt", "RFC2253"]
    assert f"subject={field(text, 'Issuer')}" == say(*words, "-subject").strip()
    identifier = say(*words, "-ext", "subjectKeyIdentifier").splitlines()[1].strip()
    assert field(text, "X509v3 Authority Key Identifier") == identifier
    assert int(field(text, "X509v3 CRL Number"), 0) == said["crls"][name]["crl_number"]
    assert "Version 2" in text
    assert "critical" not in text


def test_openssl_reads_who_is_revoked_and_why(revoked):
    crl = revoked.crls["all"] / "services.crl"
    text = say("openssl", "crl", "-in", crl, "-noout", "-text")
    entries = re.split(r"Serial Number: ", text.split("Signature Algorithm: ")[1])[1:]
    found = {}
    for entry in entries:
        reason = re.search(r"Reason Code:\s*(\S.*)", entry)
        found[entry.split("\n")[0]] = reason[1] if reason else None
    said = {each["serial_number"]: each["reason"] for each in revoked.said["all"]["revocations"]}
    spelled = {
        "unspecified": None,  # RFC 5280, 5.3.1: then there should be no reason
        "keyCompromise": "Key Compromise",
        "cACompromise": "CA Compromise",
        "affiliationChanged": "Affiliation Changed",
        "superseded": "Superseded",
        "cessationOfOperation": "Cessation Of Operation",
        "certificateHold": "Certificate Hold",
        "privilegeWithdrawn": "Privilege Withdrawn",
        "aACompromise": "AA Compromise",
    }
    authorities = {revoked.said["all"]["revocations"][-1]["serial_number"]}
    assert found == {
        serial: spelled[reason] for serial, reason in said.items() if serial not in authorities
    }


def test_each_crl_has_a_higher_number_and_the_same_issuer_key(revoked):
    numbers, identifiers = [], set()
    for step, folder in revoked.crls.items():
        text = say("openssl", "crl", "-in", folder / "services.crl", "-noout", "-text")
        numbers.append(int(field(text, "X509v3 CRL Number"), 0))
        identifiers.add(field(text, "X509v3 Authority Key Identifier"))
        assert numbers[-1] == revoked.said[step]["crls"]["services"]["crl_number"]
    assert numbers == sorted(set(numbers))
    assert len(identifiers) == 1


def test_openssl_reads_the_instants_that_the_module_states(revoked):
    said = revoked.said["released"]["crls"]["services"]
    words = ["openssl", "crl", "-in", revoked.crls["released"] / "services.crl", "-noout"]
    times = dict(line.split("=") for line in say(*words, "-lastupdate", "-nextupdate").splitlines())
    found = [datetime.strptime(text, "%b %d %H:%M:%S %Y GMT") for text in times.values()]
    stated = [datetime.fromisoformat(said[key]) for key in ("this_update", "next_update")]
    assert found == [instant.replace(tzinfo=None) for instant in stated]
