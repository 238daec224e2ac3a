"""Whether a stored value is the one that was sent. Pure.

Exact, letter case included, apart from what a column cannot hold: digits behind its
scale, fractions of a second, blanks that pad a CHAR, the order of a JSON object.
"""

from __future__ import annotations

import json
import math
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

from moatbridge_sql._values import Rules, Undecodable, ValueFault, decoder, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge_sql._schema import Column

_SINGLE: Final = 1e-5
"""Relative error of a single-precision number that is printed with six digits."""
_SECOND, _MILLISECOND = timedelta(seconds=1), timedelta(milliseconds=1)
_LOOSE: Final = Rules(limit=1 << 30, loose=True)


def same(column: Column, sent: Any, stored: Any, codec: str | None = None) -> bool:
    """Whether the column holds what was sent.

    Args:
        column: Where both belong.
        sent: Driver-neutral, as `moatbridge_sql._encode` gives it.
        stored: The driver's own value.
        codec: Encoding of text that arrives as bytes.
    """
    if sent is None or stored is None:
        return sent is stored
    try:
        if codec and isinstance(stored, bytes) and column.kind in ("text", "char"):
            stored = stored.decode(codec)
        return _COMPARE.get(column.kind, _decoded)(column, sent, stored)
    except (ValueError, TypeError, ArithmeticError):
        return False  # not even of one kind


def _decoded(column: Column, sent: Any, stored: Any) -> bool:
    decode = decoder(column, _LOOSE)
    assert decode is not None  # noqa: S101 - loose rules take no value as it comes
    return bool(decode(sent) == decode(stored))


def _text(column: Column, sent: Any, stored: Any) -> bool:
    one, other = _plain(sent), _plain(stored)
    if column.kind == "char":
        one, other = one.rstrip(" "), other.rstrip(" ")
    return one == other


def _plain(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview | Undecodable):
        raise ValueFault("not-text")
    return str(value)


def _any(column: Column, sent: Any, stored: Any) -> bool:
    del column
    if isinstance(stored, memoryview | bytearray):
        stored = bytes(stored)
    return bool(sent == stored) or _plain(sent) == _plain(stored)


def _decimal(column: Column, sent: Any, stored: Any) -> bool:
    one, other = (Decimal(str(value)) for value in (sent, stored))
    if one == other or column.scale is None:
        return one == other
    step = Decimal(1).scaleb(-column.scale)
    return one.quantize(step, ROUND_HALF_UP) == other


def _float(column: Column, sent: Any, stored: Any) -> bool:
    del column
    return math.isclose(float(sent), float(stored), rel_tol=_SINGLE)


def _date(column: Column, sent: Any, stored: Any) -> bool:
    del column
    one, other = (date.fromisoformat(text_of(value)[:10]) for value in (sent, stored))
    return one == other


def _datetime(column: Column, sent: Any, stored: Any) -> bool:
    del column
    one, other = (datetime.fromisoformat(text_of(value)) for value in (sent, stored))
    return _close(one, other)


def _close(sent: datetime, stored: datetime) -> bool:
    """Fewer digits may be stored than were sent: cut off or rounded."""
    if sent == stored:
        return True
    unit = timedelta(0)
    if stored.microsecond % 1000 == 0:
        unit = _MILLISECOND if stored.microsecond else _SECOND
    return abs(sent - stored) < unit


def _time(column: Column, sent: Any, stored: Any) -> bool:
    decode = decoder(column, _LOOSE)
    assert decode is not None  # noqa: S101 - times are always checked
    day = date(2000, 1, 1)
    one, other = (datetime.combine(day, decode(value)) for value in (sent, stored))
    return _close(one, other)


def _json(column: Column, sent: Any, stored: Any) -> bool:
    """As text with sorted names: to Python, true would equal 1."""
    del column
    wanted = _sorted(json.loads(sent))
    if isinstance(stored, bytes) or wanted != _sorted(stored):
        return isinstance(stored, str | bytes) and wanted == _sorted(json.loads(stored))
    return True


def _sorted(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _array(column: Column, sent: Any, stored: Any) -> bool:
    del column
    return len(sent) == len(stored) and all(map(_item, sent, stored))


def _item(sent: Any, stored: Any) -> bool:
    if isinstance(sent, list) and isinstance(stored, list):
        return len(sent) == len(stored) and all(map(_item, sent, stored))
    if sent is None or stored is None:
        return sent is stored
    return bool(sent == stored) or text_of(sent) == text_of(stored)


_COMPARE: Final[dict[str, Callable[[Column, Any, Any], bool]]] = {
    "text": _text,
    "char": _text,
    "interval": _text,
    "any": _any,
    "decimal": _decimal,
    "float": _float,
    "date": _date,
    "datetime": _datetime,
    "zoned": _datetime,
    "time": _time,
    "json": _json,
    "array": _array,
}
