"""What a flow still waits for: people, and its next try."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from moatbridge.flow import Bridge as FlowBridge
from moatbridge.ledger import parcels, review, runs
from moatbridge.ledger.tries import earliest, next_try
from moatbridge.run.flow_ids import flow_id_of
from moatbridge.run.following import PATIENCE

if TYPE_CHECKING:
    from moatbridge.ledger.tries import NextTry


class Waits(FlowBridge):
    """A bridge that can say what is not over yet, and why."""

    def next_try(self, flow: str) -> NextTry | None:
        """When what could not be delivered is tried again; None: nothing waits for it.

        Asks the ledger alone.

        Args:
            flow: Name; None too for a flow that never ran.
        """
        with self.ledger.read() as tx:
            flow_id = flow_id_of(tx, self.ledger, flow)
            return None if flow_id is None else next_try(tx, flow_id)

    def _next_try(self, flow_id: int) -> NextTry | None:
        with self.ledger.read() as tx:
            return next_try(tx, flow_id)

    def _state(self, run_id: int) -> str:
        with self.ledger.read() as tx:
            return runs.get(tx, run_id).state

    def _at_rest(self, flow_id: int, run_id: int) -> bool:
        """Over, or waiting longer than anybody should: for a retry, or a person."""
        with self.ledger.read() as tx:
            left, at = parcels.unfinished(tx, flow_id, run_id)
        waits = left > 0 and (at or 0.0) > self.ledger.now() + PATIENCE
        return waits or self._state(run_id) != "applying"

    def _pauses(self, flow_id: int, run_id: int) -> bool:
        """At rest, or its target is left alone for longer than anybody should wait."""
        with self.ledger.read() as tx:
            at = earliest(tx, flow_id, run_id)
        rests = at is not None and at > self.ledger.now() + PATIENCE
        return rests or self._at_rest(flow_id, run_id)

    def _waiting(self, flow_id: int) -> dict[str, int]:
        """Kind -> items that wait for a person."""
        with self.ledger.read() as tx:
            return dict(Counter(item.kind for item in review.waiting(tx, flow_id)))
