"""Running a flow whose source only tells changes: one look at its tail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.errors import NotApplied
from moatbridge.flow.opening import only_follows
from moatbridge.flow.standing import DECIDED
from moatbridge.ledger import counts, flows, parcels, partitions, runs, tries

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.flow import Bridge
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Transaction

PATIENCE: Final = 10.0
"""Seconds that a run waits for its next attempt before it returns as ``applying``."""

Outcome = dict[str, dict[str, int]]


def follows(bridge: Bridge, route: Route) -> bool:
    """Whether a run of this flow only looks at its tail: a person agreed to that."""
    if not only_follows(route):
        return False
    with bridge.ledger.read() as tx:
        return runs.ever_applied(tx, route.agreement)


def refuse_if_killed(bridge: Bridge, route: Route) -> None:
    """Work does not wait for a kill switch to be lifted: it ends and says so.

    Raises:
        NotApplied: ``guard.kill-switch``.
    """
    kill = bridge.kill_state().stops(flow=route.name, system=route.target.system)
    if kill is not None:
        raise NotApplied(
            f"Sending is switched off ({kill.scope}, by {kill.actor}: {kill.reason}). "
            f"What was not sent yet waits. `moatbridge resume {kill.scope} REASON` "
            "lifts a switch of the ledger.",
            code="guard.kill-switch",
        )


def _due(tx: Transaction, flow_id: int, run_id: int) -> float | None:
    left, earliest = parcels.unfinished(tx, flow_id, run_id)
    return (earliest or 0.0) if left else None


class Tail:
    """One look at the tail of a flow, and of the flow that carries its answers.

    The flow whose posts were decided about edits them meanwhile.

    Args:
        bridge: An open bridge.
        route: The flow.
    """

    def __init__(self, bridge: Bridge, route: Route) -> None:
        self._bridge = bridge
        self._route = route
        self.companions: tuple[str, ...] = ()
        self._flows = self._all = [route.row.flow_id]
        if route.writeback is not None:
            answers, posts = route.writeback.answers, route.writeback.config.posts
            self.companions = (answers, posts)
            self._flows = [*self._flows, bridge.route(answers).row.flow_id]
            self._all = [*self._flows, bridge.route(posts).row.flow_id]
        self._since = bridge.ledger.now()
        with bridge.ledger.write() as tx:
            self.run_id: int = runs.live(tx, route.row.flow_id)
            self._before = runs.outcome(tx, self.run_id)
            self._let_go = counts.let_go(tx, self._flows[0], run_id=self.run_id)
            for flow_id in self._all:
                partitions.resume(tx, flow_id)
                bridge.ledger.leases.wake(tx, flow_id, "control")
            for flow_id in self._flows:
                bridge.ledger.leases.wake(tx, flow_id, "live")

    def drained(self) -> bool:
        """The tail was read to its end since, and what can be sent was sent."""
        return self._over(_due)

    def pauses(self) -> bool:
        """The same, or what is left waits for a target that is left alone for long."""
        return self._over(tries.earliest)

    def _over(self, due: Callable[[Transaction, int, int], float | None]) -> bool:
        with self._bridge.ledger.read() as tx:  # one look: each may give the other work
            busy = (self._busy(tx, flow_id, due) for flow_id in self._all)
            return self._read(tx) and not any(busy)

    def read(self) -> bool:
        """The tail was read to its end since."""
        with self._bridge.ledger.read() as tx:
            return self._read(tx)

    def _read(self, tx: Transaction) -> bool:
        return all(self._polled(tx, flow_id) for flow_id in self._flows)

    def _polled(self, tx: Transaction, flow_id: int) -> bool:
        row = tx.one(
            # A tail that ended is opened again by the pass that was asked for,
            # unless that pass waits for a person: then there is nothing to read.
            "SELECT 1 FROM partition p WHERE flow_id=? AND kind='live' AND "
            "(owner IS NOT NULL OR (state='ready' AND (served_at<? OR "
            "not_before<=?)) OR (state<>'ready' AND EXISTS(SELECT 1 FROM run r "
            "WHERE r.flow_id=p.flow_id AND r.state='scanning')))",
            flow_id,
            self._since,
            tx.now(),
        )
        return row is None

    def _busy(
        self,
        tx: Transaction,
        flow_id: int,
        earliest: Callable[[Transaction, int, int], float | None],
    ) -> bool:
        """Whether anything can be sent soon, or is being sent."""
        clock, boot = tx.lease_clock()
        sending = tx.one(
            "SELECT 1 FROM partition WHERE flow_id=? AND kind='lane' "
            "AND owner IS NOT NULL AND lease_until>=? AND boot=?",
            flow_id,
            clock,
            boot,
        )
        times = [
            earliest(tx, flow_id, run.run_id) for run in runs.applying(tx, flow_id)
        ]
        due = flows.due_again(tx, flow_id, limit=100, tries=5)
        soon = tx.now() + PATIENCE
        return (
            sending is not None
            or any(why == DECIDED for _link, why in due)
            or any(at is not None and at <= soon for at in times)
        )

    def ended(self) -> tuple[str, Outcome]:
        """How it ended, and what it added to the outcome of the tail.

        ``done``, ``applying`` if work is left, or ``nothing`` new was read.
        """
        left, found = self._left(), self._outcome()
        return "applying" if left else "done" if found else "nothing", found

    def _left(self) -> bool:
        with self._bridge.ledger.read() as tx:
            return any(
                parcels.unfinished(tx, flow_id, run.run_id)[0]
                for flow_id in self._flows
                for run in runs.applying(tx, flow_id)
            )

    def _outcome(self) -> Outcome:
        """Operation, state, count."""
        with self._bridge.ledger.read() as tx:
            after = runs.outcome(tx, self.run_id)
        found: Outcome = {}
        for op, states in after.items():
            for state, count in states.items():
                more = count - self._before.get(op, {}).get(state, 0)
                if more > 0:
                    found.setdefault(op, {})[state] = more
        return found

    def let_go(self) -> dict[str, int]:
        """What the guard noticed in what this look sent: see `RunResult.let_go`."""
        with self._bridge.ledger.read() as tx:
            after = counts.let_go(tx, self._flows[0], run_id=self.run_id)
        more = {k: n - self._let_go.get(k, 0) for k, n in after.items()}
        return {name: number for name, number in more.items() if number > 0}

    def refuse_if_killed(self) -> None:
        """See `refuse_if_killed`; only if something waits to be sent."""
        if self._left():
            refuse_if_killed(self._bridge, self._route)
