# ruff: noqa: SIM117 - the server must outlive what talks to it, visibly
"""A session stands behind its system's quota and breaker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from moatbridge.adapter import Quota
from moatbridge.changes import Receipt, Ref
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.resilience import Breaker, MemoryQuotas, SystemQuota
from resilience.test_retry_breaker_quota import Clock, fail
from resilience.test_session import _raise, once
from resilience.toy import ToyAdapter, ToyConfig, answering, serving, toy_session

if TYPE_CHECKING:
    from moatbridge.resilience.deadline import Watchdog


def test_quota_waits_shortly_and_gives_up_beyond_two_seconds_44(
    watchdog: Watchdog,
) -> None:
    quota = SystemQuota("hr", {"read": Quota(rate=10, burst=2)}, MemoryQuotas())
    with serving(answering()) as server:
        started = time.monotonic()
        with toy_session(server.port, watchdog, quota=quota) as session:
            for _ in range(4):
                session.fetch("people", [Ref("1")])
            assert time.monotonic() - started >= 0.25
            quota.report("read", retry_after=30)
            with pytest.raises(NotApplied) as caught:
                session.fetch("people", [Ref("1")])
            assert caught.value.code == "quota.wait"
            assert caught.value.retry_after > 25
            assert not session.broken


def test_a_throttled_call_blocks_the_class_for_everybody_44(watchdog: Watchdog) -> None:
    quota = SystemQuota("hr", {}, MemoryQuotas())
    with serving(answering()) as server:
        with toy_session(server.port, watchdog, quota=quota, retry=once()) as session:
            session.adapter.fetch = _raise(
                NotApplied("busy", code="toy.busy", retry_after=40)
            )
            with pytest.raises(NotApplied):
                session.fetch("people", [Ref("1")])
    assert quota.take("read") > 35
    assert quota.take("write") == 0


def test_breaker_opens_on_failures_and_blocks_on_configuration_27(
    watchdog: Watchdog,
) -> None:
    breaker = Breaker("hr")
    failing = [True]

    class Failing(ToyAdapter):
        def probe(self):
            if failing:
                raise NotApplied("gone", code="toy.gone")
            return super().probe()

    with serving(answering()) as server:
        config = ToyConfig(port=server.port)
        with toy_session(
            server.port,
            watchdog,
            adapter=Failing(config),
            renew=lambda: Failing(config),
            breaker=breaker,
            retry=once(),
        ) as session:
            codes = []
            while breaker.state == "closed":
                with pytest.raises(NotApplied) as caught:
                    session.probe()
                codes.append(caught.value.code)
            assert codes == ["toy.gone"] * 10
            with pytest.raises(NotApplied) as caught:
                session.probe()
            assert caught.value.code == "breaker.open"
            assert caught.value.retry_after > 25
            assert server.accepted == 10
            failing.clear()
            breaker.resume()
            session.probe()
            session.adapter.probe = _raise(ConfigurationError("no", code="toy.auth"))
            with pytest.raises(ConfigurationError):
                session.probe()
            assert breaker.state == "blocked"
            with pytest.raises(ConfigurationError) as refused:
                session.fetch("people", [Ref("1")])
            assert refused.value.code == "breaker.blocked"
            assert "toy.auth" in str(refused.value)


def test_a_probe_that_ctrl_c_ended_leaves_its_place_to_others_27(
    watchdog: Watchdog,
) -> None:
    """Three of them, and the breaker would have refused every call for ever."""
    clock = Clock()
    breaker = Breaker("hr", clock=clock)
    fail(breaker, 10)
    clock.now += 31
    with serving(answering()) as server:
        for _ in range(4):
            session = toy_session(server.port, watchdog, breaker=breaker)
            session.adapter.open = _raise(KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                session.open()
            breaker.check()
        assert breaker.state == "probing"
        with toy_session(server.port, watchdog, breaker=breaker) as session:
            while breaker.state == "probing":
                session.probe()
    assert breaker.state == "closed"


def test_a_thread_that_could_not_be_started_is_no_word_about_the_system_27(
    watchdog: Watchdog,
) -> None:
    clock = Clock()
    breaker = Breaker("hr", clock=clock)
    fail(breaker, 10)
    clock.now += 31
    with serving(answering()) as server:
        for _ in range(5):
            session = toy_session(server.port, watchdog, breaker=breaker)
            session._caller._watchdog = Exhausted()
            with pytest.raises(RuntimeError):
                session.open()
    breaker.check()


class Exhausted:
    def arm(self, *_: object, **__: object) -> object:
        raise RuntimeError("can't start new thread")


def test_a_call_of_many_requests_is_paid_for_by_the_next_one_42(
    watchdog: Watchdog,
) -> None:
    class Chatty(ToyAdapter):
        def fetch(self, stream, refs):
            for _ in range(5):
                self.net.asked()
            return super().fetch(stream, refs)

    quota = SystemQuota("hr", {"read": Quota(rate=1, burst=100)}, MemoryQuotas())
    with serving(answering()) as server:
        adapter = Chatty(ToyConfig(port=server.port))
        with toy_session(
            server.port, watchdog, adapter=adapter, quota=quota, retry=once()
        ) as session:
            for _ in range(2):
                session.fetch("people", [Ref("1")])
            quota.take("read", 80)  # open, 2 x 5, 80: what is left is known
            with pytest.raises(NotApplied) as caught:
                quota_is_left(quota, 12)
            assert caught.value.retry_after > 1


def quota_is_left(quota: SystemQuota, count: int) -> None:
    wait = quota.take("read", count)
    if wait:
        raise NotApplied("no", code="quota.wait", retry_after=wait)


def test_a_write_that_could_not_be_made_now_is_known_before_it_counts_44(
    watchdog: Watchdog,
) -> None:
    quota, breaker = SystemQuota("hr", {}, MemoryQuotas()), Breaker("hr")
    with serving(answering()) as server:
        with toy_session(
            server.port, watchdog, quota=quota, breaker=breaker, retry=once()
        ) as session:
            session.ready()
            quota.report("write", retry_after=40)
            with pytest.raises(NotApplied) as caught:
                session.ready()
            assert caught.value.code == "quota.wait"
            assert caught.value.retry_after > 35
            while breaker.state == "closed":
                breaker.record(failed=True)
            with pytest.raises(NotApplied) as caught:
                session.ready()
            assert caught.value.code == "breaker.open"


@pytest.mark.parametrize("unsent", [0, 18])
def test_receipts_without_one_answer_count_as_failures_of_the_system_27(
    watchdog: Watchdog, unsent: int
) -> None:
    """An adapter may stop after a few of them: what it did not send is no success."""

    class Doubtful(ToyAdapter):
        def write(self, stream, intents):
            doubt = Receipt("unknown", code="toy.503")
            if intents == [1, 2]:
                return [Receipt("applied"), doubt]
            return [doubt, *[Receipt("not_applied", code="toy.not-sent")] * unsent]

    breaker = Breaker("hr")
    with serving(answering()) as server:
        config = ToyConfig(port=server.port)
        with toy_session(
            server.port,
            watchdog,
            adapter=Doubtful(config),
            renew=lambda: Doubtful(config),
            breaker=breaker,
            retry=once(),
        ) as session:
            for _ in range(30):
                session.write("people", [1, 2])
            assert breaker.state == "closed"
            calls = 0
            while breaker.state == "closed":
                several = [0] * (1 + unsent)
                assert session.write("people", several)[0].outcome == "unknown"
                calls += 1
            assert calls <= 20


def test_what_a_peer_says_is_left_reaches_the_class_of_the_call_44(
    watchdog: Watchdog,
) -> None:
    class Told(ToyAdapter):
        def fetch(self, stream, refs):
            self.net.quota(remaining=0, reset=50)
            return super().fetch(stream, refs)

    quota = SystemQuota("hr", {}, MemoryQuotas())
    with serving(answering()) as server:
        adapter = Told(ToyConfig(port=server.port))
        with toy_session(server.port, watchdog, adapter=adapter, quota=quota) as one:
            one.fetch("people", [Ref("1")])
            one.adapter.net.quota(remaining=0, reset=50)  # outside of a call: nobody's
    assert quota.take("read") > 45
    assert quota.take("write") == 0
