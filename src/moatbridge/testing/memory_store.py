"""Rows of a memory system: one SQLite database, in memory or shared by processes.

A file survives ``kill -9`` of every process that uses it, which is what a proof about
keyed targets needs. All statements run inside `Store.transaction`, one at a time.
"""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
import threading
import uuid
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stream (name TEXT PRIMARY KEY, spec TEXT, floor INT);
CREATE TABLE IF NOT EXISTS record (
  stream TEXT, id TEXT, name TEXT, part INT, version INT, hidden INT, data TEXT,
  PRIMARY KEY (stream, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS record_part ON record (stream, part, id);
CREATE TABLE IF NOT EXISTS log (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT, id TEXT, op TEXT);
CREATE INDEX IF NOT EXISTS log_stream ON log (stream, seq);
CREATE TABLE IF NOT EXISTS effect (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT, key TEXT, op TEXT, id TEXT);
CREATE INDEX IF NOT EXISTS effect_key ON effect (key);
CREATE TABLE IF NOT EXISTS answered (
  stream TEXT, key TEXT, receipt TEXT, PRIMARY KEY (stream, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settled (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT, cursor TEXT);
"""


class Store:
    """One connection and one lock; the file's own lock keeps processes apart.

    Args:
        path: The file; None keeps everything in this process's memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._base = sqlite3.connect(
            str(path) if path else ":memory:",
            isolation_level=None,
            check_same_thread=False,
            timeout=30,
        )
        if path:
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=NORMAL")  # survives kill -9
        with self.transaction():
            for statement in _SCHEMA.split(";"):
                self.run(statement)
            self.run("INSERT OR IGNORE INTO meta VALUES (?,?)", "id", str(uuid.uuid4()))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; nests."""
        with self._lock:
            if self._depth:
                yield
                return
            self._base.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
                self._base.execute("COMMIT")
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0

    def run(self, statement: str, *values: Any) -> int:
        """Execute; returns the number of rows changed."""
        return self._base.execute(statement, values).rowcount

    def insert(self, statement: str, *values: Any) -> int:
        """Execute an insert; returns the row id."""
        return self._base.execute(statement, values).lastrowid or 0

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._lock:
            return self._base.execute(statement, values).fetchall()

    def one(self, statement: str, *values: Any) -> Any:
        """The first column of the first row, or None."""
        found = self.rows(statement, *values)
        return found[0][0] if found else None

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._base.close()


def dump(value: Any) -> str:
    """Plain Python values as JSON text, types that JSON lacks tagged."""
    return json.dumps(value, default=_tag, ensure_ascii=False, sort_keys=True)


def load(text: str) -> Any:
    """The values that `dump` wrote."""
    return json.loads(text, object_hook=_untag)


def _tag(value: Any) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    for kind in (datetime, date, time):  # a datetime is a date too: it comes first
        if isinstance(value, kind):
            return {f"${kind.__name__}": value.isoformat()}
    raise TypeError(f"a memory system cannot hold a {type(value).__name__}")


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "$bytes": base64.b64decode,
    "$decimal": Decimal,
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
}


def _untag(value: dict[str, Any]) -> Any:
    if len(value) == 1:
        (name, held), *_ = value.items()
        if name in _READERS and isinstance(held, str):
            return _READERS[name](held)
    return value
