"""Driver values to record values and back (specification: sql, section D).

Pure. A decoder takes one driver value that is not None and returns a record value, or
raises `ValueFault`; it never puts the value into the message.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from moatbridge_sql._schema import Column

Decode: TypeAlias = "Callable[[Any], Any]"

FIRST_YEAR, LAST_YEAR = 1, 9999
_PLAIN_TIME: Final = re.compile(r"([+-]?)(\d+):(\d\d):(\d\d)(\.\d+)?\Z")


class ValueFault(ValueError):
    """One value that cannot be decoded or encoded; says why, never what."""

    def __init__(self, reason: str, field: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field


class Undecodable:
    """Stands for a value that the driver could not decode; its text is for `nulls`."""

    __slots__ = ("text",)

    def __init__(self, raw: bytes) -> None:
        self.text = raw.decode("ascii", "replace")

    def __repr__(self) -> str:
        return "Undecodable()"


@dataclass(frozen=True, slots=True)
class Rules:
    """Stream settings that decide how a column's values are read.

    Args:
        trim: Drop trailing blanks of CHAR.
        empty_is_null: Empty text reads as None.
        limit: Bytes one value may have.
        zone: Zone of date-times without one.
        nulls: Texts that read as None.
        loose: The driver does not guarantee types.
        codec: Encoding of text that arrives as bytes.
    """

    trim: bool = True
    empty_is_null: bool = False
    limit: int = 1 << 20
    zone: tzinfo | None = None
    nulls: Collection[str] = ()
    loose: bool = False
    codec: str | None = None


def decoder(column: Column, rules: Rules) -> Decode | None:
    """The decoder for a column; None where values can be taken as they come."""
    inner = _inner(column, rules)
    if not rules.nulls:
        return inner
    nulls = frozenset(rules.nulls)

    def decode(value: Any) -> Any:
        if text_of(value) in nulls:
            return None
        return inner(value) if inner else value

    return decode


def _inner(column: Column, rules: Rules) -> Decode | None:
    kind = column.kind
    if kind in ("int", "bool"):
        strict = _int if kind == "int" else _bool
        return strict if rules.loose else None
    if kind in ("text", "char"):
        return _text_decoder(column, rules)
    if kind in ("datetime", "zoned"):
        return _datetime_decoder(rules.zone)
    if kind == "decimal" and column.scale == 0:
        return _whole
    if kind in ("bytes", "json"):
        return _limited(_bytes if kind == "bytes" else _json, rules.limit)
    return _SIMPLE[kind]


def text_of(value: Any) -> str:
    """The text that `nulls` are compared with: ISO for dates, digits for numbers."""
    if isinstance(value, Undecodable):
        return value.text
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("ascii", "replace")
    return str(value)


def _text_decoder(column: Column, rules: Rules) -> Decode | None:
    trim = rules.trim and column.kind == "char"
    checked = rules.loose or column.wide or rules.codec is not None
    if not (trim or checked or rules.empty_is_null):
        return None
    limit, codec, empty_is_null = rules.limit, rules.codec, rules.empty_is_null

    def decode(value: Any) -> str | None:
        if type(value) is not str:
            value = _as_text(value, codec)
        if trim:
            value = value.rstrip(" ")
        if len(value) * 4 > limit and len(value.encode()) > limit:
            raise ValueFault("too-large")
        if "\0" in value:
            raise ValueFault("nul")
        return None if empty_is_null and not value else value

    return decode


def _as_text(value: Any, codec: str | None) -> str:
    if isinstance(value, bytes | bytearray | memoryview) and codec:
        try:
            return bytes(value).decode(codec)
        except UnicodeDecodeError:
            raise ValueFault("encoding") from None
    if isinstance(value, bool | bytes | bytearray | memoryview | Undecodable):
        raise ValueFault("not-text")
    return str(value)


def _int(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float | Decimal):
        return _whole(value)
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,40}", value.strip()):
        return int(value)
    raise ValueFault("not-an-integer")


def _decimal(value: Any) -> Decimal:
    if isinstance(value, float):
        value = repr(value)
    try:
        found = Decimal(value) if not isinstance(value, Decimal) else value
    except (InvalidOperation, TypeError, ValueError):
        raise ValueFault("not-a-number") from None
    if not found.is_finite():
        raise ValueFault("not-finite")
    return found


def _whole(value: Any) -> int:
    found = _decimal(value)
    if found != found.to_integral_value():
        raise ValueFault("not-an-integer")
    return int(found)


def _float(value: Any) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueFault("not-a-number") from None
    if not math.isfinite(found):
        raise ValueFault("not-finite")
    return found


def _bool(value: Any) -> bool:
    if isinstance(value, bytes) and len(value) == 1:  # BIT(1) of MariaDB
        value = value[0]
    if isinstance(value, Decimal):
        value = _whole(value)
    if value in (0, 1):
        return bool(value)
    raise ValueFault("not-a-boolean")


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        value = value.date()
    if not isinstance(value, date):
        value = _parsed(date.fromisoformat, value)
    found: date = _usual(value)
    return found


def _datetime_decoder(zone: tzinfo | None) -> Decode:
    def decode(value: Any) -> datetime:
        if zone is None and type(value) is datetime and 1 < value.year < LAST_YEAR:
            return value  # the usual case, and the hot one
        if not isinstance(value, datetime):
            value = _parsed(datetime.fromisoformat, value)
        if zone is not None and value.tzinfo is None:
            value = value.replace(tzinfo=zone)
        found: datetime = _usual(value)
        return found

    return decode


def _usual(value: Any) -> Any:
    """Year 1 and year 9999 mean "never" in old systems: only `nulls` may say so."""
    if value.year in (FIRST_YEAR, LAST_YEAR):
        raise ValueFault("date-limit")
    return value


def _parsed(parse: Callable[[str], Any], value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueFault("not-a-date")
    try:
        return parse(value)
    except ValueError:
        raise ValueFault("not-a-date") from None


def _time(value: Any) -> time:
    if isinstance(value, timedelta):  # PyMySQL: TIME is a duration there
        if not timedelta(0) <= value < timedelta(days=1):
            raise ValueFault("not-a-time")
        return (datetime.min + value).time()  # noqa: DTZ901 - only a carrier
    return value if isinstance(value, time) else _parsed(time.fromisoformat, value)


def _interval(value: Any) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, timedelta):
        raise ValueFault("not-an-interval")
    seconds = value.seconds + value.microseconds / 1_000_000
    return f"P{value.days}DT{seconds:g}S"


def _uuid(value: Any) -> str:
    if isinstance(value, bytes):
        if len(value) != 16:  # noqa: PLR2004 - RFC 9562: 128 bits
            raise ValueFault("not-a-uuid")
        return str(UUID(bytes=value))
    try:
        return str(UUID(str(value)))
    except ValueError:
        raise ValueFault("not-a-uuid") from None


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise ValueFault("not-bytes")
    return bytes(value)


def _json(value: Any) -> Any:
    if not isinstance(value, str | bytes):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueFault("not-json") from None


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueFault("not-a-list")
    return [text_of(v) if isinstance(v, UUID) else v for v in value]


def _any(value: Any) -> Any:
    if isinstance(value, Undecodable):
        raise ValueFault("undecodable")
    if isinstance(value, str | int | float | Decimal | bytes | date | time):
        return value
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    return str(value)


def _limited(inner: Decode, limit: int) -> Decode:
    def decode(value: Any) -> Any:
        if isinstance(value, str | bytes | memoryview) and len(value) > limit:
            raise ValueFault("too-large")
        return inner(value)

    return decode


_SIMPLE: Final[dict[str, Decode]] = {
    "decimal": _decimal,
    "float": _float,
    "bool": _bool,
    "date": _date,
    "time": _time,
    "interval": _interval,
    "uuid": _uuid,
    "array": _array,
    "any": _any,
}
