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
from moatbridge.resilience import heart

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
            "cursor=coalesce(excluded.cursor, partition.cursor)",
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
        is never lost to the wait that its slice asks for. Other processes look at
        once, if they listen.
        """
        if tx.run(
            "UPDATE partition SET not_before=0, woken=1 "
            "WHERE flow_id=? AND kind=? AND state='ready'",
            flow_id,
            kind,
        ):
            tx.tell(flow_id)

    def claim(
        self, flow_id: int, part: str, owner: str, *, ttl: float = TTL
    ) -> Lease | None:
        """Take the partition if it is ready, due and not leased by anybody."""
        with self._db.write(alone=False) as tx:
            now, boot = tx.lease_clock()
            row = tx.one(
                "UPDATE partition SET fence=fence+1, owner=?, lease_until=?, boot=?, "
                "tries=tries+1, served_at=?, woken=0 WHERE flow_id=? AND part=? "
                "AND state='ready' AND not_before<=? "
                "AND (owner IS NULL OR lease_until<? OR boot<>?) "
                "RETURNING kind, generation, spec, cursor, fence, seq",
                owner,
                now + int(ttl * 1000),
                boot,
                tx.now(),
                flow_id,
                part,
                tx.now(),
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
    def step(
        self, lease: Lease, *, cursor: Any = UNSET, got_on: bool = True
    ) -> Iterator[Transaction]:
        """One transaction of a slice: checks the fence, renews, moves the cursor.

        Args:
            lease: Our lease; its ``seq`` (and ``cursor``) move on when it commits.
            cursor: New position, committed together with everything else.
            got_on: The tries before it count no more; False for what is done anew
                if the slice fails later on.

        Raises:
            LeaseLost: The fence moved; everything was rolled back.
            NotApplied: ``ledger.unavailable``; everything was rolled back.
            OutcomeUnknown: ``ledger.commit-unknown``: the ledger stayed silent after a
                COMMIT was sent; the next claim reads what became of it.
        """
        moved = cursor is not UNSET

        def settled(tx: Transaction) -> bool:
            return self._took_effect(tx, lease)

        with self._db.write(settled=settled) as tx:
            now, _boot = tx.lease_clock()
            count = tx.run(
                "UPDATE partition SET seq=seq+1, lease_until=?, error=NULL, "
                "tries=CASE WHEN ?=1 THEN 0 ELSE tries END, "
                "served_at=?, cursor=CASE WHEN ?=1 THEN ? ELSE cursor END "
                "WHERE flow_id=? AND part=? AND fence=?",
                now + int(lease.ttl * 1000),
                int(got_on),
                tx.now(),
                int(moved),
                _dump(cursor) if moved else None,
                lease.flow_id,
                lease.part,
                lease.fence,
            )
            if count == 0:
                raise _lost(lease)
            yield tx
        lease.seq += 1
        heart.beat()
        if moved:
            lease.cursor = cursor

    def _took_effect(self, tx: Transaction, lease: Lease) -> bool:
        """Whether a step whose COMMIT got no answer is there (delivery 9).

        Raises:
            LeaseLost: Somebody else works on the partition by now.
        """
        fence, seq = tx.one(
            "SELECT fence, seq FROM partition WHERE flow_id=? AND part=?",
            lease.flow_id,
            lease.part,
        ) or (None, None)
        if fence != lease.fence:
            raise _lost(lease)
        return bool(seq == lease.seq + 1)

    def renew(self, leases: Sequence[Lease]) -> list[Lease]:
        """Prolong the leases; returns those that are lost.

        A row that another transaction changes right now is passed over, so that this
        waits for nobody: whoever changes it either renews it, or takes it away, which
        the next renewal sees.
        """
        lost = []
        with self._db.write(alone=False) as tx:
            now, _boot = tx.lease_clock()
            for lease in leases:
                where = (lease.flow_id, lease.part, lease.fence)
                count = tx.run(
                    "UPDATE partition SET lease_until=? WHERE (flow_id, part)=("
                    "SELECT flow_id, part FROM partition "
                    f"WHERE flow_id=? AND part=? AND fence=?{tx.skip_locked})",
                    now + int(lease.ttl * 1000),
                    *where,
                )
                if count == 0 and not tx.one(
                    "SELECT 1 FROM partition WHERE flow_id=? AND part=? AND fence=?",
                    *where,
                ):
                    lost.append(lease)
        return lost

    def release(
        self,
        lease: Lease,
        *,
        wait: float = 0.0,
        error: str | None = None,
        state: str = "ready",
        well: bool = False,
    ) -> None:
        """Give the lease back; does nothing if the fence is no longer ours.

        Args:
            lease: Our lease.
            wait: Seconds before the partition is due again.
            error: Code of what went wrong, shown by ``status``.
            state: ``ready``, ``done`` (never due again) or ``blocked``.
            well: Nothing failed: the tries before it count no more.
        """
        with self._db.write(alone=False) as tx:
            self.give_back(tx, lease, wait=wait, error=error, state=state, well=well)

    def give_back(
        self,
        tx: Transaction,
        lease: Lease,
        *,
        wait: float = 0.0,
        error: str | None = None,
        state: str = "ready",
        well: bool = False,
    ) -> bool:
        """`release` as a part of somebody's transaction; False if it is not ours."""
        count = tx.run(
            "UPDATE partition SET owner=NULL, lease_until=NULL, state=?, error=?, "
            "not_before=CASE WHEN woken=1 THEN 0 ELSE ? END, "
            "tries=CASE WHEN ?=1 THEN 0 ELSE tries END "
            "WHERE flow_id=? AND part=? AND fence=?",
            state,
            error,
            tx.now() + wait if wait else 0.0,
            int(well),
            lease.flow_id,
            lease.part,
            lease.fence,
        )
        return count > 0

    def forget(self, tx: Transaction, lease: Lease) -> None:
        """Take the partition's position away."""
        tx.run(
            "UPDATE partition SET cursor=NULL WHERE flow_id=? AND part=?",
            lease.flow_id,
            lease.part,
        )

    def describe(self, tx: Transaction, lease: Lease, spec: Any) -> None:
        """Replace what the partition is about."""
        tx.run(
            "UPDATE partition SET spec=? WHERE flow_id=? AND part=?",
            _dump(spec),
            lease.flow_id,
            lease.part,
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
        if not flow_ids or not kinds:
            return [], None
        flows, wanted = ",".join("?" * len(flow_ids)), ",".join("?" * len(kinds))
        with self._db.read() as tx:
            (now, boot), wall = tx.lease_clock(), tx.now()
            rows = tx.all(
                "SELECT flow_id, part, kind, not_before, "
                "CASE WHEN owner IS NOT NULL AND lease_until>=? AND boot=? "
                "THEN lease_until-? END "
                f"FROM partition WHERE state='ready' AND flow_id IN ({flows}) "
                f"AND kind IN ({wanted}) ORDER BY priority, served_at",
                now,
                boot,
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
