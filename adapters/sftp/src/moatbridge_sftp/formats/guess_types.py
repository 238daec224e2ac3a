"""The type that fits a sample of texts; when in doubt it is text."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from moatbridge_sftp.formats.fields import FieldSpec
from moatbridge_sftp.formats.values import FAULTY, text_reader

if TYPE_CHECKING:
    from collections.abc import Sequence

_DATES: Final = (
    "YYYY-MM-DD", "DD.MM.YYYY", "YYYYMMDD", "DD/MM/YYYY", "MM/DD/YYYY", "DD-MM-YYYY",
    "YYYY/MM/DD", "DD-MON-YYYY", "DD.MM.YY",
)  # fmt: skip
_TIMES: Final = (
    "YYYY-MM-DD HH:MI:SS", "DD.MM.YYYY HH:MI:SS", "DD.MM.YYYY HH:MI", "YYYYMMDDHHMISS",
)  # fmt: skip
_SENTINELS: Final = frozenset(
    {
        "00000000", "99991231", "31.12.9999", "9999-12-31", "0000-00-00", "00.00.0000",
        "NULL", "null", "N/A", "#N/A",
    }
)  # fmt: skip
_BOOLEANS: Final = (
    (("true",), ("false",)), (("1",), ("0",)), (("Y",), ("N",)), (("J",), ("N",)),
    (("yes",), ("no",)),
)  # fmt: skip
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMALS: Final = (
    (re.compile(r"[+-]?[0-9]+\.[0-9]{1,6}"), {"decimal_sep": "."}),
    (re.compile(r"[+-]?[0-9]+,[0-9]{1,6}"), {"decimal_sep": ","}),
    (
        re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{3})*,[0-9]{1,6}"),
        {"decimal_sep": ",", "thousands_sep": "."},
    ),
    (
        re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})*\.[0-9]{1,6}"),
        {"decimal_sep": ".", "thousands_sep": ","},
    ),
    (re.compile(r"[0-9]+\.[0-9]{1,6}[+-]?"), {"sign": "trailing"}),
)
_ENOUGH: Final = 2


def guess_type(texts: Sequence[str], *, native: bool = False) -> FieldSpec:
    """The narrowest type that takes the whole sample.

    Numbers without leading zeros and of different lengths are integers; everything else
    that looks like a code stays text.

    Args:
        texts: Cells.
        native: The format has numbers and booleans of its own, so text is no number.
    """
    filled = [each.strip() for each in texts if each.strip()]
    nulls = sorted(_SENTINELS.intersection(filled))
    values = [each for each in filled if each not in nulls]
    base: dict[str, Any] = {"nulls": tuple(nulls)} if nulls else {}
    if len(values) < _ENOUGH:
        return FieldSpec.model_validate(base)
    found = _dates(values) or ({} if native else _numbers(values))
    if not native and len(set(values)) <= _ENOUGH:
        found = _boolean(values) or found
    return FieldSpec.model_validate(base | found)


def _dates(values: Sequence[str]) -> dict[str, Any]:
    for kind, patterns in (("date", _DATES), ("datetime", (None, *_TIMES))):
        for pattern in patterns:
            spec = FieldSpec.model_validate({"type": kind, "pattern": pattern})
            if _all_read(spec, values) and _plausible(spec, values):
                return {"type": kind, **({"pattern": pattern} if pattern else {})}
    return {}


def _plausible(spec: FieldSpec, values: Sequence[str]) -> bool:
    read = text_reader(spec)
    years = Counter(1900 <= read(each).year <= 2100 for each in values)  # noqa: PLR2004 - years
    return not years[False]


def _all_read(spec: FieldSpec, values: Sequence[str]) -> bool:
    read = text_reader(spec)
    try:
        for each in values:
            read(each)
    except FAULTY:
        return False
    return True


def _numbers(values: Sequence[str]) -> dict[str, Any]:
    lengths = {len(each) for each in values}
    if len(lengths) > 1 and all(map(_INTEGER.fullmatch, values)):
        return {"type": "integer"}
    for pattern, options in _DECIMALS:
        if all(map(pattern.fullmatch, values)):
            return {"type": "decimal", **options}
    return {}


def _boolean(values: Sequence[str]) -> dict[str, Any]:
    seen = {each.casefold() for each in values}
    for true, false in _BOOLEANS:
        known = {each.casefold() for each in (*true, *false)}
        if len(known) > 1 and seen == known:
            return {"type": "boolean", "true": true, "false": false}
    return {}
