"""Runs without a pass: nothing new to read, or nothing to scan at all.

Nothing vanishes and nothing is planned. An older plan that waits for a person stays:
what it read may not be there to be read again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from moatbridge.flow.judging import judge_run, verdict_to_json
from moatbridge.flow.opening import LIVE, only_follows
from moatbridge.guard import Finding
from moatbridge.ledger import audit, inbox, runs, scans

if TYPE_CHECKING:
    from moatbridge.flow.route import Route
    from moatbridge.guard import PlanVerdict
    from moatbridge.ledger import Lease, Ledger
    from moatbridge.ledger.scans import Scan

NOTHING_NEW: Final = "nothing-new"
FOLLOWS: Final = "follows"
"""Why there was no pass: `Plan.without_pass`."""


def end_without_pass(
    route: Route, ledger: Ledger, lease: Lease, run: runs.Run, scan: Scan
) -> None:
    """End the run as ``nothing``; or, the first time a source is followed, ask.

    Under the control lease.
    """
    why = FOLLOWS if only_follows(route) else NOTHING_NEW
    summary, verdict, digest = judge_run(
        route,
        ledger,
        run,
        scan=None,
        complete=True,
        server_changed=False,
        missing=0,
        new_fields=(),
    )
    asks = why == FOLLOWS and summary.first_run
    if asks:
        verdict = _asked(route, verdict, _told_already(route, ledger))
    with ledger.step(lease, cursor=None) as tx:
        if runs.get(tx, run.run_id).state != "scanning":
            return  # taken back meanwhile
        scans.finish(tx, route.row.flow_id, scan.generation, state_of(why))
        if asks:
            runs.replace_older(tx, route.row.flow_id, run.run_id)
        runs.set_state(
            tx,
            run.run_id,
            "planned" if asks else "nothing",
            plan_digest=digest,
            planned=tx.now(),
            verdict={**verdict_to_json(summary, verdict), "without_pass": why},
        )
        audit.record(tx, why, flow=route.name, run=run.run_id)


def state_of(why: str) -> str:
    """How the generation is kept."""
    return "followed" if why == FOLLOWS else "nothing"


def _told_already(route: Route, ledger: Ledger) -> int:
    """Deliveries that were acknowledged before anybody agreed to carry them."""
    if not route.source.can("CanReceive"):
        return 0
    with ledger.read() as tx:
        cursor = ledger.leases.cursor(tx, route.row.flow_id, LIVE) or {}
        read_to = int((cursor.get("at") or {}).get("inbox", 0))
        system = route.source.system
        return inbox.backlog(tx, ledger.scope, system, read_to).unread


def _asked(route: Route, verdict: PlanVerdict, already: int) -> PlanVerdict:
    """Nothing can be compared, so a person agrees to what comes from now on."""
    outside = route.judged.exposure == "external" and route.rules.four_eyes
    finding = Finding(
        rule="first_run",
        mode="enforce",
        decision="approve" if outside else "confirm",
        seen=0,
        limit=0,
        nearest_pass=0,
        sentence=f"is the first one: {route.source.address} only tells changes, so "
        "there is nothing to compare; what it tells from now on"
        + (f", and {already:,} deliveries that wait in the inbox," if already else "")
        + f" will be carried to {route.target.address}",
    )
    return replace(
        verdict,
        decision=finding.decision,
        findings=(finding, *verdict.findings),
        count=0,
    )
