"""Reflection of named tables only, through SQLAlchemy's inspector (sql 6)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa
from sqlalchemy import types as sqltypes
from sqlalchemy.engine.reflection import ObjectKind
from sqlalchemy.exc import SAWarning

from moatbridge.errors import ConfigurationError
from moatbridge_sql._catalog import find_name
from moatbridge_sql._schema import (
    MOST_COLUMNS,
    Column,
    Kind,
    Table,
    schema_changed,
)
from moatbridge_sql.engine import _information, _sqlite_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.engine.interfaces import ReflectedColumn
    from sqlalchemy.engine.reflection import Inspector

MOST_TABLES: Final = 10_000

_KINDS: Final[tuple[tuple[Any, Kind], ...]] = (
    (sqltypes.Boolean, "bool"),
    (sqltypes.Integer, "int"),
    (sqltypes.Float, "float"),
    (sqltypes.Numeric, "decimal"),
    (sqltypes.Interval, "interval"),
    (sqltypes.Uuid, "uuid"),
    (sqltypes.JSON, "json"),
    (sqltypes.ARRAY, "array"),
    (sqltypes.Enum, "text"),
    (sqltypes.DateTime, "datetime"),
    (sqltypes.Date, "date"),
    (sqltypes.Time, "time"),
    (sqltypes._Binary, "bytes"),  # noqa: SLF001 - the only common base
    (sqltypes.CHAR, "char"),
    (sqltypes.String, "text"),
)
_SPECIAL: Final[dict[str, Kind]] = {
    "INTERVAL": "interval",
    "JSONB": "json",
    "BIT": "any",
    "YEAR": "int",
    "TIMESTAMP": "datetime",
    "DATETIME": "datetime",
}
_BITS: Final = {"SMALLINT": 15, "INTEGER": 31, "BIGINT": 63}


def kind_of(found: Any) -> Kind:
    """What a column of a SQLAlchemy type holds."""
    special = _SPECIAL.get(type(found).__name__)
    matching: list[Kind] = [k for t, k in _KINDS if isinstance(found, t)]
    kind: Kind = special or (matching[0] if matching else "any")
    zoned = kind == "datetime" and getattr(found, "timezone", False)
    return "zoned" if zoned else kind


def split_table(name: str) -> tuple[str | None, str]:
    """``schema.table`` as a pair; no schema gives None."""
    schema, dot, table = name.partition(".")
    return (schema, table) if dot else (None, name)


class Catalogue:
    """Reads the catalogue through one connection.

    Args:
        connection: Used in the caller's thread only.
        default_schemas: Where a name without schema is looked for.
    """

    def __init__(
        self, connection: sa.Connection, default_schemas: Sequence[str]
    ) -> None:
        self._connection = connection
        self._inspector: Inspector = sa.inspect(connection)
        self._schemas: tuple[str | None, ...] = tuple(default_schemas) or (None,)
        self._known: dict[str | None, list[str]] = {}

    def describe(self, names: Sequence[str]) -> dict[str, Table]:
        """Reflect tables by their configured names.

        Raises:
            ConfigurationError: ``sql.schema-changed`` for a name that is not there.
        """
        places = {name: self._place(name) for name in names}
        found: dict[tuple[str | None, str], Table] = {}
        for schema in dict.fromkeys(schema for schema, _ in places.values()):
            wanted = [table for s, table in places.values() if s == schema]
            found |= self._reflected(schema, sorted(set(wanted)))
        return {name: found[place] for name, place in places.items()}

    def everything(self) -> dict[str, Table]:
        """Every table and view of the default schemas."""
        found: dict[str, Table] = {}
        for schema in self._schemas:
            names = self._names(schema)
            tables = self._reflected(schema, names)
            found |= {_full(s, t): table for (s, t), table in tables.items()}
        return found

    def references(self, table: Table) -> dict[str, tuple[str, str]]:
        """Single-column foreign keys: column -> (table, column)."""
        return {
            str(key["constrained_columns"][0]): (
                _full(key["referred_schema"], key["referred_table"]),
                str(key["referred_columns"][0]),
            )
            for key in self._inspector.get_foreign_keys(table.name, table.schema)
            if len(key["constrained_columns"]) == 1 == len(key["referred_columns"])
        }

    def _place(self, name: str) -> tuple[str | None, str]:
        asked, table = split_table(name)
        for schema in (asked,) if asked else self._schemas:
            with_case = [n.casefold() for n in self._names(schema)]
            if table.casefold() in with_case or asked or len(self._schemas) == 1:
                return schema, find_name(table, self._names(schema), "table", name)
        raise schema_changed(f"There is no table {name!r} in the listed schemas.")

    def _names(self, schema: str | None) -> list[str]:
        if schema not in self._known:
            inspector = self._inspector
            found = inspector.get_table_names(schema) + inspector.get_view_names(schema)
            found += _quietly(inspector.get_materialized_view_names, schema)
            if len(found) > MOST_TABLES:
                raise ConfigurationError(
                    f"Over {MOST_TABLES} tables; list fewer schemas.",
                    code="sql.too-large",
                )
            self._known[schema] = list(dict.fromkeys(found))
        return self._known[schema]

    def _reflected(
        self, schema: str | None, names: Sequence[str]
    ) -> dict[tuple[str | None, str], Table]:
        if not names:
            return {}
        views = set(_quietly(self._inspector.get_view_names, schema))
        if self._connection.dialect.name in ("mysql", "mariadb"):
            return _information.reflected(self._connection, schema, names, views)
        ask: dict[str, Any] = {
            "schema": schema,
            "filter_names": list(names),
            "kind": ObjectKind.ANY,
        }
        with _silence():  # unknown types and expression indexes are no news to us
            columns = self._inspector.get_multi_columns(**ask)
            keys = _optionally(self._inspector.get_multi_pk_constraint, ask)
            indexes = _optionally(self._inspector.get_multi_indexes, ask)
            uniques = _optionally(self._inspector.get_multi_unique_constraints, ask)
        found = {}
        if self._connection.dialect.name == "sqlite":
            indexes = {
                place: self._sqlite_indexes(place[1], schema) for place in columns
            }
        for place, reflected in columns.items():
            key = tuple((keys.get(place) or {}).get("constrained_columns") or ())
            found[schema, place[1]] = _table(
                (schema, place[1]),
                reflected,
                key=key,
                indexes=indexes.get(place) or [],
                uniques=uniques.get(place) or [],
                view=place[1] in views,
            )
        return found

    def _sqlite_indexes(self, name: str, schema: str | None) -> list[dict[str, Any]]:
        """SQLAlchemy does not see ``UNIQUE`` behind a type with a length."""
        found: dict[str, dict[str, Any]] = {}
        ask = {"name": name, "schema": schema}
        for index, unique, column in self._connection.execute(_SQLITE_INDEXES, ask):
            entry = found.setdefault(
                index, {"unique": bool(unique), "column_names": []}
            )
            entry["column_names"].append(column)
        return list(found.values())


_SQLITE_INDEXES: Final = sa.text(_sqlite_values.INDEXES)


def _table(
    place: tuple[str | None, str],
    reflected: Sequence[ReflectedColumn],
    *,
    key: tuple[str, ...],
    indexes: Sequence[Any],
    uniques: Sequence[Any],
    view: bool,
) -> Table:
    schema, name = place
    if len(reflected) > MOST_COLUMNS:
        raise ConfigurationError(
            f"{name!r} has over {MOST_COLUMNS} columns; use a view.",
            code="sql.too-large",
        )
    plain = [i for i in indexes if None not in i["column_names"] and not _partial(i)]
    unique = [tuple(i["column_names"]) for i in plain if i["unique"]]
    unique += [tuple(u["column_names"]) for u in uniques]
    covering = [tuple(i["column_names"]) for i in plain] + unique
    return Table(
        schema=schema,
        name=name,
        columns=tuple(map(_column, reflected)),
        primary_key=key,
        uniques=tuple(dict.fromkeys(([key] if key else []) + unique)),
        indexes=tuple(dict.fromkeys(([key] if key else []) + covering)),
        view=view,
    )


def _partial(index: Mapping[str, Any]) -> bool:
    options = index.get("dialect_options") or {}
    return any(name.endswith("_where") and value for name, value in options.items())


def _column(found: ReflectedColumn) -> Column:
    kind = kind_of(found["type"])
    type_: Any = found["type"]
    identity: Any = found.get("identity") or {}
    computed = found.get("computed") is not None
    auto = found.get("autoincrement") is True or bool(identity)
    length = getattr(type_, "length", None)
    if isinstance(type_, sqltypes.Enum):
        length = 255
    return Column(
        name=str(found["name"]),
        kind=kind,
        nullable=bool(found["nullable"]),
        bits=_bits(type_) if kind == "int" else None,
        scale=type_.scale if kind == "decimal" else None,
        length=length if isinstance(length, int) else None,
        default=found.get("default") is not None or auto,
        serial=auto,
        generated=computed or bool(identity.get("always")),
        folded=_folded(type_),
    )


def _bits(found: Any) -> int | None:
    if getattr(found, "unsigned", False):
        return 64
    return _BITS.get(type(found).__name__)


def _folded(found: Any) -> bool:
    collation = getattr(found, "collation", None)
    if not isinstance(collation, str):  # VARCHAR(3,4) of SQLite: SQLAlchemy takes the 4
        return False
    collation = collation.casefold()
    return collation == "nocase" or "_ci" in collation


def _full(schema: str | None, name: str) -> str:
    return f"{schema}.{name}" if schema else name


def _quietly(ask: Any, schema: str | None) -> list[str]:
    try:
        return cast("list[str]", ask(schema))
    except NotImplementedError:
        return []


def _optionally(ask: Any, arguments: Mapping[str, Any]) -> Mapping[Any, Any]:
    try:
        return cast("Mapping[Any, Any]", ask(**arguments))
    except NotImplementedError:
        return {}


class _silence(warnings.catch_warnings):  # noqa: N801 - reads as a statement
    def __enter__(self) -> Any:
        found = super().__enter__()
        warnings.simplefilter("ignore", SAWarning)
        return found


def core_table(table: Table) -> sa.Table:
    """A Core table keyed ``c0, c1 ...``: no name ever becomes a parameter."""
    serial: Any = "auto" if len(table.primary_key) == 1 else False
    return sa.Table(
        table.name,
        sa.MetaData(),
        *(
            sa.Column(
                column.name,
                _TYPES.get(column.kind, sqltypes.NullType)(),
                key=f"c{index}",
                primary_key=column.name in table.primary_key,
                autoincrement=serial if column.kind == "int" else False,
                server_default=sa.FetchedValue() if column.default else None,
            )
            for index, column in enumerate(table.columns)
        ),
        schema=table.schema,
    )


_TYPES: Final[dict[Kind, Any]] = {
    "int": sqltypes.BigInteger,
    "decimal": sqltypes.Numeric,
    "float": sqltypes.Double,
    "bool": sqltypes.Boolean,
    "text": sqltypes.String,
    "char": sqltypes.String,
    "date": sqltypes.Date,
    "time": sqltypes.Time,
    "datetime": sqltypes.DateTime,
    "zoned": lambda: sqltypes.DateTime(timezone=True),
    "uuid": sqltypes.Uuid,
    "bytes": sqltypes.LargeBinary,
    "json": sqltypes.JSON,
}
