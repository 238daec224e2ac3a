"""A circuit breaker per system: a system that is down is left alone for a while.

States (delivery 27)::

    closed  -- half of the last 20 calls failed -->            open
    open    -- 30 s later -->                                  probing
    probing -- 3 calls succeeded --> closed;  one failed -->   open
    any     -- ConfigurationError -->                          blocked
    blocked -- `resume` (``check`` passed, or a person) -->    closed

`blocked` keeps wrong credentials from locking an account by being tried again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from moatbridge.errors import ConfigurationError, NotApplied

if TYPE_CHECKING:
    from collections.abc import Callable

State: TypeAlias = Literal["closed", "open", "probing", "blocked"]

_CALLS: Final = 20
_FAILURES: Final = 10
_PAUSE: Final = 30.0
_PROBES: Final = 3


class Breaker:
    """Counts the calls of one system. Safe for threads.

    Args:
        system: Its name, for messages.
        clock: Monotonic seconds.
    """

    def __init__(
        self, system: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.system = system
        self._clock = clock
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
        """Ask before a call; each permitted call is followed by one `record`.

        Raises:
            NotApplied: ``breaker.open``, with the seconds to wait; nothing was sent.
            ConfigurationError: ``breaker.blocked``, naming the code that blocked it.
        """
        with self._lock:
            self._advance()
            if self._state == "blocked":
                raise self._blocked()
            if self._state == "open":
                raise self._open(self._until - self._clock())
            if self._state == "probing":
                if self._out + self._passed >= _PROBES:
                    raise self._open(1.0)
                self._out += 1

    def record(self, *, failed: bool) -> None:
        """Say how a permitted call ended: did the *system* fail?"""
        with self._lock:
            if self._state == "probing":
                self._out = max(0, self._out - 1)
                self._passed += not failed
                if failed:
                    self._trip()
                elif self._passed >= _PROBES:
                    self._close()
            elif self._state == "closed":
                self._failed.append(failed)
                if sum(self._failed) >= _FAILURES:
                    self._trip()

    def block(self, code: str) -> None:
        """Stop all calls until `resume`; ``code`` of the error that says why."""
        with self._lock:
            self._state, self._cause = "blocked", code

    def resume(self) -> None:
        """Start anew: ``check`` passed, or a person said so."""
        with self._lock:
            self._close()

    def _advance(self) -> None:
        if self._state == "open" and self._clock() >= self._until:
            self._state, self._out, self._passed = "probing", 0, 0

    def _trip(self) -> None:
        self._state, self._until = "open", self._clock() + _PAUSE

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
