from __future__ import annotations

import pytest

from moatbridge.adapter import Field, Stream
from moatbridge.entities import Person
from moatbridge.errors import ConfigurationError
from moatbridge.translate import Translator, each, first, only_out, ref, via
from moatbridge.translate.problems import closest
from translate.streams import LDAP, PEOPLE_TABLE


def problems(fields, stream=LDAP, **more):
    with pytest.raises(ConfigurationError) as caught:
        Translator(Person, fields, **more).bind(stream, "hr/people")
    assert caught.value.code == "translate.invalid"
    return caught.value.details["problems"]


def test_all_problems_at_once_with_suggestions():
    found = problems(
        {
            "userNam": "uid",
            "name.givenName": "givname",
            "title": "uid.x",
            "locale": "sn[0].y",
        },
        back={"objectclas": {"const": "x"}},
    )
    assert len(found) == 5
    text = "\n".join(found)
    for hint in (
        "fields.userNam",
        "'userName'",
        "'givenName'",
        "back.objectclas",
        "'objectClass'",
    ):
        assert hint in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"emails": "uid"}, "one value and this is a list"),
        ({"emails": "mail"}, "needs each"),
        ({"emails.value": "uid"}, "name one slot"),
        ({"emails[type=work]": "uid"}, "name a member"),
        ({"emails[type=work].colour": "uid"}, "no such member"),
        ({"emails[colour=red].value": "uid"}, "no such member"),
        ({"userName[type=work].value": "uid"}, "not a list"),
        ({"userName.x": "uid"}, "cannot lie inside"),
        ({"groups": "mail"}, "read-only"),
        ({"active": "uid"}, "add via"),
        ({"enterprise.manager": "manager"}, "needs ref"),
        ({"userName": ref("uid", "hr/people")}, "only feed a reference"),
        ({"enterprise.manager": ref("uid")}, "no known stream"),
        ({"userName": each("mail", {"value": "$"})}, "only feed a list"),
        ({"emails": each("uid", {"value": "$"})}, "not a list"),
        ({"emails": each("mail", {"colour": "$"})}, "no such member"),
        ({"userName": via("mail", pick="first")}, "has no order"),
        ({"userName": first()}, "at least one path"),
        ({"userName": {"const": 5}}, "not text"),
        ({"userName": {"const": 1.5}}, "not text"),
        ({"userName": "userPassword"}, "credential"),
        ({"userName": "my_hash"}, "credential"),
        ({"userName": only_out(lambda r: "", reads=("apiToken",))}, "credential"),
        ({"userName": "uid[0]"}, "not a list"),
        ({"userName": "a..b"}, "expected a name"),
    ],
)
def test_each_kind_of_mistake(fields, words):
    [found] = problems(fields)
    assert words in found
    assert next(iter(fields)) in found


@pytest.mark.parametrize(
    "fields",
    [
        {"emails[type=work].value": "uid", "emails": {"each": "mail"}},
        {"name.givenName": "uid", 'name."givenName"': "sn"},
        {"emails": {"each": "mail"}, "emails[]": {"each": "mail"}},
    ],
)
def test_one_source_for_one_path(fields):
    [found] = problems(fields)
    assert "keep one" in found


def test_back_and_fields_never_write_the_same():
    [found] = problems({"userName": "uid"}, back={"UID": {"const": "x"}})
    assert "written by fields already" in found


def test_two_paths_from_one_field_write_it_once_and_say_so():
    bound = Translator(Person, {"userName": "uid", "externalId": "uid"}).bind(
        LDAP, "hr/people"
    )
    assert bound.encode({"userName": "a", "externalId": "b"}) == {"uid": "a"}
    assert bound.report().one_way_out == ("externalId",)
    assert "only userName is written back to uid" in bound.report().warnings


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"fields": {"userName": "uid"}}, "name the entity type"),
        ({"entity": "Person"}, "fields"),
        ({"entity": "Person", "fields": {}}, "at least one"),
        ({"entity": "Persn", "fields": {"a": "b"}}, "did you mean 'Person'"),
        ({"entity": "Person", "fields": {"userName": "uid"}, "on_eror": "null"}, "'on_error'"),
        ({"entity": "Person", "fields": {"userName": "uid"}, "on_error": "ignore"}, "reject, null"),
        ({"entity": "Person", "fields": {"userName": "uid"}, "max_text": 0}, "characters"),
        ({"entity": "Person", "fields": {"userName": "uid"}, "label": "secret"}, "no label"),
        ({"entity": "Person", "fields": {"userName": "uid"}, "labels": {"uid": "x"}}, "no label"),
        ({"entity": "Person", "fields": {"userName": 5}}, "A source is a path"),
        ({"entity": "Person", "fields": {"userName": {}}}, "eeds one of"),
        ({"entity": "Person", "fields": {"userName": {"from": "a", "va": "lower"}}}, "did you mean 'via'"),
        ({"entity": "Person", "fields": {"userName": {"from": "a", "via": "lowr"}}}, "'lower'"),
        ({"entity": "Person", "fields": {"userName": {"from": "a", "pick": "last"}}}, "min, first"),
        ({"entity": "Person", "fields": {"userName": {"from": 5}}}, "takes a text"),
        ({"entity": "Person", "fields": {"userName": {"from": "a", "default": 1}}}, "elongs to lookup"),
        ({"entity": "Person", "fields": {"userName": {"from": "a", "lookup": 1}}}, "takes a table"),
        ({"entity": "Person", "fields": {"userName": {"ref": "x/y"}}}, "missing"),
        ({"entity": "Person", "fields": {"userName": {"ref": "x", "from": "a", "by": "dn"}}}, "id, name"),
        ({"entity": "Person", "fields": {"userName": {"first": "a"}}}, "list of paths"),
        ({"entity": "Person", "fields": {"emails": {"each": "a", "fields": {}}}}, "at least one"),
        ({"entity": "Person", "fields": {"emails": {"each": "a", "fields": {"value": "$"}, "type": "x"}}}, "replaces"),
        ({"entity": "Person", "fields": {"userName": {"template": "{"}}}, "lone brace"),
        ({"entity": "Person", "fields": {"userName": "a"}, "back": {"b": "userName"}}, "const, a template"),
    ],
)  # fmt: skip
def test_mistakes_of_form(table, words):
    with pytest.raises(ConfigurationError) as caught:
        Translator.from_table(table)
    assert caught.value.code == "translate.invalid"
    assert words in caught.value.message


def test_the_adapters_suggestion_names_the_entity():
    assert (
        Translator.from_table(
            {"fields": {"userName": "uid"}}, entity="Person"
        ).entity.name
        == "Person"
    )


def test_lowering_a_label_needs_a_reason():
    stream = Stream("p", (Field("a", label="restricted"),), label="confidential")
    found = problems(
        {"userName": "a"},
        stream,
        label="public",
        labels={"a": "internal", "b": "public"},
    )
    assert len(found) == 3
    assert sum("lower than" in each for each in found) == 2


def test_nothing_is_guessed_about_unknown_fields():
    stream = Stream("p", (Field("j", "json"),))
    bound = Translator(Person, {"userName": "j.deep.x", "title": "j.list[0]"}).bind(
        stream
    )
    record = {"j": {"deep": {"x": "a"}, "list": ["t"]}}
    assert bound.decode(record) == {"userName": "a", "title": "t"}
    assert bound.owned == ("j.deep.x",)


def test_messages_never_hold_values():
    table = {
        **PEOPLE_TABLE,
        "fields": {"userName": {"const": ["canary"]}, "active": {"const": "canary"}},
    }
    with pytest.raises(ConfigurationError) as caught:
        Translator.from_table(table).bind(LDAP, "hr/people")
    assert "canary" not in str(caught.value)


def test_suggestions_prefer_case():
    assert closest("UID", ["uids", "uid"]) == "; did you mean 'uid'?"
    assert closest("zzz", ["uid"]) == ""
