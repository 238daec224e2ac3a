"""Sources that only tell changes: nothing to compare, then the tail (replies, inboxes)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from flow_world import World
from moatbridge.config import parse
from moatbridge.registry import Registry
from moatbridge.run import Bridge
from moatbridge.testing import MemoryAdapter


class Feed(MemoryAdapter):
    """Only changes; they can be looked at."""

    name = "feed"

    def streams(self):
        return [
            replace(s, abilities=s.abilities - {"CanScan"}) for s in super().streams()
        ]


class FeedWorld(World):
    def __init__(self, folder, **more):
        super().__init__(folder, count=3, systems={"hr": {"adapter": "feed"}}, **more)

    def config(self):
        return {**super().config(), "adapters": ["memory", "feed"]}

    def open(self):
        registry = Registry(discover=False)
        registry.register("memory", MemoryAdapter)
        registry.register("feed", Feed)
        return Bridge(parse(self.config(), registry), registry=registry)


@pytest.fixture
def world(tmp_path):
    made = FeedWorld(tmp_path)
    yield made
    made.bridge.close()


def test_the_first_plan_asks_for_what_comes_from_now_on(world):
    plan = world.bridge.plan("people")
    assert (plan.without_pass, plan.counts, plan.verdict.decision) == (
        "follows",
        {},
        "confirm",
    )
    assert "only tells changes" in plan.verdict.findings[0].sentence


def test_nothing_is_carried_before_a_person_agreed(world):
    world.put(7)
    assert world.bridge.run("people").state == "planned"
    assert world.there() == {}


def test_once_agreed_a_run_drains_the_tail(world):
    plan = world.bridge.plan("people")
    world.put(7)
    assert world.bridge.apply(plan, confirm=0).state == "done"
    result = world.bridge.run("people")
    assert (result.state, result.outcome) == ("done", {"create": {"DONE": 1}})
    assert set(world.there()) == {"u0007"}
    assert world.bridge.run("people").state == "nothing"


def test_many_pages_of_the_tail_are_drained_in_one_run(world):
    world.hr.set("people", page=2)
    world.bridge.apply(world.bridge.plan("people"), confirm=0)
    for number in range(10, 25):
        world.put(number)
    assert world.bridge.run("people").delivered == 15


def test_changes_are_judged_by_the_live_windows(tmp_path):
    world = FeedWorld(tmp_path, extra={"guard": {"creates": 2}})
    world.bridge.apply(world.bridge.plan("people"), confirm=0)
    for number in range(10, 15):
        world.put(number)
    result = world.bridge.run("people")
    assert result.delivered == 2
    assert result.waiting == {"held": 3}
    world.bridge.close()


def test_a_plan_after_that_says_that_there_is_nothing_to_compare(world):
    world.bridge.apply(world.bridge.plan("people"), confirm=0)
    plan = world.bridge.plan("people")
    assert (plan.without_pass, plan.verdict.decision) == ("follows", "pass")
    assert world.bridge.apply(plan).state == "nothing"


def test_a_lost_position_asks_again(world):
    world.bridge.apply(world.bridge.plan("people"), confirm=0)
    with world.bridge.ledger.write() as tx:
        cursor = json.loads(tx.value("SELECT cursor FROM partition WHERE part='live'"))
        tx.run(
            "UPDATE partition SET cursor=? WHERE part='live'",
            json.dumps({**cursor, "server": "other"}),
        )
    world.bridge.run("people")
    plan = world.bridge.plan("people")
    assert plan.verdict.decision == "confirm"
    world.bridge.apply(plan, confirm=0)
    world.put(9)
    world.bridge.run("people")
    assert set(world.there()) == {"u0009"}
