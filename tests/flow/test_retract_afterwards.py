"""A run was taken back: what passes, other retracts and the other flow of a pair do then."""

from __future__ import annotations

import pytest

from flow.retract_world import groups, link_states, worlds_in


@pytest.fixture
def worlds(tmp_path, at_once):
    with worlds_in(tmp_path) as make:
        yield make


def test_the_next_pass_does_not_redo_what_was_taken_back(worlds):
    world = worlds()
    world.carry()
    before = world.shows()
    world.put(1, family="Changed")
    run = world.carry()
    world.retract(run)
    for _ in range(2):
        plan = world.bridge.plan("people")
        assert plan.empty
        assert plan.verdict.decision == "pass"
    assert world.shows() == before


def test_people_that_were_disabled_again_come_back_when_their_source_changes(worlds):
    world = worlds()
    run = world.carry()
    world.retract(run)
    world.put(1, family="Changed")
    plan = world.bridge.plan("people")
    assert plan.counts == {"renew": 1}
    assert plan.verdict.decision == "confirm"
    assert "retracted" in {f.rule for f in plan.verdict.findings}
    world.bridge.apply(plan, confirm=1)
    there = world.there()
    assert there["u0001"]["active"] is True
    assert there["u0001"]["family"] == "Changed"
    assert there["u0002"]["active"] is False
    assert world.social.doubled() == []


def test_a_change_after_a_retract_is_carried_whole(worlds):
    world = worlds()
    world.carry()
    world.put(1, family="Changed", mail="new@x.example")
    run = world.carry()
    world.retract(run)
    world.put(1, family="Changed", mail="new@x.example", phone="2")
    plan = world.bridge.plan("people")
    changed = set(plan.paths)
    assert {"name.familyName", "emails[type=work].value"} <= changed
    world.bridge.apply(plan, confirm=plan.verdict.count)
    assert world.there()["u0001"]["family"] == "Changed"
    plan = world.bridge.plan("people")
    assert plan.empty


def test_a_group_that_was_taken_back_is_made_again_when_it_changes(worlds):
    world = groups(worlds)
    run = world.carry("groups")
    world.retract(run)
    world.hr.put("groups", [{"cn": "all", "member": ["u0004"]}])
    world.carry("groups")
    [row] = world.social.all("groups")
    assert row.data["cn"] == "all"
    assert world.social.doubled() == []


def test_a_retract_of_a_retract_does_it_again(worlds):
    world = worlds()
    world.carry()
    world.put(1, family="Changed")
    world.remove(2)
    world.put(7)
    run = world.carry()
    after = world.shows()
    first = world.retract(run)
    assert first.undone == {"update": 2, "disable": 1}
    second = world.retract(first.run_id)
    assert second.not_undone == 0
    shows = world.shows()
    assert shows["u0007"].pop("active") is not False
    after["u0007"].pop("active")
    assert shows == after
    assert link_states(world) == {"LIVE": 5, "DISABLED": 1}
    third = world.retract(second.run_id)
    assert third.undone == {"update": 2, "disable": 1}
    assert world.there()["u0001"]["family"] == "L1"
    assert world.social.doubled() == []


def test_a_removed_group_is_made_again_by_a_retract_of_the_retract(worlds):
    world = groups(worlds)
    run = world.carry("groups")
    before = {
        r.data["cn"]: sorted(r.data["member"]) for r in world.social.all("groups")
    }
    first = world.retract(run)
    second = world.retract(first.run_id)
    assert second.undone == {"create": 2}
    after = {r.data["cn"]: sorted(r.data["member"]) for r in world.social.all("groups")}
    assert after == before
    world.hr.put("groups", [{"cn": "all", "member": ["u0004"]}])
    world.carry("groups")
    assert len(world.social.all("groups")) == 2


def test_a_run_is_not_taken_back_twice(worlds):
    world = worlds()
    run = world.carry()
    world.retract(run)
    effects = len(world.social.effects())
    again = world.retract(run)
    assert again.undone == {}
    assert again.plan is None or again.plan.empty
    assert len(world.social.effects()) == effects


# --- pairs ------------------------------------------------------------------------------


@pytest.mark.parametrize("on_drift", ["report", "restore"])
def test_neither_flow_of_a_pair_redoes_what_was_taken_back(worlds, on_drift):
    flows = {
        "people": {"from": "hr/people", "to": "social/people"},
        "back": {
            "from": "social/people",
            "to": "hr/people",
            "owner": {"*": "hr/people", "phoneNumbers": "social/people"},
            "on_drift": on_drift,
        },
    }
    world = worlds(flows=flows)
    world.carry()
    world.carry("back")
    world.put(1, family="Changed")
    world.edit_there("u0002", phone="+49 555")
    run = world.carry()
    back = world.carry("back")
    assert world.here()["u0002"]["phone"] == "+49 555"
    report = world.retract(run)
    assert report.undone == {"update": 1}
    assert world.retract(back).undone == {"update": 1}
    for _ in range(2):
        for flow in ("back", "people"):
            assert world.bridge.plan(flow).empty
    assert world.there()["u0001"]["family"] == "L1"
    assert world.here()["u0001"]["family"] == "Changed"
    assert world.here()["u0002"]["phone"] == "1"
    assert world.there()["u0002"]["phone"] == "+49 555"
