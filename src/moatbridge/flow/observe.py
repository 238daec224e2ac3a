"""From observed changes to staged intents: compare, translate, judge (delivery E).

An unchanged record costs a projection, two hashes, its share of one look-up and one
bit: no translation, no guard, no write. Everything here is read-only; the caller
commits the `Observation` together with the cursor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from moatbridge.changes import Absent, Change, OutOfScope, Record, Ref
from moatbridge.flow.deciding import Decider, Seen, ref_json
from moatbridge.flow.folding import last_of_each
from moatbridge.flow.observation import Observation
from moatbridge.flow.removals import Removals
from moatbridge.ledger import holds, marks, pending, reconciling
from moatbridge.ledger.keys import kept_hash, key_hash, storable
from moatbridge.ledger.states import LinkState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.flow.observation import Dead
    from moatbridge.flow.route import Route
    from moatbridge.guard import Memory
    from moatbridge.ledger import Ledger, Transaction
    from moatbridge.resilience.session import Session

_Known: TypeAlias = tuple["Change", str, bytes]
"""A record as read, its key and its fingerprint."""


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
        self._fingerprint = route.fingerprint
        self._project = route.source.bound.project

    def observe(
        self,
        changes: Sequence[Change],
        *,
        duplicate: Callable[[int], bool] = lambda _link_id: False,
        stale: Callable[[int], bool] = lambda _link_id: False,
        force: bool = False,
        feed: bool = False,
    ) -> Observation:
        """Compare a batch with the ledger, translate and judge what differs.

        Args:
            changes: As the adapter gave them; thin ones are fetched here.
            duplicate: Says whether a link was seen before by the same pass.
            stale: Says whether another path saw the link during this pass: what was
                read may be older than what is known, so it is looked at again.
            feed: Several changes of one record are in order: the last one counts. In
                a scan they are duplicate keys, and all but the first are rejected.
            force: Stage linked records even when nothing about them changed.
        """
        result = Observation()
        whole = self._hydrated(changes, result, feed=feed)
        seen = self._fingerprinted(whole, result)
        with self._ledger.read() as tx:
            waits = self._waiting(tx, list(seen)) if feed else set()
            result.waiting += waits
            found = marks.lookup(tx, self._route.row.source_side, list(seen))
            differing = []
            for k, (change, key, fp) in seen.items():
                mark = found.get(k)
                if mark is not None:
                    result.links.append(mark.link_id)
                    if duplicate(mark.link_id):
                        result.rejects.append(_duplicate(change, key))
                        continue
                    if mark.fp == fp and not force and k not in waits:
                        continue
                differing.append(Seen(change, key, k, fp, mark, k in waits))
            known = marks.links(tx, [s.mark.link_id for s in differing if s.mark])
            held = holds.held(tx, self._route.row.flow_id)
        # What waited for a person is over when the record is as it was.
        result.restored += [k for k in held & found.keys() if found[k].fp == seen[k][2]]
        result.count("unchanged", len(seen) - len(differing))
        old = [one for one in differing if one.mark and stale(one.mark.link_id)]
        if old and self._route.source.can("CanFetch"):
            differing = [one for one in differing if one not in old]
            differing += self._looked_again(old, result)
        self._decider.decide(differing, known, result, force=force)
        return result

    def _looked_again(self, old: Sequence[Seen], result: Observation) -> list[Seen]:
        mark_of = {one.k: one.mark for one in old}
        again = Observation()
        fresh = self._fingerprinted(
            self.fetched([one.change.ref for one in old], result), again
        )
        result.rejects += again.rejects
        result.blind += again.blind
        return [
            Seen(change, key, k, fp, mark)
            for k, (change, key, fp) in fresh.items()
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

    def _fingerprinted(
        self, changes: Sequence[Change], result: Observation
    ) -> dict[bytes, _Known]:
        """Key hash -> record, key and fingerprint; nothing more is made of most."""
        seen: dict[bytes, _Known] = {}
        for change in changes:
            known = self._recognised(change, result)
            if known is None:
                continue
            k, key, fp = known
            if k in seen:
                result.rejects.append(_duplicate(change, key))
            else:
                seen[k] = (change, key, fp)
        result.seen = len(seen)
        return seen

    def _recognised(
        self, change: Change, result: Observation
    ) -> tuple[bytes, str, bytes] | None:
        """Key hash, key and fingerprint; a reject if it has none that can be."""
        key = change.ref.key
        k = kept_hash(key)
        if change.data is None or k is None:
            k = key_hash(f"unusable/{key!a}")
            result.rejects.append((k, None, "source", "record.key", None))
            result.blind += 1
            return None
        try:
            _check_texts(change)
            values = self._project(change.data)
            fp = self._fingerprint(key, change.ref.name, values)
        except (TypeError, ValueError, KeyError) as error:
            why = type(error).__name__
            result.rejects.append((k, ref_json(change.ref), why, "record.shape", None))
            result.links += self.link_of(k)
            return None
        return k, key, fp

    def link_of(self, k: bytes) -> list[int]:
        """The link of a source record, by its key hash: none or one."""
        with self._ledger.read() as tx:
            found = marks.lookup(tx, self._route.row.source_side, [k])
        return [mark.link_id for mark in found.values()]


def _needs_look(change: Change) -> bool:
    return change.data is None or change.partial or change.op == "delete"


def _check_texts(change: Change) -> None:
    """A database must be able to hold what is kept beside the data."""
    name, version = change.ref.name, change.version
    if name is None and version is None:
        return
    if not (storable(name or "") and storable(version or "")):
        raise ValueError


def _duplicate(change: Change, key: str) -> Dead:
    k = key_hash(f"duplicate/{key}")
    return k, ref_json(change.ref), "source", "duplicate-key", None
