from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from moatbridge.resilience.deadline import Deadline, Watchdog

if TYPE_CHECKING:
    import pytest


def wait_for(condition, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "condition did not come true"
        threading.Event().wait(0.005)


def test_fires_at_its_time_and_only_once_11(watchdog: Watchdog) -> None:
    fired: list[float] = []
    started = time.monotonic()
    deadline = watchdog.arm(0.1, lambda: fired.append(time.monotonic() - started))
    wait_for(lambda: fired)
    assert watchdog.disarm(deadline) is True
    assert watchdog.disarm(deadline) is True
    assert fired[0] >= 0.1
    assert deadline.remaining() == 0


def test_disarmed_never_fires(watchdog: Watchdog) -> None:
    fired = threading.Event()
    while watchdog.disarm(watchdog.arm(0.1, fired.set)):  # a machine that stood still
        fired.clear()
    assert not fired.wait(0.2)


def test_an_earlier_deadline_overtakes_a_later_one(watchdog: Watchdog) -> None:
    order: list[str] = []
    slow = watchdog.arm(60, lambda: order.append("slow"))
    fast = watchdog.arm(0.05, lambda: order.append("fast"))
    wait_for(lambda: order)
    assert order == ["fast"]
    watchdog.disarm(slow)
    watchdog.disarm(fast)


def test_progress_above_the_floor_prolongs_10(watchdog: Watchdog) -> None:
    fired = threading.Event()
    deadline = watchdog.arm(1, fired.set, floor=1000)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        deadline.progress(1000)  # far above the floor, so that only a long stop ends it
        assert not fired.wait(0.02)
    assert fired.wait(30)
    assert watchdog.disarm(deadline)


def test_no_progress_prolongs_beyond_the_ceiling_10(watchdog: Watchdog) -> None:
    fired = threading.Event()
    started = time.monotonic()
    deadline = watchdog.arm(0.02, fired.set, floor=1000, ceiling=0)
    while not fired.wait(0.002):
        deadline.progress(100_000)
        assert time.monotonic() - started < 30
    assert time.monotonic() - started >= 0.4
    assert watchdog.disarm(deadline)


@given(st.floats(0.1, 3600), st.integers(1, 50))
def test_the_ceiling_is_ten_minutes_or_twenty_times_the_call_10(
    seconds: float, rounds: int
) -> None:
    started = time.monotonic()
    deadline = Deadline(seconds, lambda: None, floor=1)
    for _ in range(rounds):
        deadline.progress(1 << 30)
    ceiling = max(600.0, 20 * seconds)
    assert deadline._at <= deadline._latest
    assert 0 <= deadline._latest - started - ceiling < 5


def test_a_drip_below_the_floor_does_not_prolong_10(watchdog: Watchdog) -> None:
    fired = threading.Event()
    started = time.monotonic()
    deadline = watchdog.arm(0.2, fired.set, floor=1000)
    while not fired.wait(0.02):
        deadline.progress(1)
        assert time.monotonic() - started < 30
    assert watchdog.disarm(deadline)


def test_a_call_that_does_not_come_back_is_reported_as_stuck_14(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dog = Watchdog(grace=0.05)
    deadline = dog.arm(0.02, lambda: None, label="hr scan")
    wait_for(dog.stuck)
    assert dog.stuck()[0][0] == "hr scan"
    assert dog.stuck()[0][1] >= 0.05
    wait_for(lambda: caplog.records)
    assert "hr scan is stuck" in caplog.text
    dog.disarm(deadline)
    assert dog.stuck() == []
    dog.close()


def test_a_failing_abort_does_not_stop_the_watchdog(
    watchdog: Watchdog, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ValueError("a value that must not be shown")

    first = watchdog.arm(0.01, broken, label="hr open")
    fired = threading.Event()
    second = watchdog.arm(0.05, fired.set)
    assert fired.wait(30)
    assert "ValueError" in caplog.text
    assert "must not be shown" not in caplog.text
    watchdog.disarm(first)
    watchdog.disarm(second)


def test_the_heap_stays_small_however_many_calls(watchdog: Watchdog) -> None:
    for _ in range(20_000):
        watchdog.disarm(watchdog.arm(30, lambda: None))
    assert len(watchdog._heap) < 200
    assert sum(t.name == "moatbridge-watchdog" for t in threading.enumerate()) == 1


def test_a_closed_watchdog_still_ends_the_calls_that_are_out() -> None:
    dog = Watchdog()
    fired = threading.Event()
    out = dog.arm(0.1, fired.set)
    thread = dog._thread
    dog.close()
    assert fired.wait(30)
    dog.disarm(out)
    thread.join(30)
    assert not thread.is_alive()
    fired.clear()
    late = dog.arm(0.05, fired.set)
    assert fired.wait(30)
    assert dog.disarm(late)
    wait_for(lambda: dog._thread is None)


@given(
    st.lists(st.integers(0, 5000), max_size=30),
    st.floats(0.1, 30),
    st.floats(1, 1e6),
)
def test_progress_never_shortens(
    moves: list[int], seconds: float, floor: float
) -> None:
    deadline = Deadline(seconds, lambda: None, floor=floor)
    ends = deadline._at
    for count in moves:
        deadline.progress(count)
        assert deadline._at >= ends
        ends = deadline._at
    assert deadline.moved == sum(moves)
    if sum(moves) < floor * min(seconds, 30):
        assert deadline._at <= ends
