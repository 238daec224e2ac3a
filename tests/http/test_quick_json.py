"""The quick way through JSON says what the thorough one says, of any text."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from moatbridge.http import dump_json, parse_json, strict_json
from moatbridge.http.strict_json import (
    MAX_DEPTH,
    dump_json_thoroughly,
    parse_json_thoroughly,
)

AWKWARD = st.sampled_from(
    ["", ":", '":', "\\", '\\"', "{", "}]", "[[", "a:b", "é", "\u2028", "😀", "\x00"]
)
TEXT = AWKWARD | st.text(max_size=6)
NUMBER = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
    ),
    max_leaves=12,
)
PIECES = st.lists(
    st.sampled_from(
        [
            *'{}[]":,',
            "\\",
            '"a"',
            '"a":',
            '"a" :',
            '{"a":1,"a":2}',
            '{"a":1,"\\u0061":2}',
            '"\\u003a"',
            '{"a":"\\u003a","a":1}',
            '":"',
            '"\\":"',
            '"[{"',
            "NaN",
            "-Infinity",
            "1e400",
            "-0",
            "-0.0",
            "1" * 4300,
            "1" * 4301,
            "1.5E-7",
            '"\\ud800"',
            '"\\ud83d\\ude00"',
            '"\t"',
            "\ufeff",
            " \n",
            "null",
            "true",
            "/",
        ]
    ),
    max_size=12,
)


def said(parse, text):
    """What a parser makes of a text, down to types and signs, or why it refuses."""
    try:
        return repr(parse(text))
    except ValueError as error:
        return f"{type(error).__name__}: {error}"


@settings(deadline=None, max_examples=300)
@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_what_is_json_reads_alike(value, escaped, indent):
    text = json.dumps(value, ensure_ascii=escaped, indent=indent)
    data = text.encode("utf-8", "surrogatepass")
    assert said(parse_json, data) == said(parse_json_thoroughly, data)


@settings(deadline=None, max_examples=500)
@given(PIECES)
@example(['{"a":1,', '"a" :', "2}"])
@example(['{"a":{"b":":","b":1}}'])
def test_what_is_nearly_json_is_read_or_refused_alike(pieces):
    data = "".join(pieces).encode("utf-8", "surrogatepass")
    assert said(parse_json, data) == said(parse_json_thoroughly, data)


@settings(deadline=None, max_examples=300)
@given(VALUES, st.data())
def test_a_text_that_was_damaged_is_read_or_refused_alike(value, data):
    text = bytearray(json.dumps(value).encode())
    at = data.draw(st.integers(0, len(text)))
    text[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    assert said(parse_json, bytes(text)) == said(parse_json_thoroughly, bytes(text))


@settings(deadline=None)
@given(VALUES, TEXT, TEXT)
def test_a_key_that_stands_twice_is_never_missed(value, key, other):
    inner = f"{json.dumps(key)}: {json.dumps(value)}"
    more = "" if other == key else f"{json.dumps(other)}: [], "
    text = f'[{{"x": {{{inner}, {more}{inner}}}}}]'
    with pytest.raises(ValueError, match="twice"):
        parse_json(text.encode())


@pytest.mark.parametrize("string", ['""', '"["', '"\\""', '"\\\\"', '"]\\\\\\"["'])
@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1])
def test_the_depth_is_counted_to_the_level_whatever_strings_hold(depth, string):
    text = f'[{string},{{"{"a" * 3}":' * (depth // 2) + "[" * (depth % 2) + string
    text += "]" * (depth % 2) + "}]" * (depth // 2)
    if depth <= MAX_DEPTH:
        assert parse_json(text.encode()) == json.loads(text)
    else:
        with pytest.raises(ValueError, match="nested deeper"):
            parse_json(text.encode())


def test_plain_answers_never_need_the_thorough_way(monkeypatch):
    def refuse(text):
        raise AssertionError(text)

    monkeypatch.setattr(strict_json, "_parsed_thoroughly", refuse)
    answer = {
        "Operations": [
            {"status": "201", "location": "http://x/Users/7", "version": 'W/"é\\n"'}
        ]
        * 3
    }
    for escaped in (True, False):
        text = json.dumps(answer, ensure_ascii=escaped).encode()
        assert parse_json(text) == answer


@settings(deadline=None, max_examples=300)
@given(VALUES)
@example({"a": "NaN"})
@example([1e16, 1e-7, -0.0, 10**30, 5e-324, 1.7976931348623157e308])
def test_what_is_written_quickly_means_the_same(value):
    try:
        expected = dump_json_thoroughly(value)
    except ValueError:
        with pytest.raises(ValueError, match="surrogates"):
            dump_json(value)
        return
    assert repr(json.loads(dump_json(value))) == repr(json.loads(expected))
    assert b": " not in dump_json({"a": 1})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_has_not_are_not_written(value):
    with pytest.raises(ValueError, match="JSON compliant"):
        dump_json({"a": [value, "NaN"]})
