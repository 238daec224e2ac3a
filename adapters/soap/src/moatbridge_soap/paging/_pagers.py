"""Paging engines: which page comes next, and when the pass is over (soap 54-58).

Pure: a pager is told what a page held and answers with the next page's placeholders.
Its state is small JSON, so that a later session can go on (`Pager.state`).
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied, Rejected
from moatbridge_soap.config.rules import fits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moatbridge_soap.config.operations import PageConfig

_BOUND: Final = 100_000


@dataclass(slots=True)
class PageFacts:
    """What one page held.

    Args:
        count: Items, rejected ones included.
        first: Digest of the first item's key.
        last: Digest of the last item's key.
        values: Of the field that ``by`` names: the last item's value.
        text: Lexical text at a message path of the answer.
    """

    count: int = 0
    first: str = ""
    last: str = ""
    by: Any = None
    text: Callable[[str], str | None] = field(default=lambda _: None)


class Pager(ABC):
    """One pass over pages. Not shared between passes."""

    follows_on = False
    """The next page is another operation's (``more``)."""
    holds = False
    """A page's items are to be held until it is known to be whole (``window``)."""

    def __init__(self, config: PageConfig, where: str) -> None:
        self.config = config
        self.where = where
        self.complete = True
        self.received = 0
        self._guard = LoopGuard(where)

    @abstractmethod
    def values(self) -> Mapping[str, Any]:
        """Placeholders of the next request."""

    @abstractmethod
    def turn(self, page: PageFacts) -> bool:
        """Take note of a page; True if another one follows."""

    def state(self) -> Any:
        """JSON from which `resume` goes on with the next page."""
        return None

    def resume(self, state: Any) -> None:
        """Go on from a state.

        Raises:
            CursorTooOld: ``soap.cursor``: it is not one of ours.
        """
        del state
        raise foreign(self.where)

    def _note(self, page: PageFacts, token: Any = None) -> None:
        self.received += page.count
        self._guard.check(page, token)

    def _total(self, page: PageFacts) -> int | None:
        if self.config.total is None:
            return None
        text = (page.text(self.config.total) or "").strip()
        if not text.isdecimal() or len(text) > len(str(_BOUND**3)):
            raise NotApplied(
                f"{self.where}: the answer's total is missing or no number.",
                code="soap.value",
            )
        return int(text)


class LoopGuard:
    """Ends a pass that goes round in circles."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._tokens: set[int] = set()
        self._before: tuple[str, str, int] | None = None
        self._pages = 0

    def check(self, page: PageFacts, token: Any) -> None:
        """Note one page and the token of the next.

        Raises:
            Rejected: ``soap.paging-loop``.
        """
        self._pages += 1
        seen = (page.first, page.last, page.count)
        again = page.count > 0 and seen == self._before
        self._before = seen
        if token is not None:
            known = len(self._tokens)
            self._tokens.add(hash(token))
            again = again or len(self._tokens) == known
        if again or self._pages > _BOUND:
            raise Rejected(
                f"{self._where}: the pages go round in a circle after {self._pages} "
                "pages; nothing after them is read. Check page and the service.",
                code="soap.paging-loop",
            )


class SinglePage(Pager):
    """``none``: everything in one answer."""

    def values(self) -> Mapping[str, Any]:
        """The size only."""
        return {"page.size": self.config.size}

    def turn(self, page: PageFacts) -> bool:
        """Exactly ``cap`` items mean that rows were cut."""
        self._note(page)
        if self.config.cap is not None and page.count >= self.config.cap:
            raise capped(self.where, "the answer holds as many items as the cap")
        total = self._total(page)
        self.complete = total is None or total == self.received
        return False


class NumberedPages(Pager):
    """``page`` and ``offset``: positions in a list that may move meanwhile."""

    def __init__(self, config: PageConfig, where: str) -> None:
        super().__init__(config, where)
        self._number: int = config.first
        self._short = False
        self.total: int | None = None

    def values(self) -> Mapping[str, Any]:
        """Number, offset and size."""
        return {
            "page.size": self.config.size,
            "page.number": self._number,
            "page.offset": self.received,
        }

    def turn(self, page: PageFacts) -> bool:
        """An empty page ends it, or the total; a short page does not."""
        if page.count and self._short and self.config.kind == "page":
            words = "a page was short and another followed: page.size is too large"
            raise capped(self.where, words)
        self._note(page)
        self._short = page.count < self.config.size
        self._number += 1
        total = self._total(page)
        self.total = total if self.total is None else self.total
        if page.count and (total is None or self.received < total):
            return True
        self.complete = total is None or total == self.received
        return False

    def state(self) -> Any:
        """The next number, and how much came before."""
        return {
            "number": self._number,
            "received": self.received,
            "short": self._short,
            "total": self.total,
        }

    def resume(self, state: Any) -> None:
        """See `Pager.resume`."""
        self._number = _int(state, "number", self.where)
        self.received = _int(state, "received", self.where)
        self._short = bool(state.get("short"))
        self.total = state.get("total")


class CursorPages(Pager):
    """``cursor``: the answer says how to go on."""

    def __init__(self, config: PageConfig, where: str) -> None:
        super().__init__(config, where)
        self._cursor: str | None = None

    def values(self) -> Mapping[str, Any]:
        """Size, and the cursor from the second page on."""
        found: dict[str, Any] = {"page.size": self.config.size}
        if self._cursor is not None:
            found["page.cursor"] = self._cursor
        return found

    def turn(self, page: PageFacts) -> bool:
        """No cursor, or an empty one, is the end."""
        token = page.text(self.config.next or "") or None
        self._note(page, token)
        self._cursor = token
        if token is None:
            total = self._total(page)
            self.complete = total is None or total == self.received
        return token is not None

    def state(self) -> Any:
        """The server's cursor."""
        return {"cursor": self._cursor, "received": self.received}

    def resume(self, state: Any) -> None:
        """See `Pager.resume`."""
        self._cursor = _str(state, "cursor", self.where)
        self.received = _int(state, "received", self.where)


class MorePages(CursorPages):
    """``more``: another operation continues, with a token (queryMore)."""

    @property
    def follows_on(self) -> bool:  # type: ignore[override]
        """True from the second page on."""
        return self._cursor is not None

    def turn(self, page: PageFacts) -> bool:
        """``done``, or no token, is the end."""
        done, token = self.config.done, page.text(self.config.token or "") or None
        if done is not None and fits(page.text(done.path), done.equals):
            token = None
        # The token of such services may stay the same: the rows must differ then.
        self._note(page)
        self._cursor = token
        return token is not None


class LastKeyPages(Pager):
    """``last``: the next page begins after the last item's value."""

    def __init__(self, config: PageConfig, where: str) -> None:
        super().__init__(config, where)
        self._last: str | None = None

    def values(self) -> Mapping[str, Any]:
        """Size, and the last value from the second page on."""
        found: dict[str, Any] = {"page.size": self.config.size}
        if self._last is not None:
            found[f"page.last.{self.config.by}"] = self._last
        return found

    def turn(self, page: PageFacts) -> bool:
        """An empty page is the end."""
        self._note(page)
        if not page.count:
            return False
        if page.by is None:
            words = f"the last item has no {self.config.by}"
            raise Rejected(f"{self.where}: {words}.", code="soap.order")
        self._last = str(page.by)
        return True

    def state(self) -> Any:
        """The last value."""
        return {"last": self._last, "received": self.received}

    def resume(self, state: Any) -> None:
        """See `Pager.resume`."""
        self._last = _str(state, "last", self.where)
        self.received = _int(state, "received", self.where)


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


def pager_for(config: PageConfig, where: str, upper: Callable[[], Any]) -> Pager:
    """The engine of a ``page`` table.

    Args:
        config: The table.
        where: For messages.
        upper: Asked for the end of the last window.
    """
    if config.kind == "window":
        return Windows(config, where, None if config.to is not None else upper())
    return _ENGINES[config.kind](config, where)


_ENGINES: Final[dict[str, type[Pager]]] = {
    "none": SinglePage,
    "page": NumberedPages,
    "offset": NumberedPages,
    "cursor": CursorPages,
    "more": MorePages,
    "last": LastKeyPages,
}


def capped(where: str, words: str) -> ConfigurationError:
    """Rows were cut off."""
    message = f"{where}: {words}. Ask for less at once (page.size, or page windows)."
    return ConfigurationError(message, code="soap.cap")


def foreign(where: str) -> CursorTooOld:
    """A position that this configuration never gave out."""
    message = f"{where}: the position is not one of this configuration; scan again."
    return CursorTooOld(message, code="soap.cursor", reason="other-query")


def _int(state: Any, name: str, where: str) -> int:
    found = state.get(name) if isinstance(state, dict) else None
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise foreign(where)
    return found


def _str(state: Any, name: str, where: str) -> str:
    found = state.get(name) if isinstance(state, dict) else None
    if not isinstance(found, str):
        raise foreign(where)
    return found


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
