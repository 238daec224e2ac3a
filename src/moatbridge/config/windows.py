"""``systems.NAME.windows``: at which times of day a system may be used (scale 2)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from moatbridge.config.table import Table
from moatbridge.errors import NotApplied

if TYPE_CHECKING:
    from collections.abc import Sequence

Day: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

_DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN: Final = re.compile(
    r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])"
)
_DAY: Final = 1440
_MINUTE: Final = 60.0
_WEEK: Final = 8 * _DAY


class Window(Table):
    """One time of day at which a system may not be used, or only then.

    Args:
        closed: ``not``: ``HH:MM-HH:MM`` in which nothing is asked of the system; it may
            pass midnight.
        only: The same form: the system is used in this time and in that of other
            windows with ``only``, and at no other.
        days: Days on which the time begins; empty: every day.
        zone: IANA name of the clock that is meant.
    """

    closed: str | None = Field(default=None, alias="not")
    only: str | None = None
    days: tuple[Day, ...] = ()
    zone: str = "UTC"

    @field_validator("closed", "only")
    @classmethod
    def _span(cls, text: str | None) -> str | None:
        if text is not None and _minutes(text) is None:
            msg = "must be a time of day such as 09:00-11:00"
            raise ValueError(msg)
        return text

    @field_validator("zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            msg = "there is no such time zone; use an IANA name such as Europe/Berlin"
            raise ValueError(msg) from None
        return name

    @model_validator(mode="after")
    def _one(self) -> Window:
        if (self.closed is None) == (self.only is None):
            msg = "needs either `not` or `only`"
            raise ValueError(msg)
        return self

    def covers(self, at: float) -> bool:
        """Whether the window's time holds at that POSIX time."""
        first, last = _minutes(self.closed or self.only or "") or (0, 0)
        here = datetime.fromtimestamp(at, ZoneInfo(self.zone))
        minute, today = here.hour * 60 + here.minute, here.weekday()
        if first < last:
            return first <= minute < last and self._on(today)
        late, early = minute >= first, minute < last
        return (late and self._on(today)) or (early and self._on(today - 1))

    def _on(self, weekday: int) -> bool:
        return not self.days or _DAYS[weekday % 7] in self.days


def _minutes(text: str) -> tuple[int, int] | None:
    """First and last minute of a day; None if the text is no time of day."""
    found = _SPAN.fullmatch(text.replace(" ", ""))
    if found is None:
        return None
    a, b, c, d = map(int, found.groups())
    last = c * 60 + d
    return None if last > _DAY or last == a * 60 + b else (a * 60 + b, last)


def usable(windows: Sequence[Window], at: float) -> bool:
    """Whether a system with these windows may be used at that POSIX time."""
    if any(each.closed is not None and each.covers(at) for each in windows):
        return False
    only = [each for each in windows if each.only is not None]
    return not only or any(each.covers(at) for each in only)


def opens_in(windows: Sequence[Window], at: float) -> float | None:
    """Seconds until such a system may be used; 0 if now, None if not within a week."""
    if usable(windows, at):
        return 0.0
    start = at - at % _MINUTE
    for minute in range(1, _WEEK):
        if usable(windows, start + minute * _MINUTE):
            return start + minute * _MINUTE - at
    return None


def refuse_closed(system: str, settings: Any, at: float) -> None:
    """Refuse to use a system outside its windows.

    Args:
        system: Its name, for the message.
        settings: Its `SystemConfig`.
        at: POSIX time.

    Raises:
        NotApplied: ``system.window``, with the seconds until it may be used.
    """
    if not settings.windows:
        return
    wait = opens_in(settings.windows, at)
    if wait == 0:
        return
    when = "not within a week" if wait is None else f"again in {wait / 60:.0f} min"
    raise NotApplied(
        f"System {system} may not be used now: `systems.{system}.windows` allows it "
        f"{when}.",
        code="system.window",
        system=system,
        retry_after=wait or 86400.0,
    )
