from __future__ import annotations

import pickle

import pytest

from moatbridge.adapter import Field, Stream
from moatbridge.entities import Person, check
from moatbridge.errors import ConfigurationError
from moatbridge.translate import (
    Translator,
    const,
    lookup,
    via,
)
from translate.streams import (
    LDAP,
    PEOPLE_TABLE,
    RECORD,
    people,
)

ENTITY = {
    "userName": "ada",
    "name": {"givenName": "Ada", "familyName": "Lovelace"},
    "emails": [{"type": "work", "value": "a@x.org"}],
    "phoneNumbers": [{"type": "work", "value": "1"}],
    "displayName": "Ada Lovelace",
    "userType": "Employee",
    "enterprise": {"manager": {"stream": "hr/people", "name": "cn=boss"}},
    "extensions": {"com.acme.hr": {"badge": "17"}},
}


def stream(*fields, **more):
    return Stream(
        "people", tuple(Field(f) if isinstance(f, str) else f for f in fields), **more
    )


def bound(fields, *declared, **more):
    return Translator(Person, fields, **more).bind(stream(*declared), "hr/people")


def test_a_complete_record_becomes_a_valid_entity():
    found = people().decode(RECORD)
    assert found == ENTITY
    assert check(found, "Person") == []


def test_only_the_named_leaves():
    assert "psst" not in repr(people().decode(RECORD))


def test_create_has_no_nulls_and_all_of_back():
    entity = people().decode({**RECORD, "telephoneNumber": None, "badge": None})
    assert people().encode_new(entity) == {
        "uid": "ada",
        "givenName": ["Ada"],
        "sn": ["Lovelace"],
        "mail": ["a@x.org"],
        "manager": "cn=boss",
        "objectClass": ["top", "person"],
        "cn": ["Ada Lovelace"],
    }


def test_update_leaves_out_the_absent_and_keeps_null():
    entity = {"phoneNumbers": [{"type": "work", "value": None}], "title": "ignored"}
    assert people().encode(entity) == {"telephoneNumber": None}
    assert people().encode({"emails": [{"type": "home", "value": "h"}]}) == {}


def test_back_is_written_only_when_what_it_reads_is_there():
    assert people().encode({"displayName": "X"}) == {"cn": ["X"]}
    assert people().encode({"displayName": None}) == {"cn": []}
    assert people().encode({}) == {}
    assert people().owned_by({"displayName": "X"}) == ("cn",)


def test_owned_by_tells_what_this_entity_sets():
    translator = people()
    entity = {"userName": "x", "emails": [{"type": "work", "value": None}]}
    assert translator.owned_by(entity) == ("uid", "mail")
    assert set(translator.encode(entity, RECORD)) == {"uid", "mail"}
    assert set(translator.owned_by(entity)) <= set(translator.owned)


def test_facts_about_a_bound_translator():
    translator = people()
    assert translator.entity == "Person"
    assert translator.paths == tuple(PEOPLE_TABLE["fields"])
    assert translator.reads == tuple(sorted(translator.reads))
    assert "diary" not in translator.reads
    assert translator.references == (("enterprise.manager", "hr/people", "name"),)
    assert translator.needs_before
    assert translator.label == "restricted"  # the badge is


def test_project_gives_the_read_fields_with_lists_sorted():
    translator = people()
    one = translator.project(RECORD)
    assert len(one) == len(translator.reads)
    assert one == translator.project(
        {**RECORD, "mail": RECORD["mail"][::-1], "diary": "new"}
    )
    assert one != translator.project({**RECORD, "mail": ["B@x.org"]})
    assert translator.project({"uid": "x"})[translator.reads.index("uid")] == "x"


def test_ordered_lists_keep_their_order_in_the_projection():
    translator = bound(
        {"title": via("titles", pick="first")},
        Field("titles", multi=True, ordered=True),
    )
    assert translator.project({"titles": ["b", "a"]}) == (["b", "a"],)
    assert translator.decode({"titles": ["b", "a"]}) == {"title": "b"}


def test_names_compare_without_case_where_the_stream_says_so():
    table = {"entity": "Person", "fields": {"userName": "UID"}}
    translator = Translator.from_table(table).bind(LDAP, "hr/people")
    assert translator.reads == ("uid",)
    assert translator.decode({"uid": "a"}) == {"userName": "a"}
    with pytest.raises(ConfigurationError, match="did you mean 'uid'"):
        Translator.from_table(table).bind(stream("uid"), "hr/people")


def test_translators_are_values():
    one, two = Translator.from_table(PEOPLE_TABLE), Translator.from_table(PEOPLE_TABLE)
    assert one == two
    assert hash(one) == hash(two)
    assert one.version == two.version
    assert pickle.loads(pickle.dumps(one)) == one
    again = pickle.loads(pickle.dumps(one.bind(LDAP, "hr/people")))
    assert again.decode(RECORD) == ENTITY
    other = Translator(Person, {"userName": via("uid", "lower")})
    assert other.version != Translator(Person, {"userName": "uid"}).version


def test_python_and_toml_say_the_same():
    python = Translator(
        Person,
        {
            "userName": "uid",
            "active": via("s", lookup({"A": True, "B": False})),
            "locale": const("de"),
        },
        on_error="skip",
    )
    toml = Translator.from_table(
        {
            "entity": "Person",
            "on_error": "skip",
            "fields": {
                "userName": {"from": "uid"},
                "active": {"from": "s", "lookup": {"A": True, "B": False}},
                "locale": {"const": "de"},
            },
        }
    )
    assert python == toml


def test_a_null_aware_converter_sees_null():
    from moatbridge.entities import Converter

    known = Converter(
        "known", lambda v: v is not None, lambda v: "x" if v else None, null_aware=True
    )
    translator = bound({"active": via("a", known)}, "a")
    assert translator.decode({"a": None}) == {"active": False}
    assert translator.decode_partial({}) == {}
    assert translator.encode({"active": False}) == {"a": None}


def test_labels_rise_with_what_is_read():
    assert bound({"userName": "a"}, "a").label == "confidential"
    assert bound({"userName": "a"}, "a", label="public").label == "public"
    assert (
        bound({"userName": "a"}, Field("a", label="restricted"), label="public").label
        == "restricted"
    )
    template = {"displayName": {"template": "{a}"}}
    assert (
        bound(template, Field("a", label="restricted"), label="internal").label
        == "restricted"
    )
    assert (
        bound({"userName": "a"}, "a", labels={"a": "restricted"}).label == "restricted"
    )
    assert (
        bound({"userName": "a"}, "a", "b", labels={"b": "restricted"}).label
        == "confidential"
    )
    lowered = {
        "label": "internal",
        "labels": {"a": "internal"},
        "lower_label": "it is public",
    }
    assert (
        bound({"userName": "a"}, Field("a", label="restricted"), **lowered).label
        == "internal"
    )
