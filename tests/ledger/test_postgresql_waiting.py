"""Who waits for whom on PostgreSQL: exclusion, snapshots, and rows that exclude each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ledger.on_postgresql import number, opened, set_number
from moatbridge.errors import NotApplied
from moatbridge.ledger import postgresql_engine


@pytest.fixture
def place(ledger_server):
    return ledger_server.place()


def test_read_modify_write_of_many_ledgers_loses_nothing(place):
    """What SQLite's BEGIN IMMEDIATE promised: one writer at a time."""
    ledgers = [opened(place) for _ in range(3)]

    def count(ledger):
        for _ in range(25):
            with ledger.write() as tx:
                found = int(tx.value("SELECT value FROM meta WHERE name='next_link'"))
                set_number(tx, found + 1)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(count, ledgers * 2))
    assert number(ledgers[0]) == str(1 + 6 * 25)
    for ledger in ledgers:
        ledger.close()


def test_a_statement_on_one_row_waits_for_no_other_writer(ground):
    other = ground.open()
    with ground.ledger.write() as tx:
        set_number(tx, 9)
        lease = other.leases.claim(ground.row.flow_id, "control", "b")
        assert other.leases.renew([lease]) == []
        other.leases.release(lease)
    other.close()


def test_renewing_passes_over_a_row_that_is_being_changed(ground):
    other = ground.open()
    with ground.ledger.step(ground.lease):
        assert other.leases.renew([ground.lease]) == []
    other.close()


def test_two_ledgers_in_one_database_do_not_wait_for_each_other(ledger_server):
    one, two = opened(ledger_server.place()), opened(ledger_server.place())
    assert one.ledger_id != two.ledger_id
    with one.write() as tx:
        set_number(tx, 5)
        with two.write() as other:
            set_number(other, 6)
    assert (number(one), number(two)) == ("5", "6")
    one.close()
    two.close()


def test_a_read_is_one_snapshot_and_writes_nothing(place):
    ledger = opened(place)
    with ledger.read() as tx:
        before = tx.value("SELECT value FROM meta WHERE name='next_link'")
        with ledger.write() as other:
            set_number(other, 77)
        assert tx.value("SELECT value FROM meta WHERE name='next_link'") == before
    with pytest.raises(NotApplied, match="ReadOnly"), ledger.read() as tx:
        set_number(tx, 78)
    assert number(ledger) == "77"
    ledger.close()


def test_a_process_that_froze_in_a_transaction_stops_the_others_for_a_moment_only(
    place, monkeypatch
):
    session = postgresql_engine._SESSION.replace(
        "session_timeout=5000", "session_timeout=300"
    )
    assert session != postgresql_engine._SESSION
    monkeypatch.setattr(postgresql_engine, "_SESSION", session)
    frozen = opened(place)
    monkeypatch.undo()
    other = opened(place)

    def freeze(tx):
        set_number(tx, 1000)
        with other.write() as mine:  # waits until the server ends the frozen one
            set_number(mine, 5)
        set_number(tx, 1001)

    with pytest.raises(NotApplied) as error, frozen.write() as tx:
        freeze(tx)
    assert error.value.code == "ledger.unavailable"
    assert number(other) == "5"
    assert number(frozen) == "5"
    frozen.close()
    other.close()


@pytest.mark.parametrize("synced", [False, True])
@pytest.mark.parametrize("waits_for", ["the lock", "a row"])
def test_a_process_that_froze_in_a_pipeline_is_ended_by_who_waits_for_it(
    place, monkeypatch, waits_for, synced
):
    """To the server it is at work, so that no time of the server's own ends it."""
    session = postgresql_engine._SESSION.replace(
        "lock_timeout=10000", "lock_timeout=700"
    )
    monkeypatch.setattr(postgresql_engine, "_SESSION", session)
    monkeypatch.setattr(postgresql_engine, "IDLE", 0.3)
    frozen, other = opened(place), opened(place)

    def freeze(tx):
        raw = tx._raw
        with raw.pipeline() as pipeline:
            done = raw.execute(
                "UPDATE meta SET value='1000' WHERE name='next_link' RETURNING value"
            )
            assert done.fetchone() == ("1000",)  # asked for by a flush, not by a sync
            if synced:
                pipeline.sync()
                raw.pgconn.send_flush_request()
                while raw.pgconn.flush():
                    pass
            if waits_for == "the lock":
                with other.write() as mine:
                    set_number(mine, 5)
                return
            with pytest.raises(NotApplied), other.db.write(alone=False) as mine:
                set_number(mine, 4)
            with other.db.write(alone=False) as mine:  # as whoever tries again does
                set_number(mine, 5)

    with pytest.raises(NotApplied), frozen.write() as tx:
        freeze(tx)
    assert (number(other), number(frozen)) == ("5", "5")
    frozen.close()
    other.close()


def test_a_process_that_is_merely_slow_is_not_ended(place, monkeypatch):
    session = postgresql_engine._SESSION.replace(
        "lock_timeout=10000", "lock_timeout=200"
    )
    monkeypatch.setattr(postgresql_engine, "_SESSION", session)
    slow, other = opened(place), opened(place)
    with slow.write() as tx:
        set_number(tx, 9)
        with pytest.raises(NotApplied), other.write():
            pass
    assert number(other) == "9"
    slow.close()
    other.close()


def test_waiting_too_long_for_the_lock_is_not_applied(place, monkeypatch):
    one = opened(place)
    monkeypatch.setattr(
        postgresql_engine,
        "_SESSION",
        postgresql_engine._SESSION.replace("lock_timeout=10000", "lock_timeout=200"),
    )
    two = opened(place)
    with one.write() as tx:
        set_number(tx, 5)
        with pytest.raises(NotApplied, match="LockNotAvailable"), two.write() as other:
            set_number(other, 6)
    assert number(two) == "5"
    one.close()
    two.close()


def test_rows_that_exclude_each_other_are_a_bug_and_show_no_value(place):
    ledger = opened(place)
    rows = [(4711, 0, 1, 0), (4711, 0, 2, 0)]
    with (
        pytest.raises(AssertionError, match="ledger constraint") as error,
        ledger.write() as tx,
    ):
        tx.many("INSERT INTO open(link_id, slot, parcel_id, pos) VALUES(?,?,?,?)", rows)
    assert "4711" not in str(error.value)
    with ledger.read() as tx:
        assert tx.value("SELECT count(*) FROM open") == 0
    ledger.close()


@pytest.mark.parametrize(
    ("sql", "value"),
    [("UPDATE meta SET value=?", "a\0secret"), ("SELECT 9223372036854775807+?", 1)],
)
def test_a_value_that_it_cannot_hold_is_a_bug_and_not_tried_for_ever(place, sql, value):
    ledger = opened(place)
    with (
        pytest.raises(AssertionError, match="ledger value") as error,
        ledger.write() as tx,
    ):
        tx.run(sql, value)
    assert "secret" not in str(error.value)
    assert number(ledger) == "1"
    ledger.close()


def test_a_failed_statement_that_was_passed_over_is_never_a_silent_rollback(place):
    ledger = opened(place)

    def careless(tx):
        set_number(tx, 99)
        try:
            tx.run("SELECT 1/0")
        except ledger.db._store._errors:
            return

    with pytest.raises(AssertionError, match="passed over"), ledger.write() as tx:
        careless(tx)
    assert number(ledger) == "1"
    ledger.close()


def test_errors_never_show_values_or_the_password(place):
    ledger = opened(place)
    with pytest.raises(AssertionError, match="22P02") as error, ledger.write() as tx:
        tx.run(
            "INSERT INTO audit_in(at, kind, body) VALUES(?,?,?)",
            "ada@secret.example",
            1,
            1,
        )
    assert "secret" not in str(error.value) + repr(error.value)
    assert error.value.__cause__ is None
    ledger.close()
