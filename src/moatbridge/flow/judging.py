"""A plan as a whole, judged before its first effect (delivery 51, guard C).

The numbers are gathered from the staged intents themselves, so they are the same
however often the pass was interrupted.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from moatbridge.flow.letting_go import NOTICED, Noticing
from moatbridge.guard import (
    Approval,
    Context,
    Finding,
    PlanSummary,
    PlanVerdict,
    judge_plan,
)
from moatbridge.ledger import counts, marks, runs, texts
from moatbridge.ledger.states import State
from moatbridge.resilience import heart

if TYPE_CHECKING:
    from moatbridge.flow.route import Route
    from moatbridge.guard import Operation
    from moatbridge.ledger import Ledger, Transaction
    from moatbridge.ledger.scans import Scan

SAMPLES = 100
_PAGE = 500
"""Intents held at once, with all they say."""
_COUNTED: Final = ("privileged", "external", "attachment", NOTICED)
"""Members of a create's payload that count for the plan; of most there are none."""

COUNTED_AS: Final[dict[str, tuple[Operation, ...]]] = {
    "create": ("create",),
    "update": ("update", "renew"),
    "disable": ("disable", "left_scope"),
    "delete": ("delete", "left_scope"),
}
"""Operation of an intent -> what a plan counts it as: as it is, or as the other."""


def judge_run(
    route: Route,
    ledger: Ledger,
    run: runs.Run,
    *,
    scan: Scan | None,
    complete: bool,
    server_changed: bool,
    missing: int,
    new_fields: tuple[str, ...],
) -> tuple[PlanSummary, PlanVerdict, str]:
    """Count, judge and digest a run's staged intents."""
    with ledger.read() as tx:
        links = marks.count_live(tx, route.row.pair_id)
        digest = runs.digest(tx, route.row.flow_id, run.run_id)
        start = runs.before_first(tx, run.run_id)
        first = not runs.ever_applied(tx, route.agreement)
    summary = PlanSummary(
        flow=route.name,
        target=route.target.system,
        links=links,
        seen=scan.seen if scan else None,
        prev_seen=scan.prev_seen if scan else None,
        complete=complete,
        server_changed=server_changed,
        first_run=first,
        entity_type=route.entity,
        exposure=route.judged.exposure,
        missing=missing,
        new_fields=new_fields,
        digest=digest,
        salt=ledger.ledger_id.encode(),
    )
    noticing = _gather(route, ledger, run.run_id, start, summary)
    context = Context(
        now=ledger.now(),
        memory=counts.Window(ledger.db, route.row.flow_id),
        salt=ledger.ledger_id.encode(),
    )
    verdict = judge_plan(summary, route.rules, context)
    told = (*verdict.findings, *noticing.findings())
    return summary, replace(verdict, findings=told), digest


def _gather(
    route: Route,
    ledger: Ledger,
    run_id: int,
    after: tuple[int, int],
    summary: PlanSummary,
) -> Noticing:
    noticing = Noticing()
    while True:
        with ledger.read() as tx:
            rows = tx.all(
                "SELECT i.parcel_id, i.pos, i.op, i.link_id, i.payload, p.state "
                "FROM intent i JOIN parcel p ON p.parcel_id=i.parcel_id "
                "WHERE p.run_id=? AND (i.parcel_id, i.pos) > (?, ?) "
                "ORDER BY i.parcel_id, i.pos LIMIT ?",
                run_id,
                *after,
                _PAGE,
            )
        for parcel_id, pos, op, link_id, payload, state in rows:
            after = (parcel_id, pos)
            if state == State.HELD:
                summary.hold(["held"])
            elif state == State.PLANNED and op == "create" and not _tells(payload):
                summary.add("create", link_id=link_id)
            elif state == State.PLANNED:
                held = texts.loads(payload)
                _add(route, summary, op, link_id, held)
                noticing.add(held)
        heart.beat()
        if len(rows) < _PAGE:
            return noticing


def _tells(payload: str) -> bool:
    """Whether a create's payload may say something that is counted: a rough look."""
    return any(name in payload for name in _COUNTED)


def _add(
    route: Route,
    summary: PlanSummary,
    op: str,
    link_id: int | None,
    held: dict[str, Any],
) -> None:
    summary.attachments += len((held.get("entity") or {}).get("attachment") or ())
    if op == "create":
        summary.add("create", link_id=link_id)
        summary.privileged += bool(held.get("privileged"))
        summary.external += bool(held.get("external"))
        return
    kind, special = COUNTED_AS[op]
    if held.get("renew") or held.get("why") == "left-scope":
        kind = special
    changed = held.get("changed", [])
    values = route.carry.values(held.get("entity") or {})
    summary.add(
        kind,
        link_id=link_id,
        changed=changed,
        blanked=held.get("blank", []),
        after={path: values[path] for path in changed if path in values},
    )
    summary.privileged += bool(held.get("privileged"))
    summary.external += bool(held.get("external"))


def verdict_to_json(summary: PlanSummary, verdict: PlanVerdict) -> dict[str, Any]:
    """Everything that ``apply`` and the printed plan need, as plain JSON."""
    return {
        "verdict": asdict(verdict),
        "counts": dict(summary.counts),
        "held": dict(summary.held),
        "paths": {
            path: {"changes": c.changes, "blanks": c.blanks}
            for path, c in summary.by_path.items()
        },
        "links": summary.links,
        "seen": summary.seen,
        "prev_seen": summary.prev_seen,
        "first_run": summary.first_run,
        "complete": summary.complete,
        "missing": summary.missing,
        "attachments": summary.attachments,
        "new_fields": list(summary.new_fields),
    }


def verdict_from_json(value: dict[str, Any]) -> PlanVerdict:
    """The verdict as it was judged."""
    held = dict(value["verdict"])
    held["findings"] = tuple(
        Finding(**{**f, "sample": tuple(f["sample"])}) for f in held["findings"]
    )
    return PlanVerdict(**held)


def approvals(tx: Transaction, run_id: int) -> list[Approval]:
    """Everything anybody agreed to for this run."""
    return [
        Approval(
            digest=digest,
            principal=principal,
            time=at,
            accepted=frozenset(json.loads(accepted)),
            count=count,
        )
        for principal, digest, at, accepted, count in tx.all(
            "SELECT principal, digest, at, accepted, count FROM approval "
            "WHERE run_id=?",
            run_id,
        )
    ]


def approve(tx: Transaction, run_id: int, given: Approval) -> None:
    """Keep one person's agreement; a second one of the same person adds to it."""
    old = [a for a in approvals(tx, run_id) if a.principal == given.principal]
    accepted = set(given.accepted).union(*(a.accepted for a in old))
    count = given.count if given.count is not None else (old[0].count if old else None)
    tx.run(
        "INSERT INTO approval(run_id, principal, digest, at, accepted, count) "
        "VALUES(?,?,?,?,?,?) ON CONFLICT(run_id, principal) DO UPDATE SET "
        "digest=excluded.digest, "
        "at=excluded.at, accepted=excluded.accepted, count=excluded.count",
        run_id,
        given.principal,
        given.digest,
        given.time,
        json.dumps(sorted(accepted)),
        count,
    )
