"""Taking a run back: what each kind of change becomes, and what stands in the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flow.retract_world import FINAL, CountingAdapter, GroupWorld, RetractWorld
from flow.stillness import LOOSE, REQUEST
from moatbridge.errors import ConfigurationError, GuardStopped
from moatbridge.flow.retract import reasons
from moatbridge.ledger.states import LinkState
from moatbridge.resilience import crash

BACK = replace(REQUEST, retractable=True)


@pytest.fixture
def worlds(tmp_path, at_once):
    made = []

    def make(kind=RetractWorld, **settings):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(kind(folder, **{"count": 5, "traits": BACK, **settings}))
        return made[-1]

    yield make
    crash.install(None)
    for world in made:
        world.bridge.close()


def groups(worlds):
    """A world whose people are there, and two groups of them at the source."""
    world = worlds(kind=GroupWorld)
    world.hr.put(
        "groups",
        [
            {"cn": "all", "member": ["u0001", "u0002"]},
            {"cn": "few", "member": ["u0003"]},
        ],
    )
    world.carry()
    return world


def stop_at(point, passing):
    """A hook that ends everything at the n-th passing of a crash point."""
    passed = []

    def at(name):
        passed.extend([name] if name == point else [])
        if len(passed) == passing:
            raise RuntimeError(point)

    return at


def link_states(world):
    with world.bridge.ledger.read() as tx:
        rows = tx.all("SELECT state, count(*) FROM link GROUP BY state")
    return {LinkState(state).name: n for state, n in rows}


# --- what becomes of each kind of change ------------------------------------------------


def test_people_that_a_run_made_are_disabled(worlds):
    world = worlds()
    run = world.carry()
    report = world.retract(run)
    assert report.state == "done"
    assert report.undone == {"disable": 5}
    assert report.not_undone == 0
    assert {row["active"] for row in world.there().values()} == {False}
    assert world.states() == {"RETRACTED": 5, "DONE": 5}
    assert world.social.doubled() == []


def test_updates_show_again_what_was_there_before(worlds):
    world = worlds()
    world.carry()
    before = world.shows()
    world.put(1, family="Changed", mail="new@x.example")
    world.put(2, phone=None)
    run = world.carry()
    assert world.shows() != before
    report = world.retract(run)
    assert report.undone == {"update": 2}
    assert world.shows() == before


def test_disabled_people_are_enabled_again(worlds):
    world = worlds()
    world.carry()
    world.remove(1, 2)
    run = world.carry()
    assert world.there()["u0001"]["active"] is False
    report = world.retract(run)
    assert report.undone == {"update": 2}
    assert world.there()["u0001"]["active"] is not False
    # Their source records are still gone: nobody disables them again unasked.
    assert link_states(world) == {"LIVE": 3, "DISABLED": 2}
    world.go()
    assert world.there()["u0002"]["active"] is not False


def test_removed_people_are_made_again_as_new_records(worlds):
    world = worlds(flow=FINAL)
    world.carry()
    before = {u: {**r, "active": None} for u, r in world.shows().items()}
    old = {row.data["uid"]: row.ref for row in world.social.all("people")}
    world.remove(3)
    run = world.carry()
    assert "u0003" not in world.there()
    report = world.retract(run)
    assert report.undone == {"create": 1}
    assert {u: {**r, "active": None} for u, r in world.shows().items()} == before
    new = {row.data["uid"]: row.ref for row in world.social.all("people")}
    assert new["u0003"].key != old["u0003"].key
    world.go()
    assert "u0003" in world.there()  # its source record is still gone


def test_what_cannot_be_disabled_is_removed(worlds):
    world = groups(worlds)
    run = world.carry("groups")
    assert len(world.social.all("groups")) == 2
    report = world.retract(run)
    assert report.undone == {"delete": 2}
    assert world.social.all("groups") == []
    world.go("groups")
    assert world.social.all("groups") == []


def test_an_encrypted_ledger_takes_back_as_well(worlds, tmp_path, monkeypatch):
    monkeypatch.setenv("LEDGER_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
    world = worlds()
    world.bridge.close()
    world.folder = tmp_path / "sealed"
    world.folder.mkdir()
    world.extra["ledger"]["key_file"] = "env:LEDGER_KEY"
    world.bridge = world.open()
    world.carry()
    before = world.shows()
    world.put(1, family="Changed")
    report = world.retract(world.carry())
    assert report.undone == {"update": 1}
    assert world.shows() == before


def test_an_enabled_person_is_not_removed_when_the_undo_window_ends(worlds):
    world = worlds(flow={"deletes": "disable_then_remove", "undo_window": "2d"})
    world.carry()
    world.remove(1, 2)
    run = world.carry()
    world.retract(run, refs=["u0001"])
    world.later(3 * 86400)
    world.carry()
    assert world.there()["u0001"]["active"] is True
    assert "u0002" not in world.there()


# --- what stands in the way -----------------------------------------------------------


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


# --- afterwards -----------------------------------------------------------------------


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


# --- a run that is not over -------------------------------------------------------------


def test_what_a_run_had_not_sent_is_called_off_and_planned_again_with_a_person(worlds):
    world = worlds(count=6, parcel=2, flow={"lanes": 1})
    plan = world.bridge.plan("people")
    crash.install(stop_at("claim.done", 3))
    with pytest.raises(RuntimeError):
        world.bridge.apply(plan, confirm=6)
    crash.install(None)
    partly = len(world.there())
    assert partly == 4
    planned = world.bridge.plan_retract(plan.run_id)
    assert planned.waiting == 6 - partly
    report = world.retract(plan.run_id)
    assert report.called_off
    assert report.waiting == 6 - partly
    assert sum(report.undone.values()) == partly
    assert all(row["active"] is False for row in world.there().values())
    assert len(world.there()) == partly
    plan = world.bridge.plan("people")
    assert plan.counts == {"create": 6 - partly}
    assert plan.verdict.decision == "confirm"


def test_taking_back_one_record_calls_off_nothing_else(worlds):
    world = worlds(count=6)
    plan = world.bridge.plan("people")
    report = world.retract(plan.run_id, refs=("nobody",))
    assert (report.waiting, sum(report.undone.values())) == (0, 0)
    assert world.bridge.apply(plan, confirm=6).state == "done"
    assert len(world.there()) == 6


def test_a_plan_that_was_called_off_can_no_longer_be_applied(worlds):
    world = worlds(count=6)
    plan = world.bridge.plan("people")
    assert world.retract(plan.run_id).waiting == 6
    with pytest.raises(ConfigurationError):
        world.bridge.apply(plan, confirm=6)
    assert "first_run" in {f.rule for f in world.bridge.plan("people").verdict.findings}


# --- who may, and what is asked ----------------------------------------------------------


def test_a_retract_is_a_plan_that_a_person_confirms(worlds):
    world = worlds()
    run = world.carry()
    effects = len(world.social.effects())
    with pytest.raises(GuardStopped) as refused:
        world.bridge.retract(run)
    assert refused.value.code == "guard.retract"
    assert refused.value.details["exit_code"] == 10
    with pytest.raises(GuardStopped):
        world.bridge.retract(run, confirm=4)
    assert len(world.social.effects()) == effects
    assert world.bridge.retract(run, confirm=5).state == "done"


def test_a_dry_retract_sends_nothing_and_cancels_nothing(worlds):
    world = worlds()
    run = world.carry()
    before, states = world.shows(), world.states()
    report = world.bridge.retract(run, dry=True)
    assert report.planned == {"disable": 5}
    assert report.state == "planned"
    assert world.shows() == before
    assert world.states() == {**states, "PLANNED": 5}


def test_limits_ask_for_another_person_instead_of_stopping(worlds):
    loose = {**LOOSE, "loosen": dict(LOOSE["loosen"])}
    del loose["removals"], loose["loosen"]["removals"]
    world = worlds(count=40, guard={**loose, "four_eyes": True})
    plan = world.bridge.plan("people", actor="one@example.org")
    run = world.bridge.apply(plan, actor="two@example.org", confirm=40).run_id
    planned = world.bridge.plan_retract(run, actor="one@example.org")
    assert planned.plan.verdict.decision == "approve"
    assert not any(f.decision == "stop" for f in planned.plan.verdict.findings)
    with pytest.raises(GuardStopped) as refused:
        world.bridge.retract(run, actor="one@example.org", confirm=40)
    assert refused.value.details["exit_code"] == 11
    done = world.bridge.retract(run, actor="two@example.org", confirm=40)
    assert done.undone == {"disable": 40}


def test_only_some_records_of_a_run(worlds):
    world = worlds()
    run = world.carry()
    report = world.retract(run, refs=["u0001", "u0003"])
    assert report.undone == {"disable": 2}
    off = {uid for uid, row in world.there().items() if row["active"] is False}
    assert off == {"u0001", "u0003"}
    rest = world.retract(run)
    assert rest.undone == {"disable": 3}


def test_a_live_run_since_a_moment(worlds):
    world = worlds()
    world.go()
    world.bridge.run("people")
    world.put(1, family="First")
    world.live()
    world.later(3600)
    moment = world.bridge.ledger.now() - 60
    world.put(1, family="Second")
    world.put(2, family="Second")
    world.live()
    run = world.last("live").run_id
    report = world.retract(run, since=moment)
    assert report.undone == {"update": 2}
    assert world.there()["u0001"]["family"] == "First"
    assert world.there()["u0002"]["family"] == "L2"
    rest = world.retract(run)
    assert rest.undone == {"update": 1}
    assert world.there()["u0001"]["family"] == "L1"


def test_several_changes_of_one_record_are_taken_back_as_one(worlds):
    world = worlds()
    world.go()
    for number, name in enumerate(["First", "Second", "Third"]):
        world.put(1, family=name, phone=str(number))
        world.live()
    run = world.last("live").run_id
    report = world.retract(run)
    assert report.undone == {"update": 1}
    assert world.there()["u0001"]["family"] == "L1"
    assert world.there()["u0001"]["phone"] == "1"
    assert world.states()["RETRACTED"] == 3


def test_an_unknown_run_is_refused(worlds):
    world = worlds()
    with pytest.raises(ConfigurationError) as refused:
        world.bridge.retract(99)
    assert refused.value.code == "retract.run"


# --- what it costs ----------------------------------------------------------------------


def test_images_cost_no_request_of_their_own(worlds):
    counts = []
    for keep in ("7d", 0):
        world = worlds(count=30, target=CountingAdapter)
        world.extra["ledger"]["keep_undo"] = keep
        world.reopen()
        world.carry()
        for number in range(30):
            world.put(number, family="Changed")
        CountingAdapter.fetches.clear()
        world.carry()
        counts.append(list(CountingAdapter.fetches))
        assert bool(world.value("SELECT count(*) FROM before")) == bool(keep)
    assert counts[0] == counts[1]
    assert sum(counts[0]) == 30
    assert len(counts[0]) <= 8  # one a lane, never one a record


def test_a_first_load_keeps_no_images(worlds):
    world = worlds()
    world.carry()
    assert world.value("SELECT count(*) FROM before") == 0


def test_an_image_holds_only_what_was_changed(worlds):
    world = worlds()
    world.carry()
    world.put(1, family="Changed")
    world.carry()
    image = world.value("SELECT image FROM before")
    assert "L1" in image
    assert "u1@x.example" not in image


# --- groups -----------------------------------------------------------------------------


def members(world, name):
    people = {row.ref.key: row.data["uid"] for row in world.social.all("people")}
    row = next(r for r in world.social.all("groups") if r.data["cn"] == name)
    return sorted(people.get(key, key) for key in row.data["member"])


def test_memberships_go_back_one_by_one(worlds):
    world = groups(worlds)
    world.carry("groups")
    world.hr.put("groups", [{"cn": "all", "member": ["u0002", "u0003"]}])
    run = world.carry("groups")
    assert members(world, "all") == ["u0002", "u0003"]
    row = next(r for r in world.social.all("groups") if r.data["cn"] == "all")
    fourth = next(r for r in world.social.all("people") if r.data["uid"] == "u0004")
    with world.social.store.transaction():
        world.social.save(
            world.social.stream("groups"), row.ref,
            {**row.data, "member": [*row.data["member"], fourth.ref.key]},
        )  # fmt: skip
    report = world.retract(run)
    assert report.undone == {"update": 1}
    assert members(world, "all") == ["u0001", "u0002", "u0004"]


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
