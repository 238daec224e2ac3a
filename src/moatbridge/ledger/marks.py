"""Marks and links: which record is which, and what was last seen of it.

A *mark* is the narrow fingerprint row of one record on one side of a pair, found by
the hash of its key; a *link* joins the two sides. A key hash has 16 bytes (a 64-bit one
with a collision table would be a quarter faster; DESIGN allows the plain form first).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from moatbridge.ledger.states import LinkState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from moatbridge.ledger.database import Transaction

_CHUNK = 500
_MANY = 50
"""From so many records on it is asked first whether there are any marks at all."""
_T = TypeVar("_T")
MarkRow: TypeAlias = "tuple[bytes, bytes | None, bytes | None, int]"
"""(Key hash, fp, out_fp, link id): a `Mark` and whose it is."""


class Mark(NamedTuple):
    """What the ledger knows of a record on one side."""

    fp: bytes | None
    out_fp: bytes | None
    link_id: int


@dataclass(frozen=True, slots=True)
class Link:
    """One record on both sides of a pair. Keys are personal data: never print one."""

    link_id: int
    a_key: str | None
    a_name: str | None
    b_key: str | None
    b_name: str | None
    a_ver: str | None
    b_ver: str | None
    state: LinkState
    origin: int
    quiet_until: float | None
    remove_at: float | None
    round: int
    base: bytes | None

    def key(self, side: int) -> str | None:
        """Record key on side 0 (a) or 1 (b)."""
        return self.b_key if side else self.a_key

    def name(self, side: int) -> str | None:
        """Mutable name on that side."""
        return self.b_name if side else self.a_name

    def version(self, side: int) -> str | None:
        """Version last seen on that side."""
        return self.b_ver if side else self.a_ver


_LINK = (
    "link_id, a_key, a_name, b_key, b_name, a_ver, b_ver, state, origin, "
    "quiet_until, remove_at, round, base"
)


def lookup(tx: Transaction, side_id: int, ks: Sequence[bytes]) -> dict[bytes, Mark]:
    """Marks of these key hashes on one side: one look-up per 500 (delivery 32)."""
    return {
        k: Mark(fp, out_fp, link_id)
        for k, fp, out_fp, link_id in found_rows(tx, side_id, ks)
    }


def found_rows(tx: Transaction, side_id: int, ks: Sequence[bytes]) -> list[MarkRow]:
    """What `lookup` finds, as rows in any order.

    For who asks about many records and looks closer at few.
    """
    found: list[MarkRow] = []
    if len(ks) >= _MANY and not any_of(tx, side_id):
        return found  # of a first load nothing is known yet
    for part in chunks(ks, _CHUNK):
        holes = ",".join("?" * len(part))
        found += tx.all(
            "SELECT k, fp, out_fp, link_id FROM mark "
            f"WHERE side_id=? AND k IN ({holes})",
            side_id,
            *part,
        )
    return found


def any_of(tx: Transaction, side_id: int) -> bool:
    """Whether anything at all is known of one side."""
    return tx.one("SELECT 1 FROM mark WHERE side_id=? LIMIT 1", side_id) is not None


def put(tx: Transaction, side_id: int, rows: Sequence[MarkRow]) -> None:
    """Write marks."""
    tx.many(
        "INSERT INTO mark(side_id, k, fp, out_fp, link_id) VALUES(?,?,?,?,?) "
        "ON CONFLICT(side_id, k) DO UPDATE SET fp=excluded.fp, "
        "out_fp=excluded.out_fp, link_id=excluded.link_id",
        [(side_id, *row) for row in rows],
    )


def touch(
    tx: Transaction, side_id: int, rows: Sequence[tuple[bytes, bytes, bytes]]
) -> None:
    """Set the source fingerprint only, where the old one still stands.

    Args:
        tx: Open transaction.
        side_id: Side of the pair.
        rows: (new fp, key hash, fp it was compared with).
    """
    tx.many(
        "UPDATE mark SET fp=? WHERE side_id=? AND k=? AND fp=?",
        [(new, side_id, k, old) for new, k, old in rows],
    )


def forget(tx: Transaction, side_id: int, ks: Sequence[bytes]) -> None:
    """Null the fingerprints, so that the next pass sees these records as changed."""
    tx.many(
        "UPDATE mark SET fp=NULL, out_fp=NULL WHERE side_id=? AND k=?",
        [(side_id, k) for k in ks],
    )


def links(tx: Transaction, link_ids: Iterable[int]) -> dict[int, Link]:
    """Load links by id."""
    found: dict[int, Link] = {}
    for part in chunks(list(link_ids), _CHUNK):
        holes = ",".join("?" * len(part))
        for row in tx.all(
            f"SELECT {_LINK} FROM link WHERE link_id IN ({holes})", *part
        ):
            values: Any = (*row[:7], LinkState(row[7]), *row[8:])
            found[row[0]] = Link(*values)
    return found


def allocate(tx: Transaction, count: int) -> range:
    """Reserve link ids: dense, monotonic, never used twice."""
    first = int(tx.value("SELECT value FROM meta WHERE name='next_link'"))
    tx.run("UPDATE meta SET value=? WHERE name='next_link'", str(first + count))
    return range(first, first + count)


def highest(tx: Transaction) -> int:
    """The highest link id given out so far."""
    return int(tx.value("SELECT value FROM meta WHERE name='next_link'")) - 1


def count_live(tx: Transaction, pair_id: int) -> int:
    """Links of the pair in state live."""
    return int(
        tx.value(
            "SELECT count(*) FROM link WHERE pair_id=? AND state=?",
            pair_id,
            LinkState.LIVE,
        )
    )


def count_live_to(tx: Transaction, pair_id: int, most: int) -> int:
    """The same, but no further than so many: it reads no more than that."""
    return int(
        tx.value(
            "SELECT count(*) FROM (SELECT 1 FROM link WHERE pair_id=? AND state=? "
            "LIMIT ?) AS some_of_them",
            pair_id,
            LinkState.LIVE,
            most,
        )
    )


def alias_put(
    tx: Transaction, side_id: int, rows: Sequence[tuple[bytes, int, bytes | None]]
) -> None:
    """Write name hashes: rows of (hash, link id, hash of the former name)."""
    tx.many(
        "DELETE FROM alias WHERE side_id=? AND k=? AND link_id=?",
        [(side_id, old, link_id) for new, link_id, old in rows if old and old != new],
    )
    tx.many(
        "INSERT INTO alias(side_id, k, link_id) VALUES(?,?,?) "
        "ON CONFLICT(side_id, k) DO UPDATE SET link_id=excluded.link_id",
        [(side_id, new, link_id) for new, link_id, _old in rows],
    )


def resolve(
    tx: Transaction, side_id: int, ks: Sequence[bytes], *, by_name: bool
) -> dict[bytes, int]:
    """Link ids of references, by key hash or by name hash."""
    table = "alias" if by_name else "mark"
    found: dict[bytes, int] = {}
    for part in chunks(ks, _CHUNK):
        holes = ",".join("?" * len(part))
        rows = tx.all(
            f"SELECT k, link_id FROM {table} WHERE side_id=? AND k IN ({holes})",
            side_id,
            *part,
        )
        found.update((k, link_id) for k, link_id in rows)
    return found


def chunks(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Cut a sequence into lists of at most ``size``."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part
