"""Two flows over one pair of streams: ownership, echoes, drift (delivery G)."""

from __future__ import annotations

import pytest

from flow_world import World

PAIR = {
    "out": {"from": "hr/people", "to": "social/people"},
    "back": {
        "from": "social/people",
        "to": "hr/people",
        "owner": {"*": "hr/people", "phoneNumbers": "social/people"},
    },
}


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, flows={name: dict(flow) for name, flow in PAIR.items()})
    yield made
    made.bridge.close()


def effects(world):
    return len(world.hr.effects()), len(world.social.effects())


def test_an_edit_of_an_owned_field_travels_back_and_is_not_echoed(world):
    world.apply("out")
    world.apply("back")
    world.edit_there("u0003", phone="+49 555")
    result = world.bridge.run("back")
    assert result.outcome == {"update": {"DONE": 1}}
    assert world.here()["u0003"]["phone"] == "+49 555"
    before = effects(world)
    for _ in range(3):
        assert world.bridge.run("out").state == "done"
        assert world.bridge.run("back").state == "done"
    assert effects(world) == before


def test_a_field_owned_by_the_other_side_is_not_carried(world):
    world.apply("out")
    world.apply("back")
    world.edit_there("u0003", family="Drifted")
    world.put(4, phone="from-hr")
    world.bridge.run("back")
    world.bridge.run("out")
    assert world.here()["u0003"]["family"] == "L3"
    assert world.there()["u0004"]["phone"] == "1"


def test_a_record_created_on_the_side_that_does_not_own_existence_is_not_carried(world):
    world.apply("out")
    world.social.put("people", [{"uid": "stranger", "given": "X", "family": "Y"}])
    assert world.apply("back").outcome == {}
    assert "stranger" not in world.here()
