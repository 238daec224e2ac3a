"""The compiled ways say what the general ones say, of any record and any resource."""

from __future__ import annotations

import dataclasses
import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moatbridge.adapter import Field
from moatbridge.changes import Ref
from moatbridge.entities.scim import ENTERPRISE, to_scim
from moatbridge.http import BaseUrl
from moatbridge_scim import ScimAdapter, filters, preparing, standard
from moatbridge_scim.bodies import BodyMaker
from moatbridge_scim.peer import resource_types
from moatbridge_scim.receipts import bulk_answers, ident_of
from moatbridge_scim.requests import Request, bulk_body
from moatbridge_scim.resources import RecordMaker, record_of
from moatbridge_scim.schema import trimmed
from moatbridge_scim.walk import identifier
from servers.scim_peers import creates, people, requests_of, write

TYPES = resource_types(standard.RESOURCE_TYPES, {}, BaseUrl.parse("https://x/v2"))
TEXT = st.sampled_from(
    ["", "x", "Ada", "é\u2028", "True", "2024-02-29T10:00:00Z", "2024-02-30T10:00:00Z"]
)
ODD = st.none() | st.booleans() | st.integers(-1, 3) | TEXT
PART_NAMES = st.sampled_from(
    [
        "value", "type", "primary", "display", "Value", "$ref", "formatted", "givenName",
        "familyname", "department", "manager", "locality", "more",
    ]
)  # fmt: skip
PARTS = st.dictionaries(PART_NAMES, TEXT, max_size=3) | st.dictionaries(
    PART_NAMES, ODD | st.dictionaries(PART_NAMES, ODD, max_size=2), max_size=4
)
NESTED = PARTS | st.lists(PARTS | ODD, max_size=3)
NAMES = [
    "userName", "externalId", "displayName", "title", "active", "name", "emails",
    "phoneNumbers", "addresses", "photos", "roles", "members", "description",
    "username", "Emails", "groups", "unknown", "id", "created",
]  # fmt: skip
RECORDS = st.dictionaries(
    st.sampled_from([*NAMES, "enterprise", "extensions"]), ODD | NESTED, max_size=6
)
MOMENT = st.sampled_from(
    [
        "2024-02-29T10:00:00Z", "2024-02-30T10:00:00Z", "2024-02-29T10:00:00.500Z",
        "2024-02-29T10:00:00.000Z", "2024-02-29T10:00:00+02:00", "2024-W09-4T10:00:00Z",
        "20240229T100000.000Z", "2024-02-29 10:00:00Z", "2024-02-29T10:00:00",
        "0001-01-01T00:00:00+05:00", "2024-02-29T24:00:00Z", "2024-02-29T10:00:00z", "", "now",
    ]
)  # fmt: skip
META = st.dictionaries(
    st.sampled_from(["created", "lastModified", "lastmodified", "version", "location"]),
    MOMENT | ODD,
    max_size=4,
)
RESOURCES = st.builds(
    lambda ident, some, more, meta: {**ident, **some, **more, **meta},
    st.dictionaries(st.just("id"), TEXT, max_size=1),
    st.dictionaries(st.sampled_from(NAMES), ODD | NESTED, max_size=6),
    st.dictionaries(
        st.sampled_from([ENTERPRISE, ENTERPRISE.lower(), "urn:x:y", "schemas"]),
        NESTED | ODD,
        max_size=2,
    ),
    st.dictionaries(st.sampled_from(["meta", "Meta"]), META | ODD, max_size=1),
)


def narrowed(fields, keep):
    """Fields of a peer that has fewer, lists no parts of some, and reads others only."""
    found = []
    for number, field in enumerate(fields):
        choice = keep[number % len(keep)]
        if choice == "gone":
            continue
        inner = {"bare": (), "some": field.fields[:2]}.get(choice, field.fields)
        writable = choice != "read"
        if choice == "parts" and inner:
            inner = (dataclasses.replace(inner[0], writable=False), *inner[1:])
        found.append(dataclasses.replace(field, fields=inner, writable=writable))
    return tuple(found)


KEEP = st.lists(
    st.sampled_from(["all", "all", "gone", "bare", "some", "read", "parts"]),
    min_size=1,
    max_size=5,
)
KINDS = st.sampled_from(["User", "Group"])


def said(make):
    """A result, or why there is none."""
    try:
        return make()
    except (ValueError, TypeError, AttributeError) as error:
        return type(error), str(error)


@settings(deadline=None, max_examples=500)
@given(KINDS, KEEP, RECORDS)
def test_a_create_holds_what_the_general_way_says(name, keep, record):
    kind = TYPES[name]
    fields = narrowed(kind.fields("people"), keep)
    before = json.dumps(record)
    made = said(lambda: BodyMaker(fields, kind.kind)(record))
    assert made == said(lambda: to_scim(trimmed(record, fields), kind.kind))
    assert json.dumps(record) == before, "the intent's record is not changed"


@settings(deadline=None, max_examples=700)
@given(KINDS, KEEP, RESOURCES)
def test_a_resource_reads_as_the_general_way_says(name, keep, resource):
    kind = TYPES[name]
    fields = narrowed(kind.fields("people"), keep)
    maker, before = RecordMaker(fields, kind.kind), json.dumps(resource)
    expected = said(lambda: record_of(resource, kind.kind, fields))
    found = said(lambda: maker(resource))
    if isinstance(expected, tuple) and expected[:1] == (AttributeError,):
        return  # a peer that gives a plain text parts of its own
    assert found == expected
    assert json.dumps(resource) == before, "a PUT sends the rest of it back"
    if not isinstance(expected[0], type):
        assert list(found.data) == list(expected.data)
        change = maker.change("7", resource)
        assert (change.data, change.version) == (expected.data, expected.version)


PLAIN_PART = st.dictionaries(
    st.sampled_from(
        ["value", "type", "display", "formatted", "givenName", "department"]
    ),
    TEXT,
    max_size=3,
)
PLAIN = st.fixed_dictionaries(
    {"id": st.just("7")},
    optional={
        "userName": TEXT,
        "displayName": TEXT,
        "active": st.booleans(),
        "name": PLAIN_PART,
        "emails": st.lists(PLAIN_PART, max_size=2),
        "addresses": st.lists(PLAIN_PART, max_size=2),
        "roles": st.none(),
        "unknown": ODD,
        ENTERPRISE: PLAIN_PART
        | st.builds(lambda m: {"manager": m}, ODD | st.dictionaries(PART_NAMES, ODD)),
        "meta": META,
    },
)


@settings(deadline=None, max_examples=700)
@given(KINDS, KEEP, st.lists(PLAIN | RESOURCES | ODD, max_size=3))
def test_plain_resources_read_at_once_as_they_read_one_by_one(name, keep, resources):
    kind = TYPES[name]
    fields = narrowed(kind.fields("people"), keep)
    maker, before = RecordMaker(fields, kind.kind), json.dumps(resources)
    idents = [identifier(resource) for resource in resources]
    found = maker.changes(idents, resources)
    assert json.dumps(resources) == before
    if found is None:
        return  # each by itself, which is held against the general way above
    for change, ident, resource in zip(found, idents, resources, strict=True):
        record = record_of(resource, kind.kind, fields)
        assert change.ref == record.ref == Ref(ident, record.ref.name)
        assert (change.data, change.version) == (record.data, record.version)
        assert list(change.data) == list(record.data)
        assert json.dumps(change.data, sort_keys=True) == json.dumps(
            record.data, sort_keys=True
        ), "true is no 1"


@settings(deadline=None)
@given(MOMENT | st.datetimes().map(lambda m: m.isoformat() + "Z") | ODD)
def test_moments_read_at_once_as_they_read_one_by_one(moment):
    kind = TYPES["User"]
    maker = RecordMaker(kind.fields("people"), kind.kind)
    resource = {"id": "7", "meta": {"created": moment, "lastModified": moment}}
    (change,) = maker.changes(["7"], [resource])
    assert change.data == record_of(resource, kind.kind, maker._fields).data


SAID = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 1.0, 1.5, "", "1", "True"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "value"]), inner, max_size=2)
    ),
    max_leaves=5,
)


def meant(value):
    """A value of JSON as one that is alike only if it means the same."""
    if isinstance(value, dict):
        return "object", [(name, meant(value[name])) for name in sorted(value)]
    if isinstance(value, list):
        return "list", [meant(each) for each in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return ("number", float(value)) if is_number else (type(value).__name__, value)


def turned(value, *, order):
    """The same in other words: another order of members, and of a list's entries."""
    if isinstance(value, dict):
        return {name: turned(value[name], order=False) for name in reversed(value)}
    if isinstance(value, list):
        found = [turned(each, order=False) for each in value]
        return found[::-1] if order else found
    return value


@settings(deadline=None, max_examples=300)
@given(SAID, SAID)
def test_values_are_compared_at_once_as_by_what_they_mean(one, other):
    alike = meant(one) == meant(other)
    if isinstance(one, list) and isinstance(other, list):
        alike = sorted(map(str, map(meant, one))) == sorted(map(str, map(meant, other)))
    empty = (None, [], {}, "")
    assert preparing._same(one, other) == (alike or (one in empty and other in empty))
    assert preparing._same(one, turned(one, order=True))


@pytest.mark.parametrize(
    "wrap", [lambda v: v, lambda v: [v], lambda v: [{"primary": v}], lambda v: {"x": v}]
)
def test_a_boolean_is_no_number_wherever_it_stands(wrap):
    for number, boolean in ((1, True), (0, False)):
        assert not preparing._same(wrap(number), wrap(boolean))
        assert not preparing._same(wrap(boolean), wrap(number))
        assert preparing._same(wrap(number), wrap(float(number)))


def test_two_records_never_share_a_list():
    kind = TYPES["User"]
    maker = RecordMaker(kind.fields("people"), kind.kind)
    first, second = maker.changes(["1", "2"], [{"id": "1"}, {"id": "2"}])
    first.data["emails"].append({"value": "x"})
    assert second.data["emails"] == []
    one, other = maker({"id": "1"}).data, maker({"id": "2"}).data
    one["emails"].append({"value": "x"})
    assert other["emails"] == []


def test_plain_people_never_need_the_general_way(monkeypatch):
    import moatbridge_scim.bodies
    import moatbridge_scim.resources

    def refuse(*_anything):
        raise AssertionError

    monkeypatch.setattr(moatbridge_scim.bodies, "to_scim", refuse)
    monkeypatch.setattr(moatbridge_scim.resources, "from_scim", refuse)
    kind = TYPES["User"]
    fields = kind.fields("people")
    record = {
        "userName": "ada",
        "active": True,
        "title": None,
        "name": {"givenName": "Ada", "familyName": None},
        "emails": [{"type": "work", "value": "a@x"}, {"type": "home", "value": None}],
        "enterprise": {"department": "D", "manager": "7"},
    }
    body = BodyMaker(fields, kind.kind)(record)
    meta = {"created": "2024-01-01T00:00:00Z", "version": 'W/"1"'}
    maker = RecordMaker(fields, kind.kind)
    (change,) = maker.changes(["1"], [{**body, "id": "1", "meta": meta, "groups": []}])
    assert change.data["enterprise"] == record["enterprise"]
    read = maker({**body, "id": "1", "meta": meta})
    assert read.data["enterprise"] == record["enterprise"]
    assert read.data["emails"] == [{"type": "work", "value": "a@x"}]
    assert (read.ref.id, read.ref.name, read.version) == ("1", "ada", 'W/"1"')


def test_a_bulk_body_is_what_its_parts_say():
    parts = [
        Request("POST", "", b'{"a":1}'),
        Request("DELETE", 'x"y', None, 'W/"1"'),
        Request("PATCH", "ü", b"{}", None),
    ]
    made = json.loads(bulk_body(parts, "/Users"))
    assert made["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]
    assert made["Operations"] == [
        {"method": "POST", "path": "/Users", "bulkId": "0", "data": {"a": 1}},
        {"method": "DELETE", "path": '/Users/x"y', "bulkId": "1", "version": 'W/"1"'},
        {"method": "PATCH", "path": "/Users/ü", "bulkId": "2", "data": {}},
    ]


@pytest.mark.parametrize("odd", ["²", "1" * 5000, "٣", "-1", "", "http://[x/7", "a\nb"])
def test_no_bulk_answer_makes_reading_it_fail_untyped(odd):
    for name in ("status", "bulkId", "location"):
        good = {"status": "201", "bulkId": "0", "location": "http://x/Users/7"}
        found = bulk_answers({"Operations": [good | {name: odd}]}, 1, [""])
        assert len(found) == 1
        assert found[0] is None or name == "location"


@pytest.mark.parametrize(
    ("location", "ident"),
    [
        ("/Users/7", "7"),
        ("https://x:8/v2/Users/a-b_c", "a-b_c"),
        ("https://x/v2/Users/a%20b/", "a b"),
        ("Users/7?x=/9#/8", "7"),
        ("https://x", ""),
        ("//x", ""),
        ("", ""),
        ("http://[x/7", ""),
        ("/Users/" + "x" * 2000, ""),
    ],
)
def test_the_id_is_the_last_name_of_a_location(location, ident):
    assert ident_of(location) == ident


@pytest.mark.parametrize("transport", ["direct", "httpx2"])
def test_ten_bulks_are_ten_requests_either_way(server, connect, transport):
    adapter = connect(server, transport=transport)
    assert isinstance(adapter, ScimAdapter)
    intents = creates(people(200))
    done, requests = requests_of(
        adapter,
        lambda: [
            receipt
            for at in range(0, 200, 20)
            for receipt in write(adapter, *intents[at : at + 20])
        ],
    )
    assert {receipt.outcome for receipt in done} == {"applied"}
    assert requests == 10
    read = [c for b in adapter.scan("people", None, None) for c in b.changes]
    assert sorted(c.data["externalId"] for c in read) == sorted(
        i.record["externalId"] for i in intents
    )


WRITTEN = st.text(max_size=6) | st.from_regex(r"[A-Za-z0-9._~-]*", fullmatch=True)


@settings(deadline=None)
@given(st.sampled_from(["id", "userName"]), st.lists(WRITTEN, max_size=200))
def test_filters_hold_json_strings_and_are_cut_by_their_length_in_a_url(field, values):
    chunks = list(filters.chunked(field, values))
    assert [value for chunk in chunks for value in chunk] == values
    for chunk in chunks:
        terms = [f"{field} eq {json.dumps(v, ensure_ascii=False)}" for v in chunk]
        assert filters.any_of(field, chunk) == " or ".join(terms)
        long = len(quote(" or ".join(terms) + " or ", errors="replace"))
        assert len(chunk) == 1 or long <= filters.MAX_LENGTH
        assert len(chunk) <= filters.MAX_TERMS


def test_fields_with_parts_of_parts_go_the_general_way():
    deep = Field("name", fields=(Field("givenName", fields=(Field("more"),)),))
    record = {"name": {"givenName": "Ada"}}
    expected = said(lambda: to_scim(trimmed(record, (deep,)), "Person"))
    assert said(lambda: BodyMaker((deep,), "Person")(record)) == expected
