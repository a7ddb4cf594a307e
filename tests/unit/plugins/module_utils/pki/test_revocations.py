# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Revoking: which certificates are meant, for good or on hold, and what is remembered."""

from __future__ import annotations

import shutil

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.crls import REASONS
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    SECOND,
    certificate,
    file,
    keep,
    keep_authority,
    kept,
    outcome,
    revoke,
    rows,
    tree,
    wanted,
)
from cryptography import x509
from cryptography.hazmat.primitives import serialization

FINAL = [reason for reason in REASONS if reason != "certificateHold"]
HOLD = {"name": "client1", "reason": "certificateHold"}
RELEASE = {"name": "client1", "state": "released"}


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    keep_authority(store)
    keep(store, wanted(), wanted("client2"))
    return store


def on_the_list(store, name="root"):
    """Return serial number and reason of everything on an authority's CRL."""
    crl = x509.load_pem_x509_crl((store.path / f"crls/{name}.pem").read_bytes())
    found = {}
    for entry in crl:
        try:
            reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
        except x509.ExtensionNotFound:
            reason = "unspecified"
        found[entry.serial_number] = reason
    return found


def leaf(store, entry="client1", profile="client"):
    return certificate(file(store, "certificate.pem", profile, entry))


def actions(result):
    return [(each["name"], each["action"], each["reason"]) for each in result["revocations"]]


def colons(text):
    return ":".join(text[start : start + 2] for start in range(0, len(text), 2))


def selectors(store, tmp_path):
    described = keep(store, wanted())["certificates"]["client/client1"]
    serial, digest = described["serial_number"], described["fingerprint_sha256"]
    pem, der = tmp_path / "c.pem", tmp_path / "c.der"
    pem.write_bytes(file(store, "certificate.pem").read_bytes())
    der.write_bytes(leaf(store).public_bytes(serialization.Encoding.DER))
    return {
        "name": {"name": "client1"},
        "serial number": {"serial_number": serial},
        "in lower case": {"serial_number": serial.lower()},
        "with colons": {"serial_number": colons(serial)},
        "as a number in C": {"serial_number": f"0x{serial.lstrip('0')}"},
        "with its issuer": {"serial_number": serial, "issuer": "root"},
        "fingerprint": {"fingerprint_sha256": digest},
        "fingerprint of openssl": {"fingerprint_sha256": colons(digest).upper()},
        "PEM": {"certificate_path": str(pem)},
        "DER": {"certificate_path": str(der)},
    }


@pytest.mark.parametrize(
    "selector",
    ["name", "serial number", "in lower case", "with colons", "as a number in C", "with its issuer",
     "fingerprint", "fingerprint of openssl", "PEM", "DER"],
)  # fmt: skip
def test_a_certificate_is_revoked_by(store, tmp_path, selector):
    entry = {**selectors(store, tmp_path)[selector], "reason": "keyCompromise"}
    before = tree(store.path)
    planned = revoke(store, entry, check_mode=True)
    assert tree(store.path) == before
    done = revoke(store, entry)
    assert planned["revocations"] == done["revocations"]
    assert (done["changed"], actions(done)) == (True, [("client1", "revoke", "keyCompromise")])
    assert on_the_list(store) == {leaf(store).serial_number: "keyCompromise"}
    again = revoke(store, entry)
    assert (again["changed"], actions(again)) == (False, [("client1", "ok", "keyCompromise")])


@pytest.mark.parametrize("reason", FINAL)
def test_every_reason_but_a_hold_is_for_good(store, reason):
    revoke(store, {"name": "client1", "reason": reason})
    assert on_the_list(store) == {leaf(store).serial_number: reason}
    other = "superseded" if reason != "superseded" else "keyCompromise"
    before = tree(store.path)
    for entry in ({"name": "client1", "reason": other}, HOLD):
        assert actions(revoke(store, entry)) == [("client1", "ok", reason)]
    with pytest.raises(
        MtlsError, match=rf"was revoked for good \({reason}\); only what is on hold"
    ):
        revoke(store, RELEASE)
    assert tree(store.path) == before


def test_a_hold_can_be_released_and_held_again(store):
    serial = leaf(store).serial_number
    assert actions(revoke(store, HOLD)) == [("client1", "revoke", "certificateHold")]
    assert on_the_list(store) == {serial: "certificateHold"}
    assert revoke(store, HOLD)["changed"] is False
    assert actions(revoke(store, RELEASE)) == [("client1", "release", "removeFromCRL")]
    assert on_the_list(store) == {}
    released = revoke(store, RELEASE)
    assert (released["changed"], [each["action"] for each in released["revocations"]]) == (
        False,
        ["ok"],
    )
    assert outcome(keep(store, wanted())) == ("ok", [])
    revoke(store, HOLD)
    assert on_the_list(store) == {serial: "certificateHold"}


@pytest.mark.parametrize("reason", ["unspecified", "keyCompromise"])
def test_a_hold_can_become_final(store, reason):
    revoke(store, HOLD)
    assert actions(revoke(store, {**HOLD, "reason": reason})) == [("client1", "revoke", reason)]
    assert on_the_list(store) == {leaf(store).serial_number: reason}


def test_to_release_what_was_never_revoked_is_nothing(store):
    revoke(store)
    result = revoke(store, RELEASE)
    assert (result["changed"], actions(result)) == (False, [("client1", "ok", None)])


def test_a_name_means_all_its_certificates_that_have_not_expired(store):
    keep(store, wanted(valid_days=400), wanted("client2"), now=NOW + 340 * DAY)
    revoke(store, {"name": "client1"}, now=NOW + 340 * DAY)
    serials = [serial for name, serial in rows(store, "name, serial_number") if name == "client1"]
    assert len(serials) == 2
    assert set(on_the_list(store)) == {int(serial, 16) for serial in serials}


def test_a_name_whose_certificates_have_all_expired_means_nothing(store):
    result = revoke(store, {"name": "client1"}, now=NOW + 366 * DAY)
    assert result["revocations"] == []
    assert on_the_list(store) == {}


def test_the_last_instant_of_a_certificate_still_counts(store):
    at_its_end = NOW + 365 * DAY
    assert len(revoke(store, {"name": "client1"}, now=at_its_end)["revocations"]) == 1
    assert revoke(store, {"name": "client2"}, now=at_its_end + SECOND)["revocations"] == []


def test_each_kind_has_names_of_its_own(store):
    keep(store, wanted(profile="server", subject_alternative_names=["DNS:a"]))
    done = revoke(store, {"name": "client1", "profile": "server"})
    assert [each["profile"] for each in done["revocations"]] == ["server"]
    assert on_the_list(store) == {leaf(store, profile="server").serial_number: "unspecified"}


def test_an_authority_is_revoked_on_the_list_of_its_issuer(store):
    low = keep_authority(store, "low", issuer="root")
    revoke(store, {"name": "low", "profile": "authority", "reason": "cACompromise"})
    assert on_the_list(store) == {int(low["serial_number"], 16): "cACompromise"}
    assert on_the_list(store, "low") == {}


def test_a_self_signed_certificate_is_remembered_as_revoked(store):
    keep(store, wanted("own", issuer="self"))
    assert actions(revoke(store, {"name": "own"})) == [("own", "revoke", "unspecified")]
    assert outcome(keep(store, wanted("own", issuer="self"))) == ("revoked", [])
    assert on_the_list(store) == {}


def test_a_serial_number_that_two_authorities_gave_out_needs_an_issuer(store, monkeypatch):
    keep_authority(store, "other")
    monkeypatch.setattr(x509, "random_serial_number", lambda: 0x4F2A)
    keep(store, wanted("a"), wanted("b", issuer="other"))
    with pytest.raises(MtlsError, match="'4F2A': 2 authorities issued one with it; name issuer"):
        revoke(store, {"serial_number": "4F2A"})
    done = revoke(store, {"serial_number": "4F2A", "issuer": "other"})
    assert actions(done) == [("b", "revoke", "unspecified")]
    with pytest.raises(MtlsError, match="'4F2A': no certificate with it was issued by 'x'"):
        revoke(store, {"serial_number": "4F2A", "issuer": "x"})


# A file that the index doesn't know: a store that came back from a backup.


@pytest.fixture
def lost(store, tmp_path):
    """A certificate that was issued after the backup that the store came back from."""
    shutil.copytree(store.path, tmp_path / "backup", symlinks=True)
    keep(store, wanted("lost"))
    path = tmp_path / "lost.pem"
    path.write_bytes(file(store, "certificate.pem", entry="lost").read_bytes())
    shutil.rmtree(store.path)
    (tmp_path / "backup").rename(store.path)
    return path


@pytest.mark.parametrize("profile", ["client", "server"])
def test_a_file_unknown_to_the_index_is_revoked_when_our_authority_signed_it(store, lost, profile):
    serial = certificate(lost).serial_number
    entry = {"certificate_path": str(lost), "profile": profile}
    before = tree(store.path)
    [planned] = revoke(store, entry, check_mode=True)["revocations"]
    assert tree(store.path) == before
    [done] = revoke(store, entry)["revocations"]
    assert planned == done
    assert (done["profile"], done["action"]) == (profile, "revoke")
    assert done["name"] == f"serial-{done['serial_number'].lower()}"
    assert on_the_list(store) == {serial: "unspecified"}
    assert revoke(store, entry)["changed"] is False
    lost.unlink()
    assert revoke(store, {"serial_number": f"{serial:x}"})["changed"] is False


def test_a_file_that_is_named_twice_is_one_certificate(store, lost):
    entry = {"certificate_path": str(lost)}
    done = revoke(store, entry, entry)
    assert [each["action"] for each in done["revocations"]] == ["revoke", "revoke"]
    assert len(on_the_list(store)) == 1


def test_a_file_that_no_authority_of_ours_signed_is_refused(store, tmp_path):
    other = Store(str(tmp_path / "other"))
    keep_authority(other)
    keep(other, wanted())
    path = file(other, "certificate.pem")
    with pytest.raises(MtlsError, match="none of the store's authorities signed it, so none can"):
        revoke(store, {"name": "client2"}, {"certificate_path": str(path)})
    assert not (store.path / "crls").exists()


# The whole set.


def test_one_wrong_entry_stops_the_whole_set(store):
    revoke(store)
    before = tree(store.path)
    for check_mode in (True, False):
        with pytest.raises(MtlsError, match="'nobody'"):
            revoke(store, {"name": "client1"}, {"name": "nobody"}, check_mode=check_mode)
    assert tree(store.path) == before


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"name": "client1", "reason": "superseded"}, id="reason"),
        pytest.param(RELEASE, id="state"),
        pytest.param(HOLD, id="hold"),
    ],
)
def test_two_entries_that_contradict_each_other_are_refused(store, other):
    serial = keep(store, wanted())["certificates"]["client/client1"]["serial_number"]
    entry = {"serial_number": serial, "reason": "keyCompromise"}
    for pair in ([entry, other], [other, entry]):
        before = kept(store)
        with pytest.raises(
            MtlsError, match=f"serial number {serial} is also meant by revocation of"
        ):
            revoke(store, *pair)
        assert kept(store) == before


def test_the_same_wish_twice_is_one(store):
    done = revoke(store, {"name": "client1"}, {"name": "client1"})
    assert done["changed"] is True
    assert revoke(store, {"name": "client1"})["changed"] is False


def test_another_run_may_have_revoked_meanwhile(store, monkeypatch):
    real = Store.locked

    def locked(self):
        monkeypatch.setattr(Store, "locked", real)
        revoke(store, {"name": "client1"})
        return real(self)

    monkeypatch.setattr(Store, "locked", locked)
    result = revoke(store, {"name": "client1", "reason": "superseded"})
    assert actions(result) == [("client1", "ok", "unspecified")]
    assert len(on_the_list(store)) == 1


@pytest.mark.parametrize(
    ("entries", "is_refused"),
    [pytest.param([], False, id="nothing"), pytest.param([{"name": "client1"}], True, id="one")],
)
def test_a_store_that_is_not_there_yet(tmp_path, entries, is_refused):
    store = Store(str(tmp_path / "nothing"))
    nothing = {"changed": False, "revocations": [], "crls": {}}
    assert revoke(store, *entries, check_mode=True) == nothing
    if is_refused:
        with pytest.raises(MtlsError, match="nothing doesn't exist yet"):
            revoke(store, *entries)
    else:
        assert revoke(store) == nothing
    assert not store.path.exists()


def test_a_clock_that_is_behind_revokes_nothing(store):
    before = tree(store.path)
    with pytest.raises(MtlsError, match="set the clock"):
        revoke(store, {"name": "client1"}, now=NOW - DAY)
    assert tree(store.path) == before
