"""What changes between the reading of a reply and its decision is seen before it is sent."""

from __future__ import annotations

import pytest

from flow.decisions_told import BRIEF, DECIDED, Away, taken, told, world, worlds

__all__ = ["world", "worlds"]


@pytest.mark.parametrize("what", ["record", "gone", "post", "plan"])
def test_what_changed_while_a_decision_waited_is_seen_before_it_is_sent(world, what):
    taken(world)
    if what in {"record", "plan"}:
        world.put_order("4711", total="99999.00")
    if what == "plan":
        world.bridge.plan("orders")
        world.put_order("4711")
    if what == "gone":
        world.drop_order("4711")
    if what == "post":
        world.edited_at("4711", "2026-03-01T10:00:07Z")
    world.lift("flow:decisions")
    world.run()
    assert told(world)


def test_a_decision_the_system_of_record_did_not_take_is_looked_at_again(worlds):
    """It was certainly not applied: what changed meanwhile is not decided about."""
    world = worlds(memory=Away)
    Away.methods = frozenset({"write"})
    world.reply("r1", "approve")
    world.run()
    Away.methods = frozenset()
    world.put_order("4711", total="99999.00")
    due(world)
    world.run()
    assert told(world)


def test_a_decision_that_was_not_taken_is_sent_again_if_nothing_changed(worlds):
    world = worlds(memory=Away)
    Away.methods = frozenset({"write"})
    world.reply("r1", "approve")
    world.run()
    assert world.decided() == []
    Away.methods = frozenset()
    due(world)
    world.run()
    assert world.decided() == DECIDED


def test_an_approval_by_a_reviewer_does_not_outlive_a_change(world):
    world.reply("r1", "approve with AKIAIOSFODNN7EXAMPLE")
    world.run()
    [held] = [w for w in world.bridge.review("decisions") if w.kind == "held"]
    world.put_order("4711", total="99999.00")
    world.bridge.decide("decisions", held.item, "approve", actor="boss")
    world.run()
    assert told(world)


def due(world):
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE parcel SET not_before=0")
        tx.run("UPDATE partition SET not_before=0")


def test_replies_are_taken_while_the_system_of_record_is_away_and_nothing_is_sent(
    worlds,
):
    world = worlds(memory=Away)
    Away.methods = frozenset({"fetch"})
    world.bridge.switch_off("flow:decisions", "drill")
    world.reply("r1", "approve")
    with pytest.raises(Exception, match="switched off"):
        world.run()
    assert world.outcomes() == {"decided.Accept": 1}
    assert world.counted("replies-unchecked") == 1
    Away.methods = frozenset()
    world.put_order("4711", total="99999.00")
    world.lift("flow:decisions")
    world.run()
    assert told(world)


# --- the version that a person saw --------------------------------------------------


def seen(world):
    return [row.data["seen"] for row in world.systems["erp"].all("decisions")]


def version(world):
    return world.systems["erp"].get("orders", world.order_ref("4711")).version


def test_a_decision_names_the_version_of_the_record_that_its_post_shows(worlds):
    world = worlds(streams=BRIEF)
    world.reply("r1", "approve")
    world.run()
    assert seen(world) == [version(world)]


def test_a_version_whose_post_looks_the_same_is_the_one_that_is_named(worlds):
    world = worlds(streams=BRIEF)
    taken(world)
    first = version(world)
    world.put_order("4711", total="13.00")  # its post does not show the total
    world.lift("flow:decisions")
    world.run()
    assert version(world) != first
    assert seen(world) == [version(world)]
