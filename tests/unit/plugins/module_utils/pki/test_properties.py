# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every wish: it is met, described truly, and then left alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.pki.certificates import (
    Extent,
    Signer,
    build_certificate,
    extent,
    instant_of,
    renewal_reason,
)
from ansible_collections.edge.mtls.plugins.module_utils.pki.extensions import authority_extensions
from ansible_collections.edge.mtls.plugins.module_utils.pki.names import rfc2253
from ansible_collections.edge.mtls.plugins.module_utils.pki.planning import Planner
from ansible_collections.edge.mtls.plugins.module_utils.pki.profiles import KINDS
from ansible_collections.edge.mtls.plugins.module_utils.pki.store import Store
from ansible_collections.edge.mtls.tests.unit.plugins.module_utils.pki.shared import (
    NOW,
    SECOND,
    certificate,
    keep,
    keep_authority,
    name_of,
    new_key,
    outcome,
    wanted,
)
from hypothesis import given, settings
from hypothesis import strategies as st

KEY = new_key()
quick = settings(max_examples=80, deadline=None, database=None)
texts = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=16
).filter(lambda text: text.isprintable() and text == text.strip())
labels = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
alternative_names = st.one_of(
    st.builds("DNS:{}.{}".format, labels, labels),
    st.ip_addresses(v=4).map("IP:{}".format),
    st.ip_addresses(v=6).map("IP:{}".format),
    st.builds("email:{}@{}.example".format, labels, labels),
    st.builds("URI:spiffe://{}.example/{}".format, labels, labels),
)
subjects = st.dictionaries(st.sampled_from(["O", "OU", "L", "ST"]), texts, max_size=3)
kinds = st.sampled_from(list(KINDS))
own_profiles = st.fixed_dictionaries(
    {"name": st.just("own"), "base": kinds},
    optional={
        "valid_minutes": st.integers(1, 10**6),
        "key_usage": st.lists(
            st.sampled_from(["digitalSignature", "keyEncipherment", "keyAgreement"]), unique=True
        ),
        "extended_key_usage": st.lists(st.sampled_from(["clientAuth", "codeSigning", "1.2.3.4"])),
        "certificate_policies": st.lists(
            st.sampled_from(["1.2.3", "1.2.4 http://a.example"]), unique=True
        ),
    },
)
instants = st.timedeltas(timedelta(0), timedelta(days=20000)).map(
    lambda age: NOW + timedelta(seconds=age // SECOND)
)
durations = st.integers(0, 10**9).map(lambda seconds: timedelta(seconds=seconds))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(str(tmp_path_factory.mktemp("properties") / "store"))
    keep_authority(store)
    keep_authority(store, "low", issuer="root")
    return store


@settings(max_examples=50, deadline=None, database=None)
@given(
    name=st.sampled_from(["a", "b"]),
    common_name=texts,
    subject=subjects,
    names=st.lists(alternative_names, min_size=1, max_size=4, unique=True),
    profile=own_profiles,
    issuer=st.sampled_from(["root", "low", "self"]),
)
def test_what_was_issued_is_ok_by_the_short_way_and_the_long_one(
    store, name, common_name, subject, names, profile, issuer
):
    entry = wanted(
        name,
        common_name=common_name,
        subject=subject,
        subject_alternative_names=names,
        profile="own",
        profiles=[profile],
        issuer=issuer,
    )
    [described] = keep(store, entry)["certificates"].values()
    assert described["subject"] == rfc2253(entry.subject_name())
    assert outcome(keep(store, entry)) == ("ok", [])
    real = Planner.specification
    Planner.specification = lambda *_arguments: "nothing is like this"
    try:
        assert outcome(keep(store, entry, check_mode=True)) == ("ok", [])
    finally:
        Planner.specification = real


@quick
@given(not_after=instants, now=instants, margin=durations)
def test_a_reason_to_renew_appears_exactly_within_the_margin(not_after, now, margin):
    reason = renewal_reason(not_after, now, margin)
    assert (reason is not None) is (not_after < now or not_after - now < margin)
    if reason is not None:
        assert reason.startswith("expired on ") is (not_after < now)


@given(valid=durations, life=st.integers(1, 10**9).map(lambda seconds: timedelta(seconds=seconds)))
@quick
def test_nothing_lives_longer_than_asked_or_than_its_issuer(valid, life):
    lives = Extent(NOW, NOW + life)
    extensions = authority_extensions(None, [], [], [], "")
    root = build_certificate(name_of("Root"), KEY.public_key(), Signer(KEY), lives, extensions)
    found = extent(NOW, valid, root)
    assert found.not_before == NOW
    assert found.not_after == min(NOW + valid, NOW + life)


@quick
@given(minutes=st.integers(1, 10**7), before=st.none() | st.integers(0, 10**7))
def test_what_is_new_is_never_due_at_once(minutes, before):
    if before is not None and before >= minutes:
        return
    given_before = {} if before is None else {"renew_before_minutes": before}
    profile = wanted(valid_minutes=minutes, **given_before).profile
    assert timedelta(0) <= profile.renewal_margin < profile.valid
    assert renewal_reason(NOW + profile.valid, NOW, profile.renewal_margin) is None


def test_a_certificate_is_not_due_before_the_margin_of_its_own(store):
    entry = wanted("minutes", valid_minutes=9)
    [described] = keep(store, entry)["certificates"].values()
    with open(described["certificate_path"], "rb") as file:
        found = certificate(file.read().decode())
    assert instant_of(found, "not_valid_after") == NOW + timedelta(minutes=9)
