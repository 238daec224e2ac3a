"""Strict JSON (RFC 8259): exact numbers, no NaN, no name twice, a bounded depth."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final, NoReturn

DEEPEST: Final = 100
_LARGEST_EXPONENT: Final = 400
_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Duplicate(ValueError):
    """An object names a member twice."""


class TooDeep(ValueError):
    """Nested deeper than 100."""


class Broken(ValueError):
    """Half of a character."""


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For ``object_pairs_hook``."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Duplicate
    return found


def number(text: str) -> Decimal:
    """For ``parse_float``; an absurd exponent would cost gigabytes when written out."""
    value = Decimal(text)
    if abs(value.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError("exponent")
    return value


def _no_constant(text: str) -> NoReturn:
    raise ValueError(text)


def loads(text: str) -> Any:
    """Parse one document.

    Raises:
        ValueError: `Duplicate`, `TooDeep`, `Broken`, or no JSON.
    """
    if text.count("[") + text.count("{") > DEEPEST and _depth(text) > DEEPEST:
        raise TooDeep
    found = json.loads(
        text,
        parse_float=number,
        parse_constant=_no_constant,
        object_pairs_hook=unique,
    )
    if "\\u" in text:
        check_text(found)
    return found


def _depth(text: str) -> int:
    depth = deepest = 0
    for token in _BRACKETS.finditer(text):
        mark = token.group()
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest


def check_text(value: Any) -> None:
    """Refuse half of a surrogate pair anywhere: no other system could store it.

    Raises:
        Broken: There is one.
    """
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise Broken
    elif isinstance(value, dict):
        for name, each in value.items():
            check_text(name)
            check_text(each)
    elif isinstance(value, list):
        for each in value:
            check_text(each)


def dumps(value: Any) -> str:
    """Compact JSON of what `loads` gives; decimals exactly as they are.

    Raises:
        ValueError: Not a JSON value, or half of a character.
    """
    check_text(value)
    return _written(value, 0)


def _written(value: Any, depth: int) -> str:
    if depth > DEEPEST:
        raise TooDeep("is nested too deep")
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise ValueError("has a name that is not text")
        pairs = (f"{_text(k)}:{_written(v, depth + 1)}" for k, v in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_written(each, depth + 1) for each in value) + "]"
    if isinstance(value, Decimal):
        return _exact(value)
    if value is None or isinstance(value, str | bool | int):
        return _text(value)
    raise ValueError("is not a JSON value")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _exact(value: Decimal) -> str:
    if not value.is_finite() or abs(value.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError("is not a number that JSON can carry")
    return format(value, "f")
