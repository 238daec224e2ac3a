"""C of one parcel and B of the next in one transaction (delivery 21), and when not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flow.stillness import NONE, OBJECT, REQUEST
from flow.test_commits import BIG, counted
from moatbridge.flow import preparing, run_slice
from moatbridge.ledger import admission, killswitch
from moatbridge.ledger.states import State
from moatbridge.resilience import crash
from moatbridge.testing import FlakyAdapter, MemoryAdapter, Schedule


def passed(point, action, *, nth=1):
    """Run an action at the n-th passing of a crash point; all points, as they come."""
    seen = []

    def hook(name):
        seen.append(name)
        if name == point and seen.count(point) == nth:
            action()

    crash.install(hook)
    return seen


def nothing():
    pass


def sent(world):
    """How many intents are done, and how many effects there were."""
    return world.states().get("DONE", 0), len(world.social.effects())


def test_the_points_are_passed_in_this_order(worlds):
    world = worlds(count=20, parcel=10, traits=REQUEST)
    world.scan()
    seen = passed("", nothing)
    world.drain("lane")
    assert seen == [
        "claim.done", "admit.in", "inflight.done", "send.half", "answer.read",
        "claim.done", "settle.in", "settle_admit.in", "admit.in", "inflight.done",
        "send.half", "answer.read", "settle.in",
    ]  # fmt: skip


def test_the_next_one_leaves_only_when_its_own_b_is_durable(worlds):
    """What the target is called with is in flight in the ledger already."""
    states = []

    class Looking(MemoryAdapter):
        def write(self, stream, intents):
            states.append((world.states()["IN_FLIGHT"], len(intents)))
            return super().write(stream, intents)

    world = worlds(count=50, parcel=10, traits=REQUEST, target=Looking)
    world.go()
    assert states == [(10, 10)] * 5
    assert world.same()


@pytest.mark.parametrize("pulled_in", ["claim.done", "settle.in"])
def test_a_switch_that_was_pulled_meanwhile_lets_only_the_answer_in(worlds, pulled_in):
    """Delivery 28: the kill switch is read inside the transaction."""
    world = worlds(count=40, parcel=10, traits=REQUEST)
    world.scan()

    def pull():
        with world.bridge.ledger.write() as tx:
            killswitch.switch_on(tx, "all", "test", "eve")

    passed(pulled_in, pull, nth=3 if pulled_in == "claim.done" else 2)
    result = run_slice(world.bridge, "people", "lane/0", owner="test")
    crash.install(None)
    assert result.outcome == "stopped"
    assert sent(world) == (20, 20)
    assert "IN_FLIGHT" not in world.states()


def test_a_target_that_was_switched_off_by_its_own_answer_gets_nothing_more(worlds):
    """The incident is noted by C, and B of the same transaction reads it."""

    class Strange(MemoryAdapter):
        def write(self, stream, intents):
            receipts = super().write(stream, intents)
            return [replace(receipt, incident="odd") for receipt in receipts]

    world = worlds(count=40, parcel=10, traits=REQUEST, target=Strange)
    world.go()
    assert sent(world) == (10, 10)
    assert world.states() == {"DONE": 10, "PLANNED": 30}


def test_who_is_asked_to_stop_settles_and_sends_nothing_more(worlds, monkeypatch):
    world = worlds(count=40, parcel=10, traits=REQUEST)
    world.scan()
    commits, asked = counted(monkeypatch), []
    passed("answer.read", lambda: asked.append(1))
    result = run_slice(
        world.bridge, "people", "lane/0", owner="test", stopping=lambda: bool(asked)
    )
    assert (result.outcome, sent(world), commits["lane"]) == ("more", (10, 10), 2)


def test_time_that_is_over_ends_the_chain(worlds, monkeypatch):
    world = worlds(count=40, parcel=10, traits=REQUEST)
    world.scan()
    commits = counted(monkeypatch)
    result = run_slice(world.bridge, "people", "lane/0", owner="test", seconds=0.0)
    assert (result.outcome, sent(world), commits["lane"]) == ("more", (10, 10), 2)


@pytest.mark.parametrize("fault", ["not_applied", "untyped"])
def test_what_cannot_be_prepared_takes_no_answer_with_it(worlds, fault):
    """The source is asked about each parcel again; the second time it fails."""
    source = FlakyAdapter.of(MemoryAdapter, Schedule({"fetch": [None, *[fault] * 9]}))
    world = worlds(count=40, parcel=10, traits=REQUEST, source=source)
    world.scan()
    with world.bridge.ledger.write() as tx:  # who follows asks about creates once more
        tx.run("UPDATE partition SET served_at=? WHERE kind='live'", tx.now())
    result = run_slice(world.bridge, "people", "lane/0", owner="test")
    assert result.error is not None
    assert sent(world) == (10, 10)
    assert world.states() == {"DONE": 10, "PLANNED": 30}


def test_a_bug_while_it_is_prepared_takes_no_answer_with_it(worlds, monkeypatch):
    world = worlds(count=40, parcel=10, traits=REQUEST)
    world.scan()
    encoded, encode = [], preparing._candidate

    def with_a_bug(route, one):
        encoded.append(one)
        return encode(route, one) if len(encoded) <= 15 else 1 // 0

    monkeypatch.setattr(preparing, "_candidate", with_a_bug)
    with pytest.raises(ZeroDivisionError):
        run_slice(world.bridge, "people", "lane/0", owner="test")
    assert sent(world) == (10, 10)
    assert world.states() == {"DONE": 10, "PLANNED": 30}


def test_a_bug_in_b_takes_no_answer_with_it(worlds, monkeypatch):
    world = worlds(count=40, parcel=10, traits=REQUEST)
    world.scan()
    calls, admit = [], admission.admit

    def second_time(*args, **more):
        calls.append(1)
        done = admit(*args, **more)
        assert len(calls) != 2, "ledger constraint"
        return done

    monkeypatch.setattr(admission, "admit", second_time)
    with pytest.raises(AssertionError, match="ledger constraint"):
        run_slice(world.bridge, "people", "lane/0", owner="test")
    assert sent(world) == (10, 10)
    assert world.states() == {"DONE": 10, "PLANNED": 30}
    assert world.value("SELECT count(*) FROM open") == 0
    assert world.value("SELECT count(*) FROM link") == 10


def test_who_lost_the_lease_settles_nothing_and_sends_nothing(worlds):
    world = worlds(count=40, parcel=10, traits=REQUEST)
    world.scan()

    def steal():
        with world.bridge.ledger.write() as tx:
            tx.run("UPDATE partition SET fence=fence+1 WHERE part='lane/0'")

    passed("settle.in", steal)
    result = run_slice(world.bridge, "people", "lane/0", owner="test")
    crash.install(None)
    assert result.outcome == "held"
    assert world.states() == {"IN_FLIGHT": 10, "PLANNED": 30}
    assert len(world.social.effects()) == 10
    world.later(100)
    world.drain()
    assert sent(world) == (40, 40)
    assert world.same()


def test_what_was_in_doubt_is_settled_by_itself(worlds, monkeypatch):
    """A parcel that kills whoever prepares it keeps nothing else in doubt."""
    world = worlds(
        count=30,
        parcel=10,
        traits=REQUEST,
        target=FlakyAdapter.of(MemoryAdapter, Schedule({"write": ["lost_answer"]})),
    )
    world.scan()
    run_slice(world.bridge, "people", "lane/0", owner="test", seconds=0.0)
    assert world.states() == {"UNKNOWN": 10, "PLANNED": 20}
    world.later(10)
    commits = counted(monkeypatch)
    world.drain()
    assert sent(world) == (30, 30)
    assert commits["lane"] == 2 + 3


def test_the_next_version_of_a_record_waits_for_its_own_settlement(worlds, monkeypatch):
    """The answer says what the record is called there: prepared before, it would be
    created twice."""
    world = worlds(count=3, traits=OBJECT)
    world.go()
    world.put(7)
    world.scan()

    def newer():
        world.put(7, family="Newer")
        world.live()

    commits = counted(monkeypatch)
    passed("answer.read", newer)
    world.drain("lane")
    crash.install(None)
    assert commits["lane"] == 4
    assert world.there()["u0007"]["family"] == "Newer"
    assert len(world.social.effects()) == 3 + 2
    assert world.same()


def test_who_refers_to_a_record_that_was_just_sent_waits_for_its_link(
    worlds, monkeypatch
):
    world = worlds(count=1, parcel=1, traits=REQUEST)
    world.put(1, manager="u0000")
    world.put(2)
    commits = counted(monkeypatch)
    world.go()
    there = {row.data["uid"]: row for row in world.social.all("people")}
    assert there["u0001"].data["manager"] == there["u0000"].ref.key
    assert len(world.social.effects()) == 3
    assert commits["lane"] == 2 * 3 - 1  # the second and the third share one


def test_what_waited_for_another_try_flies_with_the_settlement_before_it(
    worlds, monkeypatch
):
    target = FlakyAdapter.of(MemoryAdapter, Schedule({"write": ["not_applied"] * 9}))
    world = worlds(count=30, parcel=10, traits=REQUEST, target=target)
    world.go()
    assert world.states() == {"RETRY": 30}
    world.later(4000)
    commits = counted(monkeypatch)
    world.drain()
    assert (sent(world), commits["lane"]) == ((30, 30), 3 + 1)
    assert world.same()


def test_where_a_doubt_needs_a_person_the_answer_is_settled_first(worlds, monkeypatch):
    """A crash between an answer and C parks the parcel: nothing comes between."""
    world = worlds(count=30, parcel=10, traits=NONE, flow={"match": ["externalId"]})
    commits = counted(monkeypatch)
    world.go()
    assert sent(world) == (30, 30)
    assert commits["lane"] == 2 * 3
    assert State.PARKED.name not in world.states()


def test_parcels_that_need_no_call_cost_one_commit(worlds, monkeypatch):
    """Adopted as they are: they are admitted, and nothing flies."""
    world = worlds(count=30, parcel=10, traits=BIG, flow={"match": ["userName"]})
    for row in world.hr.all("people"):
        world.social.put("people", [{**row.data, "active": True, "ext": row.ref.key}])
    commits = counted(monkeypatch)
    world.go()
    assert (sent(world)[0], commits["lane"]) == (30, 3)
