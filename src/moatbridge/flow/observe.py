"""From observed changes to staged intents: compare, translate, judge (delivery E).

An unchanged record costs a projection, two hashes, its share of one look-up and one
bit: no translation, no guard, no write. Everything here is read-only; the caller
commits the `Observation` together with the cursor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.changes import Absent, Change, OutOfScope, Record, Ref
from moatbridge.flow.deciding import Decider, Seen
from moatbridge.flow.folding import last_of_each
from moatbridge.flow.observation import Observation
from moatbridge.flow.recognising import Recogniser, duplicate_key
from moatbridge.flow.removals import Removals
from moatbridge.ledger import holds, marks, pending, reconciling
from moatbridge.ledger.keys import kept_hash
from moatbridge.ledger.states import LinkState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.flow.recognising import Recognised
    from moatbridge.flow.route import Route
    from moatbridge.guard import Memory
    from moatbridge.ledger import Ledger, Transaction
    from moatbridge.ledger.marks import MarkRow
    from moatbridge.resilience.session import Session


class Observer:
    """Turns changes of a flow's source into an `Observation`.

    Used by one slice at a time. ``source`` and ``target`` give open sessions, borrowed
    only when something must be looked up; they are only read from.
    """

    def __init__(
        self,
        route: Route,
        ledger: Ledger,
        *,
        source: Callable[[], Session],
        target: Callable[[], Session],
        memory: Memory,
    ) -> None:
        self._route = route
        self._ledger = ledger
        self._source = source
        self._decider = Decider(route, ledger, target=target, memory=memory)
        self.removals: Removals = Removals(route, ledger)
        self._recogniser = Recogniser(route, self.link_of)

    def observe(
        self,
        changes: Sequence[Change],
        *,
        duplicate: Callable[[int], bool] = lambda _link_id: False,
        fresh: Callable[[list[int]], bool] = lambda _link_ids: False,
        stale: Callable[[int], bool] = lambda _link_id: False,
        force: bool = False,
        feed: bool = False,
    ) -> Observation:
        """Compare a batch with the ledger, translate and judge what differs.

        Args:
            changes: As the adapter gave them; thin ones are fetched here.
            duplicate: Says whether a link was seen before by the same pass.
            fresh: Says whether all these links were never seen before by it: then
                ``duplicate`` need not be asked of each.
            stale: Says whether another path saw the link during this pass: what was
                read may be older than what is known, so it is looked at again.
            feed: Several changes of one record are in order: the last one counts. In
                a scan they are duplicate keys, and all but the first are rejected.
            force: Stage linked records even when nothing about them changed.
        """
        result = Observation()
        whole = self._hydrated(changes, result, feed=feed)
        known = self._recogniser.take(whole, result)
        with self._ledger.read() as tx:
            waits = self._waiting(tx, known.ks) if feed else set()
            result.waiting += waits
            rows = marks.found_rows(tx, self._route.row.source_side, known.ks)
            if not force and not waits and fresh([row[3] for row in rows]):
                differing = _differing(known, rows, result)
            else:
                differing = _looked_at(
                    known, rows, result, waits, duplicate, force=force
                )
            links = marks.links(tx, [s.mark.link_id for s in differing if s.mark])
            held = holds.held(tx, self._route.row.flow_id)
        if held:
            result.restored += _as_they_were(held, known, rows)
        result.count("unchanged", len(known.ks) - len(differing))
        old = [one for one in differing if one.mark and stale(one.mark.link_id)]
        if old and self._route.source.can("CanFetch"):
            differing = [one for one in differing if one not in old]
            differing += self._looked_again(old, result)
        self._decider.decide(differing, links, result, force=force)
        return result

    def _looked_again(self, old: Sequence[Seen], result: Observation) -> list[Seen]:
        mark_of = {one.k: one.mark for one in old}
        again = Observation()
        fresh = self._recogniser.take(
            self.fetched([one.change.ref for one in old], result), again
        )
        result.rejects += again.rejects
        result.blind += again.blind
        return [
            Seen(change, key, k, fp, mark)
            for change, key, k, fp in zip(*fresh, strict=True)
            if (mark := mark_of.get(k)) is None or mark.fp != fp
        ]

    # --- the steps of observe -------------------------------------------------

    def _hydrated(
        self, changes: Sequence[Change], result: Observation, *, feed: bool
    ) -> list[Change]:
        """Thin, partial and deleted ones are looked at in the source, in one go."""
        every = list(changes)
        if feed:
            once = self._route.told_once
            last = {change.ref.key: change for change in changes}
            every = last_of_each(every) if once else list(last.values())
        look = [c for c in every if _needs_look(c)]
        if not look:
            return every
        whole = [c for c in every if not _needs_look(c)]
        # Nobody can ask for a key that is not kept; rejected, unless it is gone anyway.
        keyless = [c for c in look if kept_hash(c.ref.key) is None]
        look = [c for c in look if kept_hash(c.ref.key) is not None]
        whole += [c for c in keyless if c.op != "delete"]
        if not self._route.source.can("CanFetch"):
            gone = [c for c in look if c.op == "delete"]
            self._deleted([c.ref for c in gone], "deleted", result)
            return whole + [c for c in look if c.op != "delete" and c.data is not None]
        return whole + self.fetched([c.ref for c in look], result)

    def fetched(self, refs: Sequence[Ref], result: Observation) -> list[Change]:
        """Look at these records in the source; what is gone is staged as removal."""
        present: list[Change] = []
        gone: dict[str, list[Ref]] = {"deleted": [], "left-scope": []}
        for found in self._source().fetch(self._route.source.name, refs):
            match found:
                case Record():
                    present.append(
                        Change(
                            found.ref,
                            data=found.data,
                            version=found.version,
                            incomplete=found.incomplete,
                        )
                    )
                case Absent():
                    gone["deleted"].append(found.ref)
                case OutOfScope():
                    gone["left-scope"].append(found.ref)
        for why, refs_gone in gone.items():
            self._deleted(refs_gone, why, result)
        return present

    def _deleted(self, refs: Sequence[Ref], why: str, result: Observation) -> None:
        if not refs:
            return
        # What has no key that is kept was never linked: there is nothing to remove.
        ks = {k: ref for ref in refs if (k := kept_hash(ref.key)) is not None}
        with self._ledger.read() as tx:
            waits = self._waiting(tx, list(ks))
            found = marks.lookup(tx, self._route.row.source_side, list(ks))
            links = marks.links(tx, [mark.link_id for mark in found.values()])
            coming = [i for i, n in links.items() if n.state is LinkState.PENDING]
            alive = set(reconciling.busy(tx, coming))
        result.links += links
        result.waiting += waits
        every = self._route.told_once
        alive |= {i for i, n in links.items() if every or n.state is LinkState.LIVE}
        # A create that is on its way is waited for: nobody tells of the end again.
        self.removals.vanished(
            [link for i, link in links.items() if i in alive],
            result,
            why=why,
            hold=False,
            waits=waits,
            unanswered=True,
        )
        unborn = [ks[k] for k in waits - found.keys()]
        self.removals.unborn(unborn, result, why=why)

    def _waiting(self, tx: Transaction, ks: Sequence[bytes]) -> set[bytes]:
        """Records of which something is staged that a newer change replaces."""
        if not self._route.told_once:
            return set()
        return pending.keys(tx, self._route.row.flow_id, ks)

    def link_of(self, k: bytes) -> list[int]:
        """The link of a source record, by its key hash: none or one."""
        with self._ledger.read() as tx:
            found = marks.lookup(tx, self._route.row.source_side, [k])
        return [mark.link_id for mark in found.values()]


def _needs_look(change: Change) -> bool:
    return change.data is None or change.partial or change.op == "delete"


def _differing(
    known: Recognised, rows: Sequence[MarkRow], result: Observation
) -> list[Seen]:
    """Where no link was seen before: what has another fingerprint, or none."""
    fps = {k: fp for k, fp, _out_fp, _link_id in rows}
    result.links += [link_id for _k, _fp, _out_fp, link_id in rows]
    if list(map(fps.get, known.ks)) == known.fps:
        return []
    other = {k for k, fp in zip(known.ks, known.fps, strict=True) if fps.get(k) != fp}
    found = {row[0]: marks.Mark(*row[1:]) for row in rows if row[0] in other}
    return [
        Seen(change, key, k, fp, found.get(k))
        for change, key, k, fp in zip(*known, strict=True)
        if k in other
    ]


def _looked_at(
    known: Recognised,
    rows: Sequence[MarkRow],
    result: Observation,
    waits: set[bytes],
    duplicate: Callable[[int], bool],
    *,
    force: bool,
) -> list[Seen]:
    """Each record by itself; what is told twice by one pass is rejected."""
    found = {row[0]: marks.Mark(*row[1:]) for row in rows}
    differing = []
    for change, key, k, fp in zip(*known, strict=True):
        mark = found.get(k)
        if mark is not None:
            result.links.append(mark.link_id)
            if duplicate(mark.link_id):
                result.rejects.append(duplicate_key(change, key))
                continue
            if mark.fp == fp and not force and k not in waits:
                continue
        differing.append(Seen(change, key, k, fp, mark, k in waits))
    return differing


def _as_they_were(
    held: set[bytes], known: Recognised, rows: Sequence[MarkRow]
) -> list[bytes]:
    """What waited for a person is over when the record is as it was."""
    fps = {k: fp for k, fp, _out_fp, _link_id in rows if k in held}
    return [k for k, fp in zip(known.ks, known.fps, strict=True) if fps.get(k) == fp]
