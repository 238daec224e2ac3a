"""Whatever waits for another try says when that is, and what to type."""

from __future__ import annotations

import json
import re
import time

import pytest

from moatbridge.cli.show_status import due, try_lines
from moatbridge.ledger.tries import NextTry

WORDS = re.compile(r"3 changes wait.*; next try at \d\d:\d\d:\d\d UTC, in \d+ min")
COMMAND = "`moatbridge run people --once` then, or `moatbridge run people` keeps trying"


@pytest.fixture
def busy(make_world):
    """A target that puts off the three changes that are agreed to."""
    world = make_world(count=3)
    plan = world.cli("plan", "people", "--json").json
    world.fault("social", "busy")
    return world, ("apply", "people", plan["digest"], "--confirm", 3)


def test_apply_run_and_status_say_when_the_next_try_is_due(busy):
    world, command = busy
    told = world.cli(*command)
    assert told.code == 75
    assert WORDS.search(told.out + told.err), told
    assert COMMAND in told.out + told.err
    began = time.monotonic()
    again = world.cli("run", "people", "--once", "--json")
    assert time.monotonic() - began < 120  # it does not sit out the pause
    assert again.code == 75
    found = again.json[0].get("error", again.json[0])["next_try"]
    assert found["changes"] == 3
    assert 0 <= found["seconds"] <= 3600
    status = world.cli("status")
    assert re.search(r"next try  3 changes wait", status.out), status.out
    as_json = world.cli("status", "--json").json
    waits = as_json["flows"][0]["next_try"]
    assert waits["changes"] == 3
    assert waits["at"] == pytest.approx(as_json["now"] + waits["seconds"], abs=5)


def test_apply_as_json_says_it_too(busy):
    world, command = busy
    told = world.cli(*command, "--json")
    last = json.loads(told.out or told.err.splitlines()[-1])
    assert last.get("error", last)["next_try"]["changes"] == 3


def test_a_killed_flow_says_that_it_waits_for_the_switch(world):
    world.cli("plan", "people")
    world.cli("kill", "system:social", "a drill")
    told = world.cli("apply", "people", "--confirm", 30)
    assert told.code == 75
    assert "next try" not in told.out + told.err
    out = world.cli("status").out
    assert "30 changes wait until sending is switched on again (system:social)" in out


def test_nothing_is_said_where_nothing_waits(world):
    world.applied()
    assert "next try" not in world.cli("status").out
    assert world.cli("status", "--json").json["flows"][0]["next_try"] is None


def test_a_blocked_lane_waits_for_somebody():
    lines = list(try_lines("people", NextTry(5, None, 0.0, blocked=5)))
    assert len(lines) == 1
    assert lines[0].startswith("5 changes wait until somebody sees to it")


def test_far_away_has_a_day():
    assert due(0.0, 40.0) == "at 00:00:00 UTC, in 40 s"
    assert due(2 * 86400.0, 2 * 86400.0) == "at 1970-01-03 00:00:00 UTC, in 2 d"
    assert due(10.0, 0.2) == "now"
