from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from moatbridge.adapter import Quota
from moatbridge.errors import ConfigurationError, NotApplied, OutcomeUnknown, Rejected
from moatbridge.resilience.breaker import Breaker
from moatbridge.resilience.quota import Bucket, MemoryQuotas, SystemQuota
from moatbridge.resilience.retry import Retry, RetryBudget


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Failing:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_three_attempts_then_the_last_error_27() -> None:
    errors = [NotApplied(str(number)) for number in range(5)]
    work = Failing(*errors)
    with pytest.raises(NotApplied) as caught:
        Retry(first_wait=0.001)(work)
    assert caught.value is errors[2]
    assert work.calls == 3


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknown("x"),
        Rejected("x"),
        ConfigurationError("x"),
        KeyError("x"),
        NotApplied("x", retry_after=2.5),
        NotApplied("x", code="breaker.open"),
        NotApplied("x", code="quota.wait"),
    ],
)
def test_only_what_is_safe_and_soon_is_repeated_27(error: Exception) -> None:
    work = Failing(error)
    with pytest.raises(type(error)):
        Retry(first_wait=0.001)(work)
    assert work.calls == 1


def test_retry_after_is_obeyed() -> None:
    started = time.monotonic()
    assert Retry(first_wait=0.001)(Failing(NotApplied("x", retry_after=0.1))) == "done"
    assert time.monotonic() - started >= 0.1


def test_retries_take_from_a_budget_of_a_tenth_27() -> None:
    budget = RetryBudget(reserve=2)
    retry = Retry(budget=budget, first_wait=0.0001)
    for expected in (3, 1, 1):
        work = Failing(*[NotApplied("x")] * 5)
        with pytest.raises(NotApplied):
            retry(work)
        assert work.calls == expected
    for _ in range(20):
        retry(Failing())
    work = Failing(*[NotApplied("x")] * 5)
    with pytest.raises(NotApplied):
        retry(work)
    assert work.calls == 3


def test_a_call_in_order_pays_nothing() -> None:
    budget = RetryBudget(reserve=1)
    retry = Retry(budget=budget, attempts=1)
    for _ in range(5):
        with pytest.raises(NotApplied):
            retry(Failing(NotApplied("x")))
    assert budget.spend()


def test_stop_ends_the_wait() -> None:
    stop = threading.Event()
    stop.set()
    work = Failing(*[NotApplied("x", retry_after=2)] * 3)
    started = time.monotonic()
    with pytest.raises(NotApplied):
        Retry(stop=stop)(work)
    assert work.calls == 1
    assert time.monotonic() - started < 2


def fail(breaker: Breaker, count: int) -> None:
    for _ in range(count):
        breaker.enter()
        breaker.record(failed=True)


def test_opens_at_half_of_the_last_twenty_27() -> None:
    breaker = Breaker("hr", clock=Clock())
    for _ in range(20):
        breaker.enter()
        breaker.record(failed=False)
    fail(breaker, 9)
    assert breaker.state == "closed"
    fail(breaker, 1)
    assert breaker.state == "open"


def test_old_failures_are_forgotten() -> None:
    breaker = Breaker("hr", clock=Clock())
    for _ in range(5):
        fail(breaker, 9)
        for _ in range(20):
            breaker.record(failed=False)
    assert breaker.state == "closed"


def test_three_probes_after_thirty_seconds_27() -> None:
    clock = Clock()
    breaker = Breaker("hr", clock=clock)
    fail(breaker, 10)
    with pytest.raises(NotApplied) as caught:
        breaker.enter()
    assert caught.value.code == "breaker.open"
    assert caught.value.retry_after == 30
    clock.now += 30
    assert breaker.state == "probing"
    for _ in range(3):
        breaker.enter()
    with pytest.raises(NotApplied):
        breaker.enter()
    for _ in range(3):
        breaker.record(failed=False)
    assert breaker.state == "closed"


def test_a_failed_probe_opens_again() -> None:
    clock = Clock()
    breaker = Breaker("hr", clock=clock)
    fail(breaker, 10)
    clock.now += 31
    fail(breaker, 1)
    assert breaker.state == "open"
    clock.now += 29
    assert breaker.state == "open"


def test_blocked_until_a_person_resumes_27() -> None:
    clock = Clock()
    breaker = Breaker("hr", clock=clock)
    breaker.block("ldap.auth")
    clock.now += 1e6
    with pytest.raises(ConfigurationError) as caught:
        breaker.enter()
    assert caught.value.code == "breaker.blocked"
    assert "ldap.auth" in str(caught.value)
    breaker.resume()
    breaker.enter()
    assert breaker.state == "closed"


@given(st.lists(st.booleans(), max_size=80))
def test_breaker_opens_exactly_when_ten_of_twenty_failed(results: list[bool]) -> None:
    breaker = Breaker("hr", clock=Clock())
    for index, failed in enumerate(results):
        assert breaker.state == "closed"
        breaker.enter()
        breaker.record(failed=failed)
        if sum(results[max(0, index - 19) : index + 1]) >= 10:
            assert breaker.state == "open"
            return
    assert breaker.state == "closed"


class BucketModel(RuleBasedStateMachine):
    """Whatever the clock does, no window grants more than rate and burst allow."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = Quota(rate=5, burst=10)
        self.bucket = Bucket(10, 0.0)
        self.now = 0.0
        self.highest = 0.0
        self.granted = 0

    @rule(seconds=st.floats(-5, 5))
    def step(self, seconds: float) -> None:
        self.now = max(0.0, self.now + seconds)
        self.highest = max(self.highest, self.now)

    @rule(count=st.integers(1, 10))
    def take(self, count: int) -> None:
        wait = self.bucket.take(self.now, self.limit, count)
        assert wait >= 0
        self.granted += count if wait == 0 else 0

    @rule()
    def wait_and_take(self) -> None:
        wait = self.bucket.take(self.now, self.limit, 1)
        if wait:
            later = max(self.now, self.bucket.at) + wait + 1e-6
            assert self.bucket.take(later, self.limit, 1) == 0
            self.now, self.highest = later, max(self.highest, later)
        self.granted += 1

    @invariant()
    def never_too_much(self) -> None:
        assert self.granted <= 10 + 5 * self.highest + 1e-6


TestBucket = BucketModel.TestCase


def test_a_bucket_grants_burst_then_rate_42() -> None:
    clock = Clock()
    quota = SystemQuota(
        "hr", {"read": Quota(10, 3)}, MemoryQuotas(clock=clock), clock=clock
    )
    assert [quota.take("read") for _ in range(3)] == [0, 0, 0]
    assert quota.take("read") == pytest.approx(0.1)
    clock.now += 0.1
    assert quota.take("read") == 0
    clock.now -= 50
    assert quota.take("read") > 0


def test_more_than_the_burst_at_once_is_owed() -> None:
    clock = Clock()
    quota = SystemQuota(
        "hr", {"write": Quota(1, 5)}, MemoryQuotas(clock=clock), clock=clock
    )
    assert quota.take("write", 15) == 0
    clock.now += 10
    assert quota.take("write", 1) == pytest.approx(1)


def test_the_peers_word_counts_for_the_class_44() -> None:
    clock = Clock()
    quota = SystemQuota(
        "hr", {"write": Quota(1, 5)}, MemoryQuotas(clock=clock), clock=clock
    )
    quota.report("write", retry_after=7)
    assert quota.take("write") == pytest.approx(7)
    assert quota.take("read") == 0
    clock.now += 7
    assert quota.take("write") == 0
    quota.report("write", remaining=2)
    assert [quota.take("write") for _ in range(2)] == [0, 0]
    assert quota.take("write") > 0


def test_configured_limits_win_over_suggested_ones() -> None:
    quota = SystemQuota("hr", {"read": Quota(1, 1)}, MemoryQuotas(clock=Clock()))
    quota.suggest({"read": Quota(100, 100), "write": Quota(1, 1)})
    assert [quota.take("read") > 0 for _ in range(2)] == [False, True]
    assert [quota.take("write") > 0 for _ in range(2)] == [False, True]
    assert [quota.take("media") for _ in range(50)] == [0] * 50


def test_a_call_whose_failure_opened_the_breaker_says_what_failed():
    """Not that the repeat was refused: who counts failures must see this one."""
    breaker = Breaker("there")
    for _ in range(9):
        breaker.record(failed=True)
    calls = []

    def work():
        breaker.enter()
        calls.append(1)
        breaker.record(failed=True)
        raise NotApplied("It failed.", code="there.down") from KeyError("cause")

    with pytest.raises(NotApplied) as error:
        Retry(first_wait=0.0)(work)
    assert (error.value.code, len(calls)) == ("there.down", 1)
    assert isinstance(error.value.__cause__, KeyError)
    with pytest.raises(NotApplied) as error:
        Retry(first_wait=0.0)(work)
    assert (error.value.code, len(calls)) == ("breaker.open", 1)
