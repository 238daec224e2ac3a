"""The store's clock decides, never a worker's (scale 8)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.ground import Ground
from moatbridge.ledger import clock
from moatbridge.ledger.clock import StoreClock

TESTS = str(Path(__file__).parents[1])
MOMENTS = st.floats(0, 1e6, allow_nan=False)
WAITS = st.floats(0, 100, allow_nan=False)


@given(MOMENTS, st.lists(st.tuples(WAITS, WAITS, WAITS), min_size=1, max_size=20))
def test_the_estimate_is_always_possible(ahead, samples):
    """It lies between what the last answer allows, whoever slept where."""
    followed, here = StoreClock(), 0.0
    for before, there, back in samples:
        asked = here + before
        told = asked + there + ahead
        here = asked + there + back
        followed.sample(asked, told, here)
        assert told - here - 1e-6 <= followed._ahead <= told - asked + 1e-6
        assert followed._ahead <= ahead + sum(t for _b, t, _k in samples) + 1e-6


def test_a_thread_that_slept_before_it_read_the_answer_disturbs_nothing():
    followed = StoreClock()
    followed.sample(10.0, 1000.0, 10.001)
    good = followed._ahead
    followed.sample(20.0, 1010.0, 25.0)  # five seconds late
    assert followed._ahead == good


def test_a_server_whose_clock_was_set_is_followed():
    followed = StoreClock()
    followed.sample(10.0, 1000.0, 10.001)
    for hour in (3600.0, -3600.0):
        followed.sample(20.0, 1010.0 + hour, 20.001)
        assert followed._ahead == pytest.approx(990.0 + hour, abs=0.01)


def test_time_goes_on_between_two_answers(monkeypatch):
    followed = StoreClock()
    monkeypatch.setattr(clock, "boot_seconds", lambda: 17.0)
    followed.sample(10.0, 1000.0, 10.0)
    assert followed.now() == 1007.0


def test_the_ledgers_time_is_the_same_for_all_who_share_it(ground):
    other = ground.open()
    with ground.ledger.write() as tx:
        mine = tx.now()
    assert abs(mine - other.now()) < 5
    assert abs(mine - ground.ledger.now()) < 5
    other.close()


SKEWED = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from servers.places import place_for
from pathlib import Path
from moatbridge.ledger import Ledger
place = place_for(Path(sys.argv[2]))
ledger = Ledger(place.url, password=place.password)
stolen = ledger.leases.claim(1, "lane/0", "thief")
control = ledger.leases.claim(1, "control", "skewed")
ready, later = ledger.leases.due([1])
ledger.leases.release(control, wait=600.0)
lease = ledger.leases.claim(1, "free", "skewed")
print(json.dumps({
    "clock": time.time(), "ledger": ledger.now(), "stolen": stolen is not None,
    "ready": [d.part for d in ready], "later": later, "claimed": lease is not None,
}))
"""


def faketime():
    found = list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    assert found, "libfaketime is missing; `scripts/servers test` installs it"
    return str(found[0])


@pytest.mark.parametrize("minutes", [10, -10])
def test_a_worker_whose_clock_is_wrong_neither_takes_nor_prolongs_nor_delays(
    ledger_server, tmp_path, minutes
):
    """A real process under a wrong clock, and one under the right clock beside it."""
    place = ledger_server.place()
    (tmp_path / "ledger.url").write_text(place.url)
    ground = Ground(tmp_path, place)
    with ground.ledger.write() as tx:
        ground.ledger.leases.add(tx, ground.row.flow_id, "free", "lane")
    assert ground.row.flow_id == 1
    environment = {
        **os.environ,
        "LD_PRELOAD": faketime(),
        "FAKETIME": f"{minutes:+d}m",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    ran = subprocess.run(
        [sys.executable, "-c", SKEWED, TESTS, str(tmp_path)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    now = ground.ledger.now()
    assert abs(told["clock"] - time.time() - minutes * 60) < 60, "its clock was wrong"
    assert abs(told["ledger"] - now) < 60, "the ledger's time was right there"
    assert told["stolen"] is False
    assert told["ready"] == ["free"]
    assert told["claimed"] is True
    # What it wrote means the same to everybody else.
    due = ground.value("SELECT not_before FROM partition WHERE part='control'")
    assert abs(due - (now + 600)) < 60
    with ground.ledger.read() as tx:
        left = (
            tx.value("SELECT lease_until FROM partition WHERE part='free'")
            - tx.lease_clock()[0]
        )
    assert left <= 30_000
    assert ground.claim("free", "b") is None or left < 0
    ground.close()


def test_a_wrong_clock_here_changes_nothing_on_a_server(
    ledger_server, tmp_path, monkeypatch
):
    """The same without another process: our wall clock is set while we work."""
    ground = Ground(tmp_path, ledger_server.place())
    before = ground.ledger.now()
    for skew in (600.0, -600.0):
        monkeypatch.setattr(clock.time, "time", lambda skew=skew: before + skew)
        assert abs(ground.ledger.now() - before) < 60
        assert ground.claim(owner="b") is None
        with ground.ledger.step(ground.lease):
            pass
        ground.ledger.leases.release(ground.lease, wait=100.0)
        _ready, later = ground.ledger.leases.due([ground.row.flow_id])
        assert 40 < later <= 100
        with ground.ledger.write() as tx:
            ground.ledger.leases.wake(tx, ground.row.flow_id, "lane")
        ground.lease = ground.claim()
    ground.close()
