"""Reconcile while others work: the flow itself, people at either end, the other flow of a pair."""

from __future__ import annotations

import itertools
import threading

import pytest

from flow.reconcile_world import look, meanwhile, remove_there, repaired, settled
from flow.stillness import Counted
from moatbridge.flow.reconcile import repairing, whole
from moatbridge.resilience import crash, heart
from moatbridge.testing import MemoryAdapter


def test_the_old_record_that_somebody_restores_after_a_repair_is_a_second_one(worlds):
    world = settled(worlds)
    row = remove_there(world, "u0001")
    repaired(world)
    with world.social.store.transaction():
        world.social.save(world.social.stream("people"), row.ref, row.data)
    found = look(world)
    assert found.counts == {"duplicate": 1}
    assert [one.key for one in found.examples] == [row.ref.key]


def test_while_the_flow_is_at_work_nothing_is_taken_for_a_divergence(worlds):
    world = settled(worlds(count=120))
    done = threading.Event()

    def work():
        try:
            for turn in range(12):
                for number in range(turn, 120, 7):
                    world.put(number, family=f"Turn {turn}")
                world.put(1000 + turn)
                world.remove(2 * turn)
                world.bridge.run("people")
        finally:
            done.set()

    worker = threading.Thread(target=work)
    worker.start()
    found = []
    while not done.is_set():
        found.append(look(world))
    worker.join()
    found.append(look(world))
    assert [one.examples for one in found if one.counts] == []
    assert world.same()


def returned(world, *numbers):
    """These people left once, so that the target says of them that they are active."""
    world.remove(*numbers)
    world.go()
    for number in numbers:
        world.put(number)
    world.go()
    assert {world.there()[f"u{n:04}"]["active"] for n in numbers} == {True}


def test_who_leaves_and_returns_between_any_two_steps_is_no_divergence(
    worlds, monkeypatch
):
    world = settled(worlds(count=120))
    turns = list(itertools.combinations(range(8), 2))  # 7: after it
    leavers = dict(zip(range(28), turns, strict=True))
    comers = dict(zip(range(28, 56), turns, strict=True))
    returned(world, *leavers, *comers)
    world.remove(*comers)
    world.go()
    done = []

    def act(moment):
        for number, (first, second) in {**leavers, **comers}.items():
            if moment not in {first, second}:
                continue
            if (number in leavers) == (moment == first):
                world.remove(number)
            else:
                world.put(number, family=f"Moment {moment}")
        world.go()
        done.append(moment)

    with monkeypatch.context() as patched:
        meanwhile(patched, act)
        found = look(world)
    assert done == [0, 1, 2, 3, 4, 5, 6]
    assert found.examples == ()
    act(7)
    assert look(world).examples == ()
    assert {world.there()[f"u{n:04}"]["active"] for n in leavers} == {True}
    assert {world.there()[f"u{n:04}"]["active"] for n in comers} == {False}


class Courier:
    """A delivery that arrived, and is not settled before it is told to go on."""

    def __init__(self, world):
        self.arrived, self.may_go_on = threading.Event(), threading.Event()
        crash.install(self.at)
        self.worker = threading.Thread(target=world.go)
        self.worker.start()
        assert self.arrived.wait(60)

    def at(self, point):
        if point == "answer.read" and threading.current_thread() is self.worker:
            self.arrived.set()
            assert self.may_go_on.wait(60)

    def settle(self):
        self.may_go_on.set()
        self.worker.join()
        crash.install(None)


@pytest.mark.parametrize("leaves", [True, False])
def test_what_arrives_and_is_settled_between_any_two_steps_is_no_divergence(
    worlds, monkeypatch, leaves
):
    world = settled(worlds(count=60))
    turns = list(itertools.combinations(range(8), 2))
    returned(world, *range(len(turns)))
    if not leaves:
        world.remove(*range(len(turns)))
        world.go()
    for number, (sent, settled_) in enumerate(turns):
        on_its_way = []

        def act(moment, number=number, sent=sent, upto=settled_, way=on_its_way):
            if moment == sent:
                world.remove(number) if leaves else world.put(number)
                way.append(Courier(world))
            elif moment == upto and way:
                way.pop().settle()

        with monkeypatch.context() as patched:
            meanwhile(patched, act)
            found = look(world)
        for courier in on_its_way:
            courier.settle()
        assert found.examples == (), (sent, settled_)
    world.go()
    assert look(world).counts == {}


def test_who_returns_before_the_repair_is_staged_is_not_disabled_by_it(
    worlds, monkeypatch
):
    world = settled(worlds(count=8))
    world.remove(1)
    world.go()
    world.edit_there("u0001", active=True)
    assert look(world).fields == {"active": 1}
    stage = whole.stage_repairs

    def later(work, *, actor):
        world.put(1, family="Back")
        world.go()
        return stage(work, actor=actor)

    monkeypatch.setattr(whole, "stage_repairs", later)
    found = look(world, repair=True)
    assert (found.plan, found.left) == (None, {"moved": 1})
    assert world.there()["u0001"]["active"] is True


PAIR = {
    "people": {"from": "hr/people", "to": "social/people", "partitions": 1},
    "back": {
        "from": "social/people", "to": "hr/people", "partitions": 1,
        "owner": {"*": "hr/people", "phoneNumbers": "social/people"},
    },
}  # fmt: skip


def test_of_a_pair_each_flow_looks_at_the_fields_it_owns(worlds):
    world = worlds(flows=PAIR)
    world.go()
    world.go("back")
    for flow in PAIR:
        assert world.bridge.reconcile(flow).counts == {}
    world.edit_there("u0003", phone="theirs", family="Edited")
    found = look(world)
    assert found.fields == {"name.familyName": 1}
    back = world.bridge.reconcile("back")
    assert (back.counts, back.behind) == ({}, {"changed": 1})  # it travels next time
    repaired(world)
    assert world.there()["u0003"]["family"] == "L3"
    assert world.there()["u0003"]["phone"] == "theirs"
    world.remove(1)
    assert world.bridge.reconcile("back").counts == {"missing": 1}
    left = world.bridge.reconcile("back", repair=True)
    assert (left.plan, left.left) == (None, {"not-owner": 1})


# --- whoever looks on sees that a long repair moves --------------------------------------


class HeardAdapter(MemoryAdapter):
    """Notes whether the work that calls it shows that it is alive while it waits."""

    alive: list[bool] = []  # noqa: RUF012 - one per process is what a test wants

    def fetch(self, stream, refs):
        found = heart.current()
        HeardAdapter.alive.append(found is not None and found.stopped(0.0) is None)
        return super().fetch(stream, refs)


def test_calls_of_a_repair_are_signs_of_life_however_long_they_take(
    worlds, monkeypatch
):
    monkeypatch.setattr(repairing, "_BATCH", 2)
    world = settled(worlds(count=8, source=HeardAdapter, target=HeardAdapter))
    for number in range(6):
        remove_there(world, f"u{number:04}")
    staged = []

    def at(point):
        if point == "reconcile.staged":
            staged.append(point)
            HeardAdapter.alive.clear() if len(staged) == 1 else None

    crash.install(at)
    assert look(world, repair=True).plan.counts == {"create": 6}
    assert len(staged) == 3
    assert HeardAdapter.alive
    assert all(HeardAdapter.alive)


def test_each_page_that_a_repair_stages_is_a_sign_of_life(worlds, monkeypatch):
    monkeypatch.setattr(repairing, "_BATCH", 2)
    world = settled(worlds(count=8))
    for number in range(6):
        remove_there(world, f"u{number:04}")
    mine, seen = Counted(), []
    crash.install(
        lambda point: seen.append(mine.beats) if point == "reconcile.staged" else None
    )
    with heart.beating(mine):
        assert look(world, repair=True).plan.counts == {"create": 6}
    assert len(seen) == 3
    assert seen[0] < seen[1] < seen[2] < mine.beats
