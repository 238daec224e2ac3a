"""Worker processes of one host, and the process that keeps them alive (scale 24)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from moatbridge.run.supervisor import Supervisor, in_worker
from run.world import TESTS, until

SUPERVISE = """
import signal, sys
from moatbridge.cli.serving import counted_signals
from moatbridge.run.supervisor import Supervisor
from run import test_supervisor
if __name__ == "__main__":
    folder = sys.argv[1]
    with counted_signals(lambda seen: None) as seen:
        made = Supervisor(test_supervisor.linger, (folder,), processes=2, tell=print)
        sys.exit(made.run(seen, drain=20))
"""


# --- what workers do: looked up by name in the spawned process -------------------------


def crash(folder):
    (Path(folder) / str(os.getpid())).touch()
    os._exit(9)


def refuse(_folder):
    sys.exit(2)


def once_75(folder):
    """The first life asks to be replaced after a while; the second lingers."""
    first = Path(folder) / "first"
    if first.exists():
        linger(folder)
    first.touch()
    time.sleep(2.2)
    sys.exit(75)


def linger(folder):
    in_worker()
    ended, seen = threading.Event(), []

    def end(number, _frame):
        seen.append(number)
        ended.set()
        if len(seen) > 1:
            (Path(folder) / f"twice-{os.getpid()}").touch()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    (Path(folder) / f"up-{os.getpid()}").touch()
    while not ended.wait(0.05):
        pass
    (Path(folder) / f"drained-{os.getpid()}").touch()
    sys.exit(0)


def stubborn(folder):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (Path(folder) / f"up-{os.getpid()}").touch()
    time.sleep(600)


def lives(folder, what="up"):
    return {int(path.name.partition("-")[2]) for path in folder.glob(f"{what}-*")}


class Supervised:
    """A supervisor on a thread; `signals` are what the process would have received."""

    def __init__(self, target, folder, *, processes=1, drain=20.0):
        self.said, self.signals, self.code = [], [], None
        self.supervisor = Supervisor(
            target, (str(folder),), processes=processes, tell=self.said.append
        )
        self._thread = threading.Thread(target=self._run, args=(drain,))
        self._thread.start()

    def _run(self, drain):
        self.code = self.supervisor.run(self.signals, drain=drain)

    def ended(self):
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.code

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.signals += [signal.SIGTERM, signal.SIGTERM]
        self.ended()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("moatbridge.run.supervisor._FIRST_WAIT", 0.05)
    monkeypatch.setattr("moatbridge.run.supervisor._LONGEST_WAIT", 0.2)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))


def test_five_crashes_in_a_minute_stop_a_worker_and_are_said(tmp_path):
    with Supervised(crash, tmp_path) as supervised:
        assert supervised.ended() == 70
        assert len(list(tmp_path.iterdir())) == 5
        assert "ended with code 9; again in" in supervised.said[0]
        assert "5 times within a minute; it is left stopped" in supervised.said[-1]


def test_a_worker_that_cannot_run_as_configured_is_not_started_again(tmp_path):
    with Supervised(refuse, tmp_path, processes=2) as supervised:
        assert supervised.ended() == 2
        assert supervised.said == []


def test_exit_75_is_replaced_at_once(tmp_path):
    with Supervised(once_75, tmp_path) as supervised:
        until(lambda: lives(tmp_path))
        assert supervised.said == ["worker 1 ended (75) and is started again"]


def test_a_killed_worker_is_started_again(tmp_path):
    with Supervised(linger, tmp_path, processes=2) as supervised:
        until(lambda: len(lives(tmp_path)) == 2)
        victim = min(lives(tmp_path))
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(lives(tmp_path)) == 3)
        assert any("killed by signal 9" in words for words in supervised.said)


def test_the_first_signal_drains_all_workers(tmp_path):
    with Supervised(linger, tmp_path, processes=2) as supervised:
        until(lambda: len(lives(tmp_path)) == 2)
        supervised.signals.append(signal.SIGTERM)
        assert supervised.ended() == 0
        assert lives(tmp_path, "drained") == lives(tmp_path)


def test_the_second_signal_ends_them_at_once(tmp_path):
    with Supervised(stubborn, tmp_path) as supervised:
        until(lambda: lives(tmp_path))
        supervised.signals += [signal.SIGINT, signal.SIGINT]
        assert supervised.ended() == 128 + signal.SIGINT


def test_workers_end_in_order_when_their_supervisor_dies(tmp_path):
    script = tmp_path / "supervise.py"
    script.write_text(SUPERVISE)
    with subprocess.Popen([sys.executable, str(script), str(tmp_path)]) as supervisor:
        until(lambda: len(lives(tmp_path)) == 2)
        supervisor.kill()
        supervisor.wait(timeout=30)
    until(lambda: lives(tmp_path, "drained") == lives(tmp_path))


def test_ctrl_c_reaches_workers_once_through_their_supervisor(tmp_path):
    script = tmp_path / "supervise.py"
    script.write_text(SUPERVISE)
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], start_new_session=True
    ) as supervisor:
        until(lambda: len(lives(tmp_path)) == 2)
        os.killpg(supervisor.pid, signal.SIGINT)  # as a terminal does
        assert supervisor.wait(timeout=60) == 0
    assert lives(tmp_path, "drained") == lives(tmp_path)
    assert lives(tmp_path, "twice") == set()
