"""What an attacker's review found: each was possible once."""

from __future__ import annotations

import os

import pytest

from flow_world import World
from moatbridge.errors import GuardStopped
from moatbridge.flow import run_slice
from moatbridge.ledger.keys import name_hash
from moatbridge.run import principal

OTHER = "other@example.org"


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, count=60)
    yield made
    made.bridge.close()


def poll(world, flow="people"):
    return run_slice(world.bridge, flow, "live", owner="test")


def deliver(world, flow="people"):
    for _ in range(20):
        if not run_slice(world.bridge, flow, "lane/0", owner="test").worked:
            return


def test_live_limits_do_not_start_again_at_every_batch(world):
    world.apply()
    world.hr.set("people", page=3)
    world.remove(*range(30))
    poll(world)
    deliver(world)
    gone = [r for r in world.there().values() if r["active"] is False]
    assert len(gone) <= 5
    assert sum(w.kind == "held" for w in world.bridge.review("people")) >= 25


def test_nothing_live_is_sent_before_the_first_run_was_agreed_to(world):
    world.bridge.plan("people")
    for number in range(20):
        world.put(number, family="Touched")
    poll(world)
    deliver(world)
    assert world.there() == {}


def test_live_changes_of_the_meantime_arrive_after_the_first_run(world):
    plan = world.bridge.plan("people")
    world.put(3, family="Meanwhile")
    poll(world)
    world.bridge.apply(plan, confirm=plan.verdict.count)
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE partition SET not_before=0")
    poll(world)
    deliver(world)
    assert world.there()["u0003"]["family"] == "Meanwhile"


def test_an_empty_first_pass_does_not_use_up_the_first_run(tmp_path):
    world = World(tmp_path, count=0)
    world.apply()
    for number in range(30):
        world.put(number)
    assert world.bridge.plan("people").first_run
    assert world.bridge.run("people").state == "planned"
    world.bridge.close()


MATCH = {"people": {"from": "hr/people", "to": "social/people", "match": ["userName"]}}


def test_an_account_with_another_external_id_is_never_adopted(tmp_path):
    world = World(tmp_path, count=3, flows=dict(MATCH))
    world.social.put(
        "people", [{"uid": "u0001", "given": "Root", "ext": "other-idp|42"}]
    )
    world.apply()
    assert world.there()["u0001"]["given"] == "Root"
    assert world.there()["u0001"]["ext"] == "other-idp|42"
    assert [w.reason for w in world.bridge.review("people")] == ["ambiguous"]
    world.bridge.close()


def test_adopting_an_account_later_waits_for_a_person(tmp_path):
    world = World(tmp_path, count=3, flows=dict(MATCH))
    world.apply()
    world.social.put("people", [{"uid": "root", "given": "Root"}])
    world.put(9, uid="root")
    world.bridge.run("people")
    assert world.there()["root"]["given"] == "Root"
    assert [w.reason for w in world.bridge.review("people")] == ["approval"]
    world.bridge.close()


def test_look_alike_names_do_not_match(tmp_path):
    world = World(tmp_path, count=0, flows=dict(MATCH))
    world.social.put("people", [{"uid": "smith", "given": "Real"}])
    world.put(0, uid="\u017fmith")
    world.apply()
    assert world.there()["smith"]["given"] == "Real"
    world.bridge.close()


def test_who_started_a_run_cannot_approve_what_it_held(tmp_path):
    world = World(tmp_path, count=3, flows=dict(MATCH))
    world.apply()
    world.social.put("people", [{"uid": "root", "given": "Root"}])
    world.put(9, uid="root")
    world.bridge.run("people")
    item = world.bridge.review("people")[0].item
    with pytest.raises(GuardStopped):
        world.bridge.decide("people", item, "approve")
    world.bridge.decide("people", item, "approve", actor=OTHER)
    world.bridge.run("people")
    assert world.there()["root"]["given"] == "Ada"
    world.bridge.close()


def test_a_newer_change_replaces_what_waits_for_a_person(tmp_path):
    world = World(tmp_path, count=3, flows=dict(MATCH))
    world.apply()
    ref = world.social.put("people", [{"uid": "root", "given": "Root"}])[0]
    world.put(9, uid="root")
    world.bridge.run("people")
    world.social.delete("people", [ref])
    world.put(9, uid="root", family="Newer")
    assert world.bridge.run("people").state == "done"
    assert world.there()["root"]["family"] == "Newer"
    assert world.bridge.review("people") == []
    world.bridge.close()


def test_the_environment_does_not_say_who_we_are(monkeypatch):
    before = principal()
    monkeypatch.setenv("LOGNAME", "somebody-else")
    monkeypatch.setenv("USER", "somebody-else")
    assert principal() == before
    assert os.environ["LOGNAME"] == "somebody-else"


def test_a_replaced_plan_leaves_no_content_behind(world):
    world.bridge.plan("people")
    world.put(1, family="Canary")
    world.bridge.plan("people")
    with world.bridge.ledger.read() as tx:
        left = tx.value(
            "SELECT count(*) FROM intent i JOIN parcel p ON p.parcel_id=i.parcel_id "
            "WHERE p.state=13 AND i.payload IS NOT NULL"
        )
    assert left == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("uid=Ada, ou=People,dc=x", "UID=ada,ou=people,DC=x", True),
        (r"cn=Doe\, John,ou=p", r"cn=doe\2C john , ou=p", True),
        (r"cn=Doe\, John,ou=p", r"cn=Doe\,John,ou=p", False),
        (r"cn=a\,b", "cn=a,b", False),
        ("Ada", "ada", False),
    ],
)
def test_names_are_the_same_only_when_the_directory_says_so(one, other, same):
    assert (name_hash(one) == name_hash(other)) is same
