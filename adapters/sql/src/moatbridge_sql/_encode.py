"""Record values to the driver-neutral values that are written. Pure.

What comes in may be what `_values` gives out, or the JSON form of it (ISO text for
dates): both are accepted, everything else is a `ValueFault`.
"""

from __future__ import annotations

import json
from datetime import date, datetime, time, tzinfo
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from moatbridge_sql._values import ValueFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge_sql._schema import Column


def encode(column: Column, value: Any, zone: tzinfo | None = None) -> Any:
    """The value to write into a column; None stays None.

    Raises:
        ValueFault: The value does not fit the column's kind.
    """
    return None if value is None else encoder(column, zone)(value)


def encoder(column: Column, zone: tzinfo | None = None) -> Callable[[Any], Any]:
    """`encode` for one column, made once; takes no None."""
    if column.kind in ("datetime", "zoned"):
        return partial(_datetime, zone=zone, zoned=column.kind == "zoned")
    if column.kind == "decimal" and column.scale == 0:
        return _whole
    return _ENCODERS[column.kind]


def _whole(value: Any) -> Decimal:
    found = _decimal(value)
    if found != found.to_integral_value():  # `% 1` stops at 28 digits
        raise ValueFault("not-an-integer")
    return found


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValueFault("not-an-integer")
    try:
        found = int(value)
    except (ValueError, OverflowError):
        raise ValueFault("not-an-integer") from None
    if isinstance(value, Decimal) and value != found:
        raise ValueFault("not-an-integer")
    return found


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueFault("not-a-number")
    try:
        found = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise ValueFault("not-a-number") from None
    if not found.is_finite():
        raise ValueFault("not-finite")
    return found


def _float(value: Any) -> float:
    return float(_decimal(value))


def _bool(value: Any) -> bool:
    if value is True or value is False or (type(value) is int and value in (0, 1)):
        return bool(value)
    raise ValueFault("not-a-boolean")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueFault("not-text")
    if "\0" in value:
        raise ValueFault("nul")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueFault("encoding") from None
    return value


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        raise ValueFault("not-a-date")
    return value if isinstance(value, date) else _parsed(date.fromisoformat, value)


def _time(value: Any) -> time:
    return value if isinstance(value, time) else _parsed(time.fromisoformat, value)


def _datetime(value: Any, zone: tzinfo | None, *, zoned: bool) -> datetime:
    if not isinstance(value, datetime):
        value = _parsed(datetime.fromisoformat, value)
    if zoned:
        if value.tzinfo is None and zone is None:
            raise ValueFault("zone-missing")
        return value if value.tzinfo else value.replace(tzinfo=zone)  # type: ignore[no-any-return]
    if value.tzinfo is None:
        return value  # type: ignore[no-any-return]
    if zone is None:
        raise ValueFault("zone-unknown")
    return value.astimezone(zone).replace(tzinfo=None)  # type: ignore[no-any-return]


def _parsed(parse: Callable[[str], Any], value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueFault("not-a-date")
    try:
        return parse(value)
    except ValueError:
        raise ValueFault("not-a-date") from None


def _uuid(value: Any) -> str:
    try:
        return str(UUID(value if isinstance(value, str) else str(value)))
    except ValueError:
        raise ValueFault("not-a-uuid") from None


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise ValueFault("not-bytes")
    return bytes(value)


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueFault("not-json") from None


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueFault("not-a-list")
    return value


def _any(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool | int | float | Decimal | bytes | date | time):
        return value
    raise ValueFault("not-plain")


_ENCODERS: dict[str, Callable[[Any], Any]] = {
    "int": _int,
    "decimal": _decimal,
    "float": _float,
    "bool": _bool,
    "text": _text,
    "char": _text,
    "date": _date,
    "time": _time,
    "interval": _text,
    "uuid": _uuid,
    "bytes": _bytes,
    "json": _json,
    "array": _list,
    "any": _any,
}
