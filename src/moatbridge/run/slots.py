"""Slots: so many pieces of work at once, each on a thread that may never come back.

A thread cannot be ended from outside. Work that is stuck in a call beyond its deadline
loses its slot: the thread is left behind, the slot is gone until it comes back after
all, and whoever owns the slots decides when too many are gone (security 14). Threads
are daemons for that reason; `Slots.join` waits for those that move.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from moatbridge.resilience.heart import Heart, beating

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """A piece of work that came back: its result, or what it raised."""

    key: Hashable
    result: T | None
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class Lost:
    """A piece of work that is given up, and why in words."""

    key: Hashable
    why: str


class Slots(Generic[T]):
    """Runs work on threads. All methods are for one thread, that of the owner.

    Args:
        count: Pieces of work at once.
        patience: Seconds that a piece of work may be silent (see `Heart.stopped`).
        name: Of the threads.
    """

    def __init__(
        self, count: int, *, patience: float, name: str = "moatbridge-slice"
    ) -> None:
        self.count = count
        self._patience = patience
        self._name = name
        self._running: dict[Hashable, tuple[Heart, threading.Thread]] = {}
        self._lost: dict[int, Heart] = {}
        self._ended: SimpleQueue[tuple[Heart, Ended[T]] | None] = SimpleQueue()
        self._nudged = False

    @property
    def running(self) -> set[Hashable]:
        """Keys of the work that moves."""
        return set(self._running)

    @property
    def free(self) -> int:
        """How many more can be started."""
        return self.count - len(self._running) - len(self._lost)

    @property
    def lost(self) -> int:
        """How many slots are gone for now."""
        return len(self._lost)

    def start(self, key: Hashable, work: Callable[[], T]) -> None:
        """Begin a piece of work; its key must not be running."""
        heart = Heart()
        thread = threading.Thread(
            target=self._work, args=(key, heart, work), name=self._name, daemon=True
        )
        self._running[key] = heart, thread
        thread.start()

    def collect(self, timeout: float) -> list[Ended[T]]:
        """What came back; waits up to so many seconds for the first of it.

        What had lost its slot is not told; it gets the slot back. A `nudge` ends the
        wait.
        """
        found: list[Ended[T]] = []
        until = time.monotonic() + timeout
        while True:
            left = 0.0 if found else max(0.0, until - time.monotonic())
            try:
                came = self._ended.get(timeout=left) if left else self._now()
            except Empty:
                return found
            if came is None:
                self._nudged = False
                return found
            heart, ended = came
            if self._lost.pop(id(heart), None) is None:
                self._running.pop(ended.key, None)
                found.append(ended)

    def nudge(self) -> None:
        """End a wait in `collect`, now or next; from any thread or signal handler."""
        if not self._nudged:
            self._nudged = True
            self._ended.put(None)

    def give_up(self) -> list[Lost]:
        """Take the slots of what is stuck away; returns what lost one just now."""
        found = []
        for key, (heart, _thread) in list(self._running.items()):
            why = heart.stopped(self._patience)
            if why is not None:
                heart.lost = True
                del self._running[key]
                self._lost[id(heart)] = heart
                found.append(Lost(key, why))
        return found

    def join(self, seconds: float) -> bool:
        """Wait for what moves; True if nothing is left of it."""
        until = time.monotonic() + seconds
        while self._running and time.monotonic() < until:
            self.collect(min(0.2, max(0.0, until - time.monotonic())))
            self.give_up()
        return not self._running

    def _now(self) -> tuple[Heart, Ended[T]] | None:
        return self._ended.get_nowait()

    def _work(self, key: Hashable, heart: Heart, work: Callable[[], Any]) -> None:
        try:
            with beating(heart):
                ended: Ended[T] = Ended(key, work(), None)
        except BaseException as error:  # noqa: BLE001 - told to the owner
            ended = Ended(key, None, error)
        self._ended.put((heart, ended))
