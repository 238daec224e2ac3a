"""Durations as people write them: ``30``, ``"5 min"``, ``"24h"``, ``"7d"``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

_UNITS: Final = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
}
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
        return float(value)
    found = _FORM.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if found is None or (found[2] or "s") not in _UNITS:
        msg = "must be seconds or text such as '30s', '5min', '24h' or '7d'"
        raise ValueError(msg)
    return float(found[1]) * _UNITS[found[2] or "s"]


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
    WithJsonSchema(_SCHEMA),
]
"""Seconds, 0 or more; written as a number or as text with a unit."""

Time: TypeAlias = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(gt=0, allow_inf_nan=False),
    WithJsonSchema(_SCHEMA),
]
"""Like `Duration`, but more than 0."""
