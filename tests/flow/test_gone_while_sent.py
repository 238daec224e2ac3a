"""A record is gone at the source while its create is on its way (delivery 25, 45).

The feed tells it once. Nothing looks at it again before the next full pass, which may be
a week away, so what it tells must wait for the create and not be dropped.
"""

from __future__ import annotations

import pytest

from flow.stillness import LOOKUP, OBJECT, REQUEST
from moatbridge.flow.departing import Departing
from moatbridge.flow.reading import Pass
from moatbridge.testing import FlakyAdapter, MemoryAdapter, Schedule

LOST = {
    "not_applied": "RETRY",
    "lost_answer": "UNKNOWN",
    "lost_request": "UNKNOWN",
}


def begun(worlds, fault, traits=REQUEST, **flow):
    """A world with somebody new whose create failed that way at first."""
    tries = 3 if fault == "not_applied" else 1  # a call that did nothing is repeated
    target = FlakyAdapter.of(
        MemoryAdapter, Schedule({"write": [None, *[fault] * tries]})
    )
    world = worlds(target=target, traits=traits, flow=flow)
    world.go()
    world.put(50)
    world.live()
    assert world.states() == {"DONE": 5, LOST[fault]: 1}
    return world


def rested(world):
    for _ in range(4):
        world.later(120)
        world.live()
    return world


@pytest.mark.parametrize("traits", [REQUEST, OBJECT], ids=["request", "object"])
@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("deletes", ["disable", "remove"])
def test_who_is_gone_while_the_create_is_on_its_way_has_no_account(
    worlds, fault, traits, deletes
):
    more = {"i_know": "deletes are final"} if deletes == "remove" else {}
    world = begun(worlds, fault, traits, deletes=deletes, **more)
    world.remove(50)
    world.live()
    rested(world)
    there = world.there().get("u0050")
    assert there is None or (deletes == "disable" and there["active"] is False)
    if fault == "not_applied":
        assert there is None  # certainly never there: nothing was sent for nobody
    assert world.waiting() == []
    assert world.same()


@pytest.mark.parametrize("fault", LOST)
def test_who_comes_back_has_an_account_again(worlds, fault):
    world = begun(worlds, fault)
    world.remove(50)
    world.live()
    rested(world)
    world.put(50, family="Again")
    world.live()
    rested(world)
    assert world.there()["u0050"]["active"] is not False
    assert world.same()


@pytest.mark.parametrize("fault", LOST)
def test_who_comes_back_at_once_never_lost_it(worlds, fault):
    world = begun(worlds, fault)
    world.remove(50)
    world.live()
    world.put(50, family="Again")
    world.live()
    rested(world)
    assert world.there()["u0050"]["active"] is not False
    assert world.same()


def test_a_target_that_is_searched_is_asked_first(worlds):
    world = begun(worlds, "lost_answer", LOOKUP, match=["externalId"])
    world.remove(50)
    world.live()
    rested(world)
    assert world.there()["u0050"]["active"] is False
    assert world.same()


def told(world):
    """The feed is read; nothing is delivered."""
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE partition SET not_before=0 WHERE kind='live'")
    world.drain("live")


def fetched(world, monkeypatch):
    """How many records of the source were looked at one by one."""
    asked = []
    plain = world.kinds["here"].fetch

    def counted(adapter, stream, refs):
        if adapter.name == "here" and len(refs):
            asked.append((stream, len(refs)))
        return plain(adapter, stream, refs)

    monkeypatch.setattr(world.kinds["here"], "fetch", counted)
    return asked


def test_creates_of_a_pass_are_not_confirmed_while_nobody_reads_the_feed(
    worlds, monkeypatch
):
    world = worlds(traits=REQUEST, count=50)
    asked = fetched(world, monkeypatch)
    world.go()
    assert world.states() == {"DONE": 50}
    assert asked == []


def test_who_was_gone_before_a_planned_create_left_is_not_created(worlds):
    world = worlds(traits=REQUEST)
    world.go()
    world.put(50)
    world.put(51)
    world.scan()
    world.remove(50)
    told(world)  # of somebody whom nobody knows yet
    world.go()
    assert "u0050" not in world.there()
    assert "u0051" in world.there()


def test_who_is_told_to_be_gone_while_a_create_is_prepared_is_not_created(
    worlds, monkeypatch
):
    world = worlds(traits=REQUEST)
    world.go()
    world.put(50)
    world.scan()
    look = Departing.look

    def looked(self, parcel, items):
        found = look(self, parcel, items)
        if world.removed_meanwhile is False:
            world.removed_meanwhile = True
            world.remove(50)
            told(world)
        return found

    world.removed_meanwhile = False
    monkeypatch.setattr(Departing, "look", looked)
    world.go()
    assert world.removed_meanwhile
    assert "u0050" not in world.there()


def test_who_is_gone_after_a_refused_create_is_not_created_by_the_next(worlds):
    """The link is there already, and nothing of it is on its way yet."""
    target = FlakyAdapter.of(MemoryAdapter, Schedule({"write": [None, "reject"]}))
    world = worlds(target=target, traits=REQUEST)
    world.go()
    world.put(50)
    world.go()
    assert world.states() == {"DONE": 5, "REJECTED": 1}
    world.put(50, family="Corrected")
    world.scan()
    world.remove(50)
    told(world)
    world.drain()
    assert "u0050" not in world.there()


def test_a_create_that_leaves_while_the_feed_is_read_is_confirmed(worlds, monkeypatch):
    """What it told is known to the ledger only when that reading is committed."""
    world = worlds(traits=REQUEST)
    world.go()
    world.put(50)
    world.scan()
    world.remove(50)
    commit, left = Pass.commit, []

    def late(reading):
        if reading._lease.part == "live" and not left:
            left.append(True)
            world.drain("lane")
        return commit(reading)

    monkeypatch.setattr(Pass, "commit", late)
    told(world)
    rested(world)
    assert left
    assert "u0050" not in world.there()
