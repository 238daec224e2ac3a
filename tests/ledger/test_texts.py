"""What the ledger writes and reads quickly is what the standard library would."""

from __future__ import annotations

import base64
import json
import math
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.ledger import frozen, texts
from moatbridge.ledger.keys import idempotency_key, prefixed

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_plain_data_comes_back_as_with_the_standard_library(value):
    text = texts.dumps(value)
    assert json.loads(text) == texts.loads(text) == value
    assert texts.loads(json.dumps(value)) == value


@given(PLAIN)
def test_what_was_frozen_without_tags_thaws_to_the_same(value):
    assert frozen.loads(frozen.dumps(value)) == value


def test_what_json_has_no_word_for_survives():
    for value in (math.inf, -math.inf, 10**40, 1e22, -0.0):
        assert texts.loads(texts.dumps(value)) == value
    assert math.isnan(texts.loads(texts.dumps(math.nan)))


def test_data_nested_deeper_than_the_quick_reader_goes_is_read():
    deep = "[" * 400 + "]" * 400
    assert texts.loads(deep) == json.loads(deep)


def test_a_lone_surrogate_stays_in_the_text_so_that_it_is_found():
    assert "\ud800" in texts.dumps({"name": "a\ud800"})


def test_what_is_no_json_is_said_to_be_none():
    with pytest.raises(json.JSONDecodeError):
        texts.loads('{"a":')


PARTS = st.lists(st.none() | st.integers() | st.binary() | TEXT, max_size=8)


@given(PARTS, PARTS)
def test_keys_are_base32_of_a_hash_over_parts_with_their_lengths(first, rest):
    state = blake2b(digest_size=16)
    for part in (*first, *rest):
        raw = part if isinstance(part, bytes) else str(part).encode()
        state.update(len(raw).to_bytes(4, "big") + raw)
    plain = base64.b32encode(state.digest()).decode().rstrip("=").lower()
    assert idempotency_key(*first, *rest) == plain
    assert idempotency_key(*rest, after=prefixed(*first)) == plain
