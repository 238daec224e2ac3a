"""The outage in real time: pauses of 30 s, four workers, figures printed."""

from __future__ import annotations

import logging
import time

import pytest

from faults.world import World, wait_for

RATE = 40.0
OUTAGE = 50.0
log = logging.getLogger(__name__).warning


@pytest.mark.parametrize("how", ["refused", "blackhole", "503"])
@pytest.mark.parametrize("workers", [1, 4])
def test_an_outage_of_a_minute_27(tmp_path, monkeypatch, how, workers):
    monkeypatch.setenv("PLATFORM_TOKEN", "platform-token")
    world = World(tmp_path, people=6000, rate=RATE, workers=workers, deadline=10.0)
    try:
        world.serve()
        wait_for(lambda: world.arrived() >= 200)
        usual, spare_usual = rates(world, 10)
        world.down(how)
        before, spared, began = world.calls(), world.spared(), time.monotonic()
        opened = opening(world, began)
        wait_for(lambda: time.monotonic() - began >= OUTAGE)
        lasted = time.monotonic() - began
        calls, other = world.calls() - before, world.spared() - spared
        there = world.arrived()
        world.up()
        back = wait_for(lambda: world.arrived() > there + 1)
        log(
            "%s, %d workers: %.0f calls/s before, %d calls in %.0f s, breaker open "
            "after %d connections and requests, back %.1f s after repair, the other flow %.1f/s before "
            "and %.1f/s meanwhile",
            how, workers, usual, calls, lasted, opened - before, back, spare_usual,
            other / lasted,
        )  # fmt: skip
        assert calls <= 1.1 * usual * lasted
        assert back <= 35 + 5  # our limit, and what a busy machine may add
        assert other / lasted >= 0.9 * spare_usual
    finally:
        world.close()


def rates(world, seconds):
    calls, spared, began = world.calls(), world.spared(), time.monotonic()
    wait_for(lambda: time.monotonic() - began >= seconds)
    took = time.monotonic() - began
    return (world.calls() - calls) / took, (world.spared() - spared) / took


def opening(world, began):
    """Requests so far when every worker's breaker is open, or when time is up."""
    breakers = [bridge._pool.breaker("social") for bridge in world.bridges]
    wait_for(
        lambda: (
            all(breaker.state == "open" for breaker in breakers)
            or time.monotonic() - began > OUTAGE
        )
    )
    return world.calls()
