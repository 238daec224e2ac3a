"""Passes begin by the ledger's time: once, however many workers there are (scale 35)."""

from __future__ import annotations

import threading

import pytest

from flow_world import World
from moatbridge.flow.schedule import begin_due_pass, interval
from run.world import Workers, until


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, count=3)
    yield made
    made.bridge.close()


def passes(world):
    with world.bridge.ledger.read() as tx:
        return [
            tuple(row)
            for row in tx.all("SELECT state, actor FROM run WHERE kind='pass'")
        ]


def age(world, seconds):
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE run SET created=created-?, planned=planned-?", seconds, seconds)


def begin(world, actor="timer"):
    return begin_due_pass(
        world.bridge.ledger, world.bridge.route("people"), actor=actor
    )


def test_of_many_who_ask_at_once_one_begins_the_pass(world):
    route, barrier = world.bridge.route("people"), threading.Barrier(8)

    def ask(number):
        barrier.wait()
        begin_due_pass(world.bridge.ledger, route, actor=f"worker {number}")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [state for state, _actor in passes(world)] == ["scanning"]


def test_the_next_pass_begins_an_interval_after_the_last_one(world):
    world.apply()
    route = world.bridge.route("people")
    assert interval(route) == 7 * 86400  # the source can be followed
    assert begin(world) > 0
    age(world, 7 * 86400 - 30)
    assert 0 < begin(world) <= 31
    assert len(passes(world)) == 1
    age(world, 31)
    begin(world)
    assert [state for state, _actor in passes(world)] == ["done", "scanning"]


def test_rescan_wins_over_the_interval(tmp_path):
    flow = {"from": "hr/people", "to": "social/people", "rescan": "1h"}
    world = World(tmp_path, count=1, flows={"people": flow})
    assert interval(world.bridge.route("people")) == 3600
    world.bridge.close()


def test_a_plan_that_waits_for_a_person_is_not_replaced(world):
    world.bridge.plan("people")
    age(world, 8 * 86400)
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE run SET planned=planned+8*86400")
    assert begin(world) > 0
    assert len(passes(world)) == 1
    age(world, 2 * 86400)
    begin(world)
    assert len(passes(world)) == 2


def test_three_processes_begin_one_pass_also_after_restarts(tmp_path):
    with Workers(tmp_path, count=30, run={"ttl": "5s"}, flow={"rescan": "1h"}) as world:
        world.agree()
        world.ask("SELECT 1")
        with world.open() as bridge, bridge.ledger.write() as tx:
            tx.run("UPDATE run SET created=created-7200")
        for _life in range(2):
            for _ in range(3):
                world.start()
            until(lambda: len(world.workers()) == 3)
            until(
                lambda: [state for _flow, state in world.passes()] == ["done", "done"]
            )
            world.stop()
            assert [process.returncode for process in world.processes] == [0, 0, 0]
            world.processes.clear()
            assert world.workers() == set()
            assert world.held() == {}
    assert len(world.passes()) == 2
