"""A wire that breaks: nothing is cut short silently, nothing hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable  # noqa: TC003 - the table below needs it
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from moatbridge.adapter import CanScan, CanWrite
from moatbridge.config.systems import DeadlineConfig
from moatbridge.errors import MoatbridgeError, NotApplied, OutcomeUnknown
from moatbridge.testing.conformance.base import ConformanceBase, requires
from moatbridge.testing.network import core_session
from moatbridge.testing.patience import patiently
from moatbridge.testing.proxy import Fault, FaultProxy
from moatbridge.testing.stage import MANY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.adapter import Partition
    from moatbridge.changes import Intent, Receipt
    from moatbridge.resilience.session import Session
    from moatbridge.testing.harness import Harness
    from moatbridge.testing.stage import Stage

PATIENCE = 30.0
"""Seconds after which a call counts as hanging."""

DEADLINES = (0.3, 1.0, 5.0)
"""Seconds that the core gives the call that is held up; not those before it. The next
one is tried where a slow machine did not get as far as being held up."""

_DELAYS: Final = {
    "stall": Fault(stall_after=10),
    "drip": Fault(drip=1, latency=0.2),
}

_BREAKS: Final[dict[str, Callable[[int], Fault]]] = {
    "reset": lambda count: Fault(reset_after=count),
    "end": lambda count: Fault(cut_answer=count),
}


class Network(ConformanceBase):
    """Through a `FaultProxy`; needs the feature ``network``."""

    @pytest.fixture
    def proxy(self, harness: Harness) -> Iterator[FaultProxy]:
        """A proxy before the harness's server."""
        assert harness.endpoint is not None, "the feature 'network' needs an endpoint"
        with FaultProxy(*harness.endpoint) as proxy:
            yield proxy

    @requires("network", CanScan)
    @pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
    @pytest.mark.parametrize("how", list(_BREAKS))
    def test_an_interrupted_scan_never_completes(
        self, stage: Stage, proxy: FaultProxy, how: str, share: float
    ) -> None:
        """A broken connection is an error, never the end of the data."""
        stage.seed(MANY)

        def undisturbed() -> int:
            whole, part = reader(stage, proxy)
            proxy.fault = Fault()
            stage.scan(whole, part)
            total = proxy.passed
            whole.close()
            return total

        total = patiently(undisturbed)
        adapter, part = reader(stage, proxy)
        proxy.fault = _BREAKS[how](int(total * share))
        complete: list[bool] = []
        with pytest.raises(MoatbridgeError):
            complete.extend(b.complete for b in adapter.scan(stage.name, part, None))
        assert not any(complete)

    @requires("network", CanScan)
    def test_a_stalled_call_is_freed_by_abort(
        self, stage: Stage, proxy: FaultProxy
    ) -> None:
        """From another thread, with a typed error, and abort never raises."""
        stage.seed(MANY)

        def stalled() -> tuple[Any, _Call]:
            proxy.fault = Fault()
            adapter, part = reader(stage, proxy)
            proxy.fault = Fault(stall_after=10)
            call = _Call(proxy, lambda: stage.scan(adapter, part))
            call.judge_early_end()
            return adapter, call

        adapter, call = patiently(stalled)
        error = call.freed(adapter)
        assert isinstance(error, MoatbridgeError), repr(type(error))
        adapter.abort()

    @requires("network")
    def test_a_reset_at_connect_is_not_applied(
        self, stage: Stage, proxy: FaultProxy
    ) -> None:
        """Before anything was said, certainly nothing happened."""
        proxy.fault = Fault(refuse=True)
        adapter = stage.make(endpoint=proxy.endpoint)
        with pytest.raises(NotApplied):
            first_use(adapter)

    @requires("network", CanWrite)
    def test_a_lost_answer_is_never_called_not_applied(
        self, stage: Stage, proxy: FaultProxy
    ) -> None:
        """Bytes had left: only what certainly did not happen may be called so."""
        intents = stage.creates(stage.harness.sample(1))
        adapter = writer(stage, proxy)
        proxy.fault = Fault(reset_after=0)
        outcome = outcome_of(stage, adapter, intents)
        proxy.fault = Fault()
        adapter.close()
        assert outcome in {"unknown", "not_applied"}, outcome
        if outcome == "not_applied":
            assert stage.present() == [], "it was applied"

    @requires("network", CanWrite, "keyed")
    def test_repeating_after_a_lost_answer_has_one_effect(
        self, stage: Stage, proxy: FaultProxy
    ) -> None:
        """What the core does after an unknown outcome, on a new connection."""
        records = stage.harness.sample(2)
        intents = stage.creates(records)
        adapter = writer(stage, proxy)
        proxy.fault = Fault(reset_after=0)
        outcome_of(stage, adapter, intents)
        proxy.fault = Fault()
        adapter.close()
        starts_anew(stage, proxy)
        again = stage.write(stage.open(endpoint=proxy.endpoint), intents)
        assert [receipt.outcome for receipt in again] == ["applied"] * 2
        assert stage.present() == stage.values(records)

    @requires("network", CanScan)
    @pytest.mark.parametrize("how", list(_DELAYS))
    def test_the_cores_deadline_ends_a_scan(
        self, stage: Stage, proxy: FaultProxy, how: str
    ) -> None:
        """A stall and a drip of bytes both end on time, as `NotApplied`."""
        stage.seed(MANY)

        def scan(session: Session) -> Callable[[], object]:
            part = session.split(stage.name, 1)[0]
            return lambda: list(session.scan(stage.name, part))

        error = _held_up(stage, proxy, _DELAYS[how], scan)
        assert isinstance(error, NotApplied), repr(error)
        assert error.code.endswith(".deadline"), error

    @requires("network", CanWrite)
    def test_the_cores_deadline_ends_a_write(
        self, stage: Stage, proxy: FaultProxy
    ) -> None:
        """What was sent and never answered is unknown, on time."""
        receipts: list[Receipt] = []

        def write(session: Session) -> Callable[[], object]:
            intents = stage.creates(stage.harness.sample(1))
            session.traits(stage.name)
            receipts.clear()
            return lambda: receipts.extend(session.write(stage.name, intents))

        error = _held_up(stage, proxy, Fault(stall_after=0), write)
        assert error is None, repr(error)
        assert [receipt.outcome for receipt in receipts] == ["unknown"]

    @requires("network")
    def test_the_cores_deadline_ends_open(
        self, stage: Stage, proxy: FaultProxy
    ) -> None:
        """A peer that accepts and says nothing cannot hold us."""
        proxy.fault = Fault(blackhole=True)
        adapter = stage.make(endpoint=proxy.endpoint)
        seconds = DEADLINES[0]
        with core_session(adapter, seconds=seconds, tls=adapter.net.tls) as session:
            call = _Call(proxy, lambda: first_use(session))
            assert isinstance(call.over(), NotApplied), repr(call.error)


class _Call:
    """A call in a thread of its own, and what became of it."""

    def __init__(self, proxy: FaultProxy, work: Callable[[], Any]) -> None:
        self.error: BaseException | None = None
        self.held: bool = False
        self._proxy = proxy
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - the test judges it
            self.error = error

    def judge_early_end(self) -> None:
        """Wait until the call is stuck; `NotApplied` before that is tried again."""
        ends = time.monotonic() + PATIENCE
        while not self._proxy.stuck.wait(0.02) and time.monotonic() < ends:
            if not self._thread.is_alive():
                break
        if not self._proxy.stuck.is_set() and isinstance(self.error, NotApplied):
            raise self.error
        assert self._proxy.stuck.is_set(), "the call never asked the server"

    def over(self) -> BaseException | None:
        """Wait for the call's end; the core has its own means."""
        self._thread.join(PATIENCE)
        self._check("the deadline did not end the call")
        return self.error

    def freed(self, adapter: Any) -> BaseException | None:
        """Do what the core does at a deadline until the call is over."""
        ends = time.monotonic() + PATIENCE
        while self._thread.is_alive() and time.monotonic() < ends:
            adapter.abort()
            adapter.net.cut()
            self._thread.join(0.05)
        self._check("abort did not end the call")
        return self.error

    def _check(self, words: str) -> None:
        hangs = self._thread.is_alive()
        self.held = self._proxy.stuck.is_set() or self._proxy.passed > 0
        self._proxy.fault = Fault()  # or the clearing up would hang as well
        self._thread.join(PATIENCE)
        assert not hangs, words


def _held_up(
    stage: Stage,
    proxy: FaultProxy,
    fault: Fault,
    prepare: Callable[[Session], Callable[[], object]],
) -> BaseException | None:
    """What a call raises whose answer is held up until the core's deadline.

    Connecting and what ``prepare`` does first have all the time they need.
    """
    error: BaseException | None = None
    for seconds in DEADLINES:
        held_up = partial(_tried, stage, proxy, fault, prepare, seconds)
        call = patiently(held_up)
        error = call.error
        if call.held:
            return error
    return error


def _tried(
    stage: Stage,
    proxy: FaultProxy,
    fault: Fault,
    prepare: Callable[[Session], Callable[[], object]],
    seconds: float,
) -> _Call:
    proxy.fault = Fault()
    adapter = stage.make(endpoint=proxy.endpoint)
    with core_session(adapter, seconds=PATIENCE, tls=adapter.net.tls) as session:
        session.open()
        work = prepare(session)
        session.deadlines = DeadlineConfig(call=seconds)
        proxy.fault = fault
        began = time.monotonic()
        call = _Call(proxy, work)
        error = call.over()
    if isinstance(error, NotApplied) and time.monotonic() - began < seconds:
        raise error  # the system was busy before the fault could show
    return call


def reader(stage: Stage, proxy: FaultProxy) -> tuple[Any, Partition]:
    """An open adapter behind the proxy, and the whole stream as one partition."""

    def ready() -> tuple[Any, Partition]:
        adapter = stage.bare(endpoint=proxy.endpoint)
        return adapter, stage.one(adapter)

    return patiently(ready)


def writer(stage: Stage, proxy: FaultProxy) -> Any:
    """An open adapter behind the proxy that knows what it promises."""

    def ready() -> Any:
        adapter = stage.bare(endpoint=proxy.endpoint)
        adapter.traits(stage.name)
        return adapter

    return patiently(ready)


def first_use(adapter: Any) -> None:
    """Of an adapter or a session: some dial in one, some in the other."""
    adapter.open()
    adapter.probe()


def starts_anew(stage: Stage, proxy: FaultProxy) -> None:
    """A new instance speaks to the server, whatever became of the one before."""

    def attempt() -> None:
        before, adapter = proxy.passed, stage.make(endpoint=proxy.endpoint)
        try:
            first_use(adapter)
        except NotApplied:
            assert proxy.passed > before, (
                "a new instance was given a dead connection: what failed once is "
                "closed, never kept for the next one"
            )
            raise
        finally:
            adapter.close()

    patiently(attempt)


def outcome_of(stage: Stage, adapter: Any, intents: list[Intent]) -> str:
    """What a write says became of its first intent, however it says so."""
    try:
        receipts: list[Receipt] = stage.write(adapter, intents)
    except OutcomeUnknown:
        return "unknown"
    except NotApplied:
        return "not_applied"
    return receipts[0].outcome
