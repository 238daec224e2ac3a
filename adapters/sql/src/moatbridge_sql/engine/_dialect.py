"""The dialect strategies' base, complete by itself: any SQLAlchemy dialect works.

A refined dialect overrides one method where its server does better or different. All
values are bound; all names come from reflection and are quoted by SQLAlchemy.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from moatbridge_sql import _url
from moatbridge_sql._database import ServerFacts
from moatbridge_sql._faults import Fault, by_class

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from moatbridge_sql._columns import Values
    from moatbridge_sql._config import SqlConfig
    from moatbridge_sql._schema import Column, Table


class Raw(sa.types.UserDefinedType[Any]):
    """The driver's own value, in and out.

    Unlike ``NullType`` it does not take on the type of what it is compared with.
    """

    cache_ok = True

    def get_col_spec(self, **more: Any) -> str:
        """Never rendered: values of it are not cast."""
        del more
        return "TEXT"


RAW: Final = Raw()


class BlockStatement(NamedTuple):
    """A statement for any number of rows.

    Args:
        statement: Its parameters are named.
        parameters: Parameter -> column.
        many: It takes one row; the driver repeats it.
        told: Where the number of rows stands that it touched, if it must be all.
    """

    statement: Any
    parameters: Mapping[str, str]
    many: bool = False
    told: Literal["", "rowcount", "scalar"] = ""


class GenericDialect:
    """What every database understands: expanded comparisons, LIMIT through Core.

    Args:
        config: Settings of the system.
        read_only: The session must not write.

    Class attributes:
        loose: Values may have any type (`Database.loose`).
        enforces_timeout: The server ends long statements by itself.
        locks: ``SELECT ... FOR UPDATE`` (or an exclusive transaction) protects a
            compare-and-set.
        chunk: Keys in one ``IN``.
        write_isolation: Level of writing transactions; None for the server's default.
        missing: Refinements this dialect goes without, for `probe`.
    """

    loose: ClassVar[bool] = True
    enforces_timeout: ClassVar[bool] = False
    locks: ClassVar[bool] = False
    chunk: ClassVar[int] = 500
    write_isolation: ClassVar[Any] = None
    missing: ClassVar[tuple[str, ...]] = (
        "row comparison", "bulk upsert", "server time-outs", "error numbers",
    )  # fmt: skip

    def __init__(self, config: SqlConfig, *, read_only: bool) -> None:
        self.config = config
        self.read_only = read_only

    # --- session ---------------------------------------------------------------

    def prepare(self, connection: sa.Connection) -> ServerFacts:
        """Set the session up and tell who and where we are."""
        dialect = connection.dialect
        return ServerFacts(
            identity=self.plain_identity(),
            product=dialect.name,
            missing=self.missing,
        )

    def plain_identity(self) -> str:
        """Identity by address, where the server has nothing better."""
        url = sa.make_url(self.config.url)
        return f"{url.get_backend_name()}:{url.host}:{url.port}:{url.database}"

    def to_reading(self, connection: sa.Connection) -> None:
        """From now on each statement is a transaction of its own."""
        connection.rollback()
        self._switch(connection, "AUTOCOMMIT", writing=False)

    def to_writing(self, connection: sa.Connection) -> sa.RootTransaction:
        """Begin a transaction that writes."""
        connection.rollback()
        level = self.write_isolation or connection.default_isolation_level
        self._switch(connection, level or "SERIALIZABLE", writing=True)
        return connection.begin()

    def _switch(self, connection: sa.Connection, level: Any, *, writing: bool) -> None:
        options: dict[str, Any] = {"moatbridge_write": writing}
        if connection.dialect.name != "sqlite":  # which begins by our own statement
            options["isolation_level"] = level
        connection.execution_options(**options)

    # --- reflection --------------------------------------------------------------

    def refine(
        self, connection: sa.Connection, tables: Mapping[str, Table]
    ) -> dict[str, Table]:
        """Add what only this dialect's catalogue knows."""
        del connection
        return dict(tables)

    def estimates(self, connection: sa.Connection) -> dict[tuple[str, str], int]:
        """Row estimates from statistics, by (schema, table)."""
        del connection
        return {}

    def may_write(self, connection: sa.Connection, table: Table) -> bool | None:
        """Whether the account may change rows of the table."""
        del connection, table
        return None

    # --- reading -----------------------------------------------------------------

    def all_rows(self, result: sa.CursorResult[Any]) -> list[Any]:
        """Every row of a result, as sequences of the driver's values."""
        return list(result.all())

    def binary(self, columns: Sequence[Column]) -> bool:
        """Whether the driver reads these columns alike from their binary form."""
        del columns
        return False

    @contextlib.contextmanager
    def reading(self, connection: sa.Connection, *, binary: bool) -> Iterator[None]:
        """Values travel in binary form within; only where `binary` said so."""
        del connection, binary
        yield

    # --- values ------------------------------------------------------------------

    def bound(self, column: Column, expression: Any, value: Any) -> Any:
        """A bound value to compare a column with."""
        return sa.bindparam(None, self.adapt(column, value), type_=expression.type)

    def parameter(self, column: Column, expression: Any, name: str) -> Any:
        """A named parameter for executemany."""
        del column
        return sa.bindparam(name, type_=expression.type)

    def adapt(self, column: Column, value: Any) -> Any:
        """A driver-neutral value as the driver wants it."""
        if isinstance(value, str) and column.kind == "json":
            return json.loads(value)  # SQLAlchemy's type serialises it again
        if isinstance(value, str) and column.kind == "uuid":
            return UUID(value)
        return value

    def selected(self, column: Column, expression: Any, *, as_text: bool) -> Any:
        """How a column stands in a SELECT: the driver's value, unprocessed."""
        del column
        if as_text:
            expression = sa.cast(expression, sa.String(64))
        return sa.type_coerce(expression, RAW)

    def cursor_text(self, column: Column, expression: Any) -> Any:
        """The cursor column as the database's own text."""
        del column
        return sa.type_coerce(sa.cast(expression, sa.String(64)), sa.String())

    def cursor_bound(self, column: Column, expression: Any, text: str) -> Any:
        """The text as a value: the parameter is cast, never the column."""
        del column
        if _url.backend(self.config.url) == "sqlite":  # CAST to a date cuts there
            return sa.bindparam(None, text, type_=RAW)
        return sa.cast(sa.bindparam(None, text, type_=sa.String()), expression.type)

    def clock(self, connection: sa.Connection, column: Column) -> datetime | None:
        """The server's clock in the column's own frame (its zone, or its lack)."""
        del column
        return connection.execute(sa.select(sa.func.current_timestamp())).scalar()

    # --- conditions ----------------------------------------------------------------

    def beyond(self, columns: Sequence[Any], values: Sequence[Any]) -> Any:
        """``(a, b) > (x, y)`` in the form that every planner ranges over (sql 10)."""
        first, value = columns[0], values[0]
        if len(columns) == 1:
            return first > value
        rest = self.beyond(columns[1:], values[1:])
        return sa.and_(first >= value, sa.or_(first > value, rest))

    def among(
        self, columns: Sequence[Column], expressions: Sequence[Any], keys: Any
    ) -> Any:
        """Rows whose key is one of ``keys`` (tuples of values)."""
        if len(columns) == 1:
            column, expression = columns[0], expressions[0]
            return expression.in_(
                [self.bound(column, expression, key[0]) for key in keys]
            )
        return sa.or_(*(
            sa.and_(*(
                expression == self.bound(column, expression, value)
                for column, expression, value in zip(
                    columns, expressions, key, strict=True
                )
            ))
            for key in keys
        ))  # fmt: skip

    # --- writing -------------------------------------------------------------------

    def upsert(
        self, table: sa.Table, match: Sequence[str], names: Sequence[str]
    ) -> Any:
        """A bulk upsert for executemany, or None where rows are split instead."""
        del table, match, names
        return None

    def can_upsert(self, table: Table, match: Sequence[str]) -> bool:
        """Whether `upsert` is safe for this table and key."""
        del table, match
        return False

    def can_insert_new(
        self, table: Table, match: Sequence[str], names: Sequence[str]
    ) -> bool:
        """Whether `insert_new` may be used; else rows are looked up first."""
        del table, match, names
        return False

    def insert_new(
        self, table: Table, core: sa.Table, match: Sequence[str], columns: Any
    ) -> Any:
        """Inserts rows unless ``match`` is taken, and can tell which it inserted."""
        raise NotImplementedError

    def block_statements(
        self,
        table: Table,
        core: sa.Table,
        op: str,
        match: Sequence[str],
        columns: Mapping[str, Values],
    ) -> Sequence[BlockStatement] | None:
        """What writes a block of rows; None where they are written one by one.

        Args:
            table: Where to.
            core: The same for SQLAlchemy.
            op: As `RowWrite.op`.
            match: Columns that identify a row.
            columns: Those and the others; a text stands for all values in one.
        """
        del table, core, op, match, columns
        return None

    def adapted(self, column: Column, values: Values) -> Values:
        """`adapt` for a whole column; may put all of it into one text."""
        return [self.adapt(column, value) for value in values]

    # --- failures --------------------------------------------------------------------

    @contextlib.contextmanager
    def tolerant(self, connection: sa.Connection) -> Iterator[bool]:
        """Make the driver deliver markers for values it cannot decode.

        Yields False where the driver cannot.
        """
        del connection
        yield False

    def fault(self, error: Exception, names: Callable[[str], bool]) -> Fault:
        """What a driver's exception means; ``names`` knows the catalogue's names.

        The default goes by the DB-API's class.
        """
        del names
        original = getattr(error, "orig", None) or error
        if getattr(error, "connection_invalidated", False):
            return Fault("unreachable", type(original).__name__, lost=True)
        name = type(original).__name__
        undecoded = "decode" in str(original)
        if undecoded or isinstance(original, ValueError | ArithmeticError):
            return Fault("decode", name)
        return Fault(by_class(type(error).__name__), name)


def drivers_rows(result: sa.CursorResult[Any]) -> list[Any]:
    """The driver's own tuples: SQLAlchemy's rows cost as much again as the driver.

    Every column is of `RAW`, so nothing is left to process; the whole result is
    fetched, and never under ``yield_per``, which keeps rows back (sql 3).
    """
    cursor: Any = result.cursor
    rows = cursor.fetchall()
    result.close()
    return list(rows)
