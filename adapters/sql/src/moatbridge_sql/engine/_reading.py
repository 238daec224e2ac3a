"""What every session does alike: pages, keys and values, faults turned into errors.

No SQLAlchemy here: statements are whatever the session's own `_statements` makes and
its `_rows` takes. Every exception of a driver is turned into a `Fault` and dropped
*outside* its handler, so that nothing of the server's text can be reached from the
error that leaves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from moatbridge.errors import MoatbridgeError
from moatbridge_sql._cursors import FUTURE_SECONDS
from moatbridge_sql._faults import Fault, FaultError, error_of
from moatbridge_sql._schema import TEMPORAL
from moatbridge_sql.engine._walking import Walker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from moatbridge_sql._database import Page, PagePlan, RawKey
    from moatbridge_sql._schema import Column, Selection

T = TypeVar("T")


class Selecting(Protocol):
    """Every statement that reads one selection."""

    @property
    def binary(self) -> bool:
        """Whether pages may travel in the server's binary form."""

    def page(self, plan: PagePlan, size: int) -> Any:
        """One page: of a scan by key, of a poll by (cursor, key)."""

    def page_keys(self, plan: PagePlan, size: int) -> Any:
        """The same page, keys (and cursor text) only."""

    def by_keys(self, keys: Sequence[RawKey]) -> Any:
        """Rows by key, inside the stream or not, with the flag."""

    def by_value(self, name: str, values: Sequence[Any]) -> Any:
        """Rows inside the stream by one column."""

    def bounds(self) -> Any:
        """Smallest and largest first key."""

    def duplicates(self) -> Any:
        """One key that two rows share."""

    def newest(self, horizon: str | None) -> Any:
        """The newest cursor text not beyond the horizon."""


class Reading(ABC):
    """The reading half of `moatbridge_sql._database.Database`; see there."""

    @property
    @abstractmethod
    def _chunk(self) -> int:
        """Keys in one ``IN``."""

    @abstractmethod
    def _statements(self, selection: Selection) -> Selecting:
        """What reads a selection."""

    @abstractmethod
    def _rows(self, statement: Any, *, binary: bool = False) -> list[Any]:
        """Every row.

        Raises:
            FaultError: The database failed.
        """

    @abstractmethod
    def _tolerant(self) -> AbstractContextManager[bool]:
        """Within it, the driver delivers markers for what it cannot decode."""

    @abstractmethod
    def _clock(self, column: Column) -> datetime | None:
        """The server's clock in the column's own frame."""

    @abstractmethod
    def _fault(self, error: Exception) -> Fault:
        """What a driver's exception means."""

    # --- running ------------------------------------------------------------------

    def run(self, work: Callable[[], T]) -> T:
        """Run driver work; its failure leaves as a `FaultError` without a cause."""
        failure: Exception
        try:
            return work()
        except (MoatbridgeError, FaultError) as error:
            failure = error
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except Exception as error:  # noqa: BLE001 - drivers raise anything
            failure = FaultError(self._fault(error))
        raise failure

    def told(self, work: Callable[[], T]) -> T:
        """Like `run`, with the public error."""
        failure: MoatbridgeError
        try:
            return self.run(work)
        except FaultError as error:
            failure = error_of(error.fault)
        raise failure

    # --- reading ------------------------------------------------------------------

    def pages(self, plan: PagePlan) -> Iterator[Page]:
        """See `Database`."""
        walker = Walker(self, self._statements(plan.selection), plan)
        while True:
            page = self.told(walker.next)
            yield page
            if page.last:
                return

    def fetch(self, selection: Selection, keys: Sequence[RawKey]) -> list[Any]:
        """See `Database`."""
        statements = self._statements(selection)
        found: list[Any] = []
        for chunk in _chunks(keys, self._chunk // len(selection.key) or 1):
            found += self.told_rows(statements.by_keys(chunk))
        return found

    def find(self, selection: Selection, column: Column, values: Sequence[Any]) -> Any:
        """See `Database`."""
        statements = self._statements(selection)
        found: list[Any] = []
        for chunk in _chunks(values, self._chunk):
            found += self.told_rows(statements.by_value(column.name, chunk))
        return found

    def bounds(self, selection: Selection) -> tuple[Any, Any] | None:
        """See `Database`."""
        row = self.told_rows(self._statements(selection).bounds())[0]
        return None if row[0] is None else (row[0], row[1])

    def duplicated(self, selection: Selection) -> bool:
        """See `Database`."""
        return bool(self.told_rows(self._statements(selection).duplicates()))

    def horizon(self, selection: Selection) -> str | None:
        """See `Database`."""
        column = selection.table.column(selection.cursor or "")
        if column.kind not in TEMPORAL:
            return None
        now = self.told(lambda: self._clock(column))
        if now is None:
            return None
        limit = now + timedelta(seconds=FUTURE_SECONDS)
        return str(limit.date() if column.kind == "date" else limit)

    def newest(self, selection: Selection) -> str | None:
        """See `Database`."""
        statements = self._statements(selection)
        rows = self.told_rows(statements.newest(self.horizon(selection)))
        return str(rows[0][0]) if rows else None

    def told_rows(self, statement: Any) -> list[Any]:
        """Rows of a statement; values the driver cannot decode become markers."""
        return self.told(lambda: self.tolerant_rows(statement)[0])

    def tolerant_rows(
        self, statement: Any, *, binary: bool = False
    ) -> tuple[list[Any], bool]:
        """Fast loaders first; the same statement again with tolerant ones (sql 14).

        Args:
            statement: What to read.
            binary: All its columns may travel in the server's binary form.
        """
        try:
            return self._rows(statement, binary=binary), False
        except FaultError as error:
            if error.fault.kind != "decode":
                raise
            fault = error.fault
        with self._tolerant() as can:
            if can:
                return self._rows(statement), True
        raise FaultError(fault)


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
