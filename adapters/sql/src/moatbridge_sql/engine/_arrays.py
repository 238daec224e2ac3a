"""Writing to PostgreSQL: a column of any number of rows travels as one array.

Sources: PostgreSQL manual (``unnest`` 9.19, ``INSERT ... ON CONFLICT``, ``UPDATE ...
FROM``, row-wise comparison 9.24.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from moatbridge_sql.engine import _packing
from moatbridge_sql.engine._dialect import RAW, BlockStatement, GenericDialect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge_sql._columns import Values
    from moatbridge_sql._schema import Column, Table

    Given = Mapping[str, Values]


class Native(sa.types.UserDefinedType[Any]):
    """A type by the server's own name, as ``format_type`` spelled it."""

    cache_ok = True

    def __init__(self, spelled: str) -> None:
        self.spelled = spelled

    def get_col_spec(self, **more: Any) -> str:
        """For CAST."""
        del more
        return self.spelled


class ArrayWriting(GenericDialect):
    """The part of PostgreSQL's dialect that builds statements of arrays."""

    def among_arrays(self, expressions: Sequence[Any], arrays: Sequence[Any]) -> Any:
        """Rows whose key is one of the arrays' elements."""
        if len(arrays) == 1:
            return expressions[0] == sa.any_(arrays[0])
        return sa.tuple_(*expressions).in_(sa.select(self.unnested(arrays, "k")))

    def array(
        self, column: Column, values: Sequence[Any], name: str | None = None
    ) -> Any:
        """One bound array of the column's type; a text holds all values of it."""
        parameter: Any = sa.bindparam(name, values, type_=RAW)
        if isinstance(values, str):
            parameter = _packing.split(parameter)
        return sa.cast(parameter, Native(f"{column.native}[]"))

    def unnested(self, arrays: Sequence[Any], name: str) -> Any:
        """``unnest(...) AS name(v0, v1 ...)``."""
        columns = [sa.column(f"v{i}", RAW) for i in range(len(arrays))]
        return sa.func.unnest(*arrays).table_valued(*columns).render_derived(name=name)

    def can_upsert(self, table: Table, match: Sequence[str]) -> bool:
        """``ON CONFLICT`` needs exactly such a unique index, and burns no sequence."""
        exact = any(set(found) == set(match) for found in table.uniques)
        return exact and not any(column.serial for column in table.columns)

    def can_insert_new(
        self, table: Table, match: Sequence[str], names: Sequence[str]
    ) -> bool:
        """As for `can_upsert`, with columns that can travel as arrays."""
        return self.can_upsert(table, match) and self.bulk(table, names)

    def insert_new(
        self, table: Table, core: sa.Table, match: Sequence[str], columns: Given
    ) -> Any:
        """``ON CONFLICT DO NOTHING``, of this one index; others are refused."""
        index = [core.c[table.places[name]] for name in match]
        statement = self.bulk_insert(table, core, columns)
        return statement.on_conflict_do_nothing(index_elements=index)

    def bulk_insert(
        self, table: Table, core: sa.Table, columns: Given
    ) -> postgresql.Insert:
        """One statement for any number of rows: columns travel as arrays.

        Args:
            table: The table, for column kinds.
            core: The same for SQLAlchemy.
            columns: Column -> its values, bound as ``a0``, ``a1`` in this order.
        """
        return postgresql.insert(core).from_select(
            [core.c[table.places[name]] for name in columns],
            sa.select(self.unnested(self._arrays(table, columns), "v")),
            include_defaults=False,
        )

    def _arrays(self, table: Table, columns: Given) -> list[Any]:
        return [
            self.array(table.column(name), values, f"a{index}")
            for index, (name, values) in enumerate(columns.items())
        ]

    def bulk_upsert(
        self, table: Table, core: sa.Table, match: Sequence[str], columns: Given
    ) -> Any:
        """`bulk_insert` that brings rows with the same ``match`` up to date."""
        statement = self.bulk_insert(table, core, columns)
        pairs = [
            (table.column(name), core.c[table.places[name]])
            for name in columns
            if name not in match
        ]
        index = [core.c[table.places[n]] for n in match]
        if not pairs:
            return statement.on_conflict_do_nothing(index_elements=index)
        new = statement.excluded
        return statement.on_conflict_do_update(
            index_elements=index,
            set_={target: new[target.key] for _, target in pairs},
            where=_differs(
                [(_equatable(c, t), _equatable(c, new[t.key])) for c, t in pairs]
            ),
        )

    def bulk_update(
        self, table: Table, core: sa.Table, match: Sequence[str], columns: Given
    ) -> Any:
        """``UPDATE ... FROM unnest(...)``; unchanged rows are left alone."""
        source = self.unnested(self._arrays(table, columns), "v")
        where, pairs, values = [], [], {}
        for index, name in enumerate(columns):
            column, target = table.column(name), core.c[table.places[name]]
            new = source.c[f"v{index}"]
            if name in match:
                where.append(target == new)
            else:
                values[target] = new
                pairs.append((_equatable(column, target), _equatable(column, new)))
        return core.update().values(values).where(*where, _differs(pairs))

    def block_statements(
        self,
        table: Table,
        core: sa.Table,
        op: str,
        match: Sequence[str],
        columns: Mapping[str, Values],
    ) -> Sequence[BlockStatement] | None:
        """Columns travel as arrays; an update first locks its rows and counts them."""
        if not self.bulk(table, list(columns)):
            return None
        arrays = {f"a{index}": name for index, name in enumerate(columns)}
        if op == "update":
            keys = {key: name for key, name in arrays.items() if name in match}
            counted = self._counted(table, core, columns, keys)
            return [
                BlockStatement(counted, keys, told="scalar"),
                BlockStatement(self.bulk_update(table, core, match, columns), arrays),
            ]
        if not self.can_upsert(table, match):
            return None
        if op == "upsert":
            made = self.bulk_upsert(table, core, match, columns)
            return [BlockStatement(made, arrays)]
        made = self.insert_new(table, core, match, columns)
        return [BlockStatement(made, arrays, told="rowcount")]

    def _counted(
        self, table: Table, core: sa.Table, columns: Given, keys: Mapping[str, str]
    ) -> Any:
        """How many rows with these keys there are; nobody else may change them now."""
        arrays = [self.array(table.column(n), columns[n], k) for k, n in keys.items()]
        expressions = [core.c[table.places[name]] for name in keys.values()]
        one: Any = sa.literal_column("1")
        locked = sa.select(one).where(self.among_arrays(expressions, arrays))
        return sa.select(sa.func.count()).select_from(
            locked.with_for_update().subquery()
        )

    def adapted(self, column: Column, values: Values) -> Values:
        """Psycopg takes plain values as they are; some whole columns cost it less."""
        found: Values = _packing.packed(column.native, values)
        return found

    def bulk(self, table: Table, names: Sequence[str]) -> bool:
        """Whether these columns can travel as arrays (arrays themselves cannot)."""
        columns = [table.column(name) for name in names]
        return all(c.native and c.kind != "array" for c in columns)


def _equatable(column: Column, expression: Any) -> Any:
    """json, xml and geometric types know no equality; their text does."""
    if column.kind == "json":
        return sa.cast(expression, postgresql.JSONB())
    return sa.cast(expression, sa.Text()) if column.kind == "any" else expression


def _differs(pairs: Sequence[tuple[Any, Any]]) -> Any:
    if len(pairs) == 1:
        return pairs[0][0].is_distinct_from(pairs[0][1])
    old, new = zip(*pairs, strict=True)
    return sa.tuple_(*old).is_distinct_from(sa.tuple_(*new))
