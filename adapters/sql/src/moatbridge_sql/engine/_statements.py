"""Every SELECT, built with SQLAlchemy Core from a `Selection`. No I/O here."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from moatbridge_sql.engine._reflection import core_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge_sql._config import Condition
    from moatbridge_sql._database import PagePlan, RawKey
    from moatbridge_sql._schema import Column, Selection
    from moatbridge_sql.engine._dialect import GenericDialect

_COMPARE = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class Statements:
    """Builds the statements for one selection in one dialect."""

    def __init__(self, selection: Selection, dialect: GenericDialect) -> None:
        self.selection = selection
        self.dialect = dialect
        self.table = selection.table
        self.core = core_table(selection.table)
        self.keys = [self.expression(name) for name in selection.key]
        self.key_columns = [self.table.column(name) for name in selection.key]

    def expression(self, name: str) -> sa.Column[Any]:
        """The Core column of a catalogue name."""
        return self.core.c[self.table.places[name]]

    def column(self, name: str) -> tuple[Column, sa.Column[Any]]:
        """Both views of a column."""
        return self.table.column(name), self.expression(name)

    @cached_property
    def binary(self) -> bool:
        """Whether pages may travel in the server's binary form."""
        names = self.selection.columns
        return self.dialect.binary([self.table.column(name) for name in names])

    @cached_property
    def values(self) -> list[Any]:
        """The plain columns of a row, as `Selection.columns` orders them."""
        return [
            self.dialect.selected(
                *self.column(name), as_text=name in self.selection.as_text
            )
            for name in self.selection.columns
        ]

    @cached_property
    def key_values(self) -> list[Any]:
        """Only the key's columns."""
        return [
            self.dialect.selected(*self.column(name), as_text=False)
            for name in self.selection.key
        ]

    @cached_property
    def scope(self) -> list[Any]:
        """Conditions that a row of the stream meets."""
        found = [self._condition(condition) for condition in self.selection.where]
        if deleted := self.selection.deleted:
            column, expression = self.column(deleted.column)
            value = self.dialect.bound(column, expression, deleted.value)
            found.append(sa.or_(expression.is_(None), expression != value))
        return found

    @cached_property
    def flag(self) -> Any:
        """1 inside the stream, 0 outside."""
        one: Any = sa.literal_column("1")
        zero: Any = sa.literal_column("0")
        if not self.scope:
            return one
        return sa.case((sa.and_(*self.scope), one), else_=zero)

    def page(self, plan: PagePlan, size: int) -> Any:
        """One page: of a scan by key, of a poll by (cursor, key)."""
        if plan.poll:
            return self._poll_page(plan, size)
        statement = sa.select(*self.values).where(*self.scope, *self._from(plan))
        return statement.order_by(*self.keys).limit(size)

    def page_keys(self, plan: PagePlan, size: int) -> Any:
        """The same page, keys (and cursor text) only."""
        if plan.poll:
            return self._polled(plan, [*self.key_values, self._cursor_text()], size)
        return (
            sa.select(*self.key_values)
            .where(*self.scope, *self._from(plan))
            .order_by(*self.keys)
            .limit(size)
        )

    def by_keys(self, keys: Sequence[RawKey]) -> Any:
        """Rows by key, inside the stream or not, with the flag."""
        among = self.dialect.among(self.key_columns, self.keys, keys)
        return sa.select(*self.values, self.flag).where(among)

    def by_value(self, name: str, values: Sequence[Any]) -> Any:
        """Rows inside the stream by one column."""
        column, expression = self.column(name)
        among = self.dialect.among([column], [expression], [(v,) for v in values])
        return sa.select(*self.values).where(*self.scope, among)

    def bounds(self) -> Any:
        """Smallest and largest first key."""
        first = self.keys[0]
        return sa.select(sa.func.min(first), sa.func.max(first))

    def duplicates(self) -> Any:
        """One key that two rows share."""
        return (
            sa.select(*self.keys)
            .group_by(*self.keys)
            .having(sa.func.count() > 1)
            .limit(1)
        )

    def newest(self, horizon: str | None) -> Any:
        """The newest cursor text not beyond the horizon."""
        column, expression = self.column(self.selection.cursor or "")
        statement = sa.select(self._cursor_text()).where(expression.is_not(None))
        if horizon is not None:
            limit = self.dialect.cursor_bound(column, expression, horizon)
            statement = statement.where(expression <= limit)
        return statement.order_by(expression.desc()).limit(1)

    def _poll_page(self, plan: PagePlan, size: int) -> Any:
        columns = [*self.values, self.flag, self._cursor_text()]
        return self._polled(plan, columns, size)

    def _polled(self, plan: PagePlan, columns: Sequence[Any], size: int) -> Any:
        column, cursor = self.column(self.selection.cursor or "")
        where = [cursor.is_not(None)]
        if plan.cursor_after is not None and plan.after is not None:
            text = self.dialect.cursor_bound(column, cursor, plan.cursor_after)
            key = self._bound_key(plan.after)
            where.append(self.dialect.beyond([cursor, *self.keys], [text, *key]))
        elif plan.cursor_from is not None:
            start = self.dialect.cursor_bound(column, cursor, plan.cursor_from)
            where.append(cursor >= start)
        ordered = sa.select(*columns).where(*where).order_by(cursor, *self.keys)
        return ordered.limit(size)

    def _cursor_text(self) -> Any:
        return self.dialect.cursor_text(*self.column(self.selection.cursor or ""))

    def _from(self, plan: PagePlan) -> list[Any]:
        found = []
        low, high = plan.span
        first, column = self.keys[0], self.key_columns[0]
        if plan.after is not None:
            key = self._bound_key(plan.after)
            found.append(self.dialect.beyond(self.keys, key))
        elif low is not None:
            found.append(first >= self.dialect.bound(column, first, low))
        if high is not None:
            found.append(first < self.dialect.bound(column, first, high))
        return found

    def _bound_key(self, key: RawKey) -> list[Any]:
        return [
            self.dialect.bound(column, expression, value)
            for column, expression, value in zip(
                self.key_columns, self.keys, key, strict=True
            )
        ]

    def _condition(self, condition: Condition) -> Any:
        column, expression = self.column(condition.column)
        match condition.op:
            case "is-null":
                return expression.is_(None)
            case "not-null":
                return expression.is_not(None)
            case "starts-with":
                return expression.startswith(str(condition.value), autoescape=True)
            case "in":
                listed = condition.value if isinstance(condition.value, tuple) else ()
                keys = [(value,) for value in listed]
                return self.dialect.among([column], [expression], keys)
            case op:
                value = self.dialect.bound(column, expression, condition.value)
                return _COMPARE[op](expression, value)
