"""`_encode` for whole columns: the fast road of every write. Pure.

As `_columns` does for reading: where all values of a column are of the usual type they
are taken as they are or converted in one go; else value by value, by the column's own
encoder. What that refuses is raised, and the batch is encoded row by row instead.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from moatbridge_sql._columns import as_is, floats, whole_column
from moatbridge_sql._values import ValueFault

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from moatbridge_sql._columns import Quick, Read, Values
    from moatbridge_sql._schema import Column

_TEXTS: Final = frozenset({"text", "char", "interval"})
_zone: Final = attrgetter("tzinfo")


def column_encoder(
    column: Column,
    zone: tzinfo | None,
    encode: Callable[[Any], Any],
    *,
    ruled: bool,
) -> Read:
    """What encodes a whole column.

    Args:
        column: As the record sees it.
        zone: Zone of date-times without one.
        encode: The encoder of one value that is not None.
        ruled: ``types`` has a step of its own for the column.
    """
    if column.kind in _TEXTS and not ruled:
        return _texts
    return whole_column(None if ruled else _quick(column, zone), encode)


def _quick(column: Column, zone: tzinfo | None) -> Quick | None:
    if column.kind in ("datetime", "zoned"):
        return partial(_datetimes, zone, column.kind == "zoned")
    if column.kind == "decimal" and column.scale == 0:
        return None
    return _QUICK.get(column.kind)


def _texts(values: Values) -> Values:
    """Texts as they are; a join is the cheapest look at all of them.

    Raises:
        ValueFault: Row by row.
        UnicodeEncodeError: As above: a lone surrogate.
    """
    try:
        joined = "".join(values)
    except TypeError:  # something is no text: only None may be
        if not set(map(type, values)) <= {str, type(None)}:
            raise ValueFault("not-text") from None
        joined = "".join(filter(None, values))
    if "\0" in joined:
        raise ValueFault("nul")
    if not joined.isascii():
        joined.encode()
    return values


def _decimals(values: Values, kinds: set[type[Any]]) -> Values | None:
    if kinds == {str}:
        values = [None if value is None else Decimal(value) for value in values]
    elif not kinds <= {Decimal}:
        return None
    return values if all(map(Decimal.is_finite, filter(None, values))) else None


def _dates(values: Values, kinds: set[type[Any]]) -> Values | None:
    if kinds == {str}:
        parse = date.fromisoformat
        return [None if value is None else parse(value) for value in values]
    return values if kinds <= {date} else None


def _datetimes(
    zone: tzinfo | None,
    zoned: bool,
    values: Values,
    kinds: set[type[Any]],
) -> Values | None:
    if kinds == {str}:
        parse = datetime.fromisoformat
        values = [None if value is None else parse(value) for value in values]
    elif not kinds <= {datetime}:
        return None
    zones = list(map(_zone, filter(None, values)))
    if zoned:
        if None not in zones:
            return values
        if zone is None:
            return None
        return [v.replace(tzinfo=zone) if v and v.tzinfo is None else v for v in values]
    return values if not any(zones) else None


_QUICK: Final[dict[str, Quick]] = {
    "int": as_is(int),
    "bool": as_is(bool),
    "float": floats,
    "decimal": _decimals,
    "date": _dates,
}
