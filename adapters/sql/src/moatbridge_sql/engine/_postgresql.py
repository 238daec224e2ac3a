"""PostgreSQL through psycopg 3.

Sources: PostgreSQL manual (row comparison 9.24.6, ``unnest`` 9.19, ``ON CONFLICT``,
``pg_control_system`` 9.27, ``format_type`` 9.26); psycopg 3 "Data adaptation".
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final
from zoneinfo import ZoneInfo

import psycopg
import sqlalchemy as sa

from moatbridge_sql._database import ServerFacts
from moatbridge_sql._faults import Fault, by_class, by_sqlstate
from moatbridge_sql.engine import _loaders
from moatbridge_sql.engine._arrays import ArrayWriting, Native
from moatbridge_sql.engine._dialect import (
    RAW,
    drivers_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from moatbridge_sql._columns import Values
    from moatbridge_sql._schema import Column, Table

    Given = Mapping[str, Values]

_FACTS: Final = sa.text(
    "SELECT current_user, current_setting('TimeZone'),"
    " current_setting('server_version'), set_config('TimeZone', 'UTC', false),"
    " pg_is_in_recovery(),"
    " r.rolsuper, r.rolcreaterole, r.rolbypassrls,"
    " (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()),"
    " has_function_privilege('pg_control_system()', 'EXECUTE')"
    " FROM pg_roles r WHERE r.rolname = current_user"
)
_SYSTEM: Final = sa.text("SELECT system_identifier FROM pg_control_system()")
_RAW_BYTES: Final = sa.text(
    "SELECT set_config('client_encoding', current_setting('server_encoding'), false)"
)
_TYPES: Final = sa.text(
    "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, -1),"
    " a.attgenerated <> '' OR a.attidentity = 'a', t.typname,"
    " pg_table_is_visible(c.oid)"
    " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_type t ON t.oid = a.atttypid"
    " WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relname = ANY(:names)"
)
_ESTIMATES: Final = sa.text(
    "SELECT n.nspname, c.relname, c.reltuples::bigint, pg_table_is_visible(c.oid)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'm', 'f') AND c.reltuples >= 0"
)
_MAY_WRITE: Final = sa.text(
    "SELECT bool_or(has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE'))"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relname = :name AND CASE WHEN :schema = ''"
    " THEN pg_table_is_visible(c.oid) ELSE n.nspname = :schema END"
)


_BINARY: Final = frozenset({
    "smallint", "integer", "bigint", "boolean", "double precision", "numeric", "text",
    "character varying", "character", "date", "timestamp without time zone",
    "timestamp with time zone", "uuid", "bytea",
})  # fmt: skip


class BinaryCursor(psycopg.Cursor[Any]):
    """Asks the server for binary values."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.format = psycopg.pq.Format.BINARY


class PostgresqlDialect(ArrayWriting):
    """Refinements for PostgreSQL 12 and later."""

    loose: ClassVar[bool] = False
    enforces_timeout: ClassVar[bool] = True
    locks: ClassVar[bool] = True
    chunk: ClassVar[int] = 1000
    write_isolation: ClassVar[Any] = "READ COMMITTED"
    missing: ClassVar[tuple[str, ...]] = ()
    zone = "UTC"

    def prepare(self, connection: sa.Connection) -> ServerFacts:
        """One statement tells who we are and sets the session's zone to UTC."""
        row = connection.execute(_FACTS).one()
        self.zone = str(row[1])
        rights = ("SUPERUSER", "CREATEROLE", "BYPASSRLS")
        privileges = tuple(
            name for name, held in zip(rights, row[5:8], strict=True) if held
        )
        identity = self.plain_identity()
        if row[9]:
            identity = f"postgresql:{connection.execute(_SYSTEM).scalar()}:{row[8]}"
        replica = ("this is a replica: scans may lag behind",) if row[4] else ()
        self._text_codec(connection)
        return ServerFacts(
            identity, f"PostgreSQL {row[2]}", str(row[0]), privileges, replica
        )

    def to_writing(self, connection: sa.Connection) -> sa.RootTransaction:
        """Constraints are checked per statement: a COMMIT never fails for data."""
        begun = super().to_writing(connection)
        connection.execute(sa.text("SET CONSTRAINTS ALL IMMEDIATE"))
        return begun

    def refine(
        self, connection: sa.Connection, tables: Mapping[str, Table]
    ) -> dict[str, Table]:
        """Add the server's own type names, for casts that keep the index usable."""
        names = sorted({table.name for table in tables.values()})
        found: dict[tuple[str, str, str], Any] = {}
        for schema, name, column, native, fixed, type_, visible in connection.execute(
            _TYPES, {"names": names}
        ):
            found[schema, name, column] = (native, fixed, type_)
            if visible:
                found["", name, column] = (native, fixed, type_)
        refined = {}
        for key, table in tables.items():
            place = (table.schema or "", table.name)
            columns = [_refined(c, found.get((*place, c.name))) for c in table.columns]
            refined[key] = replace(table, columns=tuple(columns))
        return refined

    def estimates(self, connection: sa.Connection) -> dict[tuple[str, str], int]:
        """``pg_class.reltuples``."""
        found: dict[tuple[str, str], int] = {}
        for schema, name, count, visible in connection.execute(_ESTIMATES):
            found[schema, name] = count
            if visible:
                found["", name] = count
        return found

    def may_write(self, connection: sa.Connection, table: Table) -> bool | None:
        """``has_table_privilege``."""
        place = {"name": table.name, "schema": table.schema or ""}
        return bool(connection.execute(_MAY_WRITE, place).scalar())

    # --- reading -----------------------------------------------------------------

    def all_rows(self, result: sa.CursorResult[Any]) -> list[Any]:
        """Psycopg's own tuples; libpq has the whole answer already."""
        return drivers_rows(result)

    def binary(self, columns: Sequence[Column]) -> bool:
        """Where psycopg gives the same values from either form, the binary is cheaper.

        Not for types it does not know (their text is the value), for ``real`` (the
        binary form shows digits that were never there) and text in a codec of ours.
        """
        plain = all(column.native in _BINARY for column in columns)
        return plain and self.config.text_encoding is None

    @contextlib.contextmanager
    def reading(self, connection: sa.Connection, *, binary: bool) -> Iterator[None]:
        """Cursors that ask for binary results."""
        driver: Any = connection.connection.driver_connection
        usual = driver.cursor_factory
        if binary:
            driver.cursor_factory = BinaryCursor
        try:
            yield
        finally:
            driver.cursor_factory = usual

    # --- values ------------------------------------------------------------------

    def bound(self, column: Column, expression: Any, value: Any) -> Any:
        """Cast to the column's own type, so that the index stays usable."""
        del expression
        parameter = sa.bindparam(None, self.adapt(column, value), type_=RAW)
        return sa.cast(parameter, Native(column.native)) if column.native else parameter

    def parameter(self, column: Column, expression: Any, name: str) -> Any:
        """The same for executemany."""
        del expression
        parameter = sa.bindparam(name, type_=RAW)
        return sa.cast(parameter, Native(column.native)) if column.native else parameter

    def adapt(self, column: Column, value: Any) -> Any:
        """Psycopg takes plain values as they are."""
        del column
        return value

    def selected(self, column: Column, expression: Any, *, as_text: bool) -> Any:
        """Intervals as ISO text: psycopg would turn a month into 30 days."""
        if as_text or column.kind == "interval":
            expression = sa.cast(expression, sa.Text())
        return sa.type_coerce(expression, RAW)

    def cursor_text(self, column: Column, expression: Any) -> Any:
        """``CAST(cursor AS text)``: exact."""
        del column
        return sa.type_coerce(sa.cast(expression, sa.Text()), RAW)

    def cursor_bound(self, column: Column, expression: Any, text: str) -> Any:
        """The text, cast back to the column's type."""
        return self.bound(column, expression, text)

    def clock(self, connection: sa.Connection, column: Column) -> datetime | None:
        """UTC for zoned columns; else in the configured or the server's own zone."""
        now: datetime | None = connection.execute(
            sa.select(sa.func.clock_timestamp())
        ).scalar()
        if now is None or column.kind == "zoned":
            return now
        zone = self.config.zone
        with contextlib.suppress(KeyError, ValueError):
            zone = zone or ZoneInfo(self.zone)
        return now.astimezone(zone).replace(tzinfo=None) if zone else None

    # --- conditions ----------------------------------------------------------------

    def beyond(self, columns: Sequence[Any], values: Sequence[Any]) -> Any:
        """The row form: one index condition here."""
        if len(columns) == 1:
            return columns[0] > values[0]
        return sa.tuple_(*columns) > sa.tuple_(*values)

    def among(
        self, columns: Sequence[Column], expressions: Sequence[Any], keys: Any
    ) -> Any:
        """``key = ANY(array)``; compound keys through ``unnest``."""
        if not all(column.native for column in columns):
            return super().among(columns, expressions, keys)
        return self.among_arrays(expressions, [
            self.array(column, [key[index] for key in keys])
            for index, column in enumerate(columns)
        ])  # fmt: skip

    # --- failures --------------------------------------------------------------------

    @contextlib.contextmanager
    def tolerant(self, connection: sa.Connection) -> Iterator[bool]:
        """Pure-Python loaders that return a marker; three times slower."""
        with _loaders.tolerant(connection.connection.driver_connection):
            yield True

    def fault(self, error: Exception, names: Callable[[str], bool]) -> Fault:
        """By SQLSTATE; constraint and column from the diagnostics' own fields."""
        original = getattr(error, "orig", None) or error
        if not isinstance(original, psycopg.Error):
            return super().fault(error, names)
        state = original.sqlstate
        lost = bool(getattr(error, "connection_invalidated", False))
        if state is None:
            if lost or isinstance(original, psycopg.OperationalError):
                return Fault("unreachable", type(original).__name__, lost=True)
            decode = isinstance(original, psycopg.DataError)
            name = type(original).__name__
            return Fault("decode" if decode else by_class(name), name)
        return Fault(
            by_sqlstate(state),
            state,
            constraint=original.diag.constraint_name,
            column=original.diag.column_name,
            lost=lost,
        )

    def _text_codec(self, connection: sa.Connection) -> None:
        """For databases that lie: the server's own bytes, and the configured codec."""
        codec = self.config.text_encoding
        if codec is None:
            return
        connection.execute(_RAW_BYTES)
        _loaders.recode(connection.connection.driver_connection, codec)


def _refined(column: Column, found: Any) -> Column:
    if found is None:
        return column
    native, fixed, type_ = found
    padded = type_ == "bpchar"
    folded = column.folded or type_ == "citext"
    return replace(column, native=native, generated=fixed, padded=padded, folded=folded)
