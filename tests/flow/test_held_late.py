"""What only transaction B holds waits under one number, and its waiting ends (guard 34)."""

from __future__ import annotations

import pytest

from flow.lists_world import OWNER, ListWorld
from moatbridge.run.status import expired

WORK = ("work", "ada@x.example")


@pytest.fixture
def world(tmp_path, at_once):
    made = ListWorld(tmp_path, count=1, owner={**OWNER, "emails": "hold"})
    made.begin()
    made.edit("a", WORK, "-")
    made.passing(2)
    made.edit("a", WORK, "here")
    made.edit("b", WORK, "there")
    go(made)
    yield made
    made.bridge.close()


def go(world):
    world.forget_turns()
    world.go("out")


def hold(world):
    """The only item of the flow as the ledger keeps it."""
    with world.bridge.ledger.read() as tx:
        [row] = tx.all(
            "SELECT hold_id, created, expires, decided FROM hold WHERE flow_id=?",
            world.bridge.route("out").row.flow_id,
        )
    return row


def waits(world):
    return [w for w in world.bridge.review("out") if w.kind == "held"]


def expire(world):
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE hold SET expires=? WHERE decided IS NULL", tx.now() - 1)


def test_what_each_pass_holds_again_keeps_its_number_and_its_end(world):
    first = hold(world)
    for _ in range(2):
        go(world)
        assert hold(world) == first
        [item] = waits(world)
        assert (item.item, item.reason) == (f"h{first[0]}", "conflict")
    world.bridge.decide("out", item.item, "approve", actor="boss")
    go(world)
    assert world.lists()[1] == {WORK: "here"}
    assert waits(world) == []


def test_what_expired_is_held_again_only_when_it_says_something_else(world):
    first = hold(world)
    expire(world)
    for _ in range(2):
        go(world)
        assert waits(world) == []
        assert hold(world)[::3] == (first[0], "expire")
    [over] = expired(world.bridge.ledger, "out")
    assert over.item == f"h{first[0]}"
    assert world.lists()[1] == {WORK: "there"}
    world.edit("b", WORK, "elsewhere")  # the conflict is another one now
    go(world)
    assert hold(world)[0] != first[0]
    assert len(waits(world)) == 1


def test_what_expired_is_asked_again_when_somebody_says_so(world):
    first = hold(world)
    expire(world)
    go(world)
    world.bridge.decide("out", f"h{first[0]}", "replay", actor="boss")
    go(world)
    [item] = waits(world)
    assert item.item != f"h{first[0]}"


def test_what_a_person_refused_is_not_asked_again_by_the_next_pass(world):
    [item] = waits(world)
    world.bridge.decide("out", item.item, "refuse", actor="boss")
    for _ in range(2):
        go(world)
        assert waits(world) == []
    assert world.lists() == ({WORK: "here"}, {WORK: "there"})


def test_a_conflict_that_is_over_takes_its_item_along(world):
    world.edit("b", WORK, "-")
    go(world)
    assert waits(world) == []
    assert world.lists()[1] == {WORK: "here"}


@pytest.mark.parametrize("side", ["a", "b"])
def test_another_conflict_is_another_item(world, side):
    first = hold(world)
    world.edit(side, WORK, "other")
    go(world)
    [item] = waits(world)
    assert item.item == f"h{hold(world)[0]}" != f"h{first[0]}"
    with world.bridge.ledger.read() as tx:
        held = tx.value("SELECT count(*) FROM parcel WHERE state=5")
    assert held == 1
