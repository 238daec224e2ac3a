"""Signs of life of one piece of work: its calls, and when it last got anywhere.

A thread that is stuck in a driver must keep neither its lease nor its slot, and nothing
can end it from outside. So whoever renews a lease, or counts slots, asks the work's
`Heart` first (scale 12, security 14, 15). Calls find the heart of their work through a
context variable: a thread that works for a slice runs in a copy of its context.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.resilience.deadline import Deadline

_current: ContextVar[Heart | None] = ContextVar("moatbridge.heart", default=None)

STILL: Final = "no call and no commit"


class Heart:
    """What one piece of work is doing. Safe for threads."""

    __slots__ = ("_calls", "_last", "_lock", "lost")

    def __init__(self) -> None:
        self.lost: bool = False
        self._lock = threading.Lock()
        self._calls: list[Deadline] = []
        self._last = time.monotonic()

    def beat(self) -> None:
        """Something was achieved: a commit, a call that came back."""
        self._last = time.monotonic()

    def began(self, deadline: Deadline) -> None:
        """A call of this work is out."""
        with self._lock:
            self._calls.append(deadline)
        self.beat()

    def ended(self, deadline: Deadline) -> None:
        """It came back, in time or not."""
        with self._lock:
            if deadline in self._calls:
                self._calls.remove(deadline)
        self.beat()

    def stopped(self, patience: float) -> str | None:
        """Why this work is given up, in words; None while it moves.

        A call ends at its own deadline, so work that is inside one moves however long
        that deadline is. Between calls it must achieve something now and then.

        Args:
            patience: Seconds that may pass between two signs of life outside calls.
        """
        with self._lock:
            for deadline in self._calls:
                if deadline.stuck:
                    return f"{deadline.label} did not come back after its deadline"
            quiet = not self._calls and time.monotonic() - self._last > patience
        return STILL if quiet else None


def current() -> Heart | None:
    """The heart of the work that this thread belongs to."""
    return _current.get()


def beat() -> None:
    """The work that this thread belongs to achieved something, if it is anybody's."""
    heart = _current.get()
    if heart is not None:
        heart.beat()


@contextmanager
def beating(heart: Heart) -> Iterator[Heart]:
    """What this thread does in the block, and calls, are signs of life of ``heart``."""
    token = _current.set(heart)
    try:
        yield heart
    finally:
        _current.reset(token)
