"""What happens to a record that cannot be translated, and what the error tells."""

from __future__ import annotations

import pickle
import traceback

import pytest

from moatbridge.adapter import Field, Stream
from moatbridge.entities import Converter, Fault, Person
from moatbridge.errors import TranslationError
from moatbridge.translate import Translator, each, only_out, via

CANARY = "canary-ada@example.org"
STREAM = Stream(
    "people",
    (
        Field("a"),
        Field("b"),
        Field("act", "bool"),
        Field("j", "any"),
        Field("o", "object", fields=(Field("in"),)),
        Field("many", multi=True),
        Field("list", "object", multi=True, fields=(Field("type"), Field("value"))),
    ),
)


def bound(fields, **more):
    return Translator(Person, fields, **more).bind(STREAM, "hr/people")


def _fault(value):
    raise Fault("not a badge")


def _value_error(value):
    raise ValueError(value)


def _bug(value):
    raise KeyError(value)


@pytest.mark.parametrize(
    ("fields", "record", "code", "words"),
    [
        ({"title": via("a", Converter("badge", _fault))}, {"a": CANARY}, "value", "not a badge (through badge)"),
        ({"title": via("a", Converter("badge", _value_error))}, {"a": CANARY}, "value", "refused"),
        ({"title": via("a", Converter("badge", _bug))}, {"a": CANARY}, "bug", "KeyError"),
        ({"title": via("a", {"date": "%Y"})}, {"a": CANARY}, "value", "not a date (through date)"),
        ({"title": only_out(lambda r: r["b"], reads=("a",))}, {"a": CANARY}, "reads", "asked for b; add it to reads"),
        ({"title": only_out(_bug, reads=("a",))}, {"a": CANARY}, "bug", "KeyError"),
        ({"title": "a"}, {"a": CANARY + "\x00"}, "value", "control character"),
        ({"title": "a"}, {"a": CANARY + "\ud800"}, "value", "surrogate"),
        ({"title": "a"}, {"a": CANARY + "\n"}, "line-break", "line break or tab"),
        ({"title": "a"}, {"a": CANARY + "\r\n"}, "line-break", "line break or tab"),
        ({"title": "a"}, {"a": CANARY * 1000}, "too-large", "over 10000 characters"),
        ({"title": "a"}, {"a": 5}, "value", "not text but int"),
        ({"title": "a"}, {"a": 0}, "value", "not text but int"),
        ({"title": "j"}, {"j": 1.5}, "value", "not text but float"),
        ({"active": "act"}, {"act": "yes"}, "value", "not a bool"),
        ({"extensions": "j"}, {"j": {"a.b": {"price": 1.5}}}, "value", "a float"),
        ({"extensions": "j"}, {"j": [CANARY]}, "value", "not an object"),
        ({"title": "o.in"}, {"o": CANARY}, "value", "its parent is not an object"),
        ({"title": "list[type=work].value"}, {"list": CANARY}, "value", "its parent is not an object"),
        ({"title": via("many")}, {"many": CANARY}, "value", "not a list"),
        ({"emails": {"each": "many"}}, {"many": CANARY}, "value", "not a list"),
        ({"emails": {"each": "many"}}, {"many": [CANARY] * 10_001}, "too-large", "entries"),
        ({"emails": each("list", {"value": "value"})}, {"list": [CANARY]}, "value", "not an object"),
        ({"title": {"template": "{j}"}}, {"j": [CANARY]}, "value", "cannot stand in a template"),
    ],
)  # fmt: skip
def test_a_fault_names_the_path_and_never_the_value(fields, record, code, words):
    translator = bound(fields)
    for decode in (translator.decode, translator.decode_partial):
        with pytest.raises(TranslationError) as caught:
            decode(record)
        error = caught.value
        assert error.code == f"translate.{code}"
        assert error.path.startswith(next(iter(fields)))
        assert words in error.message
        assert error.stream == "hr/people"
        shown = "".join(traceback.format_exception(error)) + repr(error)
        assert CANARY not in shown
        assert error.__context__ is None or CANARY not in repr(error.__context__)
        assert pickle.loads(pickle.dumps(error)).path == error.path


def test_a_fault_on_the_way_back_always_rejects():
    no = Converter("no", str, _value_error)
    for on_error in ("reject", "null", "skip"):
        translator = bound({"title": via("a", no)}, on_error=on_error)
        for encode in (translator.encode, translator.encode_new):
            with pytest.raises(TranslationError) as caught:
                encode({"title": CANARY})
            assert caught.value.path == "title"
            assert CANARY not in str(caught.value)


def test_an_unresolved_reference_is_not_written():
    manager = Field("manager", "reference", to="people")
    stream = Stream("p", (Field("enterprise", "object", fields=(manager,)),))
    translator = Translator.identity(Person, ["enterprise"], stream).bind(stream, "x/p")
    with pytest.raises(TranslationError, match="not resolved"):
        translator.encode(
            {"enterprise": {"manager": {"stream": "hr/people", "name": CANARY}}}
        )


def test_the_other_records_of_a_batch_go_on():
    translator = bound({"title": "a"})
    outcomes = []
    for record in ({"a": "x"}, {"a": "\x00"}, {"a": "y"}):
        try:
            outcomes.append(translator.decode(record)["title"])
        except TranslationError as error:
            outcomes.append(error.code)
    assert outcomes == ["x", "translate.value", "y"]


def test_text_is_composed_and_lines_stay_where_they_belong():
    translator = bound({"displayName": "a", "addresses[type=work].formatted": "b"})
    entity = translator.decode({"a": "Zoe\u0308", "b": "Street\nTown"})
    assert entity == {
        "displayName": "Zo\u00eb",
        "addresses": [{"type": "work", "formatted": "Street\nTown"}],
    }


def test_invisible_characters_stay_in_names_and_leave_keys():
    translator = bound({"displayName": "a", "userName": "b"})
    hidden = "a\u200bd\u202ea"
    assert translator.decode({"a": hidden, "b": hidden}) == {
        "displayName": hidden,
        "userName": "ada",
    }


def test_max_text_is_a_setting():
    translator = bound({"displayName": "a"}, max_text=3)
    assert translator.decode({"a": "abc"}) == {"displayName": "abc"}
    with pytest.raises(TranslationError, match="over 3"):
        translator.decode({"a": "abcd"})


def test_the_limit_is_for_one_text_not_for_all():
    translator = bound({"displayName": "a", "title": "b"}, max_text=3)
    assert translator.decode({"a": "abc", "b": "def"}) == {
        "displayName": "abc",
        "title": "def",
    }


def test_entities_and_records_never_share_their_lists():
    translator = bound({"extensions": "j"})
    record = {"j": {"a.b": {"x": ["1"]}}}
    entity = translator.decode(record)
    entity["extensions"]["a.b"]["x"].append("2")
    assert record == {"j": {"a.b": {"x": ["1"]}}}
    back = translator.encode(entity)
    back["j"]["a.b"]["x"].clear()
    assert entity["extensions"]["a.b"]["x"] == ["1", "2"]
