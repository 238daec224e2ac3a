"""Ways to read and upsert a table: drivers, SQLAlchemy as one uses it, ours."""

from __future__ import annotations

import gc
from itertools import chain
from typing import TYPE_CHECKING, Any

from scenarios.alone.tables import COLUMNS, TEXTS, people, plain
from scenarios.alone.work import in_a_flow, scanned, wired, written

if TYPE_CHECKING:
    from collections.abc import Callable

Order = dict[str, Any]
PLACES = ", ".join(COLUMNS)
READ = f"select {PLACES} from people order by id"
CHUNK = 1000


def tuples(order: Order) -> Callable[[], Order]:
    """The floor: what the driver makes, and nothing done with it."""
    import psycopg

    db = psycopg.connect(order["url"].replace("+psycopg", ""))

    def run() -> Order:
        with db, db.cursor("s", binary=True) as cursor:
            cursor.itersize = CHUNK
            cursor.execute(READ)
            return {"seen": sum(1 for _row in cursor)}

    return run


def sqlite_tuples(order: Order) -> Callable[[], Order]:
    """The floor of a file."""
    import sqlite3

    db = sqlite3.connect(order["path"])

    def run() -> Order:
        return {"seen": sum(1 for _row in db.execute(READ))}

    return run


def sqlite_dicts(order: Order) -> Callable[[], Order]:
    """A dict a row."""
    import sqlite3

    db = sqlite3.connect(order["path"])

    def run() -> Order:
        seen, cursor = 0, db.execute(READ)
        while rows := cursor.fetchmany(CHUNK):
            for row in rows:
                dict(zip(COLUMNS, row, strict=True))
                seen += 1
        return {"seen": seen}

    return run


def _core(order: Order, name: str) -> Any:
    """An engine that has connected, and a table."""
    import sqlalchemy as sa

    moment = sa.DateTime(timezone=order["kind"] == "postgresql")
    kinds = (sa.Boolean(), sa.Float(), moment, moment)
    table = sa.Table(
        name, sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(text, sa.Text) for text in TEXTS),
        *(sa.Column(n, k) for n, k in zip(COLUMNS[8:], kinds, strict=True)),
    )  # fmt: skip
    engine = sa.create_engine(order["url"])
    engine.connect().close()
    return engine, table


def _entity(table: Any) -> Any:
    from sqlalchemy.orm import declarative_base

    return type("Person", (declarative_base(),), {"__table__": table})


def mappings(order: Order) -> Callable[[], Order]:
    """``dict(row)`` of a streamed result."""
    import sqlalchemy as sa

    engine, table = _core(order, "people")
    asked = sa.select(table).order_by(table.c.id)

    def run() -> Order:
        with engine.connect() as db:
            found = db.execution_options(stream_results=True, yield_per=CHUNK)
            rows = found.execute(asked).mappings()
            return {"seen": sum(len(dict(row)) > 0 for row in rows)}

    return run


def orm(order: Order) -> Callable[[], Order]:
    """Entities of a session."""
    import sqlalchemy as sa
    from sqlalchemy.orm import Session

    engine, table = _core(order, "people")
    asked = sa.select(_entity(table)).order_by(table.c.id)
    asked = asked.execution_options(yield_per=CHUNK)

    def run() -> Order:
        with Session(engine) as session:
            return {"seen": sum(1 for _person in session.scalars(asked))}

    return run


def _adapter(order: Order, **stream: Any) -> Any:
    """Ours, open."""
    from pydantic import SecretStr

    from moatbridge_sql import SqlAdapter, SqlConfig, SqlStreamConfig

    own: dict[str, Any] = {"url": order.get("own", order["url"])}
    if "password" in order:
        own |= {"password": SecretStr(order["password"]), "insecure_cleartext": True}
    people = SqlStreamConfig(fields=list(COLUMNS), **stream)
    adapter = wired(SqlAdapter(SqlConfig(**own), {"people": people}))
    adapter.open()
    return adapter


def scan(order: Order) -> Callable[[], Order]:
    """As any program that uses the adapter by itself."""
    adapter = _adapter(order, table="people")
    return lambda: {"seen": scanned(adapter)}


def scan_in_flow(order: Order) -> Callable[[], Order]:
    """As a slice of a flow."""
    return in_a_flow(scan(order))


def _chunks(many: list[Any]) -> list[list[Any]]:
    """A thousand at a time; what was made before is not to be looked through."""
    gc.collect()
    gc.freeze()
    return [many[at : at + CHUNK] for at in range(0, len(many), CHUNK)]


def _records(order: Order) -> list[dict[str, Any]]:
    """Dicts, moments as moments."""
    records = [dict(zip(COLUMNS, row, strict=True)) for row in people(order["records"])]
    if order["kind"] == "sqlite":
        for record in records:
            for name in COLUMNS[10:]:
                record[name] = record[name].replace(tzinfo=None)
    return records


def executemany(order: Order) -> Callable[[], Order]:
    """``insert().on_conflict_do_update()`` with a list of records, a transaction a call."""
    from sqlalchemy.dialects import postgresql, sqlite

    engine, table = _core(order, "target")
    insert = (sqlite if order["kind"] == "sqlite" else postgresql).insert(table)
    changed = {name: insert.excluded[name] for name in COLUMNS[1:]}
    statement = insert.on_conflict_do_update(index_elements=["id"], set_=changed)
    chunks = _chunks(_records(order))

    def run() -> Order:
        for chunk in chunks:
            with engine.begin() as db:
                db.execute(statement, chunk)
        return {"seen": sum(map(len, chunks))}

    return run


def sqlite_upsert(order: Order) -> Callable[[], Order]:
    """The driver's own."""
    import sqlite3

    db = sqlite3.connect(order["path"])
    changed = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
    marks = ", ".join("?" * len(COLUMNS))
    made = f"insert into target values ({marks}) on conflict (id) do update set {changed}"  # fmt: skip
    chunks = _chunks(list(map(plain, people(order["records"]))))

    def run() -> Order:
        for chunk in chunks:
            with db:
                db.executemany(made, chunk)
        return {"seen": sum(map(len, chunks))}

    return run


def merge(order: Order) -> Callable[[], Order]:
    """One by one, each asked for first."""
    from sqlalchemy.orm import Session

    engine, table = _core(order, "target")
    person, chunks = _entity(table), _chunks(_records(order))

    def run() -> Order:
        with Session(engine) as session:
            for record in chain.from_iterable(chunks):
                session.merge(person(**record))
            session.commit()
        return {"seen": sum(map(len, chunks))}

    return run


def upsert(order: Order) -> Callable[[], Order]:
    """`write` of creates that find half of their rows there."""
    from moatbridge.changes import Intent

    adapter = _adapter(
        order, table="target", writable=list(COLUMNS), external_id="id"
    )  # fmt: skip
    chunks = _chunks(
        [Intent(f"k{r['id']}", "create", None, r) for r in _records(order)]
    )

    def run() -> Order:
        return {"seen": sum(written(adapter, each, CHUNK) for each in chunks)}

    return in_a_flow(run)
