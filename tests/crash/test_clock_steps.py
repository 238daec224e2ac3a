"""The wall clock is set, or the host is booted again, in the middle of the work (scale 8)."""

from __future__ import annotations

import time

import pytest

from flow.stillness import StillWorld
from moatbridge.ledger import transactions
from moatbridge.resilience import crash
from moatbridge.testing import FlakyAdapter, MemoryAdapter

HOUR = 3600.0
DAY = 24 * HOUR


class Killed(BaseException):
    """What a SIGKILL is to one thread."""


class Faults:
    def __init__(self):
        self.coming = []

    def next(self, method, possible):
        fault = self.coming.pop(0) if method == "write" and self.coming else None
        return fault if fault in possible else None


class Clocks:
    """The host's clocks: the wall clock may be set, the one since boot cannot."""

    def __init__(self, monkeypatch):
        self.ahead = 0.0
        self.boots = 1
        self.booted = 0
        told, since_boot = time.time, transactions.boot_clock
        monkeypatch.setattr(time, "time", lambda: told() + self.ahead)
        monkeypatch.setattr(
            transactions, "boot_clock", lambda: since_boot() - self.booted
        )
        monkeypatch.setattr(transactions, "boot_id", lambda: f"boot {self.boots}")
        self._since_boot = since_boot

    def boot(self):
        """The clock since boot begins again, and says so."""
        self.boots += 1
        self.booted = self._since_boot()


@pytest.fixture
def clocks(monkeypatch):
    return Clocks(monkeypatch)


@pytest.fixture
def worlds(tmp_path, clocks):
    made = []

    def make(**settings):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(StillWorld(folder, **{"count": 30, "parcel": 5, **settings}))
        return made[-1]

    yield make
    crash.install(None)
    for world in made:
        world.bridge.close()


def due(world):
    """No partition waits for a moment of wall time."""
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE partition SET not_before=0")


def at(point, nth, act):
    """Do something when a crash point is passed for the n-th time."""
    passed = []

    def hook(name):
        if name == point:
            passed.append(name)
            if len(passed) == nth:
                act()

    crash.install(hook)
    return passed


@pytest.mark.parametrize("step", [-HOUR, HOUR])
@pytest.mark.parametrize(
    "point", ["stage.in", "admit.in", "inflight.done", "answer.read", "settle.in"]
)
def test_a_step_of_the_wall_clock_loses_and_doubles_nothing(
    point, step, worlds, clocks
):
    world = worlds()
    passed = at(point, 1, lambda: setattr(clocks, "ahead", step))
    world.go()
    assert passed
    clocks.ahead += DAY  # whatever waits for a moment of wall time, waits no longer
    world.go()
    assert world.same()
    assert world.social.doubled() == []
    assert len(world.social.effects()) == 30
    assert world.value("SELECT count(*) FROM parcel WHERE state<10") == 0


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_a_step_of_the_wall_clock_neither_ends_nor_prolongs_a_lease(
    step, worlds, clocks
):
    world = worlds()
    world.go()
    leases, flow_id = (
        world.bridge.ledger.leases,
        world.bridge.route("people").row.flow_id,
    )
    due(world)
    lease = leases.claim(flow_id, "lane/0", "a", ttl=30.0)
    clocks.ahead = step
    assert leases.claim(flow_id, "lane/0", "b") is None
    assert leases.renew([lease]) == []
    clocks.booted = -31_000  # 31 seconds go by
    due(world)
    assert leases.claim(flow_id, "lane/0", "b") is not None


@pytest.mark.parametrize("point", ["stage.done", "inflight.done", "answer.read"])
def test_after_a_boot_work_goes_on_at_once_and_nothing_is_doubled(
    point, worlds, clocks
):
    world = worlds()

    def die():
        raise Killed

    at(point, 1, die)
    with pytest.raises(Killed):
        world.go()
    crash.install(None)
    clocks.boot()
    world.bridge.ledger.close()
    old, world.bridge = world.bridge, world.open()
    old.close()
    world.go()  # no lease of the time before is waited for
    clocks.ahead += 10.0
    world.drain("lane", "control")
    assert world.same()
    assert world.social.doubled() == []
    assert len(world.social.effects()) == 30


def test_a_retry_waits_for_wall_time_and_a_step_back_only_delays_it(worlds, clocks):
    faults = Faults()
    target = FlakyAdapter.of(MemoryAdapter, faults)
    world = worlds(count=5, target=target)
    faults.coming = ["not_applied"] * 40
    world.go()
    assert set(world.states()) == {"RETRY"}
    faults.coming.clear()
    clocks.ahead = -HOUR
    world.drain("lane")
    assert set(world.states()) == {"RETRY"}, "nothing is lost while the clock is wrong"
    clocks.ahead = HOUR
    due(world)
    world.drain("lane", "control")
    assert set(world.states()) == {"DONE"}
    assert world.same()
    assert len(world.social.effects()) == 5


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_an_undo_window_of_days_is_not_ended_by_a_step_of_an_hour(step, worlds, clocks):
    world = worlds(
        count=5, flow={"deletes": "disable_then_remove", "undo_window": "7d"}
    )
    world.go()
    world.remove(1)
    world.go()
    assert world.there()["u0001"]["active"] is False
    clocks.ahead = step
    world.go()
    assert "u0001" in world.there()
    clocks.ahead = step + 8 * DAY
    world.go()
    assert "u0001" not in world.there()
    assert len(world.there()) == 4
