"""Finds duplicate keys in a file of any size: eight bytes a record, then a second look.

Hashes are salted per process, so nobody can prepare collisions; and what two equal
hashes suggest is confirmed on the keys themselves.
"""

from __future__ import annotations

from array import array
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

MOST_KEYS: Final = 20_000_000
_BUCKETS: Final = 256


class Keys:
    """Hashes of the keys seen so far, in buckets that are small enough to sort.

    Args:
        fields: Names of the key fields.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        self._key = key_of(fields)
        self._buckets = [array("q") for _ in range(_BUCKETS)]
        self._add = [bucket.append for bucket in self._buckets]
        self._count = 0

    @property
    def complete(self) -> bool:
        """False if there were more than 20 million: then duplicates are not known."""
        return self._count <= MOST_KEYS

    def take(self, records: Iterable[dict[str, Any]]) -> None:
        """Remember the keys of these records."""
        if not self.complete:
            return
        add, key = self._add, self._key
        before = self._count
        for self._count, record in enumerate(records, before + 1):
            value = hash(key(record))
            add[value & 255](value)

    def suspects(self) -> set[int]:
        """Hashes that stand more than once."""
        found: set[int] = set()
        if not self.complete:
            return found
        for bucket in self._buckets:
            if len(set(bucket)) == len(bucket):
                continue
            seen: set[int] = set()
            for value in bucket:
                (found if value in seen else seen).add(value)
        return found

    def confirmed(
        self,
        suspects: set[int],
        numbered: Iterable[tuple[int, dict[str, Any]]],
        most: int = 5,
    ) -> list[int]:
        """Record numbers whose key an earlier record has, up to ``most`` of them."""
        return list(_repeats(self._key, suspects, numbered, most))


def _repeats(
    key: Callable[[dict[str, Any]], Any],
    suspects: set[int],
    numbered: Iterable[tuple[int, dict[str, Any]]],
    most: int,
) -> Iterator[int]:
    seen: set[Any] = set()
    for number, record in numbered:
        value = key(record)
        if hash(value) not in suspects:
            continue
        if value in seen:
            yield number
            most -= 1
            if not most:
                return
        seen.add(value)


def key_of(fields: Sequence[str]) -> Callable[[dict[str, Any]], Any]:
    """The function from a record to its key: one value as text, or a tuple."""
    if len(fields) == 1:
        get = itemgetter(fields[0])
        return lambda record: str(get(record))
    many = itemgetter(*fields)
    return lambda record: tuple(map(str, many(record)))
