"""XML Schema's lexical forms, read strictly (XML Schema 1.0 part 2, section 3).

Each function takes the text of a value and returns a plain Python value, or raises
`ValueError`; it never guesses and never returns None. Messages hold no value. A
quick look at what most values are like comes first; the patterns say what is right.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_SPACE: Final = " \t\r\n"
_DIGITS: Final = 4300  # security 6: digits of one number
_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)", re.ASCII)
_FLOAT: Final = re.compile(
    r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII
)
_ZONE: Final = r"(Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)?"
_DATE: Final = re.compile(rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}){_ZONE}", re.ASCII)
_CLOCK: Final = r"((?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})(\.[0-9]+)?"
_TIME: Final = re.compile(_CLOCK + _ZONE, re.ASCII)
_MOMENT: Final = re.compile(
    rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T){_CLOCK}{_ZONE}", re.ASCII
)
_DURATION: Final = re.compile(
    r"-?P(?=[0-9T])(?:[0-9]+Y)?(?:[0-9]+M)?(?:[0-9]+D)?"
    r"(?:T(?=[0-9])(?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9]+(?:\.[0-9]+)?S)?)?",
    re.ASCII,
)
_DAY: Final = len("2026-03-01")
_UTC: Final = len("2026-03-01T08:00:00Z")
_PRECISION: Final = 6  # digits of a second that Python keeps; more are cut
_BOOLEAN: Final = {"true": True, "1": True, "false": False, "0": False}
_INFINITE: Final = {"INF": math.inf, "-INF": -math.inf, "NaN": math.nan}


def string(text: str) -> str:
    """``xsd:string``: as it stands."""
    return text


def token(text: str) -> str:
    """``xsd:token`` and its kin: white space collapsed."""
    return " ".join(text.split(None)) if text.isascii() else _collapsed(text)


def normalized(text: str) -> str:
    """``xsd:normalizedString``: tabs and line ends become spaces."""
    return text.translate({9: 32, 10: 32, 13: 32})


def boolean(text: str) -> bool:
    """``true false 1 0`` and nothing else."""
    found = _BOOLEAN.get(text)
    if found is None:
        found = _BOOLEAN.get(text.strip(_SPACE))
    if found is None:
        raise ValueError("not an xsd:boolean")
    return found


def integer(text: str) -> int:
    """ASCII digits with an optional sign."""
    if text.isdigit() and text.isascii() and len(text) <= _DIGITS:
        return int(text)
    if _INTEGER.fullmatch(text := text.strip(_SPACE)) and len(text) <= _DIGITS:
        return int(text)
    raise ValueError("not an xsd:integer")


def decimal(text: str) -> Decimal:
    """Digits and at most one point: no exponent, no NaN, no infinity."""
    if _DECIMAL.fullmatch(text := text.strip(_SPACE)) and len(text) <= _DIGITS:
        return Decimal(text)
    raise ValueError("not an xsd:decimal")


def floating(text: str) -> float:
    """``xsd:float`` and ``xsd:double``, with ``INF``, ``-INF`` and ``NaN``."""
    text = text.strip(_SPACE)
    if _FLOAT.fullmatch(text):
        return float(text)
    if text in _INFINITE:
        return _INFINITE[text]
    raise ValueError("not an xsd:double")


def date(text: str) -> dt.date:
    """A calendar day; its zone, if it has one, says nothing about the day."""
    if len(text) == _DAY and text[4::3] == "--":
        return dt.date.fromisoformat(text)
    found = _DATE.fullmatch(text.strip(_SPACE))
    if found is None:
        raise ValueError("not an xsd:date")
    return dt.date.fromisoformat(found[1])


def datetime(text: str) -> dt.datetime:
    """A moment, with its own offset kept; naive if it has none.

    More than 6 digits of a second are cut off. ``24:00:00`` and years outside
    1 to 9999 are refused.
    """
    if len(text) == _UTC and text[4::3] == "--T::Z" and text[11:13] < "24":
        return dt.datetime.fromisoformat(text)
    found = _MOMENT.fullmatch(text := text.strip(_SPACE))
    if found is None:
        raise ValueError("not an xsd:dateTime")
    if found[3] is None:
        return dt.datetime.fromisoformat(text)
    return dt.datetime.fromisoformat(found[1] + _clock(found[2], found[3], found[4]))


def time(text: str) -> dt.time:
    """A time of day, with its own offset kept."""
    found = _TIME.fullmatch(text.strip(_SPACE))
    if found is None:
        raise ValueError("not an xsd:time")
    return dt.time.fromisoformat(_clock(found[1], found[2], found[3]))


def duration(text: str) -> str:
    """ISO 8601 text, as it stands: months have no length."""
    if _DURATION.fullmatch(text := text.strip(_SPACE)):
        return text
    raise ValueError("not an xsd:duration")


def base64_binary(text: str) -> bytes:
    """Base64 with white space allowed, everything else validated."""
    try:
        return base64.b64decode("".join(text.split()).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not xsd:base64Binary") from None


def hex_binary(text: str) -> bytes:
    """Pairs of hexadecimal digits."""
    try:
        return binascii.unhexlify(text.strip(_SPACE).encode("ascii"))
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not xsd:hexBinary") from None


def words(convert: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """``xsd:list`` of a simple type: items between white space."""

    def read(text: str) -> list[Any]:
        return [convert(word) for word in text.split()]

    return read


def _clock(clock: str, fraction: str | None, zone: str | None) -> str:
    cut = "" if fraction is None else fraction[: _PRECISION + 1]
    return f"{clock}{cut.ljust(_PRECISION + 1, '0') if cut else ''}{zone or ''}"


def _collapsed(text: str) -> str:
    # XML's white space is these four characters; a no-break space is text.
    return " ".join(word for word in re.split(f"[{_SPACE}]+", text) if word)
