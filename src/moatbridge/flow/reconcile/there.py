"""The target, read once: what is linked becomes hashes, what is not is kept apart.

A pass that does not say that it saw everything is an error: nothing may look missing
because it was not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from moatbridge.changes import Record, Ref
from moatbridge.errors import ConfigurationError, NotApplied, TranslationError
from moatbridge.flow.reconcile.comparing import getter, term
from moatbridge.flow.reconcile.work import called, hydrated, readable
from moatbridge.ledger import marks, reconciling
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.scratch import Extra
from moatbridge.ledger.states import LinkState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.changes import Reject
    from moatbridge.flow.reconcile.work import Work
    from moatbridge.flow.route import End, Route

EXTERNAL_ID: Final = "externalId"


class Reads(Protocol):
    """Takes the records of one end, batch by batch."""

    def take(self, records: Sequence[Record]) -> None:
        """Records that could be read."""

    def refuse(self, rejects: Sequence[Reject]) -> None:
        """Records that could not."""


def check_readable(route: Route) -> None:
    """Refuse a target that nobody can read back.

    Raises:
        ConfigurationError: ``reconcile.target``.
    """
    if not (readable(route.target) or route.target.can("CanFetch")):
        raise ConfigurationError(
            f"{route.target.address} only takes what is sent and cannot be read back "
            "(a drop folder, a webhook), so nothing can be compared with it. What was "
            "delivered is in the ledger; ask the receiver what it holds.",
            code="reconcile.target",
            stream=route.target.address,
        )


def matched_by(route: Route) -> tuple[str, ...]:
    """Paths that say which source record an unlinked target record belongs to."""
    paths = [*route.config.match]
    if EXTERNAL_ID in route.target.bound.paths:
        paths.append(EXTERNAL_ID)
    return tuple(dict.fromkeys(paths))


def read_there(work: Work) -> None:
    """Read the whole target, or every record that something is linked to.

    Raises:
        NotApplied: ``reconcile.incomplete``: the target did not say that the pass was
            complete; or whatever reading it raised.
    """
    reader = _Reader(work)
    if not work.scans_target:
        _fetch_linked(work, reader)
        return
    scan_whole(work, work.route.target, "scan-there", reader)


def scan_whole(work: Work, end: End, use: str, reader: Reads) -> None:
    """Read one end of the flow to its end, batch by batch.

    Raises:
        NotApplied: ``reconcile.incomplete``: it did not say that this was all.
    """
    session = work.session(use, end.system)
    for partition in work.split(end):
        complete = False
        for batch in session.scan(end.name, partition, None):
            reader.take(hydrated(work, end, batch.changes))
            reader.refuse(batch.rejects)
            complete = batch.complete
        if not complete:
            raise incomplete(end.address)


def incomplete(address: str) -> NotApplied:
    """A pass that ended without saying that it saw everything."""
    return NotApplied(
        "The pass ended without saying that it was complete, so nothing was compared: "
        "what was not read must not look missing. Run it again.",
        code="reconcile.incomplete",
        stream=address,
    )


def _fetch_linked(work: Work, reader: _Reader) -> None:
    row, after = work.route.row, 0
    while True:
        with work.ledger.read() as tx:
            rows = reconciling.links_after(
                tx, row.pair_id, row.side, after=after, high=work.high
            )
        if not rows:
            return
        after = rows[-1].link_id
        refs = [
            Ref.from_key(one.target_key, one.target_name)
            for one in rows
            if one.target_key and one.state in {LinkState.LIVE, LinkState.DISABLED}
        ]
        answers = work.fetch(work.route.target, refs)
        reader.take([one for one in answers if isinstance(one, Record)])


class _Reader:
    """Takes target records, batch by batch."""

    def __init__(self, work: Work) -> None:
        self._work = work
        route = work.route
        self._bound = route.target.bound
        self._side = route.row.target_side
        self._terms = matched_by(route)
        self._getters = [getter(path) for path in self._terms]
        with work.ledger.read() as tx:
            self._others = reconciling.other_sides(
                tx, work.ledger.scope, route.target.address, route.row.pair_id
            )

    def take(self, records: Sequence[Record]) -> None:
        """Keep a batch."""
        work = self._work
        work.tally.read += len(records)
        by_k = {key_hash(record.ref.key): record for record in records}
        with work.ledger.read() as tx:
            found = marks.lookup(tx, self._side, list(by_k))
            unknown = [k for k in by_k if k not in found]
            theirs = self._others_own(tx, unknown)
        rows: list[tuple[int, str, bytes, int | None]] = []
        twice: list[tuple[bytes, int, Record]] = []
        extra: dict[bytes, tuple[Record, dict[str, Any]]] = {}
        for k, record in by_k.items():
            mark = found.get(k)
            if mark is None and k in theirs:
                work.tally.unmanaged += 1
                continue
            entity = self._decoded(record)
            if mark is None:
                if entity is not None:
                    extra[k] = (record, entity)
            elif not work.there.add(mark.link_id):
                twice.append((k, mark.link_id, record))
            elif entity is not None:
                kept = self._kept(record, entity)
                rows.append((mark.link_id, record.ref.key, *kept))
        work.scratch.put_there(rows)
        self._second(twice)
        self._unlinked(extra)
        work.tell()

    def refuse(self, rejects: Sequence[Reject]) -> None:
        """Count what could not be read; what says which record it is, is there."""
        tally = self._work.tally
        for reject in rejects:
            tally.unreadable += 1
            if reject.ref is None:
                tally.blind += 1
            else:
                self._see([reject.ref])

    def _see(self, refs: Sequence[Ref]) -> None:
        with self._work.ledger.read() as tx:
            found = marks.lookup(tx, self._side, [key_hash(ref.key) for ref in refs])
        for mark in found.values():
            self._work.there.add(mark.link_id)

    def _others_own(self, tx: Any, ks: list[bytes]) -> set[bytes]:
        """Which of these belong to other flows that write the same stream."""
        theirs: set[bytes] = set()
        for side in self._others if ks else ():
            theirs.update(marks.lookup(tx, side, ks))
        return theirs

    def _decoded(self, record: Record) -> dict[str, Any] | None:
        try:
            return self._bound.decode(record.data, record.incomplete)
        except TranslationError:
            self._work.tally.unreadable += 1
            return None

    def _kept(self, record: Record, entity: dict[str, Any]) -> tuple[bytes, int | None]:
        comparer = self._work.comparer
        prints = comparer.prints(entity, whole=not record.incomplete)
        active = entity.get("active")
        return comparer.pack(prints), None if active is None else int(active)

    def _second(self, twice: Sequence[tuple[bytes, int, Record]]) -> None:
        """Two records of one link: one of them is not the one that the link names."""
        if not twice:
            return
        work, other = self._work, 1 - self._work.route.row.side
        ids = [link_id for _k, link_id, _record in twice]
        with work.ledger.read() as tx:
            links = marks.links(tx, ids)
        kept = work.scratch.keys_there(ids)
        rows: list[tuple[bytes, int, str, str | None, str]] = []
        for k, link_id, record in twice:
            key, first = record.ref.key, kept.get(link_id)
            if first in {None, key}:
                continue  # a page that was read once more
            entity = self._decoded(record) or {}
            if key == links[link_id].key(other):
                rows.append((key_hash(first or ""), link_id, first or "", None, ""))
                work.scratch.put_there([(link_id, key, *self._kept(record, entity))])
            else:
                who = called(entity, record.ref.name, key)
                rows.append((k, link_id, key, record.ref.name, who))
        work.scratch.put_twice(rows)

    def _unlinked(self, extra: dict[bytes, tuple[Record, dict[str, Any]]]) -> None:
        kept, terms = [], []
        for k, (record, entity) in extra.items():
            key, name = record.ref.key, record.ref.name
            ours = bool(entity.get(EXTERNAL_ID))
            kept.append(Extra(k, key, name, called(entity, name, key), ours))
            for number, get in enumerate(self._getters):
                value = get(entity)
                if isinstance(value, str) and value:
                    terms.append((number, term(value), k))
        self._work.scratch.put_extra(kept, terms)
