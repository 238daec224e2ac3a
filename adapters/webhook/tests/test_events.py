"""How a body becomes changes: as each stream declares it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from moatbridge.changes import Change, Ref
from moatbridge.errors import Rejected
from moatbridge_webhook import WebhookStreamConfig
from moatbridge_webhook.events import read_events

from .requests import SHARED, STREAM, receiver, request

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "data", "id", "profile", "name"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def stream(**more):
    return WebhookStreamConfig(**{**STREAM, **more})


def read(body, settings=None, **asked):
    return read_events(request(**asked), body, settings or stream())


def test_an_upsert_holds_every_field():
    found = read(
        {
            "type": "user.saved",
            "data": [{"id": 7, "profile": {"name": "Ada"}}, {"id": "8"}],
        }
    )
    assert found.changes == [
        Change(Ref("7"), data={"id": 7, "name": "Ada"}),
        Change(Ref("8"), data={"id": "8", "name": None}),
    ]


def test_a_delete_needs_its_key_only():
    found = read({"type": "user.gone", "data": {"id": "u1"}})
    assert found.changes == [Change(Ref("u1"), "delete")]


def test_partial_events_leave_out_what_they_do_not_say():
    found = read({"type": "user.saved", "data": {"id": "u1"}}, stream(partial=True))
    assert found.changes == [Change(Ref("u1"), data={"id": "u1"}, partial=True)]


@pytest.mark.parametrize("kind", ["user.other", None, 7])
def test_other_events_are_not_this_streams(kind):
    found = read({"type": kind, "data": {"id": "u1"}})
    assert (found.changes, found.rejects) == ([], [])


def test_one_bad_event_is_left_out_with_its_place():
    items = [
        {"id": "a"},
        {"id": None},
        7,
        {"id": True},
        {"id": ""},
        {"id": {}},
        {"id": "b"},
    ]
    found = read({"type": "user.saved", "data": items})
    assert [change.ref.id for change in found.changes] == ["a", "b"]
    assert [(r.reason, r.location) for r in found.rejects] == [
        ("webhook.key", "data[1]"),
        ("webhook.item", "data[2]"),
        ("webhook.key", "data[3]"),
        ("webhook.key", "data[4]"),
        ("webhook.key", "data[5]"),
    ]


def test_the_event_may_stand_in_a_header():
    settings = stream(event="header:X-GitHub-Event", upsert=("member",), items=None)
    assert read({"id": "u"}, settings, headers={"x-github-event": "member"}).changes
    assert not read({"id": "u"}, settings, headers={"x-github-event": "push"}).changes
    assert not read({"id": "u"}, settings).changes


def test_a_star_takes_every_other_event():
    settings = stream(upsert=("*",), items=None)
    assert read({"type": "anything", "id": "u"}, settings).changes[0].op == "upsert"
    assert read({"type": "user.gone", "id": "u"}, settings).changes[0].op == "delete"


def test_streams_are_told_apart_by_path():
    settings = stream(path="/people", event=None, items=None)
    assert read({"id": "u"}, settings, path="/people").changes
    assert read({"id": "u"}, settings, path="/people/7").changes
    for path in ("", "/", "/peopl", "/people2", "/groups"):
        assert not read({"id": "u"}, settings, path=path).changes


def test_compound_keys_and_versions():
    settings = stream(key=("id", "name"), version="v", event=None, items=None)
    found = read({"id": 1, "profile": {"name": "x"}, "v": 3}, settings)
    assert found.changes[0].ref == Ref(("1", "x"))
    assert found.changes[0].version == "3"


def test_the_ordering_key_is_where_the_stream_says():
    adapter = receiver(
        "bearer", SHARED, streams={"people": {**STREAM, "order": "tenant"}}
    )
    body = json.dumps(
        {"type": "user.saved", "tenant": "t1", "data": {"id": "u"}}
    ).encode()
    asked = request(body, {"authorization": f"Bearer {SHARED}"})
    assert adapter.receive(asked).ordering_key == "t1"


@pytest.mark.parametrize(
    "body", [b"[", b"\xff", b"NaN", b'{"a":1,"a":2}', b"[" * 100 + b"]" * 100]
)
def test_what_cannot_be_read_is_bad_data_and_shows_nothing(body):
    asked = request(body, {"authorization": f"Bearer {SHARED}"})
    with pytest.raises(Rejected) as caught:
        receiver("bearer", SHARED).receive(asked)
    assert (caught.value.code, caught.value.kind) == ("webhook.unreadable", "data")


def test_more_events_than_a_delivery_may_hold_are_refused_whole():
    body = json.dumps(
        {"type": "user.saved", "data": [{"id": n} for n in range(10_001)]}
    ).encode()
    with pytest.raises(Rejected):
        receiver("bearer", SHARED).receive(
            request(body, {"authorization": f"Bearer {SHARED}"})
        )


@given(JSON)
def test_no_body_breaks_the_reading(body):
    found = read(body)
    for change in found.changes:
        assert change.ref.key
        assert set(change.data or {}) <= {"id", "name"}


@pytest.mark.parametrize(
    "settings",
    [
        {"key": ("no",)},
        {"key": ()},
        {"path": "people"},
        {"fields": {"id": "a..b"}},
        {"type": "a b"},
    ],
)
def test_a_stream_that_cannot_work_is_refused(settings):
    with pytest.raises(ValidationError):
        stream(**settings)


def test_the_stream_says_what_it_can():
    adapter = receiver("bearer", SHARED)
    adapter.open()
    (found,) = adapter.streams()
    assert found.abilities == {"CanReceive"}
    assert found.sees_deletes
    assert [field.name for field in found.fields] == ["id", "name"]
    other = receiver("bearer", SHARED, streams={"people": {**STREAM, "items": "other"}})
    other.open()
    assert other.streams()[0].query != found.query
    adapter.close()
