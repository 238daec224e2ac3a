"""Durations and sizes as people write them: ``"30 s"``, ``"90d"``, ``"4 GiB"``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, Field

_TIMES: Final = {
    "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0,
}  # fmt: skip
_SIZES: Final = {
    "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}  # fmt: skip
_FORM: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", re.ASCII)


def seconds(value: Any) -> Any:
    """Seconds of a number or of text with a unit (s, m or min, h, d, w).

    Raises:
        ValueError: Not a duration; the value is not repeated.
    """
    return _scaled(value, _TIMES, "s", "seconds, or text such as '30 s' or '90d'")


def octets(value: Any) -> Any:
    """Bytes of a number or of text with a unit (B, kB, MB, GB, KiB, MiB, GiB, TiB).

    Raises:
        ValueError: Not a size; the value is not repeated.
    """
    found = _scaled(value, _SIZES, "b", "bytes, or text such as '8 MiB' or '4 GiB'")
    return int(found)


def _scaled(value: Any, units: dict[str, Any], plain: str, words: str) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    found = _FORM.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if found is None or (found[2] or plain) not in units:
        raise ValueError(f"must be {words}")
    return float(found[1]) * units[found[2] or plain]


Duration: TypeAlias = Annotated[
    float, BeforeValidator(seconds), Field(ge=0, allow_inf_nan=False)
]
"""Seconds, 0 or more."""

Size: TypeAlias = Annotated[int, BeforeValidator(octets), Field(ge=1)]
"""Bytes, 1 or more."""
