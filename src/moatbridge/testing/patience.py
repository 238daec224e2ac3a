"""Asking again, as the core does: a system may be busy now and then.

An adapter never repeats a call by itself. The suite repeats it where a check is about
something else: after `NotApplied`, so many times, and of a write only the records that
certainly were not applied.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moatbridge.errors import NotApplied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from moatbridge.adapter import Partition
    from moatbridge.changes import Batch, Cursor, Intent, Receipt

T = TypeVar("T")

TRIES: Final = 8
"""So often in a row may one call be turned away."""

LONGEST: Final = 2.0
"""Seconds that are waited at most, however long the system asks for."""

_CALLS: Final = frozenset(
    {
        *("discover", "fetch", "find", "probe", "search"),
        *("settle", "split", "streams", "traits"),
    }
)


def patiently(work: Callable[[], T]) -> T:
    """Do it again after `NotApplied`; the last error goes on as it came."""
    for number in range(TRIES - 1):
        try:
            return work()
        except NotApplied as error:
            wait(number, error.retry_after)
    return work()


def wait(number: int, asked: float | None) -> None:
    """Before the next try; not by ``time.sleep``, for which adapters are watched."""
    seconds = min(0.01 * 2**number, 0.1) if asked is None else asked
    threading.Event().wait(min(seconds, LONGEST))


class Patient:
    """An open adapter whose calls are asked again; else it looks like the adapter.

    Like the core it goes on with the same connection where the system named a time
    (``retry_after``), and with a new one otherwise. A pass goes on from its last
    cursor.

    Args:
        opened: Makes and opens an adapter.
    """

    __slots__ = ("_opened", "_spent", "real")

    def __init__(self, opened: Callable[[], Any]) -> None:
        self._opened = opened
        self._spent = False
        self.real: Any = patiently(opened)
        """The adapter itself."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # so that isinstance() sees the abilities
        return type(self.real)

    def __repr__(self) -> str:
        return repr(self.real)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.real, name)
        if name not in _CALLS:
            return found
        return lambda *args: self._ask(lambda: getattr(self.real, name)(*args))

    def scan(
        self, stream: str, partition: Partition, after: Cursor | None
    ) -> Iterator[Batch]:
        """As the adapter's, over as many tries as it takes."""
        return self._walk(lambda last: self.real.scan(stream, partition, last), after)

    def changes(self, stream: str, after: Cursor | None) -> Iterator[Batch]:
        """As the adapter's, over as many tries as it takes."""
        return self._walk(lambda last: self.real.changes(stream, last), after)

    def write(self, stream: str, intents: Sequence[Intent]) -> Sequence[Receipt]:
        """As the adapter's; what certainly was not applied is sent again."""
        receipts = list(self._ask(lambda: self.real.write(stream, intents)))
        for number in range(TRIES):
            late = [n for n, receipt in enumerate(receipts) if _unsent(receipt)]
            if not late or len(receipts) != len(intents):
                break
            if len(late) < len(receipts) and self.traits(stream).atomic_batch:
                break  # turned down as a whole, because of another record
            asked = [receipts[n].retry_after for n in late]
            self._spent = None in asked
            wait(
                number, max((each for each in asked if each is not None), default=None)
            )
            some = [intents[n] for n in late]
            again = list(self._ask(lambda some=some: self.real.write(stream, some)))  # type: ignore[misc]
            if len(again) != len(late):
                return again
            for n, receipt in zip(late, again, strict=True):
                receipts[n] = receipt
        return receipts

    def _walk(
        self, begin: Callable[[Cursor | None], Iterator[Batch]], after: Cursor | None
    ) -> Iterator[Batch]:
        same, failed = 0, 0  # batches since the cursor moved; tries without one
        while True:
            known = same
            try:
                self._renew()
                with contextlib.closing(_closable(begin(after))) as walk:
                    for batch in walk:
                        if known:
                            known -= 1
                            continue
                        same = same + 1 if batch.cursor == after else 0
                        after, failed = batch.cursor, 0
                        yield batch
            except NotApplied as error:
                self._spent = error.retry_after is None
                failed += 1
                if failed == TRIES:
                    raise
                wait(failed, error.retry_after)
            else:
                return

    def _ask(self, work: Callable[[], T]) -> T:
        def attempt() -> T:
            self._renew()
            try:
                return work()
            except NotApplied as error:
                self._spent = error.retry_after is None
                raise

        return patiently(attempt)

    def _renew(self) -> None:
        """A connection that failed is not used again."""
        if self._spent:
            with contextlib.suppress(Exception):  # a test of its own judges close()
                self.real.close()
            self.real = self._opened()
            self._spent = False


def _closable(walk: Iterator[Batch]) -> Any:
    """Adapters give generators; a plain iterator has nothing to be closed."""
    return walk if hasattr(walk, "close") else (batch for batch in walk)


def _unsent(receipt: Receipt) -> bool:
    return receipt.outcome == "not_applied" and receipt.reason != "stale"
