"""A SQLite file that is only read, without SQLAlchemy.

Loading SQLAlchemy takes longer than a poll of a file that somebody changed a little,
and a fifth of the memory of a whole run. What is not plain reading of plain tables is
handed to a `Session` of its own, opened where it is first needed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from moatbridge.errors import NotApplied
from moatbridge_sql.engine import _sqlite_catalogue, _sqlite_file, _sqlite_values
from moatbridge_sql.engine._reading import Reading
from moatbridge_sql.engine._sqlite_selects import SqliteSelects

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from moatbridge.adapter import Net
    from moatbridge_sql._blocks import Block
    from moatbridge_sql._config import SqlConfig
    from moatbridge_sql._database import Overview, RowWrite, Target, Written
    from moatbridge_sql._faults import Fault
    from moatbridge_sql._schema import Column, Selection, Table
    from moatbridge_sql.engine._session import Session


class PlainSession(Reading):
    """Implements `moatbridge_sql._database.Database`; see there for the promises."""

    loose = True
    repeats_safely = False

    def __init__(self, config: SqlConfig, net: Net) -> None:
        self._config = config
        self._net = net
        self._names: set[str] = set()
        self._whole: Session | None = None
        self._closed = False
        self._raw: sqlite3.Connection = self.told(
            lambda: _sqlite_file.connect(config, read_only=True)
        )
        self.facts = _sqlite_values.facts(config)

    def _session(self) -> Session:
        """All that SQLAlchemy can, over a connection of its own."""
        if self._whole is None:
            from moatbridge_sql.engine._session import Session  # noqa: PLC0415 - brings SQLAlchemy

            self._connected()
            self._whole = Session(self._config, self._net, read_only=True)
        return self._whole

    def _connected(self) -> sqlite3.Connection:
        if self._closed:
            raise NotApplied(
                "The connection is closed; open a new one.", code="sql.unreachable"
            )
        return self._raw

    # --- what `Reading` asks for ----------------------------------------------------

    @property
    def _chunk(self) -> int:
        return _sqlite_values.CHUNK

    def _statements(self, selection: Selection) -> SqliteSelects:
        return SqliteSelects(selection)

    def _rows(self, statement: Any, *, binary: bool = False) -> list[Any]:
        del binary
        return self.run(lambda: self._connected().execute(*statement).fetchall())

    def _tolerant(self) -> AbstractContextManager[bool]:
        return _sqlite_values.tolerant(self._connected())

    def _clock(self, column: Column) -> datetime | None:
        del column
        said = self._connected().execute(_sqlite_values.CLOCK).fetchone()[0]
        return _sqlite_values.moment(said, self._config)

    def _fault(self, error: Exception) -> Fault:
        return _sqlite_values.fault(error, self._names.__contains__)

    # --- the rest of `Database` -------------------------------------------------------

    def describe(self, names: Sequence[str]) -> Mapping[str, Table]:
        """See `Database`."""
        found: Mapping[str, Table] | None = self.told(
            lambda: _sqlite_catalogue.described(self._connected(), names)
        )
        if found is None:
            found = self._session().describe(names)
        for table in found.values():
            self._names |= {column.name for column in table.columns}
        return found

    def overview(self) -> Sequence[Overview]:
        """See `Database`."""
        return self._session().overview()

    def may_write(self, table: Table) -> bool | None:
        """The file's own permission."""
        del table
        return _sqlite_values.may_write(self._config)

    def write(self, target: Target, rows: Sequence[RowWrite]) -> list[Written]:
        """See `Database`; it was opened for reading, and says so."""
        return self._session().write(target, rows)

    def write_blocks(
        self, target: Target, blocks: Sequence[Block]
    ) -> Literal["applied", "unknown"] | None:
        """See `Database`; it was opened for reading, and says so."""
        return self._session().write_blocks(target, blocks)

    def abort(self) -> None:
        """See `Database`."""
        with suppress(Exception):
            self._raw.interrupt()
        if self._whole is not None:
            self._whole.abort()

    def close(self) -> None:
        """See `Database`."""
        self._closed = True
        with suppress(Exception):
            self._raw.close()
        if self._whole is not None:
            self._whole.close()
