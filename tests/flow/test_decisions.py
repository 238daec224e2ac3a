"""Replies to posts become decisions in the system of record, once (design 0007)."""

from __future__ import annotations

import pytest

from flow.decisions_world import DecisionWorld
from moatbridge.errors import ConfigurationError


@pytest.fixture
def world(tmp_path):
    made = DecisionWorld(tmp_path)
    yield made
    made.close()


def test_an_approving_reply_decides_with_the_persons_own_login(world):
    world.reply("r1", "@bot approve")
    result = world.run()
    assert result.state == "done"
    assert result.outcome == {"create": {"DONE": 1}}
    assert world.decided() == [("4711", "Accept", "a.lovelace", None)]
    assert world.answers() == []
    assert world.outcomes() == {"decided.Accept": 1}


def test_a_rejecting_reply_carries_its_comment(world):
    world.reply("r1", "Reject: too expensive, ask again")
    world.run()
    assert world.decided() == [
        ("4711", "Reject", "a.lovelace", "too expensive, ask again")
    ]


def test_a_known_word_in_any_case_and_language_decides(world):
    world.reply("r1", "@bot@social.example GENEHMIGT!")
    world.run()
    assert world.decided() == [("4711", "Accept", "a.lovelace", None)]


def test_talk_gets_neither_a_decision_nor_an_answer(world):
    for number, text in enumerate(("thanks", "approve?", "I would approve that", "")):
        world.reply(f"r{number}", text)
    result = world.run()
    assert result.state == "nothing"
    assert (world.decided(), world.answers()) == ([], [])
    assert world.outcomes() == {"quiet": 4}


@pytest.mark.parametrize("text", ["/accept", "!ok", "aprove", "@bot /approved now"])
def test_what_starts_like_a_command_gets_one_answer(world, text):
    world.reply("r1", text)
    world.run()
    world.run()
    assert world.decided() == []
    assert world.answers() == [
        ("r1", ("ada",), "This was not understood, and nothing was decided")
    ]


def test_an_unmapped_account_gets_an_answer_once_and_writes_nothing(world):
    world.reply("r1", "approve", by="stranger")
    world.run()
    world.run()
    assert world.decided() == []
    assert [(to, who) for to, who, _text in world.answers()] == [("r1", ("stranger",))]
    assert world.outcomes() == {"refused.unmapped": 1}


def test_two_people_with_one_account_are_ambiguous(world):
    world.put_person("a.double", "ada", "approver")
    world.reply("r1", "approve")
    world.run()
    assert world.decided() == []
    assert world.outcomes() == {"refused.ambiguous": 1}


def test_the_account_is_compared_exactly(world):
    world.reply("r1", "approve", by="Ada")
    world.reply("r2", "approve", by="ada ")
    world.run()
    assert world.decided() == []
    assert world.outcomes() == {"refused.unmapped": 2}


def test_who_is_not_allowed_gets_an_answer(world):
    world.reply("r1", "approve", by="bob")
    world.run()
    assert world.decided() == []
    assert world.answers() == [("r1", ("bob",), "You may not decide this")]


def test_anyone_mapped_must_be_said_and_then_holds(tmp_path):
    world = DecisionWorld(tmp_path, decide={"allowed": "anyone-mapped"})
    world.reply("r1", "approve", by="bob")
    world.run()
    assert world.decided() == [("4711", "Accept", "b.babbage", None)]
    world.close()


def test_who_left_the_company_does_not_decide(tmp_path):
    fields = {"userName": "uid", "active": "active"}
    people = {"translator": {"entity": "Person", "fields": fields}}
    world = DecisionWorld(tmp_path, people=people)
    world.put_person("a.lovelace", "ada", "approver", active=False)
    world.reply("r1", "approve")
    world.run()
    assert world.decided() == []
    assert world.outcomes() == {"refused.not-allowed": 1}
    world.close()


def test_while_the_directorys_translator_is_broken_nobody_decides(tmp_path):
    """Nobody could tell who has left."""
    fields = {"userName": "uid", "active": "activ"}
    people = {"translator": {"entity": "Person", "fields": fields}}
    with pytest.raises(ConfigurationError) as caught:
        DecisionWorld(tmp_path, people=people)
    assert caught.value.code == "translate.invalid"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (
            "conflict",
            "This was decided already, has changed, or can no longer be decided",
        ),
        (
            "rights",
            "The system does not accept this decision from you (rights or limits)",
        ),
        ("data", "The system does not accept this decision"),
    ],
)
def test_a_refusal_of_the_system_of_record_is_told_once(world, word, says):
    world.systems["erp"].refuse = lambda record: word if "verdict" in record else None
    world.reply("r1", "approve")
    world.run()
    world.run()
    assert world.decided() == []
    assert world.answers() == [("r1", ("ada",), says)]
    assert world.outcomes() == {f"refused.{word}": 1}
    assert world.run().waiting == {"rejected": 1}


def test_a_lost_answer_of_the_system_of_record_decides_once(world, monkeypatch):
    monkeypatch.setattr("moatbridge.flow.policies.SOON", 0.2)
    world.systems["erp"].lose_answers = 1
    world.reply("r1", "approve")
    assert world.run().state == "done"
    assert world.decided() == [("4711", "Accept", "a.lovelace", None)]
    assert (
        len([e for e in world.systems["erp"].effects() if e.stream == "decisions"]) == 1
    )


def test_a_reply_to_a_foreign_post_is_not_ours(world):
    [post] = world.systems["social"].put("posts", [{"content": "Lunch?"}])
    world.reply("r1", "approve", parent=post.key)
    world.run()
    assert (world.decided(), world.answers(), world.outcomes()) == ([], [], {})
    assert world.counted("replies-elsewhere") == 1


def test_a_reply_to_an_answer_of_ours_is_not_ours(world):
    world.reply("r1", "approve", by="bob")
    world.run()
    [answer] = [r for r in world.systems["social"].all("posts") if r.data["inReplyTo"]]
    world.reply("r2", "approve", by="bob", parent=answer.ref.key)
    world.run()
    assert len(world.answers()) == 1


def test_an_edited_reply_is_no_new_decision_and_says_so_once(world):
    world.reply("r1", "approve")
    world.run()
    for text in ("reject", "reject now", "reject, really"):
        world.reply("r1", text)
        world.run()
    assert world.decided() == [("4711", "Accept", "a.lovelace", None)]
    assert world.answers() == [("r1", ("ada",), "An edited reply does not count")]


def test_talk_that_is_edited_into_a_decision_decides_nothing(world):
    world.reply("r1", "hm")
    world.run()
    world.reply("r1", "approve")
    world.run()
    assert world.decided() == []
    assert world.answers() == [("r1", ("ada",), "An edited reply does not count")]


def test_an_edit_that_changes_the_comment_alone_is_not_answered(world):
    world.reply("r1", "approve")
    world.run()
    world.reply("r1", "approve, fine")
    world.run()
    assert (len(world.decided()), world.answers()) == (1, [])


def test_a_reply_deleted_before_it_was_sent_is_withdrawn(world):
    world.bridge.switch_off("flow:decisions", "drill")
    world.reply("r1", "approve")
    with pytest.raises(Exception, match="switched off"):
        world.run()
    world.delete_reply("r1")
    world.lift("flow:decisions")
    world.run()
    assert world.decided() == []
    assert world.outcomes() == {"withdrawn": 1}


def test_a_reply_deleted_afterwards_undoes_nothing(world):
    world.reply("r1", "approve")
    world.run()
    world.delete_reply("r1")
    world.run()
    assert len(world.decided()) == 1
    assert world.counted("replies-deleted") == 1


def test_a_reply_that_is_told_again_decides_once(world):
    world.reply("r1", "approve")
    world.run()
    with world.bridge.ledger.write() as tx:
        tx.run(
            "UPDATE partition SET cursor=json_set(cursor, '$.at.seq', 0) WHERE part='live' "
            "AND flow_id=?",
            world.bridge.route("decisions").row.flow_id,
        )
    world.run()
    assert len(world.decided()) == 1
    assert world.counted("replies-again") == 1


def test_every_reply_in_a_batch_is_taken_by_itself(world):
    world.reply("r1", "approve")
    world.reply("r2", "reject", to="4712")
    world.reply("r3", "approve", by="bob")
    world.run()
    assert [row[:2] for row in world.decided()] == [
        ("4711", "Accept"),
        ("4712", "Reject"),
    ]
    assert len(world.answers()) == 1


def test_the_post_shows_the_outcome_afterwards(world):
    take = world.systems["erp"]
    world.reply("r1", "approve")
    normalise = take.normalise

    def decide(record):
        if "verdict" in record:
            world.put_order(record["order"], "approved")
        return normalise(record)

    take.normalise = decide
    world.run()
    assert "Order 4711 over 12.50: approved" in world.posts()
    edits = [e for e in world.systems["social"].effects() if e.op == "update"]
    assert len(edits) == 1


def test_while_the_kill_switch_is_on_nothing_is_decided(world):
    world.bridge.switch_off("all", "drill")
    world.reply("r1", "approve")
    with pytest.raises(Exception, match="switched off"):
        world.run()
    assert world.decided() == []
    world.lift("all")
    world.run()
    assert len(world.decided()) == 1


def test_rights_taken_away_while_it_waited_are_seen_before_delivery(world):
    world.bridge.switch_off("flow:decisions", "drill")
    world.reply("r1", "approve")
    with pytest.raises(Exception, match="switched off"):
        world.run()
    world.put_person("a.lovelace", "ada", "clerk")
    world.later(700)
    world.lift("flow:decisions")
    world.run()
    assert world.decided() == []
    assert world.answers() == [("r1", ("ada",), "You may not decide this")]
    assert world.outcomes() == {"refused.not-allowed": 1}


def test_a_look_up_holds_for_ten_minutes(world):
    world.bridge.switch_off("flow:decisions", "drill")
    world.reply("r1", "approve")
    with pytest.raises(Exception, match="switched off"):
        world.run()
    world.put_person("a.lovelace", "ada", "clerk")
    world.lift("flow:decisions")
    world.run()
    assert len(world.decided()) == 1


def test_who_decided_is_in_the_audit_by_link_and_never_by_name(world):
    world.reply("r1", "approve because of Grace")
    world.run()
    [body] = world.audit("decided")
    assert '"outcome": "DONE"' in body
    for word in ("ada", "lovelace", "Grace"):
        assert not any(
            word in text for text in world.audit("decided") + world.audit("parcel")
        )


def test_nothing_is_read_before_a_person_agreed(tmp_path):
    world = DecisionWorld.__new__(DecisionWorld)
    DecisionWorld.__init__(world, tmp_path)
    assert world.applied("decisions")
    world.close()


def test_answers_are_judged_like_any_post(tmp_path):
    world = DecisionWorld(tmp_path, guard={"posts": {"run": 2, "day": 2}})
    for number in range(3):
        world.reply(f"r{number}", "approve", by="bob")
    world.run()
    assert (
        len(world.answers()) == 2
    )  # what people agreed to (the orders) does not count
    held = [w for w in world.bridge.review("decisions.answers") if w.kind == "held"]
    assert [w.reason for w in held] == ["limit"]
    world.close()
