"""Blocks of rows, each in one statement: the fast road of a write.

Theory of operation. A statement is built by SQLAlchemy once for each shape of a block
(table, operation, columns) and kept as text with the names of its parameters; values
are always bound. All blocks of a batch are one transaction. Where a row is refused, or
fewer rows are touched than were sent (one is gone, or its place is taken), everything
is rolled back and the batch goes row by row (`_writing`), which finds out which row it
was and why. Whatever fails before COMMIT is sent has no effect; only a COMMIT without
an answer is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from moatbridge_sql._faults import ROW_FAULTS, FaultError
from moatbridge_sql.engine._reflection import core_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge_sql._blocks import Block
    from moatbridge_sql._columns import Values
    from moatbridge_sql._schema import Table
    from moatbridge_sql.engine._dialect import BlockStatement, GenericDialect
    from moatbridge_sql.engine._session import Session


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a block, ready to run.

    Args:
        text: For the driver.
        parameters: What it takes: lists by name, or a tuple for each row.
        told: Where the number of rows stands that it touched.
        count: What that number must be.
    """

    text: str
    parameters: Any
    told: Literal["", "rowcount", "scalar"]
    count: int


class BlockWriter:
    """Writes batches of blocks on one connection, and keeps their statements."""

    def __init__(self, session: Session, dialect: GenericDialect) -> None:
        self._session = session
        self._dialect = dialect
        self._known: dict[Any, Sequence[_Text] | None] = {}

    def steps(self, table: Table, blocks: Sequence[Block]) -> Sequence[Step] | None:
        """What to run; None if the dialect would rather have single rows."""
        found: list[Step] = []
        for block in blocks:
            columns = {
                name: self._dialect.adapted(table.column(name), values)
                for name, values in block.columns.items()
            }
            texts = self._texts(table, block, columns)
            if texts is None:
                return None
            found += (text.step(columns, block.count) for text in texts)
        return found

    def write(self, steps: Sequence[Step]) -> Literal["applied", "unknown"] | None:
        """Run them in one transaction; None: rolled back, write single rows.

        Raises:
            FaultError: Nothing took effect, and single rows would fail alike.
        """
        session = self._session
        connection = session.connection()
        transaction = session.run(lambda: self._dialect.to_writing(connection))
        try:
            done = all(map(self._done, steps))
        except FaultError as error:
            self._roll_back(transaction)
            if error.fault.kind in ROW_FAULTS and not error.fault.lost:
                return None
            raise
        except BaseException:
            self._roll_back(transaction)
            raise
        if not done:
            self._roll_back(transaction)
            return None
        return self._commit(transaction)

    def _done(self, step: Step) -> bool:
        def work() -> Any:
            connection = self._session.connection()
            result = connection.exec_driver_sql(step.text, step.parameters)
            return result.scalar() if step.told == "scalar" else result.rowcount

        touched = self._session.run(work)
        return not step.told or touched == step.count

    def _commit(self, transaction: Any) -> Literal["applied", "unknown"] | None:
        try:
            self._session.run(transaction.commit)
        except FaultError as error:
            if error.fault.lost or error.fault.kind == "unreachable":
                return "unknown"
            self._roll_back(transaction)
            raise
        return "applied"

    def _roll_back(self, transaction: Any) -> None:
        try:
            self._session.run(transaction.rollback)
        except FaultError:
            return  # the connection is gone; the server rolls back by itself

    def _texts(
        self, table: Table, block: Block, columns: Mapping[str, Values]
    ) -> Sequence[_Text] | None:
        joined = frozenset(n for n, found in columns.items() if type(found) is str)
        shape = (table.schema, table.name, block.op, block.match, joined, *columns)
        if shape not in self._known:
            given = {name: "" if name in joined else () for name in columns}
            made = self._dialect.block_statements(
                table, core_table(table), block.op, block.match, given
            )
            self._known[shape] = None if made is None else list(map(self._text, made))
        return self._known[shape]

    def _text(self, made: BlockStatement) -> _Text:
        dialect = self._session.connection().dialect
        compiled = made.statement.compile(dialect=dialect, for_executemany=made.many)
        order = compiled.positiontup if made.many else None
        return _Text(str(compiled), made, order)


@dataclass(frozen=True, slots=True)
class _Text:
    """A compiled statement; ``order`` has the parameters of a row, if it has rows."""

    text: str
    made: BlockStatement
    order: Sequence[str] | None

    def step(self, columns: Mapping[str, Values], count: int) -> Step:
        names = self.made.parameters
        if self.order is None:
            parameters: Any = {
                key: list(found) if type(found) is tuple else found  # no composite type
                for key, found in ((key, columns[name]) for key, name in names.items())
            }
        else:
            rows = zip(*(columns[names[key]] for key in self.order), strict=True)
            parameters = list(rows)
        return Step(self.text, parameters, self.made.told, count)
