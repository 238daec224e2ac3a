"""The ledger's schema, step by step (delivery 11).

A new ledger gets all tables at once. An existing one is brought up to date by the
steps it has not seen, in order, each in one transaction that also writes its number: a
kill between two steps, or inside one, leaves a ledger that the next opening goes on
with. There is no way back; a ledger with a number that this code does not know is
refused.

To change the schema: change the tables (`schema`, `schema_content`, or a module of your
own that is imported below), and append one step to `STEPS` that makes the same of an
existing ledger. Steps are written for both databases and can be repeated: `tables` and
`columns` make only what is missing.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect
from sqlalchemy.schema import CreateColumn, CreateTable

from moatbridge.errors import ConfigurationError
from moatbridge.ledger import schema_content, schema_delivery, schema_work
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.ledger.store import Store
    from moatbridge.ledger.transactions import Transaction

    Step = Callable[["Store", Transaction], None]

TABLES: Final = schema_content.TABLES


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
        connection = tx.core
        there = {column["name"] for column in inspect(connection).get_columns(table)}
        for name in names:
            if name not in there:
                column = TABLES.tables[table].columns[name]
                words = CreateColumn(column).compile(dialect=connection.dialect)
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
    there = [row[1] for row in tx.all("PRAGMA table_info(hold)")]
    names = ", ".join(column.name for column in table.columns if column.name in there)
    tx.run("ALTER TABLE hold RENAME TO hold_before")
    tx.run(str(CreateTable(table).compile(dialect=tx.core.dialect)))
    tx.run(f"INSERT INTO hold({names}) SELECT {names} FROM hold_before")
    tx.run("DROP TABLE hold_before")


STEPS: Final[tuple[Step, ...]] = (
    _missing_tables,
    _missing_tables,
    _holds_are_numbered_once,
    tables(*schema_work.NAMES),
    tables(*schema_delivery.NAMES),
    # What expired did not always say when: it is listed from the day it was held on.
    statements(
        "UPDATE hold SET expires=created WHERE decided='expire' AND expires IS NULL"
    ),
)
"""Step n brings a ledger from schema n-1 to n."""

VERSION: Final = len(STEPS)
"""Number of the newest step this code knows."""


def bring_up(store: Store) -> None:
    """Make the ledger, or bring it up to `VERSION`.

    Raises:
        ConfigurationError: ``ledger.newer-schema`` or ``ledger.foreign-schema``.
        NotApplied: ``ledger.unavailable``.
    """
    while True:
        with store.transaction("write") as tx:
            found = _version(store, tx)
            if found >= VERSION:
                return
            if found == 0:
                _make(store, tx)
            else:
                STEPS[found](store, tx)
                _note(tx, found + 1)
            crash_point("migrate.step")


def _version(store: Store, tx: Transaction) -> int:
    if not store.has_table(tx, "meta"):
        return 0
    found = None
    if {"name", "value"} <= {c["name"] for c in inspect(tx.core).get_columns("meta")}:
        found = tx.value("SELECT value FROM meta WHERE name='schema'")
    if found is None:
        raise _foreign("meta")
    if int(found) > VERSION:
        raise ConfigurationError(
            f"The ledger has schema {found}, this moatbridge knows {VERSION}: it was "
            "written by a newer version. Upgrade moatbridge; nothing was changed.",
            code="ledger.newer-schema",
        )
    return int(found)


def _make(store: Store, tx: Transaction) -> None:
    for name in TABLES.tables:
        if store.has_table(tx, name):
            raise _foreign(name)
    TABLES.create_all(tx.core, checkfirst=False)
    tx.many(
        "INSERT INTO meta(name, value) VALUES(?, ?)",
        [
            ("schema", str(VERSION)),
            ("ledger_id", secrets.token_hex(16)),
            ("epoch", "0"),
            ("created", str(tx.now())),
            ("next_link", "1"),
        ],
    )


def _note(tx: Transaction, number: int) -> None:
    tx.run("UPDATE meta SET value=? WHERE name='schema'", str(number))


def _foreign(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"The database holds a table {name!r} that is not the ledger's. Give the "
        "ledger a file, or a schema (the account's search_path), of its own; nothing "
        "was changed.",
        code="ledger.foreign-schema",
    )
