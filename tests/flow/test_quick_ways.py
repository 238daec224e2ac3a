"""What a flow decides at a glance is what it would decide by looking closely."""

from __future__ import annotations

from types import SimpleNamespace
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from flow.test_compiled_paths import ENTITIES
from moatbridge.changes import Change, Ref
from moatbridge.flow import judging, letting_go, limits, observe
from moatbridge.flow.letting_go import Noticing
from moatbridge.flow.observation import Observation
from moatbridge.flow.recognising import Recognised
from moatbridge.guard import Noticed, PlanSummary
from moatbridge.guard.context import Operation
from moatbridge.ledger import texts

FINGERPRINT = st.sampled_from([b"one", b"two"])
MARK = st.none() | st.tuples(st.none() | FINGERPRINT, st.none() | FINGERPRINT)


@settings(deadline=None)
@given(st.lists(st.tuples(FINGERPRINT, MARK), max_size=6), st.randoms())
def test_a_batch_of_links_not_seen_before_is_compared_at_once_as_one_by_one(
    batch, shuffler
):
    """Rows come in any order; of some records nothing is known, or no fingerprint."""
    keys = [f"k{number}" for number in range(len(batch))]
    ks = [key.encode() for key in keys]
    changes = [Change(Ref(key), data={}) for key in keys]
    known = Recognised(changes, keys, ks, [fp for fp, _mark in batch])
    rows = [
        (k, *mark, number)
        for number, (k, (_fp, mark)) in enumerate(zip(ks, batch, strict=True))
        if mark is not None
    ]
    shuffler.shuffle(rows)
    quick, close = Observation(), Observation()
    differing = observe._differing(known, rows, quick)
    assert differing == observe._looked_at(
        known, rows, close, set(), lambda _link_id: False, force=False
    )
    quick.links.sort()
    close.links.sort()
    assert quick == close


WORDS = st.sampled_from(["a", "b", '"external"', "notice", "\\", "\u2028é"])
MODES = st.sampled_from(["observe", "warn", "enforce"])
NOTICED = st.builds(
    lambda mode, n: Noticed("email", mode, "mask", (("note", n),)),
    MODES,
    st.integers(1, 9),
)
MEMBERS = st.one_of(
    st.tuples(st.just("entity"), st.none() | st.dictionaries(WORDS, WORDS, max_size=2)),
    st.builds(
        lambda some: ("entity", {"attachment": some}), st.lists(WORDS, max_size=2)
    ),
    st.tuples(st.sampled_from(["privileged", "external", "renew"]), st.booleans()),
    st.tuples(st.just("why"), WORDS),
    st.tuples(st.just(letting_go.NOTICED), st.lists(NOTICED, max_size=2)),
)
PAYLOADS = st.lists(MEMBERS, max_size=3).map(dict)


def summary():
    return PlanSummary("people", "mail", links=1, seen=1, prev_seen=1, complete=True)


@settings(deadline=None)
@given(PAYLOADS)
def test_a_create_that_tells_nothing_at_a_glance_counts_as_a_create_alone(payload):
    text = texts.dumps(payload)
    held = texts.loads(text)
    found, noticing, plain = summary(), Noticing(), summary()
    judging._add(None, found, "create", 7, held)
    noticing.add(held)
    plain.add("create", link_id=7)
    if not judging._tells(text):
        assert found == plain
        assert noticing.findings() == []


def test_most_creates_tell_nothing():
    assert not judging._tells(texts.dumps({"entity": {"userName": "ada"}}))


@given(
    st.sampled_from(["Person", "Group", "Post"]),
    st.sampled_from(get_args(Operation)),
    ENTITIES,
)
def test_what_says_only_its_entity_counts_in_the_windows_as_what_says_more(
    entity_type, op, entity
):
    route = SimpleNamespace(entity=entity_type, target=SimpleNamespace(system="mail"))
    more = {"entity": entity, "renew": False}
    found = limits.counted_as(route, op, {"entity": entity})
    assert found == limits.counted_as(route, op, more)
    if op == "create":
        day = [("posts", "mail")] if entity_type == "Post" else []
        assert found == [*day, ("creates", "")]
