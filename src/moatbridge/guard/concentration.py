"""How much of a path's new values is one and the same value, in bounded memory.

The space-saving sketch (Metwally, Agrawal, El Abbadi 2005): 64 counters; a value that
has none takes over the smallest. A count may be too high by at most ``total / 64``,
never too low, so a path that fills up with one value is never missed. Up to 64
distinct values all counts are exact. Values are kept as digests only.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Self

from moatbridge.entities import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNTERS: Final = 64


class Concentration:
    """Counts of the most frequent values of one path.

    Args:
        salt: Key of the digests, at most 64 bytes; the same for all parts of a plan.
    """

    __slots__ = ("_counts", "_salt", "total")

    def __init__(self, salt: bytes = b"") -> None:
        self._salt = salt
        self._counts: dict[str, int] = {}
        self.total: int = 0

    def add(self, value: Any) -> None:
        """Count one value: any JSON value."""
        text = canonical_json(value).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, digest_size=8, key=self._salt).hexdigest()
        self._count(digest, 1)
        self.total += 1

    @property
    def top(self) -> int:
        """Count of the most frequent value."""
        return max(self._counts.values(), default=0)

    def merge(self, other: Concentration) -> None:
        """Add the counts of another part of the plan."""
        self.total += other.total
        for digest, n in sorted(other._counts.items()):
            self._count(digest, n)

    def _count(self, digest: str, n: int) -> None:
        counts = self._counts
        if digest in counts:
            counts[digest] += n
        elif len(counts) < COUNTERS:
            counts[digest] = n
        else:
            smallest = min(counts, key=lambda each: (counts[each], each))
            counts[digest] = counts.pop(smallest) + n

    def to_dict(self) -> dict[str, Any]:
        """JSON for the ledger; holds digests, no values."""
        return {"total": self.total, "counts": Counter(self._counts)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], salt: bytes = b"") -> Self:
        """The opposite of `to_dict`."""
        sketch = cls(salt)
        sketch.total = data["total"]
        sketch._counts = dict(data["counts"])
        return sketch
