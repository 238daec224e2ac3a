"""The feed by a cursor column: late commits, ties, futures, deletes."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from moatbridge.adapter import Partition
from moatbridge.changes import OutOfScope, Ref
from moatbridge.errors import ConfigurationError, CursorTooOld

NOW = {
    "postgresql": "current_timestamp at time zone 'Europe/Berlin'",
    "mariadb": "now(6)",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')",
}


def table_of(db: Any, kind: str = "") -> str:
    """A table whose cursor is written in the server's own zone (not UTC)."""
    table = db.name("f")
    kind = (
        kind
        or {"postgresql": "timestamp", "mariadb": "datetime(6)", "sqlite": "datetime"}[
            db.kind
        ]
    )
    db.sql(
        f"create table {table}(nr integer primary key, name varchar(20), aktiv char(1) default 'J', weg integer not null default 0, stand {kind})"
    )
    return table


def put(db: Any, table: str, nr: int, stand: str | None = None) -> None:
    db.sql(f"insert into {table}(nr, stand) values ({nr}, {stand or NOW[db.kind]})")


def followed(db: Any, table: str, **more: Any) -> Any:
    return db.open(table, ["nr", "name"], cursor_column="stand", **more)


def keys(changes: list[Any]) -> list[str]:
    return [change.ref.id for change in changes]


def test_a_transaction_that_commits_late_is_not_lost(refined: Any) -> None:
    """Its value lies behind the newest one read; `cursor > last` would miss it."""
    table = table_of(refined)
    put(refined, table, 1)
    adapter = followed(refined, table)
    after = refined.now(adapter)
    connection = refined.connect()
    late, cursor = connection, connection.cursor()
    cursor.execute("begin" if refined.kind != "sqlite" else "begin deferred")
    if refined.kind == "sqlite":  # one writer at a time: the value is assigned early
        early = cursor.execute(f"select {NOW['sqlite']}").fetchone()[0]
        cursor.execute("commit")
    else:
        cursor.execute(
            f"insert into {table}(nr, stand) values (2, {NOW[refined.kind]})"
        )
    put(refined, table, 3)
    changes, after = refined.poll(adapter, after)
    assert keys(changes) == ["1", "3"]
    newest = refined.sql(f"select max(stand) from {table}")[0][0]
    if refined.kind == "sqlite":
        put(refined, table, 2, f"'{early}'")
    else:
        cursor.execute("commit")
    late.close()
    naive = refined.sql(f"select nr from {table} where stand > ?", (newest,))
    assert naive == [], "the naive query misses the late row"
    changes, _ = refined.poll(adapter, after)
    assert "2" in keys(changes)


def test_position_now_and_the_first_poll(db: Any) -> None:
    table = table_of(db)
    adapter = followed(db, table)
    after = db.now(adapter)
    put(db, table, 1)
    changes, after = db.poll(adapter, after)
    assert keys(changes) == ["1"]
    assert changes[0].data == {"nr": 1, "name": None}
    put(db, table, 2)
    changes, after = db.poll(adapter, after)
    assert keys(changes) == ["1", "2"], "within the overlap it is told again"


def test_old_rows_are_not_told_again_for_ever(db: Any) -> None:
    table = table_of(db)
    put(db, table, 1, "'2024-01-01 10:00:00'")
    put(db, table, 2, "'2024-01-01 11:00:00'")
    adapter = followed(db, table)
    after = db.now(adapter)
    changes, after = db.poll(adapter, after)
    assert keys(changes) == ["2"]
    put(db, table, 3, "'2024-01-01 10:54:00'")
    put(db, table, 4, "'2024-01-01 10:56:00'")
    changes, _ = db.poll(adapter, after)
    assert keys(changes) == ["4", "2"], "300 s of overlap, inclusive"


def test_many_rows_with_one_timestamp(refined: Any) -> None:
    """Ties are ordered by key and resume inside."""
    table = table_of(refined)
    rows = [(n, "2024-01-01 10:00:00") for n in range(3000)]
    connection = refined.connect()
    mark = refined.mark
    with (
        contextlib.closing(connection),
        contextlib.closing(connection.cursor()) as cursor,
    ):
        cursor.execute("begin")
        cursor.executemany(
            f"insert into {table}(nr, stand) values ({mark}, {mark})", rows
        )
        cursor.execute("commit")
    adapter = followed(refined, table, page_size=700)
    after = refined.now(adapter)
    first = next(adapter.changes("people", after))
    rest, _ = refined.poll(followed(refined, table, page_size=700), first.cursor)
    assert [int(key) for key in keys([*first.changes, *rest])] == list(range(3000))


def test_a_value_from_the_future_does_not_win(db: Any) -> None:
    table = table_of(db)
    put(db, table, 1)
    adapter = followed(db, table)
    after = db.now(adapter)
    put(db, table, 2, "'2099-01-01 00:00:00'")
    batches = list(adapter.changes("people", after))
    assert [c.ref.id for b in batches for c in b.changes] == ["1", "2"]
    assert [(r.reason, r.field) for b in batches for r in b.rejects] == [
        ("sql.future-cursor", "stand")
    ]
    put(db, table, 3)
    changes, _ = db.poll(adapter, batches[-1].cursor)
    assert "3" in keys(changes)


def test_a_clock_that_steps_back(refined: Any) -> None:
    table = table_of(refined)
    put(refined, table, 1, "'2024-01-01 10:00:00'")
    adapter = followed(refined, table)
    _, after = refined.poll(adapter, refined.now(adapter))
    put(refined, table, 2, "'2024-01-01 09:58:00'")
    changes, _ = refined.poll(adapter, after)
    assert keys(changes) == ["2", "1"]


def test_numbers_as_cursor(db: Any) -> None:
    table = table_of(db, "bigint")
    put(db, table, 1, "50000")
    adapter = followed(db, table)
    after = db.now(adapter)
    put(db, table, 2, "39999")
    put(db, table, 3, "40000")
    put(db, table, 4, "50001")
    changes, after = db.poll(adapter, after)
    assert keys(changes) == ["3", "1", "4"]
    near = followed(db, table, overlap=1)
    _, after = db.poll(near, db.now(near))
    put(db, table, 5, "50002")
    changes, _ = db.poll(near, after)
    assert keys(changes) == ["1", "4", "5"]


def test_dates_as_cursor(refined: Any) -> None:
    table = table_of(refined, "date")
    put(refined, table, 1, "'2024-01-01'")
    put(refined, table, 2, "'2024-01-03'")
    adapter = followed(refined, table)
    changes, after = refined.poll(adapter, refined.now(adapter))
    assert keys(changes) == ["2"]
    put(refined, table, 3, "'2024-01-02'")
    changes, _ = refined.poll(adapter, after)
    assert keys(changes) == ["3", "2"]


def test_soft_deletes_and_rows_that_leave_the_stream(db: Any) -> None:
    table = table_of(db)
    for nr in (1, 2, 3):
        put(db, table, nr)
    adapter = followed(
        db,
        table,
        deleted={"column": "weg", "value": 1},
        where=[{"column": "aktiv", "value": "J"}],
    )
    assert adapter.streams()[0].sees_deletes
    after = db.now(adapter)
    db.sql(f"update {table} set weg = 1, stand = {NOW[db.kind]} where nr = 1")
    db.sql(f"update {table} set aktiv = 'N', stand = {NOW[db.kind]} where nr = 2")
    changes, _ = db.poll(adapter, after)
    assert {(change.ref.id, change.op) for change in changes} == {
        ("1", "delete"),
        ("2", "delete"),
        ("3", "upsert"),
    }
    assert isinstance(adapter.fetch("people", [Ref("1")])[0], OutOfScope)
    assert [row["nr"] for row in db.records(adapter)] == [3]


def test_rows_without_a_cursor_are_left_to_scans(refined: Any) -> None:
    table = table_of(refined)
    put(refined, table, 1, "null")
    adapter = followed(refined, table)
    changes, _ = refined.poll(adapter, refined.now(adapter))
    assert changes == []
    assert len(refined.records(adapter)) == 1
    said = " ".join(adapter.probe().warnings)
    assert "'stand' may be NULL" in said
    assert "no index on 'stand'" in said


def test_foreign_cursors_are_refused(refined: Any) -> None:
    table = table_of(refined)
    adapter = followed(refined, table)
    scan = next(adapter.scan("people", Partition(), None)).cursor
    wrong = [
        scan,
        {"mode": "column", "start": 5},
        {"mode": "column", "start": None, "pos": ["x", [1, 2]]},
        "x",
        {"mode": "slot"},
        {
            "mode": "column",
            "start": None,
            "newest": None,
            "pos": ["x", [{"t": "never"}]],
        },
    ]
    for cursor in wrong:
        with pytest.raises(CursorTooOld):
            list(adapter.changes("people", cursor))
    with pytest.raises(CursorTooOld):
        list(adapter.scan("people", Partition(), {"mode": "scan", "pos": [1, 2]}))


def test_a_stream_without_cursor_is_not_followed(refined: Any) -> None:
    table = table_of(refined)
    adapter = refined.open(table, ["nr"])
    assert "CanFollow" not in adapter.streams()[0].abilities
    with pytest.raises(ConfigurationError, match=r"sql\.no-cursor"):
        list(adapter.changes("people", None))
