"""Compiled functions against the slow interpreter, with hostile names everywhere."""

from __future__ import annotations

import copy
import keyword
import random
from typing import Any, TypedDict

import pytest

from moatbridge.adapter import Field, Stream
from moatbridge.entities import Converter, Person
from moatbridge.entities.paths import quote
from moatbridge.entities.shapes import describe
from moatbridge.translate import Translator, first, only_out, ref, via
from moatbridge.translate.source_code import literal
from translate.oracle import Oracle

HOSTILE = [
    '"]); import os #', "'; raise SystemExit #", '"""', "\\", "\\N{DASH}", "\\x41", "{", "}", "{a}",
    "%s", "a\nb", "a\tb", "\x00", "\u2028", "é", "名前", "\U0001f600", "\ud800", "__class__", "__builtins__",
    "r", "e", "g1", "a1", "k5", "A", "m", "x", "t", "before", "incomplete", "careful", "step", "join",
    " ", "a b", "a.b", "a[0]", "$", "0", "1x", "None", "self", *keyword.kwlist,
]  # fmt: skip
PATHS = [
    "userName", "title", "displayName", "nickName", "locale", "name.givenName", "name.familyName",
    "enterprise.department", "emails[type=work].value", "emails[type=home].value",
    "phoneNumbers[type=work].value", "phoneNumbers[type=work].display",
    "addresses[type=work].locality", "addresses[type=work].region",
]  # fmt: skip
SWAP = Converter("swap", str.swapcase, str.swapcase, version="1")
WORDS = ["Ada", "b", "Zoë", "x" * 30, "", "O'Neil", '"q"', "\\", "{b}", "ß", None, None]


class Wide(TypedDict, total=False):
    """A type whose one map may hold any number of names."""

    data: dict[str, Any]


def random_case(source):
    names = source.sample(sorted(set(HOSTILE)), source.randrange(1, 7))
    fields, readable = [], []
    for name in names:
        kind = source.choice(
            ["text", "text", "text", "multi", "object", "slots", "fixed"]
        )
        path = quote(name)
        if kind == "object":
            fields.append(Field(name, "object", fields=(Field("in"), Field("a.b"))))
            readable += [f"{path}.in", f'{path}."a.b"']
        elif kind == "slots":
            fields.append(
                Field(name, "object", multi=True, fields=(Field("t"), Field("v")))
            )
            readable += [f"{path}[t=one].v", f'{path}[t="{{2}}"].v']
        else:
            fields.append(Field(name, multi=kind == "multi", writable=kind != "fixed"))
            readable.append(path)
    stream = Stream("people", tuple(fields))
    sources = {
        p: random_source(source, readable)
        for p in source.sample(PATHS, source.randrange(1, 8))
    }
    if source.random() < 0.3:
        sources["enterprise.manager"] = ref(
            source.choice(readable), "hr/people", "name"
        )
    return stream, Translator(Person, sources)


def random_source(source, readable):
    path = source.choice(readable)
    holes = [p for p in readable if not set("{}|?") & set(p) and not p.isdigit()]
    kind = source.randrange(8)
    if kind == 0:
        return via(path, SWAP)
    if kind == 1:
        return {"const": source.choice(HOSTILE[:8])}
    if kind == 2 and holes:
        return only_out(
            "".join(
                f"<{{{p}}}{{{source.choice(holes)}?}}" for p in source.sample(holes, 1)
            )
        )
    if kind == 3:
        return first(path, source.choice(readable), back=source.choice([None, path]))
    return path


def random_record(source, stream):
    record = {}
    for field in stream.fields:
        if source.random() < 0.2:
            continue
        word = lambda: source.choice(WORDS)  # noqa: E731
        if field.type == "object" and field.multi:
            entries = [
                {"t": t, "v": word()}
                for t in ("one", "{2}", "three")
                if source.random() < 0.6
            ]
            record[field.name] = source.choice([entries, entries, None])
        elif field.type == "object":
            inside = {n: word() for n in ("in", "a.b") if source.random() < 0.8}
            record[field.name] = source.choice([inside, inside, None])
        elif field.multi:
            record[field.name] = sorted(
                {word() or "m" for _ in range(source.randrange(4))}, reverse=True
            )
        else:
            record[field.name] = word()
    return record


@pytest.mark.parametrize("seed", range(8))
def test_random_translators_behave_like_the_interpreter(seed):
    source = random.Random(seed)
    for _ in range(250):
        stream, translator = random_case(source)
        bound, oracle = translator.bind(stream, "hr/people"), Oracle(translator, stream)
        shared = len(
            {oracle._target(s) for s in translator.fields.values()} - {None}
        ) == len([s for s in translator.fields.values() if oracle._target(s)])
        for _ in range(3):
            record = random_record(source, stream)
            skipped = tuple(
                source.sample([f.name for f in stream.fields], source.randrange(2))
            )
            untouched = copy.deepcopy(record)
            entity = bound.decode(record)
            assert entity == oracle.decode(record)
            assert bound.decode(record, skipped) == oracle.decode(record, skipped)
            partial = bound.decode_partial(record, skipped)
            assert partial == oracle.decode(record, skipped, partial=True)
            assert bound.encode(partial, record) == oracle.encode(partial, record)
            if shared:
                new = {
                    k: v for k, v in oracle.encode(entity, new=True).items() if v != {}
                }
                assert without_empty(bound.encode_new(entity)) == without_empty(new)
            assert record == untouched


def without_empty(record):
    """Slots without a value are dropped on create by the product; see its own test."""
    return {
        name: [e for e in value if not (isinstance(e, dict) and len(e) == 1)]
        if isinstance(value, list)
        else value
        for name, value in record.items()
    }


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_only_names(name):
    stream = Stream("people", (Field(name), Field(name + "2", multi=True)))
    path = quote(name)
    fields = {
        "title": path,
        f'extensions."a.b".{path}': quote(name + "2"),
        f"emails[type={path}].value": path,
    }
    bound = Translator(Person, fields).bind(stream, "hr/people")
    record = {name: "v", name + "2": ["w"]}
    entity = bound.decode(record)
    assert entity == {
        "title": "v",
        "extensions": {"a.b": {name: ["w"]}},
        "emails": [{"type": name, "value": "v"}],
    }
    assert bound.decode_partial(record) == entity
    assert bound.project(record) == ("v", ["w"])
    assert bound.encode(entity, record) == record
    assert bound.owned_by(entity) == bound.owned


def test_ten_thousand_names():
    names = [f"field {number}" for number in range(10_000)]
    stream = Stream("people", tuple(Field(name) for name in names))
    fields = {f"data.{quote(name)}": quote(name) for name in names}
    bound = Translator(describe("Wide", Wide), fields).bind(stream, "hr/people")
    record = dict.fromkeys(names, "v")
    assert bound.decode(record) == {"data": record}
    assert bound.encode(bound.decode(record)) == record


def test_only_plain_values_become_source_code():
    class Sly(str):
        __slots__ = ()

        def __repr__(self):
            return "__import__('os')"

    assert literal("a'b") == repr("a'b")
    for value in (Sly("x"), 1.5, None, ["x"]):
        with pytest.raises(TypeError):
            literal(value)
