"""Which workers there are: for people only, no work is given by it (scale 22).

There is no membership protocol: leases alone decide who works on what. A worker writes
its row now and then, and takes it away when it ends in order. Only a ledger that is
said to be restored asks for it: a worker without a lease would go on all the same.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.ledger.database import Transaction

EVERY: Final = 10.0
"""Seconds between two signs of life."""

ALIVE: Final = 45.0
"""Seconds after its last sign of life for which a worker counts as there."""

_FORGET: Final = 86400.0


class Worker(NamedTuple):
    """A worker as it last described itself; times are POSIX seconds.

    Args:
        owner: Host and process id, as in leases.
        zones: Zones it serves.
        slots: Slices at once.
        busy: Slots at work.
        lost: Slots whose calls never came back.
        begun: When it began.
        seen: Its last sign of life.
    """

    owner: str
    zones: tuple[str, ...]
    slots: int
    busy: int
    lost: int
    begun: float
    seen: float


def tell(tx: Transaction, scope: str, worker: Worker) -> None:
    """Write a worker's sign of life, and forget those that are long gone."""
    tx.run(
        "INSERT INTO worker(scope, owner, zones, slots, busy, lost, begun, seen) "
        "VALUES(?,?,?,?,?,?,?,?) ON CONFLICT(scope, owner) DO UPDATE SET "
        "zones=excluded.zones, slots=excluded.slots, busy=excluded.busy, "
        "lost=excluded.lost, begun=excluded.begun, seen=excluded.seen",
        scope,
        worker.owner,
        json.dumps(worker.zones),
        worker.slots,
        worker.busy,
        worker.lost,
        worker.begun,
        worker.seen,
    )
    tx.run("DELETE FROM worker WHERE scope=? AND seen<?", scope, worker.seen - _FORGET)


def leave(tx: Transaction, scope: str, owner: str) -> None:
    """The worker ends in order."""
    tx.run("DELETE FROM worker WHERE scope=? AND owner=?", scope, owner)


def known(tx: Transaction, scope: str) -> Sequence[Worker]:
    """All that were seen within a day, in order of their names."""
    rows = tx.all(
        "SELECT owner, zones, slots, busy, lost, begun, seen FROM worker "
        "WHERE scope=? ORDER BY owner",
        scope,
    )
    return [Worker(row[0], tuple(json.loads(row[1])), *row[2:]) for row in rows]


def alive(tx: Transaction) -> str | None:
    """A worker, of any tenant, that was seen within `ALIVE`.

    A row from the future (the clock was set back) counts for that long only, too.
    """
    found: str | None = tx.value(
        "SELECT owner FROM worker WHERE seen>=? AND seen<=? ORDER BY seen DESC LIMIT 1",
        tx.now() - ALIVE,
        tx.now() + ALIVE,
    )
    return found


def describe(tx: Transaction, scope: str, address: str, body: str) -> None:
    """Keep what a stream is like, as somebody who reaches it found it."""
    tx.run(
        "INSERT INTO described(scope, address, body, at) VALUES(?,?,?,?) "
        "ON CONFLICT(scope, address) DO UPDATE SET body=excluded.body, at=excluded.at",
        scope,
        address,
        body,
        tx.now(),
    )


def description(tx: Transaction, scope: str, address: str) -> str | None:
    """What `describe` kept."""
    found: str | None = tx.value(
        "SELECT body FROM described WHERE scope=? AND address=?", scope, address
    )
    return found
