"""Connections to the ledger's file: kept, bounded, never handed on half-way."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress

import pytest

from moatbridge.ledger import Ledger
from moatbridge.ledger.sqlite_connections import (
    KEPT,
    MOST,
    Connections,
    TooManyConnections,
    core_of,
)


@pytest.fixture
def made():
    """What was opened, in order."""
    return []


@pytest.fixture
def connections(tmp_path, made):
    def open_():
        made.append(
            sqlite3.connect(
                tmp_path / "file.db", isolation_level=None, check_same_thread=False
            )
        )
        return made[-1]

    found = Connections(open_, wait=0.1)
    yield found
    found.close()


def closed(connection):
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return True
    return False


def test_one_connection_serves_one_transaction_after_another(connections, made):
    for _ in range(3):
        with connections.one() as connection:
            connection.execute("SELECT 1")
    assert len(made) == 1


def test_it_may_be_used_by_another_thread_next(connections, made):
    def work():
        with connections.one() as connection:
            connection.execute("SELECT 1")

    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert len(made) == 1


def test_as_many_as_are_kept_stay_open_and_no_more_than_most_are_there(
    connections, made
):
    with ExitStack() as stack:
        for _ in range(MOST):
            stack.enter_context(connections.one())
        with pytest.raises(TooManyConnections), connections.one():
            pass
    assert len(made) == MOST
    assert sum(not closed(each) for each in made) == KEPT
    with connections.one():
        assert len(made) == MOST


def test_one_that_was_left_in_a_transaction_is_thrown_away(connections, made):
    with suppress(ZeroDivisionError), connections.one() as connection:
        connection.execute("BEGIN IMMEDIATE")
        raise ZeroDivisionError
    assert closed(made[0])
    with connections.one() as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def test_after_close_nothing_is_open_and_a_new_one_can_be_had(connections, made):
    with connections.one(), connections.one():
        connections.close()
        assert not closed(made[0]), "it is in use"
    assert [closed(each) for each in made] == [True, True]
    with connections.one():
        assert len(made) == 3


def test_one_whose_opening_fails_is_closed_and_takes_no_place(connections, made):
    def refuse(_connection):
        raise sqlite3.OperationalError("no")

    connections.opened.append(refuse)
    for _ in range(MOST + 1):
        with pytest.raises(sqlite3.OperationalError), connections.one():
            pass
    assert all(map(closed, made))
    connections.opened.clear()
    with connections.one() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_sqlalchemy_works_inside_the_transaction_and_leaves_it_open(connections):
    with connections.one() as raw:
        raw.execute("BEGIN IMMEDIATE")
        raw.execute("CREATE TABLE a(x)")
        core = core_of(raw)
        core.exec_driver_sql("INSERT INTO a VALUES (1)")
        del core
        assert raw.in_transaction
        raw.execute("ROLLBACK")
        assert raw.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_a_ledger_that_is_up_to_date_is_opened_and_used_without_sqlalchemy(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    Ledger(url).close()
    code = (
        "import sys; from moatbridge.ledger import Ledger; ledger = Ledger(sys.argv[1])\n"
        "with ledger.write() as tx: tx.run(\"UPDATE meta SET value='2' WHERE name='next_link'\")\n"
        "ledger.close(); print([name for name in sys.modules if 'sqlalchemy' in name])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, url], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


FORKED = """
import os, sys
from pathlib import Path
from moatbridge.ledger import Ledger

ledger = Ledger(sys.argv[1])
with ledger.write() as tx:
    tx.run("INSERT INTO meta(name, value) VALUES('parent', '1')")
pool = ledger.db._store.connections
before = set(map(id, pool._idle))
child = os.fork()
if not child:
    with ledger.write() as tx:
        tx.run("INSERT INTO meta(name, value) VALUES('child', '1')")
    os._exit(bool(before & set(map(id, pool._idle))))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
with ledger.write() as tx:
    tx.run("INSERT INTO meta(name, value) VALUES('again', '1')")
    print(tx.value("SELECT count(*) FROM meta WHERE name IN ('parent','child','again')"))
"""


def test_a_forked_child_never_uses_or_closes_its_parents_connections(tmp_path):
    """Nobody should fork with a ledger open; a server that does harms nothing."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    command = [sys.executable, "-c", FORKED, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
