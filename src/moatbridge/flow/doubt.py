"""Parcels of unknown outcome: asked again, looked up or parked, never guessed (24)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.adapter import Query
from moatbridge.changes import Receipt
from moatbridge.flow.adopt import target_field
from moatbridge.flow.policies import policy_of
from moatbridge.flow.thawing import thaw
from moatbridge.ledger import parcels, settlement, undo_late
from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.flow.delivery import Lane
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Lease, Ledger
    from moatbridge.ledger.parcels import Item, Parcel


class Doubt:
    """Resolves what a lane finds in flight or unknown, under the lane's lease.

    Args:
        route: The flow.
        ledger: Its ledger.
        lease: Lease of the lane's partition.
        lane: Sends again, and settles.
    """

    def __init__(
        self, route: Route, ledger: Ledger, lease: Lease, *, lane: Lane
    ) -> None:
        self._route = route
        self._ledger = ledger
        self._lease = lease
        self._lane = lane
        self._policy = policy_of(route)

    def resolve(self, parcel: Parcel, items: Sequence[Item]) -> Parcel | None:
        """The parcel, in flight once more; None if it is settled, parked or waits."""
        traits, now = self._route.traits, self._ledger.now()
        parcel = self._as_unknown(parcel)
        if traits.dedup == "keyed":
            first = parcel.first_sent or now
            forgotten = (
                traits.key_scope == "request"
                and traits.key_ttl is not None
                and now > first + traits.key_ttl - traits.max_request_life
            )
            if not forgotten:
                return self._lane.fly(parcel)
        elif traits.dedup == "lookup":
            settled = (parcel.last_sent or 0.0) + traits.max_request_life
            if now < settled:
                self._wait(parcel, settled)
                return None
            return self._look(parcel, items)
        elif self._route.config.on_unknown == "resend":
            return self._lane.fly(parcel)
        with self._ledger.step(self._lease) as tx:
            parcels.move(tx, parcel, State.PARKED)
        return None

    def _as_unknown(self, parcel: Parcel) -> Parcel:
        if parcel.state is State.UNKNOWN:
            return parcel
        with self._ledger.step(self._lease) as tx:
            return settlement.found_in_flight(tx, parcel, self._policy)

    def _wait(self, parcel: Parcel, until: float) -> None:
        with self._ledger.step(self._lease) as tx:
            tx.run(
                "UPDATE parcel SET not_before=? WHERE parcel_id=?",
                until,
                parcel.parcel_id,
            )

    def _park(self, parcel: Parcel) -> None:
        with self._ledger.step(self._lease) as tx:
            parcels.move(tx, parcel, State.PARKED)

    def _taken_back(self, parcel: Parcel, *, all_told: bool) -> bool:
        """Whether its run was taken back: what never arrived is called off then.

        If the look-up does not tell of all, a person decides.
        """
        flow_id = self._route.row.flow_id
        with self._ledger.step(self._lease) as tx:
            agreed = undo_late.taken_back_at(tx, flow_id, parcel.run_id)
            if agreed is None or (parcel.first_sent or 0.0) > agreed:
                return False
            if not all_told:
                parcels.move(tx, parcel, State.PARKED)
                return True
            parcels.move(tx, parcel, State.READY, doubt=0)
            return undo_late.call_off(tx, flow_id, parcel.run_id) > 0

    def _look(self, parcel: Parcel, items: Sequence[Item]) -> Parcel | None:
        """No request can linger any more: what is there, arrived."""
        queries, asked = [], []
        field = target_field(self._route, "externalId")
        for item in items:
            intent, _base = thaw(item, fence=0, attempt=0)
            external = (intent.record or {}).get(field)
            if intent.op != "create":
                continue
            if not isinstance(external, str):
                self._park(parcel)  # nothing to ask by, and we do not guess
                return None
            queries.append(Query(field, external))
            asked.append(item)
        answers = (
            self._lane.target.find(self._route.target.name, queries) if queries else []
        )
        if any(len(hits) > 1 for hits in answers):
            self._park(parcel)
            return None
        arrived = {
            item.pos: Receipt("applied", hits[0].ref, hits[0].version, hits[0].data)
            for item, hits in zip(asked, answers, strict=True)
            if len(hits) == 1
        }
        if not arrived and self._taken_back(parcel, all_told=len(asked) == len(items)):
            return None
        flying = self._lane.fly(parcel, doubt=0)  # the look-up settled it
        if not arrived or flying is None:
            return flying
        receipts = {pos: (receipt, 0) for pos, receipt in arrived.items()}
        self._lane.settle(flying, items, receipts, started=set(arrived))
        return None
