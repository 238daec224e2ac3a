"""Tokens are taken by the handful, and yet no window sees more than it may."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moatbridge.adapter import Quota
from moatbridge.resilience.quota import HOLD, Bucket, MemoryQuotas, SystemQuota
from resilience.test_retry_breaker_quota import Clock


class Counting(MemoryQuotas):
    """Counts what a database would be asked."""

    asked = 0

    def take(self, key, limit, count):
        self.asked += 1
        return super().take(key, limit, count)

    def wait(self, key):
        self.asked += 1
        return super().wait(key)


def quotas(count, limit, clock, store=None):
    store = store or Counting(clock=clock)
    limits = {} if limit is None else {"write": limit}
    return store, [SystemQuota("x", limits, store, clock=clock) for _ in range(count)]


def spent(workers, clock, seconds, step=0.002):
    """Every worker takes all it gets; when."""
    times, until = [], clock.now + seconds
    while clock.now < until:
        for worker in workers:
            while worker.take("write") == 0:
                times.append(clock.now)
        clock.now += step
    return times


def worst(times, window=1.0):
    first, most = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - window:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_four_workers_get_the_rate_within_three_percent_42():
    clock = Clock()
    store, workers = quotas(4, Quota(200, 40), clock)
    times = spent(workers, clock, 20)
    assert 0.97 * 200 * 20 <= len(times) <= 200 * 20 + 40
    assert worst(times) <= 240
    assert store.asked <= 4 * 30 * 20  # not for every call, and not for every wait


def test_a_busy_worker_asks_the_store_ten_to_twenty_times_a_second_42():
    clock = Clock()
    store, (worker,) = quotas(1, Quota(1000, 1000), clock)
    for _ in range(4000):  # 400 a second, far below the limit
        assert worker.take("write") == 0
        clock.now += 0.0025
    assert store.asked <= 10 * 25


def test_a_slow_class_is_never_held_outside_of_the_store_42():
    clock = Clock()
    store, (one, two) = quotas(2, Quota(5, 10), clock)
    assert [one.take("write") for _ in range(5)] == [0] * 5
    assert [two.take("write") for _ in range(5)] == [0] * 5
    assert one.take("write") > 0
    assert store.asked == 11


def test_a_class_without_limit_asks_four_times_a_second_whether_it_is_blocked_44():
    clock = Clock()
    store, (one, two) = quotas(2, None, clock)
    for _ in range(1000):
        assert one.take("write") == 0
        clock.now += 0.001
    assert store.asked <= 5
    two.report("write", retry_after=7)
    assert two.take("write") == pytest.approx(7)
    clock.now += 0.25
    assert one.take("write") == pytest.approx(6.75)
    clock.now += 7
    assert one.take("write") == two.take("write") == 0


def test_what_one_worker_holds_is_gone_soon_after_another_was_refused_44():
    clock = Clock()
    _store, (one, two) = quotas(2, Quota(1000, 1000), clock)
    for _ in range(100):
        one.take("write")
        clock.now += 0.001
    two.report("write", retry_after=30)
    clock.now += HOLD
    assert one.take("write") > 29


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from([3.0, 11.0, 40.0, 250.0]),
    burst=st.sampled_from([1.0, 7.0, 30.0, 300.0]),
    moves=st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 60), st.sampled_from([0, 0.01, 0.09, 0.5])
        ),
        max_size=60,
    ),
)
def test_no_window_ever_sees_more_than_rate_and_burst_42(rate, burst, moves):
    clock = Clock()
    _store, workers = quotas(4, Quota(rate, burst), clock)
    times = []
    for who, wanted, pause in moves:
        times += [clock.now for _ in range(wanted) if workers[who].take("write") == 0]
        clock.now += pause
    for window in (0.05, 0.2, 1.0, 3.0):
        assert worst(times, window) <= rate * window + burst + 1e-6


def test_two_refusals_within_a_minute_halve_the_rate_44():
    bucket, limit = Bucket(10, 0.0), Quota(8, 8)
    bucket.report(0, retry_after=1, remaining=None)
    assert bucket.share == 1
    bucket.report(0.5, retry_after=1, remaining=None)  # it was out at the same time
    assert bucket.share == 1
    bucket.report(30, retry_after=1, remaining=None)
    assert bucket.share == 0.5
    assert bucket.take(30.5, limit, 1) == pytest.approx(0.5)
    bucket.tokens, bucket.at = 0, 31
    assert bucket.take(31, limit, 1) == pytest.approx(1 / 4, rel=0.01)
    bucket.report(200, retry_after=1, remaining=None)  # minutes later: the first again
    assert bucket.share > 0.5


def test_five_percent_a_minute_come_back_up_to_the_configured_rate_44():
    bucket, limit = Bucket(0, 0.0, share=0.5), Quota(100, 100)
    bucket.refill(60, limit)
    assert bucket.share == pytest.approx(0.55)
    bucket.refill(60 * 8, limit)
    assert bucket.share == pytest.approx(0.9)
    bucket.refill(60 * 100, limit)
    assert bucket.share == 1


def test_a_rate_is_never_halved_to_nothing_44():
    bucket = Bucket(0, 0.0)
    for number in range(100):
        bucket.report(number * 10.0, retry_after=1, remaining=None)
    assert bucket.take(1000, Quota(64, 64), 1) <= 1


def test_what_the_peer_says_is_left_corrects_the_bucket_44():
    clock = Clock()
    _store, (one, two) = quotas(2, Quota(1, 100), clock)
    one.take("write")
    one.report("write", remaining=2, reset=60)
    assert [two.take("write") for _ in range(2)] == [0, 0]
    assert 0 < two.take("write") <= 1
    two.report("write", remaining=0, reset=60)
    clock.now += 30
    assert one.take("write") == pytest.approx(30)
    one.report("write", remaining=500, reset=60)  # more than we know: nothing to learn
    assert one.take("write") == pytest.approx(30)


def test_what_is_left_concerns_a_class_without_limit_only_when_it_is_nothing_44():
    clock = Clock()
    _store, (one, two) = quotas(2, None, clock)
    one.report("write", remaining=1, reset=60)
    assert two.take("write") == 0
    one.report("write", remaining=0, reset=60)
    clock.now += 1
    assert two.take("write") == pytest.approx(59)


def test_seats_of_one_process_are_counted_45():
    store = MemoryQuotas()
    one, two = store.enter("erp", 2), store.enter("erp", 2)
    assert one
    assert two
    assert store.enter("erp", 2) is None
    assert store.enter("hr", 2)
    store.leave(one)
    store.leave(one)
    assert store.enter("erp", 2)
    store.close()
    assert store.enter("erp", 1)
