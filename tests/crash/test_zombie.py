"""A worker that froze, lost its lease and woke up again can commit nothing (scale 9).

The thread is frozen at a crash point between two transactions; a stopped *process*
would hold SQLite's own lock, and with it everybody else of its host.
"""

from __future__ import annotations

import pytest

from flow_world import World
from moatbridge.errors import MoatbridgeError
from moatbridge.resilience import crash

POINTS = (
    "stage.in",
    "claim.done",
    "inflight.done",
    "send.half",
    "answer.read",
    "settle.in",
)


@pytest.fixture
def world(tmp_path):
    made = World(
        tmp_path,
        count=60,
        extra={"ledger": {"parcel": 10}},
        flows={"people": {"from": "hr/people", "to": "social/people", "partitions": 1}},
    )
    yield made
    crash.install(None)
    made.bridge.close()


@pytest.mark.parametrize("point", POINTS)
def test_a_frozen_worker_wakes_into_a_lost_lease_and_doubles_nothing(point, world):
    successor, frozen = world.open(), []

    def freeze(name):
        if name != point or frozen:
            return
        frozen.append(name)
        with world.bridge.ledger.write() as tx:
            tx.run("UPDATE partition SET lease_until=0, not_before=0")
        plan = successor.plan("people")
        assert successor.apply(plan, confirm=plan.verdict.count).state == "done"

    crash.install(freeze)
    refused = {""}
    try:
        world.apply()
    except MoatbridgeError as error:
        refused.add(error.code)
    assert refused <= {"", "plan.replaced", "plan.none", "guard.approval", "flow.busy"}
    assert frozen == [point]
    successor.close()
    assert world.social.doubled() == []
    assert len(world.social.all("people")) == len(world.there()) == 60
    world.reopen()
    assert world.bridge.run("people").state == "done"
    assert len(world.social.effects()) == 60
