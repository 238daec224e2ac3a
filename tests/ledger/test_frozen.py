"""Frozen bytes come back as they were, whatever a record holds (DESIGN 10.1)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moatbridge.ledger import frozen

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.dates() | st.times() | st.uuids() | st.decimals(allow_nan=False)
    | st.datetimes(timezones=st.none() | st.timezones())
)  # fmt: skip
NAMES = st.text() | st.sampled_from(["$moatbridge", "v", "object", "decimal"])
PLAIN = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4)
    ),
    max_leaves=12,
)


def same(a, b):
    if isinstance(a, dict):
        return (
            isinstance(b, dict)
            and list(a) == list(b)
            and all(same(a[k], b[k]) for k in a)
        )
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, datetime):
        return type(b) is datetime and a.isoformat() == b.isoformat()
    return type(a) is type(b) and a == b


@given(PLAIN)
@example({"$moatbridge": "decimal", "v": "1"})
@example({"$moatbridge": "no such kind"})
@example([{"$moatbridge": {"$moatbridge": Decimal(1)}}])
@example({"text": '"$moatbridge":'})
def test_frozen_and_thawed_is_the_same(value):
    assert same(value, frozen.loads(frozen.dumps(value)))


@given(PLAIN)
def test_frozen_bytes_do_not_change_when_frozen_again(value):
    text = frozen.dumps(value)
    assert frozen.dumps(frozen.loads(text)) == text


@pytest.mark.parametrize("value", [{1, 2}, object(), 1j, frozenset(), lambda: None])
def test_what_is_not_plain_is_refused_without_its_value(value):
    with pytest.raises(TypeError, match="cannot be kept in the ledger"):
        frozen.dumps({"field": value})


def test_the_tagged_kinds_are_exactly_these():
    kinds = [
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        date(2026, 1, 2),
        time(3, 4),
        Decimal("1.50"),
        b"\x00\xff",
        UUID(int=5),
    ]
    assert [type(v) for v in frozen.loads(frozen.dumps(kinds))] == [
        type(v) for v in kinds
    ]
