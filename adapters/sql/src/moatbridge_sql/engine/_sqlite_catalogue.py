"""Tables of a SQLite file, where their columns are of types that everybody knows.

What is out of the ordinary in any way (computed columns, types of somebody's own, a
name that is not there) is left to `_reflection`, which knows all of SQLAlchemy's ways.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moatbridge_sql._schema import MOST_COLUMNS, Column, Kind, Table
from moatbridge_sql.engine._sqlite_values import INDEXES, row_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from sqlite3 import Connection

_TYPE: Final = re.compile(r"([A-Z]+)(?:\((\d+)(?:, ?(\d+))?\))?")
_KINDS: Final[Mapping[str, Kind]] = {
    "BIGINT": "int", "BLOB": "bytes", "BOOLEAN": "bool", "CHAR": "char",
    "DATE": "date", "DATETIME": "datetime", "DECIMAL": "decimal", "DOUBLE": "float",
    "FLOAT": "float", "INT": "int", "INTEGER": "int", "NUMERIC": "decimal",
    "REAL": "float", "SMALLINT": "int", "TEXT": "text", "TIME": "time",
    "TIMESTAMP": "datetime", "VARCHAR": "text",
}  # fmt: skip
_BITS: Final = {"SMALLINT": 15, "INT": 31, "INTEGER": 31, "BIGINT": 63}
_SIZED: Final[Mapping[str, int]] = {"CHAR": 1, "VARCHAR": 1, "DECIMAL": 2, "NUMERIC": 2}
"""Type -> how many numbers may follow it in brackets."""
_NAMES: Final = (
    "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') "
    "AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
)


def described(connection: Connection, names: Sequence[str]) -> dict[str, Table] | None:
    """Tables by their names as given; None: at least one is out of the ordinary."""
    there = dict(connection.execute(_NAMES).fetchall())
    found: dict[str, Table] = {}
    for name in names:
        table = None
        if "." not in name and name in there:
            table = _table(connection, name, view=there[name] == "view")
        if table is None:
            return None
        found[name] = table
    return found


def _table(connection: Connection, name: str, *, view: bool) -> Table | None:
    rows = connection.execute(
        'SELECT name, upper(type), "notnull", dflt_value, pk, hidden '
        "FROM pragma_table_xinfo(?) ORDER BY cid",
        (name,),
    ).fetchall()
    columns = [_column(*row[:4]) for row in rows]
    usual = [column for column in columns if column is not None]
    if len(usual) < len(rows) or len(rows) > MOST_COLUMNS or any(r[5] for r in rows):
        return None
    key = tuple(row[0] for row in sorted(rows, key=_place) if row[4])
    indexes = _indexes(connection, name)
    keys = [key] if key else []
    unique = [columns for is_unique, columns in indexes if is_unique]
    covering = [columns for _, columns in indexes]
    table = Table(
        schema=None,
        name=name,
        columns=tuple(usual),
        primary_key=key,
        uniques=tuple(dict.fromkeys(keys + unique)),
        indexes=tuple(dict.fromkeys(keys + covering + unique)),
        view=view,
    )
    return row_id(table)


def _place(row: Sequence[Any]) -> int:
    return int(row[4])


def _column(name: str, spelled: str, not_null: int, default: Any) -> Column | None:
    type_ = _TYPE.fullmatch(spelled)
    kind = _KINDS.get(type_[1]) if type_ else None
    if type_ is None or kind is None:
        return None
    sizes = [int(size) for size in type_.groups()[1:] if size is not None]
    if len(sizes) > _SIZED.get(type_[1], 0):
        return None
    return Column(
        name=name,
        kind=kind,
        nullable=not not_null,
        bits=_BITS.get(type_[1]),
        scale=sizes[1] if len(sizes) > 1 else None,
        length=sizes[0] if sizes and kind in ("text", "char") else None,
        default=default is not None,
    )


def _indexes(connection: Connection, name: str) -> list[tuple[bool, tuple[str, ...]]]:
    found: dict[str, tuple[bool, list[Any]]] = {}
    ask = {"name": name, "schema": None}
    for index, unique, column in connection.execute(INDEXES, ask):
        found.setdefault(index, (bool(unique), []))[1].append(column)
    return [
        (unique, tuple(columns))
        for unique, columns in found.values()
        if None not in columns
    ]
