"""Tables and columns as the catalogue describes them: plain data, no driver."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from moatbridge.adapter import FieldType
    from moatbridge_sql._config import Condition, Deleted

Kind = Literal[
    "int", "decimal", "float", "bool", "text", "char", "date", "time", "datetime",
    "zoned", "interval", "uuid", "bytes", "json", "array", "any",
]  # fmt: skip
"""What a column holds; ``zoned`` is a date-time with a zone."""

FIELD_TYPES: Final[dict[str, FieldType]] = {
    "int": "int",
    "decimal": "decimal",
    "float": "float",
    "bool": "bool",
    "date": "date",
    "time": "time",
    "datetime": "datetime",
    "zoned": "datetime",
    "bytes": "bytes",
    "json": "json",
    "any": "any",
}
"""What a record's field is called; text where nothing is said."""

MOST_COLUMNS: Final = 1600
"""A table or view with more is not taken."""

NARROW: Final = 4000
"""A text of at most that many characters is never measured."""

TEMPORAL = frozenset({"date", "datetime", "zoned"})


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Args:
        name: Exactly as in the catalogue.
        kind: What it holds.
        nullable: May be NULL.
        native: The server's own name of the type, for casts; empty if not asked for.
        bits: Width of an integer.
        scale: Digits after the point of a ``decimal``.
        length: Limit of a text, in the column's own unit.
        default: The database fills it when it is left out.
        serial: Filled from a sequence, which a failed try uses up as well.
        generated: Cannot be set (computed, or an identity that is always generated).
        padded: Trailing blanks mean nothing when values are compared.
        folded: The database compares it without case.
    """

    name: str
    kind: Kind
    nullable: bool = True
    native: str = ""
    bits: int | None = None
    scale: int | None = None
    length: int | None = None
    default: bool = False
    serial: bool = False
    generated: bool = False
    padded: bool = False
    folded: bool = False

    @property
    def wide(self) -> bool:
        """One value may be large: pages are then measured in bytes too."""
        unlimited = self.length is None or self.length > NARROW
        return self.kind in ("bytes", "json", "array", "any") or (
            self.kind in ("text", "char") and unlimited
        )


@dataclass(frozen=True)
class Table:
    """A table or view, with what is known about its keys.

    Args:
        schema: Schema as asked for; None for the account's default.
        name: Exactly as in the catalogue.
        columns: In the catalogue's order.
        primary_key: Column names; empty for views.
        uniques: Column names of each unique index or constraint, key included.
        indexes: Column names of each index, unique or not, in index order.
        view: A view: no keys, not written.
        transactional: False for storage that cannot roll back (MyISAM).
    """

    schema: str | None
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    uniques: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    view: bool = False
    transactional: bool = True

    def column(self, name: str) -> Column:
        """The column of exactly that name."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @cached_property
    def places(self) -> dict[str, str]:
        """Column name -> ``c0, c1 ...``: what statements call it."""
        return {column.name: f"c{i}" for i, column in enumerate(self.columns)}

    def unique(self, names: tuple[str, ...]) -> bool:
        """Whether the catalogue promises that no two rows share these columns."""
        wanted = set(names)
        return any(found and set(found) <= wanted for found in self.uniques)

    def indexed(self, name: str) -> bool:
        """Whether some index starts with the column."""
        return any(index[:1] == (name,) for index in self.indexes)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a stream reads of its table; the engine builds every statement from it.

    A row holds the values of ``columns`` in order. Optional extra columns follow:
    first the scope flag (1 inside the stream, 0 outside), then the cursor's text.
    """

    table: Table
    fields: tuple[str, ...]
    key: tuple[str, ...]
    where: tuple[Condition, ...] = ()
    deleted: Deleted | None = None
    version: str | None = None
    name: str | None = None
    cursor: str | None = None
    as_text: frozenset[str] = frozenset()

    @property
    def columns(self) -> tuple[str, ...]:
        """Fields first, then what is read besides them; no column twice."""
        extra = (*self.key, self.version, self.name)
        names = (*self.fields, *(name for name in extra if name is not None))
        return tuple(dict.fromkeys(names))

    @property
    def unique(self) -> bool:
        """Whether the key is promised to be unique."""
        return self.table.unique(self.key)

    @property
    def fingerprint(self) -> str:
        """Changes with everything that decides which records belong to the stream."""
        used = [c for c in self.table.columns if c.name in self.columns]
        parts: list[Any] = [
            self.table.schema,
            self.table.name,
            [[c.name, c.kind, c.nullable] for c in used],
            list(self.key),
            [[c.column, c.op, repr(c.value)] for c in self.where],
            [self.deleted.column, repr(self.deleted.value)] if self.deleted else None,
            self.cursor,
        ]
        text = json.dumps(parts, ensure_ascii=False)
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def schema_changed(message: str, **more: Any) -> ConfigurationError:
    """A table or column that the configuration names is not (or no longer) there."""
    return ConfigurationError(message, code="sql.schema-changed", **more)
