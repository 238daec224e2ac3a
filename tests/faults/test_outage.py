"""A platform goes away in the middle of a run, and comes back."""

from __future__ import annotations

import time

import pytest

from faults.world import World, wait_for
from moatbridge.flow import calling, ending, policies
from moatbridge.ledger import settlement
from moatbridge.resilience.breaker import Breaker
from moatbridge.resilience.retry import Retry

PEOPLE = 200
RATE = 60.0
PAUSE = 1.0
OUTAGE = 2.5


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """The same, thirty times as fast: pauses of a second. Torture has the real ones."""
    monkeypatch.setitem(Breaker.__init__.__kwdefaults__, "pause", PAUSE)
    monkeypatch.setitem(Retry.__init__.__kwdefaults__, "first_wait", 0.05)
    monkeypatch.setattr(calling, "PAUSE", PAUSE)
    monkeypatch.setattr(policies, "SOON", PAUSE)
    monkeypatch.setattr(settlement, "FIRST_RETRY", 2 * PAUSE)
    monkeypatch.setattr(ending, "_FIRST_BACKOFF", 0.5)
    monkeypatch.setenv("PLATFORM_TOKEN", "platform-token")


@pytest.fixture
def worlds(tmp_path):
    made = []

    def make(**more):
        made.append(World(tmp_path, **more))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.mark.parametrize("how", ["refused", "blackhole", "503"])
def test_an_outage_costs_few_calls_and_no_other_flow_and_ends_by_itself_27(worlds, how):
    deadline = 1.0 if how == "blackhole" else 30.0
    world = worlds(people=PEOPLE, rate=RATE, deadline=deadline)
    world.serve()
    wait_for(lambda: world.arrived() >= 20)
    world.down(how)
    before, spared, began = world.calls(), world.spared(), time.monotonic()
    wait_for(lambda: time.monotonic() - began >= OUTAGE)
    calls, others = world.calls() - before, world.spared() - spared
    lasted = time.monotonic() - began
    there = world.arrived()
    world.up()
    # What was out when it began (a call is up to 20 requests, in two lanes), what
    # opened the breaker, and three probes for each pause since.
    assert calls <= 2 * 20 + 20 + 3 * (lasted / PAUSE + 1)
    assert calls <= 1.1 * RATE * lasted
    assert others >= min(PEOPLE - spared, 0.3 * RATE * OUTAGE)
    wait_for(lambda: world.arrived() > there)
    wait_for(lambda: world.arrived() == world.spared() == PEOPLE)
