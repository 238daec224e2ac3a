"""The sql adapter beside its drivers and SQLAlchemy: ratios of medians, interleaved.

    uv run python benchmarks/sql.py [--rows 100000] [--rounds 5] [--only NAME ...]

Reading: 12 columns, a whole pass of `SqlAdapter.scan` beside psycopg's binary server
cursor (tuples), SQLAlchemy rows made dicts, and ORM entities; SQLite beside `sqlite3`.
Writing: `SqlAdapter.write` of rows half of which are there, beside Core's executemany
and ORM merge. Each variant is a process of its own; CPU seconds of that process only,
after connecting. Needs PostgreSQL as the tests do.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

TEXTS = ("uid", "given", "family", "email", "dept", "title", "phone")
COLUMNS = ("id", *TEXTS, "active", "score", "created", "updated")
PLACES = ", ".join(COLUMNS)
MERGED = 5000
"""ORM merge asks for each row alone: fewer of them."""
FLOORS = {
    "read pg": "pg_tuples", "read sqlite": "lite_tuples", "upsert pg": "pg_executemany", "upsert sqlite": "lite_executemany",
}  # fmt: skip


def person(n: int) -> tuple[Any, ...]:
    day = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=n)
    texts = (f"u{n:07}", "Ada", f"Müller-{n}", f"u{n:07}@legacy.example", f"D{n % 40:02}", f"Engineer {n % 50}", f"+49 30 {n:07}")  # fmt: skip
    return (n, *texts, n % 7 != 0, n / 8, day, day + timedelta(days=1))


def declared(kind: str) -> str:
    texts = ", ".join(f"{name} varchar(200)" for name in TEXTS)
    moment = "timestamptz" if kind == "pg" else "datetime"
    many = ("boolean", "double precision", moment, moment)
    others = ", ".join(f"{n} {k}" for n, k in zip(COLUMNS[8:], many, strict=True))
    key = "integer" if kind == "lite" else "bigint"
    return f"(id {key} primary key, {texts}, {others})"


def seed_pg(connection: Any, rows: int) -> None:
    connection.execute(f"create table people {declared('pg')}")
    with connection.cursor().copy("copy people from stdin") as copy:
        for n in range(1, rows + 1):
            copy.write_row(person(n))
    connection.execute("analyze people")


def seed_lite(path: Path, rows: int) -> None:
    with sqlite3.connect(path) as db:
        db.execute(f"create table people {declared('lite')}")
        marks = ", ".join("?" * len(COLUMNS))
        db.executemany(f"insert into people values ({marks})", map(_lite, _persons(rows)))  # fmt: skip
    db.close()


def _persons(rows: int) -> Any:
    return map(person, range(1, rows + 1))


def _lite(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row[:10], str(row[10])[:19], str(row[11])[:19])


def half_there(world: World, each: int = 2) -> None:
    """A copy of the table in which every second row is, with old values."""
    old = ", ".join(f"'old' {name}" for name in TEXTS)
    made = f"select id, {old}, active, score, created, updated from people where id % {each} = 0"  # fmt: skip
    if world.kind == "pg":
        with world.owner() as owner:
            owner.execute("drop table if exists target")
            owner.execute(f"create table target {declared('pg')}")
            owner.execute(f"insert into target {made}")
            owner.execute("analyze target")
            owner.execute("grant all on target to writer")
        return
    with sqlite3.connect(world.path) as db:
        db.execute("drop table if exists target")
        db.execute(f"create table target {declared('lite')}")
        db.execute(f"insert into target {made}")
    db.close()


def check_written(world: World, rows: int) -> None:
    asked = f"select count(*) from target where uid <> 'old' and id <= {rows}"
    if world.kind == "pg":
        with world.owner() as owner:
            found = owner.execute(asked).fetchone()[0]
    else:
        db = sqlite3.connect(world.path)
        found = db.execute(asked).fetchone()[0]
        db.close()
    assert found == rows, (found, rows)


class World:
    """Where one variant works."""

    def __init__(self, said: dict[str, Any], kind: str) -> None:
        self.kind = kind
        self.rows: int = said["rows"]
        self.port: int = said["port"]
        self.path: str = said["path"]

    def owner(self) -> Any:
        import psycopg

        return psycopg.connect(self.dsn("legacy", "legacy-owner-secret"), autocommit=True)  # fmt: skip

    def dsn(self, user: str = "writer", secret: str = "writer-secret") -> str:
        return f"host=127.0.0.1 port={self.port} user={user} password={secret} dbname=hr sslmode=disable"

    def url(self) -> str:
        if self.kind == "lite":
            return f"sqlite:///{self.path}"
        return f"postgresql+psycopg://writer:writer-secret@127.0.0.1:{self.port}/hr?sslmode=disable"

    def adapter(self, **stream: Any) -> Any:
        from pydantic import SecretStr

        from moatbridge.testing import net
        from moatbridge_sql import SqlAdapter, SqlConfig, SqlStreamConfig

        own: dict[str, Any] = {"url": self.url().replace(":writer-secret", "").partition("?")[0]}  # fmt: skip
        if self.kind == "pg":
            own |= {"password": SecretStr("writer-secret"), "insecure_cleartext": True}
        config = SqlConfig(**own)
        streams = {"people": SqlStreamConfig(fields=list(COLUMNS), **stream)}
        adapter = SqlAdapter(config, streams)
        adapter.net = net(SqlAdapter.endpoints(config))
        adapter.open()
        return adapter

    def core(self, name: str) -> Any:
        import sqlalchemy as sa

        kinds = (sa.Boolean(), sa.Float(), sa.DateTime(timezone=True), sa.DateTime(timezone=True))  # fmt: skip
        table = sa.Table(
            name, sa.MetaData(),
            sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
            *(sa.Column(text, sa.Text) for text in TEXTS),
            *(sa.Column(n, k) for n, k in zip(COLUMNS[8:], kinds, strict=True)),
        )  # fmt: skip
        return sa.create_engine(self.url()), table


class Timed:
    def __enter__(self) -> Self:
        self.cpu = time.process_time()
        return self

    def __exit__(self, *_error: object) -> None:
        self.cpu = time.process_time() - self.cpu


# --- reading ---------------------------------------------------------------------


def pg_tuples(world: World) -> tuple[int, float]:
    import psycopg

    connection = psycopg.connect(world.dsn())
    cursor = connection.cursor("s", binary=True)
    cursor.itersize = 1000
    count = 0
    with Timed() as timed:
        cursor.execute(f"select {PLACES} from people order by id")
        for _row in cursor:
            count += 1
    return count, timed.cpu


def pg_mappings(world: World) -> tuple[int, float]:
    import sqlalchemy as sa

    engine, table = world.core("people")
    count = 0
    with engine.connect() as connection, Timed() as timed:
        result = connection.execution_options(stream_results=True, yield_per=1000)
        for row in result.execute(sa.select(table).order_by(table.c.id)).mappings():
            dict(row)
            count += 1
    return count, timed.cpu


def pg_orm(world: World) -> tuple[int, float]:
    import sqlalchemy as sa
    from sqlalchemy.orm import DeclarativeBase, Session

    engine, table = world.core("people")

    class Base(DeclarativeBase):
        pass

    class Person(Base):
        __table__ = table

    count = 0
    with Session(engine) as session:
        session.connection()
        with Timed() as timed:
            asked = sa.select(Person).order_by(table.c.id)
            for _found in session.scalars(asked.execution_options(yield_per=1000)):
                count += 1
    return count, timed.cpu


def scan(world: World) -> tuple[int, float]:
    from moatbridge.adapter import Partition

    adapter = world.adapter(table="people")
    count = 0
    with Timed() as timed:
        for batch in adapter.scan("people", Partition(), None):
            assert not batch.rejects
            count += len(batch.changes)
    adapter.close()
    return count, timed.cpu


def lite_tuples(world: World) -> tuple[int, float]:
    db = sqlite3.connect(world.path)
    count = 0
    with Timed() as timed:
        for _row in db.execute(f"select {PLACES} from people order by id"):
            count += 1
    db.close()
    return count, timed.cpu


def lite_dicts(world: World) -> tuple[int, float]:
    db = sqlite3.connect(world.path)
    count = 0
    with Timed() as timed:
        cursor = db.execute(f"select {PLACES} from people order by id")
        while rows := cursor.fetchmany(1000):
            for row in rows:
                dict(zip(COLUMNS, row, strict=True))
                count += 1
    db.close()
    return count, timed.cpu


# --- writing ---------------------------------------------------------------------


def batches(rows: int) -> Any:
    """A thousand people at a time, as a flow has them: made outside the measured part."""
    for start in range(1, rows + 1, 1000):
        yield list(map(person, range(start, min(start + 1000, rows + 1))))


def executemany(world: World) -> tuple[int, float]:
    from sqlalchemy.dialects import postgresql, sqlite

    engine, table = world.core("target")
    dialect = postgresql if world.kind == "pg" else sqlite
    half_there(world)
    made = dialect.insert(table)
    changed = {name: made.excluded[name] for name in COLUMNS[1:]}
    made = made.on_conflict_do_update(index_elements=["id"], set_=changed)
    engine.connect().close()
    cpu = 0.0
    for batch in batches(world.rows):
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in batch]
        with Timed() as timed, engine.begin() as connection:
            connection.execute(made, rows)
        cpu += timed.cpu
    check_written(world, world.rows)
    return world.rows, cpu


def driver(world: World) -> tuple[int, float]:
    """The driver's own executemany."""
    db = sqlite3.connect(world.path)
    half_there(world)
    changed = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
    marks = ", ".join("?" * len(COLUMNS))
    made = f"insert into target values ({marks}) on conflict (id) do update set {changed}"  # fmt: skip
    cpu = 0.0
    for batch in batches(world.rows):
        rows = list(map(_lite, batch))
        with Timed() as timed, db:
            db.executemany(made, rows)
        cpu += timed.cpu
    db.close()
    check_written(world, world.rows)
    return world.rows, cpu


def merge(world: World) -> tuple[int, float]:
    from sqlalchemy.orm import DeclarativeBase, Session

    engine, table = world.core("target")
    count = min(MERGED, world.rows)
    rows = [dict(zip(COLUMNS, person(n), strict=True)) for n in range(1, count + 1)]
    half_there(world)

    class Base(DeclarativeBase):
        pass

    class Person(Base):
        __table__ = table

    with Session(engine) as session:
        session.connection()
        with Timed() as timed:
            for row in rows:
                session.merge(Person(**row))
            session.commit()
    check_written(world, count)
    return count, timed.cpu


def intent(world: World, op: str, row: tuple[Any, ...]) -> Any:
    from moatbridge.changes import Intent, Ref

    record = dict(zip(COLUMNS, row, strict=True))
    if world.kind == "lite":
        record |= {name: record[name].replace(tzinfo=None) for name in COLUMNS[10:]}
    if op == "update":
        return Intent(f"k{row[0]}", "update", Ref(str(row[0])), record)
    return Intent(f"k{row[0]}", "create", None, record)


def write(world: World, op: str) -> tuple[int, float]:
    """Through `SqlAdapter.write`, 1,000 intents at a time."""
    more: dict[str, Any] = {"external_id": "id"} if op == "upsert" else {}
    half_there(world, {"upsert": 2, "update": 1, "create": world.rows + 1}[op])
    adapter = world.adapter(table="target", writable=list(COLUMNS), **more)
    applied, cpu = 0, 0.0
    for batch in batches(world.rows):
        intents = [intent(world, op, row) for row in batch]
        with Timed() as timed:
            receipts = adapter.write("people", intents)
        cpu += timed.cpu
        applied += sum(receipt.outcome == "applied" for receipt in receipts)
    adapter.close()
    assert applied == world.rows, applied
    check_written(world, world.rows)
    return world.rows, cpu


def upsert(world: World) -> tuple[int, float]:
    return write(world, "upsert")


VARIANTS = {
    "pg_tuples": ("pg", "read pg", pg_tuples),
    "pg_mappings": ("pg", "read pg", pg_mappings),
    "pg_orm": ("pg", "read pg", pg_orm),
    "pg_scan": ("pg", "read pg", scan),
    "lite_tuples": ("lite", "read sqlite", lite_tuples),
    "lite_dicts": ("lite", "read sqlite", lite_dicts),
    "lite_scan": ("lite", "read sqlite", scan),
    "pg_executemany": ("pg", "upsert pg", executemany),
    "pg_merge": ("pg", "upsert pg", merge),
    "pg_upsert": ("pg", "upsert pg", upsert),
    "pg_create": ("pg", "upsert pg", lambda world: write(world, "create")),
    "pg_update": ("pg", "upsert pg", lambda world: write(world, "update")),
    "lite_executemany": ("lite", "upsert sqlite", executemany),
    "lite_driver": ("lite", "upsert sqlite", driver),
    "lite_upsert": ("lite", "upsert sqlite", upsert),
    "lite_create": ("lite", "upsert sqlite", lambda world: write(world, "create")),
    "lite_update": ("lite", "upsert sqlite", lambda world: write(world, "update")),
}
GATES = (
    ("scan over psycopg's tuples", "pg_scan", "pg_tuples", "<= 1.8", lambda x: x <= 1.8),
    ("dict(mapping) over scan", "pg_mappings", "pg_scan", ">= 1.4", lambda x: x >= 1.4),
    ("ORM over scan", "pg_orm", "pg_scan", ">= 2.3", lambda x: x >= 2.3),
    ("Core executemany over upsert", "pg_executemany", "pg_upsert", ">= 4", lambda x: x >= 4),
    ("ORM merge over upsert", "pg_merge", "pg_upsert", ">= 60", lambda x: x >= 60),
)  # fmt: skip


def one(name: str, said: dict[str, Any]) -> int:
    kind, _, work = VARIANTS[name]
    count, cpu = work(World(said, kind))
    print(json.dumps([count, cpu]))
    return 0


def measured(args: argparse.Namespace, said: dict[str, Any]) -> dict[str, list[float]]:
    names = [n for n in VARIANTS if not args.only or n in args.only]
    found: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(args.rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            done = subprocess.run(
                [sys.executable, __file__, "--one", name, "--world", json.dumps(said)],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                raise SystemExit(f"{name}: {done.stderr[-2000:]}")
            count, cpu = json.loads(done.stdout)
            found[name].append(cpu / count * 1e6)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--one")
    parser.add_argument("--world")
    args = parser.parse_args()
    if args.one:
        return one(args.one, json.loads(args.world))
    from servers.postgres import Postgres

    with Postgres() as server, tempfile.TemporaryDirectory() as name:
        path = Path(name) / "hr.db"
        seed_lite(path, args.rows)
        server.create_database("hr", "grant all on schema public to writer")
        with server.connect("hr") as owner:
            seed_pg(owner, args.rows)
            owner.execute("grant all on people to writer")
        said = {"rows": args.rows, "port": server.port, "path": str(path)}
        found = measured(args, said)
    middle = {name: statistics.median(runs) for name, runs in found.items()}
    print("| work | variant | CPU us a row |\n|---|---|---|")
    for name, cost in middle.items():
        print(f"| {VARIANTS[name][1]} | {name} | {cost:.2f} |")
    missed = False
    for words, upper, lower, goal, met in GATES:
        if upper in middle and lower in middle:
            ratio = middle[upper] / middle[lower]
            missed |= not met(ratio)
            print(f"{words}: {ratio:.2f} (goal {goal}){'' if met(ratio) else '  MISSED'}")  # fmt: skip
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
