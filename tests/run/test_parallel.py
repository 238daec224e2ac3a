"""Partitions and lanes of one flow run side by side; order per record holds (scale 1)."""

from __future__ import annotations

import threading

from flow_world import World
from moatbridge.flow.control import request_pass
from moatbridge.run import LocalRunner
from moatbridge.run.dispatch import Dispatcher
from moatbridge.testing import MemoryAdapter
from run.world import Workers, until

OFTEN = {"rescan": "1h", "every": "200ms"}


def test_partitions_of_one_stream_are_read_at_the_same_time(tmp_path, monkeypatch):
    flow = {"from": "hr/people", "to": "social/people", "partitions": 4}
    world = World(tmp_path, count=200, flows={"people": flow})
    together, scan = threading.Barrier(4), MemoryAdapter.scan

    def met(self, stream, partition, after):
        together.wait(60)  # breaks, and the test fails, if fewer than four run at once
        return scan(self, stream, partition, after)

    monkeypatch.setattr(MemoryAdapter, "scan", met)
    assert world.bridge.plan("people").verdict.count == 200
    world.bridge.close()


def test_lanes_of_one_flow_deliver_at_the_same_time(tmp_path, monkeypatch):
    flow = {"from": "hr/people", "to": "social/people", "lanes": 3}
    world = World(
        tmp_path, count=200, flows={"people": flow}, extra={"ledger": {"parcel": 20}}
    )
    plan = world.bridge.plan("people")
    together, write, first = (
        threading.Barrier(3),
        MemoryAdapter.write,
        threading.local(),
    )

    def met(self, stream, intents):
        if not getattr(first, "met", False):
            first.met = True  # each lane runs on a thread of its own
            together.wait(60)
        return write(self, stream, intents)

    monkeypatch.setattr(MemoryAdapter, "write", met)
    assert world.bridge.apply(plan, confirm=200).state == "done"
    assert len(world.social.effects()) == 200
    world.bridge.close()


def test_what_is_due_is_begun_by_the_priority_of_its_flow(tmp_path):
    flows = {
        "people": {"from": "hr/people", "to": "social/people", "priority": 4},
        "back": {"from": "social/people", "to": "hr/people", "priority": 2},
    }
    flows["people"]["owner"] = {"*": "hr/people"}
    world = World(tmp_path, count=5, flows=flows)
    for flow in flows:
        route = world.bridge.route(flow)
        request_pass(world.bridge.ledger, route, auto=False, actor="me")
    made = Dispatcher(
        world.bridge, list(flows), slots=1, zones=["default"], owner="me",
        stop=threading.Event(),
    )  # fmt: skip
    ready, _later = made._due(list(made._flows.values()))
    names = [name for name, _part in ready]
    assert set(names) == {"people", "back"}
    assert names == sorted(names)  # all of `back` first
    world.bridge.close()


def test_order_per_record_is_kept_across_processes(tmp_path):
    flow = {**OFTEN, "lanes": 4, "partitions": 4}
    with Workers(tmp_path, count=40, run={"ttl": "5s"}, flow=flow) as world:
        world.agree()
        for _ in range(3):
            world.start(slots=2)
        until(lambda: len(world.workers()) == 3)
        for version in range(1, 8):
            world.put(range(40), family=f"V{version}")
            until(lambda v=version: world.there()["u00000"]["family"] == f"V{v}")
        until(lambda: {r["family"] for r in world.there().values()} == {"V7"})
        world.stop()
        assert all(process.returncode == 0 for process in world.processes)
        keys = [effect.key for effect in world.effects()]
        assert len(keys) == len(set(keys))


def test_a_served_flow_is_opened_beside_one_that_cannot_be(tmp_path, monkeypatch):
    flows = {
        "people": {"from": "hr/people", "to": "social/people", "every": "200ms"},
        "groups": {"from": "hr/groups", "to": "gone/groups"},
    }
    world = World(tmp_path, count=5, systems={})
    world.apply()
    config = world.config()
    config["systems"]["gone"] = {"adapter": "memory", "system": "nowhere"}
    config["streams"]["hr/groups"] = {
        "translator": {"entity": "Group", "fields": {"displayName": "cn"}}
    }
    config["streams"]["gone/groups"] = {}
    config["flows"] = flows
    monkeypatch.setattr(world, "config", lambda: config)
    world.reopen()
    told, runner = [], None
    runner = LocalRunner(
        world.bridge, slots=2, tell=lambda flow, _error: told.append(flow)
    )
    runner.start(["groups", "people"])
    world.put(3, family="Married")
    until(lambda: world.there()["u0003"]["family"] == "Married")
    runner.stop()
    assert told == ["groups"]
    world.bridge.close()
