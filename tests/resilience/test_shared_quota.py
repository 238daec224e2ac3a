"""One quota and one bulkhead for all workers of a ledger, on SQLite and PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import pytest
from pydantic import SecretStr

from moatbridge.adapter import Quota
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.ledger import Ledger
from moatbridge.ledger.quota import LedgerQuotas, seat_of
from moatbridge.resilience import Breaker, SessionPool, SystemQuota
from resilience.test_pool import configured, toy_registry
from resilience.test_retry_breaker_quota import Clock, fail
from resilience.toy import answering, serving
from servers.commit_proxy import CommitProxy
from servers.postgres import OWNER, OWNER_PASSWORD, Postgres

SPENDER = Path(__file__).with_name("spender.py")


class Place:
    """Where a ledger lies; opens it as often as there are workers."""

    def __init__(self, url: str, password: str = "") -> None:
        self.url, self.password = url, password
        self._open = contextlib.ExitStack()

    def ledger(self, **more) -> Ledger:
        secret = SecretStr(self.password) if self.password else None
        made = Ledger(self.url, password=secret, **more)
        self._open.callback(made.close)
        return made

    def quotas(self, *, scope="default", **more) -> LedgerQuotas:
        made = LedgerQuotas(self.ledger(scope=scope), **more)
        self._open.callback(made.close)
        return made

    def workers(self, count: int, *arguments: object) -> list[subprocess.Popen]:
        command = [sys.executable, str(SPENDER), arguments[0], self.url, self.password]
        command += map(str, arguments[1:])
        folders = [str(Path(__file__).parents[1])]
        made = []
        for _ in range(count):
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
            )
            self._open.callback(end, process)
            made.append(process)
        for process in made:
            assert process.stdout.readline() == "ready\n"
        return made

    def close(self) -> None:
        self._open.close()


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


def results(workers: list[subprocess.Popen]) -> list[list[tuple[float, float]]]:
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return [json.loads(worker.stdout.readline()) for worker in workers]


@pytest.fixture(scope="module")
def server():
    with Postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    if request.param == "sqlite":
        found = Place(f"sqlite:///{tmp_path}/bridge.db")
    else:
        server = request.getfixturevalue("server")
        name = f"quota{abs(hash(str(tmp_path)))}"
        with server.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        url = f"{server.url(OWNER, name)}?sslmode=require"
        found = Place(url, OWNER_PASSWORD)
    yield found
    found.close()


@pytest.fixture
def local(tmp_path):
    found = Place(f"sqlite:///{tmp_path}/bridge.db")
    yield found
    found.close()


# --- the store -----------------------------------------------------------------------


def test_workers_share_one_bucket_42(place):
    one, two = place.quotas(), place.quotas()
    limit = Quota(0.001, 5)
    assert [one.take("social/write", limit, 1) for _ in range(3)] == [0, 0, 0]
    assert [two.take("social/write", limit, 1) for _ in range(2)] == [0, 0]
    assert one.take("social/write", limit, 1) > 900
    assert two.take("social/write", limit, 1) > 900
    assert two.take("social/read", limit, 1) == 0


def test_tenants_do_not_share_42(place):
    limit = Quota(0.001, 1)
    assert place.quotas().take("social/write", limit, 1) == 0
    assert place.quotas(scope="other").take("social/write", limit, 1) == 0


def test_the_peers_word_counts_for_every_worker_44(place):
    one, two = place.quotas(), place.quotas()
    limit = Quota(10, 10)
    one.report("social/write", retry_after=500, remaining=None)
    assert 490 < two.take("social/write", limit, 1) < 501
    assert 490 < two.wait("social/write") < 501
    two.pause("social/write", 0)
    assert one.wait("social/write") == 0
    one.take("social/read", limit, 1)
    one.report("social/read", retry_after=None, remaining=-1000)
    assert two.take("social/read", limit, 1) > 90


def test_a_breaker_that_trips_tells_the_other_workers_27(place):
    clock = Clock()
    one = Breaker("social", clock=clock, store=place.quotas())
    two = Breaker("social", clock=clock, store=place.quotas())
    two.check()
    fail(one, 10)
    clock.now += 1  # later than the other one's next look
    with pytest.raises(NotApplied) as caught:
        two.check()
    assert caught.value.code == "breaker.open"
    assert 20 < caught.value.retry_after <= 30
    one.block("scim.auth")
    one.resume()
    clock.now += 31
    two.enter()
    two.record(failed=False)
    assert two.state == "probing"


def test_what_is_blocked_for_a_person_is_not_shared_27(local):
    one = Breaker("social", store=local.quotas())
    two = Breaker("social", store=local.quotas())
    one.block("scim.auth")
    two.check()
    with pytest.raises(ConfigurationError):
        one.check()


def test_a_system_that_somebody_found_well_is_asked_again_by_all_27(place):
    """The block is each worker's own; that a person put it right is for all of them."""
    worker, other, check = (Breaker("hr", store=place.quotas()) for _ in range(3))
    check.resume()  # before: says nothing about what comes later
    for each in (worker, other):
        tick()
        each.block("scim.auth")
        with pytest.raises(ConfigurationError):
            each.enter()
    tick()
    check.resume()
    for each in (worker, other):
        each.check()
        assert each.state == "closed"
    tick()
    worker.enter()
    worker.block("scim.auth")  # its own password is still wrong: once for each check
    for _ in range(3):
        tick()
        with pytest.raises(ConfigurationError):
            worker.enter()
    tick()
    check.resume()
    worker.enter()


def tick() -> None:
    """Longer than what the store's clock can tell apart."""
    time.sleep(0.05)  # of PostgreSQL it is an estimate, worse on a busy machine


@pytest.mark.parametrize("plan", ["before", "after"])
def test_a_seat_whose_commit_got_no_answer_is_not_counted_for_ever_45(
    server, plan, monkeypatch
):
    name = f"seat{plan}"
    with server.connect() as connection:
        connection.execute(f"CREATE DATABASE {name}")
    with CommitProxy(server.endpoint) as proxy:
        host, port = proxy.endpoint
        url = f"postgresql+psycopg://{OWNER}@{host}:{port}/{name}?sslmode=disable"
        place = Place(url, OWNER_PASSWORD)
        store = place.quotas(seat=600.0)
        assert store.enter("erp", 2)
        with monkeypatch.context() as patch:
            sit = store._sit
            patch.setattr(store, "_sit", lambda *row: (sit(*row), cut(proxy, plan)))
            with pytest.raises(NotApplied):
                store.enter("erp", 2)
        assert proxy.cuts == 1
        assert store.enter("erp", 2), "the lost one holds no seat"
        assert store.enter("erp", 2) is None
        place.close()


def cut(proxy, plan):
    """From the next COMMIT on; BEGIN names READ COMMITTED, so not any earlier."""
    proxy.plan = plan


def test_a_seat_that_nobody_knows_of_is_not_renewed_45(local):
    """What a COMMIT without an answer left behind, if it came through after all."""
    store = local.quotas(seat=0.6)
    mine = store.enter("erp", 2)
    with store._write() as tx:
        tx.run(
            "INSERT INTO seat(seat, id, owner, until) SELECT 'ghost', id, owner, until "
            "FROM seat"
        )
    started = time.monotonic()
    while not (other := store.enter("erp", 2)):
        assert time.monotonic() < started + 30
        time.sleep(0.02)
    assert {mine, other} <= set(store._seats)


def test_a_seat_lasts_as_long_as_a_lease_45():
    assert [seat_of(ttl) for ttl in (1, 12, 600)] == [5, 12, 30]


def test_postgresql_waits_for_no_disk_and_writes_no_log_43(server):
    place = Place(f"{server.url(OWNER, 'postgres')}?sslmode=require", OWNER_PASSWORD)
    store = place.quotas()
    with store._write() as tx:
        assert tx.value("SHOW synchronous_commit") == "off"
        kinds = tx.all(
            "SELECT relname, relpersistence FROM pg_class "
            "WHERE relname IN ('quota', 'seat')"
        )
    assert sorted(tuple(row) for row in kinds) == [("quota", "u"), ("seat", "u")]
    place.close()


# --- several processes ---------------------------------------------------------------


def test_four_processes_never_exceed_rate_and_burst_42(place):
    rate, burst, seconds = 200.0, 40.0, 2.0
    got = results(place.workers(4, "quota", rate, burst, seconds))
    spent = sorted(pair for worker in got for pair in worker)
    span = max(after for _, after in spent) - spent[0][0]
    assert len(spent) <= burst + rate * span
    assert len(spent) >= rate * seconds / 2, "far too little was granted"
    # What certainly lies in one window: begun and ended in it.
    window: deque[tuple[float, float]] = deque()
    for before, after in sorted(spent, key=lambda pair: pair[1]):
        window.append((before, after))
        inside = [b for b, _a in window if b >= after - 1]
        assert len(inside) <= rate + burst
        while window and window[0][1] < after - 1:
            window.popleft()


def test_two_processes_share_the_seats_45(place):
    got = results(place.workers(2, "seats", 1, 1.0))
    assert any(got), "nobody ever got in"
    moves = sorted(
        (at, step)
        for worker in got
        for inside, outside in worker
        for at, step in ((inside, 1), (outside, -1))
    )
    seated = 0
    for _at, step in moves:
        seated += step
        assert seated <= 1


def test_the_seat_of_a_killed_process_is_free_again_45(local):
    (worker,) = local.workers(1, "seats", 1, 60)
    worker.stdin.write("go\n")
    worker.stdin.flush()
    here = local.quotas()
    while here.enter("erp", 1) is not None:  # until it is the worker who sits there
        here.close()
        here = local.quotas()
    worker.send_signal(signal.SIGKILL)
    worker.wait(30)
    with here._write() as tx:
        (left,) = tx.one("SELECT until FROM seat")
        assert 0 < left - tx.lease_clock()[0] / 1000 <= 30
        tx.run("UPDATE seat SET until=?", tx.lease_clock()[0] / 1000 - 1)
    assert here.enter("erp", 1)


def test_a_seat_in_use_is_renewed_45(local):
    one, two = local.quotas(seat=2.0), local.quotas(seat=2.0)
    seat = one.enter("erp", 1)
    with one._write() as tx:
        (first,) = tx.one("SELECT until FROM seat")
    until = first
    while until < first + 1:
        assert two.enter("erp", 1) is None
        with one._write() as tx:
            (until,) = tx.one("SELECT until FROM seat")
    one.leave(seat)
    assert two.enter("erp", 1)


# --- the pool ------------------------------------------------------------------------


def test_in_flight_holds_for_all_workers_of_a_ledger_45(local):
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(answering()))
        pools = [
            stack.enter_context(
                SessionPool(
                    configured(server.port, in_flight=2),
                    toy_registry(),
                    quotas=local.quotas(),
                )
            )
            for _ in range(2)
        ]
        with pools[0].session("hr"), pools[1].session("hr"):
            for pool in pools:
                with pytest.raises(NotApplied) as caught:
                    pool.session("hr", timeout=0.05).__enter__()
                assert caught.value.code == "pool.busy"
        with pools[0].session("hr"), pools[0].session("hr"):
            pass


def test_who_examines_a_system_takes_a_seat_like_anybody_45(local):
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(answering()))
        quotas = local.quotas()
        pool = stack.enter_context(
            SessionPool(configured(server.port, in_flight=1), toy_registry(), quotas=quotas)
        )  # fmt: skip
        pool.breaker("hr").block("toy.auth")
        with pool.examined("hr") as session:
            assert session.probe().server
            assert local.quotas().enter("hr", 1) is None
        assert pool.breaker("hr").state == "closed"


def test_a_store_that_fails_stops_calls_but_no_answer_43(local):
    store = local.quotas()
    quota = SystemQuota("social", {"write": Quota(5, 5)}, store)
    quota.take("write")
    store._let_go()
    store._write = broken
    quota.report("write", retry_after=30)  # what came with it must not be lost
    with pytest.raises(NotApplied) as caught:
        quota.take("write")
    assert caught.value.code == "ledger.unavailable"


@contextlib.contextmanager
def broken():
    raise NotApplied("no", code="ledger.unavailable")
    yield
