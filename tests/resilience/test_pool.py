# ruff: noqa: SIM117 - the server must outlive what talks to it, visibly
from __future__ import annotations

import threading

import pytest

from moatbridge.changes import Ref
from moatbridge.config import BridgeConfig, parse
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.registry import Registry
from moatbridge.resilience import SessionPool
from resilience.toy import ToyAdapter, answering, serving, stalls


def toy_registry() -> Registry:
    registry = Registry(discover=False)
    registry.register("toy", ToyAdapter)
    return registry


def configured(port: int, **more: object) -> BridgeConfig:
    table = {
        "adapter": "toy",
        "port": port,
        "allow_networks": ["127.0.0.0/8"],
        "deadline": {"call": 30},
    }
    streams = {"hr/people": {"table": "staff"}}
    return parse({"systems": {"hr": table | more}, "streams": streams}, toy_registry())


def pooled(port: int, *, max_age: float = 3600, **more: object) -> SessionPool:
    return SessionPool(configured(port, **more), toy_registry(), max_age=max_age)


def test_a_pool_is_made_in_one_line_and_reuses_connections() -> None:
    with serving(answering()) as server, pooled(server.port) as pool:
        for _ in range(3):
            with pool.session("hr") as session:
                assert session.fetch("people", [Ref("1")])
                assert session.adapter.stream_configs["people"].table == "staff"
        assert server.accepted == 1


def test_a_broken_session_is_not_lent_again() -> None:
    with serving(answering()) as server, pooled(server.port) as pool:
        with pool.session("hr") as session:
            session.adapter.close()
            session._caller.broken = True
        with pool.session("hr") as session:
            session.probe()
        assert server.accepted == 2


@pytest.mark.parametrize(("max_idle", "max_age"), [(0, 3600), (300, 0)])
def test_idle_and_old_connections_are_replaced_16(max_idle: int, max_age: int) -> None:
    with serving(answering()) as server:
        with pooled(server.port, max_idle=max_idle, max_age=max_age) as pool:
            with pool.session("hr"):
                pass
            with pool.session("hr") as session:
                session.probe()
        assert server.accepted == 2


def test_in_flight_limits_the_calls_at_once_45() -> None:
    with serving(answering()) as server, pooled(server.port, in_flight=2) as pool:
        with pool.session("hr"), pool.session("hr"):
            with pytest.raises(NotApplied) as caught, pool.session("hr", timeout=0.05):
                pass
            assert caught.value.code == "pool.busy"
            assert caught.value.retry_after
        with pool.session("hr", timeout=30):
            pass
        assert server.accepted == 2


def test_sessions_of_one_system_share_breaker_and_stop() -> None:
    with serving(answering()) as server, pooled(server.port) as pool:
        pool.breaker("hr").block("toy.auth")
        with pytest.raises(ConfigurationError) as caught, pool.session("hr"):
            pass
        assert caught.value.code == "breaker.blocked"
        check = pool.open_session("hr")  # `check` gets through
        with check:
            check.probe()
        pool.breaker("hr").resume()
        with pool.session("hr"):
            pass


def test_a_failed_open_frees_its_slot() -> None:
    with serving(stalls) as server:
        with pooled(server.port, in_flight=1, deadline={"call": 0.2}) as pool:
            pool.stop.set()  # no retries
            for _ in range(2):
                with pytest.raises(NotApplied) as caught:
                    with pool.session("hr", timeout=0.05):
                        pass
                assert caught.value.code == "toy.deadline"


def test_unknown_system_and_unchecked_settings_are_told() -> None:
    with pooled(1) as pool, pytest.raises(ConfigurationError) as caught:
        pool.breaker("erp")
    assert caught.value.code == "config.no-system"
    raw = parse({"systems": {"hr": {"adapter": "toy", "port": 1}}})
    with SessionPool(raw, toy_registry()) as pool:
        with pytest.raises(ConfigurationError) as caught:
            pool.breaker("hr")
    assert caught.value.code == "config.unchecked"


def test_egress_is_the_adapters_endpoints_unless_configured() -> None:
    with serving(answering()) as server:
        with pooled(server.port, egress=["other.example:1"]) as pool:
            with pytest.raises(ConfigurationError) as caught, pool.session("hr"):
                pass
        assert caught.value.code == "net.egress"
        assert server.accepted == 0


def test_loopback_needs_to_be_listed_25() -> None:
    with serving(answering()) as server:
        with pooled(server.port, allow_networks=[]) as pool:
            with pytest.raises(ConfigurationError) as caught, pool.session("hr"):
                pass
        assert caught.value.code == "net.address"
        assert server.accepted == 0


def test_secrets_are_learned_before_a_connection_is_made_4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOY_PASSWORD", "canary-93187")
    with serving(answering()) as server:
        with pooled(server.port, password="env:TOY_PASSWORD") as pool:
            with pool.session("hr"):
                pass
            said = pool.redactor.redact("login with canary-93187")
    assert said == "login with [redacted]"


def test_quota_is_shared_by_the_sessions_of_a_system() -> None:
    with serving(answering()) as server:
        quota = {"read": {"rate": 0.001, "burst": 3}}
        with pooled(server.port, quota=quota) as pool:
            with pool.session("hr") as one, pool.session("hr") as two:
                one.fetch("people", [Ref("1")])
                with pytest.raises(NotApplied) as caught:
                    two.fetch("people", [Ref("1")])
                assert caught.value.code == "quota.wait"


def test_closing_the_pool_closes_its_connections() -> None:
    before = set(_watchdogs())
    with serving(answering()) as server:
        pool = pooled(server.port)
        with pool.session("hr") as session:
            pass
        adapter = session.adapter
        with pool.session("hr") as lent:
            assert lent.adapter is adapter
            pool.close()
            assert adapter.closed == 0
        assert adapter.closed == 1
        with pytest.raises(NotApplied) as caught, pool.session("hr"):
            pass
        assert caught.value.code == "pool.closed"
        for ending in set(_watchdogs()) - before:
            ending.join(30)  # it ends by itself once no call is out
            assert not ending.is_alive()


def test_a_hang_costs_one_session_and_no_other() -> None:
    with serving(stalls, answering()) as server:
        with pooled(server.port, deadline={"call": 1}) as pool:
            with pool.session("hr") as session:
                session.probe()
        assert server.accepted >= 2


def _watchdogs() -> list[threading.Thread]:
    named = (t for t in threading.enumerate() if t.name == "moatbridge-watchdog")
    return list(named)
