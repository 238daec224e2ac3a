"""Durations as people write them: ``30``, ``"5 min"``, ``"24h"``, ``"7d"``.

None is longer than a hundred years: clocks, calendars and the waits of the operating
system have their ends, and a slip of the keyboard should not find them.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

_UNITS: Final = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
}
_WRONG: Final = "must be seconds or text such as '30s', '5min', '24h' or '7d'"
LONGEST: Final = 36_525 * 86400.0
"""A hundred years, in seconds."""
_FORM: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", re.ASCII)


def parse_duration(value: Any) -> float:
    """Seconds of a duration.

    Args:
        value: A number of seconds, or text such as ``"90"``, ``"1.5h"``, ``"7 d"``
            (units ms, s, m or min, h, d, w).

    Raises:
        ValueError: Not a duration; the value is not repeated.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _number(value)
    found = _FORM.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if found is None or (found[2] or "s") not in _UNITS:
        raise ValueError(_WRONG)
    return float(found[1]) * _UNITS[found[2] or "s"]


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        raise ValueError(_WRONG) from None


def between(least: float = 0.0, most: float = LONGEST) -> AfterValidator:
    """Bounds of one setting in seconds; stands beside `Time` in ``Annotated``."""

    def checked(seconds: float) -> float:
        if not least <= seconds <= most:
            word, bound = ("least", least) if seconds < least else ("most", most)
            msg = f"must be at {word} {_written(bound)}"
            raise ValueError(msg)
        return seconds

    return AfterValidator(checked)


def _written(seconds: float) -> str:
    """As somebody would write it: in the longest unit that divides it."""
    units = {"d": 86400, "h": 3600, "min": 60, "s": 1}
    for unit, size in units.items():
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms"


_SCHEMA: Final = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? *(ms|s|m|min|h|d|w)?$"},
    ]
}

Duration: TypeAlias = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(ge=0, allow_inf_nan=False),
    between(),
    WithJsonSchema(_SCHEMA),
]
"""Seconds, 0 or more; written as a number or as text with a unit."""

Time: TypeAlias = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(gt=0, allow_inf_nan=False),
    between(),
    WithJsonSchema(_SCHEMA),
]
"""Like `Duration`, but more than 0."""
