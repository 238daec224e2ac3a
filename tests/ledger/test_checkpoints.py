"""On SQLite builds with the WAL-reset race one connection at a time makes checkpoints (delivery 7)."""

from __future__ import annotations

import fcntl
import sqlite3
import stat
import threading

import pytest

from moatbridge.ledger import Ledger, checkpoints

GROWN = 64 << 10


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """As on a build with the race, whatever this one is; the log counts as grown early."""
    monkeypatch.setattr(checkpoints, "has_race", lambda _version: True)
    monkeypatch.setattr(checkpoints, "_GROWN", GROWN)
    made = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    yield made
    made.close()


def fill(ledger, times=1, size=3000):
    for _ in range(times):
        with ledger.write() as tx:
            tx.run("INSERT INTO audit_in(at, kind, body) VALUES(1, 'x', ?)", "y" * size)


def log(tmp_path):
    return (tmp_path / "ledger.db-wal").stat().st_size


def test_no_connection_makes_checkpoints_by_itself(ledger):
    with ledger.read() as tx:
        assert tx.value("PRAGMA wal_autocheckpoint") == 0


def test_builds_without_the_race_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "has_race", lambda _version: False)
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    with ledger.read() as tx:
        assert tx.value("PRAGMA wal_autocheckpoint") == 1000
    assert ledger.db._store._checkpoints is None
    ledger.close()


def test_a_grown_log_is_moved_and_starts_afresh(ledger, tmp_path):
    fill(ledger, checkpoints._EVERY * 4)
    assert log(tmp_path) < GROWN + checkpoints._EVERY * 20_000
    assert ledger.db._store._checkpoints.checkpoint() is True
    assert log(tmp_path) == 0
    gate = tmp_path / "ledger.db-checkpoint"
    assert stat.S_IMODE(gate.stat().st_mode) == 0o600
    raw = sqlite3.connect(tmp_path / "ledger.db")
    assert raw.execute("SELECT count(*) FROM audit_in").fetchone() == (
        checkpoints._EVERY * 4,
    )
    raw.close()


def test_while_another_process_moves_it_nobody_else_does(ledger, tmp_path):
    fill(ledger)
    with (tmp_path / "ledger.db-checkpoint").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        assert ledger.db._store._checkpoints.checkpoint() is False
    assert log(tmp_path) > 0
    assert ledger.db._store._checkpoints.checkpoint() is True


def test_a_reader_in_the_way_means_later(ledger, tmp_path):
    fill(ledger)
    with ledger.read() as tx:
        tx.value("SELECT count(*) FROM audit_in")
        fill(ledger)
        assert ledger.db._store._checkpoints.checkpoint() is False
    assert ledger.db._store._checkpoints.checkpoint() is True
    assert log(tmp_path) == 0


def test_writers_of_many_threads_lose_nothing_to_it(ledger, tmp_path):
    threads = [threading.Thread(target=fill, args=(ledger, 60)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ledger.read() as tx:
        assert tx.value("SELECT count(*) FROM audit_in") == 240
        assert tx.value("PRAGMA integrity_check") == "ok"
