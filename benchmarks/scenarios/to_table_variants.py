"""How scripts upsert: one by one with an ORM, executemany, and the best by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scenarios.to_platform.by_hand import Ledger, marks_of
from scenarios.to_platform.readers import Rows, reader

if TYPE_CHECKING:
    from collections.abc import Callable

Order = dict[str, Any]
COLUMNS = ("staff_no", "login", "given", "family", "mail", "phone", "title", "dept")
CHANGED = ", ".join(f"{name}=excluded.{name}" for name in COLUMNS[1:])
INSERT = (
    f"INSERT INTO people ({', '.join(COLUMNS)}) VALUES ({{marks}}) "
    f"ON CONFLICT (staff_no) DO UPDATE SET {CHANGED}"
)


def _records(batch: Rows) -> list[dict[str, Any]]:
    return [
        {**dict(zip(COLUMNS, row, strict=True)), "staff_no": str(row[0])}
        for row in batch
    ]


def _thousands(read: Callable[[], Any]) -> Any:
    many: Rows = []
    for batch in read():
        many += batch
        if len(many) >= 1000:
            yield many
            many = []
    if many:
        yield many


def orm(order: Order) -> Callable[[], Order]:
    """A session, a query for each."""
    import sqlalchemy as sa
    from sqlalchemy.orm import Session, declarative_base

    texts = {name: sa.Column(sa.Text) for name in COLUMNS}
    key = sa.Column(sa.Integer, primary_key=True)
    whole = {"__tablename__": "people", "id": key, **texts}
    Person: Any = type("Person", (declarative_base(),), whole)  # noqa: N806 - a class
    read = reader(order["source"])

    def run() -> Order:
        engine = sa.create_engine(order["url"])
        for many in _thousands(read):
            with Session(engine) as session:
                for record in _records(many):
                    asked = sa.select(Person).filter_by(staff_no=record["staff_no"])
                    person = session.scalars(asked).one_or_none()
                    if person is None:
                        session.add(Person(**record))
                    else:
                        for name, value in record.items():
                            setattr(person, name, value)
                session.commit()
        return {}

    return run


def core(order: Order) -> Callable[[], Order]:
    """``insert().on_conflict_do_update()`` with a list of records."""
    import sqlalchemy as sa
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = sqlite if order["url"].startswith("sqlite") else postgresql
    table = sa.Table(
        "people", sa.MetaData(), *(sa.Column(name, sa.Text) for name in COLUMNS)
    )
    insert = dialect.insert(table)
    changed = {name: insert.excluded[name] for name in COLUMNS[1:]}
    statement = insert.on_conflict_do_update(index_elements=["staff_no"], set_=changed)
    read = reader(order["source"])

    def run() -> Order:
        engine = sa.create_engine(order["url"])
        for many in _thousands(read):
            with engine.begin() as db:
                db.execute(statement, _records(many))
        return {}

    return run


def _written(order: Order) -> Callable[[], Callable[[Rows], None]]:
    """Opens the target; the result writes rows in one transaction."""
    if order["url"].startswith("sqlite"):
        import sqlite3

        statement = INSERT.format(marks=", ".join("?" * len(COLUMNS)))

        def opened() -> Callable[[Rows], None]:
            db = sqlite3.connect(order["path"], isolation_level=None)
            db.execute("PRAGMA synchronous=FULL")

            def write(rows: Rows) -> None:
                db.execute("BEGIN IMMEDIATE")
                db.executemany(statement, rows)
                db.execute("COMMIT")

            return write

        return opened
    import psycopg

    names = ", ".join(COLUMNS)
    arrays = ", ".join(["%s::text[]"] * len(COLUMNS))
    all_at_once = (
        f"INSERT INTO people ({names}) SELECT * FROM unnest({arrays}) "
        f"ON CONFLICT (staff_no) DO UPDATE SET {CHANGED}"
    )

    def connected() -> Callable[[Rows], None]:
        db = psycopg.connect(order["url"].replace("+psycopg", ""), autocommit=True)

        def write(rows: Rows) -> None:
            numbers, *others = (list(values) for values in zip(*rows, strict=True))
            db.execute(all_at_once, [list(map(str, numbers)), *others])

        return write

    return connected


def by_hand(order: Order) -> Callable[[], Order]:
    """1,000 rows a statement: ``unnest`` on PostgreSQL, executemany on SQLite."""
    opened, read = _written(order), reader(order["source"])

    def run() -> Order:
        write = opened()
        for many in _thousands(read):
            write(many)
        return {}

    return run


def by_hand_with_ledger(order: Order) -> Callable[[], Order]:
    """The same, with what is pending and what is done written down; 500 at a time."""
    import orjson

    opened, read = _written(order), reader(order["source"])

    def run() -> Order:
        write, ledger = opened(), Ledger(order)
        for many in _thousands(read):
            for batch in (many[:500], many[500:]):
                if batch:
                    marks = marks_of(batch)
                    ledger.pending(marks, marks[-1][0], orjson.dumps(batch))
                    write(batch)
                    ledger.done(marks)
        return {}

    return run
