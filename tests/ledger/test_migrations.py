"""Old ledgers are brought up to date, whatever interrupts it (delivery 11).

``schemas/N.sql`` is the schema as version N made it; it is never changed again.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from ledger.ground import Ground
from moatbridge.errors import ConfigurationError
from moatbridge.ledger import Ledger, migrations, steps
from moatbridge.ledger.sqlite_connections import core_of
from moatbridge.ledger.tables import TABLES
from moatbridge.resilience import crash

HERE = Path(__file__).parent
MADE = (
    'SELECT m.type, m.name, m.tbl_name, c.cid, c.name, c.type, c."notnull", '
    "c.dflt_value, c.pk, m.sql LIKE '%WITHOUT ROWID%', m.sql LIKE '%AUTOINCREMENT%' "
    "FROM sqlite_master m LEFT JOIN pragma_table_xinfo(m.name) c ORDER BY 1, 2, 4"
)
"""Everything about the tables and indexes but the white space of their text."""


def old_ledger(folder, version):
    """A ledger as an older moatbridge left it: a flow, a partition, a held item."""
    path = folder / "ledger.db"
    raw = sqlite3.connect(path)
    raw.executescript((HERE / "schemas" / f"{version}.sql").read_text())
    raw.executemany(
        "INSERT INTO meta(name, value) VALUES(?, ?)",
        [("schema", str(version)), ("ledger_id", "ab" * 16), ("epoch", "0"),
         ("created", "1"), ("next_link", "8")],
    )  # fmt: skip
    raw.execute(
        "INSERT INTO pair(pair_id, scope, a, b) VALUES(1, 'default', 'hr/people', 'social/people')"
    )
    raw.execute(
        "INSERT INTO flow(flow_id, scope, name, pair_id, side) VALUES(1, 'default', 'people', 1, 0)"
    )
    raw.execute(
        "INSERT INTO partition(flow_id, part, kind, fence, seq, cursor) "
        "VALUES(1, 'lane/0', 'lane', 41, 17, '{\"at\": 5}')"
    )
    raw.execute(
        "INSERT INTO hold(hold_id, flow_id, parcel_id, k, reason, created) VALUES(12, 1, 3, x'01', 'size', 2.0)"
    )
    raw.commit()
    raw.close()
    return f"sqlite:///{path}"


def tables(ledger):
    with ledger.read() as tx:
        return {name for name in TABLES.tables if ledger.db._store.has_table(tx, name)}


def numbered(ledger):
    with ledger.read() as tx:
        return int(tx.value("SELECT value FROM meta WHERE name='schema'"))


def check_old(ledger):
    assert numbered(ledger) == migrations.VERSION
    assert tables(ledger) == set(TABLES.tables)
    assert ledger.ledger_id == "ab" * 16
    lease = ledger.leases.claim(1, "lane/0", "me")
    assert (lease.fence, lease.seq, lease.cursor) == (42, 17, {"at": 5})
    with ledger.write() as tx:
        assert tx.all("SELECT hold_id, reason, version FROM hold") == [(12, "size", 1)]
        tx.run("DELETE FROM hold")
        new = tx.insert(
            "INSERT INTO hold(flow_id, parcel_id, k, reason, created) VALUES(1, 4, ?, 'x', 3.0)",
            b"2",
        )
        assert new == 13, "the number of an item that is over is never used again"


@pytest.mark.parametrize("version", [1, 2])
def test_a_ledger_of_an_older_version_is_brought_up_to_date(tmp_path, version):
    ledger = Ledger(old_ledger(tmp_path, version))
    check_old(ledger)
    ledger.close()


@pytest.mark.parametrize("version", [1, 2])
def test_every_column_of_today_is_there_after_the_steps(tmp_path, version):
    """Whoever changes a table and forgets its step is told here."""
    ledger = Ledger(old_ledger(tmp_path, version))
    with ledger.read() as tx:
        for name, table in TABLES.tables.items():
            there = {row[1] for row in tx.all(f'PRAGMA table_info("{name}")')}
            assert there == {column.name for column in table.columns}, name
    ledger.close()


def test_what_expired_without_a_time_is_listed_from_when_it_was_held(place, tmp_path):
    ground = Ground(tmp_path, place)
    with ground.ledger.write() as tx:
        tx.many(
            "INSERT INTO hold(flow_id, parcel_id, k, reason, created, decided, expires) "
            "VALUES(1, 1, ?, 'size', ?, ?, ?)",
            [(b"1", 2.0, "expire", None), (b"2", 2.0, "expire", 9.0), (b"3", 2.0, None, None)],
        )  # fmt: skip
        tx.run("UPDATE meta SET value='5' WHERE name='schema'")
    ground.ledger.close()
    ground.open().close()
    ground.ledger = ground.open()
    times = [row[0] for row in ground.all("SELECT expires FROM hold ORDER BY k")]
    assert times == [2.0, 9.0, None]
    ground.close()


LIFE = """
import os, signal, sys
from moatbridge.ledger import Ledger
from moatbridge.resilience import crash
passed = 0
def hook(name):
    global passed
    passed += name == "migrate.step"
    if passed == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
crash.install(hook)
Ledger(sys.argv[1]).close()
"""


@pytest.mark.parametrize("version", [0, 1])
def test_a_kill_in_the_middle_leaves_a_ledger_that_goes_on(tmp_path, version):
    url = (
        old_ledger(tmp_path, version) if version else f"sqlite:///{tmp_path}/ledger.db"
    )
    steps = migrations.VERSION - version if version else 1
    kills = 0
    for step in sorted({1, (steps + 1) // 2, steps}):
        ran = subprocess.run([sys.executable, "-c", LIFE, url, str(step)], check=False)
        kills += ran.returncode == -signal.SIGKILL
    assert kills > 0
    ledger = Ledger(url)
    if version:
        check_old(ledger)
    assert numbered(ledger) == migrations.VERSION
    ledger.close()


def test_two_processes_that_open_an_old_ledger_at_once_both_can(tmp_path):
    url = old_ledger(tmp_path, 1)
    lives = [
        subprocess.Popen([sys.executable, "-c", LIFE, url, "-1"]) for _ in range(3)
    ]
    assert [life.wait(60) for life in lives] == [0, 0, 0]
    ledger = Ledger(url)
    check_old(ledger)
    ledger.close()


def test_the_steps_run_on_either_database_and_can_be_repeated(place, tmp_path):
    """As if it had been made by version 1, at a time when there were fewer tables."""
    ground = Ground(tmp_path, place)
    with ground.ledger.write() as tx:
        for name in ("unsettled", "incident", "reply", "answer"):
            tx.run(f"DROP TABLE {name}")
        tx.run("UPDATE meta SET value='1' WHERE name='schema'")
    ground.ledger.close()
    failed = []

    def fail_once(name):
        if name == "migrate.step" and not failed:
            failed.append(name)
            raise InterruptedError

    crash.install(fail_once)
    try:
        with pytest.raises(InterruptedError):
            ground.open()
        gate = threading.Barrier(3)

        def open_it(_):
            gate.wait(30)
            return ground.open()

        with ThreadPoolExecutor(3) as pool:
            opened = list(pool.map(open_it, range(3)))
    finally:
        crash.install(None)
    for ledger in opened:
        assert numbered(ledger) == migrations.VERSION
        assert tables(ledger) == set(TABLES.tables)
        ledger.close()


def test_a_column_is_added_where_it_is_missing_only(place, tmp_path):
    ground = Ground(tmp_path, place)
    step = steps.columns("parcel", "doubt", "upto")
    with ground.ledger.write() as tx:
        tx.run("ALTER TABLE parcel DROP COLUMN doubt")
    for _ in range(2):
        with ground.ledger.write() as tx:
            step(ground.ledger.db._store, tx)
    ground.stage(ground.item("u1"))
    assert ground.value("SELECT doubt FROM parcel") == 0
    ground.close()


def test_a_newer_ledger_is_refused_and_left_alone(place, tmp_path):
    ground = Ground(tmp_path, place)
    with ground.ledger.write() as tx:
        tx.run(
            "UPDATE meta SET value=? WHERE name='schema'", str(migrations.VERSION + 1)
        )
    with pytest.raises(ConfigurationError) as error:
        ground.open()
    assert error.value.code == "ledger.newer-schema"
    assert numbered(ground.ledger) == migrations.VERSION + 1
    ground.close()


def test_a_file_of_another_program_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "ledger.db"
    for script in (
        "CREATE TABLE meta(name, value)",
        "CREATE TABLE link(url)",
        "CREATE TABLE meta(x)",
    ):
        path.unlink(missing_ok=True)
        with sqlite3.connect(path) as raw:
            raw.execute(script)
        raw.close()
        with pytest.raises(ConfigurationError) as error:
            Ledger(f"sqlite:///{path}")
        assert error.value.code == "ledger.foreign-schema"
        raw = sqlite3.connect(path)
        assert [row[0] for row in raw.execute("SELECT sql FROM sqlite_master")] == [
            script
        ]
        raw.close()


def test_the_number_of_today_counts_the_steps():
    assert len(steps.STEPS) == migrations.VERSION


def test_the_script_of_sqlite_makes_the_tables_of_today():
    """After a change: scripts/reference.py writes it."""
    assert migrations.SCRIPT.read_text(encoding="utf-8") == steps.script()


def test_a_new_ledger_is_the_same_with_the_script_as_with_the_tables(tmp_path):
    Ledger(f"sqlite:///{tmp_path}/ledger.db").close()
    there = []
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw:
        there.append(raw.execute(MADE).fetchall())
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        TABLES.create_all(core_of(raw))
        there.append(raw.execute(MADE).fetchall())
    assert there[0] == there[1]
    assert len(there[0]) > len(TABLES.tables)
