"""A run that is taken back while a call of it is out: what was not taken is not sent again."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from flow.retract_world import RetractWorld
from flow.stillness import LOOKUP, REQUEST
from moatbridge.errors import NotApplied, OutcomeUnknown
from moatbridge.flow import run_slice
from moatbridge.flow.retract import planning
from moatbridge.ledger import restoring
from moatbridge.testing import MemoryAdapter
from servers.places import place_for

BACK = replace(REQUEST, retractable=True)
LOOKS = replace(LOOKUP, retractable=True)
DEADLINE = 60


class HeldAdapter(MemoryAdapter):
    """Its next write waits to go on; it and all after it end like this, unapplied."""

    entered = threading.Event()
    go_on = threading.Event()
    failure: Exception | None = None

    @classmethod
    def hold(cls, failure):
        cls.entered.clear()
        cls.go_on.clear()
        cls.failure = failure

    def write(self, stream, intents):
        failure = HeldAdapter.failure
        if failure is None:
            return super().write(stream, intents)
        HeldAdapter.entered.set()
        assert HeldAdapter.go_on.wait(DEADLINE)
        raise failure


@pytest.fixture
def make(tmp_path, at_once):
    made = []

    def world(**more):
        settings = {"target": HeldAdapter, "count": 3, "traits": BACK, **more}
        made.append(RetractWorld(tmp_path, **settings))
        return made[-1]

    yield world
    HeldAdapter.failure = None
    HeldAdapter.go_on.set()
    for one in made:
        one.bridge.close()


def out_while(world, failure, act):
    """Do something while the newest run's first call is out; it then fails like this."""
    ready, _later = world.bridge.due(["people"])
    (lane,) = [d for _flow, d in ready if d.kind == "lane"]
    HeldAdapter.hold(failure)
    sender = threading.Thread(
        target=run_slice,
        args=(world.bridge, "people", lane.part),
        kwargs={"owner": "A"},
    )
    sender.start()
    other = world.open()
    try:
        assert HeldAdapter.entered.wait(DEADLINE)
        act(other)
    finally:
        HeldAdapter.go_on.set()
        sender.join(DEADLINE)
        HeldAdapter.failure = None
        other.close()
    assert not sender.is_alive()


def taken_back(run):
    """Agree to the retract of a run; its delivery is left to others."""

    def act(bridge):
        planned = bridge.plan_retract(run)
        count = planned.plan.verdict.count if planned.plan else None
        bridge.retract(run, confirm=count, max_seconds=0)

    return act


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(planning, "PATIENCE", 0.0)


def test_what_the_target_did_not_take_is_not_sent_after_its_run_was_taken_back(make):
    world = make()
    world.carry()
    before = world.shows()
    for n in range(3):
        world.put(n, family="Bad")
    world.scan()
    run = world.last("pass").run_id
    out_while(world, NotApplied("away", code="http.unreachable"), taken_back(run))
    assert world.states()["CANCELLED"] == 3
    assert "RETRY" not in world.states()
    world.later(4000)
    world.drain()
    assert world.shows() == before
    assert world.bridge.plan("people").counts == {"update": 3}  # a person sees it again


def test_what_a_look_up_does_not_find_is_not_sent_after_its_run_was_taken_back(make):
    world = make(traits=LOOKS, flow={"match": ["externalId"]})
    world.carry()
    world.put(7)
    world.scan()
    run = world.last("pass").run_id
    out_while(world, OutcomeUnknown("cut", code="http.cut"), taken_back(run))
    assert world.states()["UNKNOWN"] == 1
    world.later(4000)
    world.drain()
    assert "u0007" not in world.there()
    assert world.states()["CANCELLED"] == 1


def test_what_a_live_run_sends_after_its_retract_is_tried_again(make):
    world = make()
    world.carry()
    world.live()
    world.put(1, family="Bad")
    world.live()
    run = world.last("live").run_id
    world.retract(run)
    world.put(1, family="Good")
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE partition SET not_before=0 WHERE kind='live'")
    world.drain("live")
    out_while(world, NotApplied("away", code="http.unreachable"), lambda _bridge: None)
    assert world.states()["RETRY"] == 1
    world.later(4000)
    world.drain()
    assert world.there()["u0001"]["family"] == "Good"


def test_what_is_called_off_between_look_and_sending_is_not_sent(make, monkeypatch):
    world = make()
    world.carry()
    before = world.shows()
    world.put(1, family="Bad")
    world.scan()
    run = world.last("pass").run_id
    out_while(world, NotApplied("away", code="http.unreachable"), lambda _bridge: None)
    assert world.states()["RETRY"] == 1
    world.later(4000)
    other, said = world.open(), []

    from moatbridge.flow import standing

    recheck = standing.recheck

    def meanwhile(*args):
        if not said:
            said.append(run)
            taken_back(run)(other)
        return recheck(*args)

    monkeypatch.setattr(standing, "recheck", meanwhile)
    world.drain()
    other.close()
    assert said
    assert world.shows() == before
    assert world.states()["CANCELLED"] == 1


def test_a_retract_of_a_restored_ledger_has_keys_of_its_own(make):
    world = make()
    world.carry()
    world.put(1, family="Changed")
    run = world.carry()
    planned = world.bridge.plan_retract(run)
    keys = (
        "SELECT i.key FROM intent i JOIN parcel p ON p.parcel_id=i.parcel_id "
        "WHERE p.run_id=?"
    )
    first = world.value(keys, planned.run_id)
    with world.bridge.ledger.write() as tx:  # the backup was older than the retract
        for sql in (
            "DELETE FROM intent WHERE parcel_id IN (SELECT parcel_id FROM parcel WHERE run_id=?)",
            "DELETE FROM parcel WHERE run_id=?",
            "DELETE FROM run WHERE run_id=?",
        ):
            tx.run(sql, planned.run_id)
        tx.run("UPDATE partition SET owner=NULL, lease_until=NULL")
        if place_for(world.folder).kind != "sqlite":  # a dump has its sequences too
            again_from = (
                "SELECT setval(pg_get_serial_sequence('run', 'run_id'), ?, false)"
            )
            tx.one(again_from, planned.run_id)
        assert restoring.restored(tx, actor="test") == 1
    again = world.bridge.plan_retract(run)
    assert again.run_id == planned.run_id
    assert world.value(keys, again.run_id) != first
