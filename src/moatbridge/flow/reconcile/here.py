"""The source, read once and compared with what the target showed.

What the source does not say any more, or says and was never carried, is no divergence:
the next pass, or a person, decides about it. It is counted apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from moatbridge.changes import Record, Ref
from moatbridge.flow.reconcile.comparing import AgreedComparer, getter, term
from moatbridge.flow.reconcile.expecting import Source
from moatbridge.flow.reconcile.there import matched_by, scan_whole
from moatbridge.ledger import marks, reconciling
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.scratch import Suspect
from moatbridge.ledger.states import LinkState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.changes import Reject
    from moatbridge.flow.reconcile.comparing import Difference
    from moatbridge.flow.reconcile.expecting import Expected
    from moatbridge.flow.reconcile.work import Work
    from moatbridge.ledger.marks import Mark
    from moatbridge.ledger.reconciling import LinkRow


class _Seen(NamedTuple):
    """A source record on its way through the comparison."""

    k: bytes
    record: Record
    source: Source
    mark: Mark | None


def looks_here(work: Work) -> bool:
    """Whether the source can be asked what it says now."""
    return work.scans_source or work.fetches(work.route.source)


def read_here(work: Work) -> None:
    """Compare every source record with the target.

    Raises:
        NotApplied: ``reconcile.incomplete``, or whatever reading the source raised.
    """
    _gather_planned(work)
    reader = _Reader(work)
    if work.scans_source:
        scan_whole(work, work.route.source, "scan-here", reader)
    elif looks_here(work):
        _fetch_linked(work, reader)


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
        refs = [Ref.from_key(one.source_key) for one in rows if one.source_key]
        answers = work.fetch(work.route.source, refs)
        reader.take([one for one in answers if isinstance(one, Record)])


def _gather_planned(work: Work) -> None:
    """What is planned and being applied is on its way: no divergence."""
    after = (0, -1)
    while True:
        with work.ledger.read() as tx:
            rows = reconciling.on_their_way(tx, work.route.row.pair_id, after)
        if not rows:
            return
        after = rows[-1][:2]
        work.scratch.put_planned([row[3] for row in rows])
        for _parcel, _pos, link_id, _k in rows:
            if link_id is not None:
                work.moving.add(link_id)


class _Reader:
    """Takes source records, batch by batch."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._route = work.route
        self._fingerprint = self._route.fingerprint
        self._project = self._route.source.bound.project
        self._terms = matched_by(self._route)
        self._getters = [getter(path) for path in self._terms]
        self._searching = bool(self._terms) and work.scratch.any_extra()

    def take(self, records: Sequence[Record]) -> None:
        """Compare a batch."""
        work = self._work
        seen = self._seen(records)
        linked = [one for one in seen if one.mark is not None]
        wanted = seen if self._searching else linked
        expected = dict(
            zip(
                [one.k for one in wanted],
                work.expecting.of([one.source for one in wanted]),
                strict=True,
            )
        )
        there = work.scratch.there([one.mark.link_id for one in linked if one.mark])
        suspects: list[Suspect] = []
        for one in linked:
            mark = cast("Mark", one.mark)
            work.here.add(mark.link_id)
            held, should = there.get(mark.link_id), expected.get(one.k)
            if should is None:
                work.tally.behind["unreadable"] += 1
            elif held is not None:
                found = work.comparer.difference(
                    work.comparer.prints(should.entity, whole=False),
                    work.comparer.unpack(held[0]),
                )
                count(work, found)
                if found.any:
                    behind = self._fp(one.record) != mark.fp
                    suspects.append(
                        Suspect(mark.link_id, "changed", *found[1:], behind)
                    )
        work.scratch.suspect(suspects)
        self._behind([one for one in seen if one.mark is None])
        if self._searching:
            self._match(seen, expected)
        work.tell()

    def refuse(self, rejects: Sequence[Reject]) -> None:
        """What cannot be read is no divergence; it may well be there."""
        ks = [key_hash(r.ref.key) for r in rejects if r.ref is not None]
        self._work.tally.behind["unreadable"] += len(rejects)
        with self._work.ledger.read() as tx:
            found = marks.lookup(tx, self._route.row.source_side, ks)
        for mark in found.values():
            self._work.here.add(mark.link_id)

    def _seen(self, records: Sequence[Record]) -> list[_Seen]:
        by_k = {key_hash(record.ref.key): record for record in records}
        with self._work.ledger.read() as tx:
            found = marks.lookup(tx, self._route.row.source_side, list(by_k))
        out: list[_Seen] = []
        for k, record in by_k.items():
            mark = found.get(k)
            link_id = mark.link_id if mark else None
            ref = record.ref
            source = Source(ref.key, ref.name, record.data, record.incomplete, link_id)
            out.append(_Seen(k, record, source, mark))
        return out

    def _fp(self, record: Record) -> bytes | None:
        try:
            values = self._project(record.data)
            return self._fingerprint(record.ref.key, record.ref.name, values)
        except (TypeError, ValueError, KeyError):
            return None

    def _behind(self, unknown: Sequence[_Seen]) -> None:
        """Records that nothing is linked to: why not?"""
        if not unknown or not self._route.creates:
            return
        work, ks = self._work, [one.k for one in unknown]
        with work.ledger.read() as tx:
            why = reconciling.stuck(tx, self._route.row.flow_id, ks)
        planned = work.scratch.planned([k for k in ks if k not in why])
        for k in ks:
            work.tally.behind[why.get(k, "waiting" if k in planned else "new")] += 1

    def _match(
        self, seen: Sequence[_Seen], expected: dict[bytes, Expected | None]
    ) -> None:
        """Which target records that nobody is linked to are these."""
        claims: list[tuple[str, bytes]] = []
        for number, get in enumerate(self._getters):
            wanted: dict[int, str] = {}
            for one in seen:
                should = expected.get(one.k)
                value = get(should.whole) if should else None
                if isinstance(value, str) and value:
                    wanted[term(value)] = one.source.key
            hits = self._work.scratch.matching(number, list(wanted))
            claims += [(wanted[h], k) for h, ks in hits.items() for k in ks]
        self._work.scratch.claim(claims)


def count(work: Work, found: Difference) -> None:
    """Add one comparison to the tally."""
    tally = work.tally
    tally.compared += 1
    if not found.any and found.compared == work.comparer.full:
        tally.equal += 1
        return
    tally.kinds[found] += 1


def walk_links(work: Work) -> None:
    """Go over all links: what was not seen there, and what should be disabled."""
    row, after = work.route.row, 0
    while True:
        with work.ledger.read() as tx:
            rows = reconciling.links_after(
                tx, row.pair_id, row.side, after=after, high=work.high
            )
            pending = [one for one in rows if one.state == LinkState.PENDING]
            busy = reconciling.busy(tx, [one.link_id for one in pending])
            ks = [key_hash(one.source_key or "") for one in pending]
            stuck = reconciling.stuck(tx, row.flow_id, ks)
        if not rows:
            return
        after = rows[-1].link_id
        for one, k in zip(pending, ks, strict=True):
            work.tally.behind[busy.get(one.link_id) or stuck.get(k, "waiting")] += 1
        _suspect(work, rows)


def _suspect(work: Work, rows: Sequence[LinkRow]) -> None:
    looked = looks_here(work)
    there = work.scratch.there([one.link_id for one in rows])
    suspects: list[Suspect] = []
    for one in rows:
        held = there.get(one.link_id)
        if one.state == LinkState.DISABLED and held is not None and held[1] == 1:
            suspects.append(Suspect(one.link_id, "enabled"))
        if one.state != LinkState.LIVE or one.target_key is None:
            continue
        work.tally.linked += 1
        work.tally.unseen += not work.there.has(one.link_id)
        if looked and not work.here.has(one.link_id):
            work.tally.behind["gone"] += 1
        elif not work.there.has(one.link_id):
            suspects.append(Suspect(one.link_id, "missing"))
    work.scratch.suspect(suspects)
    if not looked:
        _compare_agreed(work, rows, there)


def _compare_agreed(
    work: Work,
    rows: Sequence[LinkRow],
    there: dict[int, tuple[bytes, int | None]],
) -> None:
    """A source that tells everything once: compare with what was delivered."""
    comparer = cast("AgreedComparer", work.comparer)
    live = [r.link_id for r in rows if r.state == LinkState.LIVE and r.link_id in there]
    with work.ledger.read() as tx:
        links = marks.links(tx, live)
    suspects: list[Suspect] = []
    for link_id, link in links.items():
        found = comparer.difference(
            comparer.agreed(link.base), comparer.unpack(there[link_id][0])
        )
        count(work, found)
        if found.any:
            suspects.append(Suspect(link_id, "changed", *found[1:]))
    work.scratch.suspect(suspects)
