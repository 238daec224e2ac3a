"""Decisions that a reviewer looks at, and what is forgotten about replies in time."""

from __future__ import annotations

import pytest

from flow.decisions_world import DecisionWorld
from moatbridge.ledger import replies
from moatbridge.run.deciding import decide

SECRET = "approve with AKIAIOSFODNN7EXAMPLE"
TOLD = [("r1", ("ada",), "Your decision had to be approved by somebody else and was not approved")]  # fmt: skip


@pytest.fixture
def world(tmp_path):
    made = DecisionWorld(tmp_path)
    yield made
    made.close()


def held(world):
    world.reply("r1", SECRET)
    world.run()
    [item] = [w for w in world.bridge.review("decisions") if w.kind == "held"]
    return item.item


def test_who_decided_is_told_that_a_reviewer_refused(world):
    item = held(world)
    world.bridge.decide("decisions", item, "refuse", actor="boss")
    world.run()
    world.run()
    assert world.decided() == []
    assert world.answers() == TOLD
    assert world.outcomes() == {"refused.not-approved": 1}


def test_a_refusal_without_any_system_at_hand_is_told_too(world):
    item = held(world)
    bridge = world.bridge
    decide(bridge.config, bridge.ledger, "decisions", item, "refuse", actor="boss")
    world.run()
    assert world.answers() == TOLD


def test_an_approved_decision_is_sent_and_needs_no_answer(world):
    item = held(world)
    world.bridge.decide("decisions", item, "approve", actor="boss")
    world.bridge.run("decisions")
    world.run()
    assert [row[:2] for row in world.decided()] == [("4711", "Accept")]
    assert world.answers() == []


def test_the_words_for_it_can_be_chosen(tmp_path):
    texts = {"not-approved": "The controller said no"}
    world = DecisionWorld(tmp_path, decide={"texts": texts})
    world.bridge.decide("decisions", held(world), "refuse", actor="boss")
    world.run()
    assert [text for _to, _who, text in world.answers()] == ["The controller said no"]
    world.close()


def again(world):
    """The same ledger, another process: it tidies up once."""
    world.bridge.close()
    world.bridge = world.open()
    world.run()


def test_a_held_decision_that_nobody_approved_in_time_is_told(world):
    held(world)
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE hold SET expires=0")
    again(world)
    world.run()
    assert world.answers() == TOLD


def age(world):
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE reply SET at=0")
        tx.run("UPDATE answer SET at=0")


def rows(world, table):
    with world.bridge.ledger.read() as tx:
        return tx.value(f"SELECT count(*) FROM {table}")


def test_old_replies_and_carried_answers_are_forgotten(world):
    world.reply("r1", "approve")
    world.reply("r2", "approve", by="stranger")
    world.run()
    again(world)
    assert (rows(world, "reply"), rows(world, "answer")) == (2, 1)
    age(world)
    for _ in range(20):  # a run that is over leaves the rest of it to the next one
        again(world)
        if not rows(world, "reply") + rows(world, "answer"):
            break
    assert (rows(world, "reply"), rows(world, "answer")) == (0, 0)
    assert len(world.answers()) == 1


def test_a_reply_whose_decision_waits_is_not_forgotten(world):
    held(world)
    age(world)
    again(world)
    assert rows(world, "reply") == 1


def test_an_answer_that_was_not_carried_yet_is_not_forgotten(world):
    world.reply("r1", "approve", by="stranger")
    world.run()
    flow_id = world.bridge.route("decisions").row.flow_id
    with world.bridge.ledger.write() as tx:
        tx.run(
            "UPDATE partition SET cursor=json_set(cursor, '$.at.answer', 0) WHERE flow_id="
            "(SELECT flow_id FROM flow WHERE name='decisions.answers') AND kind='live'"
        )
        tx.run("UPDATE answer SET at=0")
        replies.prune(tx, flow_id, before=1.0)
    assert rows(world, "answer") == 1
