"""The quick way to recognise a batch says what the careful one says, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flow.stillness import StillWorld
from moatbridge.changes import Change, Ref
from moatbridge.flow.observation import Observation
from moatbridge.flow.recognising import Recogniser
from moatbridge.ledger.keys import MAX_KEY_BYTES

TEXTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["", "a", "[", '["a"]', "\0", "\ud800", "\udc00", "ä" * 300, "u1"]),
    st.text(st.characters(), min_size=MAX_KEY_BYTES - 2, max_size=MAX_KEY_BYTES + 2),
)
USUAL = st.sampled_from(["u1", "u2", "Ada", "Lovelace", "ß", ""])
VALUES = st.one_of(
    USUAL,
    TEXTS,
    st.none(),
    st.integers(),
    st.floats(),
    st.binary(max_size=3),
    st.lists(USUAL, max_size=2),
    st.just(object()),
)
FIELDS = ("uid", "given", "family", "mail")


def told(texts, values):
    """Id, name, data and version: no change, whose ``repr`` needs a key."""
    return st.tuples(
        st.one_of(texts, st.tuples(texts, texts)),
        st.none() | texts,
        st.none() | st.dictionaries(st.sampled_from(FIELDS), values, max_size=4),
        st.none() | texts,
    )


ODD, EVEN = told(TEXTS, VALUES), told(USUAL, USUAL)
BATCHES = st.lists(EVEN, max_size=5) | st.lists(EVEN | ODD, max_size=5)


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory):
    world = StillWorld(tmp_path_factory.mktemp("known"), count=0)
    yield Recogniser(world.bridge.route("people"), lambda _k: [])
    world.bridge.close()


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(BATCHES)
@example([])
@example([("\ud800", None, {}, None), ("\udc00", None, {}, None)])
@example([("a\ud800", None, {}, None), ("\udc00b", None, {}, "\0")])
@example([("ä" * 257, None, {"given": "A"}, None)])
@example([("a", None, None, None)])
@example([("a", None, {"given": "A"}, None), ("a", None, {"given": "B"}, None)])
def test_both_ways_tell_the_same_of_every_batch(recogniser, told):
    batch = [
        Change(Ref(key, name), data=data, version=version)
        for key, name, data, version in told
    ]
    quick, found = recogniser.quickly(batch), Observation()
    if quick is not None:
        every = [list(column) for column in recogniser.carefully(batch, found)]
        assert every == [list(column) for column in quick]
        assert (found.rejects, found.blind, found.links) == ([], 0, [])


def test_usual_batches_go_the_quick_way(recogniser):
    batch = [
        Change(
            Ref(f"u{n}" if n % 2 else ("u", str(n)), f"näme {n}"),
            data={"uid": f"u{n}", "given": "Ada", "mail": None},
            version=str(n),
        )
        for n in range(50)
    ]
    found = recogniser.quickly(batch)
    assert found is not None
    assert len(set(found.fps)) == len(set(found.ks)) == 50


def test_one_odd_record_costs_no_other(recogniser):
    good = [Change(Ref(f"u{n}"), data={"uid": f"u{n}"}) for n in range(3)]
    found = Observation()
    known = recogniser.take([*good, Change(Ref("\0"), data={}), good[0]], found)
    assert known.changes == good
    assert found.seen == 3
    assert [code for _k, _ref, _at, code, _field in found.rejects] == [
        "record.key",
        "duplicate-key",
    ]
