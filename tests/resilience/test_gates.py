# ruff: noqa: SIM117 - the server must outlive what talks to it, visibly
"""A session stands behind its system's quota and breaker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from moatbridge.adapter import Quota
from moatbridge.changes import Ref
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.resilience import Breaker, MemoryQuotas, SystemQuota
from resilience.test_session import _raise, once
from resilience.toy import ToyAdapter, ToyConfig, answering, serving, toy_session

if TYPE_CHECKING:
    from moatbridge.resilience.deadline import Watchdog


def test_quota_waits_shortly_and_gives_up_beyond_two_seconds_44(
    watchdog: Watchdog,
) -> None:
    quota = SystemQuota("hr", {"read": Quota(rate=10, burst=2)}, MemoryQuotas())
    with serving(answering()) as server:
        with toy_session(server.port, watchdog, quota=quota) as session:
            started = time.monotonic()
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
