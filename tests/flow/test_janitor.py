"""What may no longer be kept goes, and nothing that waits does (delivery 57)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from flow.stillness import LOOSE, NONE, REQUEST
from moatbridge.flow.janitor import sweep
from moatbridge.ledger import aged, retention
from moatbridge.ledger.retention import Keep
from moatbridge.resilience import crash
from moatbridge.testing import FlakyAdapter, MemoryAdapter, Schedule

DAY = 86400.0
LEDGER = {"durability": "normal"}


def extra(**keep):
    return {"ledger": {**LEDGER, **keep}, "guard": {"four_eyes": False, **LOOSE}}


def rows(world, *tables):
    return {t: world.value(f"SELECT count(*) FROM {t}") for t in tables}


def swept(world, **keep):
    whole = Keep(**{"payload": 0.0, "undo": 7 * DAY, "history": 400 * DAY, **keep})
    return sweep(world.bridge.ledger, 1, "people", whole)


ALIVE = ("open", "partition", "scan", "seen", "hold", "wait_ref", "unsettled")


def test_fifty_passes_with_churn_do_not_grow_the_ledger(worlds):
    world = worlds(count=8, extra=extra(keep_history="1h"))
    sizes, all_ = [], (*ALIVE, "parcel", "intent", "before", "run", "guard_count")
    for number in range(50):
        for each in range(3):
            world.put((number + each) % 8, family=f"F{number}")
        world.go()
        world.later(1800)
        sizes.append(rows(world, *all_))
    assert sizes[-1] == sizes[-2] == sizes[9]
    assert sizes[-1]["parcel"] <= 4
    world.scan()
    assert world.same()


def test_with_the_default_only_rows_without_content_are_kept(worlds):
    world = worlds(count=8)
    for number in range(30):
        world.put(number % 8, family=f"F{number}")
        world.go()
        if number == 9:
            early = rows(world, *ALIVE)
    assert rows(world, *ALIVE) == early | rows(world, "scan")
    assert world.value("SELECT count(*) FROM intent WHERE payload IS NOT NULL") == 0
    assert world.value("SELECT count(*) FROM intent") == 37


@pytest.mark.parametrize(("keep", "kept"), [("0s", 0), ("2d", 5)])
def test_content_of_what_was_delivered_is_kept_as_long_as_it_may_be(worlds, keep, kept):
    world = worlds(extra=extra(keep_payload=keep))
    world.go()
    held = "SELECT count(*) FROM intent WHERE payload IS NOT NULL"
    assert world.value(held) == kept
    world.later(DAY)
    world.go()
    assert world.value(held) == kept
    world.later(DAY + 60)
    world.go()
    assert world.value(held) == 0
    assert world.value("SELECT count(*) FROM intent") == 5


def test_images_go_before_the_history(worlds):
    world = worlds(extra=extra(keep_undo="1d"))
    world.go()
    world.put(1, family="New")
    world.go()
    assert rows(world, "before") == {"before": 1}
    world.later(DAY + 60)
    world.go()
    assert rows(world, "before", "intent") == {"before": 0, "intent": 6}


def test_plans_that_were_never_carried_out_go_at_once(worlds):
    world = worlds(count=20)
    for _ in range(5):
        plan_only(world)
    assert world.states() == {"PLANNED": 20, "CANCELLED": 20}, (
        "the newest, the last one"
    )


def plan_only(world):
    from moatbridge.flow.control import request_pass

    route = world.bridge.route("people")
    request_pass(world.bridge.ledger, route, auto=False, actor="test")
    world.drain("control", "scan")


@pytest.mark.parametrize("state", ["PARKED", "UNKNOWN", "HELD", "RETRY", "PLANNED"])
def test_what_waits_is_never_dropped_however_old_it_is(worlds, state):
    world = waiting(worlds, state)
    before = rows(world, "intent", "open", "hold")
    assert state in world.states()
    world.later(900 * DAY)
    for _ in range(2):
        swept(world, undo=0.0, history=0.0)
    assert world.states()[state] == 5
    assert rows(world, "intent", "open", "hold") == before
    assert world.value("SELECT count(*) FROM intent WHERE payload IS NULL") == 0


def waiting(worlds, state):
    fault = {"PARKED": "lost_answer", "UNKNOWN": "lost_answer", "RETRY": "not_applied"}
    faults = [fault[state]] * 9 if state in fault else []
    target = FlakyAdapter.of(MemoryAdapter, Schedule({"write": faults}))
    traits = NONE if state == "PARKED" else REQUEST
    flow = {"match": ["externalId"]}
    world = worlds(target=target, traits=traits, flow=flow)
    if state == "PLANNED":
        plan_only(world)
        return world
    if state == "HELD":
        world.scan()
        hold_all(world)
        return world
    world.go()
    return world


def hold_all(world):
    """As the guard does it, record by record."""
    from moatbridge.ledger import holds, parcels
    from moatbridge.ledger.states import State

    with world.bridge.ledger.write() as tx:
        parcel = parcels.next_parcel(tx, 1, 0)
        assert parcel.state is State.PLANNED
        for item in parcels.items(tx, parcel.parcel_id):
            holds.hold_planned(tx, 1, parcel, item.pos, "limit", "posts")
        tx.run("UPDATE parcel SET state=13 WHERE parcel_id=?", parcel.parcel_id)


def test_the_next_pass_knows_the_last_one_however_short_the_history_is(worlds):
    """The first run is not the first one again, and a shrink is still seen."""
    world = worlds(count=8, extra=extra(keep_history="1s"))
    world.go()
    world.later(10 * DAY)
    for _ in range(3):
        world.go()
        world.later(10 * DAY)
    swept(world, undo=0.0, history=0.0)
    plan = world.bridge.plan("people")
    assert not plan.first_run
    assert plan.unchanged == 8
    assert (
        world.value("SELECT prev_seen FROM scan ORDER BY generation DESC LIMIT 1") == 8
    )


def test_it_works_in_chunks_and_tells_the_audit_what_went(worlds, monkeypatch):
    monkeypatch.setattr(aged, "CHUNK", 4)
    world = worlds(count=10, parcel=2, traits=replace(REQUEST, max_batch=2))
    world.go()
    world.later(401 * DAY)
    begun = world.value("SELECT max(event_id) FROM audit_in")
    gone = swept(world)
    assert gone["intents"] == 10
    assert rows(world, "intent", "parcel", "before") == {
        "intent": 0,
        "parcel": 0,
        "before": 0,
    }
    with world.bridge.ledger.read() as tx:
        told = [
            json.loads(body)
            for (body,) in tx.all(
                "SELECT body FROM audit_in WHERE kind='pruned' AND event_id>?", begun
            )
        ]
    assert [t["rows"] for t in told if t["what"] == "intents"] == [4, 4, 2]
    assert {t["flow"] for t in told} == {"people"}
    assert swept(world) == {}


def test_a_janitor_that_dies_between_two_chunks_does_no_harm(worlds, monkeypatch):
    monkeypatch.setattr(aged, "CHUNK", 4)
    world = worlds(count=10, parcel=2)
    world.go()
    world.later(401 * DAY)

    def dying(name):
        if name == "janitor.chunk":
            raise Killed

    for _ in range(2):
        crash.install(dying)
        with pytest.raises(Killed):
            swept(world)
        crash.install(None)
    assert swept(world)["intents"] == 10, "what was not committed is still there"
    world.put(3, family="Newer")
    world.go()
    assert world.same()


def chunks_of(world, **keep):
    """Writing transactions of a sweep, and what went in those that dropped anything."""
    sizes, before = [], pruned(world)

    def at(name):
        sizes.extend([name] if name == "janitor.chunk" else [])

    crash.install(at)
    try:
        swept(world, **keep)
    finally:
        crash.install(None)
    return len(sizes), pruned(world)[len(before) :]


def pruned(world):
    with world.bridge.ledger.read() as tx:
        rows = tx.all("SELECT body FROM audit_in WHERE kind='pruned' ORDER BY event_id")
    told = [json.loads(body) for (body,) in rows]
    return [(one["what"], one["rows"]) for one in told]


def test_content_goes_a_few_rows_at_a_time_and_nothing_is_written_to_find_it(
    worlds, monkeypatch
):
    monkeypatch.setattr(aged, "CHUNK", 4)
    monkeypatch.setattr(aged, "PARCELS", 3)
    world = worlds(count=10, flow={"lanes": 1}, extra=kept_for_ever())
    world.go()
    world.later(DAY)
    plain = len(retention.STEPS)
    assert chunks_of(world, payload=2 * DAY) == (plain, [])
    assert chunks_of(world) == (plain + 3, [("payloads", n) for n in (4, 4, 2)])
    assert chunks_of(world) == (plain, [])


def kept_for_ever():
    found = extra(keep_payload="400d")
    found["ledger"]["parcel"] = 2
    return found


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_sweep_that_was_stopped_goes_on_with_what_is_left(worlds, monkeypatch, after):
    monkeypatch.setattr(aged, "CHUNK", 4)
    world = worlds(count=10, flow={"lanes": 1}, extra=kept_for_ever())
    world.go()
    world.later(DAY)
    seen = []

    def stopping():
        seen.append(len(pruned(world)))
        return seen[-1] >= after

    whole = Keep(payload=0.0, undo=7 * DAY, history=400 * DAY)
    sweep(world.bridge.ledger, 1, "people", whole, stopping=stopping)
    held = "SELECT count(*) FROM intent WHERE payload IS NOT NULL"
    assert world.value(held) == max(0, 10 - 4 * after)
    sweep(world.bridge.ledger, 1, "people", whole)
    assert world.value(held) == 0
    assert world.value("SELECT count(*) FROM intent") == 10


def test_no_lease_is_held_while_it_works(worlds, monkeypatch):
    seen = []
    world = worlds()
    world.go()
    plain = retention.counters

    def looking(tx, flow_id, keep):
        seen.append(tx.value("SELECT count(*) FROM partition WHERE owner IS NOT NULL"))
        return plain(tx, flow_id, keep)

    monkeypatch.setattr(retention, "PAGED", ())
    monkeypatch.setattr(retention, "STEPS", (("counters", looking),))
    world.go()
    assert seen == [0]


def test_parked_items_that_were_all_decided_may_go_one_day(worlds):
    target = FlakyAdapter.of(MemoryAdapter, Schedule({"write": ["lost_answer"]}))
    world = worlds(target=target, traits=NONE, flow={"match": ["externalId"]})
    world.go()
    assert world.states() == {"PARKED": 5}
    for item, action in zip(
        world.bridge.review("people"),
        ["arrived", "give-up", "resend", "arrived", "arrived"],
        strict=True,
    ):
        world.bridge.decide("people", item.item, action)
    world.drain()
    world.later(401 * DAY)
    swept(world)
    assert world.value("SELECT count(*) FROM parcel WHERE state=6") == 0


class Killed(BaseException):
    """What a SIGKILL is to one thread."""
