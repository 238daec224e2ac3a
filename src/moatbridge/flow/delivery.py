"""Slices that deliver: one lane, parcel by parcel (delivery D).

B: admitted and IN_FLIGHT, durable before the first byte leaves. Then the calls. C: what
the receipts say. A crash between B and C leaves parcels IN_FLIGHT; whoever claims the
lane next resolves them before anything newer of those records is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.errors import ConfigurationError, LeaseLost
from moatbridge.flow import loops, standing
from moatbridge.flow.doubt import Doubt
from moatbridge.flow.folding import joins_newer, stage_stale
from moatbridge.flow.outcomes import cleaned, results_of
from moatbridge.flow.policies import policy_of
from moatbridge.flow.preparing import prepare
from moatbridge.flow.recording import record
from moatbridge.flow.retract import delivering as undoing
from moatbridge.flow.retract.images import note_stored
from moatbridge.flow.sending import send
from moatbridge.guard import window_counts
from moatbridge.ledger import (
    admission,
    counts,
    flows,
    holds,
    killswitch,
    marks,
    parcels,
    runs,
    settlement,
    undo_late,
)
from moatbridge.ledger.states import State
from moatbridge.ledger.undo import UNDO
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.changes import Receipt
    from moatbridge.flow.grounds import Grounds
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Lease, Ledger, Transaction
    from moatbridge.ledger.parcels import Item, Parcel
    from moatbridge.resilience.session import Session


class Stopped(Exception):
    """Sending is switched off; everything stays as it is."""


class Lane:
    """Delivers one lane of a flow under one lease.

    Args:
        route: The flow.
        ledger: Its ledger.
        lease: Lease of the lane's partition.
        number: Which lane.
        source: Gives a session to confirm removals with.
        target: Gives an open session of the target, borrowed only when needed.
        grounds: Looks at what decisions rest on.
        killed: Whether sending is switched off right now.
        stopping: Whether the slice should end.
        beat: Called after every commit.
    """

    def __init__(
        self,
        route: Route,
        ledger: Ledger,
        lease: Lease,
        *,
        number: int,
        source: Callable[[], Session],
        target: Callable[[], Session],
        grounds: Grounds,
        killed: Callable[[], bool],
        stopping: Callable[[], bool],
        beat: Callable[[], None],
    ) -> None:
        self._route = route
        self._ledger = ledger
        self._lease = lease
        self._number = number
        self._source = source
        self._open_target = target
        self._killed = killed
        self._stopping = stopping
        self._beat = beat
        self._policy = policy_of(route)
        self._grounds = grounds
        self._doubt = Doubt(route, ledger, lease, lane=self)
        self.decided: bool = False

    @property
    def target(self) -> Session:
        """An open session of the target."""
        return self._open_target()

    def work(self) -> bool:
        """Deliver one parcel; False when there is none to deliver now.

        Raises:
            Stopped: The kill switch is on.
            ConfigurationError: The system refuses us; nothing more was sent.
            NotApplied: Preparing failed; the parcel stays as it is.
        """
        if self._killed():
            raise Stopped
        with self._ledger.read() as tx:
            parcel = parcels.next_parcel(tx, self._route.row.flow_id, self._number)
            items = parcels.items(tx, parcel.parcel_id) if parcel else []
        if parcel is None:
            return False
        crash_point("claim.done")
        self.target.ready()  # while it is away nothing goes in flight, nothing is tried
        if parcel.state is State.PLANNED:
            flying = self._admit(parcel, items)
        elif parcel.state in {State.IN_FLIGHT, State.UNKNOWN}:
            flying = self._doubt.resolve(parcel, items)
        else:
            flying = self._still(parcel, items)
        if flying is not None:
            self._send(flying)
        self._beat()
        return True

    # --- transaction B ---------------------------------------------------------

    def _admit(self, parcel: Parcel, items: Sequence[Item]) -> Parcel | None:
        route, row = self._route, self._route.row
        if parcel.part == UNDO:
            flies = undoing.admit(
                route,
                self._ledger,
                self._lease,
                parcel,
                items,
                target=self.target,
                check=self._check_switch,
            )
            return self._reload(parcel) if flies else None
        with self._ledger.read() as tx:
            agreed = runs.get(tx, parcel.run_id).kind == "review"
        ready = prepare(
            route,
            self._ledger,
            items,
            source=self._source,
            target=self.target,
            grounds=self._grounds,
            agreed=agreed,
        )
        with self._ledger.step(self._lease) as tx:
            self._check_switch(tx)
            crash_point("admit.in")
            if not parcels.still_planned(tx, parcel.parcel_id, len(items)):
                return None  # some of it was replaced meanwhile: prepared again
            parcels.settle_one(tx, parcel, ready.cancelled)
            standing.withdrawn(tx, route, items, ready.returned)
            standing.refuse(tx, route, items, ready.refused)
            loops.hold(tx, route, ready, agreed=agreed)
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
            for held in ready.held:
                if not joins_newer(tx, route, parcel, item_at[held[0]]):
                    holds.hold_planned(tx, row.flow_id, parcel, *held)
            self._postpone(tx, parcel, ready.unready, moved=bool(admitted.ready))
            sent = set(admitted.ready)
            keys = [k for pos, found in ready.counted if pos in sent for k in found]
            self._count(tx, parcel.run_id, keys)
        crash_point("inflight.done")
        self.decided = self.decided or bool(ready.refused)
        return self._reload(parcel) if admitted.ready else None

    def _postpone(
        self, tx: Transaction, parcel: Parcel, unready: list[int], *, moved: bool
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

    def _check_switch(self, tx: Transaction) -> None:
        """The kill switch as this very transaction sees it, and as the flag does."""
        route = self._route
        scopes = {"all", f"flow:{route.name}", f"system:{route.target.system}"}
        on = any(scope in scopes for scope, _why, _who in killswitch.rows(tx))
        if on or self._killed():
            raise Stopped

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

    def _still(self, parcel: Parcel, items: Sequence[Item]) -> Parcel | None:
        """What certainly was not applied so far flies, unless it no longer may."""
        if parcel.doubt:
            return self.fly(parcel)  # only the same bytes can tell what became of it
        refused, _items = standing.recheck(
            self._route, self._ledger, items, self._grounds
        )
        if not refused:
            return self.fly(parcel)
        self._call_off(parcel, items, refused)
        return self.fly(parcel) if len(refused) < len(items) else None

    def _call_off(
        self, parcel: Parcel, items: Sequence[Item], why: dict[int, str]
    ) -> None:
        with self._ledger.step(self._lease) as tx:
            parcels.close_open(tx, parcel.parcel_id, list(why))
            parcels.settle_one(
                tx,
                parcel,
                [(p, State.CANCELLED, f"decision.{w}") for p, w in why.items()],
            )
            standing.refuse(tx, self._route, items, why)
            if len(why) == len(items):
                parcels.move(tx, parcel, State.CANCELLED)
        self.decided = True

    def fly(self, parcel: Parcel, *, doubt: int | None = None) -> Parcel | None:
        """Put an admitted parcel in flight (again): same bytes, same keys.

        None if it was called off since it was read: its run was taken back.
        """
        with self._ledger.step(self._lease) as tx:
            self._check_switch(tx)
            if not parcels.unmoved(tx, parcel):
                return None
            now = tx.now()
            parcels.move(
                tx,
                parcel,
                State.IN_FLIGHT,
                attempt=parcel.attempt + 1,
                fence=self._lease.fence,
                first_sent=parcel.first_sent or now,
                last_sent=now,
                deadline=parcel.deadline or now + self._route.guarantee.retry_for,
                doubt=parcel.doubt if doubt is None else doubt,
            )
        crash_point("inflight.done")
        return self._reload(parcel)._replace(
            doubt=parcel.doubt if doubt is None else doubt
        )

    def _reload(self, parcel: Parcel) -> Parcel:
        now = self._ledger.now()
        return parcel._replace(
            state=State.IN_FLIGHT,
            attempt=parcel.attempt + 1,
            fence=self._lease.fence,
            last_sent=now,
            deadline=parcel.deadline or now + self._route.guarantee.retry_for,
        )

    # --- the calls, and transaction C -----------------------------------------

    def _send(self, parcel: Parcel) -> None:
        items = self._flying(parcel)
        sent = send(
            self.target,
            self._route.target.name,
            parcel,
            items,
            traits=self._route.traits,
            go_on=lambda: not (self._killed() or self._stopping()),
        )
        crash_point("answer.read")
        self.settle(parcel, items, sent.receipts, started=sent.started)
        if isinstance(sent.failure, ConfigurationError):
            raise sent.failure

    def _flying(self, parcel: Parcel) -> list[Item]:
        """The parcel's intents, if it is still we who sent it off."""
        with self._ledger.read() as tx:
            if not parcels.flies(tx, parcel.parcel_id, self._lease.fence):
                raise LeaseLost(
                    f"Lane {self._number} of flow {self._route.name} was taken over "
                    "while this process stood still; nothing was sent."
                )
            return parcels.items(tx, parcel.parcel_id)

    def settle(
        self,
        parcel: Parcel,
        items: Sequence[Item],
        receipts: dict[int, tuple[Receipt, int]],
        *,
        started: set[int],
    ) -> None:
        """Transaction C: what the receipts say becomes durable."""
        route, row = self._route, self._route.row
        receipts = cleaned(receipts)
        results = results_of(route, items, receipts, started, self.target)
        takes_back = parcel.part == UNDO
        if takes_back:
            results = undoing.outcomes(results)
        crash_point("settle.in")
        with self._ledger.step(self._lease) as tx:
            clashes = settlement.settle(
                tx,
                flow_id=row.flow_id,
                pair_id=row.pair_id,
                side=row.side,
                parcel=parcel,
                results=results,
                policy=undoing.policy_of(self._policy) if takes_back else self._policy,
            )
            if any(r.state in {State.RETRY, State.READY} for r in results):
                undo_late.call_off(tx, row.flow_id, parcel.run_id)
            note_stored(tx, route, parcel, items, receipts)
            if takes_back:
                undoing.settled(tx, route, results)
            if route.told_once:
                stage_stale(tx, route, parcel, results)
            self.decided = standing.answered(tx, route, results) or self.decided
            loops.note(tx, route, results)
            record(tx, route, parcel, results, receipts, clashes=clashes)
