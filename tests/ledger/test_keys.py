"""Keys and fingerprints: the same for the same, different for different (delivery 14-19)."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ledger.ground import Ground
from moatbridge.changes import Ref
from moatbridge.ledger.keys import (
    fingerprinter,
    idempotency_key,
    keepable,
    kept_hash,
    key_hash,
    made_storable,
    name_hash,
    prefixed,
    storable,
)

PARTS = st.lists(
    st.text(max_size=8) | st.integers() | st.binary(max_size=8), max_size=6
)
IDS = st.text(max_size=8) | st.lists(st.text(max_size=6), min_size=2, max_size=3).map(
    tuple
)


def texts(parts):
    return [p if isinstance(p, bytes) else str(p).encode() for p in parts]


@given(PARTS)
def test_an_idempotency_key_is_26_base32_characters_and_never_changes(parts):
    key = idempotency_key(*parts)
    assert re.fullmatch(r"[a-z2-7]{26}", key)
    assert key == idempotency_key(*parts)


@given(PARTS, PARTS)
def test_different_parts_give_different_keys(one, other):
    assume(texts(one) != texts(other))
    assert idempotency_key(*one) != idempotency_key(*other)


def test_parts_cannot_run_into_each_other():
    assert (
        idempotency_key("ab", "c")
        != idempotency_key("a", "bc")
        != idempotency_key("abc")
    )


@given(IDS, IDS)
def test_key_hash_is_injective_over_plain_and_compound_ids(one, other):
    assert (key_hash(Ref(one).key) == key_hash(Ref(other).key)) == (one == other)


@given(IDS)
def test_a_ref_comes_back_from_its_key(identity):
    key = Ref(identity).key
    assert Ref.from_key(key).key == key


def test_names_differ_in_case_and_spacing_only_to_people():
    assert (
        name_hash("cn=Ada,  ou=People")
        == name_hash("CN=ada,ou=people")
        != name_hash("cn=ada,ou=other")
    )


VALUES = st.lists(
    st.none()
    | st.text(st.characters(codec="utf-8"), max_size=5)
    | st.integers()
    | st.booleans(),
    max_size=4,
)


@given(VALUES, VALUES)
def test_fingerprints_differ_when_values_do(one, other):
    assume([(type(v), v) for v in one] != [(type(v), v) for v in other])
    make = fingerprinter("1")
    assert make("k", None, one) != make("k", None, other)
    assert make("k", None, one) == fingerprinter("1")("k", None, list(one))


def test_another_translator_name_or_key_gives_another_fingerprint():
    make = fingerprinter("1")
    prints = {
        make("k", None, []),
        fingerprinter("2")("k", None, []),
        make("j", None, []),
        make("k", "n", []),
    }
    assert len(prints) == 4


def keys(ground):
    return [
        key for (key,) in ground.all("SELECT key FROM intent ORDER BY parcel_id, pos")
    ]


def test_a_source_version_gives_the_same_key_even_in_a_rebuilt_ledger(tmp_path):
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        ground = Ground(tmp_path / name)
        ground.stage(ground.item("u1", version="v7"))
        made += keys(ground)
        ground.close()
    assert made[0] == made[1]


def test_without_a_version_a_to_b_to_a_is_three_different_keys(ground):
    for fp in (b"a" * 16, b"b" * 16, b"a" * 16):
        ground.stage(ground.item("u1", fp=fp))
    assert len(set(keys(ground))) == 3


def test_a_key_without_a_version_stands_for_its_parts_one_by_one(ground):
    """What the keys of a parcel share is put together once; the key is the same."""
    ground.stage(ground.item("u1"), ground.item("u2", round=3))
    seed = ground.ledger.seed("people", "srv")
    rows = ground.all(
        "SELECT parcel_id, pos, ref, op, out_fp, key FROM intent ORDER BY pos"
    )
    assert len(rows) == 2
    for parcel_id, pos, ref, op, out_fp, key in rows:
        parts = (json.loads(ref)[0], op, seed.ledger_id, "0", parcel_id, pos, out_fp)
        before = prefixed(seed.scope, seed.flow, seed.server)
        assert key == idempotency_key(*parts, 3 if pos else 0, after=before)


def test_round_operation_content_and_record_are_part_of_the_key(ground):
    base = {"version": "v1"}
    for more in ({}, {"round": 1}, {"op": "update"}, {"out_fp": b"z" * 16}):
        ground.stage(ground.item("u1", **{**base, **more}))
    ground.stage(ground.item("u2", **base))
    assert len(set(keys(ground))) == 5


def emptied(ground, *, epoch=None):
    """As after a restore: rows that are numbered again from the start."""
    with ground.ledger.write() as tx:
        tx.run("DELETE FROM intent")
        tx.run("DELETE FROM parcel")
        if epoch is not None:
            tx.run("UPDATE meta SET value=? WHERE name='epoch'", epoch)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"op": "update", "version": "7"},
        {"op": "delete", "version": "7"},
        {"op": "create", "version": "7", "round": 1},
    ],
)
def test_a_restored_ledger_never_uses_a_key_again_12(ground, more):
    """Also one that is open already, and also where the source's version is in it."""
    ground.stage(ground.item("u1", **more))
    first = keys(ground)
    emptied(ground, epoch="1")
    ground.stage(ground.item("u1", **more))
    assert len(first) == 1
    assert first != keys(ground)


def test_a_first_create_has_the_same_key_from_any_ledger_14(ground):
    """A record that the restored ledger does not know may be there already."""
    more = {"op": "create", "version": "7"}
    ground.stage(ground.item("u1", **more))
    first = keys(ground)
    emptied(ground, epoch="1")
    ground.stage(ground.item("u1", **more))
    assert first == keys(ground)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\udfffb"])
def test_text_that_a_database_cannot_hold_is_kept_nowhere(text):
    assert kept_hash(text) is None
    assert not keepable(text)
    assert not storable(text)
    assert storable(made_storable(text))
    assert "\ufffd" in made_storable(text)


def test_all_other_text_is_kept_as_it_is():
    for text in ("", "Zo\u00eb", "\U0001f600", "\x01\x7f"):
        assert storable(text)
        assert made_storable(text) == text
