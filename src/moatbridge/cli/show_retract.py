"""A run that is taken back, for people and as JSON: pure, Retraction -> lines."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from moatbridge.cli.exit_codes import DONE, TRY_AGAIN, WAITING
from moatbridge.cli.show_verdict import verdict_lines
from moatbridge.cli.terminal import clean
from moatbridge.flow.retract.reasons import MEANINGS, NO_IMAGE, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.flow.retract.report import NotUndone, Retraction

WORK: Final = {
    "create": "make again, as a new record",
    "update": "put back as it was",
    "disable": "disable",
    "delete": "remove",
}
"""What a retract does to a record -> what people call it."""

DID: Final = {
    "create": "made again, as a new record",
    "update": "put back as it was",
    "disable": "disabled",
    "delete": "removed",
}
"""The same, once it is done."""

_STATES: Final = {
    "planned": "waits for a person; nothing was sent",
    "applying": "not finished; give the same command again",
    "done": "done",
    "cancelled": "cancelled",
    "scanning": "still looking; give the same command again",
}
_SHOWN: Final = 100


def exit_code(found: Retraction) -> int:
    """What a script learns: 0 all undone, 20 some could not, 75 work is left."""
    if found.plan is not None and found.state == "planned":
        return found.plan.verdict.exit_code or (WAITING if found.not_undone else DONE)
    if found.state not in {"done", "cancelled"}:
        return TRY_AGAIN
    return WAITING if found.not_undone else DONE


def retract_lines(
    found: Retraction, *, command: str, kept: str, values: bool
) -> Iterator[str]:
    """A retract for people: what it does or did, what it could not, what comes next.

    Args:
        found: The retract.
        command: The command that goes on with it.
        kept: How long before-images are kept: ``7d``.
        values: Show who is concerned; else only numbers.
    """
    yield f"Retract of run {found.of} of flow {found.flow} (run {found.run_id}): " + (
        _STATES.get(found.state, found.state)
    )
    if found.waiting:
        are = "were" if found.called_off else "would be"
        yield f"  {found.waiting:>9,}  not sent yet: {are} called off"
    for op, count in sorted(found.planned.items()):
        yield f"  {count:>9,}  to do: {WORK.get(op, op)}"
    for op, count in sorted(found.undone.items()):
        yield f"  {count:>9,}  undone: {DID.get(op, op)}"
    if found.already:
        yield f"  {found.already:>9,}  of these were as before already"
    if not (found.planned or found.undone or found.failed):
        yield "  There is nothing to take back."
    yield from _left(found, kept=kept, values=values)
    if found.limits:
        yield f"  The target allows so many removals: {clean(found.limits)}."
    if found.plan is not None:
        if found.planned:
            yield from verdict_lines(found.plan)
        yield from ("", f"Plan {found.plan.digest}. Nothing was sent.")
        yield from _next(found, command)


def retract_json(found: Retraction, *, command: str, values: bool) -> dict[str, Any]:
    """A retract as plain JSON; without values it names nobody."""
    plan = found.plan
    return {
        "flow": found.flow,
        "run": found.run_id,
        "of": found.of,
        "state": found.state,
        "actor": found.actor,
        "planned": found.planned,
        "undone": found.undone,
        "already": found.already,
        "not_undone": found.failed,
        "waiting": found.waiting,
        "called_off": found.called_off,
        "left": [_left_json(one, values=values) for one in found.left],
        "decision": plan.verdict.decision if plan else None,
        "confirm": plan.verdict.count if plan else None,
        "digest": plan.digest if plan else None,
        "findings": [asdict(f) for f in plan.verdict.findings] if plan else [],
        "next": list(_next(found, command)),
        "exit_code": exit_code(found),
    }


def _left(found: Retraction, *, kept: str, values: bool) -> Iterator[str]:
    if not found.failed:
        return
    done = found.state == "planned"
    yield "Cannot be taken back:" if done else "Not taken back:"
    for reason, count in sorted(found.failed.items()):
        word = WORDS.get(reason, reason)
        more = f" (kept {kept})" if reason == NO_IMAGE else ""
        yield f"  {count:>9,}  {word}{more}: {MEANINGS.get(reason, '')}"
    if not values:
        return
    for one in found.left[:_SHOWN]:
        code = f" ({clean(one.code, 80)})" if one.code else ""
        said = WORDS.get(one.reason, one.reason)
        yield f"    {clean(one.who, 80)}: {said}{code}"
    more_left = found.not_undone - min(len(found.left), _SHOWN)
    if more_left > 0:
        yield f"    and {more_left:,} more (--json lists up to 1,000)"


def _left_json(one: NotUndone, *, values: bool) -> dict[str, Any]:
    shown = {"operation": one.op, "reason": one.reason, "code": one.code or None}
    return {"who": one.who, **shown} if values else shown


def _next(found: Retraction, command: str) -> Iterator[str]:
    plan = found.plan
    if plan is None or not (found.planned or found.waiting):
        return
    decision = plan.verdict.decision
    if decision == "pass":
        yield f"Next: {command}"
        return
    other = decision == "approve" and plan.verdict.four_eyes
    who = ", another person types" if other else ""
    yield f"Next{who}: {command} --confirm {plan.verdict.count}"
