"""Python values -> what zeep writes correctly for one simple type.

zeep writes what it is given: text into a base64 element unencoded, ``"no"`` into a
boolean as true. So every value is checked here against the element's type first.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from zeep.xsd.types import builtins

from moatbridge.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable

_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,4000}", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]{1,1000}(?:\.[0-9]*)?|\.[0-9]{1,1000})")
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_PARTIAL_DATES: Final = (
    builtins.gYearMonth,
    builtins.gYear,
    builtins.gMonthDay,
    builtins.gDay,
    builtins.gMonth,
)


class WrongValue(ValueError):
    """The value does not fit; says which type was expected, never the value."""


def check_text(text: str, where: str) -> str:
    """Return the text if XML 1.0 can carry it.

    Raises:
        Rejected: ``soap.text``; nothing is ever stripped.
    """
    if _FORBIDDEN.search(text):
        message = f"{where} holds a character that XML cannot carry."
        raise Rejected(message, code="soap.text")
    return text


def plain_text(value: Any) -> str:
    """A value as text of a message: what a placeholder inside text becomes.

    Raises:
        WrongValue: It is no scalar.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime | dt.time):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, str | int):
        return str(value)
    raise WrongValue("text")


def converter(xsd_type: Any) -> Callable[[Any], Any]:
    """The function that checks a value for one simple type and prepares it for zeep."""
    for kinds, convert in _CONVERTERS:
        if isinstance(xsd_type, kinds):
            return convert
    if isinstance(xsd_type, _PARTIAL_DATES):
        return lambda value: _partial(xsd_type, value)
    return plain_text


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _BOOLEANS:
        return _BOOLEANS[value]
    raise WrongValue("boolean")


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    raise WrongValue("integer")


def _decimal(value: Any) -> Decimal:
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    raise WrongValue("decimal")


def _float(value: Any) -> float:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return float(value)
    raise WrongValue("float")


def _date(value: Any) -> Any:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, str):
        return _parsed(dt.date.fromisoformat, value[:10], value, "date")
    raise WrongValue("date")


def _moment(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, str) and "T" in value:
        return _parsed(dt.datetime.fromisoformat, value, value, "dateTime")
    raise WrongValue("dateTime")


def _time(value: Any) -> Any:
    if isinstance(value, dt.time):
        return value
    if isinstance(value, str):
        return _parsed(dt.time.fromisoformat, value, value, "time")
    raise WrongValue("time")


def _parsed(parse: Callable[[str], Any], text: str, whole: str, name: str) -> str:
    try:
        parse(text)
    except ValueError:
        raise WrongValue(name) from None
    return whole


def _base64(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    raise WrongValue("bytes")


def _hex(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex().upper()
    raise WrongValue("bytes")


def _duration(value: Any) -> str:
    if isinstance(value, str) and value.lstrip("-").startswith("P"):
        return value
    raise WrongValue("duration")


def _partial(xsd_type: Any, value: Any) -> Any:
    try:
        return xsd_type.pythonvalue(value)
    except Exception:  # noqa: BLE001 - zeep raises errors of every kind here
        raise WrongValue(type(xsd_type).__name__) from None


# Order matters: zeep derives Integer from Decimal.
_CONVERTERS: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (
    (builtins.Boolean, _boolean),
    (builtins.Integer, _integer),
    (builtins.Decimal, _decimal),
    ((builtins.Float, builtins.Double), _float),
    (builtins.DateTime, _moment),
    (builtins.Date, _date),
    (builtins.Time, _time),
    (builtins.Base64Binary, _base64),
    (builtins.HexBinary, _hex),
    (builtins.Duration, _duration),
)
