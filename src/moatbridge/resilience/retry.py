"""Repeating calls that certainly had no effect: three times, and only just.

`tenacity` does the counting, always with an explicit stop and wait (its default never
stops and never waits). Retries are paid from a budget per system, so that a system in
trouble gets at most a tenth more calls than usual (delivery 27). A peer that asks for
more patience than `PATIENCE` gets it from the flow: waiting here would spend a slot on
sleeping (scale 44).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_any,
    stop_when_event_set,
    wait_random_exponential,
)
from tenacity.nap import sleep_using_event
from tenacity.stop import stop_base

from moatbridge.errors import NotApplied

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

ATTEMPTS: Final = 3
PATIENCE: Final = 2.0
"""Longest wait inside a call, in seconds."""

_FIRST_WAIT: Final = 0.5
_SHARE: Final = 0.1
_RESERVE: Final = 10.0


class RetryBudget:
    """Retries that one system may still be asked: a tenth of its calls.

    Safe for threads. Starts with ten, and never holds more.
    """

    def __init__(self, *, share: float = _SHARE, reserve: float = _RESERVE) -> None:
        self._share = share
        self._reserve = reserve
        self._left = reserve
        self._lock = threading.Lock()

    def earn(self) -> None:
        """Count one call."""
        with self._lock:
            self._left = min(self._reserve, self._left + self._share)

    def spend(self) -> bool:
        """Pay for one retry; False if there is nothing left to pay with."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True


class Retry:
    """Repeats calls that raise `NotApplied`. Safe for threads.

    Args:
        stop: Set it to end every wait; the last error is raised then.
        budget: Of the system; None makes one.
        attempts: Calls at most, the first one included.
        first_wait: Upper bound of the first random wait, in seconds; it doubles.
    """

    def __init__(
        self,
        *,
        stop: threading.Event | None = None,
        budget: RetryBudget | None = None,
        attempts: int = ATTEMPTS,
        first_wait: float = _FIRST_WAIT,
    ) -> None:
        self.stop: threading.Event = stop or threading.Event()
        self.budget: RetryBudget = budget or RetryBudget()
        self._attempts = attempts
        self._jitter = wait_random_exponential(first_wait, max=PATIENCE)

    def __call__(self, work: Callable[[], T]) -> T:
        """Run ``work``, again where that is safe, and return its result.

        Raises:
            Whatever the last attempt raised; if a gate refused it, the one before,
            which says why.
        """
        self.budget.earn()
        try:
            return work()  # as a rule all there is to it; counting costs more
        except NotApplied as error:
            first = error
        return self._again(work, first)

    def _again(self, work: Callable[[], T], first: NotApplied) -> T:
        """Go on after the first attempt, which raised ``first``."""
        failed: NotApplied | None = None
        over = False

        def attempt() -> T:
            nonlocal failed, over
            try:
                if failed is None:
                    raise first
                return work()
            except NotApplied as error:
                if failed is not None and _refused(error):
                    over = True
                    raise failed from failed.__cause__
                failed = error
                raise

        retrying = Retrying(
            stop=stop_any(  # in this order: the last attempt must not be paid for
                stop_after_attempt(self._attempts),
                stop_when_event_set(self.stop),
                _OutOfBudget(self.budget),
            ),
            wait=self._wait,
            retry=retry_if_exception(lambda e: not over and self._may_repeat(e)),
            sleep=sleep_using_event(self.stop),
            reraise=True,
        )
        return retrying(attempt)

    def _may_repeat(self, error: BaseException) -> bool:
        return (
            isinstance(error, NotApplied)
            and (error.retry_after or 0.0) <= PATIENCE
            and not _refused(error)
        )

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, NotApplied) else None
        return max(asked or 0.0, self._jitter(state))


def _refused(error: NotApplied) -> bool:
    """Whether a gate of ours refused the call: nothing was asked."""
    return error.code.startswith(("breaker.", "quota."))


class _OutOfBudget(stop_base):
    def __init__(self, budget: RetryBudget) -> None:
        self._budget = budget

    def __call__(self, retry_state: RetryCallState) -> bool:
        del retry_state
        return not self._budget.spend()
