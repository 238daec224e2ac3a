"""The ledger on PostgreSQL: exclusion, snapshots, faults, and a COMMIT without an answer."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from ledger.ground import Ground
from moatbridge.adapter import Secret
from moatbridge.errors import (
    ConfigurationError,
    LeaseLost,
    NotApplied,
    OutcomeUnknown,
)
from moatbridge.ledger import Ledger, postgresql, postgresql_engine
from moatbridge.ledger.transactions import portable
from servers.commit_proxy import CommitProxy
from servers.ledgers import DATABASE
from servers.places import PASSWORD
from servers.postgres import OWNER, OWNER_PASSWORD, PROGRAMS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(ledger_server):
    return ledger_server.place()


@pytest.fixture
def proxied(ledger_server, tmp_path):
    """A ground whose ledger is reached through a proxy, and the proxy."""
    with CommitProxy(ledger_server.endpoint) as proxy:
        ground = Ground(tmp_path, ledger_server.place(endpoint=proxy.endpoint))
        yield ground, proxy
        ground.close()


def opened(place):
    return Ledger(place.url, password=place.password)


def number(ledger):
    with ledger.read() as tx:
        return tx.value("SELECT value FROM meta WHERE name='next_link'")


def partition_seq(ground):
    return ground.value("SELECT seq FROM partition WHERE part='lane/0'")


def set_number(tx, value):
    tx.run("UPDATE meta SET value=? WHERE name='next_link'", str(value))


# --- statements -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "text", "lists"),
    [
        ("SELECT ? WHERE a=?", "SELECT %s WHERE a=%s", ()),
        (
            "SELECT '?', \"?\" WHERE a LIKE '5%' AND b='it''s ?' AND c=?",
            "SELECT '?', \"?\" WHERE a LIKE '5%%' AND b='it''s ?' AND c=%s",
            (),
        ),
        ("x % 2", "x %% 2", ()),
        ("k IN (?,?)", "k IN (%s,%s)", ()),
        ("a=? AND k IN (?,?,?,?,?) AND b=?", "a=%s AND k = ANY(%s) AND b=%s", ((1, 6),)),
        ("k NOT IN (?, ?, ?, ?, ?)", "k <> ALL(%s)", ((0, 5),)),
        ("INSERT INTO t(a) VALUES(?,?,?,?,?,?)", "INSERT INTO t(a) VALUES(%s,%s,%s,%s,%s,%s)", ()),
    ],
)  # fmt: skip
def test_a_statement_is_rewritten_once_for_the_driver(sql, text, lists):
    assert portable(sql) == (text, lists)


def test_long_lists_and_short_ones_give_the_same_rows(ground):
    with ground.ledger.write() as tx:
        tx.many(
            "INSERT INTO mark(side_id, k, link_id) VALUES(?,?,?)",
            [(7, bytes([n]), n) for n in range(50)],
        )
    for count in (1, 2, 5, 40):
        ks = [bytes([n]) for n in range(count)]
        holes = ",".join("?" * count)
        sql = f"SELECT link_id FROM mark WHERE side_id=? AND k IN ({holes}) AND link_id>=? ORDER BY 1"
        assert ground.all(sql, 7, *ks, 0) == [(n,) for n in range(count)]
        sql = sql.replace("IN (", "NOT IN (")
        assert len(ground.all(sql, 7, *ks, 0)) == 50 - count


def test_values_come_back_as_the_same_types_from_both(tmp_path, place):
    seen = []
    for made in (Ground(tmp_path), Ground(tmp_path, place)):
        with made.ledger.write() as tx:
            number = tx.insert(
                "INSERT INTO audit_in(at, kind, body) VALUES(?,?,?)",
                3,
                "kind",
                "ä % ? '",
            )
            tx.run("UPDATE partition SET records=5, woken=?", bool(number))
            row = tx.one(
                "SELECT sum(records), count(*), max(woken), coalesce(sum(rejects), 0), "
                "min(not_before), max(lease_until)>0, max(part) FROM partition"
            )
            rows = tx.all("SELECT at, kind, body FROM audit_in")
            many = tx.value("SELECT ?", b"\x00\xff")
        seen.append((number, [*map(repr, row)], [*map(tuple, rows)], type(many)))
        made.close()
    assert seen[0] == seen[1]


# --- who waits for whom ---------------------------------------------------------------


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


# --- connections ----------------------------------------------------------------------


def backends(server, place, action="pg_terminate_backend(pid)"):
    role = place.url.partition("://")[2].partition("@")[0]
    with server.connect(DATABASE) as owner:
        return owner.execute(
            f"SELECT {action} FROM pg_stat_activity WHERE usename=%s", [role]
        ).fetchall()


def test_a_back_end_that_is_ended_inside_a_transaction_leaves_nothing(
    ledger_server, place
):
    ledger = opened(place)

    def work(tx):
        set_number(tx, 9)
        assert backends(ledger_server, place)
        set_number(tx, 10)

    with pytest.raises(NotApplied) as error, ledger.write() as tx:
        work(tx)
    assert error.value.code == "ledger.unavailable"
    assert number(ledger) == "1"
    ledger.close()


def test_kept_connections_that_died_meanwhile_are_replaced_without_a_word(
    ledger_server, place
):
    ledger = opened(place)
    with ledger.read(), ledger.read(), ledger.read():
        pass
    for _ in range(3):
        assert backends(ledger_server, place)
        with ledger.write() as tx:
            set_number(tx, 10)
    ledger.close()


def test_sessions_have_limits_and_a_name(ledger_server, place):
    ledger = opened(place)
    with ledger.read() as tx:
        found = {
            name: tx.value(f"SHOW {name}")
            for name in (
                "lock_timeout",
                "statement_timeout",
                "idle_in_transaction_session_timeout",
                "synchronous_commit",
                "application_name",
            )
        }
    assert found == {
        "lock_timeout": "10s",
        "statement_timeout": "1min",
        "idle_in_transaction_session_timeout": "5s",
        "synchronous_commit": "on",
        "application_name": "moatbridge",
    }
    ledger.close()


def test_an_account_whose_commits_would_not_wait_waits_all_the_same(
    ledger_server, place
):
    role = place.url.partition("://")[2].partition("@")[0]
    with ledger_server.connect(DATABASE) as owner:
        owner.execute(f"ALTER ROLE {role} SET synchronous_commit=off")
    ledger = opened(place)
    with ledger.read() as tx:
        assert tx.value("SHOW synchronous_commit") == "on"
    problems, _warnings = ledger.db.problems()
    assert [code for code, _words in problems] == [
        "ledger.fsync",
        "ledger.synchronous-commit",
    ]
    ledger.close()


def test_a_server_that_never_answers_is_cut_off(ledger_server, monkeypatch):
    """A frozen server acknowledges bytes: no timeout of TCP or its own ends the call."""
    monkeypatch.setattr(postgresql, "LONGEST", 0.5)
    place = ledger_server.place()
    ledger = opened(place)
    with pytest.raises(NotApplied), ledger.write() as tx:
        tx.run("SELECT pg_sleep(30)")
    assert number(ledger) == "1"
    ledger.close()


# --- the how-to page ------------------------------------------------------------------


def test_the_how_to_page_makes_a_place_that_works_and_a_dump_that_holds_it(
    ledger_server, tmp_path
):
    page = (ROOT / "docs/how-to/ledger-on-postgresql.md").read_text()
    with ledger_server.connect(DATABASE) as owner:
        for line in re.search(r"```sql\n(.*?)```", page, re.DOTALL)[1].splitlines():
            owner.execute(line.replace("'...'", f"'{PASSWORD}'"))
    ledger = opened(ledger_server.at("moatbridge"))
    command = re.search(r"\$ pg_dump (.*) bridge\n", page)[1].split()
    subprocess.run(
        [PROGRAMS / "pg_dump", *command, f"--port={ledger_server.port}", "--host=127.0.0.1",
         f"--username={OWNER}", DATABASE],
        cwd=tmp_path, env={"PGPASSWORD": OWNER_PASSWORD}, check=True,
    )  # fmt: skip
    listed = subprocess.run(
        [PROGRAMS / "pg_restore", "--list", "ledger.dump"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "TABLE DATA moatbridge meta" in listed.stdout
    ledger.close()


# --- opening --------------------------------------------------------------------------


def test_a_wrong_password_is_for_a_person(place):
    wrong = Secret("x", SecretStr("not-the-password"))
    with pytest.raises(ConfigurationError) as error:
        Ledger(place.url, password=wrong)
    assert error.value.code == "ledger.auth"
    assert "not-the-password" not in str(error.value)


def test_a_database_that_is_not_there_is_for_a_person(place):
    with pytest.raises(ConfigurationError) as error:
        Ledger(place.url.replace(DATABASE, "nowhere"), password=place.password)
    assert error.value.code == "ledger.url"


def test_a_server_that_is_down_is_not_applied():
    with pytest.raises(NotApplied) as error:
        Ledger("postgresql+psycopg://x@127.0.0.1:1/led")
    assert error.value.code == "ledger.unavailable"


def test_an_account_without_a_schema_is_for_a_person(ledger_server, place):
    role = place.url.partition("://")[2].partition("@")[0]
    with ledger_server.connect(DATABASE) as owner:
        owner.execute(f"ALTER ROLE {role} SET search_path=nowhere")
    with pytest.raises(ConfigurationError) as error:
        opened(place)
    assert error.value.code == "ledger.no-schema"


def test_a_schema_of_somebody_else_is_left_alone(ledger_server, place):
    with ledger_server.look(place) as owner:
        owner.execute("CREATE TABLE link(url text)")
    with pytest.raises(ConfigurationError) as error:
        opened(place)
    assert error.value.code == "ledger.foreign-schema"
    with ledger_server.look(place) as owner:
        tables = owner.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema=current_schema()"
        ).fetchall()
    assert tables == [("link",)]


def test_a_missing_driver_names_what_to_install(tmp_path):
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from moatbridge.ledger import Ledger\n"
        "try: Ledger('postgresql+psycopg://x@127.0.0.1/led')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("ConfigurationError ledger.driver")
    assert "moatbridge[postgresql]" in ran.stdout


def test_many_that_open_a_new_ledger_at_once_make_one(place):
    gate = threading.Barrier(6)

    def open_it(_):
        gate.wait(30)
        return opened(place)

    with ThreadPoolExecutor(6) as pool:
        ledgers = list(pool.map(open_it, range(6)))
    assert len({ledger.ledger_id for ledger in ledgers}) == 1
    for ledger in ledgers:
        ledger.close()


def test_a_remote_server_is_reached_with_tls_unless_the_url_says_otherwise():
    def used(query):
        address = postgresql_engine.parsed(
            f"postgresql+psycopg://u@db.example/x{query}"
        )
        return postgresql_engine._tls(address)

    assert used("") == {"sslmode": "verify-full", "sslrootcert": "system"}
    assert used("?sslrootcert=/etc/ca.pem") == {"sslmode": "verify-full"}
    assert used("?sslmode=require") == {}


# --- a COMMIT without an answer (delivery 9) ------------------------------------------


def cut_after(proxy, tx):
    set_number(tx, 42)
    proxy.plan = "after"


@pytest.mark.parametrize("plan", ["before", "after"])
def test_a_step_whose_commit_got_no_answer_finds_out_by_its_own_row(proxied, plan):
    ground, proxy = proxied

    def work():
        with ground.ledger.step(ground.lease, cursor={"at": 1}) as tx:
            tx.run("UPDATE flow SET bug='done'")
            proxy.plan = plan

    if plan == "before":
        with pytest.raises(NotApplied) as error:
            work()
        assert error.value.code == "ledger.unavailable"
    else:
        work()
    assert proxy.cuts == 1
    done = plan == "after"
    assert ground.value("SELECT bug FROM flow") == ("done" if done else None)
    assert ground.lease.seq == int(done)
    assert ground.lease.cursor == ({"at": 1} if done else None)
    with ground.ledger.step(ground.lease, cursor={"at": 2}):
        pass
    assert ground.lease.seq == 1 + int(done)


def test_a_step_without_an_answer_whose_lease_was_taken_meanwhile_is_lost(proxied):
    ground, proxy = proxied
    store = ground.ledger.db._store
    settle = store._settle

    def late(began, settled):
        ground.expire()
        assert ground.claim(owner="b") is not None
        settle(began, settled)

    store._settle = late
    with pytest.raises(LeaseLost), ground.ledger.step(ground.lease):
        proxy.plan = "before"
    assert partition_seq(ground) == 0


@pytest.mark.parametrize("plan", ["before", "after"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_write_whose_commit_got_no_answer_asks_the_server(proxied, plan, alone):
    ground, proxy = proxied

    def work():
        with ground.ledger.write(alone=alone) as tx:
            set_number(tx, 42)
            proxy.plan = plan

    if plan == "before":
        with pytest.raises(NotApplied):
            work()
    else:
        work()
    assert number(ground.ledger) == ("42" if plan == "after" else "1")


def test_a_commit_without_an_answer_and_a_server_that_stays_away_is_unknown(
    proxied, monkeypatch
):
    monkeypatch.setattr(postgresql, "SETTLE", 0.5)
    ground, proxy = proxied
    proxy.deaf_after_cut = True
    with pytest.raises(OutcomeUnknown) as error, ground.ledger.write() as tx:
        cut_after(proxy, tx)
    assert error.value.code == "ledger.commit-unknown"
    proxy.deaf = False
    with pytest.raises(OutcomeUnknown), ground.ledger.step(ground.lease):
        proxy.plan = "after"
    proxy.deaf = False
    assert partition_seq(ground) == 1
    assert number(ground.ledger) == "42"


def test_another_server_than_the_one_that_began_is_not_asked(proxied, monkeypatch):
    """A standby that took over may have given our number to somebody else."""
    ground, proxy = proxied
    store = ground.ledger.db._store
    began = store._began

    def elsewhere(raw, mode):
        return began(raw, mode)._replace(timeline="000000FF")

    monkeypatch.setattr(store, "_began", elsewhere)
    with pytest.raises(OutcomeUnknown), ground.ledger.write() as tx:
        cut_after(proxy, tx)


def test_a_back_end_ended_at_commit_is_told_from_one_that_committed(
    ledger_server, place, monkeypatch
):
    ledger = opened(place)
    committed = ledger.db._store._committed

    def ended(connection, raw):
        monkeypatch.undo()
        backends(ledger_server, place)
        return committed(connection, raw)

    monkeypatch.setattr(ledger.db._store, "_committed", ended)
    with pytest.raises(NotApplied), ledger.write() as tx:
        set_number(tx, 42)
    assert number(ledger) == "1"
    ledger.close()


def fall_and_rise(server, ledger):
    server.crash()
    with pytest.raises(NotApplied), ledger.read():
        pass
    server.restart()


def test_a_server_that_crashes_between_transactions_is_met_again(tmp_path):
    """``pg_ctl stop -m immediate``: what was committed is there, the rest is not."""
    from servers.ledgers import LedgerServer

    with LedgerServer() as server:
        ground = Ground(tmp_path, server.place())
        with ground.ledger.step(ground.lease, cursor={"at": 1}):
            pass
        with (
            pytest.raises(NotApplied),
            ground.ledger.step(ground.lease, cursor={"at": 2}),
        ):
            fall_and_rise(server, ground.ledger)
        assert ground.ledger.leases.renew([ground.lease]) == []
        with ground.ledger.read() as tx:
            assert ground.ledger.leases.cursor(tx, ground.row.flow_id, "lane/0") == {
                "at": 1
            }
        ground.close()
