"""A transaction over a ledger whose content is encrypted at rest.

Nobody who writes a statement has to think of it. Which values go into a column that
holds content is read off the statement itself, once for each statement; what comes back
sealed is opened. Keys of records stay findable by their hashes, which are no content.
A statement that fills such a column in a way that cannot be read is refused, so that
nothing slips through.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from moatbridge.ledger.transactions import Transaction
from moatbridge.ledger.vault import SIGN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.engine import Connection

    from moatbridge.ledger.vault import Vault

COLUMNS: Final[dict[str, frozenset[str]]] = {
    "intent": frozenset({"payload", "ref", "receipt"}),
    "before": frozenset({"image"}),
    "hold": frozenset({"detail"}),
    "reject": frozenset({"ref"}),
    "inbox": frozenset({"content", "ordering_key"}),
    "reply": frozenset({"asker"}),
    "answer": frozenset({"body"}),
    "link": frozenset({"a_key", "a_name", "b_key", "b_name"}),
    "partition": frozenset({"cursor", "spec"}),
    "unsettled": frozenset({"cursor"}),
}
"""Table -> columns that hold content: entities, records, names and keys of records."""

_INSERT: Final = re.compile(r"\s*INSERT INTO (\w+) ?\(", re.IGNORECASE)
_UPDATE: Final = re.compile(r"\s*UPDATE (\w+) SET ", re.IGNORECASE)
_SET: Final = re.compile(r"\bDO UPDATE SET ", re.IGNORECASE)
_END: Final = re.compile(r" (WHERE|RETURNING|FROM|ON CONFLICT)\b", re.IGNORECASE)


class SealedTransaction(Transaction):
    """Seals what goes into columns with content, and opens what comes back.

    Args:
        inner: The transaction that does the work.
        vault: The keys.
    """

    __slots__ = ("_inner", "_vault", "for_update", "skip_locked")

    def __init__(self, inner: Transaction, vault: Vault) -> None:
        self._inner = inner
        self._vault = vault
        self.for_update: str = inner.for_update
        self.skip_locked: str = inner.skip_locked

    @property
    def core(self) -> Connection:
        """That of the transaction that does the work."""
        return self._inner.core

    def all(self, sql: str, *params: Any) -> Sequence[Any]:
        """Every row."""
        rows = self._inner.all(sql, *self._sealed(sql, params))
        return [self._opened(row) for row in rows]

    def one(self, sql: str, *params: Any) -> Any:
        """The first row, or None."""
        row = self._inner.one(sql, *self._sealed(sql, params))
        return None if row is None else self._opened(row)

    def run(self, sql: str, *params: Any) -> int:
        """Execute; the number of rows touched."""
        return self._inner.run(sql, *self._sealed(sql, params))

    def insert(self, sql: str, *params: Any) -> int:
        """Execute an INSERT into a table that numbers its rows; the new number."""
        return self._inner.insert(sql, *self._sealed(sql, params))

    def many(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute once per row, in one call; nothing for no rows."""
        if content_in(sql):
            rows = [self._sealed(sql, row) for row in rows]
        self._inner.many(sql, rows)

    def tell(self, flow_id: int) -> None:
        """Let every process that listens know that a flow has work."""
        self._inner.tell(flow_id)

    def now(self) -> float:
        """The ledger's wall time: POSIX seconds."""
        return self._inner.now()

    def lease_clock(self) -> tuple[int, str]:
        """See `Transaction.lease_clock`."""
        return self._inner.lease_clock()

    def _sealed(self, sql: str, params: tuple[Any, ...]) -> tuple[Any, ...]:
        places = content_in(sql)
        if not places:
            return params
        seal = self._vault.seal
        return tuple(
            seal(value) if place in places and isinstance(value, str) else value
            for place, value in enumerate(params)
        )

    def _opened(self, row: Any) -> tuple[Any, ...]:
        opens = self._vault.open
        return tuple(
            opens(value) if isinstance(value, str) and value[:1] == SIGN else value
            for value in row
        )


@lru_cache(maxsize=2048)
def content_in(sql: str) -> frozenset[int]:
    """Which of a statement's values go into columns that hold content.

    Raises:
        AssertionError: It cannot be told; a bug of ours.
    """
    found: set[int] = set()
    if inserted := _INSERT.match(sql):
        columns = COLUMNS.get(inserted[1], frozenset())
        if columns:
            found |= _inserted(sql, inserted.end(), columns)
    elif updated := _UPDATE.match(sql):
        columns = COLUMNS.get(updated[1], frozenset())
        found |= _assigned(sql, updated.end(), columns)
    return frozenset(found)


def _inserted(sql: str, start: int, columns: frozenset[str]) -> set[int]:
    end = sql.index(")", start)
    names = [name.strip() for name in sql[start:end].split(",")]
    rest = sql[end + 1 :].lstrip()
    at = len(sql) - len(rest)
    if rest.upper().startswith("VALUES"):
        at = sql.index("(", at) + 1
    elif rest.upper().startswith("SELECT "):
        at += len("SELECT ")
    else:
        raise AssertionError(f"a statement that cannot be read: {sql}")
    parts = list(_parts(sql, at))
    if len(parts) < len(names):
        raise AssertionError(f"a statement that cannot be read: {sql}")
    found: set[int] = set()
    for name, (first, behind) in zip(names, parts, strict=False):
        if name in columns:
            found |= _holes(sql, first, behind)
    conflict = _SET.search(sql, at)
    return found | (_assigned(sql, conflict.end(), columns) if conflict else set())


def _assigned(sql: str, start: int, columns: frozenset[str]) -> set[int]:
    found: set[int] = set()
    for first, behind in _parts(sql, start):
        name = sql[first:behind].partition("=")[0].strip().rpartition(".")[2]
        if name in columns:
            found |= _holes(sql, first, behind)
    return found


def _parts(sql: str, start: int) -> Iterator[tuple[int, int]]:
    """Parts between commas, outside brackets and quotes, up to the end of the list."""
    depth, first, at, quoted = 0, start, start, False
    while at < len(sql):
        char = sql[at]
        if char == "'":
            quoted = not quoted
        elif not quoted and char == "(":
            depth += 1
        elif not quoted and char == ")":
            if depth == 0:
                break
            depth -= 1
        elif not quoted and depth == 0:
            if char == ",":
                yield first, at
                first = at + 1
            elif char == " " and _END.match(sql, at):
                break
        at += 1
    yield first, at


def _holes(sql: str, first: int, behind: int) -> set[int]:
    before, inside = _count(sql[:first]), _count(sql[first:behind])
    return set(range(before, before + inside))


def _count(text: str) -> int:
    return re.sub(r"'[^']*'", "", text).count("?")
