"""One batch of rows in one transaction (specification: sql, section E).

Theory of operation. Rows with the same key go into successive *waves*, so a statement
never meets a key twice. Within a wave, rows with the same operation and columns form
a group. Updates and deletes first lock their rows in one query, which tells what is
gone and what was changed by somebody else. Each group is one statement behind a
savepoint; if data is refused it is halved until the bad rows stand alone. Whatever
fails before COMMIT is sent has no effect; only a COMMIT without an answer is unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from moatbridge.errors import ConfigurationError
from moatbridge_sql._database import Written
from moatbridge_sql._faults import ROW_FAULTS, Fault, FaultError
from moatbridge_sql._keys import canonical
from moatbridge_sql._sameness import same
from moatbridge_sql.engine._batching import PendingRow, goes_back, groups, waves
from moatbridge_sql.engine._creating import Creator
from moatbridge_sql.engine._row_statements import RowStatements

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge_sql._database import RowWrite, Target
    from moatbridge_sql.engine._dialect import GenericDialect
    from moatbridge_sql.engine._session import Session

MOST_BAD_ROWS: Final = 50
MOST_ROWS: Final = 1000


class Writer:
    """Writes one batch."""

    def __init__(
        self, session: Session, dialect: GenericDialect, target: Target
    ) -> None:
        self._session = session
        self._dialect = dialect
        self._target = target
        self._table = target.table
        self._sql = RowStatements(session, dialect, target)
        self._core = self._sql.core
        self._creator = Creator(self._sql, dialect, target.table)
        self._bad = 0
        self._begun = False

    def write(self, rows: Sequence[RowWrite]) -> list[Written]:
        """Carry the rows out, in one transaction.

        Raises:
            FaultError: Nothing took effect.
            ConfigurationError: ``sql.many-rejects``; nothing took effect.
        """
        todo = [PendingRow(row, self._sql.identity(row)) for row in rows]
        connection = self._session.connection()
        transaction = self._session.run(lambda: self._dialect.to_writing(connection))
        try:
            for wave in waves(todo):
                for group in groups(wave):
                    self._group(group)
            self._read_back(todo)
        except FaultError as error:
            if self._table.transactional or not self._begun:
                self._roll_back(transaction)
                raise
            return [self._outcome(row, error.fault) for row in todo]
        except BaseException:
            self._roll_back(transaction)
            raise
        lost = self._commit(transaction)
        return [self._outcome(row, lost) for row in todo]

    # --- the transaction ------------------------------------------------------------

    def _commit(self, transaction: Any) -> Fault | None:
        """Send COMMIT; the fault, if it went unanswered."""
        try:
            self._session.run(transaction.commit)
        except FaultError as error:
            if error.fault.lost or error.fault.kind == "unreachable":
                return error.fault
            self._roll_back(transaction)
            raise
        return None

    def _roll_back(self, transaction: Any) -> None:
        try:
            self._session.run(transaction.rollback)
        except FaultError:
            return  # the connection is gone; the server rolls back by itself

    def _outcome(self, row: PendingRow, lost: Fault | None) -> Written:
        if row.written is None or (lost and row.written.outcome == "applied"):
            return Written("unknown", fault=lost)
        if row.written.outcome == "applied":
            return Written("applied", row.key, row.version)
        return row.written

    # --- groups ---------------------------------------------------------------------

    def _group(self, rows: list[PendingRow]) -> None:
        op = rows[0].write.op
        if op == "insert":
            for row in rows:
                self._insert_one(row)
            return
        if op == "create":
            self._halving(rows, self._creator.create)
            return
        if op == "upsert" and self._bulk(rows):
            return
        existing = self._existing(rows)
        missing = [row for row in rows if row.identity not in existing]
        present = [row for row in rows if row.identity in existing]
        if op == "upsert":
            self._halving(missing, self._sql.insert_many)
        else:
            for row in missing:
                row.written = Written("applied" if op == "delete" else "gone")
        self._change([row for row in present if self._current(row)], op)

    def _change(self, rows: list[PendingRow], op: str) -> None:
        if op == "delete":
            self._halving(rows, self._delete)
            return
        empty = [row for row in rows if not row.write.values]
        for row in empty:
            row.written = Written("applied")
        self._halving([row for row in rows if row.write.values], self._update)

    def _current(self, row: PendingRow) -> bool:
        """Compare-and-set against the locked row."""
        if row.write.op == "upsert" and not self._ours(row):
            row.written = Written("conflict")
            return False
        found, expected = row.version, row.write.expected
        column = self._target.version and self._table.column(self._target.version)
        if not column:
            return True
        now = None if found is None else canonical(column, found)
        wanted = row.write.values.get(column.name)
        stale = expected is not None and now != expected
        if not stale and wanted is not None and found is not None:
            stale = goes_back(column, found, wanted)
        if stale:
            row.written = Written("stale")
        return not stale

    def _ours(self, row: PendingRow) -> bool:
        """Whether the row found carries exactly our id, not one of another case."""
        codec = self._dialect.config.text_encoding
        wanted = row.write.match.items()
        return all(
            same(self._table.column(name), value, found, codec)
            for (name, value), found in zip(wanted, row.found, strict=True)
        )

    def _bulk(self, rows: list[PendingRow]) -> bool:
        """The dialect's own upsert, where it is safe; False where rows are split."""
        write = rows[0].write
        match, names = list(write.match), [*write.match, *write.values]
        guarded = self._target.version in write.values
        guarded |= any(self._table.column(name).folded for name in match)
        if guarded or not self._dialect.can_upsert(self._table, match):
            return False
        bulk = getattr(self._dialect, "bulk_upsert", None)
        if bulk is not None and self._dialect.bulk(self._table, names):  # type: ignore[attr-defined]
            self._halving(rows, lambda some: self._sql.run(
                bulk(self._table, self._core, match, self._sql.columns(some))
            ))  # fmt: skip
            return True
        columns = [self._sql.parameter(name) for name in names]
        keys = [self._sql.parameter(name) for name in match]
        statement = self._dialect.upsert(self._core, keys, columns)
        if statement is None:
            return False
        self._halving(rows, lambda some: self._sql.run(
            statement, [self._sql.named(self._sql.merged(row)) for row in some]
        ))  # fmt: skip
        return True

    # --- statements -----------------------------------------------------------------

    def _insert_one(self, row: PendingRow) -> None:
        values = self._sql.bound_values(row)
        whole = self._target.key == self._table.primary_key

        def work(_: list[PendingRow]) -> None:
            result = self._sql.run(self._core.insert().values(values))
            row.key = tuple(result.inserted_primary_key) if whole else None

        self._halving([row], work)

    def _update(self, rows: list[PendingRow]) -> None:
        bulk = getattr(self._dialect, "bulk_update", None)
        match, names = list(rows[0].write.match), list(rows[0].write.values)
        if bulk is not None and self._dialect.bulk(self._table, [*match, *names]):  # type: ignore[attr-defined]
            columns = self._sql.columns(rows)
            self._sql.run(bulk(self._table, self._core, match, columns))
            return
        if not self._dialect.locks and rows[0].write.expected is not None:
            for row in rows:
                self._compare_and_set(row)
            return
        sql, places = self._sql, self._core.c
        where = [places[sql.parameter(n)] == sql.placed(n, "k") for n in match]
        values = {sql.parameter(n): sql.placed(n) for n in names}
        parameters = [
            {
                **self._sql.named(self._sql.adapted(row.write.values)),
                **self._sql.named(self._sql.adapted(row.write.match), prefix="k"),
            }
            for row in rows
        ]
        self._sql.run(self._core.update().where(*where).values(values), parameters)

    def _compare_and_set(self, row: PendingRow) -> None:
        """Without locks the statement itself must compare (sql 37)."""
        version = self._table.column(self._target.version or "")
        where = [self._sql.equals(n, value) for n, value in row.write.match.items()]
        where.append(self._sql.equals(version.name, row.version))
        values = self._sql.bound_values(row)
        result = self._sql.run(self._core.update().where(*where).values(values))
        if result.rowcount == 0:
            row.written = Written("stale")

    def _delete(self, rows: list[PendingRow]) -> None:
        for some in self._sql.slices(rows):
            self._sql.run(self._core.delete().where(self._sql.among(some)))

    def _existing(self, rows: list[PendingRow]) -> set[tuple[str, ...]]:
        """Identities that are there, locked; rows learn what was found."""
        names = list(rows[0].write.match)
        extra = [self._target.version] if self._target.version else []
        statement = sa.select(*map(self._sql.selected, [*names, *extra]))
        found = {}
        for some in self._sql.slices(rows):
            locked = statement.where(self._sql.among(some)).with_for_update()
            for row in self._sql.rows(locked):
                key = tuple(row[: len(names)])
                version = row[-1] if extra else None
                found[self._sql.identity_of(names, key)] = (key, version)
        for one in rows:
            one.found, one.version = found.get(one.identity, ((), None))
        return set(found)

    def _read_back(self, rows: list[PendingRow]) -> None:
        """Keys and versions as they are now, before COMMIT; one query a shape."""
        todo: dict[tuple[str, ...], list[PendingRow]] = {}
        for row in rows:
            done = row.written and row.written.outcome == "applied"
            row.version = None
            if done and row.write.op != "delete" and self._asked(row):
                todo.setdefault(tuple(row.write.match), []).append(row)
        for match, some in todo.items():
            self._read_shape(match, some)

    def _asked(self, row: PendingRow) -> bool:
        known = set(row.write.match) == set(self._target.key)
        return bool(row.write.match) and (not known or bool(self._target.version))

    def _read_shape(self, match: tuple[str, ...], rows: list[PendingRow]) -> None:
        names, version = [*match, *self._target.key], self._target.version
        columns = [*names, version] if version else names
        statement = sa.select(*map(self._sql.selected, columns))
        by_identity: dict[tuple[str, ...], list[PendingRow]] = {}
        for row in rows:
            by_identity.setdefault(row.identity, []).append(row)
        for some in self._sql.slices(rows):
            for found in self._sql.rows(statement.where(self._sql.among(some))):
                identity = self._sql.identity_of(match, found[: len(match)])
                for row in by_identity.get(identity, ()):
                    row.key = tuple(found[len(match) : len(names)])
                    row.version = found[len(names)] if version else None

    # --- halving --------------------------------------------------------------------

    def _halving(
        self, rows: list[PendingRow], work: Callable[[list[PendingRow]], None]
    ) -> None:
        """Run a statement for rows; on refused data, halve (sql 34)."""
        if not rows:
            return
        for chunk in (rows[i : i + MOST_ROWS] for i in range(0, len(rows), MOST_ROWS)):
            fault = self._attempt(chunk, work)
            if fault is None:
                continue
            if len(chunk) > 1:
                middle = len(chunk) // 2
                self._halving(chunk[:middle], work)
                self._halving(chunk[middle:], work)
            else:
                self._refused(chunk[0], fault)

    def _attempt(
        self, rows: list[PendingRow], work: Callable[[list[PendingRow]], None]
    ) -> Fault | None:
        savepoint = self._session.run(self._session.connection().begin_nested)
        try:
            self._begun = True
            work(rows)
            self._session.run(savepoint.commit)
        except FaultError as error:
            if error.fault.kind not in ROW_FAULTS or error.fault.lost:
                raise
            self._session.run(savepoint.rollback)
            return error.fault
        for row in rows:
            row.written = row.written or Written("applied")
        return None

    def _refused(self, row: PendingRow, fault: Fault) -> None:
        row.written = Written("rejected", fault=fault)
        self._bad += 1
        if self._bad > MOST_BAD_ROWS:
            raise ConfigurationError(
                f"The database refused more than {MOST_BAD_ROWS} rows of one batch "
                f"(the last one by {fault.code} {fault.state}); nothing was written. "
                "Check the mapping.",
                code="sql.many-rejects",
            )
