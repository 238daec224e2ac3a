"""What the guard noticed and let go: counted, listed, and its label (guard 6, 18, 26)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from flow.decisions_world import LIMITS, DecisionWorld
from moatbridge.cli.show_result import result_lines
from moatbridge.cli.show_status import status_lines
from moatbridge.cli.show_verdict import Setting
from moatbridge.cli.show_waiting import waiting_lines
from moatbridge.errors import ConfigurationError, GuardStopped, Rejected
from moatbridge.flow import run_slice
from moatbridge.ledger import Ledger, counts
from moatbridge.run.status import expired, status

LOOSE = "tests, tests, until 2999-12-31"
CARD = "paid with 4111 1111 1111 1111"

LOOSENED = dict.fromkeys((*LIMITS, "card"), LOOSE)
MASKING = {"card": {"action": "mask", "mode": "enforce"}, "loosen": LOOSENED}


@pytest.fixture
def make(tmp_path):
    made = []

    def one(**settings):
        made.append(DecisionWorld(tmp_path, **settings))
        return made[-1]

    yield one
    for world in made:
        world.close()


def noticed(plan, rule="card"):
    return [f for f in plan.verdict.findings if f.rule == rule]


def status_of(world):
    return status(world.bridge.config, world.bridge.ledger)


def seen(world, flow="orders"):
    return next(f for f in status_of(world).flows if f.flow == flow)


def test_a_card_that_only_warns_inside_is_a_finding_of_the_plan(make):
    world = make()
    world.put_order("4711", CARD)
    [finding] = noticed(world.bridge.plan("orders"))
    assert (finding.mode, finding.seen, finding.effect) == ("warn", 1, "pass")
    assert "content" in finding.sentence
    assert "4111" not in finding.sentence


def test_what_would_be_masked_when_it_is_judged_again_is_masked(make):
    """Rules were tightened between the plan and its delivery (guard 5)."""
    world = make()
    world.put_order("4711", CARD)
    plan = world.bridge.plan("orders")
    world.bridge.close()
    world.settings["guard"] = MASKING
    world.bridge = world.open()
    world.bridge.apply(plan.digest, flow="orders", confirm=plan.verdict.count)
    assert not any("4111 1111" in text for text in world.posts())
    assert any("[card ending 1111]" in text for text in world.posts())


def test_what_is_held_when_it_is_judged_again_is_held_as_it_would_be_masked(make):
    """Approving sends no more than the reviewer saw."""
    world = make()
    world.put_order("4711", f"falcon {CARD}")
    plan = world.bridge.plan("orders")
    world.bridge.close()
    word = {"words": ["falcon"], "word": {"mode": "enforce"}}
    world.settings["guard"] = {**MASKING, **word}
    world.bridge = world.open()
    world.bridge.apply(plan.digest, flow="orders", confirm=plan.verdict.count)
    [item] = held(world)
    assert item.entity["content"].endswith("falcon paid with [card ending 1111]")
    world.bridge.decide("orders", item.item, "approve", actor="boss")
    world.run("orders")
    assert any(text.endswith("[card ending 1111]") for text in world.posts())
    assert not any("4111 1111" in text for text in world.posts())


def test_what_is_sent_all_the_same_is_counted_once_and_told(make):
    """Planning counts nothing; what leaves is counted where it leaves (guard 2, 6)."""
    world = make()
    world.put_order("4711", CARD)
    world.bridge.plan("orders")
    assert seen(world).let_go == {}
    result = world.run("orders")
    assert result.let_go == {"warn.card": 1}
    assert world.run("orders").let_go == {}
    assert seen(world).let_go == {"warn.card": 1}
    [event] = [json.loads(body) for body in world.audit("let-go")]
    assert (event["flow"], event["rules"]) == ("orders", {"warn.card": 1})
    assert any(json.loads(e)["rules"] == ["card"] for e in world.audit("verdict"))
    shown = "\n".join(result_lines(result, Setting("erp/orders", "social/posts")))
    assert "guard: card warned of 1 change that was sent" in shown
    status = "\n".join(status_lines(status_of(world)))
    assert "guard     card warned of 1 change that was sent in 24 h" in status
    assert "4111" not in shown + status


def test_a_live_change_that_is_let_go_is_counted(make):
    world = make()
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE partition SET not_before=0")
    world.put_order("4711", CARD)
    for part in (
        "live",
        *(f"lane/{n}" for n in range(world.bridge.route("orders").lanes)),
    ):
        run_slice(world.bridge, "orders", part, owner="test")
    assert any(CARD in text for text in world.posts())
    assert seen(world).let_go == {"warn.card": 1}


def test_what_is_only_observed_is_counted_as_that(make):
    world = make(guard={"card": {"mode": "observe"}, "loosen": LOOSENED})
    world.put_order("4711", CARD)
    [finding] = noticed(world.bridge.plan("orders"))
    assert finding.mode == "observe"
    assert world.run("orders").let_go == {"observe.card": 1}


def test_what_is_masked_is_counted_and_the_plan_says_so(make):
    world = make(guard=MASKING)
    world.put_order("4711", CARD)
    plan = world.bridge.plan("orders")
    assert noticed(plan)[0].sentence == "masks what it found in 1 change (in content)"
    assert (plan.verdict.decision, world.run("orders").let_go) == (
        "pass",
        {"mask.card": 1},
    )


def test_a_label_that_is_only_warned_of_is_a_finding_and_the_intent_has_it(make):
    loose = dict.fromkeys((*LIMITS, "credential"), LOOSE)
    world = make(guard={"credential": {"mode": "warn"}, "loosen": loose})
    world.put_order("4711", "key AKIAIOSFODNN7EXAMPLE")
    plan = world.bridge.plan("orders")
    [finding] = noticed(plan, "label")
    assert (finding.mode, finding.effect) == ("warn", "pass")
    with world.bridge.ledger.read() as tx:
        found = tx.value("SELECT label FROM intent ORDER BY parcel_id DESC LIMIT 1")
    assert found == "restricted"


# --- what a reviewer sees -----------------------------------------------------------


def held(world, flow="orders"):
    return [w for w in world.bridge.review(flow) if w.kind == "held"]


def hold_one(world, words="key AKIAIOSFODNN7EXAMPLE"):
    world.put_order("4711", f"{words}, {CARD}")
    world.run("orders")
    [item] = held(world)
    return item


def test_a_held_item_keeps_what_was_found_where_and_how_often(make):
    world = make()
    item = hold_one(world)
    found = {each[0]: each for each in item.noticed}
    assert found["credential"] == ["credential", "enforce", "hold", [["content", 1]]]
    assert found["card"] == ["card", "warn", "hold", [["content", 1]]]
    assert item.detail == "credential, label"
    shown = "\n".join(waiting_lines("orders", [item], now=item.since, values=False))
    assert "credential: found in content (1)" in shown
    assert "card: found in content (1) [warn: does not hold it]" in shown
    assert "expires in 3 d" in shown
    assert "AKIA" not in shown
    assert "4111" not in shown


def test_a_false_alarm_is_counted_for_each_rule_that_held_it(make):
    world = make()
    item = hold_one(world)
    with pytest.raises(ConfigurationError) as refused:
        world.bridge.decide(
            "orders", item.item, "refuse", actor="boss", false_alarm=True
        )
    assert refused.value.code == "review.item"
    world.bridge.decide("orders", item.item, "approve", actor="boss", false_alarm=True)
    with world.bridge.ledger.read() as tx:
        flow_id = world.bridge.route("orders").row.flow_id
        assert counts.false_alarms(tx, flow_id) == {"credential": 1, "label": 1}
    assert json.loads(world.audit("decision")[-1])["false_alarm"] == [
        "credential",
        "label",
    ]


def test_what_rules_warned_of_in_an_approved_item_is_counted_too(make):
    """The rule that held it decided, and is not counted; the others were let go."""
    world = make()
    item = hold_one(world)
    world.bridge.decide("orders", item.item, "approve", actor="boss")
    world.run("orders")
    assert any(CARD in text for text in world.posts())
    assert seen(world).let_go == {"warn.card": 1}
    assert [json.loads(e)["rules"] for e in world.audit("let-go")] == [{"warn.card": 1}]


def test_only_rules_are_counted_as_false_alarms(make):
    """What is held again because it is late is held by no rule."""
    world = make()
    item = hold_one(world)
    world.bridge.decide("orders", item.item, "approve", actor="boss")
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE run SET created=created-90000 WHERE kind='review'")
    world.run("orders")
    [late] = held(world)
    world.bridge.decide("orders", late.item, "approve", actor="boss", false_alarm=True)
    with world.bridge.ledger.read() as tx:
        flow_id = world.bridge.route("orders").row.flow_id
        assert counts.false_alarms(tx, flow_id) == {}
    assert json.loads(world.audit("decision")[-1])["false_alarm"] == []


# --- four eyes ------------------------------------------------------------------------


def written_by(name):
    fields = {
        "content": {"template": "Order {id} over {total}: {state}"},
        "audience": {"const": {"kind": "org"}},
        "attributedTo": {"const": {"stream": "social/accounts", "name": name}},
    }
    return {"erp/orders": {"translator": {"entity": "Post", "fields": fields}}}


def refused(world, item, actor, flow="orders"):
    with pytest.raises(GuardStopped) as stopped:
        world.bridge.decide(flow, item.item, "approve", actor=actor)
    assert stopped.value.code == "guard.approval"
    return stopped.value.message


def test_the_author_of_a_post_does_not_approve_it(make):
    world = make(guard={"four_eyes": True}, streams=written_by("Ada"))
    item = hold_one(world)
    assert "you are its author" in refused(world, item, "ada@host-a")
    assert held(world) == [item]
    world.bridge.decide("orders", item.item, "approve", actor="boss@host-a")


def test_whoever_decided_by_a_reply_does_not_approve_the_decision(make):
    world = make(guard={"four_eyes": True})
    world.reply("r1", "approve key AKIAIOSFODNN7EXAMPLE")
    world.run("decisions")
    [item] = held(world, "decisions")
    assert "author" in refused(world, item, "a.lovelace@host-a", "decisions")
    world.bridge.decide("decisions", item.item, "approve", actor="boss@host-a")


# --- how long an approval and a wait last -----------------------------------------------


def dated(moment):
    made = written_by("ada")
    made["erp/orders"]["translator"]["fields"]["published"] = {"const": moment}
    return made


def ago(hours):
    return f"{datetime.now(UTC) - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


def test_a_post_approved_after_its_time_is_shown_once_more_and_then_sent(
    make, monkeypatch
):
    world = make(streams=dated(ago(hours=20)))
    item = hold_one(world)
    world.bridge.decide("orders", item.item, "approve", actor="boss")
    now = Ledger.now
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "now", lambda self: now(self) + 5 * 3600)
        world.run("orders")
    assert not any("AKIA" in text for text in world.posts())
    [again] = held(world)
    assert again.item != item.item
    assert again.reason == "approval"
    assert again.detail.startswith("late: it was to be published by 20")
    world.bridge.decide("orders", again.item, "approve", actor="boss")
    world.run("orders")
    assert any("AKIA" in text for text in world.posts())


def test_a_post_that_was_old_when_it_was_held_is_not_late(make):
    world = make(streams=dated(ago(hours=48)))
    item = hold_one(world)
    world.bridge.decide("orders", item.item, "approve", actor="boss")
    world.run("orders")
    assert any("AKIA" in text for text in world.posts())


def test_an_approval_of_a_post_that_could_not_leave_for_a_day_is_void(make):
    world = make()
    item = hold_one(world)
    world.bridge.decide("orders", item.item, "approve", actor="boss")
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE run SET created=created-90000 WHERE kind='review'")
    world.run("orders")
    assert not any("AKIA" in text for text in world.posts())
    [again] = held(world)
    assert again.detail.startswith("late: it was approved at ")


def expire(world):
    """What is held has waited too long."""
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE hold SET expires=? WHERE decided IS NULL", tx.now() - 1)


def test_what_expired_is_listed_and_asked_again_only_when_somebody_says_so(make):
    world = make()
    item = hold_one(world)
    expire(world)
    for _ in range(2):
        world.run("orders")
        assert held(world) == []
    [over] = expired(world.bridge.ledger, "orders")
    assert (over.item, over.kind) == (item.item, "expired")
    assert seen(world).expired == 1
    shown = "\n".join(waiting_lines("orders", [over], now=over.since, values=False))
    assert "Flow orders: 0 waiting" in shown
    assert "ago; it was not sent" in shown
    with pytest.raises(Rejected) as gone:
        world.bridge.decide("orders", item.item, "approve", actor="boss")
    assert gone.value.code == "review.decided"
    world.bridge.decide("orders", item.item, "replay", actor="boss")
    world.run("orders")
    [again] = held(world)
    assert again.item != item.item
    assert expired(world.bridge.ledger, "orders") == []


def test_what_expired_is_over_when_the_record_moves_on(make):
    world = make()
    hold_one(world)
    expire(world)
    world.run("orders")
    world.put_order("4711", "shipped")
    world.run("orders")
    assert expired(world.bridge.ledger, "orders") == []
    assert "Order 4711 over 12.50: shipped" in world.posts()


def test_quarantined_items_wait_as_long_as_their_own_setting_says(make):
    ttl = {"approval_ttl": "2h", "quarantine_ttl": "5d"}
    world = make(guard={**ttl, "words": ["falcon"]})
    world.put_order("4711", "falcon " * 1001)  # more findings than are looked at
    world.put_order("4712", "key AKIAIOSFODNN7EXAMPLE")
    world.run("orders")
    waits = {w.reason: round(w.expires - w.since) for w in held(world)}
    assert waits == {"quarantine": 5 * 86_400, "approval": 7_200}


def test_items_that_a_former_version_held_expire_as_they_did(make):
    world = make()
    hold_one(world)
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE hold SET expires=NULL, created=created-?", 71 * 3600)
    world.run("orders")
    assert len(held(world)) == 1
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE hold SET expires=NULL, created=created-?", 2 * 3600)
    world.run("orders")
    assert held(world) == []
