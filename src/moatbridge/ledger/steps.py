"""What brings a ledger from one schema to the next; see `migrations`.

Loaded only where a ledger is brought up to date, or made on PostgreSQL: it needs
SQLAlchemy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import create_mock_engine
from sqlalchemy.schema import CreateColumn, CreateTable

from moatbridge.ledger.tables import DELIVERY, TABLES, WORK

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.schema import ExecutableDDLElement

    from moatbridge.ledger.store import Store
    from moatbridge.ledger.transactions import Transaction

    Step = Callable[["Store", Transaction], None]

__all__ = ["STEPS", "TABLES", "columns", "make", "script", "statements", "tables"]

_MADE: Final = (
    "-- All tables of a new ledger, from `tables`; made by scripts/reference.py."
)


def tables(*names: str) -> Step:
    """A step that makes tables, as they are described now, where they are missing."""

    def made(_store: Store, tx: Transaction) -> None:
        wanted = [TABLES.tables[name] for name in names]
        TABLES.create_all(tx.core, tables=wanted)

    return made


def columns(table: str, *names: str) -> Step:
    """A step that adds columns, as they are described now, where they are missing.

    They must be nullable or have a server default.
    """

    def added(store: Store, tx: Transaction) -> None:
        if not store.has_table(tx, table):
            return
        dialect, there = tx.core.dialect, store.columns(tx, table)
        for name in names:
            if name not in there:
                column = TABLES.tables[table].columns[name]
                words = CreateColumn(column).compile(dialect=dialect)
                tx.run(f'ALTER TABLE "{table}" ADD COLUMN {words}')

    return added


def statements(*texts: str) -> Step:
    """A step of plain statements, which must be harmless when repeated."""

    def run(_store: Store, tx: Transaction) -> None:
        for text in texts:
            tx.run(text)

    return run


def _missing_tables(_store: Store, tx: Transaction) -> None:
    """The first ledgers grew by new tables only, some of them without a number."""
    TABLES.create_all(tx.core)


def _holds_are_numbered_once(store: Store, tx: Transaction) -> None:
    """A hold's number is never used again: a person may still look at the old one.

    SQLite's first ledgers did not promise that, and such a table cannot be altered. The
    highest number that was ever decided on is not known; none above the highest that is
    there was shown for long.
    """
    if store.kind != "sqlite":
        return
    made = tx.value("SELECT sql FROM sqlite_master WHERE type='table' AND name='hold'")
    if made is None or "AUTOINCREMENT" in made.upper():
        return
    table = TABLES.tables["hold"]
    there = store.columns(tx, "hold")
    names = ", ".join(column.name for column in table.columns if column.name in there)
    tx.run("ALTER TABLE hold RENAME TO hold_before")
    tx.run(str(CreateTable(table).compile(dialect=tx.core.dialect)))
    tx.run(f"INSERT INTO hold({names}) SELECT {names} FROM hold_before")
    tx.run("DROP TABLE hold_before")


STEPS: Final[tuple[Step, ...]] = (
    _missing_tables,
    _missing_tables,
    _holds_are_numbered_once,
    tables(*WORK),
    tables(*DELIVERY),
    # What expired did not always say when: it is listed from the day it was held on.
    statements(
        "UPDATE hold SET expires=created WHERE decided='expire' AND expires IS NULL"
    ),
)
"""Step n brings a ledger from schema n-1 to n; `migrations.VERSION` counts them."""


def make(tx: Transaction) -> None:
    """All tables, in a database that holds none of them."""
    TABLES.create_all(tx.core, checkfirst=False)


def script() -> str:
    """The same for SQLite, as text: what scripts/reference.py writes to a file."""
    said: list[str] = []

    def note(statement: ExecutableDDLElement, *_values: object) -> None:
        text = str(statement.compile(dialect=engine.dialect)).strip()
        said.append("\n".join(line.rstrip() for line in text.splitlines()))

    engine = create_mock_engine("sqlite://", note)
    TABLES.create_all(engine, checkfirst=False)
    return f"{_MADE}\n" + ";\n".join([*said, ""])
