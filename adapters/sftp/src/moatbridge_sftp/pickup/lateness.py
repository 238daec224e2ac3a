"""When the next file is due, by ``expect.every`` and ``expect.by`` (sftp 28). Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from moatbridge_sftp.rules import Expect

_DAY: Final = 86_400.0


def due(expect: Expect, last: float) -> float | None:
    """When a file is late that follows one of that time; None if nobody expects any.

    Args:
        expect: The stream's settings.
        last: When the last file came, in seconds since 1970.
    """
    if expect.every is None:
        return None
    if expect.by is None:
        return last + expect.every
    zone = ZoneInfo(expect.zone)
    day = datetime.fromtimestamp(last, zone).date()
    day += timedelta(days=math.ceil(expect.every / _DAY))
    return datetime.combine(day, time.fromisoformat(expect.by), zone).timestamp()


def overdue(expect: Expect, last: float, now: float) -> str:
    """The sentence about a file that is late, without its full stop; else nothing."""
    expected = due(expect, last)
    if expected is None or now <= expected:
        return ""
    return (
        f"a file is late: the last one came {_minute(last)}, the next one was due "
        f"{_minute(expected)}; ask the supplier"
    )


def _minute(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
