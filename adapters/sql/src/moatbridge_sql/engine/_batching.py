"""How the rows of a batch are put into statements. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moatbridge_sql._keys import canonical
from moatbridge_sql._values import ValueFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge_sql._database import RawKey, RowWrite, Written
    from moatbridge_sql._schema import Column


@dataclass(slots=True)
class PendingRow:
    """A row on its way; ``written`` is filled in as soon as its fate is known.

    ``found`` are the values of ``match`` in the row that is there already.
    """

    write: RowWrite
    identity: tuple[str, ...]
    written: Written | None = None
    key: RawKey | None = None
    version: Any = None
    found: RawKey = ()


def waves(rows: Sequence[PendingRow]) -> Iterator[list[PendingRow]]:
    """Rows by how often their key came before, each wave ordered by key."""
    waves: list[list[PendingRow]] = []
    seen: dict[tuple[str, ...], int] = {}
    for row in rows:
        index = seen.get(row.identity, 0)
        if row.write.op != "insert":
            seen[row.identity] = index + 1
        if index == len(waves):
            waves.append([])
        waves[index].append(row)
    for wave in waves:
        yield sorted(wave, key=lambda row: row.identity)


def groups(rows: Sequence[PendingRow]) -> Iterator[list[PendingRow]]:
    """Rows of one operation and one set of columns."""
    found: dict[Any, list[PendingRow]] = {}
    for row in rows:
        write = row.write
        shape = (
            write.op, tuple(write.match), tuple(write.values), write.expected is None
        )  # fmt: skip
        found.setdefault(shape, []).append(row)
    yield from found.values()


def goes_back(column: Column, found: Any, wanted: Any) -> bool:
    """A version that we set ourselves never falls (sql 37); equal is a repeat."""
    try:
        return bool(wanted < found)
    except TypeError:
        pass
    try:
        return canonical(column, wanted) < canonical(column, found)
    except ValueFault:
        return False
