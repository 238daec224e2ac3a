"""The ledger's schema, step by step (delivery 11).

A new ledger gets all tables at once. An existing one is brought up to date by the
steps it has not seen, in order, each in one transaction that also writes its number: a
kill between two steps, or inside one, leaves a ledger that the next opening goes on
with. There is no way back; a ledger with a number that this code does not know is
refused.

To change the schema: change the tables (`schema`, `schema_content`, or a module of your
own that `tables` imports), append one step to `steps.STEPS` that makes the same of an
existing ledger, count it in `VERSION`, and run scripts/reference.py, which writes
`SCRIPT`. Steps are written for both databases and can be repeated: `tables` and
`columns` make only what is missing.

Steps and tables are loaded only where they are needed: they bring SQLAlchemy.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moatbridge.errors import ConfigurationError
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moatbridge.ledger.store import Store
    from moatbridge.ledger.transactions import Transaction

SCRIPT: Final = Path(__file__).with_name("sqlite.sql")
"""All tables for SQLite, as SQLAlchemy words them (`steps.script`); a test compares."""

_TABLE: Final = re.compile(r'^CREATE TABLE "?(\w+)', re.MULTILINE)

VERSION: Final = 6
"""Number of the newest step this code knows: how many `steps.STEPS` there are."""


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
                from moatbridge.ledger import steps  # noqa: PLC0415 - brings SQLAlchemy

                steps.STEPS[found](store, tx)
                _note(tx, found + 1)
            crash_point("migrate.step")


def _version(store: Store, tx: Transaction) -> int:
    if not store.has_table(tx, "meta"):
        return 0
    found = None
    if {"name", "value"} <= store.columns(tx, "meta"):
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
    if store.kind == "sqlite":
        _make_by_script(store, tx)
    else:
        _make_by_tables(store, tx)
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


def _make_by_script(store: Store, tx: Transaction) -> None:
    made = SCRIPT.read_text(encoding="utf-8").split(";\n")[:-1]
    _refuse_others(store, tx, [found[1] for found in map(_TABLE.search, made) if found])
    for statement in made:
        tx.run(statement)


def _make_by_tables(store: Store, tx: Transaction) -> None:
    from moatbridge.ledger import steps  # noqa: PLC0415 - brings SQLAlchemy

    _refuse_others(store, tx, steps.TABLES.tables)
    steps.make(tx)


def _refuse_others(store: Store, tx: Transaction, names: Iterable[str]) -> None:
    for name in names:
        if store.has_table(tx, name):
            raise _foreign(name)


def _note(tx: Transaction, number: int) -> None:
    tx.run("UPDATE meta SET value=? WHERE name='schema'", str(number))


def _foreign(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"The database holds a table {name!r} that is not the ledger's. Give the "
        "ledger a file, or a schema (the account's search_path), of its own; nothing "
        "was changed.",
        code="ledger.foreign-schema",
    )
