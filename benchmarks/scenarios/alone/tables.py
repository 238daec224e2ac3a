"""Tables of PostgreSQL and SQLite: rows read, rows upserted. Twelve columns of all kinds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from harness.scenario import Variant

from scenarios.alone.work import Alone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.scenario import Place

Order = dict[str, Any]
HERE = "scenarios.alone.tables_ways"
TEXTS = ("uid", "given", "family", "email", "dept", "title", "phone")
COLUMNS = ("id", *TEXTS, "active", "score", "created", "updated")


def person(number: int) -> tuple[Any, ...]:
    """A row, as PostgreSQL's driver gives it."""
    day = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    texts = (
        f"u{number:07}", "Ada", f"Müller-{number}", f"u{number:07}@legacy.example", f"D{number % 40:02}",
        f"Engineer {number % 50}", f"+49 30 {number:07}",
    )  # fmt: skip
    return (number, *texts, number % 7 != 0, number / 8, day, day + timedelta(days=1))


def plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same row for SQLite: moments without a zone, as text."""
    return (*row[:10], str(row[10])[:19], str(row[11])[:19])


def people(rows: int) -> Iterator[tuple[Any, ...]]:
    """All rows."""
    return map(person, range(1, rows + 1))


def _declared(key: str, moment: str) -> str:
    texts = ", ".join(f"{name} varchar(200)" for name in TEXTS)
    kinds = ("boolean", "double precision", moment, moment)
    others = ", ".join(f"{n} {k}" for n, k in zip(COLUMNS[8:], kinds, strict=True))
    return f"(id {key} primary key, {texts}, {others})"


def _half() -> str:
    """Every second row, with old texts."""
    old = ", ".join(f"'old' {name}" for name in TEXTS)
    return f"select id, {old}, active, score, created, updated from people where id % 2 = 0"  # fmt: skip


WRITTEN = f"select {', '.join(COLUMNS[:8])} from target"


class Sqlite:
    """A file."""

    declared = _declared("integer", "datetime")

    def __init__(self, place: Place, rows: int) -> None:
        self._path = place.folder / "alone.db"
        self._path.unlink(missing_ok=True)
        with closing(sqlite3.connect(self._path)) as db, db:
            db.execute(f"create table people {self.declared}")
            marks = ", ".join("?" * len(COLUMNS))
            made = map(plain, people(rows))
            db.executemany(f"insert into people values ({marks})", made)

    def reached(self) -> Order:
        return {"kind": "sqlite", "path": str(self._path), "url": f"sqlite:///{self._path}"}  # fmt: skip

    def half_there(self) -> None:
        with closing(sqlite3.connect(self._path)) as db, db:
            db.execute("drop table if exists target")
            db.execute(f"create table target {self.declared}")
            db.execute(f"insert into target {_half()}")

    def written(self) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._path)) as db:
            return db.execute(WRITTEN).fetchall()


class PostgreSql:
    """A server, fsync on."""

    declared = _declared("bigint", "timestamptz")

    def __init__(self, place: Place, rows: int) -> None:
        from servers.postgres import ROLES, Postgres

        self._server = place.stack.enter_context(Postgres())
        self._password = ROLES["writer"]
        self._server.create_database("alone", "")
        with self._server.connect() as owner:
            owner.execute("alter system set fsync=on")
            owner.execute("select pg_reload_conf()")
        with self._server.connect("alone") as owner:
            owner.execute(f"create table people {self.declared}")
            with owner.cursor().copy("copy people from stdin") as copy:
                for row in people(rows):
                    copy.write_row(row)
            owner.execute("analyze people")
            owner.execute("grant select on people to writer")

    def reached(self) -> Order:
        at = f"127.0.0.1:{self._server.port}/alone"
        return {
            "kind": "postgresql", "password": self._password, "own": f"postgresql+psycopg://writer@{at}",
            "url": f"postgresql+psycopg://writer:{self._password}@{at}?sslmode=disable",
        }  # fmt: skip

    def half_there(self) -> None:
        with self._server.connect("alone") as owner:
            owner.execute("drop table if exists target")
            owner.execute(f"create table target {self.declared}")
            owner.execute(f"insert into target {_half()}")
            owner.execute("analyze target")
            owner.execute("grant select, insert, update on target to writer")

    def written(self) -> list[tuple[Any, ...]]:
        with self._server.connect("alone") as owner:
            return owner.execute(WRITTEN).fetchall()


class Tables(Alone):
    """What they have in common."""

    note = "Connections are open before and not measured."
    kind: type[Sqlite | PostgreSql]

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.database = self.kind(place, self.count)

    def given(self, variant: Variant, count: int, folder: Path) -> Order:
        return self.database.reached()


class Scan(Tables):
    """A whole table, to finished records."""

    name = "alone-sql-scan"
    title = "{count:,} PostgreSQL rows of 12 columns, read only"
    records = 200_000
    kind = PostgreSql
    variants: tuple[Variant, ...] = (
        Variant("tuples", "psycopg: tuples of a binary server-side cursor", HERE, "tuples"),
        Variant("mappings", "SQLAlchemy Core: rows made dicts", HERE, "mappings"),
        Variant("orm", "SQLAlchemy ORM: entities", HERE, "orm"),
        Variant("moatbridge", "moatbridge's sql adapter, as in a flow", HERE, "scan_in_flow", ours=True),
        Variant("collected", "moatbridge's sql adapter, outside of a flow", HERE, "scan", ours=True),
    )  # fmt: skip


class ScanSqlite(Scan):
    """The same from a file."""

    name = "alone-sql-scan-sqlite"
    title = "{count:,} SQLite rows of 12 columns, read only"
    kind = Sqlite
    variants = (
        Variant("tuples", "sqlite3: tuples", HERE, "sqlite_tuples"),
        Variant("dicts", "sqlite3: tuples made dicts", HERE, "sqlite_dicts"),
        *Scan.variants[-2:],
    )


class Upsert(Tables):
    """Every second row is there, with old texts."""

    name = "alone-sql-upsert"
    title = "{count:,} rows upserted into a PostgreSQL table that has half of them"
    note = (
        f"{Tables.note} Records are made before, and Python's collector does not look"
        " through them."
    )
    records = 100_000
    kind = PostgreSql
    variants: tuple[Variant, ...] = (
        Variant("merge", "SQLAlchemy ORM: merge", HERE, "merge", share=0.05),
        Variant("core", "SQLAlchemy Core: executemany, 1,000 a call", HERE, "executemany"),
        Variant("moatbridge", "moatbridge's sql adapter: write, 1,000 a call, as in a flow", HERE, "upsert", ours=True),
    )  # fmt: skip

    def given(self, variant: Variant, count: int, folder: Path) -> Order:
        self.database.half_there()
        return super().given(variant, count, folder)

    def seen(self, variant: Variant, order: Order, said: Order) -> Any:
        there = {row[0]: tuple(row) for row in self.database.written()}
        rows = order["records"]
        assert rows == said["seen"], said
        return sum(there.get(one[0]) == one[:8] for one in people(rows))


class UpsertSqlite(Upsert):
    """The same into a file."""

    name = "alone-sql-upsert-sqlite"
    title = "{count:,} rows upserted into a SQLite table that has half of them"
    kind = Sqlite
    variants = (
        Variant("driver", "sqlite3: executemany, 1,000 a call", HERE, "sqlite_upsert"),
        *Upsert.variants[1:],
    )


WORKS = (Scan, ScanSqlite, Upsert, UpsertSqlite)
