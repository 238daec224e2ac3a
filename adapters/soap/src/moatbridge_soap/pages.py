"""Pages of one pass: calls one after the other, items in bounded pieces as they come.

The next page is asked for only after the previous one was parsed to its end, so one
connection is enough; reading ahead is the core's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import Rejected
from moatbridge_soap.paging import NumberedPages, PageFacts, Windows, foreign
from moatbridge_soap.records import short
from moatbridge_soap.request import MISSING, inside

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from moatbridge_soap.call import Caller
    from moatbridge_soap.decode import Item
    from moatbridge_soap.operation import Operation
    from moatbridge_soap.paging import Pager
    from moatbridge_soap.reading import Reading
    from moatbridge_soap.streams import CompiledStream

PIECE: Final = 500
PIECE_BYTES: Final = 1024 * 1024


@dataclass(slots=True)
class Piece:
    """Some items of a page.

    Args:
        items: At most 500.
        ends_page: The page was read to its end.
        ends_pass: No page follows.
        reading: The call, for what else its answer says.
    """

    items: list[Item] = field(repr=False)
    ends_page: bool = False
    ends_pass: bool = False
    reading: Reading | None = None


class Pages:
    """One pass over the pages of ``list``, ``changes`` or ``deletes``.

    Args:
        caller: The connection.
        stream: The stream.
        table: Which of its tables.
        pager: The engine, perhaps resumed.
        values: Placeholders that are the same for all pages.
    """

    def __init__(
        self,
        caller: Caller,
        stream: CompiledStream,
        table: str,
        pager: Pager,
        values: Mapping[str, Any],
    ) -> None:
        self.pager = pager
        self._caller = caller
        self._stream = stream
        self._first = stream.operation(table)
        self._more = stream.more.get(table, self._first)
        self._values = values
        self._by = pager.config.by
        self._last_by: Any = None

    @property
    def operation(self) -> Operation:
        """The operation of the next page."""
        return self._more if self.pager.follows_on else self._first

    def __iter__(self) -> Iterator[Piece]:
        """Yield pieces until the pass is over; raises typed errors."""
        more = True
        while more:
            more = yield from self._page()
        if isinstance(self.pager, NumberedPages):
            self._check_drift(self.pager)

    def _page(self) -> Generator[Piece, None, bool]:
        operation = self.operation
        reading = self._caller.read(operation, {**self._values, **self.pager.values()})
        facts = PageFacts(text=reading.text)
        held: list[Item] = []
        first: Item | None = None
        item: Item | None = None
        start = 0
        for item in reading:
            first = item if first is None else first
            facts.count += 1
            if self._by is not None:
                self._check_order(facts, item)
            held.append(item)
            if self.pager.holds or not self._is_full(held, reading, start):
                continue
            # The newest item stays: only the page's end tells what follows it.
            yield Piece(held[:-1], reading=reading)
            held = held[-1:]
            start = reading.bytes
        facts.first, facts.last = self._digest(first), self._digest(item)
        more = self._turn(facts, reading)
        if isinstance(self.pager, Windows) and self.pager.again:
            held = []
        yield Piece(held, ends_page=True, ends_pass=not more, reading=reading)
        return more

    def _turn(self, facts: PageFacts, reading: Reading) -> bool:
        if reading.meaning == "absent":
            return self.pager.absent()
        return self.pager.turn(facts)

    @staticmethod
    def _is_full(held: list[Item], reading: Reading, start: int) -> bool:
        if len(held) > PIECE:
            return True
        return reading.bytes - start > PIECE_BYTES and len(held) > 1

    def _digest(self, item: Item | None) -> str:
        if item is None:
            return ""
        ref = self._stream.records.ref(item.record)
        return short(ref.key) if ref is not None else f"#{item.number}"

    def _check_order(self, facts: PageFacts, item: Item) -> None:
        value = inside(item.record, self._by or "")
        if value is MISSING or value is None:
            return
        try:
            rises = self._last_by is None or value > self._last_by
        except TypeError:
            rises = False
        if not rises:
            raise Rejected(
                f"{self._first.where}: {self._by} does not rise from item to item, so "
                "rows would be skipped. Sort by it in the service, or page otherwise.",
                code="soap.order",
            )
        facts.by = self._last_by = value

    def _check_drift(self, pager: NumberedPages) -> None:
        """Rows moved between pages if the total is another one now (soap 57)."""
        config = pager.config
        if config.total is None or pager.total is None or not pager.complete:
            return
        if pager.received <= config.size:
            return
        again = type(pager)(config, pager.where)
        reading = self._caller.read(self._first, {**self._values, **again.values()})
        for _ in reading:
            pass
        now = (reading.text(config.total) or "").strip()
        pager.complete = now == str(pager.total)


def state_of(after: Any, op: str, where: str) -> dict[str, Any]:
    """The adapter's own position, checked.

    Raises:
        CursorTooOld: ``soap.cursor``: it is not one of ours.
    """
    if not isinstance(after, dict) or after.get("op") != op:
        raise foreign(where)
    return after
