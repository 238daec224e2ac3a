"""What fails for ever stops nothing else; a system that is away is not at fault."""

from __future__ import annotations

import json

import pytest

from flow_world import World
from moatbridge.errors import NotApplied
from moatbridge.flow import run_slice
from moatbridge.flow.ending import TRIES, backoff
from moatbridge.resilience.retry import Retry
from moatbridge.testing import MemoryAdapter


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Calls are made once; and the breaker has its own tests."""
    monkeypatch.setattr(Retry, "__call__", lambda self, work: work())
    monkeypatch.setattr("moatbridge.resilience.breaker.Breaker.record", _ignore)


def _ignore(_self, *, failed):
    pass


@pytest.fixture
def world(tmp_path):
    flows = {"people": {"from": "hr/people", "to": "social/people", "partitions": 2}}
    made = World(tmp_path, count=20, flows=flows)
    yield made
    made.bridge.close()


def row(world, part):
    with world.bridge.ledger.read() as tx:
        return tx.one(
            "SELECT state, tries, error, not_before FROM partition WHERE part=?", part
        )


def at_once(world):
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE partition SET not_before=0")


def scans(world):
    with world.bridge.ledger.read() as tx:
        rows = tx.all("SELECT part FROM partition WHERE kind='scan' ORDER BY part")
    return [part for (part,) in rows]


def poisoned(monkeypatch, key):
    """The source breaks off whenever it comes to this partition."""
    scan = MemoryAdapter.scan

    def broken(self, stream, partition, after):
        if partition.key == key:
            raise NotApplied("The server broke off.", code="hr.broke")
        return scan(self, stream, partition, after)

    monkeypatch.setattr(MemoryAdapter, "scan", broken)


def begun(world):
    from moatbridge.flow.control import request_pass

    route = world.bridge.route("people")
    request_pass(world.bridge.ledger, route, auto=False, actor="me")
    run_slice(world.bridge, "people", "control", owner="me")
    return scans(world)


def test_after_twenty_tries_a_partition_is_blocked_and_the_others_go_on(
    world, monkeypatch, caplog
):
    bad, good = begun(world)
    poisoned(monkeypatch, bad.partition("/")[2])
    waits = []
    for _try in range(TRIES):
        at_once(world)
        waits.append(run_slice(world.bridge, "people", bad, owner="me"))
    assert [result.outcome for result in waits] == ["idle"] * 19 + ["stopped"]
    assert row(world, bad)[:3] == ("blocked", TRIES, "hr.broke")
    assert "blocked after 20 tries (hr.broke)" in caplog.text
    with world.bridge.ledger.read() as tx:
        told = json.loads(tx.value("SELECT body FROM audit_in WHERE kind='blocked'"))
    assert (told["flow"], told["part"], told["tries"]) == ("people", bad, TRIES)
    at_once(world)
    assert run_slice(world.bridge, "people", bad, owner="me").outcome == "held"
    assert run_slice(world.bridge, "people", good, owner="me").outcome == "done"


def test_a_persons_next_plan_tries_what_was_blocked_again(world, monkeypatch):
    bad, _good = begun(world)
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE partition SET state='blocked', tries=20 WHERE part=?", bad)
    assert world.bridge.plan("people").verdict.count == 20
    assert row(world, bad)[:3] == ("done", 0, None)


def test_waits_double_from_five_seconds_to_ten_minutes():
    for tries, most in ((0, 5), (1, 5), (2, 10), (5, 80), (8, 600), (300, 600)):
        assert 0.75 * most <= backoff(tries) <= most


def test_a_system_that_is_away_counts_no_tries_and_is_asked_again_soon(
    world, monkeypatch
):
    bad, _good = begun(world)
    world.bridge._pool._systems["hr"].idle.clear()

    def away(self):
        raise NotApplied("Nobody answers.", code="hr.down")

    monkeypatch.setattr(MemoryAdapter, "open", away)
    for _try in range(3 * TRIES):
        at_once(world)
        result = run_slice(world.bridge, "people", bad, owner="me")
        assert (result.outcome, result.error.code) == ("idle", "hr.down")
        assert result.wait <= 30
    assert row(world, bad)[:3] == ("ready", 0, "hr.down")


def test_a_bug_in_one_partition_is_put_off_too(world, monkeypatch):
    bad, _good = begun(world)

    def broken(*_args, **_more):
        raise ZeroDivisionError

    monkeypatch.setattr("moatbridge.flow.slices.scan_partition", broken)
    for _try in range(TRIES):
        at_once(world)
        with pytest.raises(ZeroDivisionError):
            run_slice(world.bridge, "people", bad, owner="me")
    assert row(world, bad)[:3] == ("blocked", TRIES, "flow.bug")
