"""The pieces that statements for rows are made of: names, values, identities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge_sql._keys import alike, canonical
from moatbridge_sql.engine._reflection import core_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from moatbridge_sql._database import RowWrite, Target
    from moatbridge_sql.engine._batching import PendingRow
    from moatbridge_sql.engine._dialect import GenericDialect
    from moatbridge_sql.engine._session import Session


class RowStatements:
    """Runs statements on one target's table, and spells rows for them.

    Args:
        session: Runs them; its transaction is the caller's.
        dialect: How values and conditions are spelled.
        target: The table.

    Attributes:
        core: The table for SQLAlchemy. A statement's parts must all name this one
            object, or they would be about two tables.
    """

    def __init__(
        self, session: Session, dialect: GenericDialect, target: Target
    ) -> None:
        self._session = session
        self._dialect = dialect
        self._table = target.table
        self.core = core_table(target.table)

    def insert_many(self, rows: list[PendingRow]) -> None:
        """One executemany; refused if any of the rows is there already."""
        names = list(self.merged(rows[0]))
        statement = self.core.insert().values(
            {self.parameter(name): self.placed(name) for name in names}
        )
        self.run(statement, [self.named(self.merged(row)) for row in rows])

    def run(self, statement: Any, parameters: Any = None) -> Any:
        """Execute; a driver's failure leaves as a `FaultError`."""
        connection = self._session.connection()
        return self._session.run(lambda: connection.execute(statement, parameters))

    def rows(self, statement: Any) -> list[Any]:
        """Execute and fetch everything: values are decoded only while fetching."""
        connection = self._session.connection()
        return self._session.run(lambda: list(connection.execute(statement)))

    def identity(self, row: RowWrite) -> tuple[str, ...]:
        """What tells a row from others: its `match`, as the database compares."""
        return self.identity_of(tuple(row.match), tuple(row.match.values()))

    def identity_of(self, names: Sequence[str], key: Sequence[Any]) -> tuple[str, ...]:
        """The same for values of these columns, ours or the database's."""
        found = []
        for name, value in zip(names, key, strict=True):
            column = self._table.column(name)
            text = canonical(column, self._dialect.adapt(column, value))
            found.append(alike(column, text))
        return tuple(found)

    def among(self, rows: Sequence[PendingRow]) -> Any:
        """Condition: the row is one of these."""
        names = list(rows[0].write.match)
        columns = [self._table.column(name) for name in names]
        expressions = [self.core.c[self.parameter(name)] for name in names]
        keys = [tuple(row.write.match.values()) for row in rows]
        return self._dialect.among(columns, expressions, keys)

    def slices(self, rows: list[PendingRow]) -> Iterator[list[PendingRow]]:
        """As many rows as one ``IN`` (or chain of ORs) may name."""
        size = max(1, self._dialect.chunk // max(1, len(rows[0].write.match)))
        for start in range(0, len(rows), size):
            yield rows[start : start + size]

    def adapted(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values as the driver takes them."""
        adapt, column = self._dialect.adapt, self._table.column
        return {name: adapt(column(name), value) for name, value in values.items()}

    def merged(self, row: PendingRow) -> dict[str, Any]:
        """All columns of a row, as the driver takes them."""
        return self.adapted({**row.write.match, **row.write.values})

    def columns(self, rows: Sequence[PendingRow]) -> dict[str, list[Any]]:
        """The same, column by column; all rows have the same ones."""
        merged = list(map(self.merged, rows))
        return {name: [row[name] for row in merged] for name in merged[0]}

    def parameter(self, name: str) -> str:
        """What statements call a column."""
        return self._table.places[name]

    def named(self, values: Mapping[str, Any], prefix: str = "v") -> dict[str, Any]:
        """Parameters of executemany; SQLAlchemy reserves the columns' own keys."""
        return {f"{prefix}{self.parameter(n)}": value for n, value in values.items()}

    def placed(self, name: str, prefix: str = "v") -> Any:
        """A column's place among the parameters of executemany."""
        column, key = self._table.column(name), self.parameter(name)
        return self._dialect.parameter(column, self.core.c[key], prefix + key)

    def bound_values(self, row: PendingRow) -> dict[str, Any]:
        """The values to set, bound."""
        found = {}
        for name, value in row.write.values.items():
            column, key = self._table.column(name), self.parameter(name)
            found[key] = self._dialect.bound(column, self.core.c[key], value)
        return found

    def equals(self, name: str, value: Any) -> Any:
        """Condition: the column has this value."""
        column, expression = (
            self._table.column(name),
            self.core.c[self.parameter(name)],
        )
        return expression == self._dialect.bound(column, expression, value)

    def selected(self, name: str) -> Any:
        """A column as it is read: the driver's own value."""
        expression = self.core.c[self.parameter(name)]
        return self._dialect.selected(
            self._table.column(name), expression, as_text=False
        )
