"""``moatbridge worker``: any number of processes on one ledger; and what `status` says."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time

import pytest

OFTEN = 'every = "1s"\nrescan = "1s"\n'


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def ledger(world, sql, *params):
    with sqlite3.connect(world.folder / "ledger.db", timeout=30) as db:
        found = db.execute(sql, params).fetchall()
    db.close()
    return found


def pids(world):
    rows = ledger(world, "SELECT owner FROM worker")
    return {int(owner.rpartition(":")[2]) for (owner,) in rows}


@pytest.fixture
def working(world):
    world.applied()
    world.configure(flow=OFTEN)
    return world


def started(world, *options):
    return world.process("worker", *options, stderr=subprocess.PIPE, text=True)


def test_a_worker_carries_changes_until_a_signal_drains_it(working):
    with started(working, "people", "--slots", "2") as process:
        try:
            assert "serving people" in process.stderr.readline()
            working.put(7, family="Married")
            until(lambda: working.target()["u0007"]["family"] == "Married")
            status = working.cli("status")
            assert f":{process.pid}: zones default" in status.out
            (worker,) = working.cli("status", "--json").json["workers"]
            assert (worker["slots"], worker["lost"], worker["alive"]) == (2, 0, True)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
    assert working.cli("status", "--json").json["workers"] == []


def test_several_processes_are_supervised_and_share_the_work(working):
    with started(working, "--processes", "2") as process:
        try:
            assert "supervising 2 workers" in process.stderr.readline()
            first = until(lambda: len(pids(working)) == 2 and pids(working))
            assert process.pid not in first
            os.kill(min(first), signal.SIGKILL)
            until(lambda: len(pids(working) - first) == 1)
            working.put(7, family="Married")
            until(lambda: working.target()["u0007"]["family"] == "Married")
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0
        finally:
            process.send_signal(signal.SIGTERM)
    owners = ledger(working, "SELECT owner FROM partition WHERE owner IS NOT NULL")
    assert [o for (o,) in owners if int(o.rpartition(":")[2]) != min(first)] == []


def test_workers_that_cannot_run_as_configured_end_with_2(working):
    working.fault("hr", "denied")
    ran = started(working, "--processes", "2")
    _out, err = ran.communicate(timeout=60)
    assert ran.returncode == 2
    assert "offline.auth" in err
    assert "Traceback" not in err


def test_a_zone_without_work_and_unknown_flows_are_refused(working):
    ran = working.cli("worker", "--zone", "moon")
    assert ran.code == 2
    assert "run.zone" in ran.err
    assert "Zones of systems: default" in ran.err
    assert working.cli("worker", "nobody").code == 2


def late(world, **columns):
    """As if nobody had served any partition for ten minutes."""
    sets = "".join(f", {name}=?" for name in columns)
    with sqlite3.connect(world.folder / "ledger.db", timeout=30) as db:
        db.execute(
            "UPDATE partition SET served_at=served_at-600, not_before=0, owner=NULL"
            + sets,
            tuple(columns.values()),
        )
        db.execute("UPDATE run SET created=created-600")  # and never served since then
    db.close()


def test_status_alarms_when_nobody_takes_what_is_due(world):
    world.fault("hr", "breaks")
    world.cli("plan", "people")
    late(world)
    found = world.cli("status", "--json").json
    assert any("does a worker run?" in alarm for alarm in found["alarms"])
    assert "ALARM: flow people, partition" in world.cli("status").out
    parts = found["flows"][0]["partitions"]
    assert all(part["late"] > 500 and part["zone"] == "default" for part in parts)


def test_status_names_the_zone_that_no_worker_serves(world):
    world.fault("hr", "breaks")
    world.cli("plan", "people")
    late(world)
    with sqlite3.connect(world.folder / "ledger.db", timeout=30) as db:
        db.execute(
            "INSERT INTO worker VALUES('default','far:1','[\"plant\"]',8,0,2,?,?)",
            (time.time(), time.time()),
        )
    db.close()
    alarms = world.cli("status", "--json").json["alarms"]
    assert any("no worker serves zone default" in alarm for alarm in alarms)
    assert "worker far:1: 2 of 8 slots are lost" in alarms


def test_status_alarms_for_what_is_blocked_or_stuck(world):
    world.fault("hr", "breaks")
    world.cli("plan", "people")
    late(world, state="blocked", error="hr.broke", tries=20)
    out = world.cli("status").out
    assert "blocked after 20 tries (hr.broke)" in out
    assert "moatbridge run people --once" in out
    late(world, state="ready", error="runtime.stuck")
    assert "a call did not come back after its deadline" in world.cli("status").out


def test_status_tells_how_long_changes_wait_in_their_lane(world):
    world.applied()
    world.put(3, family="Married")
    world.cli("kill", "all", "a drill")
    assert world.cli("run", "people", "--once").code == 75
    lane = next(
        part
        for part in world.cli("status", "--json").json["flows"][0]["partitions"]
        if part["kind"] == "lane"
    )
    assert 0 <= lane["lag"] < 600
    assert "oldest change waits for" in world.cli("status").out
