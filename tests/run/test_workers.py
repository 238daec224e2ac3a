"""Workers that are killed, frozen out, drained and restarted (scale 25, 26)."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter

import pytest

from moatbridge.run import LocalRunner
from run.world import Workers, until

TTL = 2.0
FAST = {"ttl": "2s", "slice": "5s", "drain": "20s"}
OFTEN = {"rescan": "1h", "every": "300ms"}


def pid_of(owner):
    return int(owner.rpartition(":")[2])


@pytest.fixture
def busy(tmp_path):
    """Four pairs whose targets are slow, agreed to, with work for a while."""
    with Workers(tmp_path, pairs=4, count=5, run=FAST, flow=OFTEN) as world:
        world.agree()
        for pair in range(4):
            world.fault(f"social{pair}", "slow")
        yield world


def delivered(world, count):
    return all(len(world.there(pair)) == count for pair in range(world.pairs))


def unharmed(world, count):
    for pair in range(world.pairs):
        creates = Counter(e.id for e in world.effects(pair) if e.op == "create")
        assert len(world.there(pair)) == count
        assert set(creates.values()) == {1}
        assert max(Counter(e.key for e in world.effects(pair)).values()) == 1


def test_a_killed_workers_partitions_are_taken_over_within_its_lease_time(
    busy, capsys, record_property
):
    for _ in range(4):
        busy.start()
    until(lambda: len(busy.workers()) == 4)
    for pair in range(4):
        busy.put(range(5, 400), pair=pair)
    victim, parts = until(
        lambda: next(
            ((o, p) for o, p in busy.held().items() if any("lane" in n for _f, n in p)),
            None,
        )
    )
    os.kill(pid_of(victim), signal.SIGKILL)
    killed = time.monotonic()
    parts = {part for part in parts if "lane" in part[1]}

    def taken():
        others = set().union(*(p for o, p in busy.held().items() if o != victim))
        return parts <= others

    until(taken, seconds=30, look=0.02)
    seconds = time.monotonic() - killed
    record_property("takeover_seconds", round(seconds, 2))
    with capsys.disabled():
        sys.stdout.write(f"\ntakeover after kill -9: {seconds:.2f} s, ttl {TTL:g} s\n")
    assert seconds < TTL + 20  # at most ttl + 1 on a machine of its own
    until(lambda: delivered(busy, 400), seconds=90)
    busy.stop()
    unharmed(busy, 400)


def test_rolling_restarts_under_load_lose_and_double_nothing(busy):
    for _ in range(2):
        busy.start(slots=3)
    until(lambda: len(busy.workers()) == 2)
    for pair in range(4):
        busy.put(range(5, 300), pair=pair)
    for old in list(busy.processes):
        until(busy.held)
        busy.start(slots=3)
        old.send_signal(signal.SIGTERM)
        assert old.wait(timeout=60) == 0
        gone = {o for o in busy.held() if pid_of(o) == old.pid}
        assert gone == set()  # given back, not left to run out
    until(lambda: delivered(busy, 300), seconds=90)
    busy.stop()
    assert busy.held() == {}
    unharmed(busy, 300)


def test_after_a_clean_stop_another_worker_goes_on_at_once(busy):
    slow = json.loads((busy.folder / "settings.json").read_text())
    slow["run"]["ttl"] = "10m"  # far longer than this test may take
    (busy.folder / "settings.json").write_text(json.dumps(slow))
    first = busy.start()
    for pair in range(4):
        busy.put(range(5, 200), pair=pair)
    until(lambda: any("lane" in n for p in busy.held().values() for _f, n in p))
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=60) == 0
    assert busy.held() == {}
    busy.start()
    until(lambda: delivered(busy, 200), seconds=90)


def test_what_does_not_end_within_the_drain_loses_its_leases_by_force(tmp_path):
    run = {"ttl": "10m", "drain": "1s"}
    flow = {"rescan": "300ms", "every": "300ms"}
    with Workers(tmp_path, count=5, run=run, flow=flow) as world:
        world.agree()
        world.fault("hr0", "sleeps")
        worker = world.start()
        until(lambda: any("/" in n for p in world.held().values() for _f, n in p))
        worker.send_signal(signal.SIGTERM)
        _out, err = worker.communicate(timeout=60)
        assert worker.returncode == 0
        assert "did not end in time" in err
        assert world.held() == {}
        world.fault("hr0", "sleeps", on=False)
        done = len([s for _f, s in world.passes() if s == "done"])
        world.start()
        until(lambda: len([s for _f, s in world.passes() if s == "done"]) > done)


def test_an_embedded_runner_drains_and_leaves_the_bridge_usable(tmp_path):
    world = Workers(tmp_path, count=5, flow=OFTEN)
    world.agree()
    with world.open() as bridge:
        runner = LocalRunner(bridge, slots=3)
        runner.start(["people0"])
        world.put([7])
        until(lambda: "u00007" in world.there())
        runner.stop()
        assert world.held() == {}
        world.put([8])
        assert bridge.run("people0").state == "done"
        assert "u00008" in world.there()
