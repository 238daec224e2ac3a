"""One call at a time through a wire that fails: what comes out, when, and what is left.

The hang matrix of `moatbridge.testing.conformance`: calls (opening, reading, fetching,
writing) times ways to fail, at places spread over the undisturbed call's answers.
Several cells run at once, each with a proxy and a session of its own, since most of
them only wait for a deadline.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from moatbridge.config.systems import DeadlineConfig
from moatbridge.errors import MoatbridgeError, NotApplied, OutcomeUnknown
from moatbridge.testing.faults import Fault
from moatbridge.testing.network import core_session
from moatbridge.testing.patience import TRIES, patiently, wait
from moatbridge.testing.proxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.adapter import Adapter
    from moatbridge.changes import Receipt
    from moatbridge.resilience.session import Session

STRICT: Final = os.environ.get("MOATBRIDGE_HANGS") == "strict"
"""One cell at a time, within half a second of the deadline; prints what it measured."""

LIMIT: Final = 0.4
"""Seconds of the call that is held up; everything before it may take its time."""

MARGIN: Final = 0.5 if STRICT else 5.0
"""Seconds after its deadline by which a call is over; a loaded machine gets more."""

PATIENCE: Final = 60.0
AT_ONCE: Final = 1 if STRICT else 6

_WAYS: Final[dict[str, Callable[[int], Fault]]] = {
    "stall": lambda count: Fault(stall_after=count),
    "flood": lambda count: Fault(flood_after=count),
    "reset": lambda count: Fault(reset_after=count),
    "end": lambda count: Fault(cut_answer=count),
    "silence": lambda _count: Fault(blackhole=True),
    "drip": lambda _count: Fault(drip=1, latency=0.02),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One way to fail at one place.

    Args:
        how: ``stall``, ``drip`` (byte by byte, from the start), ``flood`` (endless),
            ``reset``, ``end`` (in good order), ``silence`` (accepts, says nothing).
        share: Place: this share of the bytes that the undisturbed call is answered.
    """

    how: str
    share: float = 0.0

    def __str__(self) -> str:
        return f"{self.how} at {self.share:.0%}"


@dataclass(slots=True)
class Ending:
    """How a call ended.

    Args:
        cell: What went wrong with the wire.
        seconds: How long the call took.
        error: What it raised.
        result: What it returned.
        whole: What the undisturbed call returned.
        broken: Whether the session will not use the connection again.
        said: Bytes of answers that came through.
    """

    cell: Cell
    seconds: float = 0.0
    error: BaseException | None = None
    result: Any = None
    whole: Any = None
    broken: bool = False
    said: int = 0


@dataclass(slots=True)
class Matrix:
    """Runs the cells of one call.

    Args:
        endpoint: The server.
        make: Makes an adapter that is not open, for an address to dial.
        prepare: Done before, with all the time it needs; returns the call. Told the
            number of the cell, or -1 for the undisturbed call.
        opens: The call opens the session itself.
    """

    endpoint: tuple[str, int]
    make: Callable[[tuple[str, int]], Adapter[Any]]
    prepare: Callable[[Session, int], Callable[[], Any]]
    opens: bool = False

    def run(self, cells: Sequence[Cell]) -> list[Ending]:
        """Run every cell; the endings are in the order of the cells."""
        whole = patiently(self._undisturbed)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            endings = list(
                threads.map(
                    lambda number: self._tried(number, cells[number], whole.said),
                    range(len(cells)),
                )
            )
        for ending in endings:
            ending.whole = whole.result
        return endings

    def _undisturbed(self) -> Ending:
        whole = self._one(-1, Cell("none"), 0)
        if whole.error is not None:
            raise whole.error
        return whole

    def _tried(self, number: int, cell: Cell, total: int) -> Ending:
        """Again where the system named a time: that is its own word, not the wire's."""
        ending = Ending(cell)
        for attempt in range(TRIES):
            ending = patiently(lambda: self._one(number, cell, total))
            asked = getattr(ending.error, "retry_after", None)
            if asked is None:
                break
            wait(attempt, asked)
        return ending

    def _one(self, number: int, cell: Cell, total: int) -> Ending:
        ending = Ending(cell)
        with contextlib.ExitStack() as stack:
            proxy = stack.enter_context(FaultProxy(*self.endpoint))
            adapter = self.make(proxy.endpoint)
            session = stack.enter_context(
                core_session(adapter, seconds=PATIENCE, tls=adapter.net.tls)
            )
            stack.callback(_heal, proxy)
            if not self.opens:
                session.open()
            call = self.prepare(session, number)
            if cell.how in _WAYS:
                session.deadlines = DeadlineConfig(call=LIMIT)
                proxy.fault = _WAYS[cell.how](int(total * cell.share))
            else:
                proxy.fault = Fault()
            began = time.monotonic()
            # A call that nothing ends shall be late, not for ever.
            mercy = threading.Timer(2 * (LIMIT + MARGIN) + 1, _heal, [proxy])
            stack.callback(mercy.cancel)
            mercy.start()
            try:
                ending.result = call()
            except MoatbridgeError as error:
                ending.error = error
            ending.seconds = time.monotonic() - began
            ending.broken, ending.said = session.broken, proxy.passed
        return ending


def _heal(proxy: FaultProxy) -> None:
    proxy.fault = Fault()  # or the clearing up would hang as well


def late(ending: Ending, calls: int = 1) -> str | None:
    """What is wrong with the time a call took; each of ``calls`` has a deadline."""
    if ending.seconds <= calls * (LIMIT + MARGIN):
        return None
    return f"{ending.cell}: over only after {ending.seconds:.1f} s"


def misjudged_read(ending: Ending) -> str | None:
    """A wire that failed is `NotApplied`, never the end of the data.

    Bytes that mean nothing may also be told as settings that do not fit. What failed
    behind the last byte that matters (an acknowledged close) did no harm.
    """
    error = ending.error
    if error is None:
        same = ending.result == ending.whole
        return None if same else f"{ending.cell}: less than the whole, but no error"
    allowed = MoatbridgeError if ending.cell.how == "flood" else NotApplied
    if not isinstance(error, allowed) or isinstance(error, OutcomeUnknown):
        return f"{ending.cell}: {type(error).__name__} {getattr(error, 'code', '')}"
    if isinstance(error, NotApplied) and not ending.broken:
        return f"{ending.cell}: the connection would be used again"
    return None


def misjudged_write(ending: Ending, *, there: bool) -> str | None:
    """Only what certainly did not happen may be called so, and what did, did."""
    outcome = _outcome(ending)
    wrong = {"applied": not there, "not_applied": there, "unknown": False}
    if wrong.get(outcome, True):
        return f"{ending.cell}: {outcome}, and the record is there: {there}"
    if outcome == "unknown" and not ending.broken:
        return f"{ending.cell}: the connection would be used again"
    return None


def table(name: str, endings: Sequence[Ending]) -> str:
    """What was measured, one line a cell."""
    rows = [
        f"{name:<40} {ending.cell!s:<16} {ending.seconds:6.2f} s  {_words(ending)}"
        for ending in endings
    ]
    return "\n".join(rows)


def _outcome(ending: Ending) -> str:
    if isinstance(ending.error, OutcomeUnknown):
        return "unknown"
    if isinstance(ending.error, NotApplied):
        return "not_applied"
    if ending.error is not None:
        return type(ending.error).__name__
    receipts: Sequence[Receipt] = ending.result
    return receipts[0].outcome


def _words(found: Any) -> str:
    if isinstance(found, Ending):
        error = found.error
        if error is not None:
            return f"{type(error).__name__} {getattr(error, 'code', '')}"
        return _words(found.result)
    return f"{len(found)} results" if isinstance(found, list) else str(found)
