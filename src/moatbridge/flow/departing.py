"""Transaction B of a planned parcel: looked at, encoded, then admitted: in flight.

What asks systems comes first and writes nothing (`Departing.look`); what is written
is part of somebody's transaction (`Departing.admit`): of its own, or of the one that
settles the parcel before (delivery 21), if what that one did tells this one nothing
that it has to know (`apart`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from moatbridge.flow import letting_go, loops, standing
from moatbridge.flow.folding import joins_newer
from moatbridge.flow.opening import LIVE
from moatbridge.flow.preparing import prepare
from moatbridge.flow.references import through_own_pair
from moatbridge.guard import window_counts
from moatbridge.ledger import (
    admission,
    counts,
    flows,
    holds,
    marks,
    parcels,
    partitions,
    runs,
    settlement,
)
from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.flow.grounds import Grounds
    from moatbridge.flow.preparing import Prepared
    from moatbridge.flow.route import Route
    from moatbridge.flow.thawing import Parts
    from moatbridge.ledger import Lease, Ledger, Transaction
    from moatbridge.ledger.parcels import Item, Parcel
    from moatbridge.resilience.session import Session


Boarded: TypeAlias = "Sequence[tuple[Item, Parts | None]]"
"""Intents in flight, each with what it was frozen from, where that is known."""

_REFERS: Final = '"stream"'
"""In the text of every payload that refers to a record; reading all of them is dear."""


@dataclass(frozen=True, slots=True)
class Departure:
    """A planned parcel that could leave now.

    Args:
        parcel: The parcel as it was read.
        items: Its intents.
        ready: What becomes of them.
        agreed: A person approved these very items.
        unheard: Creates were not confirmed at the source: nobody has read its feed
            since the pass began.
    """

    parcel: Parcel
    items: Sequence[Item]
    ready: Prepared
    agreed: bool
    unheard: bool = False


class Departing:
    """Brings planned parcels of one lane into the air.

    Args:
        route: The flow.
        ledger: Its ledger.
        lease: Lease of the lane's partition.
        source: Gives a session to confirm removals with.
        target: Gives an open session of the target.
        grounds: Looks at what decisions rest on.
    """

    def __init__(
        self,
        route: Route,
        ledger: Ledger,
        lease: Lease,
        *,
        source: Callable[[], Session],
        target: Callable[[], Session],
        grounds: Grounds,
    ) -> None:
        self._route = route
        self._ledger = ledger
        self._lease = lease
        self._source = source
        self._target = target
        self._grounds = grounds
        self._aboard: tuple[int, Boarded] | None = None

    def look(self, parcel: Parcel, items: Sequence[Item]) -> Departure:
        """Ask what has to be asked, and encode; nothing is written.

        Raises:
            NotApplied: A system could not be read; the parcel stays as it is.
        """
        with self._ledger.read() as tx:
            run = runs.get(tx, parcel.run_id)
            unheard = self._unheard(tx, run)
        agreed = run.kind == "review"
        ready = prepare(
            self._route,
            self._ledger,
            items,
            source=self._source,
            target=self._target(),
            grounds=self._grounds,
            agreed=agreed,
            gone=not unheard,
        )
        return Departure(parcel, items, ready, agreed, unheard)

    def _unheard(self, tx: Transaction, run: runs.Run, *, hold: bool = False) -> bool:
        """Whether the feed told of nobody gone of whom this pass made a create.

        Never of what the feed itself told: it may have told the end right after.
        """
        if run.kind != "pass" or not self._route.source.can("CanFollow"):
            return False
        return partitions.tail_rests(
            tx, self._route.row.flow_id, run.created, hold=hold
        )

    def admit(self, tx: Transaction, leaving: Departure) -> bool:
        """What transaction B writes; True if something flies when it is committed.

        Nothing is written if some of the parcel was replaced since it was read, or if
        the feed is read by now: it is prepared again then.
        """
        route, row = self._route, self._route.row
        parcel, items, ready = leaving.parcel, leaving.items, leaving.ready
        if not parcels.still_planned(tx, parcel.parcel_id, len(items)):
            return False
        run = runs.get(tx, parcel.run_id) if leaving.unheard else None
        if run is not None and not self._unheard(tx, run, hold=True):
            return False
        parcels.settle_one(tx, parcel, ready.cancelled)
        standing.withdrawn(tx, route, items, ready.returned)
        standing.refuse(tx, route, items, ready.refused)
        loops.hold(tx, route, ready, agreed=leaving.agreed)
        admitted = admission.admit(
            tx,
            flow_id=row.flow_id,
            pair_id=row.pair_id,
            side=row.side,
            named=route.source_named,
            conditional=route.traits.conditional,
            parcel=parcel,
            fence=self._lease.fence,
            retry_for=route.guarantee.retry_for,
            told_once=route.told_once,
            candidates=ready.candidates,
        )
        for pos, missing in ready.waits.items():
            if (link_id := admitted.link_ids.get(pos)) is not None:
                self._wait_for(tx, link_id, missing)
        parcels.settle_one(
            tx, parcel, [(p, State.REJECTED, code) for p, code in ready.rejected]
        )
        self._dead(tx, items, dict(ready.rejected))
        item_at = {item.pos: item for item in items}
        once = route.told_once and parcel.part == LIVE
        for held in ready.held:
            if not joins_newer(tx, route, parcel, item_at[held[0]]):
                holds.hold_planned(tx, row.flow_id, parcel, *held, once=once)
        _postpone(tx, parcel, ready.unready, moved=bool(admitted.ready))
        sent = set(admitted.ready)
        keys = [k for pos, found in ready.counted if pos in sent for k in found]
        self._count(tx, parcel.run_id, keys)
        said = [k for pos, found in ready.let_go if pos in sent for k in found]
        letting_go.count(tx, (row.flow_id, route.name), parcel.run_id, said)
        self._aboard = (parcel.parcel_id, admission.boarded(ready.candidates, admitted))
        return bool(admitted.ready)

    def aboard(self, parcel: Parcel) -> Boarded | None:
        """The intents of a parcel that was just admitted, as they were written; once.

        None for any other: those are read from the ledger. Whoever asks has looked
        whether the parcel still flies under its own fence: until then nobody else
        touches what is in it.
        """
        known, self._aboard = self._aboard, None
        if known is None or known[0] != parcel.parcel_id or parcel.attempt != 1:
            return None
        return known[1]

    def _wait_for(
        self, tx: Transaction, link_id: int, missing: list[tuple[int, bytes, bool]]
    ) -> None:
        """Wait for references, unless one was linked since we looked."""
        flows.wait_for(tx, self._route.row.flow_id, link_id, missing)
        for side_id, k, by_name in missing:
            if marks.resolve(tx, side_id, [k], by_name=by_name):
                admission.again(tx, self._route.row.flow_id, [link_id], "reference")

    def _dead(
        self, tx: Transaction, items: Sequence[Item], codes: dict[int, str]
    ) -> None:
        """What cannot be encoded is a reject; it stops nobody else."""
        settlement.reject(
            tx,
            self._route.row.flow_id,
            [
                (i.k, i.ref, "target", codes[i.pos], None)
                for i in items
                if i.pos in codes
            ],
        )

    def _count(
        self,
        tx: Transaction,
        run_id: int,
        keys: list[tuple[str, str]],
    ) -> None:
        """What leaves counts against the day's windows, unless people agreed to it.

        Live changes were counted when they were staged.
        """
        run = runs.get(tx, run_id)
        verdict = run.verdict.get("verdict", {})
        if run.kind != "pass" or verdict.get("decision", "pass") != "pass":
            return
        numbers = {(c.rule, c.key): c.n for c in window_counts(keys)}
        counts.add(tx, self._route.row.flow_id, numbers)


def apart(route: Route, before: Sequence[Item], after: Sequence[Item]) -> bool:
    """Whether a parcel may be prepared before the one ahead of it is settled.

    Not if they share a record, whose link and mark the settlement changes, and not if
    the later one refers to records of its own pair: some may be linked, renamed or
    taken away by then.

    Args:
        route: The flow of both.
        before: Intents of the parcel that was answered.
        after: Planned intents.
    """
    ks = {item.k for item in before}
    links = {item.link_id for item in before if item.link_id is not None}
    if any(item.k in ks or item.link_id in links for item in after):
        return False
    texts = (item.payload or "" for item in after)
    referring = (json.loads(text)["entity"] for text in texts if _REFERS in text)
    return not through_own_pair(route, referring)


def _postpone(
    tx: Transaction, parcel: Parcel, unready: list[int], *, moved: bool
) -> None:
    """What refers to a post that is not there yet follows it, or waits for it."""
    if not unready:
        return
    wait = 0.0 if moved else tx.now() + admission.BLOCKED
    stale = parcels.staged_again(tx, parcel, unready)
    parcels.settle_one(
        tx, parcel, [(pos, State.CANCELLED, "replaced") for pos in stale]
    )
    left = [pos for pos in unready if pos not in stale]
    if left:
        parcels.postpone(tx, parcel, left, not_before=wait)
