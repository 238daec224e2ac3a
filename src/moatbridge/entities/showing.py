"""Converters that write a value for people to read, in posts; there is no way back.

They depend on no locale of the machine: what they write is fixed by their arguments.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities.conversion import Converter
from moatbridge.entities.moments import moment, time_zone
from moatbridge.entities.plain import Fault
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun",
    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
_ISO_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LONGEST: Final = 50
_SPACES: Final = {" ", "\u00a0", "\u202f", "'", "\u2019", ",", ".", "", "_"}


def moneys(
    currency: str = "", point: str = ".", group: str = ",", places: int = 2
) -> Converter:
    """``money``: an amount with grouped thousands: ``1,234.50``, ``1.234,50 EUR``.

    Digits are never rounded away: more than ``places`` of them are all shown.

    Args:
        currency: Written after the amount, with a space between.
        point: What stands before the decimals: ``.`` or ``,``.
        group: What stands between thousands.
        places: Digits after the point at least.
    """
    if point not in {".", ","} or group not in _SPACES or group == point:
        message = "money takes point '.' or ',' and another sign (or none) for groups."
        raise ConfigurationError(message, code="converter.arguments")
    if not 0 <= places <= 10:  # noqa: PLR2004 - digits
        message = "money takes 0 to 10 places."
        raise ConfigurationError(message, code="converter.arguments")
    arguments = {"currency": currency, "point": point, "group": group, "places": places}
    return Converter(
        "money",
        partial(_money, currency, point, group, places),
        arguments=arguments,
        version="1",
    )


def days(format: str | None = None, zone: str | None = None) -> Converter:  # noqa: A002 - TOML argument
    """``day``: a date or a moment as people write days: ``23 Jan 2026``.

    Args:
        format: Digits instead: ``%d.%m.%Y`` with ``%d``, ``%m``, ``%Y``, ``%y`` only.
        zone: IANA name of the zone whose day a moment is shown in; None: UTC. A
            moment without a zone is taken as it is.
    """
    if format is not None and set(re.findall(r"%(.?)", format)) - set("dmYy"):
        message = "day takes a format of %d, %m, %Y and %y."
        raise ConfigurationError(message, code="converter.arguments")
    place = time_zone(zone)
    return Converter(
        "day",
        partial(_day, format, place),
        arguments={"format": format, "zone": zone},
        version="1",
    )


def _money(currency: str, point: str, group: str, places: int, value: Any) -> str:
    number = _amount(value)
    shown = max(places, -int(number.as_tuple().exponent))
    text = f"{number:,.{shown}f}"
    text = text.replace(",", "\0").replace(".", point).replace("\0", group)
    return f"{text} {currency}" if currency else text


def _amount(value: Any) -> Decimal:
    number = None
    if isinstance(value, (str, int, Decimal)) and not isinstance(value, bool):
        try:
            number = Decimal(value)
        except (InvalidOperation, ValueError):
            number = None
    if number is None or not number.is_finite() or abs(number.adjusted()) > _LONGEST:
        raise Fault("not an amount (floats are refused)")
    return number


def _day(format_: str | None, place: ZoneInfo | None, value: Any) -> str:
    found = _date(value, place)
    if format_ is None:
        return f"{found.day} {_MONTHS[found.month - 1]} {found.year}"
    parts = {"d": f"{found.day:02}", "m": f"{found.month:02}"}
    parts |= {"Y": f"{found.year:04}", "y": f"{found.year % 100:02}"}
    return re.sub(r"%([dmYy])", lambda sign: parts[sign[1]], format_)


def _date(value: Any, place: ZoneInfo | None) -> date:
    if isinstance(value, str) and not _ISO_DAY.fullmatch(value):
        value = moment(value)
    if isinstance(value, datetime):
        return value.astimezone(place or UTC).date() if value.tzinfo else value.date()
    if isinstance(value, date):
        return value
    try:
        found = date.fromisoformat(value)
    except (TypeError, ValueError):
        pass
    else:
        return found
    raise Fault("not a day")
