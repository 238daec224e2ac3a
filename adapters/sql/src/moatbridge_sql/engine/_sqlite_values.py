"""What SQLite stores, tells and refuses: the same with SQLAlchemy and without.

Sources: SQLite documentation (type affinity, result codes).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moatbridge_sql import _url
from moatbridge_sql._database import ServerFacts
from moatbridge_sql._faults import Fault, by_class, by_sqlite_code
from moatbridge_sql._values import Undecodable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moatbridge_sql._config import SqlConfig
    from moatbridge_sql._schema import Column, Table

CLOCK: Final = "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')"
CHUNK: Final = 500
"""Keys in one ``IN``."""
MISSING: Final = ("server time-outs",)
INDEXES: Final = (
    'SELECT l.name, l."unique", i.name'
    " FROM pragma_index_list(:name, COALESCE(:schema, 'main')) l,"
    " pragma_index_info(l.name, COALESCE(:schema, 'main')) i"
    " WHERE l.partial = 0 ORDER BY l.name, i.seqno"
)
"""Index, whether it is unique, and its columns in order; NULL is an expression."""
_NUMBERS: Final = frozenset({"int", "decimal", "float", "any"})


def facts(config: SqlConfig) -> ServerFacts:
    """The account is the file's; there are no rights inside."""
    return ServerFacts(
        identity(config), f"SQLite {sqlite3.sqlite_version}", missing=MISSING
    )


def identity(config: SqlConfig) -> str:
    """The file's absolute path."""
    return f"sqlite:{Path(_url.database_name(config.url)).resolve()}"


def may_write(config: SqlConfig) -> bool:
    """The file's own permission."""
    return os.access(_url.database_name(config.url), os.W_OK)


def adapt(value: Any) -> Any:
    """SQLite stores numbers, text and bytes only."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return str(value)  # NUMERIC affinity makes it a number, TEXT keeps it
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return value


def cursor_value(column: Column, text: str) -> Any:
    """A cursor's text as what is stored; affinity would not make it a number."""
    value: Any = text
    if column.kind in _NUMBERS:
        with suppress(ValueError):
            value = float(text)
            value = int(text)
    return value


def moment(said: Any, config: SqlConfig) -> datetime:
    """What `CLOCK` said: UTC, or in the configured zone."""
    now = datetime.fromisoformat(str(said))
    if config.zone is None:
        return now
    return now.replace(tzinfo=UTC).astimezone(config.zone).replace(tzinfo=None)


def row_id(table: Table) -> Table:
    """INTEGER PRIMARY KEY is the row id: never NULL, and filled by SQLite."""
    key = table.primary_key
    if len(key) != 1 or table.column(key[0]).kind != "int":
        return table
    columns = tuple(
        replace(c, nullable=False, default=True) if c.name == key[0] else c
        for c in table.columns
    )
    return replace(table, columns=columns)


@contextmanager
def tolerant(connection: Any) -> Iterator[bool]:
    """Text that is not UTF-8 becomes a marker, or is decoded as configured."""
    usual, connection.text_factory = connection.text_factory, _decode
    try:
        yield True
    finally:
        connection.text_factory = usual


def _decode(raw: bytes) -> Any:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return Undecodable(raw)


def fault(error: Exception, names: Callable[[str], bool]) -> Fault:
    """By result code; column names are kept only if the catalogue knows them."""
    original = getattr(error, "orig", None) or error
    code = getattr(original, "sqlite_errorcode", None)
    if code is None:
        if "decode" in str(original):
            return Fault("decode", "utf-8")
        if isinstance(original, OverflowError):
            return Fault("value", "OverflowError")
        name = type(original).__name__
        return Fault(by_class(name), name)
    if "no such table" in str(original) or "no such column" in str(original):
        return Fault("schema", "SQLITE_ERROR")
    kind = by_sqlite_code(code)
    if kind == "unmapped":
        kind = "decode" if "decode" in str(original) else "statement"
    said = str(original).rpartition(".")[2] if kind == "constraint" else ""
    column = said if said and names(said) else None
    return Fault(kind, str(getattr(original, "sqlite_errorname", code)), column=column)
