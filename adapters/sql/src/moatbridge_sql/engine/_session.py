"""One connection to one database: opening it, reading through it, closing it.

Theory of operation. SQLAlchemy gets a connection that `_drivers` dialled, wraps it
without a pool, and stays in AUTOCOMMIT while reading: each page is one statement, and
so one short read-only transaction that has ended well when its rows are here. A write
switches to a real transaction and back. Every exception of a driver is turned into a
`Fault` and dropped *outside* its handler, so that nothing of the server's text can be
reached from the error that leaves.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied
from moatbridge_sql import _url
from moatbridge_sql._catalog import generic
from moatbridge_sql._database import Overview
from moatbridge_sql._faults import FaultError, error_of
from moatbridge_sql.engine import _drivers
from moatbridge_sql.engine._block_writing import BlockWriter
from moatbridge_sql.engine._dialect import GenericDialect
from moatbridge_sql.engine._reading import Reading
from moatbridge_sql.engine._reflection import Catalogue
from moatbridge_sql.engine._statements import Statements
from moatbridge_sql.engine._writing import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from moatbridge.adapter import Net
    from moatbridge_sql._blocks import Block
    from moatbridge_sql._config import SqlConfig
    from moatbridge_sql._database import (
        RowWrite,
        ServerFacts,
        Target,
        Written,
    )
    from moatbridge_sql._faults import Fault
    from moatbridge_sql._schema import Column, Selection, Table

T = TypeVar("T")

_REFINED: Final = {
    "postgresql": ("_postgresql", "PostgresqlDialect"),
    "mysql": ("_mysql", "MysqlDialect"),
    "sqlite": ("_sqlite", "SqliteDialect"),
}
"""Loaded where first used: each loads its driver."""
_DEFAULT_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}


def open_database(config: SqlConfig, net: Net, *, read_only: bool) -> Session:
    """Connect, check the account, and set the session up.

    Raises:
        ConfigurationError: Refused, TLS, file, privileged account.
        NotApplied: Unreachable now.
    """
    failure: MoatbridgeError
    try:
        return Session(config, net, read_only=read_only)
    except FaultError as error:
        failure = error_of(error.fault)
    raise failure


def _dialect(config: SqlConfig, *, read_only: bool) -> GenericDialect:
    module, name = _REFINED.get(_url.backend(config.url), ("", ""))
    if not module or config.dialect_mode == "generic":
        return GenericDialect(config, read_only=read_only)
    kind = getattr(importlib.import_module(f"{__package__}.{module}"), name)
    found: GenericDialect = kind(config, read_only=read_only)
    return found


class Session(Reading):
    """Implements `moatbridge_sql._database.Database`; see there for the promises."""

    def __init__(self, config: SqlConfig, net: Net, *, read_only: bool) -> None:
        self._config = config
        self._raw: Any = None
        self._connection: sa.Connection | None = None
        self._names: set[str] = set()
        self._block_writer: BlockWriter | None = None
        self._dialect = _dialect(config, read_only=read_only)
        self.loose = self._dialect.loose
        self.repeats_safely = self._dialect.enforces_timeout
        try:
            self._open(net, read_only=read_only)
        except BaseException:
            self.close()
            raise

    def _open(self, net: Net, *, read_only: bool) -> None:
        url = sa.make_url(self._config.url)
        backend = _url.backend(self._config.url)
        if backend in _DEFAULT_DRIVERS:
            url = url.set(drivername=_DEFAULT_DRIVERS[backend])
        more: dict[str, Any] = {}
        self._raw = _drivers.connect(self._config, net, read_only=read_only)
        if self._raw is not None:
            more["creator"] = lambda: self._raw
        else:
            url = self._unknown_driver(url, net)
        engine = _drivers.engine(
            url,
            poolclass=NullPool,
            hide_parameters=True,
            pool_reset_on_return="rollback",
            skip_autocommit_rollback=backend != "sqlite",  # it always says autocommit
            isolation_level="AUTOCOMMIT" if backend != "sqlite" else None,
            **more,
        )
        if backend == "sqlite":
            sa.event.listen(engine, "begin", _begin_sqlite)
        self._connection = self.run(engine.connect)
        self.facts: ServerFacts = self._read(self._dialect.prepare)
        self._refuse_privileged()

    def _unknown_driver(self, url: sa.URL, net: Net) -> sa.URL:
        _drivers.check_cleartext(self._config)
        endpoint = _url.address(self._config.url)
        if endpoint is not None:
            net.resolve(*endpoint, why="config")
        secret = self._config.password
        return url.set(password=secret.get_secret_value()) if secret else url

    def _refuse_privileged(self) -> None:
        held = self.facts.privileges
        if held and not self._config.allow_privileged:
            raise ConfigurationError(
                f"The account holds {', '.join(held)}, far more than a flow needs; use "
                "one that may only read (or write) the streams' tables, or set "
                "allow_privileged = true.",
                code="sql.privileged",
            )

    # --- running ------------------------------------------------------------------

    def connection(self) -> sa.Connection:
        """The open connection.

        Raises:
            NotApplied: ``sql.unreachable``: closed or lost.
        """
        if self._connection is None or self._connection.invalidated:
            raise NotApplied(
                "The connection is closed; open a new one.", code="sql.unreachable"
            )
        return self._connection

    def _read(self, work: Callable[[sa.Connection], T]) -> T:
        return self.run(lambda: work(self.connection()))

    def _asked(self, work: Callable[[sa.Connection], T]) -> T:
        """Like `_read`, with the public error."""
        return self.told(lambda: work(self.connection()))

    def _fault(self, error: Exception) -> Fault:
        return self._dialect.fault(error, self._names.__contains__)

    @property
    def _chunk(self) -> int:
        return self._dialect.chunk

    def _statements(self, selection: Selection) -> Statements:
        return Statements(selection, self._dialect)

    def _tolerant(self) -> contextlib.AbstractContextManager[bool]:
        return self._dialect.tolerant(self.connection())

    def _clock(self, column: Column) -> datetime | None:
        return self._dialect.clock(self.connection(), column)

    def _rows(self, statement: Any, *, binary: bool = False) -> list[Any]:
        def work(connection: sa.Connection) -> list[Any]:
            with self._dialect.reading(connection, binary=binary):
                return self._dialect.all_rows(connection.execute(statement))

        return self._read(work)

    # --- describing ---------------------------------------------------------------

    def describe(self, names: Sequence[str]) -> Mapping[str, Table]:
        """See `Database`."""

        def work(connection: sa.Connection) -> Mapping[str, Table]:
            catalogue = Catalogue(connection, self._config.schemas)
            tables = catalogue.describe(names)
            return self._dialect.refine(connection, tables)

        found = self._asked(work)
        if self._config.dialect_mode == "generic":
            found = {name: generic(table) for name, table in found.items()}
        for table in found.values():
            self._names |= {column.name for column in table.columns}
        return found

    def overview(self) -> Sequence[Overview]:
        """See `Database`."""

        def work(connection: sa.Connection) -> list[Overview]:
            catalogue = Catalogue(connection, self._config.schemas)
            tables = self._dialect.refine(connection, catalogue.everything())
            sizes = self._dialect.estimates(connection)
            return [
                Overview(
                    table,
                    sizes.get((table.schema or "", table.name)),
                    {} if table.view else catalogue.references(table),
                )
                for table in tables.values()
            ]

        return self._asked(work)

    def may_write(self, table: Table) -> bool | None:
        """See `Database`."""
        return self._asked(lambda c: self._dialect.may_write(c, table))

    # --- writing ------------------------------------------------------------------

    def write(self, target: Target, rows: Sequence[RowWrite]) -> list[Written]:
        """See `Database`."""
        writer = Writer(self, self._dialect, target)
        failure: MoatbridgeError
        try:
            return writer.write(rows)
        except FaultError as error:
            failure = error_of(error.fault)
        finally:
            self._to_reading()
        raise failure

    def write_blocks(
        self, target: Target, blocks: Sequence[Block]
    ) -> Literal["applied", "unknown"] | None:
        """See `Database`."""
        if self._block_writer is None:
            self._block_writer = BlockWriter(self, self._dialect)
        writer, failure = self._block_writer, None
        steps = writer.steps(target.table, blocks)
        if steps is None:
            return None
        try:
            return writer.write(steps)
        except FaultError as error:
            failure = error_of(error.fault)
        finally:
            self._to_reading()
        raise failure

    def _to_reading(self) -> None:
        with contextlib.suppress(Exception):
            if not self.connection().closed:
                self._dialect.to_reading(self.connection())

    # --- ending -------------------------------------------------------------------

    def abort(self) -> None:
        """See `Database`: sockets are the core's, SQLite is interrupted."""
        with contextlib.suppress(Exception):
            if hasattr(self._raw, "interrupt"):
                self._raw.interrupt()

    def close(self) -> None:
        """See `Database`."""
        connection, self._connection = self._connection, None
        raw, self._raw = self._raw, None
        for thing in (connection, raw):
            with contextlib.suppress(Exception):
                if thing is not None:
                    thing.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """SQLAlchemy's recipe: the driver begins nothing by itself (isolation None)."""
    if connection.get_execution_options().get("moatbridge_write"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
