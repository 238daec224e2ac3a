"""Lists read by place: who is there all the time is read once, whatever else moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.adapter import by_place
from moatbridge.errors import ConfigurationError, NotApplied


class People:
    """A sorted list of keys that can be asked by place."""

    def __init__(self, keys, most=100):
        self.keys, self.most, self.asked = sorted(keys), most, []

    def page(self, start, count):
        self.asked.append((start, count))
        return self.keys[start : start + min(count, self.most)]


def read(people, after=None, **more):
    return by_place(people.page, str, after, **more)


NAMES = st.sets(st.text("abc", min_size=1, max_size=3), max_size=25)


@given(
    there=NAMES,
    moves=st.lists(st.tuples(NAMES, NAMES), max_size=8),
    after=st.none() | st.text("abc", max_size=3),
    size=st.integers(1, 5),
    most=st.integers(2, 6),
)
def test_who_stays_is_read_once_and_in_order_whoever_comes_and_goes(
    there, moves, after, size, most
):
    people = People(there, most)
    stayed, ever, seen = set(there), set(there), []
    rows = read(people, after, size=size)
    try:
        for row in rows:
            seen.append(row)
            if moves:  # between two records, so also between two pages
                gone, new = moves.pop()
                people.keys = sorted((set(people.keys) - gone) | new)
                stayed -= gone
                ever |= new
    except NotApplied as error:
        assert error.code == "adapter.moved"  # noqa: PT017 - then it is read again
        return
    assert seen == sorted(set(seen)), "in order, none twice"
    assert set(seen) <= ever
    assert {each for each in stayed if after is None or each > after} <= set(seen)


def test_a_still_list_costs_one_request_a_page_and_one_for_the_end():
    people = People([f"{n:04}" for n in range(500)])
    assert len(list(read(people, size=99))) == 500
    assert len(people.asked) == 6 + 2


def test_a_place_is_found_again_in_few_requests():
    keys = [f"{n:05}" for n in range(20_000)]
    people = People(keys)
    assert list(read(people, "15999", size=99)) == keys[16_000:]
    assert len(people.asked) < 41 + 2 + 40


def test_keys_can_be_sorted_as_numbers():
    people = People([])
    people.keys = [str(n) for n in range(95, 105)]
    assert list(read(people, "98", order=int)) == people.keys[4:]
    with pytest.raises(ConfigurationError) as caught:
        list(read(people, "98"))
    assert caught.value.code == "adapter.order"


def test_a_system_that_gives_one_row_at_a_time_is_never_taken_for_the_end():
    with pytest.raises(NotApplied) as caught:
        list(read(People("abc", most=1)))
    assert caught.value.code == "adapter.moved"
