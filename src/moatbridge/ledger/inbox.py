"""The inbox: deliveries that were acknowledged, kept until every flow has read them.

A row is written before its sender hears "received", and is unique by the sender's own
id, so a repeat changes nothing. ``seq`` is the position flows read from; it is never
reused, also not after the newest row was pruned. SQLite has one writer at a time, so
``seq`` grows in the order of commits and a reader never overtakes a slower writer.

``content`` is dropped as soon as every flow that reads the system is past it and no
dead letter refers to it; the ids stay for as long as the sender may repeat itself.
"""

from __future__ import annotations

import re
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.adapter import Received
from moatbridge.changes import Change, Ref, Reject
from moatbridge.ledger import frozen
from moatbridge.ledger.keys import key_hash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.ledger.database import Transaction

PLACE: Final = "inbox/"
"""Location of a dead letter: this, the ``seq`` of its delivery, and the place in it."""

_CHUNK: Final = 10_000
_LOOKED_AT: Final = 1000
_CHANGE: Final = re.compile(r"inbox/(\d+)/change (\d+)")


class Delivery(NamedTuple):
    """One verified delivery, ready to be kept.

    Args:
        system: Name of the system that sent it.
        delivery_id: The sender's own id.
        ordering_key: Deliveries with the same key are worked off in order.
        content: Frozen text, made by `freeze`.
    """

    system: str
    delivery_id: str
    ordering_key: str
    content: str

    def __repr__(self) -> str:
        return f"Delivery({self.system})"


class Kept(NamedTuple):
    """A delivery as a flow reads it, cut down to one stream.

    Args:
        seq: Its position.
        changes: What it says about the stream.
        rejects: Events of the stream that the adapter could not read.
        missed: The sender says that it dropped something.
    """

    seq: int
    changes: Sequence[Change]
    rejects: Sequence[Reject]
    missed: bool


def freeze(received: Received) -> str:
    """What a delivery says, as text for `Delivery.content`.

    Raises:
        TypeError: The adapter gave something else than plain data.
    """
    streams = {*received.changes, *received.rejects, *received.missed}
    return frozen.dumps(
        {
            name: {
                "changes": [_packed(c) for c in received.changes.get(name, ())],
                "rejects": [
                    [r.reason, r.location, r.ref and list(r.ref), r.field]
                    for r in received.rejects.get(name, ())
                ],
                "missed": name in received.missed,
            }
            for name in sorted(streams)
        }
    )


def insert(
    tx: Transaction, scope: str, deliveries: Sequence[Delivery]
) -> Sequence[bool]:
    """Keep deliveries; True for each that was not known yet.

    Two of one call may carry the same id: the first is kept.
    """
    now = tx.now()
    return [
        tx.run(
            "INSERT INTO inbox(scope, system, delivery_id, ordering_key, received, "
            "content) VALUES(?,?,?,?,?,?) ON CONFLICT DO NOTHING",
            scope,
            one.system,
            one.delivery_id,
            one.ordering_key,
            now,
            one.content,
        )
        > 0
        for one in deliveries
    ]


def place_of(kept: Sequence[Kept], k: bytes) -> str | None:
    """Where the newest change of a record lies, by its key hash; None: not here."""
    for one in reversed(kept):
        for number in range(len(one.changes) - 1, -1, -1):
            if key_hash(one.changes[number].ref.key) == k:
                return f"{PLACE}{one.seq}/change {number}"
    return None


def pushed(tx: Transaction, flow_id: int, k: bytes | None) -> str | None:
    """Where the newest change of a record lies that only ever comes by the inbox.

    Args:
        tx: Open transaction.
        flow_id: The flow that reads it; one that also scans can look at its source.
        k: Hash of the record's key.

    Returns:
        A place for `tell_again`; None if no delivery of it is kept.
    """
    where = "SELECT 1 FROM partition WHERE flow_id=? AND kind='scan' LIMIT 1"
    if k is None or tx.one(where, flow_id):
        return None
    scope, system, stream = _source(tx, flow_id)
    rows = tx.all(
        "SELECT seq, content FROM inbox WHERE scope=? AND system=? "
        "AND content IS NOT NULL ORDER BY seq DESC LIMIT ?",
        scope,
        system,
        _LOOKED_AT,
    )
    parts = ((seq, frozen.loads(content).get(stream)) for seq, content in rows)
    found = (place_of([_kept(seq, part)], k) for seq, part in parts if part)
    return next((place for place in found if place), None)


def tell_again(tx: Transaction, flow_id: int, place: str, k: bytes) -> bool:
    """Put a change into the inbox once more, as a delivery of its own.

    Every flow of the system reads it; whom it tells nothing new does nothing.

    Args:
        tx: Open transaction.
        flow_id: The flow that reads it.
        place: As `place_of` says.
        k: Hash of the record's key.

    Returns:
        False if this names no change of that record, or none that is kept.
    """
    found = _CHANGE.fullmatch(place)
    if found is None:
        return False
    scope, system, stream = _source(tx, flow_id)
    row = tx.one(
        "SELECT ordering_key, content FROM inbox WHERE scope=? AND system=? "
        "AND seq=? AND content IS NOT NULL",
        scope,
        system,
        int(found[1]),
    )
    part = row and frozen.loads(row[1]).get(stream)
    change = part and _kept(0, part).changes[int(found[2])]
    if not change or key_hash(change.ref.key) != k:
        return False
    content = freeze(Received("", changes={stream: [change]}))
    ident = f"replay/{token_hex(12)}"
    insert(tx, scope, [Delivery(system, ident, row[0], content)])
    if tx.run(
        "UPDATE partition SET not_before=0, woken=1 WHERE flow_id=? "
        "AND kind='live' AND state='ready'",
        flow_id,
    ):
        tx.tell(flow_id)
    return True


def _source(tx: Transaction, flow_id: int) -> tuple[str, str, str]:
    """Scope, system and local stream that a flow reads."""
    scope, address = tx.one(
        "SELECT f.scope, CASE f.side WHEN 0 THEN p.a ELSE p.b END FROM flow f "
        "JOIN pair p ON p.pair_id=f.pair_id WHERE f.flow_id=?",
        flow_id,
    )
    system, _, stream = address.partition("/")
    return scope, system, stream


def wake(tx: Transaction, scope: str, flows: Sequence[str]) -> None:
    """Make the live tails of these flows due at once; see `Leases.wake`."""
    holes = ",".join("?" * len(flows))
    woken = tx.all(
        "UPDATE partition SET not_before=0, woken=1 WHERE kind='live' "
        "AND state='ready' AND flow_id IN "
        f"(SELECT flow_id FROM flow WHERE scope=? AND name IN ({holes})) "
        "RETURNING flow_id",
        scope,
        *flows,
    )
    for (flow_id,) in woken:
        tx.tell(flow_id)


def after(
    tx: Transaction, scope: str, system: str, stream: str, seq: int, limit: int
) -> tuple[list[Kept], int]:
    """The next deliveries of a system, cut down to one stream, and the position after.

    Args:
        tx: Open transaction.
        scope: Tenant.
        system: Its name.
        stream: Local name of the stream.
        seq: Position read up to.
        limit: Deliveries at most.
    """
    rows = tx.all(
        "SELECT seq, content FROM inbox WHERE scope=? AND system=? AND seq>? "
        "ORDER BY seq LIMIT ?",
        scope,
        system,
        seq,
        limit,
    )
    found = [
        _kept(number, part)
        for number, content in rows
        if content and (part := frozen.loads(content).get(stream))
    ]
    return found, rows[-1][0] if rows else seq


def highest(tx: Transaction, scope: str, system: str) -> int:
    """The newest position of a system; 0 if nothing ever came."""
    return int(
        tx.value(
            "SELECT coalesce(max(seq), 0) FROM inbox WHERE scope=? AND system=?",
            scope,
            system,
        )
    )


class Backlog(NamedTuple):
    """How far the flows are behind: deliveries unread, and seconds since the oldest."""

    unread: int
    seconds: float


def backlog(tx: Transaction, scope: str, system: str, read_to: int) -> Backlog:
    """What lies behind a position. Counts 10,000 rows in about a millisecond."""
    count, oldest = tx.one(
        "SELECT count(*), min(received) FROM inbox "
        "WHERE scope=? AND system=? AND seq>?",
        scope,
        system,
        read_to,
    )
    return Backlog(int(count), max(0.0, tx.now() - oldest) if oldest else 0.0)


def prune(
    tx: Transaction, scope: str, system: str, *, read_to: int, keep_ids: float
) -> None:
    """Drop content that every flow has read, and ids that no sender repeats any more.

    Content that a dead letter refers to stays, so that it can be replayed.

    Args:
        tx: Open transaction.
        scope: Tenant.
        system: Its name.
        read_to: Position that every flow of the system has read up to.
        keep_ids: Seconds for which ids are remembered.
    """
    dead = ",".join(map(str, _referred(tx))) or "0"
    where = f"scope=? AND system=? AND seq<=? AND seq NOT IN ({dead})"
    tx.run(
        "UPDATE inbox SET content=NULL WHERE seq IN (SELECT seq FROM inbox "
        f"WHERE {where} AND content IS NOT NULL ORDER BY seq LIMIT {_CHUNK})",
        scope,
        system,
        read_to,
    )
    tx.run(
        "DELETE FROM inbox WHERE seq IN (SELECT seq FROM inbox "
        f"WHERE {where} AND received<? ORDER BY seq LIMIT {_CHUNK})",
        scope,
        system,
        read_to,
        tx.now() - keep_ids,
    )


def _referred(tx: Transaction) -> set[int]:
    """Positions of the deliveries that dead letters lie in."""
    rows = tx.all(
        "SELECT DISTINCT location FROM reject WHERE location LIKE ?", PLACE + "%"
    )
    return {int(location.split("/")[1]) for (location,) in rows}


def _packed(change: Change) -> list[Any]:
    return [
        list(change.ref),
        change.op,
        change.data,
        change.version,
        change.partial,
        list(change.incomplete),
    ]


def _kept(seq: int, part: Mapping[str, Any]) -> Kept:
    rejects = [
        Reject(reason, f"{PLACE}{seq}/{location}", _ref(ref), field)
        for reason, location, ref, field in part["rejects"]
    ]
    changes = [
        Change(_ref(ref) or Ref(""), op, data, version, partial, tuple(incomplete))
        for ref, op, data, version, partial, incomplete in part["changes"]
    ]
    return Kept(seq, changes, rejects, bool(part["missed"]))


def _ref(packed: Any) -> Ref | None:
    if packed is None:
        return None
    ident, name = packed
    return Ref(ident if isinstance(ident, str) else tuple(ident), name)
