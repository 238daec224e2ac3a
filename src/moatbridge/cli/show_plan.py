"""A plan as a diff that a manager understands: pure, Plan -> lines or plain JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from moatbridge.cli.show_post import is_post, post_lines
from moatbridge.cli.show_values import leaves
from moatbridge.cli.show_verdict import (
    GONE,
    REMOVALS,
    WORDS,
    Setting,
    next_step,
    verdict_lines,
)
from moatbridge.cli.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from moatbridge.flow.plans import Example, Plan
    from moatbridge.ledger.review import Waiting

WHY: Final = {
    "missing": "no longer in the source",
    "left-scope": "no longer in the source's selection",
    "deleted": "deleted at the source",
    "delete": "deleted at the source",
    "expired": "disabled long enough",
}
WITHOUT_PASS: Final = {
    "nothing-new": "  Nothing new to read: no pass happened, and nothing vanishes.",
    "follows": "  The source only tells changes: there is nothing to compare. What it "
    "tells is\n  carried as it comes, judged by the guard's limits.",
}
"""Why there was no pass -> what people read."""

_BARRED: Final = " (taken out: this pass cannot tell who is gone)"
_LINES: Final = 12


def plan_lines(
    plan: Plan, waiting: Sequence[Waiting], setting: Setting, *, values: bool = True
) -> Iterator[str]:
    """The plan for people.

    Args:
        plan: The plan.
        waiting: What waits for a person in this flow.
        setting: Where it was made.
        values: Show who is concerned and the new values.
    """
    yield from _header(plan, setting)
    yield from (f"  Notice: {clean(words, 400)}" for words in plan.notices)
    if plan.without_pass and plan.verdict.decision == "pass":
        return
    yield from _totals(plan)
    yield from _fields(plan)
    yield from _examples(plan, values=values)
    yield from _removals(plan, values=values)
    if plan.new_fields:
        yield from ("", "Fields that leave the building for the first time")
        yield from (f"  {clean(line)}" for line in plan.new_fields)
    yield from _waiting(waiting)
    yield from verdict_lines(plan)
    yield from ("", f"Plan {plan.digest}. Nothing was sent.", *next_step(plan, setting))


def plan_json(
    plan: Plan, waiting: Sequence[Waiting], setting: Setting, *, values: bool = True
) -> dict[str, Any]:
    """The plan as plain JSON; without values it names fields only."""
    return {
        "flow": plan.flow,
        "source": setting.source,
        "target": setting.target,
        "run": plan.run_id,
        "digest": plan.digest,
        "guarantee": {"class": plan.guarantee, "reason": plan.guarantee_reason},
        "decision": plan.verdict.decision,
        "exit_code": plan.verdict.exit_code,
        "confirm": plan.verdict.count,
        "deletes_allowed": plan.verdict.deletes_allowed,
        "findings": [asdict(finding) for finding in plan.verdict.findings],
        "counts": plan.counts,
        "seen": plan.seen,
        "unchanged": plan.unchanged,
        "missing": plan.missing,
        "fields": plan.paths,
        "new_fields": list(plan.new_fields),
        "first_run": plan.first_run,
        "without_pass": plan.without_pass or None,
        "held": plan.held,
        "rejected": plan.rejected,
        "attachments": plan.attachments,
        "retranslated": plan.retranslated,
        "notices": list(plan.notices),
        "waiting": [
            {"kind": kind, "reason": reason, "detail": detail, "count": count}
            for (kind, reason, detail), count in _reasons(waiting)
        ],
        "examples": {
            op: [_example_json(each, values=values) for each in some]
            for op, some in plan.examples.items()
        },
        "next": next_step(plan, setting),
    }


def _header(plan: Plan, setting: Setting) -> Iterator[str]:
    yield f"Plan for flow {plan.flow}: {setting.source} -> {setting.target}"
    rest = "without a change" + (" or rejected" if plan.rejected else "")
    if plan.without_pass:
        yield WITHOUT_PASS[plan.without_pass]
        return
    said = f"  {plan.seen:,} records read, {plan.unchanged:,} {rest}"
    gone = f", {plan.missing:,} known records not found" if plan.missing else ""
    yield said + gone
    yield f"  Delivery: {plan.guarantee} ({plan.guarantee_reason})"
    if plan.first_run:
        yield "  This flow has never been applied."
    if plan.retranslated is not None:
        yield (
            f"  The translator of {setting.source} changed: {plan.retranslated:,} "
            "records say the same by it."
        )


def _totals(plan: Plan) -> Iterator[str]:
    yield from ("", "What it would do")
    if plan.empty:
        yield "  nothing"
    for op, words in WORDS.items():
        if plan.counts.get(op):
            barred = op in GONE and not plan.verdict.deletes_allowed
            yield f"  {plan.counts[op]:>9,}  {words}" + (_BARRED if barred else "")
    if plan.counts.get("deactivate"):
        yield f"  {'':>9}  ({plan.counts['deactivate']:,} of the changes disable)"
    for number, words in (
        (plan.held, "held for a person, one by one"),
        (plan.rejected, "rejected: could not be read or translated"),
        (plan.attachments, "attachments, content not inspected"),
    ):
        if number:
            yield f"  {number:>9,}  {words}"


def _fields(plan: Plan) -> Iterator[str]:
    if not plan.paths:
        return
    yield from ("", "Fields that change")
    most_first = sorted(plan.paths.items(), key=lambda each: -each[1]["changes"])
    for path, counts in most_first:
        emptied = f", {counts['blanks']:,} of them emptied" if counts["blanks"] else ""
        yield f"  {counts['changes']:>9,}  {clean(path)}{emptied}"


def _examples(plan: Plan, *, values: bool) -> Iterator[str]:
    shown = {op: some for op, some in plan.examples.items() if op not in REMOVALS}
    if not shown:
        return
    yield from ("", "Examples" + ("" if values else " (values are hidden)"))
    for op, some in shown.items():
        for example in some:
            yield f"  {WORDS.get(op, op)} {_who(example, values=values)}"
            yield from _changes(example, values=values)


def _changes(example: Example, *, values: bool) -> Iterator[str]:
    if not values:
        yield f"      {', '.join(clean(path) for path in example.fields)}"
        return
    if is_post(example.fields):
        yield from (f"      {line}" for line in post_lines(example.fields))
        return
    found = [
        pair for path, value in example.fields.items() for pair in leaves(path, value)
    ]
    for path, value in found[:_LINES]:
        yield f"      {clean(path, 80)}: {_value(value)}"
    if len(found) > _LINES:
        yield f"      ... and {len(found) - _LINES} more fields"


def _removals(plan: Plan, *, values: bool) -> Iterator[str]:
    rows = [each for op in REMOVALS for each in plan.examples.get(op, ())]
    if not rows:
        return
    total = sum(plan.counts.get(op, 0) for op in GONE)
    yield from ("", f"Removals, one by one ({len(rows):,} of {total:,})")
    for row in rows:
        why = WHY.get(row.why, row.why)
        reason = f"  ({clean(why)})" if why else ""
        yield f"  {WORDS[row.op]} {_who(row, values=values)}{reason}"


def _waiting(waiting: Sequence[Waiting]) -> Iterator[str]:
    if not waiting:
        return
    yield from ("", "Waiting for a person (moatbridge review)")
    for (kind, reason, detail), count in _reasons(waiting):
        where = f" ({clean(detail)})" if detail else ""
        yield f"  {count:>9,}  {kind}: {clean(reason)}{where}"


def _reasons(waiting: Iterable[Waiting]) -> list[tuple[tuple[str, str, str], int]]:
    return Counter((w.kind, w.reason, w.detail) for w in waiting).most_common()


def _example_json(example: Example, *, values: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"why": example.why, "fields": sorted(example.fields)}
    if values:
        shown |= {"who": example.who, "fields": example.fields}
    return shown


def _who(example: Example, *, values: bool) -> str:
    return clean(example.who, 80) if values else "(name hidden)"


def _value(value: Any) -> str:
    return "(emptied)" if value in (None, "", []) else clean(value, 80)
