"""Group commit: many waiting deliveries, one durable transaction (gateway 41).

One thread takes everything that is waiting (at most 200), inserts it in one
transaction, wakes the flows that read it, and only then tells the waiting requests.
While it commits, the next group gathers by itself; nobody waits for a timer.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.errors import MoatbridgeError, NotApplied
from moatbridge.ledger import inbox
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.ledger import Ledger

GROUP: Final = 200
"""Deliveries of one transaction."""

WAITING: Final = 4096
"""Deliveries that may wait for the writer; more are told to come back."""

_log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    delivery: inbox.Delivery
    loop: asyncio.AbstractEventLoop
    told: asyncio.Future[bool]


class InboxWriter:
    """The one writer of a process.

    Args:
        ledger: Where deliveries are kept.
        readers: System -> names of the flows to wake when it has sent something.
    """

    def __init__(self, ledger: Ledger, readers: Mapping[str, Sequence[str]]) -> None:
        self.commits: int = 0
        self._ledger = ledger
        self._readers = readers
        self._queue: deque[_Waiting] = deque()
        self._ready = threading.Condition()
        self._stopping = False
        # A host that does not run our lifespan never stops us, and must be able to
        # end; what waits then was not acknowledged, and its sender keeps it.
        self._thread = threading.Thread(
            target=self._run, name="moatbridge-inbox", daemon=True
        )

    @property
    def alive(self) -> bool:
        """Whether deliveries can be taken."""
        return self._thread.is_alive() and not self._stopping

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is waiting and end. Blocks until it is done."""
        with self._ready:
            self._stopping = True
            self._ready.notify()
        if self._thread.is_alive():
            self._thread.join()

    async def keep(self, delivery: inbox.Delivery) -> bool:
        """Keep a delivery; returns when it is durable. True if it was new.

        Raises:
            NotApplied: It is not kept: ``gateway.busy``, ``ledger.unavailable``.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(delivery, loop, loop.create_future())
        with self._ready:
            if self._stopping or len(self._queue) >= WAITING:
                words = "The inbox takes nothing right now; the sender may try again."
                raise NotApplied(words, code="gateway.busy", retry_after=2.0)
            self._queue.append(waiting)
            self._ready.notify()
        return await waiting.told

    def _run(self) -> None:
        while group := self._taken():
            try:
                new: Sequence[bool] = self._commit([w.delivery for w in group])
                failure = None
            except MoatbridgeError as error:
                new, failure = (), error
            except Exception as error:  # noqa: BLE001 - every request is told, whatever it was
                _log.error("the inbox could not be written: %s", type(error).__name__)
                words = "The inbox could not be written; the sender may try again."
                new, failure = (), NotApplied(words, code="gateway.inbox")
            _tell(group, new, failure)

    def _taken(self) -> list[_Waiting]:
        with self._ready:
            while not self._queue and not self._stopping:
                self._ready.wait()
            count = min(len(self._queue), GROUP)
            return [self._queue.popleft() for _ in range(count)]

    def _commit(self, deliveries: Sequence[inbox.Delivery]) -> Sequence[bool]:
        ledger = self._ledger
        crash_point("inbox.before")
        with ledger.write() as tx:
            new = inbox.insert(tx, ledger.scope, deliveries)
            systems = {delivery.system for delivery in deliveries}
            names = {n for s in systems for n in self._readers.get(s, ())}
            inbox.wake(tx, ledger.scope, sorted(names))
            crash_point("inbox.in")
        self.commits += 1
        crash_point("inbox.kept")
        return new


def _tell(
    group: Sequence[_Waiting], new: Sequence[bool], failure: MoatbridgeError | None
) -> None:
    """Wake the requests, with one call for each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[_Waiting, bool]]] = {}
    for number, waiting in enumerate(group):
        known = not failure and bool(new[number])
        loops.setdefault(waiting.loop, []).append((waiting, known))
    for loop, ended in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, ended, failure)


def _settle(
    ended: Sequence[tuple[_Waiting, bool]], failure: MoatbridgeError | None
) -> None:
    for waiting, new in ended:
        if waiting.told.done():
            continue  # its request was cancelled; the row stays, the sender repeats
        if failure is not None:
            waiting.told.set_exception(failure)
        else:
            waiting.told.set_result(new)
