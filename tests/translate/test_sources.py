from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from moatbridge.adapter import Field, Stream
from moatbridge.entities import Person, check
from moatbridge.errors import NotApplied
from moatbridge.translate import (
    ITEM,
    Translator,
    const,
    each,
    first,
    lookup,
    only_in,
    only_out,
    ref,
    via,
)
from translate.streams import (
    ENABLED,
    GROUPS,
    RECORD,
    bit,
    people,
)


def stream(*fields, **more):
    return Stream(
        "people", tuple(Field(f) if isinstance(f, str) else f for f in fields), **more
    )


def bound(fields, *declared, **more):
    return Translator(Person, fields, **more).bind(stream(*declared), "hr/people")


def test_pick_takes_the_smallest_and_replaces_only_that():
    translator = people()
    assert translator.decode(RECORD)["emails"][0]["value"] == "a@x.org"
    new = {"emails": [{"type": "work", "value": "n@x.org"}]}
    once = translator.encode(new, {"mail": ["Z@x.org", "A@x.org"]})
    assert once == {"mail": ["Z@x.org", "n@x.org"]}
    assert translator.encode(new, once) == once
    cleared = {"emails": [{"type": "work", "value": None}]}
    assert translator.encode(cleared, once) == {"mail": []}


def test_a_before_image_is_asked_for_only_where_it_is_needed():
    translator = people()
    with pytest.raises(NotApplied) as caught:
        translator.encode({"emails": [{"type": "work", "value": "a"}]})
    assert caught.value.code == "translate.before"
    assert translator.encode({"userName": "x"}) == {"uid": "x"}


def test_bits_are_set_and_cleared_and_the_others_kept():
    translator = bound({"active": via("uac", ENABLED)}, Field("uac", "int"))
    assert translator.needs_before
    assert translator.decode({"uac": 514}) == {"active": False}
    off = translator.encode({"active": False}, {"uac": 0x10200})
    assert off == {"uac": 0x10202}
    assert translator.encode({"active": False}, off) == off
    assert translator.encode({"active": True}, off) == {"uac": 0x10200}
    assert translator.encode_new({"active": False}) == {"uac": 514}


def test_two_bits_of_one_field_are_both_written():
    kind = 'extensions."a.b".'
    translator = bound(
        {kind + "x": via("bits", bit(1)), kind + "y": via("bits", bit(2))},
        Field("bits", "int"),
    )
    entity = {"extensions": {"a.b": {"x": True, "y": False}}}
    assert translator.encode(entity, {"bits": 6}) == {"bits": 5}
    assert translator.encode_new(entity) == {"bits": 1}
    entity["extensions"]["a.b"]["y"] = None  # null cannot clear one bit
    assert translator.encode(entity, {"bits": 6}) == {"bits": 7}


def test_typed_fields_have_one_text():
    translator = bound(
        {
            "userName": "id",
            "title": "amount",
            "created": "since",
            'extensions."a.b".born': {"from": "born", "via": "date"},
        },
        Field("id", "int"),
        Field("amount", "decimal"),
        Field("since", "datetime"),
        Field("born", "date"),
    )
    record = {
        "id": 7,
        "amount": Decimal("12.50"),
        "since": datetime(2026, 1, 2, 3, tzinfo=UTC),
        "born": date(1999, 1, 5),
    }
    entity = translator.decode(record)
    assert entity == {
        "userName": "7",
        "title": "12.50",
        "created": "2026-01-02T03:00:00Z",
        "extensions": {"a.b": {"born": "1999-01-05"}},
    }
    assert translator.encode_new(entity) == record


def test_first_takes_what_is_not_empty_and_writes_where_it_is_told():
    one_way = bound({"title": first("a", "b")}, "a", "b")
    assert one_way.decode({"a": "", "b": "B"}) == {"title": "B"}
    assert one_way.decode({"a": None, "b": None}) == {"title": None}
    assert one_way.decode_partial({"b": "B"}) == {}
    assert one_way.decode_partial({"a": "A"}) == {"title": "A"}
    assert one_way.encode_new({"title": "x"}) == {}
    assert bound({"title": first("a", "b", back="b")}, "a", "b").encode(
        {"title": "x"}
    ) == {"b": "x"}


def test_lookup_is_two_way_when_it_is_a_bijection():
    table = {"from": "status", "lookup": {"A": True, "I": False}}
    two_way = bound({"active": table}, "status")
    assert two_way.decode({"status": "I"}) == {"active": False}
    assert two_way.encode({"active": True}) == {"status": "A"}
    lossy = bound(
        {"active": via("status", lookup({"A": True, "B": True}, default=False))},
        "status",
    )
    assert lossy.decode({"status": "zzz"}) == {"active": False}
    assert lossy.owned == ()


def test_functions_get_exactly_what_they_declare():
    seen = []

    def full(record):
        seen.append(dict(record))
        return f"{record['a']} {record['b']}"

    translator = bound(
        {"displayName": only_out(full, reads=("a", "b")), "title": "c"}, "a", "b", "c"
    )
    assert translator.decode({"a": "1", "b": "2", "c": "3"})["displayName"] == "1 2"
    assert seen == [{"a": "1", "b": "2"}]
    assert translator.reads == ("a", "b", "c")
    assert translator.decode_partial({"a": "1", "c": None}) == {"title": None}


def test_a_function_without_reads_sees_what_is_named_elsewhere():
    translator = bound(
        {
            "displayName": only_out(lambda r: "/".join(sorted(r))),
            "title": "c",
            "locale": "a",
        },
        "a",
        "b",
        "c",
    )
    assert translator.decode({"a": "1", "b": "2", "c": "3"})["displayName"] == "a/c"


def test_only_in_writes_computed_fields():
    translator = bound(
        {"userName": "uid"},
        "uid", "login",
        back={"login": only_in(lambda e: e["userName"].upper(), reads=("userName",))},
    )  # fmt: skip
    assert translator.encode({"userName": "ada"}) == {"uid": "ada", "login": "ADA"}
    assert translator.encode({"title": "x"}) == {}


def test_each_maps_all_values_of_one_kind():
    translator = bound(
        {"emails": {"each": "mail", "type": "work"}}, Field("mail", multi=True)
    )
    entity = translator.decode({"mail": ["b", "a"]})
    assert entity == {
        "emails": [{"value": "b", "type": "work"}, {"value": "a", "type": "work"}]
    }
    assert translator.encode(entity) == {"mail": ["b", "a"]}
    other = {"emails": [*entity["emails"], {"type": "home", "value": "h"}]}
    assert translator.encode(other) == {"mail": ["b", "a"]}
    assert translator.decode({}) == {"emails": []}
    assert translator.encode({"emails": []}) == {"mail": []}


def test_each_maps_sub_records():
    lines = Field(
        "lines", "object", multi=True, fields=(Field("kind"), Field("no"), Field("x"))
    )
    source = each(
        "lines", {"value": "no", "type": "kind", "display": only_out("{kind}: {no}")}
    )
    translator = bound({"phoneNumbers": source}, lines)
    entity = translator.decode(
        {"lines": [{"kind": "work", "no": "1", "x": "?"}, {"no": None}]}
    )
    assert entity == {
        "phoneNumbers": [{"value": "1", "type": "work", "display": "work: 1"}]
    }
    assert translator.encode(entity) == {"lines": [{"no": "1", "kind": "work"}]}


def test_groups_hold_references():
    source = each(
        "member", {"value": ref(ITEM, "hr/people", "name"), "type": const("Person")}
    )
    translator = Translator("Group", {"displayName": "cn", "members": source}).bind(
        GROUPS, "hr/groups"
    )
    entity = translator.decode({"cn": "G", "member": ["cn=a"]})
    assert entity["members"] == [
        {"value": {"stream": "hr/people", "name": "cn=a"}, "type": "Person"}
    ]
    assert check(entity, "Group") == []
    assert translator.encode_new(entity) == {"cn": "G", "member": ["cn=a"]}
    assert translator.references == (("members[].value", "hr/people", "name"),)


def test_a_reference_completes_a_local_stream_name():
    translator = bound(
        {"enterprise.manager": ref("boss")}, Field("boss", "reference", to="people")
    )
    assert translator.decode({"boss": "7"}) == {
        "enterprise": {"manager": {"stream": "hr/people", "id": "7"}}
    }


def test_a_reference_may_be_a_number():
    translator = bound(
        {"enterprise.manager": ref("boss", "hr/people")}, Field("boss", "int")
    )
    entity = translator.decode({"boss": 7})
    assert entity["enterprise"]["manager"] == {"stream": "hr/people", "id": "7"}
    assert translator.encode(entity) == {"boss": 7}


def test_read_only_fields_are_one_way():
    translator = bound({"userName": "id"}, Field("id", writable=False))
    assert translator.owned == ()
    assert translator.encode_new({"userName": "x"}) == {}
    assert translator.report().one_way_out == ("userName",)
