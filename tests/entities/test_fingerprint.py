from __future__ import annotations

import hashlib
import json
import random
from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from moatbridge.entities import canonical_json, fingerprint

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_canonical_json_round_trips_and_ignores_insertion_order(value):
    assert json.loads(canonical_json(value)) == value
    if isinstance(value, dict):
        assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8")).filter(lambda k: k != "label"), JSON
    )
)
def test_a_fingerprint_without_lists_is_the_hash_of_canonical_json(value):
    wanted = hashlib.sha256(canonical_json(value).encode()).digest()
    if not {"emails", "members"} & value.keys():
        assert fingerprint(value, "Group") == wanted


def test_the_order_of_unordered_lists_means_nothing():
    entries = [
        {"type": "work", "value": "b"},
        {"type": "home", "value": "a"},
        {"value": None, "type": "work"},
        {"value": "c"},
    ]
    person = {"userName": "ada", "emails": entries}
    wanted = fingerprint(person)
    source = random.Random(1)
    for _ in range(20):
        shuffled = deepcopy(person)
        source.shuffle(shuffled["emails"])
        before = deepcopy(shuffled)
        assert fingerprint(shuffled) == wanted
        assert shuffled == before


def test_members_as_a_delta_are_sorted_too():
    one, two = ({"value": {"stream": "s", "id": i}} for i in "12")
    left = {"displayName": "G", "members": {"add": [one, two]}}
    right = {"displayName": "G", "members": {"add": [two, one]}}
    assert fingerprint(left, "Group") == fingerprint(right, "Group")


def test_absent_null_and_empty_differ():
    prints = {
        fingerprint({"userName": "a"}),
        fingerprint({"userName": "a", "title": None}),
        fingerprint({"userName": "a", "title": ""}),
        fingerprint({"userName": "a", "emails": []}),
    }
    assert len(prints) == 4


def test_extensions_count_and_the_label_does_not():
    base = {"userName": "a"}
    assert fingerprint(base) != fingerprint({**base, "extensions": {"a.b": {"c": "1"}}})
    assert fingerprint(base) == fingerprint({**base, "label": "restricted"})


def test_a_fingerprint_is_stable_over_versions():
    person = {"userName": "adä", "emails": [{"type": "work", "value": "a@x.org"}]}
    text = '{"emails":[{"type":"work","value":"a@x.org"}],"userName":"adä"}'
    assert fingerprint(person) == hashlib.sha256(text.encode()).digest()
