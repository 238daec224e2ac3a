"""Absent, null, value x complete, partial, incomplete, for every kind of source."""

from __future__ import annotations

import pytest

from moatbridge.adapter import Field, Stream
from moatbridge.entities import Converter, Person
from moatbridge.translate import Translator, const, each, first, only_out, ref, via
from moatbridge.translate.leaves import ABSENT
from moatbridge.translate.runtime import reach
from moatbridge.translate.steps import entity_spot

STREAM = Stream(
    "people",
    (
        Field("a"),
        Field("b"),
        Field("many", multi=True),
        Field("who", "reference", to="people"),
        Field("o", "object", fields=(Field("in"),)),
        Field("list", "object", multi=True, fields=(Field("type"), Field("value"))),
    ),
)
SHOUT = Converter("shout", str.upper, str.lower)
A = ABSENT
WHO = {"stream": "hr/people", "id": "7"}

# path, source, field, a value, its entity value; null, when the field is null
KINDS = [
    ("title", "a", "a", "x", "x", None),
    ("title", via("a", SHOUT), "a", "x", "X", None),
    ("title", via("many"), "many", ["x", "y"], "x", None),
    ("title", first("a", back="a"), "a", "x", "x", None),
    ("title", only_out("{a}!"), "a", "x", "x!", None),
    ("title", only_out("{a?}!"), "a", "x", "x!", "!"),
    ("title", only_out(lambda r: r["a"], reads=("a",)), "a", "x", "x", None),
    ("title", "o.in", "o", {"in": "x"}, "x", None),
    ("title", "list[type=work].value", "list", [{"type": "work", "value": "x"}], "x", None),
    ("emails[type=work].value", "a", "a", "x", "x", None),
    ("enterprise.manager", ref("who"), "who", "7", WHO, None),
    ("emails", {"each": "many"}, "many", ["x"], [{"value": "x"}], []),
    ("emails", each("list", {"value": "value"}), "list", [{"value": "x"}], [{"value": "x"}], []),
]  # fmt: skip
IDS = [f"{path}-{index}" for index, (path, *_) in enumerate(KINDS)]


def bound(path, source):
    return Translator(Person, {path: source}).bind(STREAM, "hr/people")


def at(entity, path):
    return reach(
        entity, entity_spot(path, Translator(Person, {path: "a"}).entity.shape).steps, A
    )


@pytest.mark.parametrize(
    ("path", "source", "field", "raw", "value", "null"), KINDS, ids=IDS
)
def test_grid_of_decoding(path, source, field, raw, value, null):
    translator = bound(path, source)
    for record, complete, partial in (
        ({}, null, A),
        ({field: None}, null, null),
        ({field: raw}, value, value),
    ):
        assert at(translator.decode(record), path) == complete
        assert at(translator.decode_partial(record), path) == partial
        assert at(translator.decode(record, (field,)), path) is A
        assert at(translator.decode_partial(record, (field,)), path) is A


@pytest.mark.parametrize(
    ("path", "source", "field", "raw", "value", "null"), KINDS, ids=IDS
)
def test_grid_of_encoding(path, source, field, raw, value, null):
    translator = bound(path, source)
    if not translator.owned:
        assert translator.encode(translator.decode({field: raw}), {}) == {}
        return
    set_, cleared = translator.decode({field: raw}), translator.decode({field: None})
    assert field in translator.encode(set_, {})
    assert field in translator.encode_new(set_)
    assert translator.encode({}, {}) == {}
    assert translator.encode_new({}) == {}
    assert translator.encode_new(cleared) == {}
    update = translator.encode(cleared, {field: raw})
    assert translator.decode(update) == translator.decode({field: None})
    assert field in update


def test_constants_are_always_there():
    translator = bound("userType", const("Employee"))
    for decode in (translator.decode, translator.decode_partial):
        assert decode({}) == {"userType": "Employee"}
    assert translator.encode({"userType": "Other"}) == {}


def test_a_cleared_slot_names_itself():
    assert bound("emails[type=work].value", "a").decode({}) == {
        "emails": [{"type": "work", "value": None}]
    }


def test_slots_share_their_entry_and_their_list():
    translator = Translator(
        Person,
        {
            "addresses[type=work].locality": "a",
            "addresses[type=work].country": "b",
            "addresses[type=home].locality": "o.in",
            "addresses[type=work].primary": {"const": True},
        },
    ).bind(STREAM, "hr/people")
    assert translator.decode({"a": "X", "b": None, "o": {"in": "Y"}}) == {
        "addresses": [
            {"type": "work", "locality": "X", "country": None, "primary": True},
            {"type": "home", "locality": "Y"},
        ]
    }


def test_in_a_partial_record_a_list_is_complete_and_an_object_is_not():
    slot = bound("title", "list[type=work].value")
    assert slot.decode_partial({"list": []}) == {"title": None}
    member = bound("title", "o.in")
    assert member.decode_partial({"o": {}}) == {}
    assert member.decode({"o": {}}) == {"title": None}


def test_a_cleared_parent_clears_its_members():
    translator = bound("name.givenName", "a")
    assert translator.encode({"name": None}) == {"a": None}
    assert translator.encode({"name": {}}) == {}


@pytest.mark.parametrize(
    ("on_error", "wanted"),
    [("null", {"title": None, "locale": "L"}), ("skip", {"locale": "L"})],
)
def test_a_failed_converter_obeys_on_error(on_error, wanted):
    fields = {"title": via("a", {"date": "%d.%m.%Y"}), "locale": "b"}
    translator = Translator(Person, fields, on_error=on_error).bind(STREAM, "hr/people")
    assert translator.decode({"a": "nonsense", "b": "L"}) == wanted
    assert translator.decode_partial({"a": "nonsense", "b": "L"}) == wanted
