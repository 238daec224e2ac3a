"""Records posted, edited and taken back; held posts and what an approval binds to."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from flow.decisions_world import DecisionWorld, Social
from moatbridge.adapter import Field
from moatbridge.changes import Receipt
from moatbridge.cli.show_plan import plan_lines
from moatbridge.cli.show_verdict import Setting
from moatbridge.errors import ConfigurationError, NotApplied


@pytest.fixture
def make(tmp_path):
    made = []

    def one(**settings):
        made.append(DecisionWorld(tmp_path, **settings))
        return made[-1]

    yield one
    for world in made:
        world.close()


def effects(world, op):
    return [e for e in world.systems["social"].effects() if e.op == op]


def test_a_changed_record_edits_its_post_and_a_repeated_one_does_nothing(make):
    world = make()
    world.put_order("4711", "shipped")
    world.run("orders")
    world.run("orders")
    assert world.posts()[0] == "Order 4711 over 12.50: shipped"
    assert len(effects(world, "update")) == 1


def test_a_record_that_goes_leaves_its_post_unless_the_flow_says_otherwise(make):
    world = make()
    erp = world.systems["erp"]
    erp.delete("orders", [erp.ref_of(erp.stream("orders"), {"id": "4711"})])
    world.run("orders")
    assert len(world.posts()) == 2
    assert world.bridge.route("orders").config.deletes == "ignore"


def test_remove_takes_the_post_back(make):
    world = make(orders={"deletes": "remove", "i_know": "deletes are final"})
    erp = world.systems["erp"]
    erp.delete("orders", [erp.ref_of(erp.stream("orders"), {"id": "4711"})])
    world.run("orders")
    assert world.posts() == ["Order 4712 over 12.50: open"]


@pytest.mark.parametrize("deletes", ["disable", "disable_then_remove"])
def test_a_post_cannot_be_disabled(make, deletes):
    with pytest.raises(ConfigurationError) as error:
        make(orders={"deletes": deletes})
    assert error.value.code == "flow.deletes"
    assert 'deletes = "ignore"' in error.value.message


class Incidents(Social):
    """Posts, and says that others could see it."""

    def write(self, stream, intents):
        receipts = super().write(stream, intents)
        return [
            Receipt(r.outcome, r.ref, r.version, code=r.code, incident="audience")
            for r in receipts
        ]


def run_on(world):
    """Until it is over, one way or the other."""
    while world.run("orders").state == "applying":
        pass


def test_five_incidents_within_ten_minutes_switch_the_system_off(make):
    world = make(social=Incidents)  # the two orders of the world
    for number in range(3):
        world.put_order(f"51{number}")
    world.run("orders")
    with world.bridge.ledger.read() as tx:
        rows = tx.all("SELECT scope, actor FROM kill")
    assert [tuple(row) for row in rows] == [("system:social", "guard")]
    world.put_order("5200")
    with pytest.raises(NotApplied) as error:
        run_on(world)
    assert error.value.code == "guard.kill-switch"


def test_fewer_incidents_are_kept_and_switch_nothing_off(make):
    world = make(social=Incidents)
    with world.bridge.ledger.read() as tx:
        assert tx.value("SELECT count(*) FROM incident") == 2
        assert tx.value("SELECT count(*) FROM kill") == 0


# --- held posts -----------------------------------------------------------------------


def held(world):
    """Order 4711 changed; its edit waits for a person."""
    world.put_order("4711", "secret AKIAIOSFODNN7EXAMPLE")
    world.run("orders")
    return [w for w in world.bridge.review("orders") if w.kind == "held"]


@pytest.fixture
def external(make):
    """Every post is looked at."""
    return make()


def test_a_held_post_shows_before_and_after(external):
    [item] = held(external)
    assert item.before["content"] == "Order 4711 over 12.50: open"
    assert item.entity["content"].startswith("Order 4711 over 12.50: secret")
    assert item.entity["audience"] == {"kind": "org"}


def test_an_approved_post_is_sent(external):
    [item] = held(external)
    external.bridge.decide("orders", item.item, "approve", actor="boss")
    external.run("orders")
    assert any("secret" in text for text in external.posts())


def test_an_approval_is_void_when_the_item_is_another_one_by_then(external):
    [item] = held(external)
    with external.bridge.ledger.write() as tx:
        tx.run(
            "UPDATE intent SET payload=json_set(payload, '$.entity.audience.kind', 'public') "
            "WHERE parcel_id=(SELECT parcel_id FROM hold WHERE hold_id=?)",
            int(item.item[1:]),
        )
    external.bridge.decide("orders", item.item, "approve", actor="boss")
    external.run("orders")
    assert not any("secret" in text for text in external.posts())
    [again] = [w for w in external.bridge.review("orders") if w.kind == "held"]
    assert again.reason == "approval"
    assert again.entity["audience"]["kind"] == "public"
    external.bridge.decide("orders", again.item, "approve", actor="boss")
    external.run("orders")
    assert any("secret" in text for text in external.posts())


def test_what_is_refused_is_never_sent(external):
    [item] = held(external)
    external.bridge.decide("orders", item.item, "refuse", actor="boss")
    external.run("orders")
    assert not any("secret" in text for text in external.posts())


def test_the_payload_of_a_held_post_holds_what_approval_binds_to(external):
    [item] = held(external)
    with external.bridge.ledger.read() as tx:
        payload = json.loads(
            tx.value(
                "SELECT payload FROM intent WHERE parcel_id="
                "(SELECT parcel_id FROM hold WHERE hold_id=?)",
                int(item.item[1:]),
            )
        )
    assert len(payload["digest"]) == 64


# --- references -------------------------------------------------------------------------


THREAD = {
    "erp/orders": {
        "translator": {
            "entity": "Post",
            "fields": {
                "content": {"template": "{id}: {total}"},
                "inReplyTo": {"ref": "erp/orders", "from": "state", "by": "id"},
                "audience": {"const": {"kind": "org"}},
            },
        }
    }
}


@pytest.fixture
def thread(make):
    """``state`` names the order that an order replies to."""
    return make(streams=THREAD, state=None)


def parents(world):
    rows = {r.ref.key: r.data for r in world.systems["social"].all("posts")}
    return {
        row["content"].partition(":")[0]: rows[row["inReplyTo"]]["content"].partition(
            ":"
        )[0]
        for row in rows.values()
        if row["inReplyTo"]
    }


def test_a_reply_follows_its_parent_of_the_same_pass(thread):
    thread.put_order("1-child", "2-parent")
    thread.put_order("2-parent", None)
    thread.run("orders")
    assert parents(thread) == {"1-child": "2-parent"}


def test_a_reply_waits_for_a_parent_that_is_not_there_yet(thread):
    thread.put_order("child", "parent")
    assert thread.run("orders").state == "applying"
    assert not any("child" in text for text in thread.posts())
    thread.put_order("parent", None)
    thread.run("orders")
    with thread.bridge.ledger.write() as tx:
        tx.run("UPDATE parcel SET not_before=0")
    thread.run("orders")
    assert parents(thread) == {"child": "parent"}
    assert len(effects(thread, "create")) == 4


# --- attachments ----------------------------------------------------------------------


class Files(Social):
    """Posts can have files."""

    def streams(self):
        return [
            replace(s, fields=(*s.fields, Field("attachment", "any", multi=True)))
            if s.name == "posts"
            else s
            for s in super().streams()
        ]


def test_the_plan_counts_attachments_that_nobody_looks_into(make):
    files = [{"type": "Document", "mediaType": "application/pdf", "name": "offer.pdf",
              "blob": {"sha256": "0" * 64, "size": 10}}]  # fmt: skip
    streams = {
        "erp/orders": {
            "translator": {
                "entity": "Post",
                "fields": {
                    "content": {"template": "Order {id}: {state}"},
                    "audience": {"const": {"kind": "org"}},
                    "attachment": {"const": files},
                },
            }
        }
    }
    world = make(streams=streams, social=Files)
    world.put_order("4713")
    plan = world.bridge.plan("orders")
    assert plan.attachments == 1
    [finding] = [f for f in plan.verdict.findings if f.rule == "attachments"]
    assert "content is not inspected" in finding.sentence
    shown = "\n".join(plan_lines(plan, [], Setting("erp/orders", "social/posts")))
    assert "1  attachments, content not inspected" in shown
