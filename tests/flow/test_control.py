"""Passes that a person and the schedule ask for at once: who only looks sees it first."""

from __future__ import annotations

import pytest

from flow.stillness import REQUEST, Counted
from moatbridge.errors import CursorTooOld
from moatbridge.flow import judging
from moatbridge.flow.control import request_pass
from moatbridge.ledger import runs
from moatbridge.resilience import crash, heart
from moatbridge.testing import MemoryAdapter


def settled(worlds, **settings):
    """People have arrived, so that a plan of a few changes passes by itself."""
    world = worlds(**{"traits": REQUEST, **settings})
    world.go()
    world.put(1, family="Changed")
    return world


def ask(world, *, auto, actor="somebody@example.org"):
    route = world.bridge.route("people")
    return request_pass(world.bridge.ledger, route, auto=auto, actor=actor)


def state(world, run_id):
    with world.bridge.ledger.read() as tx:
        return runs.get(tx, run_id).state


def once_at(point, what):
    """A hook that does something when a point is passed for the first time."""
    done = []

    def at(name):
        if name == point and not done:
            done.append(name)
            done.append(what())

    crash.install(at)
    return done


def test_a_person_who_joins_a_pass_while_it_is_judged_sees_its_plan_first(worlds):
    world = settled(worlds)
    scheduled = ask(world, auto=True, actor="schedule")
    joined = once_at("verdict.before", lambda: ask(world, auto=False))
    world.drain()
    assert joined == ["verdict.before", scheduled]
    assert state(world, scheduled) == "planned"
    assert world.there()["u0001"]["family"] == "L1"
    plan = world.bridge.plan("people")
    assert plan.counts == {"update": 1}
    assert world.bridge.apply(plan, confirm=1).state == "done"
    assert world.there()["u0001"]["family"] == "Changed"


@pytest.mark.parametrize("first", ["person", "schedule"])
def test_whoever_of_the_two_asks_first_nothing_is_sent_before_apply(worlds, first):
    world = settled(worlds)
    asked = [ask(world, auto=first == "schedule"), ask(world, auto=first == "person")]
    world.drain()
    assert asked[0] == asked[1]
    assert state(world, asked[0]) == "planned"
    assert world.there()["u0001"]["family"] == "L1"


def test_a_pass_that_was_judged_before_goes_on_and_the_person_gets_a_new_one(worlds):
    world = settled(worlds, count=6, parcel=2, flow={"lanes": 1})
    world.put(2, family="Changed")
    scheduled = ask(world, auto=True, actor="schedule")
    world.drain("control", "scan")
    assert state(world, scheduled) == "applying"
    world.put(3, family="Later")
    looked = ask(world, auto=False)
    assert looked != scheduled
    world.drain()
    assert (state(world, scheduled), state(world, looked)) == ("done", "planned")
    families = {uid: row["family"] for uid, row in world.there().items()}
    assert families["u0001"] == families["u0002"] == "Changed"
    assert families["u0003"] == "L3"  # of what the person looks at nothing was sent
    effects = len(world.social.effects())
    plan = world.bridge.plan("people")
    world.bridge.apply(plan, confirm=plan.verdict.count)
    assert world.same()
    assert len(world.social.effects()) == effects + 1


class Forgetful(MemoryAdapter):
    """Follows, until it does not know the position any more."""

    forgotten = False

    def changes(self, stream, after):
        if after is not None and Forgetful.forgotten:
            Forgetful.forgotten = False
            raise CursorTooOld("The log was cut.", code="memory.cursor")
        return super().changes(stream, after)


def test_a_pass_that_nobody_asked_for_does_not_apply_what_a_person_looks_at(worlds):
    world = settled(worlds, source=Forgetful)
    plan = world.bridge.plan("people")
    Forgetful.forgotten = True
    world.live()
    world.drain()
    assert not Forgetful.forgotten
    assert world.there()["u0001"]["family"] == "L1"
    assert world.value("SELECT state FROM run WHERE actor='rescan'") == "planned"
    newer = world.bridge.plan("people")
    assert newer.run_id != plan.run_id
    world.bridge.apply(newer, confirm=1)
    assert world.same()


def test_a_pass_that_a_person_began_stays_theirs_whatever_else_asks_for_one(worlds):
    world = settled(worlds)
    world.bridge.plan("people")
    mine = ask(world, auto=True, actor="ada")
    assert ask(world, auto=True, actor="rescan") == mine
    world.drain()
    assert state(world, mine) == "done"
    assert world.there()["u0001"]["family"] == "Changed"


def test_a_pass_that_nobody_asked_for_is_sent_if_no_plan_waits_any_more(worlds):
    world = settled(worlds)
    plan = world.bridge.plan("people")
    missed = ask(world, auto=True, actor="missed")
    world.bridge.apply(plan, confirm=plan.verdict.count)
    world.put(2, family="Later")
    world.drain()
    assert state(world, missed) == "done"


def test_a_plan_is_judged_page_by_page_and_each_is_a_sign_of_life(worlds, monkeypatch):
    monkeypatch.setattr(judging, "_PAGE", 2)
    world = settled(worlds, count=9)
    for number in range(9):
        world.put(number, family="Changed")
    mine, seen = Counted(), {}
    crash.install(lambda point: seen.setdefault(point, mine.beats))
    ask(world, auto=False)
    with heart.beating(mine):
        world.drain("control", "scan")
    assert seen["plan.done"] - seen["verdict.before"] >= 5  # nine intents, two a page
