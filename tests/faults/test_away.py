"""A target that is away when it is tried again has not been sent anything."""

from __future__ import annotations

import contextlib

import pytest

from flow_world import World
from moatbridge.adapter import WriteTraits
from moatbridge.errors import NotApplied
from moatbridge.flow import calling, run_slice
from moatbridge.ledger.states import State
from moatbridge.resilience.retry import Retry
from moatbridge.testing import MemoryAdapter


@pytest.fixture
def away(monkeypatch):
    """What fails at the target: ``open``, ``write``; the source stays."""
    fails = set()

    def guarded(name):
        method = getattr(MemoryAdapter, name)

        def called(self, *args):
            if name in fails and self.config.system.startswith("social"):
                raise NotApplied("nobody answers", code="memory.unreachable")
            return method(self, *args)

        monkeypatch.setattr(MemoryAdapter, name, called)

    guarded("open")
    guarded("write")
    monkeypatch.setattr(calling, "PAUSE", 0.001)
    monkeypatch.setitem(Retry.__init__.__kwdefaults__, "first_wait", 0.001)
    return fails


@pytest.fixture
def world(tmp_path):
    made = World(
        tmp_path,
        count=3,
        traits=WriteTraits(dedup="none", max_batch=1),
        systems={"social": {"max_idle": 0}},  # each slice dials anew
        flows={
            "people": {
                "from": "hr/people",
                "to": "social/people",
                "match": ["externalId"],
                "lanes": 1,
            }
        },
    )
    yield made
    made.bridge.close()


def open_parcels(world):
    with world.bridge.ledger.read() as tx:
        rows = tx.all("SELECT state, doubt FROM parcel WHERE state<10")
    return {State(state).name for state, _ in rows}, {doubt for _, doubt in rows}


def test_what_waits_for_another_try_is_not_taken_for_sent_24(world, away):
    plan = world.bridge.plan("people")
    away.add("write")
    with contextlib.suppress(NotApplied):
        world.bridge.apply(plan, confirm=plan.verdict.count, max_seconds=1)
    states, _ = open_parcels(world)
    assert "RETRY" in states
    away.add("open")
    for _ in range(2):  # the second would find what the first had left in flight
        claim_and_work(world, "lane/0")
    states, doubts = open_parcels(world)
    assert states <= {"RETRY", "PLANNED", "READY"}, "taken for sent"
    assert doubts == {0}
    away.clear()
    world.bridge._pool.breaker("social").resume()  # sooner than by itself
    claim_and_work(world, "lane/0")
    world.bridge.run("people", max_seconds=30)
    assert sorted(world.there()) == sorted(world.here())


def claim_and_work(world, part):
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE partition SET not_before=0, owner=NULL")
        tx.run("UPDATE parcel SET not_before=0")
    run_slice(world.bridge, "people", part, owner="me", seconds=1)
