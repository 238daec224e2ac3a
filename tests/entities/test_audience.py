from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.entities import AUDIENCES, narrower, wider
from moatbridge.entities.audience import audience_fault

ADA = {"stream": "hr/people", "id": "1"}
BOB = {"stream": "hr/people", "id": "2"}

named = st.builds(
    lambda kind, ids: {
        "kind": kind,
        "refs": [{"stream": "hr/x", "id": each} for each in ids],
    },
    st.sampled_from(["people", "groups"]),
    st.lists(st.sampled_from("abc"), min_size=1, unique=True),
)
audiences = named | st.sampled_from([{"kind": "org"}, {"kind": "public", "refs": []}])


def test_kinds_go_from_narrow_to_wide():
    assert AUDIENCES == ("people", "groups", "org", "public")
    for narrow, wide in pairwise(AUDIENCES):
        assert wider(wide, narrow)
        assert not wider(narrow, wide)


def test_of_one_kind_whoever_names_somebody_else_is_wider():
    ada, both = (
        {"kind": "people", "refs": [ADA]},
        {"kind": "people", "refs": [BOB, ADA]},
    )
    assert wider(both, ada)
    assert not wider(ada, both)
    assert not wider(ada, "people")
    assert wider("people", ada)


def test_a_name_beside_an_id_makes_nobody_else_of_it():
    one = {"kind": "people", "refs": [{**ADA, "name": "ada"}]}
    assert not wider(one, {"kind": "people", "refs": [ADA]})


@pytest.mark.parametrize(
    "broken",
    [{}, {"kind": "all"}, {"kind": "people"}, {"kind": "groups", "refs": []},
     {"kind": "org", "refs": [ADA]}, {"kind": "people", "refs": "x"}],
)  # fmt: skip
def test_what_is_no_audience_is_never_narrow_enough(broken):
    assert audience_fault(broken) is not None
    assert wider(broken, "public")
    assert wider({"kind": "people", "refs": [ADA]}, broken)
    assert narrower(broken, {"kind": "org"}) is None


@given(audiences, audiences)
def test_the_narrower_of_two_is_wider_than_neither(one, other):
    both = narrower(one, other)
    if both is None:
        assert one["kind"] == other["kind"]
    else:
        assert audience_fault(both) is None
        assert AUDIENCES.index(both["kind"]) <= min(
            AUDIENCES.index(one["kind"]), AUDIENCES.index(other["kind"])
        )
        assert not (wider(both, one) and wider(both, other))


@given(audiences, audiences, audiences)
def test_wider_is_an_order(a, b, c):
    assert not wider(a, a)
    if not wider(a, b) and not wider(b, c):
        assert not wider(a, c)
