"""The paging state machines: every lie of a list is found, every change survived or told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied
from moatbridge_scim.walk import CursorWalk, IndexWalk


def serve(ids, query, cap=10**9):
    start, count = int(query["startIndex"]), min(int(query["count"]), cap)
    page = ids[start - 1 : start - 1 + count]
    return {"totalResults": len(ids), "Resources": [{"id": i} for i in page]}


def walked(ids, page, limit, cap=10**9):
    walk, seen, requests = IndexWalk(page, limit), [], 0
    while True:
        found = walk.accept(serve(ids, walk.query, cap))
        requests += 1
        seen += [r["id"] for r in found.resources]
        if found.complete:
            return seen, requests


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 12), st.integers(0, 20), st.integers(2, 30))
def test_an_honest_list_is_seen_once_whatever_the_page(total, page, limit, cap):
    ids = [f"i{n}" for n in range(total)]
    assert walked(ids, page, limit, cap)[0] == ids


def test_pages_cost_no_more_requests_than_there_are_pages():
    assert walked([str(n) for n in range(1000)], 20, 1000)[1] == 50
    assert walked([str(n) for n in range(1001)], 20, 1000)[1] == 51


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_records_there_throughout_are_found_or_the_pass_is_given_up(data):
    ids = [f"{n:03}" for n in range(data.draw(st.integers(1, 25)))]
    throughout, walk, seen = set(ids), IndexWalk(data.draw(st.integers(1, 5)), 50), []
    while True:
        try:
            page = walk.accept(serve(ids, walk.query))
        except CursorTooOld:
            return
        seen += [r["id"] for r in page.resources]
        if page.complete:
            break
        for _ in range(data.draw(st.integers(0, 2))):
            if ids and data.draw(st.booleans()):
                throughout.discard(ids.pop(data.draw(st.integers(0, len(ids) - 1))))
            else:
                ids.append(f"n{len(seen)}-{len(ids)}")
                ids.sort()
    assert throughout <= set(seen)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ({"totalResults": 6, "Resources": []}, "order changed"),
        (
            {"totalResults": 5, "Resources": [{"id": "1"}, {"id": "2"}]},
            "totalResults changed",
        ),
        ({"totalResults": 6, "Resources": [{"id": "0"}, {"id": "1"}]}, "order changed"),
        ({"totalResults": 6, "Resources": [{"id": "2"}]}, "empty page"),
        (
            {"totalResults": 6, "Resources": [{"id": str(n)} for n in range(2, 9)]},
            "more resources",
        ),
        (
            {"totalResults": 6, "Resources": [{"id": i} for i in "2034"]},
            "same id twice",
        ),
    ],
)
def test_a_list_that_lies_is_given_up(second, why):
    pages = [
        {"totalResults": 6, "Resources": [{"id": i} for i in "012"]},
        second,
        {"totalResults": 6, "Resources": [{"id": "5"}]},
    ]
    walk = IndexWalk(3, 100)
    with pytest.raises(CursorTooOld, match=why) as caught:
        [walk.accept(page) for page in pages]
    assert caught.value.code == "scim.incomplete-list"


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"totalResults": "6"},
        {"totalResults": -1},
        {"totalResults": 1, "Resources": {}},
    ],
)
def test_an_answer_that_is_no_list_is_a_typed_error(body):
    with pytest.raises(NotApplied) as caught:
        IndexWalk(3, 3).accept(body)
    assert caught.value.code == "scim.bad-list"


def test_a_list_without_end_is_refused():
    with pytest.raises(ConfigurationError) as caught:
        IndexWalk(3, 3).accept({"totalResults": 6_000_000, "Resources": [{"id": "1"}]})
    assert caught.value.code == "scim.too-large"


def cursor_pages(pages, total):
    walk, seen = CursorWalk(2, 0), []
    for number, ids in enumerate(pages):
        body = {"totalResults": total, "Resources": [{"id": i} for i in ids]}
        if number + 1 < len(pages):
            body["nextCursor"] = f"c{number}"
        page = walk.accept(body)
        seen += [r["id"] for r in page.resources]
    return seen, page.complete, walk


def test_cursor_paging_ends_where_no_cursor_follows():
    seen, complete, _ = cursor_pages(["ab", "cd", "e"], 5)
    assert (seen, complete) == (list("abcde"), True)
    assert CursorWalk(2, 0).query == {"cursor": "", "count": "2"}


@pytest.mark.parametrize(
    ("pages", "total"), [(["ab", "c"], 4), (["ab", "", "c"], 3), (["ab", "ab"], 4)]
)
def test_a_cursor_list_that_lies_is_given_up(pages, total):
    with pytest.raises(CursorTooOld) as caught:
        cursor_pages(pages, total)
    assert caught.value.code == "scim.incomplete-list"


def test_a_cursor_that_repeats_for_ever_is_given_up():
    walk = CursorWalk(1, 0)
    body = {"totalResults": 9, "nextCursor": "same"}
    walk.accept({**body, "Resources": [{"id": "1"}]})
    with pytest.raises(CursorTooOld, match="repeats"):
        walk.accept({**body, "Resources": [{"id": "2"}]})


@pytest.mark.parametrize("kind", [IndexWalk, CursorWalk])
@pytest.mark.parametrize(
    "after",
    [{}, [], {"how": "index"}, {"how": "cursor", "at": 1}, {"from": "elsewhere"}],
)
def test_a_foreign_position_means_rescan(kind, after):
    with pytest.raises(CursorTooOld):
        kind(5, 5, after)


def test_a_position_survives_json_and_goes_on():
    ids = [str(n) for n in range(7)]
    walk = IndexWalk(3, 3)
    first = walk.accept(serve(ids, walk.query))
    again = IndexWalk(3, 3, json.loads(json.dumps(first.cursor)))
    assert [r["id"] for r in again.accept(serve(ids, again.query)).resources] == [
        "3",
        "4",
    ]


def test_a_list_that_lies_from_its_first_page_is_asked_for_again():
    with pytest.raises(NotApplied, match="empty page"):
        IndexWalk(3, 3).accept({"totalResults": 6, "Resources": []})


def test_a_position_in_a_list_that_changed_since_is_worth_nothing():
    ids = [str(n) for n in range(7)]
    walk = IndexWalk(3, 3)
    first = walk.accept(serve(ids, walk.query))
    again = IndexWalk(3, 3, first.cursor)
    with pytest.raises(CursorTooOld, match="totalResults changed"):
        again.accept(serve([*ids, "7"], again.query))
