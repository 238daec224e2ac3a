"""``window``: a range of time or numbers in steps."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import ConfigurationError
from moatbridge_soap.paging._base import PageFacts, Pager, capped, foreign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge_soap.config.operations import PageConfig

_BOUND: Final = 100_000


class Windows(Pager):
    """``window``: a range of time or numbers in steps; a full window is halved.

    Args:
        config: Paging settings.
        where: For messages.
        upper: Where the last window ends: the server's time, or ``page.to``.
    """

    holds = True

    def __init__(self, config: PageConfig, where: str, upper: Any) -> None:
        super().__init__(config, where)
        self._from = _bound(config.start, where)
        self._upper = upper if config.to is None else _bound(config.to, where)
        if type(self._from) is not type(self._upper):
            words = "from and to of the windows are not of one kind; set to"
            raise ConfigurationError(f"{where}: {words}.", code="soap.path")
        self._step = float(config.step or 1)
        self.again = False

    def values(self) -> Mapping[str, Any]:
        """The window's bounds."""
        return {
            "page.size": self.config.size,
            "window.from": self._from,
            "window.to": self._to(),
        }

    def turn(self, page: PageFacts) -> bool:
        """A full window is asked for again, halved; `again` says so."""
        self.again = page.count >= (self.config.cap or _BOUND)
        if self.again:
            self._halve()
            return True
        self.received += page.count
        self._from = self._to()
        self._step = float(self.config.step or 1)
        return bool(self._from < self._upper)

    def absent(self) -> bool:
        """Nothing in this window; the others are asked all the same."""
        return self.turn(PageFacts())

    def state(self) -> Any:
        """The next window and the end of all."""
        return {
            "from": _json(self._from),
            "to": _json(self._upper),
            "step": self._step,
        }

    def resume(self, state: Any) -> None:
        """See `Pager.resume`."""
        if not isinstance(state, dict) or {"from", "to"} - set(state):
            raise foreign(self.where)
        self._from = _bound(state["from"], self.where)
        self._upper = _bound(state["to"], self.where)
        step = state.get("step")
        if not isinstance(step, int | float) or step <= 0:
            raise foreign(self.where)
        self._step = float(step)

    def _to(self) -> Any:
        if isinstance(self._from, int):
            return min(self._upper, self._from + max(1, int(self._step)))
        return min(self._upper, self._from + dt.timedelta(seconds=self._step))

    def _halve(self) -> None:
        span = self._to() - self._from
        seconds = span if isinstance(span, int) else span.total_seconds()
        half = seconds // 2 if isinstance(span, int) else seconds / 2
        if half < self.config.min:
            raise capped(self.where, "even the shortest window is full")
        self._step = float(half)


def _bound(value: Any, where: str) -> Any:
    if isinstance(value, int):
        return value
    try:
        moment = dt.datetime.fromisoformat(str(value))
    except ValueError:
        words = f"{value!r} is neither a number nor a date"
        message = f"{where}: the window's bound {words}."
        raise ConfigurationError(message, code="soap.path") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _json(value: Any) -> Any:
    return value if isinstance(value, int) else value.isoformat()
