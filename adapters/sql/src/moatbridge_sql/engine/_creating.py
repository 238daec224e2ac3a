"""Creating rows without ever changing one (specification: sql, section E).

Theory of operation. A row whose key is taken is either ours, made by an attempt whose
answer was lost, or somebody else's: a login is no proof. It counts as ours only if it
holds exactly what we send, and then there is nothing left to do; anything else is a
conflict. Where the server tells which rows of one statement it made (PostgreSQL), the
rows go first and only the others are read and compared. Elsewhere the rows are looked
up first, locked; a row that comes in between runs into the unique index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from moatbridge_sql._database import Written
from moatbridge_sql._faults import Fault, FaultError
from moatbridge_sql._sameness import same

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from moatbridge_sql._schema import Table
    from moatbridge_sql.engine._batching import PendingRow
    from moatbridge_sql.engine._dialect import GenericDialect
    from moatbridge_sql.engine._row_statements import RowStatements


class Creator:
    """Creates rows of one shape: the same ``match`` and ``values`` columns."""

    def __init__(
        self, statements: RowStatements, dialect: GenericDialect, table: Table
    ) -> None:
        self._sql = statements
        self._dialect = dialect
        self._table = table

    def create(self, rows: list[PendingRow]) -> None:
        """Insert what is not there; rows whose place is taken become conflicts.

        A few statements for any number of rows, however many places are taken.

        Raises:
            FaultError: The savepoint must be rolled back, and fewer rows tried.
        """
        for row in rows:
            row.written = None  # an attempt with more rows may have been rolled back
        names = [*rows[0].write.match, *rows[0].write.values]
        if self._dialect.can_insert_new(self._table, list(rows[0].write.match), names):
            self._insert_first(rows)
        else:
            self._look_first(rows)

    def _insert_first(self, rows: list[PendingRow]) -> None:
        match = list(rows[0].write.match)
        statement = self._dialect.insert_new(
            self._table, self._sql.core, match, self._sql.columns(rows)
        ).returning(*map(self._sql.selected, match))
        made = {self._sql.identity_of(match, key) for key in self._sql.rows(statement)}
        if len(made) == len(rows):
            return
        if made - {row.identity for row in rows}:
            # a trigger rewrites keys: only one at a time can be told apart
            raise FaultError(Fault("constraint", "key-rewritten"))
        left = [row for row in rows if row.identity not in made]
        self._judge(left, self._stored(left, lock=False))

    def _look_first(self, rows: list[PendingRow]) -> None:
        stored = self._stored(rows, lock=True)
        new = [row for row in rows if row.identity not in stored]
        if new:
            self._sql.insert_many(new)
        self._judge([row for row in rows if row.identity in stored], stored)

    def _stored(
        self, rows: list[PendingRow], *, lock: bool
    ) -> Mapping[tuple[str, ...], Sequence[Any]]:
        """What is there in the columns we send, by identity."""
        match = list(rows[0].write.match)
        names = [*match, *rows[0].write.values]
        statement = sa.select(*map(self._sql.selected, names))
        found = {}
        for some in self._sql.slices(rows):
            asked = statement.where(self._sql.among(some))
            for row in self._sql.rows(asked.with_for_update() if lock else asked):
                found[self._sql.identity_of(match, row[: len(match)])] = row
        return found

    def _judge(
        self,
        rows: list[PendingRow],
        stored: Mapping[tuple[str, ...], Sequence[Any]],
    ) -> None:
        for row in rows:
            sent = {**row.write.match, **row.write.values}
            columns = [self._table.column(name) for name in sent]
            found = stored.get(row.identity)
            if found is None or not self._same(columns, sent.values(), found):
                row.written = Written("conflict")

    def _same(self, columns: Iterable[Any], sent: Iterable[Any], found: Any) -> bool:
        codec = self._dialect.config.text_encoding
        return all(
            same(column, value, stored, codec)
            for column, value, stored in zip(columns, sent, found, strict=True)
        )
