"""Generations: one full pass each, and the bitmap of what it saw (delivery 35, 41).

One bit per link, in chunks of 4,096 bytes. Dirty chunks are written in the same
transaction as the cursor: a cursor that becomes durable before its bits turns into
wrong deletes. Every path that touches a link while a generation is open sets its bit.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.ledger.states import LinkState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from moatbridge.ledger.database import Transaction

CHUNK_BYTES: Final = 4096
CHUNK_LINKS: Final = CHUNK_BYTES * 8
_ALL: Final = 0xFF
_FEW: Final = 500
"""Links that are looked up one by one rather than among all of a stretch."""


class Scan(NamedTuple):
    """One generation of a flow's source."""

    generation: int
    state: str
    link_high: int
    server: str | None
    query: str | None
    seen: int
    prev_seen: int | None
    blind: int


class Bits:
    """Seen bits of one partition, loaded lazily and written when dirty."""

    def __init__(self, flow_id: int, generation: int, part: str) -> None:
        self._where = (flow_id, generation, part)
        self._chunks: dict[int, bytearray] = {}
        self._dirty: set[int] = set()

    def load(self, tx: Transaction) -> None:
        """Read back what this partition had written (a resumed pass)."""
        self._chunks = {
            chunk: bytearray(bits)
            for chunk, bits in tx.all(
                "SELECT chunk, bits FROM seen "
                "WHERE flow_id=? AND generation=? AND part=?",
                *self._where,
            )
        }
        self._dirty.clear()

    def add(self, link_id: int) -> bool:
        """Set the bit; False if it was set already."""
        number, rest = divmod(link_id, CHUNK_LINKS)
        chunk = self._chunks.get(number)
        if chunk is None:
            chunk = self._chunks[number] = bytearray(CHUNK_BYTES)
        byte, bit = rest >> 3, 1 << (rest & 7)
        if chunk[byte] & bit:
            return False
        chunk[byte] |= bit
        self._dirty.add(number)
        return True

    def update(self, link_ids: Collection[int]) -> None:
        """Set many bits: half the cost of `add`."""
        for number, part in _by_chunk(link_ids):
            old = self._chunks.setdefault(number, bytearray(CHUNK_BYTES))
            new = _filled(old, number, part)
            if new != old:
                self._chunks[number] = new
                self._dirty.add(number)

    def add_new(self, link_ids: Collection[int]) -> bool:
        """Set all these bits if none of them is set; else set none, and say False."""
        made: dict[int, bytearray] = {}
        for number, part in _by_chunk(link_ids):
            old = self._chunks.get(number) or bytearray(CHUNK_BYTES)
            made[number] = _filled(old, number, part)
            if _count(made[number]) - _count(old) < len(part):
                return False
        self._chunks.update(made)
        self._dirty.update(made)
        return True

    def has(self, link_id: int) -> bool:
        """Whether the bit is set."""
        number, rest = divmod(link_id, CHUNK_LINKS)
        chunk = self._chunks.get(number)
        return chunk is not None and bool(chunk[rest >> 3] & 1 << (rest & 7))

    def save(self, tx: Transaction) -> None:
        """Write the dirty chunks; call it in the transaction that moves the cursor."""
        tx.many(
            "INSERT INTO seen(flow_id, generation, part, chunk, bits) "
            "VALUES(?,?,?,?,?) ON CONFLICT(flow_id, generation, part, chunk) "
            "DO UPDATE SET bits=excluded.bits",
            [(*self._where, n, bytes(self._chunks[n])) for n in sorted(self._dirty)],
        )

    def saved(self) -> None:
        """The transaction of `save` has committed."""
        self._dirty.clear()


def _by_chunk(link_ids: Collection[int]) -> Iterable[tuple[int, Collection[int]]]:
    """The links by the chunk that they are in; nearly always it is one."""
    if not link_ids:
        return ()
    first = min(link_ids) // CHUNK_LINKS
    if max(link_ids) // CHUNK_LINKS == first:
        return ((first, link_ids),)
    found: dict[int, list[int]] = {}
    for link_id in link_ids:
        found.setdefault(link_id // CHUNK_LINKS, []).append(link_id)
    return found.items()


def _filled(chunk: bytearray, number: int, link_ids: Collection[int]) -> bytearray:
    """A copy of a chunk with these bits set."""
    made, first = bytearray(chunk), number * CHUNK_BYTES
    for link_id in link_ids:
        made[(link_id >> 3) - first] |= 1 << (link_id & 7)
    return made


def _count(chunk: bytearray) -> int:
    return int.from_bytes(chunk, "little").bit_count()


def begin(
    tx: Transaction, flow_id: int, *, link_high: int, server: str, query: str
) -> int:
    """Open a new generation; returns its number."""
    generation = int(
        tx.value(
            "UPDATE flow SET generation=generation+1 WHERE flow_id=? "
            "RETURNING generation",
            flow_id,
        )
    )
    tx.run(
        "INSERT INTO scan(flow_id, generation, state, link_high, server, query, "
        "started, prev_seen) VALUES(?,?,'open',?,?,?,?,("
        "SELECT seen FROM scan WHERE flow_id=? AND state='complete' "
        "ORDER BY generation DESC LIMIT 1))",
        flow_id,
        generation,
        link_high,
        server,
        query,
        tx.now(),
        flow_id,
    )
    return generation


def get(tx: Transaction, flow_id: int, generation: int) -> Scan:
    """The generation's row."""
    row = tx.one(
        "SELECT generation, state, link_high, server, query, seen, prev_seen, blind "
        "FROM scan WHERE flow_id=? AND generation=?",
        flow_id,
        generation,
    )
    return Scan(*row)


def current(tx: Transaction, flow_id: int) -> Scan | None:
    """The open generation of the flow, if there is one."""
    row = tx.one(
        "SELECT generation, state, link_high, server, query, seen, prev_seen, blind "
        "FROM scan WHERE flow_id=? AND state='open' ORDER BY generation DESC LIMIT 1",
        flow_id,
    )
    return None if row is None else Scan(*row)


def last_server(tx: Transaction, flow_id: int) -> str | None:
    """Identity of the server at the last complete generation."""
    value = tx.value(
        "SELECT server FROM scan WHERE flow_id=? AND state='complete' "
        "ORDER BY generation DESC LIMIT 1",
        flow_id,
    )
    return None if value is None else str(value)


def position_lost(tx: Transaction, flow_id: int) -> None:
    """What people agreed to follow cannot be followed from where it stood."""
    tx.run(
        "UPDATE scan SET state='abandoned' WHERE flow_id=? AND state='followed'",
        flow_id,
    )


def last_position(tx: Transaction, flow_id: int, key: str) -> Any:
    """Cursor of a partition at the end of the last pass that came to anything.

    A pass whose plan waits for a person, or was replaced, does not count: what it read
    was not carried, so it is read again as long as the source still has it.
    """
    text = tx.value(
        "SELECT p.cursor FROM partition p JOIN run r ON r.flow_id=p.flow_id "
        "AND r.generation=p.generation AND r.kind='pass' WHERE p.flow_id=? "
        "AND p.kind='scan' AND p.part='g'||p.generation||'/'||? "
        "AND p.cursor IS NOT NULL AND r.state IN ('applying','done','nothing') "
        "ORDER BY p.generation DESC LIMIT 1",
        flow_id,
        key,
    )
    return None if text is None else json.loads(text)


def count(
    tx: Transaction, flow_id: int, generation: int, seen: int, blind: int
) -> None:
    """Add to the records seen, and to the rejects that name no record."""
    tx.run(
        "UPDATE scan SET seen=seen+?, blind=blind+? WHERE flow_id=? AND generation=?",
        seen,
        blind,
        flow_id,
        generation,
    )


def finish(tx: Transaction, flow_id: int, generation: int, state: str) -> None:
    """Close a generation; older bits are dropped.

    Args:
        tx: Open transaction.
        flow_id: Whose.
        generation: Which.
        state: ``complete``, ``abandoned`` (it says nothing about what vanished),
            ``nothing`` (no pass happened) or ``followed`` (there is nothing to scan).
    """
    tx.run(
        "UPDATE scan SET state=?, finished=? WHERE flow_id=? AND generation=?",
        state,
        tx.now(),
        flow_id,
        generation,
    )
    tx.run("DELETE FROM seen WHERE flow_id=? AND generation<=?", flow_id, generation)


def missing(
    tx: Transaction, flow_id: int, scan: Scan, pair_id: int, *, after: int, limit: int
) -> tuple[list[int], int | None]:
    """Live links of the pair that no partition of the generation saw.

    Args:
        tx: Open transaction.
        flow_id: Whose scan.
        scan: The generation; only links that existed when it began are considered.
        pair_id: Whose links.
        after: Highest link id looked at so far.
        limit: How many link ids to look at in this step.

    Returns:
        The missing link ids, and where to go on (None: all were looked at).
    """
    top = min(after + limit, scan.link_high)
    if after >= scan.link_high:
        return [], None
    unseen = _unseen(tx, flow_id, scan.generation, after + 1, top)
    where, values = "link_id>? AND link_id<=?", [after, top]
    if len(unseen) <= _FEW:  # of a pair that has all these numbers to itself
        if not unseen:
            return [], (None if top >= scan.link_high else top)
        where, values = f"link_id IN ({','.join('?' * len(unseen))})", list(unseen)
    rows = tx.all(
        f"SELECT link_id FROM link WHERE {where} AND pair_id=? AND state=?",
        *values,
        pair_id,
        LinkState.LIVE,
    )
    gone = sorted(unseen.intersection(i for (i,) in rows))
    return gone, (None if top >= scan.link_high else top)


def _unseen(
    tx: Transaction, flow_id: int, generation: int, low: int, high: int
) -> set[int]:
    """Numbers whose bit nobody set, both ends included."""
    seen = _merged(tx, flow_id, generation, low, high)
    first = low // CHUNK_LINKS * CHUNK_BYTES
    found: list[int] = []
    for at in range(low >> 3, (high >> 3) + 1):
        byte = seen[at - first]
        if byte != _ALL:
            found += [at * 8 + bit for bit in range(8) if not byte >> bit & 1]
    return {number for number in found if low <= number <= high}


def _merged(
    tx: Transaction, flow_id: int, generation: int, low: int, high: int
) -> bytes:
    """Union of all partitions' bitmaps, of whole chunks, one behind the other."""
    merged = b""
    for number in range(low // CHUNK_LINKS, high // CHUNK_LINKS + 1):
        union = 0
        for (bits,) in tx.all(
            "SELECT bits FROM seen WHERE flow_id=? AND generation=? AND chunk=?",
            flow_id,
            generation,
            number,
        ):
            union |= int.from_bytes(bits, "little")
        merged += union.to_bytes(CHUNK_BYTES, "little")
    return merged
