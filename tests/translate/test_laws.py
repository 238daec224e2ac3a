from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import strategies as st

from moatbridge.adapter import Field, Stream
from moatbridge.entities import Converter, Person
from moatbridge.testing.laws import LawBroken, laws
from moatbridge.translate import Translator, each, first, lookup, ref, via
from translate.streams import (
    ENABLED,
    GROUPS,
    LDAP,
    NATIVE,
    NATIVE_GROUPS,
    PEOPLE_TABLE,
    bit,
)

SMALL = Stream("people", (Field("a"), Field("n", "int"), Field("many", multi=True)))
UAC = st.fixed_dictionaries({"n": st.integers(0, 2**20)})


def person(**fields):
    return Translator(Person, fields)


def test_a_directory():
    laws(Translator.from_table(PEOPLE_TABLE), LDAP, address="hr/people")


def test_groups_both_ways():
    table = {"each": "member", "ref": "hr/people", "by": "name", "type": "Person"}
    laws(Translator("Group", {"displayName": "cn", "members": table}), GROUPS)
    paths = ("displayName", "members")
    laws(Translator.identity("Group", paths, NATIVE_GROUPS), NATIVE_GROUPS)


@pytest.mark.parametrize(
    "paths",
    [
        (
            "userName",
            "name.givenName",
            "emails[type=work].value",
            "active",
            "enterprise.manager",
        ),
        ("userName", "name", "emails", "enterprise"),
        (
            "emails[type=work].value",
            "emails[type=work].primary",
            "emails[type=home].value",
        ),
    ],
)
def test_native_streams(paths):
    laws(Translator.identity("Person", paths, NATIVE), NATIVE)


@pytest.mark.parametrize(
    ("field", "chain"),
    [
        ("text", ["strip"]), ("text", ["lower"]), ("text", ["casefold"]),
        ("text", [{"date": "%d.%m.%Y"}]), ("text", [{"prefix": "hr-"}]),
        ("text", [{"datetime": {"format": "%Y%m%d%H%M%S", "zone": "UTC"}}]),
        ("text", [{"decimal": 2}]), ("text", [{"lookup": {"a": "x", "b": "y"}}]),
        ("text", ["strip", "lower", {"prefix": "p"}]),
        ("int", [{"epoch": "s"}]), ("date", []), ("decimal", []), ("datetime", []), ("time", []),
        ("int", []), ("datetime", [{"datetime": {"zone": "UTC"}}]),
    ],
)  # fmt: skip
def test_core_converters(field, chain):
    stream = Stream("p", (Field("a", field),))
    laws(person(title=via("a", *chain)), stream, max_examples=80)


def test_other_sources():
    laws(
        person(active=via("a", lookup({"J": True, "N": False}))), SMALL, max_examples=80
    )
    laws(
        person(active=via("a", {"bool": {"true": "J", "false": "N"}})),
        SMALL,
        max_examples=80,
    )
    laws(person(title=first("a", "many", back="a")), SMALL, max_examples=80)
    laws(person(title="many", nickName="a"), SMALL, max_examples=80)
    laws(person(emails=each("many", {"value": "$"})), SMALL, max_examples=80)
    ordered = Stream("p", (Field("many", multi=True, ordered=True),))
    laws(person(title="many"), ordered, max_examples=80)
    boss = Stream("p", (Field("boss", "int"),))
    laws(
        Translator(Person, {"enterprise.manager": ref("boss", "hr/p")}),
        boss,
        max_examples=80,
    )


def test_packed_fields():
    laws(person(active=via("n", ENABLED)), SMALL, records=UAC)
    two = {
        'extensions."a.b".x': via("n", bit(1)),
        'extensions."a.b".y': via("n", bit(2)),
    }
    laws(Translator(Person, two), SMALL, records=UAC)


def _xor(value, before):
    del value
    return (before or 0) ^ 2


_counter = itertools.count()


def _sorting(values):
    values.sort()
    return values


WRONG = {
    "xor": ({"active": via("n", Converter("xor", lambda v: not v & 2, _xor, needs_before=True))}, UAC),
    "non-inverse date": (
        {
            "title": via(
                "a",
                Converter("swap", lambda v: v[3:] + "." + v[:2], lambda v: v, version="1"),
            )
        },
        st.fixed_dictionaries({"a": st.dates().map(lambda d: d.strftime("%d.%m"))}),
    ),
    "lossy lookup": (
        {"active": via("a", Converter("lossy", lambda v: v != "off", lambda v: "on" if v else "off"))},
        st.fixed_dictionaries({"a": st.sampled_from(["on", "off", "ON"])}),
    ),
    "null-dropping": (
        {"title": via("a", Converter("drop", lambda v: v or "", lambda v: v, null_aware=True))},
        None,
    ),
    "input-mutating": (
        {
            "extensions": via(
                "j", Converter("sort", lambda v: {"a.b": {"x": _sorting(v)}}, lambda v: v["a.b"]["x"], "normalising")
            )
        },
        st.fixed_dictionaries({"j": st.lists(st.text("ab", max_size=3), max_size=4)}),
    ),
    "clock-reading": (
        {"title": via("a", Converter("now", lambda v: f"{v}{time.monotonic_ns()}", lambda v: v[:1], "normalising"))},
        None,
    ),
    "counting": (
        {"title": via("a", Converter("count", lambda v: v, lambda v: f"{v}{next(_counter)}", "normalising"))},
        None,
    ),
    "lossy way back": (
        {"title": via("a", Converter("cut", lambda v: v, lambda v: v[:3]))},
        None,
    ),
    "not idempotent": (
        {"title": via("a", Converter("grow", lambda v: v, lambda v: v + "!", "normalising"))},
        None,
    ),
    "refuses its own": (
        {"title": via("a", Converter("no", lambda v: v, lambda v: int(v) and v))},
        st.fixed_dictionaries({"a": st.sampled_from(["1", "x"])}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_converters_are_caught_within_200_examples(name):
    fields, records = WRONG[name]
    stream = Stream("p", (*SMALL.fields, Field("j", "json")))
    with pytest.raises(LawBroken) as caught:
        laws(Translator(Person, fields), stream, records=records, max_examples=200)
    assert caught.value.law in {"L1", "L2", "L3", "L6"}


def test_a_counter_example_shows_types_and_no_values():
    records = st.fixed_dictionaries({"a": st.just("personal")})
    wrong = via("a", Converter("bad", str.upper, str))
    with pytest.raises(LawBroken) as caught:
        laws(person(title=wrong), SMALL, records=records)
    shown = str(caught.value) + repr(getattr(caught.value, "__notes__", ()))
    assert "title" in shown
    assert "'a': 'str'" in shown
    assert "personal" not in shown


def test_a_translator_that_lets_out_what_it_does_not_name_is_caught():
    leaky = Converter("leak", str, str)
    translator = Translator(
        Person, {"extensions": via("o", Converter("all", lambda v: {"a.b": v}))}
    )
    laws(
        translator, Stream("p", (Field("o", "object"), Field("other"))), max_examples=30
    )
    bound = person(title=via("a", leaky)).bind(SMALL, "x/p")
    assert "canary" not in repr(bound.decode({"a": "x", "many": ["canary"]}))


def test_records_that_are_all_refused_are_no_proof():
    records = st.fixed_dictionaries({"a": st.just("no date")})
    with pytest.raises(LawBroken, match="pass records="):
        laws(person(title=via("a", {"date": "%Y"})), SMALL, records=records)
