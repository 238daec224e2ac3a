"""What waits for a person: ambiguous, clashing, parked; and what a decision does (delivery 52)."""

from __future__ import annotations

import pytest

from flow.stillness import NONE, REQUEST
from moatbridge.changes import Receipt
from moatbridge.errors import ConfigurationError
from moatbridge.testing import FlakyAdapter, MemoryAdapter, Schedule


def put_there(world, uid, **more):
    return world.social.put(
        "people", [{"uid": uid, "given": "Old", "family": "Old", "phone": "1", **more}]
    )[0]


def test_two_hits_are_ambiguous_and_held(worlds):
    world = worlds(flow={"match": ["userName"]})
    put_there(world, "u0002", ext="x1")
    put_there(world, "u0002", ext="x2")
    world.go()
    assert world.waiting() == [("held", "ambiguous")]
    assert world.states() == {"DONE": 4, "HELD": 1}
    [item] = world.bridge.review("people")
    with pytest.raises(ConfigurationError) as error:
        world.bridge.decide("people", item.item, "approve")
    assert error.value.code == "review.ambiguous"


def test_a_hit_that_is_linked_already_is_held(worlds):
    world = worlds(flow={"match": ["emails[type=work].value"]})
    world.go()
    world.put(7, mail="u3@x.example")
    world.go()
    assert world.waiting() == [("held", "ambiguous")]
    assert len(world.social.all("people")) == 5


def test_two_records_that_match_one_are_not_both_linked(worlds):
    world = worlds(count=0, flow={"match": ["emails[type=work].value"]})
    put_there(world, "somebody", mail="shared@x.example")
    world.put(1, mail="shared@x.example")
    world.put(2, mail="shared@x.example")
    world.go()
    assert world.waiting() == [("held", "ambiguous")]
    assert world.value("SELECT count(*) FROM link WHERE b_key IS NOT NULL") == 1


def test_the_same_held_record_is_not_held_twice(worlds):
    world = worlds(flow={"match": ["userName"]})
    put_there(world, "u0002", ext="x1")
    put_there(world, "u0002", ext="x2")
    for _ in range(3):
        world.go()
    assert world.waiting() == [("held", "ambiguous")]
    assert world.value("SELECT count(*) FROM hold") == 1


class Clashing(MemoryAdapter):
    """Answers every create with the same record."""

    def write(self, stream, intents):
        receipts = super().write(stream, intents)
        return [Receipt("applied", receipts[0].ref, "1") for _ in receipts]


def test_a_receipt_that_names_a_linked_record_is_held_and_never_relinked(worlds):
    world = worlds(target=Clashing, count=3)
    world.go()
    assert world.waiting() == [("parked", "ref-clash")] * 2
    assert world.value("SELECT count(*) FROM link WHERE b_key IS NOT NULL") == 1


@pytest.mark.parametrize("action", ["arrived", "give-up", "resend"])
def test_a_clash_can_be_decided_or_says_why_not(worlds, action):
    world = worlds(target=Clashing, count=2)
    world.go()
    [item] = world.bridge.review("people")
    if action == "arrived":
        with pytest.raises(ConfigurationError) as error:
            world.bridge.decide("people", item.item, action)
        assert error.value.code == "review.item"
        assert world.waiting() == [("parked", "ref-clash")]
    else:
        world.bridge.decide("people", item.item, action)
        assert world.waiting() == []


def parked(worlds, *, fault="lost_answer", **more):
    target = FlakyAdapter.of(MemoryAdapter, Schedule({"write": [fault]}))
    world = worlds(
        target=target, traits=NONE, count=1, flow={"match": ["externalId"]}, **more
    )
    world.go()
    [item] = world.bridge.review("people")
    assert item.kind == "parked"
    return world, item.item


def test_parked_and_sent_again(worlds):
    world, item = parked(worlds, fault="lost_request")
    world.bridge.decide("people", item, "resend")
    world.later(2)
    world.drain()
    assert world.waiting() == []
    assert world.same()


def test_parked_and_given_up_is_seen_again_by_the_next_pass(worlds):
    world, item = parked(worlds, fault="lost_request")
    world.bridge.decide("people", item, "give-up")
    assert world.waiting() == []
    world.go()
    world.later(61)  # until then the doubtful request might still arrive
    world.drain()
    assert world.same()
    assert len(world.social.effects()) == 1


def test_parked_but_it_had_arrived_is_linked_by_the_next_change_and_not_created_again(
    worlds,
):
    world, item = parked(worlds)
    world.bridge.decide("people", item, "arrived")
    world.go()
    assert len(world.social.all("people")) == 1
    world.put(0, family="Changed")
    world.go()
    world.later(61)
    world.drain()
    assert len(world.social.all("people")) == 1
    assert world.there()["u0000"]["family"] == "Changed"


def test_a_parked_record_blocks_its_own_newer_change_and_nothing_else(worlds):
    world, _item = parked(worlds)
    world.put(0, family="Newer")
    world.put(1)
    world.go()
    assert "u0001" in world.there()
    assert world.there()["u0000"]["family"] == "L0"
    for _ in range(3):
        world.later(2)
        world.drain()
    assert world.there()["u0000"]["family"] == "L0"


def test_a_run_that_waits_for_a_person_comes_back_and_does_not_stop_others(worlds):
    """Nothing hangs: a parked record with a newer change is not waited for."""
    world, item = parked(worlds)
    world.put(0, family="Newer")
    result = world.bridge.run("people")
    assert (result.state, result.waiting) == ("applying", {"parked": 1})
    world.put(1)
    assert world.bridge.run("people").waiting == {"parked": 1}
    assert "u0001" in world.there()
    world.bridge.decide("people", item, "arrived")
    world.later(61)
    assert world.bridge.run("people").state == "done"
    assert world.there()["u0000"]["family"] == "Newer"
    assert len(world.social.all("people")) == 2


def test_a_run_whose_target_is_away_comes_back_to_try_later(worlds):
    target = FlakyAdapter.of(MemoryAdapter, Schedule({"write": ["not_applied"] * 3}))
    world = worlds(target=target)
    plan = world.bridge.plan("people")
    assert world.bridge.apply(plan, confirm=plan.verdict.count).state == "applying"
    assert world.states() == {"RETRY": 5}
    world.later(61)
    assert world.bridge.run("people").state == "done"
    assert world.same()


def test_a_rejected_record_comes_back_when_it_changes(worlds):
    world = worlds(traits=REQUEST)
    world.social.refuse = lambda record: (
        "data" if record.get("family") == "Bad" else None
    )
    world.put(3, family="Bad")
    world.go()
    assert world.waiting() == [("rejected", "memory.data")]
    world.go()
    assert world.states() == {"DONE": 4, "REJECTED": 1}
    world.put(3, family="Good")
    world.go()
    assert world.waiting() == []
    assert world.same()


def test_a_stale_compare_and_set_is_fetched_and_judged_again(worlds):
    """DESIGN 10.9: never resent as it was."""

    class Raced(MemoryAdapter):
        raced = 0

        def write(self, stream, intents):
            if Raced.raced:
                Raced.raced -= 1
                world.edit_there("u0001", phone="someone else")
            return super().write(stream, intents)

    world = worlds(target=Raced, traits=REQUEST)
    world.go()
    Raced.raced = 1
    world.put(1, family="Ours")
    world.go()
    world.later(2)
    world.drain()
    assert world.states()["CANCELLED"] == 1
    assert world.there()["u0001"]["family"] == "Ours"
    assert world.value("SELECT count(*) FROM intent WHERE error='memory.stale'") == 1
    assert world.social.doubled() == []
