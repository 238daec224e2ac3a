"""Sources that tell everything once: a newer change takes the place of a waiting one.

Where a record cannot be looked at again (an inbox, a folder of deltas) nobody can
decide afresh what a change means once the ledger has moved on. So at most one planned
intent of a record waits: whatever is told about it meanwhile is folded into it, inside
transaction A, and rests on the mark as that very transaction sees it.

* a whole record replaces the one that waits
* a partial one is laid over it: what it does not say still holds
* a removal replaces it; what was never created needs none
* what a person must look at first leaves the planned one alone, and takes the place
  of a held one; so does what is laid over a held one, which stays unapproved
* it also takes the place of what a person agreed to and that has not left: if it is a
  partial one, it is laid over that first, and they are asked about both

What the target holds already when this is done is not staged at all.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities.paths import Slot, parse
from moatbridge.flow.removals import GONE
from moatbridge.ledger import flows, frozen, marks, parcels, pending
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from moatbridge.changes import Change
    from moatbridge.flow.observation import Observation
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Transaction
    from moatbridge.ledger.marks import Link, Mark
    from moatbridge.ledger.parcels import Item, Parcel
    from moatbridge.ledger.pending import Pending
    from moatbridge.ledger.settlement import Result
    from moatbridge.ledger.staging import Staged

PARTIAL: Final = "partial"
"""Member of a payload that says only what changed."""

PLANNED: Final = "planned"
"""Member of an encoded intent: what it said when planned; nobody can tell it again."""

_LIVE: Final = "live"
_STALE: Final = "stale"
_LONGEST: Final = 60.0
_REMOVES: Final = frozenset({"disable", "delete"})


# --- changes of one batch ---------------------------------------------------------


def last_of_each(changes: Sequence[Change]) -> list[Change]:
    """What a batch says in the end: one change a record, partial ones laid over."""
    found: dict[str, Change] = {}
    for change in changes:
        before = found.get(change.ref.key)
        found[change.ref.key] = change if before is None else _later(before, change)
    return list(found.values())


def _later(before: Change, change: Change) -> Change:
    if not change.partial or before.data is None or change.data is None:
        return change
    said = {k: v for k, v in change.data.items() if k not in change.incomplete}
    unknown = {*before.incomplete, *(set(change.incomplete) - set(before.data))}
    return change._replace(
        data=_over(before.data, said),
        partial=before.partial,
        incomplete=tuple(sorted(unknown - set(said))),
    )


# --- transaction A ----------------------------------------------------------------


def fold(tx: Transaction, route: Route, found: Observation) -> None:
    """Let what was observed take the place of what waits; part of transaction A.

    Args:
        tx: Open transaction.
        route: A flow whose source tells everything once.
        found: What was observed, at most one intent a record; changed in place.
    """
    ks = set(found.waiting)
    if not ks:
        return
    folded = _Folded(tx, route, ks)
    for name in ("upserts", "disables", "deletes"):
        staged: list[Staged] = getattr(found, name)
        left = [one for one in staged if one.k not in ks or folded.stays(one)]
        setattr(found, name, left)
    pending.replace(tx, folded.replaced)
    found.restored += folded.settled


class _Folded:
    def __init__(self, tx: Transaction, route: Route, ks: set[bytes]) -> None:
        self._route = route
        self._slots = slots_of(route)
        self._waits = pending.of(tx, route.row.flow_id, ks)
        self._marks = marks.lookup(tx, route.row.source_side, list(ks))
        ids = [mark.link_id for mark in self._marks.values()]
        self._links = marks.links(tx, ids)
        self.replaced: list[Pending] = []
        self.settled: list[bytes] = []

    def stays(self, staged: Staged) -> bool:
        """Whether it is to be staged, now that it rests on the present mark."""
        waits = self._waits.get(staged.k, [])
        if _says_the_same(staged, waits):
            return False
        if _partial(staged.payload):
            self._lay_over(staged, waits)
        mark = self._marks.get(staged.k)
        if mark is None:
            staged.link_id = staged.prev_fp = None
            left = staged.op not in _REMOVES
        else:
            self._rebase(staged, mark, self._links[mark.link_id])
            left = not _holds_already(staged, mark)
        if not left:
            self.settled.append(staged.k)
        if staged.hold is None or not left:
            self.replaced += [one for one in waits if one.hold is None]
        return left

    def _lay_over(self, staged: Staged, waits: Sequence[Pending]) -> None:
        """Onto what waits last: a held one, or else the planned one."""
        base = waits[-1] if waits else None
        if base is None or base.op in _REMOVES:
            return
        planned = base.hold is None and staged.hold is not None
        if planned and (base.agreed is None or base.out_fp == staged.out_fp):
            return  # it stays where it is, or is the very thing that was agreed to
        staged.payload = merged(base.payload, staged.payload, self._slots)
        staged.out_fp = key_hash(f"{base.out_fp!r}{staged.out_fp!r}")
        staged.op = base.op
        staged.hold = staged.hold or base.hold

    def _rebase(self, staged: Staged, mark: Mark, link: Link) -> None:
        """Judged against an older observation: what waited then was admitted since."""
        if staged.link_id == mark.link_id and staged.prev_fp == mark.fp:
            return
        route, payload = self._route, json.loads(staged.payload)
        if staged.link_id is None:
            # Whoever was found at the target is who was just created there.
            payload.pop("adopt", None)
            if staged.hold is not None and staged.hold[1] == "match":
                staged.hold = None
        if staged.op not in _REMOVES:
            if link.key(1 - route.row.side) is not None:
                payload["entity"] = route.carry.cut(payload["entity"])
                staged.op = "update"
            if mark.fp == GONE:
                payload["renew"] = True
                if "active" in route.target.bound.paths:
                    payload["entity"].setdefault("active", True)
        staged.payload = json.dumps(payload, ensure_ascii=False)
        staged.link_id, staged.prev_fp = mark.link_id, mark.fp
        staged.round = link.round


def _says_the_same(staged: Staged, waits: Sequence[Pending]) -> bool:
    """A batch that is read once more after a kill finds itself waiting."""
    return (
        bool(waits)
        and staged.fp is not None
        and (waits[-1].fp, waits[-1].out_fp) == (staged.fp, staged.out_fp)
    )


def _holds_already(staged: Staged, mark: Mark) -> bool:
    same = staged.fp is not None and staged.fp == mark.fp
    return same and (staged.op in _REMOVES or staged.out_fp == mark.out_fp)


# --- transaction B ----------------------------------------------------------------


def joins_newer(tx: Transaction, route: Route, parcel: Parcel, item: Item) -> bool:
    """Whether a planned intent that is to be held ends in a newer one held already.

    A person is asked once about a record: about all that was told.

    Args:
        tx: Open transaction.
        route: The flow.
        parcel: The planned parcel.
        item: Its intent.
    """
    if not route.told_once or parcel.part != _LIVE:
        return False
    waits = pending.of(tx, route.row.flow_id, [item.k]).get(item.k, [])
    held = [one for one in waits if one.hold is not None]
    if not held:
        return False
    newer = held[-1]
    if _partial(newer.payload) and item.op not in _REMOVES:
        text = merged(item.payload or "{}", newer.payload, slots_of(route))
        pending.rewrite(tx, newer, text)
    parcels.settle_one(tx, parcel, [(item.pos, State.CANCELLED, "replaced")])
    return True


# --- transaction C ----------------------------------------------------------------


def stage_stale(
    tx: Transaction, route: Route, parcel: Parcel, results: Sequence[Result]
) -> None:
    """What failed its compare-and-set is planned anew from what was told.

    Part of the transaction that settles it, after that has forgotten its mark.

    Args:
        tx: Open transaction.
        route: A flow whose source tells everything once.
        parcel: The parcel that was sent.
        results: Its outcome.
    """
    stale = [r.item for r in results if r.state is State.CANCELLED]
    if not stale or parcel.part != _LIVE:
        return
    waits = pending.of(tx, route.row.flow_id, [item.k for item in stale])
    for item in stale:
        told = frozen.loads(item.payload).get(PLANNED)
        newer = [one for one in waits.get(item.k, ()) if one.hold is None]
        if told is None or item.link_id is None:
            continue
        if not newer:
            times = told.pop(_STALE, 0)
            text = json.dumps({**told, _STALE: times + 1}, ensure_ascii=False)
            wait = min(_LONGEST, 2.0**times) if times else 0.0
            pending.stage_anew(tx, parcel, item, text, wait=wait)
        elif _partial(newer[-1].payload):
            text = merged(json.dumps(told), newer[-1].payload, slots_of(route))
            pending.rewrite(tx, newer[-1], text)
        flows.not_again(tx, route.row.flow_id, item.link_id)


# --- one payload over another -------------------------------------------------------


def slots_of(route: Route) -> dict[str, str]:
    """Lists whose entries are told apart: name of the list -> what tells them apart."""
    return {
        segment.name: segment.selector.name
        for text in (*route.initial.paths, *route.carry.paths)
        for segment in parse(text)
        if isinstance(segment.selector, Slot)
    }


def merged(before: str, after: str, slots: Mapping[str, str]) -> str:
    """The payload of a partial intent, laid over that of the one before it."""
    old, new = json.loads(before), json.loads(after)
    both = {**old, **new}
    both["entity"] = _over(old["entity"] or {}, new["entity"] or {}, slots)
    if not old.get(PARTIAL):
        both.pop(PARTIAL, None)
    said = new.get("changed", ())
    if "changed" in old:
        both["changed"] = list(dict.fromkeys((*old["changed"], *said)))
        blank = (path for path in old.get("blank", ()) if path not in said)
        both["blank"] = [*blank, *new.get("blank", ())]
    else:
        both.pop("changed", None)
        both.pop("blank", None)
    return json.dumps(both, ensure_ascii=False)


def _over(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    slots: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """One mapping over another: members of members too, and lists slot by slot."""
    both = dict(old)
    for name, value in new.items():
        there = both.get(name)
        if isinstance(value, dict) and isinstance(there, dict):
            both[name] = _over(there, value, slots)
        elif slots and name in slots and value and isinstance(there, list):
            both[name] = _slots_over(there, value, slots[name])
        else:
            both[name] = value
    return both


def _slots_over(old: Iterable[Any], new: Sequence[Any], slot: str) -> list[Any]:
    said = [entry.get(slot) for entry in new if isinstance(entry, dict)]
    kept = [e for e in old if not isinstance(e, dict) or e.get(slot) not in said]
    return [*kept, *new]


def _partial(payload: str) -> bool:
    return bool(json.loads(payload).get(PARTIAL))
