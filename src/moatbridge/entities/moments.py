"""Converters of dates and times; entities hold RFC 3339 text in UTC (entities 5)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from moatbridge.entities.conversion import Converter
from moatbridge.entities.plain import Fault
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ISO: Final = "%Y-%m-%d"
_UNITS: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
_DIRECTIVES: Final = frozenset("dmYyHMSfzj%")
"""The others depend on the locale, or lose part of the moment."""
_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII
)


def instant(moment: datetime) -> str:
    """RFC 3339 text in UTC with ``Z``; a fraction only when it is not zero.

    Raises:
        Fault: The moment has no zone.
    """
    if moment.tzinfo is None:
        raise Fault(
            "a local time without zone; name one: via = {datetime = {zone = ...}}"
        )
    try:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise Fault("not a time in the years 1-9999") from None
    return f"{moment.isoformat(timespec='microseconds').rstrip('0').rstrip('.')}Z"


def moment(text: Any) -> datetime:
    """The moment that RFC 3339 text names, with its zone.

    Raises:
        Fault: It is not RFC 3339, or has no zone.
    """
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        raise Fault("not an RFC 3339 time with zone")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Fault("not a time") from None


def time_zone(name: str | None) -> ZoneInfo | None:
    """The zone of that IANA name; None for none.

    Raises:
        ConfigurationError: ``converter.arguments``: there is no such zone.
    """
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"There is no time zone {name!r}; use an IANA name (Europe/Berlin)."
        raise ConfigurationError(message, code="converter.arguments") from None


def dates(format: str | None = None) -> Converter:  # noqa: A002 - TOML argument
    """``date``: a date in that format, or a real `date`, <-> ``YYYY-MM-DD``."""
    _checked(format)
    return Converter(
        "date",
        partial(_date_in, format),
        partial(_date_out, format),
        reversible="yes" if format is None else "normalising",
        arguments={"format": format},
        version="1",
    )


def datetimes(format: str | None = None, zone: str | None = None) -> Converter:  # noqa: A002 - TOML argument
    """``datetime``: text in that format, or a real `datetime.datetime`, <-> an instant.

    Args:
        format: ``strptime`` format without names of days or months; None for
            `datetime` objects and ISO text.
        zone: IANA name for values without a zone; there is no default.
    """
    _checked(format)
    place = time_zone(zone)
    return Converter(
        "datetime",
        partial(_moment_in, format, place),
        partial(_moment_out, format, place),
        reversible="normalising",
        arguments={"format": format, "zone": zone},
        version="1",
    )


def epochs(unit: Literal["s", "ms", "us"] = "s") -> Converter:
    """``epoch``: a count since 1970 in that unit <-> an instant."""
    if unit not in _UNITS:
        message = f"Unit {unit!r} is unknown; use s, ms or us."
        raise ConfigurationError(message, code="converter.arguments")
    return Converter(
        "epoch",
        partial(_epoch_in, _UNITS[unit]),
        partial(_epoch_out, _UNITS[unit]),
        reversible="normalising",
        arguments={"unit": unit},
        version="1",
    )


def _checked(format_: str | None) -> None:
    used = set(re.findall(r"%(.?)", format_ or "", re.DOTALL))
    if wrong := sorted(used - _DIRECTIVES):
        message = (
            f"Format {format_!r} uses {', '.join('%' + each for each in wrong)}; only "
            "%d %m %Y %y %H %M %S %f %z %j are free of locale."
        )
        raise ConfigurationError(message, code="converter.arguments")


def _read(read: Callable[[], datetime], what: str) -> datetime:
    try:
        found = read()
    except (TypeError, ValueError, OverflowError):
        pass
    else:
        return found
    raise Fault(f"not a {what}")


def _date_in(format_: str | None, value: Any) -> str:
    if isinstance(value, datetime):
        raise Fault("a time, not a date")
    if isinstance(value, date):
        return value.isoformat()
    return _day(value, format_ or _ISO).isoformat()


def _date_out(format_: str | None, value: Any) -> str:
    found = _day(value, _ISO)
    return found.isoformat() if format_ is None else _written(found, format_)


def _day(value: Any, format_: str) -> date:
    found = _read(lambda: datetime.strptime(value, format_), "date")  # noqa: DTZ007 - only its date is used
    return found.date()


def _written(found: date, format_: str) -> str:
    # glibc does not pad %Y, and strptime wants four digits
    text = re.sub(
        r"%%|%Y", lambda m: f"{found.year:04}" if m[0] == "%Y" else "%%", format_
    )
    return found.strftime(text)


def _moment_in(format_: str | None, place: ZoneInfo | None, value: Any) -> str:
    if isinstance(value, datetime):
        found = value
    elif format_ is None:
        found = _read(lambda: datetime.fromisoformat(value), "time")
    else:
        found = _read(lambda: datetime.strptime(value, format_), "time")  # noqa: DTZ007 - zone follows
    if found.tzinfo is None and place is not None:
        found = found.replace(tzinfo=place)
    return instant(found)


def _moment_out(format_: str | None, place: ZoneInfo | None, value: Any) -> Any:
    try:
        found = moment(value).astimezone(place or UTC)
    except OverflowError:
        raise Fault("not a time in the years 1-9999") from None
    if format_ is None:
        return found.replace(tzinfo=None) if place else found
    return _written(found, format_)


def _epoch_in(scale: int, value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,20}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Fault("not a count since 1970")
    return instant(
        _read(lambda: _EPOCH + timedelta(microseconds=value * scale), "time")
    )


def _epoch_out(scale: int, value: Any) -> int:
    return (moment(value) - _EPOCH) // timedelta(microseconds=scale)
