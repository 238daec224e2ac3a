"""Dead letters: what cannot be read or translated, and when it stops being one."""

from __future__ import annotations

import pytest

from flow_world import World
from moatbridge.errors import GuardStopped


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, count=20)
    yield made
    made.bridge.close()


def test_a_record_without_a_required_path_is_rejected_when_it_is_read(world):
    world.hr.put("people", [{"uid": "x", "given": "No\0Name"}])
    plan = world.bridge.plan("people")
    assert plan.counts == {"create": 20}
    assert plan.rejected == 1


def test_a_reject_is_forgotten_when_its_record_is_gone(world):
    ref = world.hr.put("people", [{"uid": "x", "given": "No\0Name"}])[0]
    world.apply()
    assert len(world.bridge.review("people")) == 1
    world.hr.delete("people", [ref])
    world.bridge.run("people")
    assert world.bridge.review("people") == []


def test_a_reject_is_forgotten_when_its_record_is_mended(world):
    world.hr.put("people", [{"uid": "x", "given": "No\0Name"}])
    world.apply()
    world.hr.put("people", [{"uid": "x", "given": "Name"}])
    world.bridge.run("people")
    assert world.bridge.review("people") == []
    assert world.there()["x"]["given"] == "Name"


def test_more_rejects_than_the_limit_stop_the_plan(tmp_path):
    flow = {"people": {"from": "hr/people", "to": "social/people", "reject_limit": 3}}
    world = World(tmp_path, count=20, flows=flow)
    for number in range(4):
        world.put(number, given="No\0Name")
    plan = world.bridge.plan("people")
    assert plan.verdict.decision == "stop"
    with pytest.raises(GuardStopped):
        world.bridge.apply(plan, confirm=plan.verdict.count, accept=["reject_limit"])
    assert world.there() == {}
    world.bridge.close()
