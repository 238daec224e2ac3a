"""What is masked when it is judged again stays masked if a person must agree (guard 5)."""

from __future__ import annotations

import pytest

from flow.pairs_world import PairWorld
from flow.test_pair_loops import OWNER, quarrel
from flow_world import World

ROLE = "roles[type=work].value"
DENIED = {"deny_fields": ["phoneNumbers"]}
LOOSE = "tests, tests, until 2999-12-31"


class Roles(World):
    """Given names are roles, which a person must agree to."""

    def config(self):
        config = super().config()
        for stream in config["streams"].values():
            fields = stream["translator"]["fields"]
            fields[ROLE] = fields.pop("name.givenName")
        return config


@pytest.fixture
def world(tmp_path, at_once):
    rule = {"privileged": {"mode": "observe"}, "loosen": {"privileged": LOOSE}}
    guard = {"four_eyes": False, **rule}
    made = Roles(tmp_path, count=2, extra={"guard": guard})
    yield made
    made.bridge.close()


def test_what_a_system_must_not_get_is_not_sent_after_an_approval(world):
    """Found in review: the hold kept what was staged, and that was sent."""
    world.apply()
    world.put(1, given="admin", phone="secret")
    plan = world.bridge.plan("people")
    world.extra = {"guard": {"four_eyes": False}}
    world.systems = {"social": DENIED}
    world.reopen()
    world.bridge.apply(plan.digest, flow="people", confirm=plan.verdict.count)
    [item] = world.bridge.review("people")
    assert "phoneNumbers" not in item.entity
    assert item.entity["roles"]
    world.bridge.decide("people", item.item, "approve")
    world.bridge.run("people")
    there = world.there()["u0001"]
    assert (there["given"], there["phone"]) == ("admin", "1")


def test_nor_is_it_when_the_loop_breaker_asks(tmp_path, at_once):
    world = PairWorld(tmp_path, owner=OWNER, count=2).begin()
    world.edit_here("u0001", family="Hopper")
    quarrel(world)
    world.edit_here("u0001", mail="new@x.example", phone="secret")
    world.scan("out")
    world.systems["social"].update(DENIED)
    world.reopen()
    world.drain(flow="out")
    [item] = world.bridge.review("out")
    assert item.reason == "loop"
    assert "emails" in item.entity
    assert "phoneNumbers" not in item.entity
    world.decide("out", "approve")
    world.drain(flow="out")
    there = world.there()["u0001"]
    assert (there["mail"], there["phone"]) == ("new@x.example", "1")
    world.bridge.close()
