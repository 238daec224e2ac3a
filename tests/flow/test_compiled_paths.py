"""Compiled carriers and cutters do what walking the paths record by record does."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.entities.paths import Slot, parse
from moatbridge.flow.carry import Carry
from moatbridge.flow.sameness import canonical, same
from moatbridge.ledger.keys import path_hash
from translate.test_differential import random_case, random_record

PATHS = (
    "userName",
    "name",
    "name.givenName",
    "name.familyName",
    "emails",
    "emails[type=work].value",
    "emails[type=home].value",
    "emails[type=home]",
    "enterprise.manager.value",
    "addresses.street",
)
WORDS = st.sampled_from(["", "a", "Müller", "x" * 300, '\u2028"\\\x1f'])
PLAIN = st.none() | st.booleans() | st.integers() | WORDS
ENTRY = st.dictionaries(
    st.sampled_from(["type", "value", "street", "primary"]),
    st.sampled_from(["work", "home"]) | PLAIN,
)
NAME = st.dictionaries(st.sampled_from(["givenName", "familyName", "other"]), PLAIN)
ENTITIES = st.fixed_dictionaries(
    {},
    optional={
        "userName": PLAIN,
        "name": PLAIN | NAME,
        "emails": PLAIN | st.lists(ENTRY | PLAIN, max_size=4),
        "addresses": PLAIN | ENTRY | st.lists(ENTRY | PLAIN, max_size=3),
        "enterprise": PLAIN | st.dictionaries(st.just("manager"), PLAIN | ENTRY),
        "stray": PLAIN,
    },
)
MISSING = object()


def walked(entity: Any, path: Any) -> Any:
    """One path of an entity, segment by segment."""
    for number, segment in enumerate(path):
        if not isinstance(entity, dict) or segment.name not in entity:
            return MISSING
        entity = entity[segment.name]
        if isinstance(segment.selector, Slot):
            name, value = segment.selector
            entries = entity if isinstance(entity, list) else []
            held = (e for e in entries if isinstance(e, dict) and e.get(name) == value)
            entity = next(held, MISSING)
        if isinstance(entity, list) and number + 1 < len(path):
            told = [walked(each, path[number + 1 :]) for each in entity]
            return [each for each in told if each is not MISSING]
    return entity


@given(ENTITIES, st.lists(st.sampled_from(PATHS), max_size=6, unique=True))
def test_values_and_base_are_those_of_walking_each_path(entity, paths):
    found = {text: walked(entity, parse(text)) for text in paths}
    carry = Carry(paths)
    told = {text: value for text, value in found.items() if value is not MISSING}
    assert carry.values(entity) == told
    hashes = [path_hash(None if v is MISSING else v) for v in found.values()]
    assert carry.base(entity) == path_hash(tuple(paths)) + b"".join(hashes)


@given(ENTITIES, st.lists(st.sampled_from(PATHS), max_size=6, unique=True))
def test_what_is_cut_says_the_same_of_every_path_and_nothing_else(entity, paths):
    carry = Carry(paths)
    cut = carry.cut(entity)
    assert cut == carry.cut(cut)
    assert cut.keys() <= {text.partition(".")[0].partition("[")[0] for text in paths}
    for text in paths:
        if "[" not in text and "." not in text:
            assert cut.get(text, MISSING) is entity.get(text, MISSING)


def test_each_kind_of_path_is_cut_out():
    entity = {
        "name": {"givenName": "Ada", "familyName": "L", "other": 1},
        "emails": [
            {"type": "work", "value": "a@x", "primary": True},
            {"type": "home", "value": "b@x", "display": "B"},
            "odd",
        ],
        "enterprise": {"manager": {"value": 7, "name": "M"}},
        "stray": 1,
        "userName": None,
    }
    carry = Carry(
        [
            "name.givenName",
            "emails[type=work].value",
            "emails[type=home]",
            "enterprise.manager.value",
            "userName",
        ]
    )
    assert carry.cut(entity) == {
        "name": {"givenName": "Ada"},
        "emails": [
            {"type": "work", "value": "a@x"},
            {"type": "home", "value": "b@x", "display": "B"},
        ],
        "enterprise": {"manager": {"value": 7}},
        "userName": None,
    }


@pytest.mark.parametrize("seed", range(4))
def test_what_is_read_of_carried_paths_alone_has_nothing_to_be_cut_off(seed):
    """What `Decider` rests on when it does not cut a create."""
    source = random.Random(seed)
    for _ in range(100):
        stream, translator = random_case(source)
        bound = translator.bind(stream, "hr/people")
        more = source.sample(["externalId", "nickName", "roles"], source.randrange(3))
        carry = Carry((*bound.paths, *more))
        for _ in range(3):
            entity = bound.decode(random_record(source, stream))
            assert carry.cut(entity) == entity


@given(ENTITIES, ENTITIES)
def test_entities_are_the_same_if_their_canonical_forms_are(one, other):
    assert same(one, other) == (canonical(one) == canonical(other))
    assert same(one, dict(one))
