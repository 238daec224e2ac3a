"""Proposals for `discover`, from the catalogue and names alone. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import (
    Field,
    Stream,
    Suggestion,
    plain_name,
    suggested_by_names,
    suggested_for,
)
from moatbridge_sql._schema import FIELD_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge_sql._database import Overview
    from moatbridge_sql._schema import Column, Table

_CURSORS: Final = frozenset({
    "geaendert", "geandert", "aenderung", "aenderungsdatum", "modified", "modifiedat",
    "updated", "updatedat", "lastmodified", "changed", "changedat", "stand", "aedat",
    "modifiedon", "lastupdate", "mtime", "timestamp",
})  # fmt: skip
_DELETED: Final = frozenset({
    "geloescht", "geloscht", "deleted", "isdeleted", "loeschkz", "loeschkennzeichen",
})  # fmt: skip
_SECRETS: Final = ("password", "passwd", "passwort", "kennwort", "secret", "token")


def suggestions(found: Overview, stream: str) -> Iterator[Suggestion]:
    """Settings for one table or view."""
    table = found.table
    described = _described(table, stream)
    known = suggested_for(described.fields)[0] is not None
    full = f"{table.schema}.{table.name}" if table.schema else table.name
    size = "" if found.estimate is None else f", about {found.estimate} rows"
    what = "view" if table.view else "table"
    yield Suggestion("table", full, 0.9, f"a {what}{size}", stream)
    safe = [c.name for c in table.columns if _is_plain(c)]
    sure = 0.85 if known else 0.5
    yield Suggestion("fields", safe, sure, "every plain column", stream)
    yield from _key(table, stream)
    yield from _cursor(table, stream)
    for column in table.columns:
        if plain_name(column.name) in _DELETED:
            value: Any = True if column.kind == "bool" else 1
            yield Suggestion(
                "deleted", {"column": column.name, "value": value}, 0.5, "name", stream
            )
    if known:
        yield from suggested_by_names(described)
    for column_name, (other, theirs) in found.references.items():
        yield Suggestion(
            f"lookups.{column_name}",
            {"table": other, "on": {column_name: theirs}},
            0.4,
            "foreign key (look-ups are read by a view today)",
            stream,
        )


def _is_plain(column: Column) -> bool:
    """Whether anybody would read it: neither bytes nor what proves who people are."""
    name = plain_name(column.name)
    secret = any(word in name for word in _SECRETS)
    return column.kind not in ("bytes", "any") and not secret


def _described(table: Table, stream: str) -> Stream:
    """The table as if it were configured to be read with all its columns."""
    fields = (
        Field(
            column.name,
            FIELD_TYPES.get(column.kind, "text"),
            multi=column.kind == "array",
            writable=False,
        )
        for column in table.columns
        if _is_plain(column)
    )
    return Stream(stream, tuple(fields), key=table.primary_key)


def _key(table: Table, stream: str) -> Iterator[Suggestion]:
    if table.primary_key:
        key = list(table.primary_key)
        yield Suggestion("key", key, 1.0, "primary key", stream)
    elif table.uniques:
        yield Suggestion("key", list(table.uniques[0]), 0.7, "unique index", stream)
    else:
        yield Suggestion("key", [], 0.0, "no unique key: name the columns", stream)


def _cursor(table: Table, stream: str) -> Iterator[Suggestion]:
    best = max(table.columns, key=lambda c: _cursor_score(table, c), default=None)
    sure = _cursor_score(table, best) if best else 0.0
    if best and sure:
        reasons = ["type and name"]
        reasons += [] if table.indexed(best.name) else ["no index: slow polls"]
        reasons += ["may be NULL: such rows are unseen"] if best.nullable else []
        reason = "; ".join(reasons)
        yield Suggestion("cursor_column", best.name, sure, reason, stream)


def _cursor_score(table: Table, column: Column) -> float:
    if column.kind not in ("datetime", "zoned"):
        return 0.0
    named = plain_name(column.name) in _CURSORS
    score = (0.5 if named else 0.0) + (0.2 if column.default else 0.0)
    score += 0.2 if table.indexed(column.name) else 0.0
    return score - (0.1 if column.nullable else 0.0) if score >= 0.5 else 0.0  # noqa: PLR2004 - a name, or default and index
