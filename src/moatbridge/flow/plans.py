"""What people see of a plan: counts, findings, examples (guard 14)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from moatbridge.errors import ConfigurationError
from moatbridge.flow.judging import COUNTED_AS, verdict_from_json
from moatbridge.ledger import notices, runs
from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge.flow.route import Route
    from moatbridge.guard import PlanVerdict
    from moatbridge.ledger import Ledger, Transaction

EXAMPLES = 3
REMOVALS = 100


@dataclass(frozen=True, slots=True)
class Example:
    """One planned change, for people who may see it.

    Args:
        op: Operation.
        who: Name or key of the record.
        fields: Entity path -> new value, of what changes.
        why: ``missing``, ``left-scope`` ... for removals; the reason of a hold.
    """

    op: str
    who: str
    fields: dict[str, Any] = field(default_factory=dict)
    why: str = ""

    def __repr__(self) -> str:
        return f"Example({self.op} {sorted(self.fields)} {self.why})"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a flow would do, counted and judged before the first effect.

    Args:
        flow: The flow's name.
        run_id: Its run.
        digest: What an approval binds to.
        verdict: The guard's judgement.
        counts: Operation -> records.
        held: How many wait for a person one by one.
        rejected: Records that could not be read or translated.
        unchanged: Records seen without a change.
        seen: Records seen.
        missing: Links that the pass did not see.
        paths: Entity path -> changes and blanks.
        guarantee: Class of the flow.
        guarantee_reason: Why it is that class.
        new_fields: What newly leaves the building.
        examples: Operation -> a few of them; removals up to 100.
        first_run: Nothing was ever applied by this flow.
        attachments: Attachments of what would be sent; nobody looked into them.
        retranslated: Records that say the same as before, though the translator changed
            since the last pass; None if it did not.
        without_pass: Why nothing was read: ``nothing-new``, or ``follows`` (the source
            only tells changes); empty if there was a pass.
        notices: What the source's adapter noticed while it read (`Adapter.notices`).
    """

    flow: str
    run_id: int
    digest: str
    verdict: PlanVerdict
    counts: dict[str, int]
    held: int
    rejected: int
    unchanged: int
    seen: int
    missing: int
    paths: dict[str, dict[str, int]]
    guarantee: str
    guarantee_reason: str
    new_fields: tuple[str, ...]
    examples: dict[str, list[Example]]
    first_run: bool
    without_pass: str = ""
    attachments: int = 0
    retranslated: int | None = None
    notices: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """There is nothing to do."""
        return not any(self.counts.values())

    @property
    def total(self) -> int:
        """How many records would be written."""
        return sum(n for op, n in self.counts.items() if op != "deactivate")


def load_plan(route: Route, ledger: Ledger, run_id: int | None = None) -> Plan:
    """The flow's current plan.

    Raises:
        ConfigurationError: ``plan.none``: there is none, or it was replaced.
    """
    flow_id = route.row.flow_id
    with ledger.read() as tx:
        run = (
            runs.get(tx, run_id)
            if run_id is not None
            else runs.latest(tx, flow_id, "planned", "applying")
        )
        if run is None or not run.verdict:
            raise ConfigurationError(
                f"Flow {route.name!r} has no plan; make one with "
                f"`moatbridge plan {route.name}`.",
                code="plan.none",
            )
        rejected = tx.value("SELECT count(*) FROM reject WHERE flow_id=?", flow_id)
        waiting = tx.value(
            "SELECT count(*) FROM intent i JOIN parcel p ON p.parcel_id=i.parcel_id "
            "WHERE p.run_id=? AND p.state=? AND i.op IN ('create','update')",
            run.run_id,
            State.HELD,
        )
        held = tx.value(
            "SELECT count(*) FROM parcel WHERE flow_id=? AND state=?",
            flow_id,
            State.HELD,
        )
        examples = _examples(tx, run.run_id, run.verdict["counts"])
        told = notices.of_pass(tx, flow_id, run.generation, since=run.created)
    facts = run.verdict
    counts = {op: n for op, n in facts["counts"].items() if n}
    seen = int(facts["seen"] or 0)
    touched = sum(n for op, n in counts.items() if op in {"create", "update", "renew"})
    return Plan(
        flow=route.name,
        run_id=run.run_id,
        digest=run.digest or "",
        verdict=verdict_from_json(facts),
        counts=counts,
        held=int(held),
        rejected=int(rejected),
        unchanged=max(0, seen - touched - int(waiting)),
        seen=seen,
        missing=int(facts["missing"]),
        paths=facts["paths"],
        guarantee=route.guarantee.name,
        guarantee_reason=route.guarantee.reason,
        new_fields=tuple(facts["new_fields"]),
        examples=examples,
        first_run=bool(facts["first_run"]),
        without_pass=facts.get("without_pass", ""),
        attachments=int(facts.get("attachments", 0)),
        retranslated=facts.get("retranslated"),
        notices=tuple(notice.words for notice in told),
    )


def _examples(
    tx: Transaction, run_id: int, counts: Mapping[str, int]
) -> dict[str, list[Example]]:
    found: dict[str, list[Example]] = {}
    for op, names in COUNTED_AS.items():
        if not any(counts.get(name) for name in names):
            continue  # there is none, and all of a large run would be looked through
        limit = REMOVALS if op in {"disable", "delete"} else EXAMPLES
        rows = tx.all(
            "SELECT i.op, i.ref, i.payload, p.state FROM intent i "
            "JOIN parcel p ON p.parcel_id=i.parcel_id "
            "WHERE p.run_id=? AND i.op=? AND p.state=? AND i.payload IS NOT NULL "
            "LIMIT ?",
            run_id,
            op,
            State.PLANNED,
            limit,
        )
        if rows:
            found[op] = [_example(*row[:3]) for row in rows]
    return found


def _example(op: str, ref: str, payload: str) -> Example:
    key, name = json.loads(ref)
    held = json.loads(payload)
    entity = held.get("entity") or {}
    if entity and "audience" in held:  # a reply goes to fewer than its record says
        entity = {**entity, "audience": held["audience"]}
    changed = held.get("changed")
    shown = (
        {path: entity.get(path.partition(".")[0].partition("[")[0]) for path in changed}
        if changed
        else entity
    )
    who = entity.get("userName") or entity.get("displayName") or name or key
    return Example(op, str(who), shown, held.get("why", ""))
