"""Leases with fencing tokens: the row that makes any runner safe (scale 6-13).

A claim raises the fence; every transaction of a slice is a compare-and-set on it. Who
lost the lease can commit nothing more, whatever it still believes.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.errors import LeaseLost
from moatbridge.ledger.clock import boot_clock, boot_id, wall_clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.ledger.database import Database, Transaction

TTL: Final = 30.0
"""Seconds a lease lasts without renewal."""

UNSET: Final = object()

KINDS: Final = ("control", "scan", "live", "lane")
"""Kinds of partition (scale 1)."""


@dataclass(slots=True)
class Lease:
    """The right to work on one partition; held by one slice at a time."""

    flow_id: int
    part: str
    kind: str
    generation: int | None
    spec: Any
    cursor: Any
    owner: str
    fence: int
    seq: int
    ttl: float


class Due(NamedTuple):
    """A partition that could be worked on now."""

    flow_id: int
    part: str
    kind: str


class Leases:
    """Claims, renewals and steps over the ``partition`` table."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(
        self,
        tx: Transaction,
        flow_id: int,
        part: str,
        kind: str,
        *,
        generation: int | None = None,
        spec: Any = None,
        cursor: Any = None,
    ) -> None:
        """Insert a partition, or make an existing one ready again.

        The fence of an existing row goes on counting: it is never reused.
        """
        tx.run(
            "INSERT INTO partition(flow_id, part, kind, generation, spec, cursor) "
            "VALUES(?,?,?,?,?,?) ON CONFLICT(flow_id, part) DO UPDATE SET "
            "state='ready', not_before=0, error=NULL, "
            "cursor=coalesce(excluded.cursor, cursor)",
            flow_id,
            part,
            kind,
            generation,
            _dump(spec),
            _dump(cursor),
        )

    def wake(self, tx: Transaction, flow_id: int, kind: str) -> None:
        """Make the flow's partitions of that kind due at once.

        One that is leased right now is due again as soon as it is released: a wake-up
        is never lost to the wait that its slice asks for.
        """
        tx.run(
            "UPDATE partition SET not_before=0, woken=1 "
            "WHERE flow_id=? AND kind=? AND state='ready'",
            flow_id,
            kind,
        )

    def claim(
        self, flow_id: int, part: str, owner: str, *, ttl: float = TTL
    ) -> Lease | None:
        """Take the partition if it is ready, due and not leased by anybody."""
        now, boot = boot_clock(), boot_id()
        with self._db.write() as tx:
            row = tx.one(
                "UPDATE partition SET fence=fence+1, owner=?, lease_until=?, boot=?, "
                "tries=tries+1, served_at=?, woken=0 WHERE flow_id=? AND part=? "
                "AND state='ready' AND not_before<=? "
                "AND (owner IS NULL OR lease_until<? OR boot IS NOT ?) "
                "RETURNING kind, generation, spec, cursor, fence, seq",
                owner,
                now + int(ttl * 1000),
                boot,
                wall_clock(),
                flow_id,
                part,
                wall_clock(),
                now,
                boot,
            )
        if row is None:
            return None
        kind, generation, spec, cursor, fence, seq = row
        return Lease(
            flow_id,
            part,
            kind,
            generation,
            _load(spec),
            _load(cursor),
            owner,
            fence,
            seq,
            ttl,
        )

    @contextmanager
    def step(self, lease: Lease, *, cursor: Any = UNSET) -> Iterator[Transaction]:
        """One transaction of a slice: checks the fence, renews, moves the cursor.

        Args:
            lease: Our lease; its ``seq`` (and ``cursor``) move on when it commits.
            cursor: New position, committed together with everything else.

        Raises:
            LeaseLost: The fence moved; everything was rolled back.
        """
        moved = cursor is not UNSET
        with self._db.write() as tx:
            count = tx.run(
                "UPDATE partition SET seq=seq+1, lease_until=?, tries=0, error=NULL, "
                "cursor=CASE WHEN ? THEN ? ELSE cursor END "
                "WHERE flow_id=? AND part=? AND fence=?",
                boot_clock() + int(lease.ttl * 1000),
                moved,
                _dump(cursor) if moved else None,
                lease.flow_id,
                lease.part,
                lease.fence,
            )
            if count == 0:
                raise _lost(lease)
            yield tx
        lease.seq += 1
        if moved:
            lease.cursor = cursor

    def renew(self, leases: Sequence[Lease]) -> list[Lease]:
        """Prolong the leases; returns those that are lost."""
        lost = []
        with self._db.write() as tx:
            for lease in leases:
                count = tx.run(
                    "UPDATE partition SET lease_until=? "
                    "WHERE flow_id=? AND part=? AND fence=?",
                    boot_clock() + int(lease.ttl * 1000),
                    lease.flow_id,
                    lease.part,
                    lease.fence,
                )
                if count == 0:
                    lost.append(lease)
        return lost

    def release(
        self,
        lease: Lease,
        *,
        wait: float = 0.0,
        error: str | None = None,
        state: str = "ready",
    ) -> None:
        """Give the lease back; does nothing if the fence is no longer ours.

        Args:
            lease: Our lease.
            wait: Seconds before the partition is due again.
            error: Code of what went wrong, shown by ``status``.
            state: ``ready``, ``done`` (never due again) or ``blocked``.
        """
        with self._db.write() as tx:
            tx.run(
                "UPDATE partition SET owner=NULL, lease_until=NULL, state=?, error=?, "
                "not_before=CASE WHEN woken THEN 0 ELSE ? END "
                "WHERE flow_id=? AND part=? AND fence=?",
                state,
                error,
                wall_clock() + wait if wait else 0,
                lease.flow_id,
                lease.part,
                lease.fence,
            )

    def cursor(self, tx: Transaction, flow_id: int, part: str) -> Any:
        """The partition's committed cursor, if it has one."""
        return _load(
            tx.value(
                "SELECT cursor FROM partition WHERE flow_id=? AND part=?", flow_id, part
            )
        )

    def tries(self, flow_id: int, part: str) -> int:
        """How often the partition was claimed without a commit since."""
        with self._db.read() as tx:
            return int(
                tx.value(
                    "SELECT tries FROM partition WHERE flow_id=? AND part=?",
                    flow_id,
                    part,
                )
                or 0
            )

    def due(
        self, flow_ids: Sequence[int], kinds: Sequence[str] = KINDS
    ) -> tuple[list[Due], float | None]:
        """Partitions that may be claimed now, and seconds until the next one may be.

        Who holds a lease may have died: its partition may be due when the lease ends.
        None says that nothing will ever be due by itself.
        """
        now, wall = boot_clock(), wall_clock()
        flows, wanted = ",".join("?" * len(flow_ids)), ",".join("?" * len(kinds))
        with self._db.read() as tx:
            rows = tx.all(
                "SELECT flow_id, part, kind, not_before, "
                "CASE WHEN owner IS NOT NULL AND lease_until>=? AND boot IS ? "
                "THEN lease_until-? END "
                f"FROM partition WHERE state='ready' AND flow_id IN ({flows}) "
                f"AND kind IN ({wanted}) ORDER BY priority, served_at",
                now,
                boot_id(),
                now,
                *flow_ids,
                *kinds,
            )
        ready = [
            Due(flow_id, part, kind)
            for flow_id, part, kind, not_before, held in rows
            if held is None and not_before <= wall
        ]
        later = [
            max(not_before - wall, (held or 0) / 1000)
            for _flow, _part, _kind, not_before, held in rows
            if held is not None or not_before > wall
        ]
        return ready, min(later, default=None)


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(
        f"Partition {lease.part} is worked on by somebody else now (our fence "
        f"{lease.fence}). This is normal; nothing was committed.",
    )


def _dump(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _load(text: str | None) -> Any:
    return None if text is None else json.loads(text)
