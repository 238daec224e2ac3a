"""One call into an adapter: its gates, its deadline, and what its end means.

Whatever an adapter does, exactly one of these comes out (DESIGN 4, security 12):

* the result, if the call came back before its deadline;
* a typed error, told where it happened;
* ``NotApplied`` (read) or ``OutcomeUnknown`` (write) with code ``ADAPTER.deadline`` if
  the deadline fired, whatever came back afterwards;
* the same with code ``adapter.bug`` if something untyped escaped.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from moatbridge.adapter import Adapter
from moatbridge.errors import (
    ConfigurationError,
    MoatbridgeError,
    NotApplied,
    OutcomeUnknown,
)
from moatbridge.resilience.answers import BUG
from moatbridge.resilience.retry import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.resilience.breaker import Breaker
    from moatbridge.resilience.deadline import Deadline, Watchdog
    from moatbridge.resilience.net import SystemNet
    from moatbridge.resilience.quota import SystemQuota

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """What is being called.

    Args:
        name: Method of the adapter.
        seconds: Its total time.
        stream: Local name of the stream concerned.
        quota: Class of token bucket; None takes no token (nothing leaves, or seldom).
        write: True if it may have effects: then doubt means ``OutcomeUnknown``.
    """

    name: str
    seconds: float
    stream: str | None = None
    quota: str | None = None
    write: bool = False


class Caller:
    """Runs calls for one session. Used by one thread at a time.

    Args:
        system: Name of the system.
        net: The adapter's net; it learns the deadline of each call.
        watchdog: Ends calls at their deadline.
        floor: Bytes a second above which a call is prolonged.
        breaker: Of the system, or None.
        quota: Of the system, or None.
        stop: Ends waiting for quota.
    """

    def __init__(
        self,
        *,
        system: str,
        net: SystemNet,
        watchdog: Watchdog,
        floor: float,
        breaker: Breaker | None,
        quota: SystemQuota | None,
        stop: threading.Event,
    ) -> None:
        self.broken: bool = False
        self._system = system
        self._net = net
        self._watchdog = watchdog
        self._floor = floor
        self._breaker = breaker
        self._quota = quota
        self._stop = stop
        self._busy = threading.Lock()

    def run(
        self,
        adapter: Adapter[Any],
        call: Call,
        work: Callable[[], T],
        *,
        failed: Callable[[T], bool] = lambda _result: False,
    ) -> T:
        """Run ``work`` under the call's deadline.

        Args:
            adapter: What ``work`` talks to.
            call: What is being called.
            work: The call.
            failed: Whether a result tells, without an error, that the system failed.

        Raises:
            MoatbridgeError: See the module; always with system and stream.
            RuntimeError: Another thread is inside this session: a bug of the core.
        """
        if not self._busy.acquire(blocking=False):
            msg = f"two threads use one session of {self._system}"
            raise RuntimeError(msg)
        try:
            self._pass_gates(call)
            try:
                return self._run(adapter, call, work, failed)
            except MoatbridgeError:
                raise  # its end was recorded
            except BaseException:  # Ctrl-C, or a thread that could not be started
                self._ended_by_us()
                raise
        except MoatbridgeError as error:
            stream = f"{self._system}/{call.stream}" if call.stream else None
            raise error.at(system=self._system, stream=stream)  # noqa: B904 - itself
        finally:
            self._busy.release()

    def check(self, cls: str) -> None:
        """Ask breaker and quota whether a call would be refused now.

        Args:
            cls: Class of the call.

        Raises:
            MoatbridgeError: ``breaker.*`` or ``quota.wait``.
        """
        if self._breaker is not None:
            self._breaker.check()
        wait = 0.0 if self._quota is None else self._quota.wait(cls)
        if wait > PATIENCE:
            raise self._used_up(cls, wait)

    def quietly(self, adapter: Adapter[Any], seconds: float, work: Any) -> None:
        """Run a clean-up under a deadline; what it raises is nobody's business."""
        deadline = self._arm(adapter, "close", seconds)
        try:
            work()
        except Exception:  # noqa: BLE001 - nothing can be done about it any more
            self.broken = True
        finally:
            self.broken = self._disarm(deadline) or self.broken

    def _run(
        self,
        adapter: Adapter[Any],
        call: Call,
        work: Callable[[], T],
        failed: Callable[[T], bool],
    ) -> T:
        deadline = self._arm(adapter, call.name, call.seconds, call.quota or "read")
        failure: Exception | None = None
        result: T | None = None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - sorted out below
            failure = error
        finally:
            fired = self._disarm(deadline)
            self._pay(call)
        if fired:
            failure = self._overdue(adapter, call, deadline)
        if failure is None:
            self._ended(failed=failed(cast("T", result)))
            return cast("T", result)
        typed = self._typed(failure, adapter, call)
        self._failed(typed, call)
        if typed is failure:
            raise typed
        raise typed from failure

    def _pass_gates(self, call: Call) -> None:
        if self._quota is not None and call.quota is not None:
            self._await_token(self._quota, call.quota)
        if self._breaker is not None:
            self._breaker.enter()

    def _await_token(self, quota: SystemQuota, cls: str) -> None:
        until = time.monotonic() + PATIENCE
        while (wait := quota.take(cls)) > 0:
            if time.monotonic() + wait > until or self._stop.wait(wait):
                raise self._used_up(cls, wait)

    def _used_up(self, cls: str, wait: float) -> NotApplied:
        return NotApplied(
            f"The {cls} quota of system {self._system} is used up for now.",
            code="quota.wait",
            system=self._system,
            retry_after=wait,
        )

    def _arm(
        self, adapter: Adapter[Any], name: str, seconds: float, cls: str = "read"
    ) -> Deadline:
        label = f"{self._system} {name}"
        deadline = self._watchdog.arm(
            seconds, lambda: _end(adapter, self._net), label=label, floor=self._floor
        )
        self._net.deadline = deadline
        self._net.requests = 0
        if self._quota is not None:
            self._net.on_quota = partial(self._quota.report, cls)
        return deadline

    def _disarm(self, deadline: Deadline) -> bool:
        self._net.deadline = self._net.on_quota = None
        fired = self._watchdog.disarm(deadline)
        if not fired:
            self._net.forget_closed()
        return fired

    def _pay(self, call: Call) -> None:
        if self._quota is not None and call.quota is not None:
            self._quota.charge(call.quota, self._net.requests - 1)

    def _ended(self, *, failed: bool) -> None:
        if self._breaker is not None:
            self._breaker.record(failed=failed)

    def _ended_by_us(self) -> None:
        """Nothing was learnt about the system; its breaker must not wait for it."""
        self.broken = True
        if self._breaker is not None:
            self._breaker.forget()

    def _failed(self, error: MoatbridgeError, call: Call) -> None:
        throttled = isinstance(error, NotApplied) and error.retry_after is not None
        lost = isinstance(error, (NotApplied, OutcomeUnknown)) and not throttled
        refused = isinstance(error, ConfigurationError)
        if lost or refused:
            self.broken = True
        self._ended(failed=lost)
        if self._breaker is not None and refused:
            self._breaker.block(error.code)
        if throttled and self._quota is not None and isinstance(error, NotApplied):
            self._quota.report(call.quota or "read", retry_after=error.retry_after)

    def _typed(
        self, failure: Exception, adapter: Adapter[Any], call: Call
    ) -> MoatbridgeError:
        if not isinstance(failure, MoatbridgeError):
            return self._bug(failure, adapter, call)
        if isinstance(failure, OutcomeUnknown) and not call.write:
            return NotApplied(failure.message, code=failure.code)
        return failure

    def _bug(
        self, failure: Exception, adapter: Adapter[Any], call: Call
    ) -> MoatbridgeError:
        words = (
            f"The adapter {adapter.name} let {type(failure).__name__} out of "
            f"{call.name}; please report it to its author."
        )
        return self._doubt(call)(words, code=BUG)

    def _overdue(
        self, adapter: Adapter[Any], call: Call, deadline: Deadline
    ) -> MoatbridgeError:
        words = (
            f"{call.name} of system {self._system} was ended at its deadline of "
            f"{call.seconds:g} s after {deadline.moved} bytes; if the system is well, "
            f"raise `systems.{self._system}.deadline.call`."
        )
        return self._doubt(call)(words, code=f"{adapter.name}.deadline")

    @staticmethod
    def _doubt(call: Call) -> type[NotApplied | OutcomeUnknown]:
        return OutcomeUnknown if call.write else NotApplied


def _end(adapter: Adapter[Any], net: SystemNet) -> None:
    net.shut_down()
    if type(adapter).abort is not Adapter.abort:
        # A thread of its own: an `abort` that blocks must not stop the watchdog.
        threading.Thread(target=_abort, args=(adapter,), daemon=True).start()


def _abort(adapter: Adapter[Any]) -> None:
    try:
        adapter.abort()
    except Exception:  # noqa: BLE001 - the deadline has fired, whatever this says
        return
