"""Taking a run back: what stands in the way of that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flow.retract_world import FINAL, groups, worlds_in
from flow.stillness import NONE, REQUEST
from moatbridge.errors import NotApplied, OutcomeUnknown
from moatbridge.flow.retract import reasons
from moatbridge.resilience import crash
from moatbridge.testing import MemoryAdapter


@pytest.fixture
def worlds(tmp_path, at_once):
    with worlds_in(tmp_path) as make:
        yield make


def test_what_somebody_changed_since_is_left_alone_and_named(worlds):
    world = worlds()
    world.carry()
    world.put(1, family="Changed")
    world.put(2, family="Changed too")
    run = world.carry()
    world.edit_there("u0001", family="By hand")
    report = world.retract(run)
    assert report.undone == {"update": 1}
    assert report.failed == {reasons.CHANGED: 1}
    [left] = report.left
    assert left.reason == reasons.CHANGED
    assert left.who == "u0001"
    assert world.there()["u0001"]["family"] == "By hand"
    assert world.there()["u0002"]["family"] == "L2"


def test_an_edit_of_another_field_stays_and_the_rest_is_undone(worlds):
    world = worlds()
    world.carry()
    world.put(1, family="Changed")
    run = world.carry()
    world.edit_there("u0001", phone="by hand")
    report = world.retract(run)
    assert report.undone == {"update": 1}
    assert world.there()["u0001"]["family"] == "L1"
    assert world.there()["u0001"]["phone"] == "by hand"


def test_somebody_who_undid_it_by_hand_is_no_obstacle(worlds):
    world = worlds()
    world.carry()
    world.put(1, family="Changed")
    run = world.carry()
    world.edit_there("u0001", family="L1")
    effects = len(world.social.effects())
    report = world.retract(run)
    assert (report.undone, report.already) == ({"update": 1}, 1)
    assert len(world.social.effects()) == effects


def test_a_change_between_plan_and_delivery_is_found_too(worlds):
    world = worlds()
    world.carry()
    world.put(1, family="Changed")
    run = world.carry()
    planned = world.bridge.plan_retract(run)
    assert planned.planned == {"update": 1}
    world.edit_there("u0001", family="By hand")
    report = world.bridge.retract(run, confirm=planned.plan.verdict.count)
    assert report.failed == {reasons.CHANGED: 1}
    assert world.there()["u0001"]["family"] == "By hand"
    assert world.states()["RETRACT_FAILED"] == 1


def test_a_change_between_look_and_write_is_refused_by_the_version(worlds):
    world = worlds()
    world.carry()
    world.put(1, family="Changed")
    run = world.carry()

    def at(point):
        if point == "send.half" and not done:
            done.append(1)
            world.edit_there("u0001", family="By hand")

    done = []
    planned = world.bridge.plan_retract(run)
    crash.install(at)
    try:
        report = world.bridge.retract(run, confirm=planned.plan.verdict.count)
    finally:
        crash.install(None)
    assert done
    assert report.failed == {reasons.CHANGED: 1}
    assert world.there()["u0001"]["family"] == "By hand"
    assert world.value("SELECT count(*) FROM again") == 0
    assert world.waiting() == []


@pytest.mark.parametrize("what", ["create", "update", "disable"])
def test_what_is_gone_at_the_target_is_said(worlds, what):
    world = worlds()
    run = world.carry()
    if what == "update":
        world.put(1, family="Changed")
        run = world.carry()
    elif what == "disable":
        world.remove(1)
        run = world.carry()
    world.gone_there("u0001")
    report = world.retract(run)
    assert report.failed == {reasons.GONE: 1}
    assert "u0001" not in world.there()


def test_a_group_that_somebody_edited_since_is_not_removed(worlds):
    world = groups(worlds)
    run = world.carry("groups")
    row = next(r for r in world.social.all("groups") if r.data["cn"] == "all")
    with world.social.store.transaction():
        world.social.save(
            world.social.stream("groups"), row.ref, {**row.data, "member": []}
        )
    report = world.retract(run)
    assert report.undone == {"delete": 1}
    assert report.failed == {reasons.CHANGED: 1}
    assert [r.data["cn"] for r in world.social.all("groups")] == ["all"]


@pytest.mark.parametrize("what", ["create", "update", "disable", "delete"])
def test_a_target_that_takes_nothing_back_is_left_as_it_is(worlds, what):
    world = worlds(traits=REQUEST, flow=FINAL if what == "delete" else None)
    run = world.carry()
    if what == "update":
        world.put(1, family="Changed")
        run = world.carry()
    elif what != "create":
        world.remove(1)
        run = world.carry()
    before = world.shows()
    report = world.retract(run)
    assert set(report.failed) == {reasons.NOT_RETRACTABLE}
    assert report.planned == {}
    assert world.shows() == before


def test_a_target_that_refuses_is_named_with_its_code(worlds):
    world = worlds()
    world.carry()
    world.put(1, family="Changed")
    run = world.carry()
    world.social.refuse = lambda _record: "rights"
    report = world.retract(run)
    assert report.failed == {reasons.REFUSED: 1}
    assert report.left[0].code == "memory.rights"
    assert world.waiting() == []  # no dead letter of the source's record
    world.social.refuse = lambda _record: None
    again = world.retract(run)
    assert again.undone == {"update": 1}
    assert world.there()["u0001"]["family"] == "L1"


def test_without_images_updates_stay_and_disabled_people_are_enabled(worlds):
    world = worlds()
    world.extra["ledger"]["keep_undo"] = 0
    world.reopen()
    world.carry()
    world.put(1, family="Changed")
    world.remove(2)
    run = world.carry()
    report = world.retract(run)
    assert report.failed == {reasons.NO_IMAGE: 1}
    assert report.undone == {"update": 1}
    assert world.there()["u0002"]["active"] is True
    assert world.there()["u0001"]["family"] == "Changed"


def test_images_are_forgotten_in_time(worlds):
    world = worlds()
    world.extra["ledger"]["keep_undo"] = "1d"
    world.reopen()
    world.carry()
    world.put(1, family="Changed")
    run = world.carry()
    assert world.value("SELECT count(*) FROM before") == 1
    world.later(2 * 86400)
    world.go()
    assert world.value("SELECT count(*) FROM before") == 0
    report = world.retract(run)
    assert report.failed == {reasons.NO_IMAGE: 1}


# --- nobody knows, and nobody may ---------------------------------------------------------


class SilentAdapter(MemoryAdapter):
    """Writes, and then loses the answers of as many calls as it is told."""

    silent = 0

    def write(self, stream, intents):
        receipts = super().write(stream, intents)
        if SilentAdapter.silent:
            SilentAdapter.silent -= 1
            raise OutcomeUnknown("The answer was lost.", code="http.cut")
        return receipts


FORGETS = {
    "traits": replace(NONE, retractable=True),
    "flow": {"match": ["externalId"]},
    "parcel": 1,
}


def test_an_undoing_of_unknown_outcome_is_reported_and_does_not_count_as_undone(worlds):
    world = worlds(target=SilentAdapter, **FORGETS)
    run = world.carry()
    planned = world.bridge.plan_retract(run)
    SilentAdapter.silent = 1
    report = world.bridge.retract(run, confirm=planned.plan.verdict.count)
    assert report.undone == {"disable": 4}
    assert report.failed == {reasons.UNKNOWN: 1}
    [left] = report.left
    assert (left.op, left.reason) == ("disable", reasons.UNKNOWN)
    assert world.states()["PARKED"] == 1
    assert [kind for kind, _reason in world.waiting()] == ["parked"]


def test_what_nobody_knows_of_the_run_itself_is_reported_and_left_to_a_person(worlds):
    world = worlds(target=SilentAdapter, **FORGETS)
    plan = world.bridge.plan("people")
    SilentAdapter.silent = 1
    world.bridge.apply(plan, confirm=plan.verdict.count)
    assert world.states() == {"DONE": 4, "PARKED": 1}
    report = world.retract(plan.run_id)
    assert report.undone == {"disable": 4}
    assert report.failed == {reasons.UNKNOWN: 1}
    active = [row["active"] for row in world.there().values()]
    assert sorted(map(str, active)) == ["False"] * 4 + ["None"]
    assert [kind for kind, _reason in world.waiting()] == ["parked"]


@pytest.mark.parametrize("scope", ["all", "flow:people", "system:social"])
def test_under_the_kill_switch_a_retract_is_planned_and_agreed_to_but_not_sent(
    worlds, scope
):
    world = worlds()
    run = world.carry()
    before, effects = world.shows(), len(world.social.effects())
    world.bridge.switch_off(scope, "drill")
    world.bridge._kill._look()
    planned = world.bridge.plan_retract(run)
    assert planned.planned == {"disable": 5}
    with pytest.raises(NotApplied) as refused:
        world.bridge.retract(run, confirm=5)
    assert refused.value.code == "guard.kill-switch"
    assert (world.shows(), len(world.social.effects())) == (before, effects)
    assert world.bridge.retraction("people", planned.run_id).state == "applying"
    world.bridge.switch_on(scope, "drill over")
    world.bridge._kill._look()
    world.later(2)
    report = world.bridge.retract(run)  # nobody is asked a second time
    assert (report.state, report.undone) == ("done", {"disable": 5})
    assert world.social.doubled() == []
