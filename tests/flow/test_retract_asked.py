"""Taking a run back: who may, what is asked, and runs that are not over."""

from __future__ import annotations

import pytest

from flow.retract_world import stop_at, worlds_in
from flow.stillness import LOOSE
from moatbridge.changes import Ref
from moatbridge.errors import ConfigurationError, GuardStopped
from moatbridge.flow import run_slice
from moatbridge.flow.control import request_pass
from moatbridge.flow.retract import planning
from moatbridge.ledger import runs
from moatbridge.resilience import crash
from moatbridge.testing import MemoryAdapter


@pytest.fixture
def worlds(tmp_path, at_once):
    with worlds_in(tmp_path) as make:
        yield make


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


# --- what cannot be meant is refused, and nothing is done ---------------------------------


def nothing_was_asked(world, runs_before):
    """No retract was begun, and none called off."""
    return world.value("SELECT count(*) FROM run") == runs_before


@pytest.mark.parametrize("ahead", [60.0, float("nan"), float("inf"), float("-inf")])
def test_since_a_time_that_is_not_over_is_refused(worlds, ahead):
    world = worlds()
    run = world.carry()
    waits = world.bridge.plan_retract(run)
    there = world.value("SELECT count(*) FROM run")
    with pytest.raises(ConfigurationError) as refused:
        world.bridge.plan_retract(run, since=world.bridge.ledger.now() + ahead)
    assert refused.value.code == "retract.since"
    assert nothing_was_asked(world, there)
    assert world.bridge.retraction("people", waits.run_id).state == "planned"


@pytest.mark.parametrize("dry", [True, False])
def test_a_reference_that_names_no_record_of_the_run_is_refused(worlds, dry):
    world = worlds()
    run = world.carry()
    world.put(7)
    world.carry()
    waits = world.bridge.plan_retract(run)
    there = world.value("SELECT count(*) FROM run")
    with pytest.raises(ConfigurationError) as refused:
        world.bridge.retract(run, refs=["u0001", "u0007", "nobody"], dry=dry)
    assert refused.value.code == "retract.refs"
    assert "nobody, u0007:" in str(refused.value)
    assert nothing_was_asked(world, there)
    assert world.bridge.retraction("people", waits.run_id).state == "planned"


def test_a_record_is_named_by_its_digest_too_and_may_be_named_again(worlds):
    world = worlds()
    run = world.carry()
    digest = Ref.from_key("u0001").digest
    assert world.retract(run, refs=[digest, digest]).undone == {"disable": 1}
    again = world.retract(run, refs=["u0001"])  # the same command, once more
    assert again.undone == {}


# --- somebody calls it off while it is planned ---------------------------------------------


class Watched(MemoryAdapter):
    """Lets something happen while a retract looks at the target."""

    meanwhile = None

    def fetch(self, stream, refs):
        what, Watched.meanwhile = Watched.meanwhile, None
        if what is not None:
            what()
        return super().fetch(stream, refs)


def called_off(world, run):
    """Another question about the same run: a retract that is only planned is over."""
    other = world.open()
    try:
        with pytest.raises(ConfigurationError):  # the first one still has its turn
            other.plan_retract(run, refs=["nobody"])
        with other.ledger.write() as tx:
            asked = planning.Asked(run, None, "", ("u0001",))
            return other._ask(tx, other.route("people"), asked, "other@example.org")
    finally:
        other.close()


@pytest.mark.parametrize("when", ["looking", "judging"])
def test_a_retract_that_is_called_off_while_it_is_planned_stays_so(
    worlds, monkeypatch, when
):
    world = worlds(target=Watched)
    run = world.carry()
    newer = []

    def meanwhile():
        newer.append(called_off(world, run))

    if when == "looking":
        Watched.meanwhile = meanwhile
    else:
        judge = planning.judge_run
        monkeypatch.setattr(
            planning,
            "judge_run",
            lambda *a, **k: (newer or meanwhile(), judge(*a, **k))[1],
        )
    with world.bridge.ledger.write() as tx:
        asked = planning.Asked(run)
        route = world.bridge.route("people")
        first = world.bridge._ask(tx, route, asked, "one@example.org")
    world.drain("control")
    states = {}
    with world.bridge.ledger.read() as tx:
        states = {n: runs.get(tx, n).state for n in (first, *newer)}
    assert states == {first: "cancelled", newer[0]: "planned"}
    assert world.bridge.retract(run, refs=["u0001"], confirm=1).undone == {"disable": 1}


@pytest.mark.parametrize(("slices", "ends"), [(1, "cancelled"), (3, "done")])
def test_a_pass_that_is_still_read_sends_nothing_once_it_is_taken_back(
    worlds, slices, ends
):
    world = worlds()
    world.carry()
    world.hr.set("people", page=2)
    for number in range(5):
        world.put(number, family="Changed")
    before = world.shows()
    route = world.bridge.route("people")
    run = request_pass(world.bridge.ledger, route, auto=True, actor="schedule")
    run_slice(world.bridge, "people", "control", owner="test")
    (part,) = [d.part for _f, d in world.bridge.due(["people"])[0] if d.kind == "scan"]
    for _ in range(slices):
        run_slice(world.bridge, "people", part, owner="test", seconds=0.0)
    world.retract(run)
    world.drain()
    assert world.shows() == before
    assert world.value("SELECT state FROM run WHERE run_id=?", run) == ends
    assert world.bridge.plan("people").counts == {"update": 5}


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
    report = world.retract(plan.run_id, refs=("u0001",))
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
