"""Total deadlines for calls, kept by one thread for all of them.

A driver's own timeout counts from byte to byte, so a peer that drips outlives it.
Here every call has one total limit. At its end the watchdog thread marks the deadline
as fired and runs what the caller gave it: shut the sockets down, abort the driver. A
shut-down socket can look like a normal end of data, so callers ask `Watchdog.disarm`
whether the deadline fired *before* they believe a result (security 10-14).

State of a `Deadline`: armed -> done, or armed -> fired -> (stuck ->) done. Both moves
out of "armed" are made under the watchdog's lock, so they exclude each other.

The heap holds one entry per armed call. Disarming only marks the entry: the heap is
rebuilt when most of it is marked, which keeps arm and disarm at a few microseconds.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from moatbridge.resilience.heart import current

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE: Final = 5.0
"""Seconds after its deadline at which a call that did not come back is *stuck*."""

FLOOR: Final = 1000.0
"""Bytes a second that prolong a call, measured over `WINDOW`."""

WINDOW: Final = 30.0
"""Longest stretch, in seconds, that moved bytes can prolong a call by."""

CEILING: Final = 600.0
"""Seconds that moved bytes can prolong any call to; or `CEILING_FACTOR` times its own,
if that is longer. A peer that sends without end is not making progress."""

CEILING_FACTOR: Final = 20

_MANY_DEAD: Final = 64
_log = logging.getLogger("moatbridge.deadline")


class Deadline:
    """The limit of one call. Made by `Watchdog.arm`.

    Attributes:
        label: What is running (``hr scan``), for reports.
        fired: The limit passed while the call was out: discard what came back.
        stuck: It is out for 5 s more; only set while that lasts.
        moved: Bytes reported so far.
    """

    __slots__ = (
        "_at", "_expire", "_heart", "_latest", "_moved_since", "_quantum", "_window",
        "done", "fired", "label", "moved", "stuck",
    )  # fmt: skip

    def __init__(
        self,
        seconds: float,
        expire: Callable[[], None],
        *,
        label: str = "",
        floor: float = FLOOR,
        ceiling: float = CEILING,
    ) -> None:
        self.label: str = label
        self.fired: bool = False
        self.stuck: bool = False
        self.done: bool = False
        self.moved: int = 0
        now = time.monotonic()
        self._at = now + seconds
        self._latest = now + max(ceiling, CEILING_FACTOR * seconds)
        self._expire = expire
        self._heart = current()
        self._window = min(seconds, WINDOW)
        self._quantum = floor * self._window
        self._moved_since = 0

    def remaining(self) -> float:
        """Seconds left, at least 0; 0 once it fired."""
        return 0.0 if self.fired else max(0.0, self._at - time.monotonic())

    def progress(self, count: int) -> None:
        """Count bytes moved; each window's worth above the floor prolongs the call.

        Never beyond the ceiling, however much moves.
        """
        self.moved += count
        self._moved_since += count
        if self._moved_since >= self._quantum:
            self._moved_since = 0
            later = max(self._at, time.monotonic() + self._window)
            self._at = min(later, self._latest)


class Watchdog:
    """One daemon thread that ends calls at their deadline. Safe for threads.

    Args:
        grace: Seconds after a deadline until its call is reported as stuck.
    """

    def __init__(self, *, grace: float = GRACE) -> None:
        self._grace = grace
        self._wake = threading.Condition(threading.Lock())
        self._heap: list[tuple[float, int, Deadline]] = []
        self._order = itertools.count()
        self._dead = 0
        self._armed = 0
        self._thread: threading.Thread | None = None
        self._closed = False
        self._stuck: dict[Deadline, float] = {}

    def arm(
        self,
        seconds: float,
        expire: Callable[[], None],
        *,
        label: str = "",
        floor: float = FLOOR,
        ceiling: float = CEILING,
    ) -> Deadline:
        """Start a deadline.

        Args:
            seconds: Total time from now.
            expire: Called once on the watchdog's thread if the time runs out; must
                not block. What it raises is logged by type and dropped.
            label: What is running, for reports.
            floor: Bytes a second above which reported progress prolongs the call.
            ceiling: Seconds from now at which even a call that makes progress ends;
                at least 20 times ``seconds``.
        """
        deadline = Deadline(seconds, expire, label=label, floor=floor, ceiling=ceiling)
        if deadline._heart is not None:  # noqa: SLF001 - same module
            deadline._heart.began(deadline)  # noqa: SLF001 - same module
        with self._wake:
            self._armed += 1
            if self._thread is None:
                self._start()
            self._push(deadline, deadline._at)  # noqa: SLF001 - same module
        return deadline

    def disarm(self, deadline: Deadline) -> bool:
        """End a deadline; True if it had fired. Idempotent."""
        if deadline._heart is not None:  # noqa: SLF001 - same module
            deadline._heart.ended(deadline)  # noqa: SLF001 - same module
        with self._wake:
            if not deadline.done:
                deadline.done = True
                deadline.stuck = False
                self._armed -= 1
                self._stuck.pop(deadline, None)
                self._dead += 1
                if self._dead > _MANY_DEAD and self._dead * 2 > len(self._heap):
                    self._sweep()
                if self._closed:
                    self._wake.notify()
            return deadline.fired

    def stuck(self) -> list[tuple[str, float]]:
        """Label and seconds since the deadline of every call that never came back."""
        now = time.monotonic()
        with self._wake:
            return [(late.label, now - since) for late, since in self._stuck.items()]

    def close(self) -> None:
        """End the thread as soon as no call is out; those still end in time.

        A call that is made later (a lent connection coming back to be closed) has
        its deadline too: it starts a thread that ends with it.
        """
        with self._wake:
            self._closed = True
            thread = self._thread if self._armed == 0 else None
            self._wake.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)

    def _start(self) -> None:
        name = "moatbridge-watchdog"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _push(self, deadline: Deadline, at: float) -> None:
        first = self._heap[0][0] if self._heap else float("inf")
        heapq.heappush(self._heap, (at, next(self._order), deadline))
        if at < first:
            self._wake.notify()

    def _sweep(self) -> None:
        self._heap = [entry for entry in self._heap if not entry[2].done]
        heapq.heapify(self._heap)
        self._dead = 0

    def _run(self) -> None:
        while (late := self._next_expired()) is not None:
            if late.stuck:
                _log.error("%s is stuck: over its deadline and not back", late.label)
                continue
            try:
                late._expire()  # noqa: SLF001 - same module
            except Exception as error:  # noqa: BLE001 - the thread serves everybody
                name = type(error).__name__
                _log.error("ending %s failed (%s)", late.label, name)

    def _next_expired(self) -> Deadline | None:
        with self._wake:
            while not (self._closed and self._armed == 0):
                now = time.monotonic()
                if self._heap and self._heap[0][0] <= now:
                    late = self._judge(heapq.heappop(self._heap)[2], now)
                    if late is not None:
                        return late
                else:
                    wait = self._heap[0][0] - now if self._heap else None
                    self._wake.wait(wait)
            self._thread = None
            return None

    def _judge(self, deadline: Deadline, now: float) -> Deadline | None:
        if deadline.done:
            self._dead -= 1
            return None
        if deadline.fired:
            deadline.stuck = True
            self._stuck[deadline] = now - self._grace
            return deadline
        at = deadline._at  # noqa: SLF001 - same module
        if at > now:  # it made progress since it was pushed
            self._push(deadline, at)
            return None
        deadline.fired = True
        self._push(deadline, now + self._grace)
        return deadline
