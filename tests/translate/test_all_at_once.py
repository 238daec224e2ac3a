"""A record that is said in full is written as one literal; any other field by field."""

from __future__ import annotations

import random

import pytest

from moatbridge.adapter import Field, Stream
from moatbridge.entities import Converter, Person
from moatbridge.translate import Translator, encoders, via
from translate.test_differential import random_case, random_record

STREAM = Stream(
    "people",
    (
        Field("login"),
        Field("title"),
        Field("name", "object", fields=(Field("given"), Field("family"))),
        Field(
            "emails", "object", multi=True, fields=(Field("kind"), Field("value"))
        ),
    ),
)  # fmt: skip
LOUD = Converter("loud", str.lower, lambda text: text.upper() or None, version="1")
TRANSLATOR = Translator(
    Person,
    {
        "userName": "login",
        "title": via("title", LOUD),
        "name.givenName": "name.given",
        "name.familyName": via("name.family", LOUD),
        "emails[type=work].value": "emails[kind=w].value",
        "emails[type=home].value": "emails[kind=h].value",
    },
)
FULL = {
    "userName": "ada",
    "title": "dr",
    "name": {"givenName": "Ada", "familyName": "Lovelace"},
    "emails": [{"type": "home", "value": "h@x"}, {"type": "work", "value": "w@x"}],
}
RECORD = {
    "login": "ada",
    "title": "DR",
    "name": {"given": "Ada", "family": "LOVELACE"},
    "emails": [{"kind": "w", "value": "w@x"}, {"kind": "h", "value": "h@x"}],
}


def counting(encode):
    """How often a generated function makes a list's entry, or takes one out."""
    names, calls = encode.__globals__, []
    for name in ("slot", "drop"):
        names[name] = lambda *given, _old=names[name]: (calls.append(1), _old(*given))[
            1
        ]
    return calls


@pytest.fixture
def slowly(monkeypatch):
    """The same without the literal."""

    def made(bound):
        with monkeypatch.context() as patched:
            patched.setattr(encoders, "_all_at_once", lambda *_given: None)
            return generated(bound)

    return made


def generated(bound):
    written = [leaf for leaf in bound.resolved.leaves if leaf.write is not None]
    return encoders._encode(written, bound.resolved.backs, new=True, careful=False)


def test_the_literal_is_taken_for_an_entity_that_is_said_in_full(slowly):
    bound = TRANSLATOR.bind(STREAM, "hr/people")
    quick, slow = generated(bound), slowly(bound)
    quick_calls, slow_calls = counting(quick), counting(slow)
    assert quick(FULL, None) == slow(FULL, None) == RECORD == bound.encode_new(FULL)
    assert quick_calls == []
    assert slow_calls != []


@pytest.mark.parametrize(
    "lacks",
    [
        {"name": {"givenName": "Ada"}},
        {"name": {"givenName": "Ada", "familyName": None}},
        {"name": {"givenName": "Ada", "familyName": ""}},
        {"name": None},
        {"emails": [{"type": "work", "value": "w@x"}]},
        {"emails": []},
    ],
)
def test_an_entity_that_lacks_something_is_written_field_by_field(slowly, lacks):
    bound = TRANSLATOR.bind(STREAM, "hr/people")
    quick, slow = generated(bound), slowly(bound)
    calls = counting(quick)
    assert quick({**FULL, **lacks}, None) == slow({**FULL, **lacks}, None)
    assert calls != []


def test_a_plain_field_that_is_not_there_is_left_out_of_the_literal(slowly):
    bound = TRANSLATOR.bind(STREAM, "hr/people")
    quick, slow = generated(bound), slowly(bound)
    calls = counting(quick)
    for lacks in ({"title": None}, {"title": ""}, {"userName": None, "title": None}):
        found = quick({**FULL, **lacks}, None)
        assert found == slow({**FULL, **lacks}, None)
        assert "title" not in found
    assert calls == []


@pytest.mark.parametrize("seed", range(4))
def test_random_entities_are_written_alike_with_the_literal_and_without(seed, slowly):
    source = random.Random(seed)
    for _ in range(100):
        stream, translator = random_case(source)
        bound = translator.bind(stream, "hr/people")
        quick, slow = generated(bound), slowly(bound)
        for _ in range(4):
            entity = bound.decode(random_record(source, stream))
            assert quick(entity, None) == slow(entity, None)
