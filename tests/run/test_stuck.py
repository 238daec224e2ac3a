"""Calls that no deadline can end: their slots, their leases, their process (security 14)."""

from __future__ import annotations

import threading
import time

import pytest

from flow_world import World
from moatbridge.flow import run_slice
from moatbridge.flow.control import request_pass
from moatbridge.resilience.deadline import Watchdog
from moatbridge.resilience.heart import Heart, beating, current
from moatbridge.run import LocalRunner
from moatbridge.run.dispatch import Dispatcher
from moatbridge.run.slots import Slots
from run.world import Workers, until

RUN = {"ttl": "2s", "slice": "5s", "drain": "2s"}
SHORT = {"deadline": {"call": "1s"}}
OFTEN = {"rescan": "400ms", "every": "400ms", "partitions": 1}


@pytest.mark.parametrize("fault", ["loops", "sleeps"])
def test_a_stuck_partition_is_taken_over_and_other_flows_go_on(tmp_path, fault):
    systems = {"hr0": SHORT}
    with Workers(
        tmp_path, pairs=2, count=10, run=RUN, flow=OFTEN, systems=systems
    ) as world:
        world.agree()
        world.fault("hr0", fault)
        stuck = world.start(slots=16)  # four may be lost before it asks for a successor
        scan = "SELECT owner, fence, error FROM partition WHERE kind='scan' AND error=?"
        until(lambda: world.ask(scan, "runtime.stuck"))
        world.put([77], pair=1)  # the other flow goes on, in the same process
        until(lambda: "u00077" in world.there(1))
        assert stuck.poll() is None
        (_owner, fence, _error), *_ = world.ask(scan, "runtime.stuck")
        other = world.start(slots=8)
        until(lambda: world.ask(scan.replace("error=?", "fence>?"), fence))
        world.fault("hr0", fault, on=False)
        world.put([78], pair=0)
        until(lambda: "u00078" in world.there(0))
        assert other.poll() is None
        assert max(len(world.effects(pair)) for pair in range(2)) == 11


def test_a_stuck_partition_is_left_to_others_for_a_while(tmp_path):
    """Else one partition takes slot after slot, and at last the whole process."""
    with Workers(
        tmp_path, count=10, run=RUN, flow=OFTEN, systems={"hr0": SHORT}
    ) as world:
        world.agree()
        world.fault("hr0", "sleeps")
        with world.open() as bridge:
            bridge._pool._watchdog = Watchdog(grace=0.2)
            runner = LocalRunner(bridge, slots=4)
            runner.start(["people0"])
            until(lambda: runner.lost == 1)
            held = until(lambda: dict(runner._dispatcher._held_back))
            (wait,) = (again - time.monotonic() for again in held.values())
            assert wait > bridge.config.run.ttl  # longer than its lease
            world.fault("hr0", "sleeps", on=False)
            until(lambda: runner.lost == 0)
            runner.stop()


def test_a_worker_whose_ledger_went_back_in_time_ends(tmp_path):
    with Workers(tmp_path, count=10, run=RUN, flow=OFTEN) as world:
        world.agree()
        with world.open() as bridge:
            anchor = bridge.ledger.db._store.anchor
            anchor._older, anchor._highest = True, (0, 10**9)
            assert LocalRunner(bridge, slots=4).serve(["people0"]) == "refused"


def test_two_stuck_partitions_at_the_head_keep_nobody_from_a_free_slot(tmp_path):
    with Workers(tmp_path, count=10, run=RUN, flow=OFTEN) as world:
        world.agree()
        with world.open() as bridge:
            request_pass(bridge.ledger, bridge.route("people0"), auto=False, actor="me")
            dispatcher = Dispatcher(
                bridge, ["people0"], slots=1, zones=("default",), owner="me",
                stop=threading.Event(), tell=None,
            )  # fmt: skip
            for flow in dispatcher._flows.values():
                flow.open = True
            ready, _later = dispatcher._due(list(dispatcher._flows.values()))
            later = time.monotonic() + 3600
            dispatcher._held_back = {
                ("another", "lane/0"): later, ("another", "lane/1"): later
            }  # fmt: skip
            stuck = list(dispatcher._held_back)
            dispatcher._due = lambda _flows: ([*stuck, *ready], None)
            dispatcher._dispatch()
            assert dispatcher._slots.running
            assert dispatcher._slots.running <= set(ready)
            assert dispatcher.drain(60)


def test_a_process_with_too_many_lost_slots_drains_and_exits_75(tmp_path):
    systems = {f"hr{n}": SHORT for n in range(2)}
    with Workers(
        tmp_path, pairs=3, count=10, run=RUN, flow=OFTEN, systems=systems
    ) as world:
        world.agree()
        for pair in range(2):
            world.fault(f"hr{pair}", "sleeps")
        worker = world.start(slots=4)
        _out, err = worker.communicate(timeout=90)
        assert worker.returncode == 75
        assert "slots hold calls that never came back" in err
        # What moved was given back; what is stuck runs out by itself.
        assert {name for parts in world.held().values() for _f, name in parts} <= {
            name
            for (name,) in world.ask("SELECT part FROM partition WHERE kind='scan'")
        }


def test_a_stuck_lease_is_not_renewed_and_a_moving_one_is(tmp_path):
    world = World(tmp_path, count=1, extra={"ledger": {}})
    ledger = world.bridge.ledger
    request_pass(ledger, world.bridge.route("people"), auto=False, actor="me")
    flow_id = world.bridge.route("people").row.flow_id
    watchdog = Watchdog(grace=0.05)
    moving, stuck = Heart(), Heart()
    with beating(stuck):
        call = watchdog.arm(0.05, lambda: None, label="hr scan")
    until(lambda: call.stuck)
    keeper = world.bridge._keeper
    keeper._interval = 0.05
    lane = ledger.leases.claim(flow_id, "lane/0", "me", ttl=0.6)
    control = ledger.leases.claim(flow_id, "control", "me", ttl=0.6)
    with keeper.keep(lane, moving), keeper.keep(control, stuck):
        until(lambda: stuck.lost)
        until(lambda: due(world, "control"))
        assert not due(world, "lane/0")
    with ledger.read() as tx:
        error = tx.value("SELECT error FROM partition WHERE part='control'")
    assert error == "runtime.stuck"
    watchdog.disarm(call)
    assert stuck.stopped(60) is None
    watchdog.close()
    world.bridge.close()


def due(world, part):
    ready, _later = world.bridge.due(["people"])
    return part in {each.part for _flow, each in ready}


def test_work_without_calls_and_commits_is_given_up_after_its_patience():
    heart = Heart()
    until(lambda: heart.stopped(0.05) == "no call and no commit")
    heart.beat()
    assert heart.stopped(60) is None
    watchdog = Watchdog()
    with beating(heart):
        call = watchdog.arm(60, lambda: None, label="hr scan")
    until(lambda: heart.stopped(0.0) is None)  # inside a call its deadline counts
    watchdog.disarm(call)
    assert current() is None
    watchdog.close()


def test_a_lost_slot_comes_back_with_its_thread():
    release, slots = threading.Event(), Slots(2, patience=0.1)
    slots.start("stuck", release.wait)
    slots.start("quick", lambda: 5)
    (ended,) = slots.collect(10)
    assert (ended.key, ended.result, ended.error) == ("quick", 5, None)
    lost = until(slots.give_up)
    assert [each.key for each in lost] == ["stuck"]
    assert (slots.free, slots.lost, slots.running) == (1, 1, set())
    assert slots.join(0.5)  # nothing that moves is left
    release.set()
    until(lambda: [*slots.collect(0.1), *([] if slots.lost else [True])])
    assert (slots.free, slots.lost) == (2, 0)


def test_what_work_raises_is_told_to_the_owner():
    slots = Slots(1, patience=60)
    slots.start("bad", lambda: 1 / 0)
    (ended,) = slots.collect(10)
    assert isinstance(ended.error, ZeroDivisionError)


def test_a_person_who_waits_is_told_that_a_call_is_stuck(tmp_path):
    with Workers(
        tmp_path, count=10, run=RUN, flow=OFTEN, systems={"hr0": SHORT}
    ) as world:
        world.fault("hr0", "sleeps")
        with world.open() as bridge:
            bridge._pool._watchdog = Watchdog(grace=0.2)
            request_pass(bridge.ledger, bridge.route("people0"), auto=False, actor="me")
            until_control = time.monotonic() + 60
            while not any(d.kind == "scan" for _f, d in bridge.due(["people0"])[0]):
                run_slice(bridge, "people0", "control", owner="me")
                assert time.monotonic() < until_control
            errors = LocalRunner(bridge).drive(
                ["people0"], until=lambda: False, kinds=("scan",)
            )
            assert [error.code for error in errors] == ["runtime.stuck"]
            world.fault("hr0", "sleeps", on=False)
