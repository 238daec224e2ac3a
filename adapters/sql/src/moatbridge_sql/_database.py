"""The port: what the adapter asks of a database. Only `engine` implements it.

Rows are sequences of the driver's own values, laid out as `Selection` says. Keys are
tuples of such values. Every failure is a `moatbridge.errors` class, or a `FaultError`
where the caller must know more; no driver exception and no chained cause ever passes.
One thread at a time, except for `Database.abort`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from moatbridge_sql._blocks import Block
    from moatbridge_sql._faults import Fault
    from moatbridge_sql._schema import Column, Selection, Table

RawKey: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class PagePlan:
    """How to walk a selection.

    Args:
        selection: What to read.
        limit: Rows in a page, at most.
        after: Key of the last row already read; with ``cursor_after`` for polls.
        span: Half-open range ``[from, to)`` of the first key column.
        poll: Order by ``(cursor, key)`` from ``cursor_from`` on, rows outside the
            stream included.
        cursor_from: Inclusive start of a poll as text; None starts at the beginning.
        cursor_after: Cursor text that belongs to ``after``.
    """

    selection: Selection
    limit: int
    after: RawKey | None = None
    span: tuple[int | None, int | None] = (None, None)
    poll: bool = False
    cursor_from: str | None = None
    cursor_after: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that the server could not deliver at all (a view that divides by zero)."""

    key: RawKey
    fault: Fault


@dataclass(frozen=True, slots=True)
class Page:
    """One page, read in its own short transaction that ended well.

    Args:
        rows: In key order (or cursor order).
        bad: Rows that had to be left out.
        after: Key of the last row, bad ones included; None if there was none.
        cursor_after: Cursor text of the last row of a poll.
        last: The page was shorter than its limit: nothing follows.
        marked: Read by tolerant loaders: values may be `Undecodable`.
        twin: The next row has the same key as the last one here.
    """

    rows: Sequence[Sequence[Any]]
    bad: Sequence[BadRow] = ()
    after: RawKey | None = None
    cursor_after: str | None = None
    last: bool = False
    twin: bool = False
    marked: bool = False


@dataclass(frozen=True, slots=True)
class RowWrite:
    """One row to write.

    Args:
        op: ``create`` makes a row, or finds one that holds just these values already,
            and never changes any; ``upsert`` makes or changes the row that carries our
            own id in ``match``; ``insert`` always makes a new row; ``update`` and
            ``delete`` need an existing one.
        match: Columns that identify the row, with driver-neutral values.
        values: Columns to set.
        expected: Version the row must still have, as canonical text.
    """

    op: Literal["create", "upsert", "insert", "update", "delete"]
    match: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one row.

    Args:
        outcome: ``stale`` is a lost compare-and-set, ``gone`` a row that is not there,
            ``conflict`` a row to create whose place another row has.
        key: The row's key, as the database tells it, where it was asked for.
        version: The version column's value after the write, where configured.
        fault: Why it was rejected.
    """

    outcome: Literal["applied", "rejected", "stale", "gone", "conflict", "unknown"]
    key: RawKey | None = None
    version: Any = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows are written: the table, its key, and columns to report back."""

    table: Table
    key: tuple[str, ...]
    version: str | None = None


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What an open connection told about its server and account.

    Args:
        identity: Stable identity of the data behind the connection.
        product: Human words.
        account: Who we are there.
        privileges: Rights far beyond need (``SUPERUSER``); empty for a plain account.
        warnings: Sentences for ``check``.
        missing: Refinements that this database goes without.
    """

    identity: str
    product: str = ""
    account: str | None = None
    privileges: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Overview:
    """One table or view, for ``discover``: a row estimate from statistics, if any."""

    table: Table
    estimate: int | None = None
    references: Mapping[str, tuple[str, str]] = field(default_factory=dict)


class Database(Protocol):
    """One connection to one database."""

    facts: ServerFacts
    loose: bool
    """The driver does not guarantee the type of a value (SQLite)."""
    repeats_safely: bool
    """The server ends statements by itself (`statement_timeout` is enforced)."""

    def describe(self, names: Sequence[str]) -> Mapping[str, Table]:
        """Reflect the named tables (``schema.table``), by the names given."""

    def overview(self) -> Sequence[Overview]:
        """Every table and view of the configured schemas."""

    def pages(self, plan: PagePlan) -> Iterator[Page]:
        """Keyset pages, each read in its own short read-only transaction."""

    def fetch(self, selection: Selection, keys: Sequence[RawKey]) -> list[Any]:
        """Rows with these keys, in any order, each with its scope flag."""

    def find(self, selection: Selection, column: Column, values: Sequence[Any]) -> Any:
        """Rows inside the stream whose column has one of the values."""

    def bounds(self, selection: Selection) -> tuple[Any, Any] | None:
        """Smallest and largest value of the first key column."""

    def duplicated(self, selection: Selection) -> bool:
        """Whether two rows share a key (one at most is looked for)."""

    def horizon(self, selection: Selection) -> str | None:
        """The server's clock plus 60 s as cursor text; None where it is no time."""

    def newest(self, selection: Selection) -> str | None:
        """Newest cursor text not beyond the horizon."""

    def may_write(self, table: Table) -> bool | None:
        """Whether the account may change rows; None where that cannot be asked."""

    def write(self, target: Target, rows: Sequence[RowWrite]) -> list[Written]:
        """One transaction; raises only if nothing took effect."""

    def write_blocks(
        self, target: Target, blocks: Sequence[Block]
    ) -> Literal["applied", "unknown"] | None:
        """One transaction; None: nothing took effect, write the rows one by one."""

    def abort(self) -> None:
        """End the statement in progress; any thread, never blocks or raises."""

    def close(self) -> None:
        """Release the connection; idempotent, never raises."""
