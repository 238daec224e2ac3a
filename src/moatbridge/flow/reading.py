"""Slices that read: a scan's partition, and the live tail (delivery E, scale 16).

Transaction A commits everything a stretch of reading means at once: seen bits, staged
intents, rejects, fingerprints that changed without effect, and the cursor. The next
batch is read by a second thread while the last one is compared and committed.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from moatbridge.adapter import Partition
from moatbridge.errors import CursorTooOld, NotApplied
from moatbridge.flow.ahead import read_ahead
from moatbridge.flow.envelope import Envelope
from moatbridge.flow.limits import Limits
from moatbridge.flow.observation import Observation, told_by_adapter
from moatbridge.flow.opening import LIVE
from moatbridge.flow.settling import settles_late
from moatbridge.flow.writing import write
from moatbridge.ledger import counts, scans, unsettled
from moatbridge.ledger.keys import key_hash, made_storable
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.changes import Batch, Change
    from moatbridge.flow.observe import Observer
    from moatbridge.flow.poison import Poison, Sieve
    from moatbridge.flow.route import Route
    from moatbridge.flow.taking import Taker
    from moatbridge.ledger import Lease, Ledger
    from moatbridge.resilience.session import Session

Ending: TypeAlias = Literal["complete", "more", "nothing"]
"""How a stretch of scanning ends."""

STUCK_AFTER = 3
"""Batches with neither a change nor a new cursor before a source counts as stuck."""


class _Undone(Exception):
    """It was only tried."""


class Pass:
    """One stretch of reading under one lease, and its commits.

    Args:
        route: The flow.
        ledger: Its ledger.
        lease: Lease of the partition.
        observer: Compares and translates.
        run_id: The run that intents are staged for.
        generation: The open generation; None for a live tail outside any.
        limits: (records, seconds) between commits at the latest.
        settle: Tells the source that what was read up to a cursor is safe; None if it
            need not be told.
        sieve: Finds what fails alone, where something failed before.
    """

    def __init__(
        self,
        route: Route,
        ledger: Ledger,
        lease: Lease,
        observer: Observer | Taker,
        *,
        run_id: int,
        generation: int | None,
        limits: tuple[int, float],
        settle: Callable[[Any], None] | None = None,
        sieve: Sieve | None = None,
    ) -> None:
        self._sieve = sieve
        self._settle = None if settles_late(route) else settle
        self._late = settle is not None and settles_late(route)
        self._route = route
        self._ledger = ledger
        self._lease = lease
        self._observer = observer
        self._run_id = run_id
        self._generation = generation
        self._records, self._seconds = limits
        self._bits = scans.Bits(route.row.flow_id, generation or 0, lease.part)
        self._here = scans.Bits(0, 0, "")
        self.envelope: Envelope = Envelope.from_json(
            lease.cursor, route.source.probe.server, route.source.stream.query
        )
        self._committed = self.envelope.at
        self._pending = Observation()
        live = lease.part == LIVE
        self._limits = Limits(route, ledger, run_id=run_id, live=live)
        self._since = time.monotonic()
        self.seen: int = self.envelope.seen

    def resume(self) -> None:
        """Forget what was staged after the position that reading restarts from."""
        row = self._route.row
        with self._ledger.read() as tx:
            if self._generation is not None:
                self._bits.load(tx)
            stale = tx.all(
                "SELECT parcel_id FROM parcel WHERE flow_id=? AND run_id=? AND part=? "
                "AND state=0 AND upto>?",
                row.flow_id,
                self._run_id,
                self._lease.part,
                self.envelope.seq,
            )
        if stale and self._lease.part != LIVE:
            with self._ledger.step(self._lease, got_on=False) as tx:
                ids = [(parcel_id,) for (parcel_id,) in stale]
                tx.many("DELETE FROM intent WHERE parcel_id=?", ids)
                tx.many("DELETE FROM parcel WHERE parcel_id=?", ids)

    def take(
        self, batch: Batch, place: Callable[[bytes], str | None] = lambda _k: None
    ) -> None:
        """Compare one batch, and commit when a parcel is full or time is up.

        Args:
            batch: What was read.
            place: Says where a record lies, by its key hash, if it is kept somewhere:
                a dead letter names that place.
        """
        crash_point("read.done")
        if self._told_before(batch):
            self.commit()
        changes, poison = self._sifted(batch.changes)
        found = self._judged(
            changes,
            lambda link_id: not self._here.add(link_id),
            self._here.add_new,
        )
        for one in poison:
            found.rejects.append(one.dead)
            found.blind += not one.named
            found.links += self._observer.link_of(one.k)
        found.rejects = [(k, ref, place(k or b"") or at, why, field)
                         for k, ref, at, why, field in found.rejects]  # fmt: skip
        for reject in batch.rejects:
            found.rejects.append(told_by_adapter(reject))
            if reject.ref is None:
                found.blind += 1
            else:
                k = key_hash(made_storable(reject.ref.key))
                found.links += self._observer.link_of(k)
        self._pending.merge(found)
        self._bits.update(found.links)
        self.seen += found.seen
        moved = batch.cursor != self.envelope.at
        if moved:
            self.envelope = Envelope(
                batch.cursor,
                self.envelope.server,
                self.envelope.query,
                self._lease.seq + 1,
                self.seen,
            )
        if batch.complete and self._lease.kind == "scan":
            self.envelope = replace(self.envelope, whole=True)
        if self._due() or batch.complete:
            self.commit()

    def _judged(
        self,
        changes: Sequence[Change],
        duplicate: Callable[[int], bool],
        fresh: Callable[[list[int]], bool],
    ) -> Observation:
        feed = self._lease.part == LIVE
        found = self._observer.observe(
            changes,
            duplicate=(lambda _id: False) if feed else duplicate,
            fresh=(lambda _ids: True) if feed else fresh,
            stale=self._seen_live(),
            feed=feed,
        )
        self._limits.judge(found)
        return found

    # --- records that fail alone --------------------------------------------------

    def _sifted(
        self, changes: Sequence[Change]
    ) -> tuple[Sequence[Change], list[Poison]]:
        """What of a batch can be taken, where something failed before."""
        if self._sieve is None or not self._sieve.wants(changes):
            return changes, []
        self.commit_if_any()  # what is tried now is not mixed with what was fine
        return self._sieve.of_changes(changes, self._probe)

    def _probe(self, changes: Sequence[Change]) -> None:
        """Do all that taking these means, and keep nothing of it."""
        here, again = self._here, set[int]()

        def duplicate(link_id: int) -> bool:
            told = link_id in again or here.has(link_id)
            again.add(link_id)
            return told

        try:
            found = self._judged(changes, duplicate, lambda _ids: False)
            with suppress(_Undone), self._ledger.step(self._lease) as tx:
                write(tx, self._route, found, self._run_id, self._lease)
                raise _Undone
        finally:
            self._limits.counted()  # they are counted when they are taken

    def _told_before(self, batch: Batch) -> bool:
        """Whether what is not committed yet speaks of a record that this tells anew."""
        if not self._route.told_once or self._lease.part != LIVE:
            return False
        found = self._pending
        staged = {o.k for o in (*found.upserts, *found.disables, *found.deletes)}
        return bool(staged) and any(
            key_hash(c.ref.key) in staged for c in batch.changes
        )

    def _seen_live(self) -> Callable[[int], bool]:
        """Whether the live tail saw a link during this generation.

        The bits are read when they are first asked for, which is after the marks were
        looked up: a tail that moved a mark had committed its bit before (delivery 38a).
        """
        bits: scans.Bits | None = None

        def seen(link_id: int) -> bool:
            nonlocal bits
            if self._generation is None or self._lease.part == LIVE:
                return False
            if bits is None:
                flow_id = self._route.row.flow_id
                bits = scans.Bits(flow_id, self._generation, LIVE)
                with self._ledger.read() as tx:
                    bits.load(tx)
            return bits.has(link_id)

        return seen

    def _due(self) -> bool:
        return (
            self._pending.staged >= self._route.parcel
            or self._pending.seen >= self._records
            or time.monotonic() - self._since >= self._seconds
        )

    def commit_if_any(self) -> None:
        """Commit what is left, if the lease still lets us."""
        pending = self._pending
        moved = self.envelope.at != self._committed
        if pending.seen or pending.staged or pending.rejects or moved:
            self.commit()

    def commit(self) -> None:
        """Transaction A."""
        pending, row = self._pending, self._route.row
        crash_point("stage.in")
        moved = self.envelope.at != self._committed or self.envelope.whole
        with self._ledger.step(
            self._lease, cursor=self.envelope.to_json(), got_on=moved
        ) as tx:
            if self._generation is not None:
                self._bits.save(tx)
                scans.count(tx, row.flow_id, self._generation, 0, pending.blind)
            tx.run(
                "UPDATE partition SET records=?, rejects=rejects+?, server=? "
                "WHERE flow_id=? AND part=?",
                self.seen,
                len(pending.rejects),
                self.envelope.server,
                row.flow_id,
                self._lease.part,
            )
            write(tx, self._route, pending, self._run_id, self._lease)
            if self._late and self.envelope.at != self._committed:
                unsettled.wait(
                    tx, row.flow_id, self._lease.part, run_id=self._run_id,
                    seq=self._lease.seq + 1, cursor=self.envelope.at,
                )  # fmt: skip
            counts.add(tx, row.flow_id, self._limits.counted())
            if pending.staged and self._lease.part == LIVE:
                self._ledger.leases.wake(tx, row.flow_id, "lane")
            crash_point("bits.before_cursor")
        crash_point("stage.done")
        self._bits.saved()
        self._committed = self.envelope.at
        self._pending = Observation()
        self._since = time.monotonic()
        self.settle()

    def settle(self) -> None:
        """Tell the source what is safe, if it wants to know; may be repeated."""
        if self._settle is not None:
            crash_point("source.settle.before")
            with suppress(NotApplied):  # the next commit tells it again
                self._settle(self.envelope.at)
            crash_point("source.settle.after")


def scan_partition(
    reading: Pass,
    session: Session,
    route: Route,
    lease: Lease,
    *,
    until: float,
    stopping: Callable[[], bool],
    beat: Callable[[], None],
) -> Ending:
    """Read a scan's partition until it ends or time is up.

    Returns:
        ``complete``; ``more`` is left; or ``nothing``: the source had nothing new to
        look at, so no pass happened (a drop folder without a new file).

    Raises:
        NotApplied: ``source.stuck``, or whatever the source raised; what was read
            before is committed.
    """
    reading.resume()
    if reading.envelope.whole:  # it ended, and nobody could say so any more
        reading.settle()
        return "complete"
    spec = lease.spec or {}
    partition = Partition(spec.get("key", "all"), spec.get("spec"))
    start = position = reading.envelope.at
    batches = session.scan(route.source.name, partition, start)
    idle, empty, any_batch = 0, reading.seen == 0, False
    with read_ahead(batches) as ahead:
        try:
            for batch in ahead:
                reading.take(batch)
                beat()
                if batch.complete:
                    return "complete"
                any_batch = True
                empty = empty and not batch.changes and not batch.rejects
                still = not batch.changes and batch.cursor == position
                idle = idle + 1 if still else 0
                position = batch.cursor
                if idle >= STUCK_AFTER:
                    raise _stuck(route)
                # A source that cannot resume is read to its end, however long.
                late = time.monotonic() >= until and reading.envelope.at != start
                if stopping() or (late and not empty):
                    return "more"
        finally:
            reading.commit_if_any()
    if empty and any_batch:
        return "nothing"
    raise NotApplied(
        "The source ended its pass without saying that it was complete; nothing "
        "was taken as the end of the stream.",
        code="source.incomplete",
        stream=route.source.address,
    )


def follow(
    reading: Pass,
    session: Session,
    route: Route,
    *,
    until: float,
    stopping: Callable[[], bool],
    beat: Callable[[], None],
) -> bool:
    """One poll of the live tail; True if some of it may be left.

    Raises:
        CursorTooOld: The core must rescan.
    """
    if reading.envelope.at is None:
        raise CursorTooOld("no position to follow from", reason="none")
    reading.resume()
    with read_ahead(session.changes(route.source.name, reading.envelope.at)) as ahead:
        try:
            for batch in ahead:
                reading.take(batch)
                beat()
                if stopping() or time.monotonic() >= until:
                    return True
        finally:
            reading.commit_if_any()
    return False


def _stuck(route: Route) -> NotApplied:
    return NotApplied(
        f"The source repeats its position without new records ({STUCK_AFTER} times); "
        "nothing was taken as the end of the stream.",
        code="source.stuck",
        stream=route.source.address,
    )
