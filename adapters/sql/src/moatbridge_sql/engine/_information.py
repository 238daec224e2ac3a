"""Reflection of MariaDB and MySQL from ``information_schema``.

SQLAlchemy reads ``SHOW CREATE TABLE`` there, which needs the right SHOW VIEW for views
and does not unescape names; these views need no more than SELECT on the table.
Source: MariaDB knowledge base, "Information Schema COLUMNS" and "STATISTICS".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from moatbridge_sql._schema import Column, Kind, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMNS: Final = sa.text(
    "SELECT table_name, column_name, data_type, is_nullable, column_default, extra,"
    " numeric_scale, character_maximum_length, column_type, collation_name"
    " FROM information_schema.columns"
    " WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_name IN :names"
    " ORDER BY table_name, ordinal_position"
).bindparams(sa.bindparam("names", expanding=True))
_INDEXES: Final = sa.text(
    "SELECT table_name, index_name, non_unique, column_name"
    " FROM information_schema.statistics"
    " WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_name IN :names"
    " ORDER BY table_name, index_name, seq_in_index"
).bindparams(sa.bindparam("names", expanding=True))

_KINDS: Final[dict[str, Kind]] = {
    "tinyint": "int", "smallint": "int", "mediumint": "int", "int": "int",
    "bigint": "int", "year": "int", "decimal": "decimal", "float": "float",
    "double": "float", "char": "char", "varchar": "text", "tinytext": "text",
    "text": "text", "mediumtext": "text", "longtext": "text", "enum": "text",
    "set": "text", "date": "date", "time": "time", "datetime": "datetime",
    "timestamp": "datetime", "binary": "bytes", "varbinary": "bytes",
    "tinyblob": "bytes", "blob": "bytes", "mediumblob": "bytes", "longblob": "bytes",
    "json": "json", "uuid": "uuid",
}  # fmt: skip
_BITS: Final = {"tinyint": 7, "smallint": 15, "mediumint": 23, "int": 31, "bigint": 63}


def reflected(
    connection: sa.Connection, schema: str | None, names: Sequence[str], views: set[str]
) -> dict[tuple[str | None, str], Table]:
    """Tables and views by (schema, name), as far as the account may see them."""
    ask = {"schema": schema, "names": list(names)}
    columns: dict[str, list[Column]] = {}
    for name, *facts in connection.execute(_COLUMNS, ask):
        columns.setdefault(str(name), []).append(_column(*facts))
    indexes: dict[tuple[str, str], list[Any]] = {}
    for name, index, non_unique, column in connection.execute(_INDEXES, ask):
        indexes.setdefault((str(name), str(index)), []).append((non_unique, column))
    return {
        (schema, name): _table(schema, name, found, indexes, view=name in views)
        for name, found in columns.items()
    }


def _table(
    schema: str | None,
    name: str,
    columns: list[Column],
    indexes: dict[tuple[str, str], list[Any]],
    *,
    view: bool,
) -> Table:
    plain = {
        index: (parts[0][0], tuple(str(column) for _, column in parts))
        for (table, index), parts in indexes.items()
        if table == name and all(column is not None for _, column in parts)
    }
    key = plain.get("PRIMARY", (0, ()))[1]
    unique = [names for non_unique, names in plain.values() if not int(non_unique)]
    return Table(
        schema=schema,
        name=name,
        columns=tuple(columns),
        primary_key=key,
        uniques=tuple(dict.fromkeys(unique)),
        indexes=tuple(dict.fromkeys(names for _, names in plain.values())),
        view=view,
    )


def _column(
    name: Any, type_: Any, nullable: Any, default: Any, extra: Any, *rest: Any
) -> Column:
    scale, length, spelled, collation = rest
    type_, extra = str(type_).casefold(), str(extra).casefold()
    kind = _KINDS.get(type_, "any")
    unsigned = "unsigned" in str(spelled).casefold()
    bits = _BITS.get(type_)
    folded = bool(collation) and "_ci" in str(collation).casefold()
    return Column(
        name=str(name),
        kind=kind,
        nullable=str(nullable).upper() == "YES",
        bits=bits + unsigned if bits else None,
        scale=int(scale) if kind == "decimal" and scale is not None else None,
        length=int(length) if length is not None and kind != "bytes" else None,
        default=default not in (None, "NULL") or "auto_increment" in extra,
        serial="auto_increment" in extra,
        generated="generated" in extra.split() or "persistent" in extra,
        folded=folded,
    )
