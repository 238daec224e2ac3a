"""``moatbridge run``: once for schedulers, or until a signal."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from contextlib import closing, suppress

import pytest

TWO = """
[flows.people]
from = "hr/people"
to = "social/people"

[flows.broken]
from = "hr/people"
to = "gone/people"

[systems.gone]
adapter = "offline"
path = "{folder}/gone.db"
max_label = "confidential"

[streams."gone/people".translator]
entity = "Person"
fields = {{ userName = "uid" }}
"""


OFTEN = 'every = "1s"\nrescan = "1s"\n'
"""A flow that looks at its source all the time."""


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def test_once_waits_for_a_person_at_first_and_then_runs_by_itself(world):
    first = world.cli("run", "people", "--once")
    assert first.code == 10
    assert world.target() == {}
    assert world.cli(*world.next_command(first.out)).code == 0
    world.put(3, family="Married")
    again = world.cli("run", "people", "--once")
    assert again.code == 0
    assert world.target()["u0003"]["family"] == "Married"


def test_once_without_names_runs_every_flow_and_prints_json(world):
    world.applied()
    ran = world.cli("run", "--once", "--json")
    assert ran.code == 0
    assert [found["flow"] for found in ran.json] == ["people"]


@pytest.mark.parametrize(("gone", "code"), [(12, 11), (20, 12)])
def test_once_exits_with_the_guards_code_and_removes_nobody(world, gone, code):
    world.applied()
    world.gone(*range(gone))
    ran = world.cli("run", "--once")
    assert ran.code == code
    assert all(row["active"] is not False for row in world.target().values())


def test_once_says_that_items_wait(world):
    world.applied()
    world.put(4, family="line\nbreak")
    assert world.cli("run", "--once").code == 20


def test_once_says_try_again_when_a_system_is_down(world):
    world.applied()
    world.fault("hr", "down")
    assert world.cli("run", "--once").code == 75


def test_once_stops_at_its_time(world):
    world.fault("hr", "slow")
    begun = time.monotonic()
    process = world.process(
        "run", "--once", "--max-seconds", "0.5", stderr=subprocess.PIPE
    )
    until(lambda: time.monotonic() - begun > 2)
    world.fault("hr", "slow", on=False)
    _out, err = process.communicate(timeout=120)
    assert process.returncode in {10, 75}, err


def test_one_broken_flow_does_not_keep_the_others_from_running(world):
    world.applied()
    world.configure(
        flow="\n[flows.broken]"
        + TWO.partition("[flows.broken]")[2].format(folder=world.folder)
    )
    world.put(3, family="Married")
    world.fault("gone", "denied")
    ran = world.cli("run", "--once")
    assert ran.code == 2
    assert "offline.auth: broken: The server refuses this account." in ran.err
    assert world.target()["u0003"]["family"] == "Married"


def test_unknown_flows_and_a_time_without_once_are_usage_errors(world):
    assert world.cli("run", "nobody", "--once").code == 2
    assert world.cli("run", "--max-seconds", "3").code == 2


def test_serving_carries_changes_until_sigterm_drains_it(world):
    world.applied()
    world.configure(flow=OFTEN)
    with world.process("run", stderr=subprocess.PIPE, text=True) as process:
        try:
            assert "serving people" in process.stderr.readline()
            world.put(7, family="Married")
            until(lambda: world.target()["u0007"]["family"] == "Married")
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
            assert "draining" in process.stderr.read()
        finally:
            process.kill()
    status = world.cli("status", "--json").json
    assert {part["owner"] for part in status["flows"][0]["partitions"]} == {None}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_second_signal_ends_it_at_once(world, number, code):
    world.applied()
    world.configure(flow=OFTEN)
    world.fault("hr", "slow")
    with world.process("run", stderr=subprocess.PIPE, text=True) as process:
        try:
            assert "serving" in process.stderr.readline()
            until(
                lambda: any(
                    p["owner"]
                    for p in world.cli("status", "--json").json["flows"][0][
                        "partitions"
                    ]
                )
            )
            process.send_signal(number)
            assert "draining" in process.stderr.readline()
            process.send_signal(number)
            assert process.wait(timeout=60) == code
        finally:
            process.kill()
    world.fault("hr", "slow", on=False)


def test_serving_waits_for_a_system_that_is_down(world):
    world.applied()
    world.configure(flow=OFTEN)
    world.fault("social", "down")
    with world.process("run", stderr=subprocess.PIPE, text=True) as process:
        try:
            assert "serving" in process.stderr.readline()
            assert (
                "offline.down: people: The server does not answer."
                in process.stderr.readline()
            )
            world.fault("social", "down", on=False)
            world.put(7, family="Married")
            until(lambda: world.target()["u0007"]["family"] == "Married")
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0


def test_serving_ends_when_the_configuration_is_wrong(world):
    world.fault("hr", "denied")
    ran = world.process("run", stderr=subprocess.PIPE, text=True)
    _out, err = ran.communicate(timeout=120)
    assert ran.returncode == 2
    assert "offline.auth" in err
    assert "Traceback" not in err


def owned(ledger):
    """Whether somebody works on a partition."""
    with closing(sqlite3.connect(ledger, timeout=30)) as db:
        try:
            ask = "SELECT 1 FROM partition WHERE owner IS NOT NULL"
            return db.execute(ask).fetchone()
        except sqlite3.OperationalError:  # its tables are being made
            return None


def test_an_interrupted_plan_goes_on(world):
    world.fault("hr", "slow")
    process = world.process("plan", "people", stderr=subprocess.PIPE, text=True)
    ledger = world.folder / "ledger.db"
    until(ledger.exists)
    until(lambda: owned(ledger))  # looked at directly: `status` takes its time
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):  # time to hear it before all is done
        process.wait(2)
    world.fault("hr", "slow", on=False)
    _out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Interrupted; run the same command again" in err
    assert (world.folder / "ledger.db").exists()
    assert world.cli("plan", "people").code == 10
