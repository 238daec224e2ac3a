"""The whole pipeline over real adapters in memory: the contract of delivery."""

from __future__ import annotations

import pytest

from moatbridge.adapter import Field
from moatbridge.config import parse
from moatbridge.errors import GuardStopped
from moatbridge.registry import Registry
from moatbridge.run import Bridge
from moatbridge.testing import MemoryAdapter, MemoryStream, MemorySystem
from moatbridge.testing.memory import HUB
from servers.places import place_for

PEOPLE = tuple(Field(name) for name in ("uid", "given", "family", "mail", "phone"))


class World:
    """A legacy system and a platform in memory, and a bridge between them."""

    def __init__(self, folder, *, count=50, flow=None, streams=None):
        self.hr = HUB.register(
            MemorySystem(
                [MemoryStream("people", PEOPLE, key=("uid",))], name=f"hr-{folder.name}"
            )
        )
        self.social = HUB.register(
            MemorySystem(
                [
                    MemoryStream(
                        "people",
                        (*PEOPLE, Field("active", "bool"), Field("ext")),
                        unique="ext",
                    )
                ],
                name=f"social-{folder.name}",
            )
        )
        self.folder = folder
        for number in range(count):
            self.put(number)
        self.flow = {"from": "hr/people", "to": "social/people", **(flow or {})}
        self.bridge = self.open()

    def put(self, number, **more):
        self.hr.put(
            "people",
            [
                {
                    "uid": f"u{number:04}",
                    "given": "Ada",
                    "family": f"L{number}",
                    "mail": f"u{number}@x.example",
                    "phone": "1",
                    **more,
                }
            ],
        )

    def config(self):
        fields = {
            "userName": "uid",
            "name.givenName": "given",
            "name.familyName": "family",
            "emails[type=work].value": "mail",
            "phoneNumbers[type=work].value": "phone",
        }
        return {
            "adapters": ["memory"],
            "ledger": place_for(self.folder).settings,
            "systems": {
                "hr": {"adapter": "memory", "system": self.hr.name},
                "social": {
                    "adapter": "memory",
                    "system": self.social.name,
                    "max_label": "confidential",
                },
            },
            "streams": {
                "hr/people": {"translator": {"entity": "Person", "fields": fields}},
                "social/people": {
                    "translator": {
                        "entity": "Person",
                        "fields": {**fields, "active": "active", "externalId": "ext"},
                    }
                },
            },
            "flows": {"people": self.flow},
        }

    def open(self):
        registry = Registry(discover=False)
        registry.register("memory", MemoryAdapter)
        return Bridge(parse(self.config(), registry), registry=registry)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.bridge.close()


def test_plan_counts_and_sends_nothing(world):
    plan = world.bridge.plan("people")
    assert plan.counts == {"create": 50}
    assert plan.verdict.decision == "confirm"
    assert world.social.all("people") == []


def applied(world, flow="people"):
    plan = world.bridge.plan(flow)
    return world.bridge.apply(plan, confirm=plan.verdict.count)


def target(world):
    return {row.data["uid"]: row.data for row in world.social.all("people")}


def test_apply_creates_everything_once(world):
    result = applied(world)
    assert result.state == "done"
    assert result.outcome == {"create": {"DONE": 50}}
    assert len(target(world)) == 50
    assert target(world)["u0007"]["ext"] == "u0007"
    assert world.social.doubled() == []


def test_an_unchanged_second_plan_is_empty_and_writes_nothing(world):
    applied(world)
    effects = len(world.social.effects())
    plan = world.bridge.plan("people")
    assert plan.empty
    assert plan.verdict.decision == "pass"
    assert world.bridge.apply(plan).state == "done"
    assert len(world.social.effects()) == effects


def test_changes_clears_and_leavers_arrive(world):
    applied(world)
    world.put(3, family="Married")
    world.put(4, phone=None)
    ref = world.hr.ref_of(world.hr.stream("people"), {"uid": "u0005"})
    world.hr.delete("people", [ref])
    plan = world.bridge.plan("people")
    assert plan.counts == {"update": 2, "disable": 1}
    result = world.bridge.apply(plan)
    assert result.state == "done", result
    found = target(world)
    assert found["u0003"]["family"] == "Married"
    assert found["u0004"]["phone"] is None
    assert found["u0005"]["active"] is False
    assert found["u0005"]["family"] == "L5"


def test_a_returning_leaver_is_enabled_again(world):
    applied(world)
    ref = world.hr.ref_of(world.hr.stream("people"), {"uid": "u0005"})
    world.hr.delete("people", [ref])
    world.bridge.run("people")
    assert target(world)["u0005"]["active"] is False
    world.put(5)
    world.bridge.run("people")
    assert target(world)["u0005"]["active"] is True
    assert len(target(world)) == 50


def test_an_emptied_source_deletes_nothing(world):
    applied(world)
    refs = [row.ref for row in world.hr.all("people")]
    world.hr.delete("people", refs)
    plan = world.bridge.plan("people")
    assert plan.verdict.decision == "stop"
    with pytest.raises(GuardStopped):
        world.bridge.apply(plan)
    assert all(r["active"] is not False for r in target(world).values())


def test_forty_percent_gone_waits_for_a_person(world):
    applied(world)
    refs = [row.ref for row in world.hr.all("people")][:20]
    world.hr.delete("people", refs)
    plan = world.bridge.plan("people")
    assert plan.counts == {"disable": 20}
    assert plan.verdict.decision == "approve"
    with pytest.raises(GuardStopped):
        world.bridge.apply(plan)
    assert all(r["active"] is not False for r in target(world).values())


def test_a_refused_record_is_isolated_and_replayed_after_repair(world):
    world.social.refuse = lambda record: (
        "data" if record.get("uid") == "u0009" else None
    )
    result = applied(world)
    assert result.outcome == {"create": {"DONE": 49, "REJECTED": 1}}
    waiting = world.bridge.review("people")
    assert [w.kind for w in waiting] == ["rejected"]
    world.social.refuse = lambda record: None
    assert world.bridge.plan("people").empty
    world.bridge.decide("people", waiting[0].item, "replay")
    assert world.bridge.run("people").state == "done"
    assert "u0009" in target(world)
    assert world.bridge.review("people") == []


def test_a_lost_answer_at_a_keyed_target_has_one_effect(world, monkeypatch):
    monkeypatch.setattr("moatbridge.flow.policies.SOON", 0.2)
    world.social.lose_answers = 1
    result = applied(world)
    assert result.state == "done", result
    assert len(target(world)) == 50
    assert world.social.doubled() == []


def test_existing_records_are_matched_on_the_first_run(tmp_path):
    world = World(tmp_path, count=5, flow={"match": ["userName"]})
    world.social.put(
        "people",
        [{"uid": "u0002", "given": "Old", "family": "L2", "mail": None, "phone": "1"}],
    )
    result = applied(world)
    assert result.outcome == {"create": {"DONE": 4}, "update": {"DONE": 1}}
    assert len(target(world)) == 5
    assert target(world)["u0002"]["given"] == "Ada"
    assert world.bridge.plan("people").empty
    world.bridge.close()
