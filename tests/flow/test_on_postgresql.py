"""Flows with their ledger on PostgreSQL: a few of each kind.

All tests of this folder run on it with ``LEDGER=postgresql``; the torture does that.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace

import pytest

from flow.stillness import REQUEST, StillWorld
from moatbridge.errors import NotApplied
from servers.commit_proxy import CommitProxy
from servers.places import put_on


@pytest.fixture
def worlds(tmp_path, at_once, ledger_server):
    made = []

    def make(*, endpoint=None, **settings):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        put_on(ledger_server, folder, endpoint=endpoint)
        made.append(StillWorld(folder, **{"count": 5, **settings}))
        return made[-1]

    yield make
    for world in made:
        world.bridge.close()


def test_a_pass_is_planned_agreed_carried_out_and_repeated_without_effect(worlds):
    world = worlds(count=40, parcel=10)
    world.go()
    assert world.states() == {"DONE": 40}
    assert world.same()
    effects = len(world.social.effects())
    world.put(3, family="Changed")
    world.put(50)
    world.remove(7)
    world.go()
    assert len(world.social.effects()) == effects + 3
    assert world.there()["u0007"]["active"] is False
    world.reopen()
    world.go()
    assert len(world.social.effects()) == effects + 3
    assert world.social.doubled() == []


def test_a_lost_answer_has_one_effect(worlds):
    world = worlds(traits=replace(REQUEST, max_batch=100))
    world.social.lose_answers = 1
    world.go()
    world.later(120)
    world.drain()
    assert world.states() == {"DONE": 5}
    assert world.social.doubled() == []
    assert world.same()


def test_two_bridges_of_one_ledger_share_the_work_and_double_nothing(worlds):
    world = worlds(count=60, parcel=5)
    plan = world.bridge.plan("people")
    other = world.open()
    threads = [
        threading.Thread(
            target=bridge.apply, args=(plan,), kwargs={"confirm": plan.verdict.count}
        )
        for bridge in (world.bridge, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert world.states() == {"DONE": 60}
    assert world.social.doubled() == []
    assert world.same()


@pytest.mark.parametrize("plan", ["before", "after"])
@pytest.mark.parametrize("nth", range(5))
def test_a_commit_that_got_no_answer_loses_and_doubles_nothing(
    worlds, ledger_server, plan, nth
):
    """The connection to the ledger is cut inside the n-th COMMIT of the delivery."""
    with CommitProxy(ledger_server.endpoint) as proxy:
        world = worlds(endpoint=proxy.endpoint, count=20, parcel=10)
        world.scan()
        proxy.skip, proxy.plan = nth, plan
        for _ in range(10):
            with suppress(NotApplied):  # a claim may fail: nothing was begun
                world.drain()
            if world.states() == {"DONE": 20}:
                break
            with world.bridge.ledger.write() as tx:
                tx.run("UPDATE partition SET not_before=0, lease_until=0")
                tx.run("UPDATE parcel SET not_before=0")
        assert proxy.cuts == 1
        assert world.states() == {"DONE": 20}
        assert world.social.doubled() == []
        assert world.same()
        world.bridge.close()
