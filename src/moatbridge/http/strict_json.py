"""JSON from a peer that may be hostile: bounded depth and size, no duplicate keys.

Two ways lead to the same result (design note 0030). The quick one parses in one pass
of compiled code and can only say "good": what it is not sure of is parsed again by the
thorough one, which alone refuses. The quick one rests on two counts:

* Depth: without escapes, strings are what stands between every other pair of quotes.
  If quotes only ever stand side by side once all but quotes and brackets is removed, no
  string holds a bracket, and the brackets alone tell the depth: level by level, the
  innermost pairs are removed until nothing is left.
* Keys that stand twice: each key has one colon, and parsing drops the pairs that are
  overwritten. So the text and what was parsed, written again, hold the same number of
  colons exactly if nothing was dropped (a colon that is written as an escape is not
  counted, so texts with one are not sure).

What is looked at before parsing is looked at in linear time: every pattern here matches
wherever it is tried, because a pattern that can fail at the end of the text is tried
again from the next byte, and the whole search becomes quadratic.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Any, Final

from pydantic_core import from_json, to_json

MAX_DEPTH: Final = 64
MAX_DIGITS: Final = 4300
MAX_VALUES: Final = 2_000_000
"""Values in one text: small ones take 30 times their length in memory."""

# Possessive throughout, and each ends at the end of the text if nothing else is there.
_STRING: Final = rb'"(?:[^"\\]++|\\.?)*+"?'
_BRACKET: Final = re.compile(
    rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+([\[\]{}]|\Z)", re.DOTALL
)
_VALUE: Final = re.compile(
    rb'(?:[^"\[{,]++|' + _STRING + rb")*+(?:[\[{,]|\Z)", re.DOTALL
)


_STRUCTURE: Final = bytes.maketrans(b"[]", b"{}")
_CONTENT: Final = bytes(set(range(256)) - set(b'"[]{}'))
_COLON: Final = re.compile(rb"\\u003[aA]")
_QUOTE: Final = re.compile(rb'\\["\\]')
_UNSURE: Final = object()


class TooManyValues(ValueError):
    """A text of more than `MAX_VALUES` values; it was not parsed."""


def parse_json(text: bytes) -> Any:
    """Parse UTF-8 JSON strictly.

    Raises:
        TooManyValues: More than 2 million values; a `ValueError` too.
        ValueError: Not JSON, not UTF-8, nested deeper than 64, a key twice in one
            object, NaN or Infinity, or a number of more than 4,300 digits. The
            message never quotes the text.
    """
    _check_count(text)
    found = _parsed_quickly(text)
    return _parsed_thoroughly(text) if found is _UNSURE else found


def parse_json_thoroughly(text: bytes) -> Any:
    """`parse_json` by the standard library alone; see the module.

    Raises:
        ValueError: As `parse_json`.
    """
    _check_count(text)
    return _parsed_thoroughly(text)


def _check_count(text: bytes) -> None:
    if _more_values_than(text, MAX_VALUES):
        msg = f"more than {MAX_VALUES:,} values"
        raise TooManyValues(msg)


def _parsed_thoroughly(text: bytes) -> Any:
    if depth_of(text) > MAX_DEPTH:
        msg = f"nested deeper than {MAX_DEPTH}"
        raise ValueError(msg)
    try:
        return json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_int=_bounded_int,
        )
    except json.JSONDecodeError as error:
        msg = f"not JSON at offset {error.pos}"
        raise ValueError(msg) from None
    except UnicodeDecodeError as error:
        msg = f"not UTF-8 at offset {error.start}"
        raise ValueError(msg) from None


def dump_json(value: Any) -> bytes:
    """Compact UTF-8 JSON of plain JSON data.

    Raises:
        TypeError: Something in it has no JSON.
        ValueError: NaN or infinity, which JSON has not, or text that is not Unicode.
    """
    try:
        text = to_json(value)
    except (ValueError, RecursionError):
        return dump_json_thoroughly(value)
    # They may stand in a text; if they are numbers, the thorough way refuses them.
    odd = b"NaN" in text or b"Infinity" in text
    return dump_json_thoroughly(value) if odd else text


def dump_json_thoroughly(value: Any) -> bytes:
    """`dump_json` by the standard library."""
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    ).encode()


def _parsed_quickly(text: bytes) -> Any:
    """What the text means if it is certainly good, else `_UNSURE`."""
    escapes = b"\\" in text
    if escapes and _COLON.search(text):
        return _UNSURE
    if not _is_shallow(text, escapes=escapes):
        return _UNSURE
    try:
        found = from_json(text, allow_inf_nan=False, cache_strings="keys")
        again = to_json(found)
    except ValueError:
        return _UNSURE
    return found if again.count(b":") == text.count(b":") else _UNSURE


def _is_shallow(text: bytes, *, escapes: bool) -> bool:
    """Whether the text is certainly not deeper than `MAX_DEPTH`; see the module."""
    if escapes:
        text = _QUOTE.sub(b"", text)
    left = text.translate(_STRUCTURE, _CONTENT)
    if left.count(b'"') != 2 * left.count(b'""'):
        return False
    left = left.translate(None, b'"')
    for _level in range(MAX_DEPTH):
        if not left:
            return True
        before = len(left)
        left = left.replace(b"{}", b"")
        if len(left) == before:
            return False
    return not left


def depth_of(text: bytes) -> int:
    """Deepest nesting of brackets outside strings, without parsing."""
    # Counting first is what keeps a body of a million "[" off the C stack.
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for match in _BRACKET.finditer(text):
        if match[1] in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _more_values_than(text: bytes, limit: int) -> bool:
    """Whether there are more commas and openings outside strings, without parsing."""
    if len(text) <= limit:
        return False
    if text.count(b",") + text.count(b"[") + text.count(b"{") <= limit:
        return False
    tokens = sum(1 for _ in islice(_VALUE.finditer(text), limit + 3))
    return tokens > limit + 2  # the end of the text matches once or twice


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "a key stands twice in one object"
        raise ValueError(msg)
    return found


def _no_constant(word: str) -> Any:
    msg = f"{word} is not JSON"
    raise ValueError(msg)


def _bounded_int(digits: str) -> int:
    if len(digits.removeprefix("-")) > MAX_DIGITS:
        msg = f"a number of more than {MAX_DIGITS} digits"
        raise ValueError(msg)
    return int(digits)
