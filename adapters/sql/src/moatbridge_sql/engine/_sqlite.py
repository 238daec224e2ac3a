"""SQLite through the standard library.

Sources: SQLite documentation (type affinity, row values, UPSERT, result codes).
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from moatbridge_sql.engine import _sqlite_values
from moatbridge_sql.engine._dialect import (
    RAW,
    BlockStatement,
    GenericDialect,
    drivers_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from moatbridge_sql._columns import Values
    from moatbridge_sql._database import ServerFacts
    from moatbridge_sql._faults import Fault
    from moatbridge_sql._schema import Column, Table

_CLOCK: Final = sa.text(_sqlite_values.CLOCK)


class SqliteDialect(GenericDialect):
    """Refinements for SQLite 3.24 and later."""

    locks: ClassVar[bool] = True  # BEGIN IMMEDIATE: there is one writer
    chunk: ClassVar[int] = _sqlite_values.CHUNK
    missing: ClassVar[tuple[str, ...]] = _sqlite_values.MISSING

    def prepare(self, connection: sa.Connection) -> ServerFacts:
        """The account is the file's; there are no rights inside."""
        del connection
        return _sqlite_values.facts(self.config)

    def plain_identity(self) -> str:
        """The file's absolute path."""
        return _sqlite_values.identity(self.config)

    def refine(
        self, connection: sa.Connection, tables: Mapping[str, Table]
    ) -> dict[str, Table]:
        """INTEGER PRIMARY KEY is the row id: never NULL, and filled by SQLite."""
        del connection
        return {key: _sqlite_values.row_id(table) for key, table in tables.items()}

    def may_write(self, connection: sa.Connection, table: Table) -> bool | None:
        """The file's own permission."""
        del connection, table
        return _sqlite_values.may_write(self.config)

    # --- reading -----------------------------------------------------------------

    def all_rows(self, result: sa.CursorResult[Any]) -> list[Any]:
        """Sqlite3's own tuples."""
        return drivers_rows(result)

    # --- values ------------------------------------------------------------------

    def bound(self, column: Column, expression: Any, value: Any) -> Any:
        """Affinity converts the parameter to the column's storage class."""
        del expression
        return sa.bindparam(None, self.adapt(column, value), type_=RAW)

    def parameter(self, column: Column, expression: Any, name: str) -> Any:
        """The same for executemany."""
        del column, expression
        return sa.bindparam(name, type_=RAW)

    def adapt(self, column: Column, value: Any) -> Any:
        """SQLite stores numbers, text and bytes only."""
        del column
        return _sqlite_values.adapt(value)

    def selected(self, column: Column, expression: Any, *, as_text: bool) -> Any:
        """The stored value, whatever its type; the decoders check it."""
        del column, as_text
        return sa.type_coerce(expression, RAW)

    def cursor_text(self, column: Column, expression: Any) -> Any:
        """``CAST(cursor AS TEXT)``; what is stored as text stays exact."""
        del column
        return sa.type_coerce(sa.cast(expression, sa.Text()), RAW)

    def cursor_bound(self, column: Column, expression: Any, text: str) -> Any:
        """Text that affinity turns into a number where the column holds numbers."""
        value = _sqlite_values.cursor_value(column, text)
        return self.bound(column, expression, value)

    def clock(self, connection: sa.Connection, column: Column) -> datetime | None:
        """UTC, or in the configured zone."""
        del column
        said = connection.execute(_CLOCK).scalar()
        return _sqlite_values.moment(said, self.config)

    def beyond(self, columns: Sequence[Any], values: Sequence[Any]) -> Any:
        """The row form: one index condition here."""
        if len(columns) == 1:
            return columns[0] > values[0]
        return sa.tuple_(*columns) > sa.tuple_(*values)

    # --- writing -------------------------------------------------------------------

    def can_upsert(self, table: Table, match: Sequence[str]) -> bool:
        """``ON CONFLICT`` needs exactly such a unique index."""
        return any(set(found) == set(match) for found in table.uniques)

    def upsert(
        self, table: sa.Table, match: Sequence[str], names: Sequence[str]
    ) -> Any:
        """``INSERT ... ON CONFLICT`` for executemany."""
        statement = sqlite.insert(table).values(
            {name: sa.bindparam(f"v{name}", type_=RAW) for name in names}
        )
        free = [name for name in names if name not in match]
        index = [table.c[name] for name in match]
        if not free:
            return statement.on_conflict_do_nothing(index_elements=index)
        return statement.on_conflict_do_update(
            index_elements=index,
            set_={table.c[name]: statement.excluded[name] for name in free},
        )

    def block_statements(
        self,
        table: Table,
        core: sa.Table,
        op: str,
        match: Sequence[str],
        columns: Mapping[str, Values],
    ) -> Sequence[BlockStatement] | None:
        """Executemany of plain tuples; SQLite has no round trips to save."""
        at = {name: table.places[name] for name in columns}
        named = {f"v{place}": name for name, place in at.items()}
        keys, places = [at[name] for name in match], list(at.values())
        if op == "update":
            return [_each(_update(core, keys, places), named, told="rowcount")]
        if not self.can_upsert(table, match):
            return None
        if op == "upsert":
            return [_each(self.upsert(core, keys, places), named)]
        made = self.upsert(core, keys, keys).values(_bound(places))
        return [_each(made, named, told="rowcount")]

    def adapted(self, column: Column, values: Values) -> Values:
        """`adapt`, where any value needs it."""
        kinds = set(map(type, values))
        if kinds <= _STORED:
            return values
        if kinds <= _BOOLEAN:
            return [value if value is None else int(value) for value in values]
        if kinds <= _MOMENT:
            return [value and value.isoformat(" ") for value in values]
        return [self.adapt(column, value) for value in values]

    # --- failures --------------------------------------------------------------------

    @contextlib.contextmanager
    def tolerant(self, connection: sa.Connection) -> Iterator[bool]:
        """Text that is not UTF-8 becomes a marker, or is decoded as configured."""
        with _sqlite_values.tolerant(connection.connection.driver_connection) as can:
            yield can

    def fault(self, error: Exception, names: Callable[[str], bool]) -> Fault:
        """By result code; column names are kept only if the catalogue knows them."""
        return _sqlite_values.fault(error, names)


_each: Final = partial(BlockStatement, many=True)


def _bound(places: Sequence[str]) -> dict[str, Any]:
    return {place: sa.bindparam(f"v{place}", type_=RAW) for place in places}


def _update(table: sa.Table, keys: Sequence[str], places: Sequence[str]) -> Any:
    bound = _bound(places)
    where = [table.c[place] == bound.pop(place) for place in keys]
    return table.update().values(bound).where(*where)


_STORED: Final = frozenset({int, float, str, bytes, type(None)})
_BOOLEAN: Final = frozenset({bool, type(None)})
_MOMENT: Final = frozenset({datetime, type(None)})
