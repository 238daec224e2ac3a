"""A circuit breaker per system: a system that is down is left alone for a while.

States (delivery 27)::

    closed  -- half of the last 20 calls failed -->            open
    open    -- 30 s later -->                                  probing
    probing -- 3 calls succeeded --> closed;  one failed -->   open
    any     -- ConfigurationError -->                          blocked
    blocked -- `resume` (``check`` passed, or a person) -->    closed

`blocked` keeps wrong credentials from locking an account by being tried again.

Workers that share a store share the pauses: whoever trips tells the others, so a system
that is down is asked twenty times by all of them together, not by each, and its probes
stay few. What is *blocked* is not shared: no row that outlives its cause may say so.
That somebody put it right is: `resume` leaves a mark for the others, and each that was
blocked before it starts anew, once. Who is blocked again after that stays so until the
next mark, so a password that is wrong for one worker is tried once for each `check`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.resilience.quota import QuotaStore

State: TypeAlias = Literal["closed", "open", "probing", "blocked"]

_CALLS: Final = 20
_FAILURES: Final = 10
_PROBES: Final = 3

PAUSE: Final = 30.0
"""Seconds that a system is left alone."""

LOOK: Final = 0.25
"""Seconds between two looks at what other workers found out."""

WELL: Final = 3600.0
"""Seconds for which others can see that a system was found well."""


class Breaker:
    """Counts the calls of one system. Safe for threads.

    Args:
        system: Its name, for messages.
        clock: Monotonic seconds.
        pause: Seconds that it stays open.
        store: Shared with other workers; None to know only what happens here.
    """

    def __init__(
        self,
        system: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: float = PAUSE,
        store: QuotaStore | None = None,
    ) -> None:
        self.system = system
        self._clock = clock
        self._pause = pause
        self._store = store
        self._key = f"{system}/breaker"
        self._well = f"{system}/well"
        self._look_at = float("-inf")
        self._blocked_at = 0.0
        self._lock = threading.Lock()
        self._failed: deque[bool] = deque(maxlen=_CALLS)
        self._state: State = "closed"
        self._until = 0.0
        self._out = 0
        self._passed = 0
        self._cause = ""

    @property
    def state(self) -> State:
        """The state now."""
        with self._lock:
            self._advance()
            return self._state

    def enter(self) -> None:
        """Ask before a call; each permitted call ends with `record`, or `forget`.

        Raises:
            NotApplied: ``breaker.open``, with the seconds to wait; nothing was sent.
            ConfigurationError: ``breaker.blocked``, naming the code that blocked it.
        """
        elsewhere = self._told_elsewhere()
        self._unblock_if_well()
        with self._lock:
            self._check(elsewhere)
            if self._state == "probing":
                self._out += 1

    def check(self) -> None:
        """Say whether a call would be refused now, without making one.

        Raises:
            NotApplied: As `enter`.
            ConfigurationError: As `enter`.
        """
        elsewhere = self._told_elsewhere()
        self._unblock_if_well()
        with self._lock:
            self._check(elsewhere)

    def record(self, *, failed: bool) -> None:
        """Say how a permitted call ended: did the *system* fail?"""
        with self._lock:
            tripped = self._record(failed)
        if tripped:
            self._tell(self._pause)

    def forget(self) -> None:
        """A permitted call was ended by ourselves and says nothing about the system."""
        with self._lock:
            if self._state == "probing":
                self._out = max(0, self._out - 1)

    def _record(self, failed: bool) -> bool:
        """Count it; True if that was one failure too many."""
        before = self._state
        if before == "probing":
            self._out = max(0, self._out - 1)
            self._passed += not failed
            if failed:
                self._trip()
            elif self._passed >= _PROBES:
                self._close()
        elif before == "closed":
            self._failed.append(failed)
            if sum(self._failed) >= _FAILURES:
                self._trip()
        return self._state == "open" and before != "open"

    def block(self, code: str) -> None:
        """Stop all calls until `resume`; ``code`` of the error that says why."""
        with self._lock:
            self._state, self._cause = "blocked", code
            self._blocked_at = self._clock()

    def resume(self) -> None:
        """Start anew, in all workers: ``check`` passed, or a person said so."""
        with self._lock:
            self._close()
        self._tell(0.0)
        self._tell(WELL, self._well)

    def _unblock_if_well(self) -> None:
        """Start anew if somebody found the system well since it was blocked here."""
        with self._lock:
            blocked = self._state == "blocked"
        if self._store is None or not blocked:
            return
        left = self._store.wait(self._well)
        with self._lock:
            found = self._clock() + left - WELL  # when the mark was made
            if left > 0 and self._state == "blocked" and found > self._blocked_at:
                self._close()

    def _check(self, elsewhere: float) -> None:
        self._advance()
        if self._state == "blocked":
            raise self._blocked()
        if elsewhere > 0 and self._state != "open":
            self._state, self._until = "open", self._clock() + elsewhere
        if self._state == "open":
            raise self._open(self._until - self._clock())
        if self._state == "probing" and self._out + self._passed >= _PROBES:
            raise self._open(1.0)

    def _told_elsewhere(self) -> float:
        """Seconds for which another worker found that the system wants peace."""
        now = self._clock()
        if self._store is None or now < self._look_at:
            return 0.0
        self._look_at = now + LOOK
        return self._store.wait(self._key)

    def _tell(self, seconds: float, key: str | None = None) -> None:
        if self._store is not None:
            with contextlib.suppress(MoatbridgeError):  # they will find out themselves
                self._store.pause(key or self._key, seconds)

    def _advance(self) -> None:
        if self._state == "open" and self._clock() >= self._until:
            self._state, self._out, self._passed = "probing", 0, 0

    def _trip(self) -> None:
        self._state, self._until = "open", self._clock() + self._pause

    def _close(self) -> None:
        self._state, self._cause = "closed", ""
        self._failed.clear()

    def _open(self, wait: float) -> NotApplied:
        return NotApplied(
            f"System {self.system} failed too often; it is left alone for now.",
            code="breaker.open",
            system=self.system,
            retry_after=max(0.0, wait),
        )

    def _blocked(self) -> ConfigurationError:
        return ConfigurationError(
            f"System {self.system} is paused since {self._cause}; put that right, "
            "then run `moatbridge check` or resume it.",
            code="breaker.blocked",
            system=self.system,
            cause=self._cause,
        )
