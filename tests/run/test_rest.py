"""A flow at rest is left alone until something wakes it."""

from __future__ import annotations

import pytest

from flow_world import World
from moatbridge.flow import run_slice, slices


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, count=5)
    yield made
    made.bridge.close()


def waits(world):
    """What each standing partition asks for when it is looked at now."""
    found = {}
    for part in ("control", "lane/0"):
        with world.bridge.ledger.write() as tx:
            tx.run("UPDATE partition SET not_before=0 WHERE part=?", part)
        found[part] = run_slice(world.bridge, "people", part, owner="me").wait
    return found


def due(world):
    ready, _later = world.bridge.due(["people"], ("control", "lane"))
    return {each.part for _flow, each in ready}


def test_what_has_nothing_to_do_is_looked_at_once_a_minute(world):
    world.apply()
    assert waits(world) == {"control": slices.QUIET, "lane/0": slices.QUIET}
    assert due(world) == set()


def test_what_has_something_to_wait_for_is_looked_at_soon(world):
    plan = world.bridge.plan("people")
    assert waits(world) == {"control": slices.QUIET, "lane/0": slices.QUIET}
    world.bridge.switch_off("all", "a drill")
    with pytest.raises(Exception, match="a drill"):
        world.bridge.apply(plan, confirm=plan.verdict.count)
    assert max(waits(world).values()) == slices.REST


def test_a_persons_decision_wakes_the_flow(world):
    world.apply()
    world.put(2, given="a\nb")
    world.bridge.run("people")
    waits(world)
    assert due(world) == set()
    (item,) = world.bridge.review("people")
    world.bridge.decide("people", item.item, "replay", reason="mended")
    assert {"control", "lane/0"} <= due(world)
