# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An index that was lost or is older than the files: brought back from them."""

from __future__ import annotations

import shutil

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki.rebuilding import BY, rebuild_index
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    DAY,
    NOW,
    file,
    keep,
    keep_authority,
    kept,
    new_key,
    outcome,
    request_for,
    revoke,
    rows,
    tree,
    wanted,
)

# What is not in the files: when it was issued to the second, and the digest of the wish.
COLUMNS = (
    "kind, name, issuer_key, serial_number, subject, issuer_subject, not_before, not_after,"
    " fingerprint_sha256, public_key, der"
)
POINTERS = {"crl_urls": ("http://pki.example.com/root.crl",)}


@pytest.fixture
def store(tmp_path):
    """A store with something of everything."""
    store = Store(str(tmp_path / "store"))
    keep_authority(store, **POINTERS)
    keep_authority(store, "low", issuer="root")
    keep(store, *entries())
    keep(store, *entries(), now=NOW + 350 * DAY)
    for stage in ("prepare", "sign"):
        keep_authority(store, roll_over=stage, now=NOW + 351 * DAY, **POINTERS)
    revoke(store, {"name": "client1", "reason": "keyCompromise"}, now=NOW + 352 * DAY)
    return store


KEY = new_key()


def entries():
    names = {"subject_alternative_names": ["DNS:a"]}
    return [
        wanted(),
        wanted("b", issuer="low"),
        wanted("own", issuer="self"),
        wanted("web", profile="server", request=request_for(KEY), **names),
        wanted("p", profile="peer", **names),
    ]


NOW_LATER = NOW + 353 * DAY


def index_path(store):
    return store.path / "index.sqlite3"


def test_an_index_that_was_lost_is_made_anew(store):
    before = rows(store, COLUMNS)
    saved = revoke(store, now=NOW_LATER)
    index_path(store).unlink()
    on_disk = tree(store.path)
    planned = rebuild_index(store, True)
    assert tree(store.path) == on_disk
    done = rebuild_index(store, False)
    assert planned == done
    assert done["changed"] is True
    assert sorted(rows(store, COLUMNS)) == sorted(before)
    assert oct(index_path(store).stat().st_mode)[-3:] == "600"
    assert rebuild_index(store, False) == {"changed": False, "certificates": [], "revocations": []}
    # The last of a name is still the newest.
    assert [row[1] for row in rows(store, "kind, name") if row[0] == "client"].count("client1") == 2
    # And all goes on as if nothing had been.
    result = revoke(store, now=NOW_LATER)
    assert (result["changed"], result["crls"]) == (False, saved["crls"])
    assert outcome(keep(store, wanted(), now=NOW_LATER)) == ("revoked", [])
    # The URLs come back with the next run of the authority.
    brought = keep_authority(store, now=NOW_LATER, **POINTERS)
    assert (brought["reasons"], brought["state"]) == (["crl_urls changed"], "sign")
    assert keep(store, *entries(), now=NOW_LATER)["plan"] == "ok 4, revoked 1"


def test_who_revoked_is_the_list_that_it_was_found_on(store):
    index_path(store).unlink()
    done = rebuild_index(store, False)
    assert len(done["revocations"]) == 2
    with store.index() as index:
        stated = [(row.reason, by, at) for row, at, by, _superseded in index.stated(["client1"])]
    assert stated == [("keyCompromise", BY, (NOW + 352 * DAY).timestamp())] * 2


def test_what_an_older_index_lacks_is_added(store, tmp_path):
    keep(store, wanted("early"), now=NOW_LATER)
    shutil.copy(index_path(store), tmp_path / "backup")
    keep(store, wanted("late"), now=NOW_LATER)
    revoke(store, {"name": "late"}, {"name": "early", "reason": "superseded"}, now=NOW_LATER)
    after = rows(store, COLUMNS)
    shutil.copy(tmp_path / "backup", index_path(store))
    # An older index is noticed: what is there and unknown to it is no certificate of ours.
    planned = keep(store, wanted("late"), now=NOW_LATER, check_mode=True)
    assert outcome(planned) == ("reissue", ["not in the index of the store"])
    done = rebuild_index(store, False)
    assert done["certificates"] == ["client/late"]
    assert len(done["revocations"]) == 2
    assert rows(store, COLUMNS) == after
    assert outcome(keep(store, wanted("late"), now=NOW_LATER)) == ("revoked", [])
    assert revoke(store, now=NOW_LATER)["changed"] is False


def test_a_hold_that_became_final_after_the_backup_is_final(store, tmp_path):
    hold = {"name": "b", "reason": "certificateHold"}
    revoke(store, hold, now=NOW_LATER)
    shutil.copy(index_path(store), tmp_path / "backup")
    revoke(store, {**hold, "reason": "keyCompromise"}, now=NOW_LATER)
    shutil.copy(tmp_path / "backup", index_path(store))
    rebuild_index(store, False)
    with store.index() as index:
        assert {row.reason for row in index.of_name("client", "b")} == {"keyCompromise"}
    assert revoke(store, now=NOW_LATER)["changed"] is False


def test_what_the_index_knows_stays_as_it_is(store):
    with store.index() as index:
        before = list(index.stated())
    assert rebuild_index(store, False)["changed"] is False
    with store.index() as index:
        assert list(index.stated()) == before


def test_what_was_forgotten_is_not_found_but_stays_revoked(store):
    keep(store, unwanted=[("client", "client1")], now=NOW_LATER)
    index_path(store).unlink()
    done = rebuild_index(store, False)
    assert "client/client1" not in done["certificates"]
    assert len(done["revocations"]) == 2
    assert revoke(store, now=NOW_LATER)["changed"] is False
    result = revoke(store, {"name": "b"}, now=NOW_LATER)
    assert result["changed"]
    assert (store.path / "crls/root.pem").read_bytes()


def test_a_certificate_of_a_stranger_is_refused(store, tmp_path):
    other = Store(str(tmp_path / "other"))
    keep_authority(other, "other")
    keep(other, wanted("stranger", issuer="other"))
    (folder,) = (other.path / "generations/clients/stranger").iterdir()
    shutil.copytree(folder, store.path / "generations/clients/stranger" / folder.name)
    index_path(store).unlink()
    before = kept(store)
    for check_mode in (True, False):
        with pytest.raises(
            MtlsError, match="client 'stranger': its certificate .* was signed by none"
        ):
            rebuild_index(store, check_mode)
        assert not index_path(store).exists()
    assert kept(store) == before


def test_a_list_of_a_stranger_is_refused(store, tmp_path):
    other = Store(str(tmp_path / "other"))
    keep_authority(other)
    revoke(other)
    shutil.copy(other.path / "crls/root.pem", store.path / "crls/other.pem")
    index_path(store).unlink()
    with pytest.raises(MtlsError, match=r"crls/other\.pem was signed by none of the authorities"):
        rebuild_index(store, False)


def test_a_damaged_file_is_named(store):
    file(store, "certificate.pem", entry="b").write_bytes(b"spoiled")
    index_path(store).unlink()
    with pytest.raises(MtlsError, match=r"certificate\.pem is not a certificate in PEM"):
        rebuild_index(store, False)


def test_a_damaged_list_is_named(store):
    path = store.path / "crls/root.pem"
    path.write_bytes(path.read_bytes().replace(b"MII", b"NII", 1))
    index_path(store).unlink()
    with pytest.raises(MtlsError, match=r"crls/root\.pem is damaged: bring it back"):
        rebuild_index(store, False)


def test_a_store_whose_lists_were_lost_too_comes_back_without_revocations(store):
    shutil.rmtree(store.path / "crls")
    index_path(store).unlink()
    assert rebuild_index(store, False)["revocations"] == []
    result = revoke(store, now=NOW_LATER)
    assert result["crls"]["root"]["reasons"] == ["missing", "missing"]


def test_what_is_no_store_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(MtlsError, match="holds no certificates of a store"):
        rebuild_index(Store(str(tmp_path)), False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
