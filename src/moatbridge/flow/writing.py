"""Transaction A: everything an observation means, written at once (delivery 21)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from moatbridge.flow import retranslated
from moatbridge.flow.folding import fold
from moatbridge.flow.observation import commit_names
from moatbridge.flow.opening import LIVE
from moatbridge.flow.standing import look_again
from moatbridge.guard import lifetime
from moatbridge.ledger import counts, flows, holds, marks, replies, settlement
from moatbridge.ledger.staging import Stager
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from moatbridge.flow.observation import Observation
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Lease, Transaction


def write(
    tx: Transaction, route: Route, found: Observation, run_id: int, lease: Lease
) -> None:
    """Write an observation; part of transaction A."""
    row = route.row
    fold(tx, route, found)
    marks.touch(tx, row.source_side, found.touched)
    if found.restore:
        flows.ask_opposite(tx, row, found.restore, "drift")
    commit_names(tx, route, found)
    holds.outdate_holds(tx, row.flow_id, found.restored)
    settlement.clear_rejects(tx, row.flow_id, found.fine)
    settlement.reject(tx, row.flow_id, found.rejects)
    counts.add(
        tx, row.flow_id, {("seen." + what, ""): n for what, n in found.counts.items()}
    )
    retranslated.note(tx, route, run_id, found.counts)
    if found.taken or found.answers:
        replies.take(tx, row.flow_id, found.taken)
        replies.give(tx, row.flow_id, found.answers)
        look_again(tx, route, found.taken)
        crash_point("decision.staged")
    stager = Stager(
        tx,
        flow_id=row.flow_id,
        run_id=run_id,
        seed=route.seed,
        part=lease.part,
        upto=lease.seq + 1,
        size=route.parcel,
        waits=partial(lifetime, rules=route.rules),
        once=route.told_once and lease.part == LIVE,
    )
    stager.stage(found.upserts, phase=0)
    stager.stage(found.disables, phase=1)
    stager.stage(found.deletes, phase=2)
