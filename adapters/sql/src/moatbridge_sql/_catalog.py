"""Binds a stream's settings to what the catalogue really holds. Pure.

Names come only from the catalogue: a configured name is looked up exactly, then
without case if that is unambiguous; everything else is an error with a suggestion.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from moatbridge.adapter import Field, Stream, suggested_for
from moatbridge.errors import ConfigurationError
from moatbridge_sql._schema import (
    FIELD_TYPES,
    TEMPORAL,
    Column,
    Selection,
    Table,
    schema_changed,
)
from moatbridge_sql._types import type_rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge_sql._config import SqlStreamConfig
    from moatbridge_sql._types import TypeRule


@dataclass(frozen=True)
class BoundStream:
    """One stream, with every name checked.

    Args:
        name: Local name.
        config: Its settings, spelled as configured.
        selection: What is read.
        rules: Compiled ``types``, by column name.
        nulls: Texts that read as None, by column name.
        writable: Columns that may be set.
        external_id: Column that carries our id, if any.
    """

    name: str
    config: SqlStreamConfig
    selection: Selection
    rules: Mapping[str, TypeRule]
    nulls: Mapping[str, tuple[str, ...]]
    writable: tuple[str, ...]
    external_id: str | None

    @property
    def table(self) -> Table:
        """Where it lives."""
        return self.selection.table

    @cached_property
    def key_columns(self) -> tuple[Column, ...]:
        """Columns of the key, in order."""
        return tuple(map(self.table.column, self.selection.key))

    @cached_property
    def natural(self) -> tuple[str, ...]:
        """Columns by which a repeated create finds its row; empty if there are none."""
        if self.external_id:
            return (self.external_id,)
        made_by_us = self.selection.unique and set(self.selection.key) <= set(
            self.writable
        )
        return self.selection.key if made_by_us else ()

    def seen(self, name: str) -> Column:
        """A column as the record sees it: ``types`` override the catalogue."""
        column = self.table.column(name)
        rule = self.rules.get(name)
        return rule.applied(column) if rule else column


def find_name(wanted: str, known: Sequence[str], what: str, stream: str) -> str:
    """The catalogue's spelling of a configured name.

    Raises:
        ConfigurationError: ``sql.schema-changed``, with the nearest name.
    """
    if wanted in known:
        return wanted
    folded = [name for name in known if name.casefold() == wanted.casefold()]
    if len(folded) == 1:
        return folded[0]
    near = difflib.get_close_matches(wanted, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    if len(folded) > 1:
        hint = "; several differ only in case: write it exactly."
    raise schema_changed(f"There is no {what} {wanted!r}{hint}", stream=stream)


def bind(name: str, config: SqlStreamConfig, table: Table) -> BoundStream:
    """Check every name of a stream's settings against its table.

    Raises:
        ConfigurationError: ``sql.schema-changed``, ``sql.no-key``, ``sql.types`` or
            ``sql.not-writable``.
    """
    known = [column.name for column in table.columns]

    def column(wanted: str) -> str:
        return find_name(wanted, known, f"column of {table.name!r} named", name)

    def optional(wanted: str | None) -> str | None:
        return None if wanted is None else column(wanted)

    rules = {column(n): type_rule(text, n) for n, text in config.types.items()}
    nulls = {column(n): texts for n, texts in config.nulls.items()}
    deleted = config.deleted
    selection = Selection(
        table=table,
        fields=tuple(dict.fromkeys(map(column, config.fields))),
        key=_key(tuple(map(column, config.key)), table, name),
        where=tuple(
            c.model_copy(update={"column": column(c.column)}) for c in config.where
        ),
        deleted=deleted
        and deleted.model_copy(update={"column": column(deleted.column)}),
        version=optional(config.version),
        name=optional(config.name),
        cursor=optional(config.cursor_column) if config.followed else None,
        as_text=frozenset(n for n in nulls if table.column(n).kind in TEMPORAL),
    )
    writable = tuple(dict.fromkeys(map(column, config.writable)))
    bound = BoundStream(
        name, config, selection, rules, nulls, writable, optional(config.external_id)
    )
    _check_writes(bound)
    return bound


def _key(configured: tuple[str, ...], table: Table, stream: str) -> tuple[str, ...]:
    key = configured or table.primary_key
    if not key:
        raise ConfigurationError(
            f"{table.name!r} has no primary key; set key = [...] to columns that "
            "identify a row.",
            code="sql.no-key",
            stream=stream,
        )
    return key


def _check_writes(bound: BoundStream) -> None:
    table = bound.table
    fixed = [n for n in bound.writable if table.column(n).generated]
    problem = ""
    if bound.config.written and table.view:
        problem = f"{table.name!r} is a view"
    elif fixed:
        problem = f"the database itself computes {', '.join(fixed)}"
    elif bound.external_id and not table.unique((bound.external_id,)):
        problem = f"external_id {bound.external_id!r} has no unique index"
    elif bound.external_id and bound.external_id not in bound.writable:
        problem = f"external_id {bound.external_id!r} is not among 'writable'"
    if problem:
        raise ConfigurationError(
            f"The stream cannot be written as configured: {problem}.",
            code="sql.not-writable",
            stream=bound.name,
        )


def describe(bound: BoundStream, abilities: frozenset[str]) -> Stream:
    """What the core is told about a stream."""
    selection = bound.selection
    fields = tuple(_field(bound, name) for name in selection.fields)
    entity, suggested = suggested_for(fields)
    inside = set(selection.key) <= set(selection.fields)
    return Stream(
        name=bound.name,
        fields=fields,
        key=selection.key if inside else (),
        abilities=abilities,
        entity=entity,
        suggested=suggested,
        sees_deletes=selection.cursor is not None and selection.deleted is not None,
        query=selection.fingerprint,
    )


def _field(bound: BoundStream, name: str) -> Field:
    column = bound.seen(name)
    return Field(
        name,
        FIELD_TYPES.get(column.kind, "text"),
        required=not (column.nullable or column.default or column.generated),
        multi=column.kind == "array",
        ordered=column.kind == "array",
        writable=name in bound.writable,
        unique=bound.table.unique((name,)),
    )


def warnings_of(bound: BoundStream) -> list[str]:
    """Sentences for ``check`` that the catalogue alone can justify."""
    selection, table, said = bound.selection, bound.table, []
    for column in bound.key_columns:
        if column.nullable:
            said.append(f"key column {column.name!r} may be NULL: such rows are unseen")
        if column.folded:
            said.append(
                f"key column {column.name!r} compares without case: ids that differ "
                "only in case are one"
            )
    if not selection.unique:
        said.append(f"no unique index covers the key ({', '.join(selection.key)})")
    if selection.cursor:
        cursor = table.column(selection.cursor)
        if not table.view and not table.indexed(cursor.name):
            said.append(f"no index on {cursor.name!r}: every poll reads the table")
        if cursor.nullable:
            said.append(
                f"{cursor.name!r} may be NULL: such rows are seen by scans only"
            )
        said.append(
            "late commits are covered for transactions shorter than the overlap only"
        )
    if not table.transactional and bound.config.written:
        said.append(f"{table.name!r} cannot roll back: a lost answer is unknown")
    return [f"{bound.name}: {text}." for text in said]


def generic(table: Table) -> Table:
    """The table without what only a refined dialect knows."""
    return replace(
        table, columns=tuple(replace(c, native="", padded=False) for c in table.columns)
    )
