"""JSON from a peer that may be hostile: bounded depth and size, no duplicate keys.

What is looked at before parsing is looked at in linear time: every pattern here matches
wherever it is tried, because a pattern that can fail at the end of the text is tried
again from the next byte, and the whole search becomes quadratic.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Any, Final

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
    if _more_values_than(text, MAX_VALUES):
        msg = f"more than {MAX_VALUES:,} values"
        raise TooManyValues(msg)
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
    if len(digits) > MAX_DIGITS:
        msg = f"a number of more than {MAX_DIGITS} digits"
        raise ValueError(msg)
    return int(digits)
