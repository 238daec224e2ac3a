"""One open transaction, the same to its users on either database.

Statements are written once, with ``?`` for each value and in the SQL that both
databases understand. For PostgreSQL they are rewritten on their first use and
remembered: placeholders become ``%s``, and a long ``IN (?,?,...)`` becomes one array,
so that the server sees one statement however many values there are.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.ledger.clock import boot_clock, boot_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from sqlite3 import Connection as SqliteConnection

    from sqlalchemy.engine import Connection

CHANNEL: Final = "'moatbridge_' || left(md5(current_schema()), 16)"
"""SQL for the name under which one ledger of a PostgreSQL database tells its news."""

_TELL: Final = f"SELECT pg_notify({CHANNEL}, %s)"

_LONG: Final = 5
"""From so many values on, a list travels as one array."""

_TOKEN: Final = re.compile(
    r"(?P<quoted>'(?:[^']|'')*'|\"[^\"]*\")"
    r"|\b(?P<no>NOT )?IN ?\((?P<list>\?(?:, ?\?)*)\)"
    r"|(?P<hole>\?)|(?P<percent>%)"
)
_INSERT: Final = re.compile(r"\s*INSERT INTO (\w+)")


class Transaction(ABC):
    """One open transaction. Rows come as tuples; a batch is one round trip."""

    __slots__ = ("_now",)

    for_update = ""
    """Ends a SELECT whose rows nobody else may change before this transaction ends."""
    skip_locked = ""
    """The same, passing over rows that somebody else is changing right now."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    @property
    @abstractmethod
    def core(self) -> Connection:
        """This transaction as SQLAlchemy knows it; what changes the schema needs it."""

    @abstractmethod
    def all(self, sql: str, *params: Any) -> Sequence[Any]:
        """Every row."""

    @abstractmethod
    def one(self, sql: str, *params: Any) -> Any:
        """The first row, or None."""

    def value(self, sql: str, *params: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.one(sql, *params)
        return None if row is None else row[0]

    @abstractmethod
    def run(self, sql: str, *params: Any) -> int:
        """Execute; the number of rows touched."""

    @abstractmethod
    def insert(self, sql: str, *params: Any) -> int:
        """Execute an INSERT into a table that numbers its rows; the new number."""

    @abstractmethod
    def many(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute once per row, in one call; nothing for no rows."""

    def tell(self, flow_id: int) -> None:
        """Let every process that listens know, once this commits: a flow has work.

        Without effect where the database tells nobody anything.
        """
        del flow_id

    def now(self) -> float:
        """The ledger's wall time: POSIX seconds."""
        return self._now()

    def lease_clock(self) -> tuple[int, str]:
        """Milliseconds of the clock that leases count by, and what it belongs to."""
        return boot_clock(), boot_id()


class SqliteTransaction(Transaction):
    """On SQLite, through the driver's own connection."""

    __slots__ = ("_raw",)

    def __init__(self, raw: SqliteConnection, now: Callable[[], float]) -> None:
        super().__init__(now)
        self._raw: Any = raw

    @property
    def core(self) -> Connection:
        """A connection of SQLAlchemy's over the driver's; made for who asks for it."""
        from moatbridge.ledger.sqlite_connections import core_of  # noqa: PLC0415 - rare

        return core_of(self._raw)

    def all(self, sql: str, *params: Any) -> Sequence[Any]:
        """Every row."""
        rows: Sequence[Any] = self._raw.execute(sql, params).fetchall()
        return rows

    def one(self, sql: str, *params: Any) -> Any:
        """The first row, or None."""
        cursor = self._raw.execute(sql, params)
        row = cursor.fetchone()
        cursor.close()  # a statement that is not at its end would hold its snapshot
        return row

    def run(self, sql: str, *params: Any) -> int:
        """Execute; the number of rows touched."""
        return int(self._raw.execute(sql, params).rowcount)

    def insert(self, sql: str, *params: Any) -> int:
        """Execute an INSERT into a table that numbers its rows; the new number."""
        return int(self._raw.execute(sql, params).lastrowid)

    def many(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute once per row, in one call; nothing for no rows."""
        if rows:
            self._raw.executemany(sql, rows)


class PostgresTransaction(Transaction):
    """The same on PostgreSQL, through the driver's own cursors."""

    __slots__ = ("_core", "_lease_ms", "_raw")

    for_update = " FOR UPDATE"
    skip_locked = " FOR UPDATE SKIP LOCKED"

    def __init__(
        self, connection: Connection, raw: Any, now: Callable[[], float], lease_ms: int
    ) -> None:
        super().__init__(now)
        self._core = connection
        self._raw = raw
        self._lease_ms = lease_ms

    @property
    def core(self) -> Connection:
        """The connection that the driver's belongs to."""
        return self._core

    def _execute(self, sql: str, params: tuple[Any, ...]) -> Any:
        text, lists = portable(sql)
        cursor = self._raw.cursor()
        cursor.execute(text, _grouped(params, lists) if lists else params)
        return cursor

    def all(self, sql: str, *params: Any) -> Sequence[Any]:
        """Every row."""
        rows: Sequence[Any] = self._execute(sql, params).fetchall()
        return rows

    def one(self, sql: str, *params: Any) -> Any:
        """The first row, or None."""
        return self._execute(sql, params).fetchone()

    def run(self, sql: str, *params: Any) -> int:
        """Execute; the number of rows touched."""
        return int(self._execute(sql, params).rowcount)

    def insert(self, sql: str, *params: Any) -> int:
        """Execute an INSERT into a table that numbers its rows; the new number."""
        return int(self._execute(_returning(sql), params).fetchone()[0])

    def many(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute for every row, at once or in one pipeline; nothing for no rows."""
        if not rows:
            return
        from moatbridge.ledger import batches  # noqa: PLC0415 - brings SQLAlchemy

        plain = batches.batch(sql) if len(rows) >= batches.FEWEST else None
        if plain and (arrays := plain.arrays(rows)):
            self._raw.cursor().execute(plain.text, arrays)
            return
        text, lists = portable(sql)
        values = [_grouped(row, lists) for row in rows] if lists else list(rows)
        self._raw.cursor().executemany(text, values)

    def tell(self, flow_id: int) -> None:
        """``NOTIFY``, which PostgreSQL sends with the commit, once for one flow."""
        self._raw.cursor().execute(_TELL, (str(flow_id),))

    def lease_clock(self) -> tuple[int, str]:
        """Milliseconds of the server's clock as this transaction began."""
        return self._lease_ms, ""


class Portable(NamedTuple):
    """A statement as PostgreSQL's driver takes it.

    Args:
        text: With ``%s`` for each value.
        lists: (first, behind the last) value of each list that travels as an array.
    """

    text: str
    lists: tuple[tuple[int, int], ...]


@lru_cache(maxsize=2048)
def portable(sql: str) -> Portable:
    """Rewrite one statement; ``?`` and ``%`` inside quotes mean themselves."""
    values, lists = 0, []

    def rewritten(found: re.Match[str]) -> str:
        nonlocal values
        if found["hole"]:
            values += 1
            return "%s"
        if not found["list"]:
            return found[0].replace("%", "%%")
        count = found["list"].count("?")
        first, values = values, values + count
        if count < _LONG:
            return found[0].replace("?", "%s")
        lists.append((first, values))
        return f"{'<> ALL' if found['no'] else '= ANY'}(%s)"

    text = _TOKEN.sub(rewritten, sql)
    return Portable(text, tuple(lists))


def _grouped(
    params: tuple[Any, ...], lists: tuple[tuple[int, int], ...]
) -> tuple[Any, ...]:
    grouped: list[Any] = []
    at = 0
    for first, behind in lists:
        grouped += params[at:first]
        grouped.append(list(params[first:behind]))
        at = behind
    return (*grouped, *params[at:])


@lru_cache(maxsize=256)
def _returning(sql: str) -> str:
    from moatbridge.ledger.tables import TABLES  # noqa: PLC0415 - brings SQLAlchemy

    found = _INSERT.match(sql)
    name = found[1] if found else ""
    columns = TABLES.tables[name].primary_key.columns
    return f"{sql} RETURNING {next(iter(columns)).name}"
