"""Paging engines: which page comes next, and when the pass is over (soap 54-58).

Pure: a pager is told what a page held and answers with the next page's placeholders.
Its state is small JSON, so that a later session can go on (`Pager.state`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import Rejected
from moatbridge_soap.config.rules import fits
from moatbridge_soap.paging._base import PageFacts, Pager, capped, foreign
from moatbridge_soap.paging._windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moatbridge_soap.config.operations import PageConfig


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

    def absent(self) -> bool:
        """Behind the last page; unless rows that were announced did not come."""
        self.complete = self.total is None or self.total == self.received
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

    def absent(self) -> bool:
        """The cursor that we were given has died: what it led to was not read."""
        self.complete = self._cursor is None
        return False

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
        if done is not None:
            ended = fits(page.text(done.path), done.equals)
            token = None if ended else token
            self.complete = ended or token is not None  # not done, yet no way on
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
