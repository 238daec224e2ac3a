"""The statements of `_statements` for SQLite, as text: (SQL, values).

Only what reads, of the plainest kind. All values are bound; names come from the
catalogue, are quoted, and name their table too: SQLite takes `"gone"` alone for a text
if no column is called that (sqlite.org/quirks.html, section 8), and every row would
say `gone`. `tests/test_sqlite_plain.py` holds both to the same rows.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from moatbridge_sql.engine._sqlite_values import adapt, cursor_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge_sql._config import Condition
    from moatbridge_sql._database import PagePlan, RawKey
    from moatbridge_sql._schema import Selection

Part = tuple[str, list[Any]]
"""Piece of a statement and the values of its placeholders."""

_NO_ROW: Final = "1=0"


class SqliteSelects:
    """Builds the statements for one selection; see `Selecting`."""

    binary = False

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._table = selection.table
        self._keys = [self._named(name) for name in selection.key]
        self._values = ", ".join(map(self._named, selection.columns))

    def page(self, plan: PagePlan, size: int) -> Part:
        """One page: of a scan by key, of a poll by (cursor, key)."""
        if plan.poll:
            flag, given = self._flag
            what = f"{self._values}, {flag}, {self._cursor_text}"
            return self._polled(plan, (what, given), size)
        return self._scanned(plan, self._values, size)

    def page_keys(self, plan: PagePlan, size: int) -> Part:
        """The same page, keys (and cursor text) only."""
        keys = ", ".join(self._keys)
        if plan.poll:
            return self._polled(plan, (f"{keys}, {self._cursor_text}", []), size)
        return self._scanned(plan, keys, size)

    def by_keys(self, keys: Sequence[RawKey]) -> Part:
        """Rows by key, inside the stream or not, with the flag."""
        flag, given = self._flag
        return self._select(
            (f"{self._values}, {flag}", given), [_among(self._keys, keys)]
        )

    def by_value(self, name: str, values: Sequence[Any]) -> Part:
        """Rows inside the stream by one column."""
        among = _among([self._named(name)], [(value,) for value in values])
        return self._select((self._values, []), [*self._scope, among])

    def bounds(self) -> Part:
        """Smallest and largest first key."""
        first = self._keys[0]
        return self._select((f"min({first}), max({first})", []), [])

    def duplicates(self) -> Part:
        """One key that two rows share."""
        keys = ", ".join(self._keys)
        more = f" GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"
        return self._select((keys, []), [], more)

    def newest(self, horizon: str | None) -> Part:
        """The newest cursor text not beyond the horizon."""
        where: list[Part] = [(f"{self._cursor} IS NOT NULL", [])]
        if horizon is not None:
            where.append((f"{self._cursor} <= ?", [self._cursor_value(horizon)]))
        more = f" ORDER BY {self._cursor} DESC LIMIT 1"
        return self._select((self._cursor_text, []), where, more)

    def _named(self, column: str) -> str:
        return f"{quoted(self._table.name)}.{quoted(column)}"

    # --- pieces -------------------------------------------------------------------

    def _select(self, what: Part, where: Sequence[Part], more: str = "") -> Part:
        text = f"SELECT {what[0]} FROM {quoted(self._table.name)}"
        if where:
            text += " WHERE " + " AND ".join(part for part, _ in where)
        values = [*what[1], *(value for _, given in where for value in given)]
        return text + more, values

    def _scanned(self, plan: PagePlan, what: str, size: int) -> Part:
        more = f" ORDER BY {', '.join(self._keys)} LIMIT ?"
        where = [*self._scope, *self._from(plan)]
        text, values = self._select((what, []), where, more)
        return text, [*values, size]

    def _polled(self, plan: PagePlan, what: Part, size: int) -> Part:
        where: list[Part] = [(f"{self._cursor} IS NOT NULL", [])]
        if plan.cursor_after is not None and plan.after is not None:
            values = [self._cursor_value(plan.cursor_after), *map(adapt, plan.after)]
            where.append(_beyond([self._cursor, *self._keys], values))
        elif plan.cursor_from is not None:
            value = self._cursor_value(plan.cursor_from)
            where.append((f"{self._cursor} >= ?", [value]))
        more = f" ORDER BY {', '.join([self._cursor, *self._keys])} LIMIT ?"
        text, values = self._select(what, where, more)
        return text, [*values, size]

    def _from(self, plan: PagePlan) -> list[Part]:
        found: list[Part] = []
        low, high = plan.span
        first = self._keys[0]
        if plan.after is not None:
            found.append(_beyond(self._keys, [adapt(value) for value in plan.after]))
        elif low is not None:
            found.append((f"{first} >= ?", [low]))
        if high is not None:
            found.append((f"{first} < ?", [high]))
        return found

    @cached_property
    def _cursor(self) -> str:
        return self._named(self._selection.cursor or "")

    @property
    def _cursor_text(self) -> str:
        return f"CAST({self._cursor} AS TEXT)"

    def _cursor_value(self, text: str) -> Any:
        column = self._table.column(self._selection.cursor or "")
        return adapt(cursor_value(column, text))

    @cached_property
    def _scope(self) -> list[Part]:
        """Conditions that a row of the stream meets."""
        found = [
            _condition(self._named(condition.column), condition)
            for condition in self._selection.where
        ]
        if deleted := self._selection.deleted:
            name = self._named(deleted.column)
            value = adapt(deleted.value)
            found.append((f"({name} IS NULL OR {name} != ?)", [value]))
        return found

    @cached_property
    def _flag(self) -> Part:
        """1 inside the stream, 0 outside."""
        if not self._scope:
            return "1", []
        text = " AND ".join(part for part, _ in self._scope)
        values = [value for _, given in self._scope for value in given]
        return f"CASE WHEN ({text}) THEN 1 ELSE 0 END", values


def quoted(name: str) -> str:
    """A name of the catalogue."""
    return '"' + name.replace('"', '""') + '"'


def _beyond(names: Sequence[str], values: list[Any]) -> Part:
    """The row form: one index condition here."""
    if len(names) == 1:
        return f"{names[0]} > ?", values
    return f"({', '.join(names)}) > ({_marks(values)})", values


def _among(names: Sequence[str], keys: Sequence[RawKey]) -> Part:
    values = [adapt(value) for key in keys for value in key]
    if not values:
        return _NO_ROW, []
    if len(names) == 1:
        return f"{names[0]} IN ({_marks(values)})", values
    one = "(" + " AND ".join(f"{name} = ?" for name in names) + ")"
    return "(" + " OR ".join([one] * len(keys)) + ")", values


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _condition(name: str, condition: Condition) -> Part:
    match condition.op:
        case "is-null":
            return f"{name} IS NULL", []
        case "not-null":
            return f"{name} IS NOT NULL", []
        case "starts-with":
            start = str(condition.value).replace("/", "//")
            start = start.replace("%", "/%").replace("_", "/_")
            return f"{name} LIKE ? || '%' ESCAPE '/'", [start]
        case "in":
            listed = condition.value if isinstance(condition.value, tuple) else ()
            return _among([name], [(value,) for value in listed])
        case op:
            return f"{name} {op} ?", [adapt(condition.value)]
