"""Page after page of a selection, sized by bytes and tolerant of bad rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import Rejected
from moatbridge_sql._database import BadRow, Page
from moatbridge_sql._faults import ROW_FAULTS, Fault, FaultError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge_sql._database import PagePlan, RawKey
    from moatbridge_sql.engine._reading import Reading, Selecting

PAGE_BYTES: Final = 8 << 20
LARGEST_PAGE: Final = 64 << 20
FIRST_WIDE_PAGE: Final = 250
"""Rows of the first page where values may be large, until their size is known."""
MOST_BAD_ROWS: Final = 200
_MEASURED: Final = frozenset({str, bytes, list, type(None)})


class Walker:
    """Reads page after page, adapting the page's size to the rows' width."""

    def __init__(self, session: Reading, statements: Selecting, plan: PagePlan) -> None:
        self._session = session
        self._statements = statements
        self._plan = plan
        selection = plan.selection
        self._width = len(selection.columns)
        self._key_at = [selection.columns.index(name) for name in selection.key]
        self._wide = [
            index
            for index, name in enumerate(selection.columns)
            if selection.table.column(name).wide
        ]
        self._size = min(plan.limit, FIRST_WIDE_PAGE) if self._wide else plan.limit
        self._texts: dict[RawKey, Any] = {}
        self._peek = 0 if selection.unique or plan.poll else 1

    def next(self) -> Page:
        """Read the next page.

        Raises:
            FaultError: The database failed for another reason than a row.
        """
        size = self._size
        statement = self._statements.page(self._plan, size + self._peek)
        try:
            rows, marked = self._session.tolerant_rows(
                statement, binary=self._statements.binary
            )
        except FaultError as error:
            if error.fault.kind not in ROW_FAULTS:
                raise
            return self._advanced(self._halved(size))
        last, twin = len(rows) < size + self._peek, False
        if self._peek and not last:
            extra = rows.pop()
            twin = self._key(extra) == self._key(rows[-1])
        if not rows:
            return Page((), last=True)
        self._measure(rows)
        text = rows[-1][self._width + 1] if self._plan.poll else None
        return self._advanced(
            Page(rows, (), self._key(rows[-1]), _texted(text), last, twin, marked)
        )

    def _key(self, row: Sequence[Any]) -> RawKey:
        return tuple(_bindable(row[index]) for index in self._key_at)

    def _advanced(self, page: Page) -> Page:
        if page.after is not None:
            self._plan = replace(
                self._plan, after=page.after, cursor_after=page.cursor_after
            )
        return page

    def _measure(self, rows: Sequence[Sequence[Any]]) -> None:
        if not self._wide:
            return
        total = sum(_size([row[index] for row in rows]) for index in self._wide)
        if total > LARGEST_PAGE:
            raise Rejected(
                "A page is larger than 64 MiB; leave large columns out of 'fields', or "
                "lower page_size.",
                code="sql.too-large",
            )
        mean = max(1, total // len(rows))
        self._size = max(1, min(self._plan.limit, PAGE_BYTES // mean))

    def _halved(self, size: int) -> Page:
        """The page again, cut by key until the failing rows stand alone (sql 14)."""
        statement = self._statements.page_keys(self._plan, size)
        found, _ = self._session.tolerant_rows(statement)
        width = len(self._plan.selection.key)
        keys = [tuple(map(_bindable, row[:width])) for row in found]
        rows: list[Any] = []
        bad: list[BadRow] = []
        if keys:
            self._texts = dict(zip(keys, (row[-1] for row in found), strict=True))
            self._cut(keys, rows, bad)
        text = found[-1][width] if found and self._plan.poll else None
        after = keys[-1] if keys else None
        last = len(keys) < size
        return Page(rows, tuple(bad), after, _texted(text), last, marked=True)

    def _cut(self, keys: list[RawKey], rows: list[Any], bad: list[BadRow]) -> None:
        fault: Fault
        try:
            statement = self._statements.by_keys(keys)
            found, _ = self._session.tolerant_rows(statement)
        except FaultError as error:
            if error.fault.kind not in ROW_FAULTS:
                raise
            fault = error.fault
        else:
            rows += self._in_order(found, keys)
            return
        if len(keys) == 1:
            bad.append(BadRow(keys[0], fault))
            if len(bad) > MOST_BAD_ROWS:
                raise FaultError(fault)
            return
        middle = len(keys) // 2
        self._cut(keys[:middle], rows, bad)
        self._cut(keys[middle:], rows, bad)

    def _in_order(self, found: Sequence[Any], keys: Sequence[RawKey]) -> list[Any]:
        by_key = {self._key(row): row for row in found}
        rows = [by_key[key] for key in keys if key in by_key]
        if self._plan.poll:
            return [(*row, self._texts[self._key(row)]) for row in rows]
        return [row[: self._width] for row in rows if row[self._width]]


def _bindable(value: Any) -> Any:
    return getattr(value, "text", value)


def _texted(value: Any) -> str | None:
    return None if value is None else str(value)


def _size(values: Sequence[Any]) -> int:
    """About how many bytes a column of a page takes."""
    if set(map(type, values)) <= _MEASURED:
        return sum(map(len, filter(None, values)))
    return sum(len(v) if isinstance(v, str | bytes | list) else 16 for v in values)
