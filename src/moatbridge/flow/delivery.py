"""Slices that deliver: one lane, parcel by parcel (delivery D).

B: admitted and IN_FLIGHT, durable before the first byte leaves. Then the calls. C: what
the receipts say. A crash between B and C leaves parcels IN_FLIGHT; whoever claims the
lane next resolves them before anything newer of those records is sent.

While there is more to send, C of one parcel and B of the next are one transaction
(delivery 21), so a parcel costs one commit. The next one is prepared between the answer
and C, so C waits for that; hence this is done only where a crash meanwhile costs no
more than the same call again, and nobody has to guess (`Lane._goes_on`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.errors import ConfigurationError, LeaseLost
from moatbridge.flow import standing
from moatbridge.flow.departing import Departing, apart
from moatbridge.flow.doubt import Doubt
from moatbridge.flow.outcomes import answered, settle_answered
from moatbridge.flow.policies import policy_of
from moatbridge.flow.retract import delivering as undoing
from moatbridge.flow.sending import send
from moatbridge.ledger import killswitch, parcels
from moatbridge.ledger.states import State
from moatbridge.ledger.undo import UNDO
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.changes import Receipt
    from moatbridge.flow.departing import Boarded, Departure
    from moatbridge.flow.grounds import Grounds
    from moatbridge.flow.outcomes import Answered
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
        stopping: Whether the slice was asked to stop.
        over: Whether the slice should end: also because its time is over.
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
        over: Callable[[], bool],
        beat: Callable[[], None],
    ) -> None:
        self._route = route
        self._ledger = ledger
        self._lease = lease
        self._number = number
        self._open_target = target
        self._killed = killed
        self._stopping = stopping
        self._over = over
        self._beat = beat
        self._policy = policy_of(route)
        self._grounds = grounds
        self._departing = Departing(
            route, ledger, lease, source=source, target=target, grounds=grounds
        )
        self._doubt = Doubt(route, ledger, lease, lane=self)
        self.decided: bool = False

    @property
    def target(self) -> Session:
        """An open session of the target."""
        return self._open_target()

    def work(self) -> bool:
        """Deliver one parcel, and those that can follow it; False if there is none.

        Raises:
            Stopped: The kill switch is on.
            ConfigurationError: The system refuses us; nothing more was sent.
            NotApplied: Preparing failed; the parcel stays as it is.
        """
        if self._killed():
            raise Stopped
        parcel, items = self._next()
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
        if flying is None:
            self._beat()
        while flying is not None:
            flying = self._send(flying)
        return True

    def _next(self, *, behind: int = 0) -> tuple[Parcel | None, Sequence[Item]]:
        with self._ledger.read() as tx:
            flow_id = self._route.row.flow_id
            parcel = parcels.next_parcel(tx, flow_id, self._number, behind=behind)
            return parcel, parcels.items(tx, parcel.parcel_id) if parcel else []

    # --- transaction B ---------------------------------------------------------

    def _admit(self, parcel: Parcel, items: Sequence[Item]) -> Parcel | None:
        if parcel.part == UNDO:
            flies = undoing.admit(
                self._route,
                self._ledger,
                self._lease,
                parcel,
                items,
                target=self.target,
                check=self._check_switch,
            )
            return self._reload(parcel) if flies else None
        leaving = self._departing.look(parcel, items)
        with self._ledger.step(self._lease) as tx:
            self._check_switch(tx)
            crash_point("admit.in")
            flies = self._departing.admit(tx, leaving)
        crash_point("inflight.done")
        self.decided = self.decided or bool(leaving.ready.refused)
        return self._reload(parcel) if flies else None

    def _check_switch(self, tx: Transaction) -> None:
        if self._switched_off(tx):
            raise Stopped

    def _switched_off(self, tx: Transaction) -> bool:
        """The kill switch as this very transaction sees it, and as the flag does."""
        route = self._route
        scopes = {"all", f"flow:{route.name}", f"system:{route.target.system}"}
        on = any(scope in scopes for scope, _why, _who in killswitch.rows(tx))
        return on or self._killed()

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
        doubt = parcel.doubt if doubt is None else doubt
        with self._ledger.step(self._lease) as tx:
            self._check_switch(tx)
            if not self._take_off(tx, parcel, doubt):
                return None
        crash_point("inflight.done")
        return self._reload(parcel)._replace(doubt=doubt)

    def _take_off(self, tx: Transaction, parcel: Parcel, doubt: int) -> bool:
        if not parcels.unmoved(tx, parcel):
            return False
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
            doubt=doubt,
        )
        return True

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

    def _send(self, parcel: Parcel) -> Parcel | None:
        """Send and settle; the next parcel, if it went in flight in the same commit."""
        flying = self._flying(parcel)
        items = [item for item, _parts in flying]
        sent = send(
            self.target,
            self._route.target.name,
            parcel,
            flying,
            traits=self._route.traits,
            go_on=lambda: not (self._killed() or self._stopping()),
        )
        crash_point("answer.read")
        done = answered(
            self._route,
            parcel,
            items,
            sent.receipts,
            sent.started,
            self.target,
            sent.thawed,
        )
        follower = None
        if sent.failure is None and self._goes_on(done):
            follower = self._settle_and_fly(done)
        else:
            self._settle(done)
        self._beat()
        if isinstance(sent.failure, ConfigurationError):
            raise sent.failure
        return follower

    def _flying(self, parcel: Parcel) -> Boarded:
        """The parcel's intents, if it is still we who sent it off."""
        with self._ledger.read() as tx:
            if not parcels.flies(tx, parcel.parcel_id, self._lease.fence):
                raise LeaseLost(
                    f"Lane {self._number} of flow {self._route.name} was taken over "
                    "while this process stood still; nothing was sent."
                )
            aboard = self._departing.aboard(parcel)
            if aboard is None:
                aboard = [(i, None) for i in parcels.items(tx, parcel.parcel_id)]
            return aboard

    def settle(
        self,
        parcel: Parcel,
        items: Sequence[Item],
        receipts: dict[int, tuple[Receipt, int]],
        *,
        started: set[int],
    ) -> None:
        """Transaction C: what the receipts say becomes durable."""
        self._settle(
            answered(self._route, parcel, items, receipts, started, self.target)
        )

    def _settle(self, done: Answered) -> None:
        crash_point("settle.in")
        with self._ledger.step(self._lease) as tx:
            self._write(tx, done)

    def _write(self, tx: Transaction, done: Answered) -> None:
        decided = settle_answered(tx, self._route, done, self._policy)
        self.decided = decided or self.decided

    # --- C of one parcel and B of the next, in one transaction -------------------

    def _goes_on(self, done: Answered) -> bool:
        """Whether this one's settlement may wait until the next one is prepared.

        Everything arrived, at a target that knows our keys: a crash meanwhile costs the
        same call again. What was in doubt before is settled by itself: a parcel that
        kills whoever prepares it must not keep the one ahead of it in doubt.
        """
        route, parcel = self._route, done.parcel
        return (
            route.traits.dedup == "keyed"
            and route.writeback is None
            and parcel.part != UNDO
            and not parcel.doubt
            and done.arrived
            and not self._over()
        )

    def _settle_and_fly(self, done: Answered) -> Parcel | None:
        """Settle; the next parcel, if there is one that can fly in the same commit."""
        try:
            found = self._follower(done)
        except Exception:
            self._settle_first(done)
            raise
        if found is None or self._killed() or self._stopping():
            self._settle(done)
            return None
        follower, leaving = found
        crash_point("settle.in")
        settled = flies = False
        try:
            with self._ledger.step(self._lease) as tx:
                self._write(tx, done)
                settled = True
                crash_point("settle_admit.in")
                if not self._switched_off(tx):
                    flies = self._leave(tx, follower, leaving)
                settled = False
        except Exception:
            if settled:  # what it answered does not depend on the next one
                self._settle_first(done)
            raise
        if not flies:
            return None
        crash_point("inflight.done")
        return self._reload(follower)

    def _follower(self, done: Answered) -> tuple[Parcel, Departure | None] | None:
        """What is sent next, prepared if it has to be; None if that has to wait."""
        parcel, items = self._next(behind=done.parcel.parcel_id)
        if parcel is None or parcel.doubt or parcel.part == UNDO:
            return None
        if parcel.state not in {State.PLANNED, State.READY, State.RETRY}:
            return None
        planned = parcel.state is State.PLANNED
        if planned and not apart(self._route, done.items, items):
            return None
        crash_point("claim.done")
        self.target.ready()
        return parcel, self._departing.look(parcel, items) if planned else None

    def _leave(
        self, tx: Transaction, parcel: Parcel, leaving: Departure | None
    ) -> bool:
        if leaving is None:
            return self._take_off(tx, parcel, parcel.doubt)
        crash_point("admit.in")
        return self._departing.admit(tx, leaving)

    def _settle_first(self, done: Answered) -> None:
        """The next parcel cannot be prepared, or not be admitted."""
        self._settle(done)
        self._beat()
