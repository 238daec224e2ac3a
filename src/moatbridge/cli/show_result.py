"""What became of a run: pure, RunResult -> lines or plain JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from moatbridge.cli.exit_codes import of_result
from moatbridge.cli.show_let_go import let_go_lines
from moatbridge.cli.show_status import try_lines
from moatbridge.cli.show_verdict import WORDS, Setting, next_step, verdict_lines
from moatbridge.cli.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.run import RunResult

OUTCOMES: Final = {
    "DONE": "done",
    "REJECTED": "rejected",
    "HELD": "held",
    "PARKED": "parked",
    "UNKNOWN": "unknown",
    "RETRY": "to retry",
    "IN_FLIGHT": "under way",
    "READY": "not sent yet",
    "PLANNED": "not sent yet",
    "SUPERSEDED": "superseded",
    "CANCELLED": "cancelled",
    "RETRACTED": "retracted",
    "RETRACT_FAILED": "retract failed",
}
"""State of an intent -> what people call it."""

_STATES: Final = {
    "done": "done",
    "applying": "not finished; run the same command again",
    "scanning": "still reading; run the same command again",
    "planned": "waits for a person",
    "cancelled": "replaced by a newer plan",
    "nothing": "nothing new to read; what is known stays as it is",
}


def result_lines(result: RunResult, setting: Setting) -> Iterator[str]:
    """A run for people: what was done, what waits, what to type next."""
    yield f"{result.flow}: {_STATES.get(result.state, result.state)}"
    yield from (f"  notice: {clean(words, 400)}" for words in result.notices)
    if result.state != "nothing":
        yield from _table(result.outcome)
    yield from (f"  guard: {line}" for line in let_go_lines(result.let_go))
    if result.plan is not None:
        yield from verdict_lines(result.plan)
        yield from next_step(result.plan, setting)
    yield from (
        f"  {line}" for line in try_lines(result.flow, result.next_try, setting.options)
    )
    for kind, count in sorted(result.waiting.items()):
        yield f"  {count:>9,}  waiting for a person: {kind}"
    if result.waiting:
        yield f"Next: moatbridge review {result.flow}{setting.options}"


def result_json(result: RunResult, setting: Setting) -> dict[str, Any]:
    """A run as plain JSON."""
    plan = result.plan
    return {
        "flow": result.flow,
        "run": result.run_id,
        "state": result.state,
        "delivered": result.delivered,
        "outcome": {
            op: {state.lower(): count for state, count in states.items()}
            for op, states in result.outcome.items()
        },
        "waiting": result.waiting,
        "next_try": asdict(result.next_try) if result.next_try else None,
        "notices": list(result.notices),
        "let_go": result.let_go,
        "decision": plan.verdict.decision if plan else None,
        "digest": plan.digest if plan else None,
        "next": next_step(plan, setting) if plan else [],
        "exit_code": of_result(result),
    }


def _table(outcome: dict[str, dict[str, int]]) -> Iterator[str]:
    if not outcome:
        yield "  nothing to send"
        return
    columns = [
        state for state in OUTCOMES if any(state in row for row in outcome.values())
    ]
    heads = [OUTCOMES[state] for state in columns]
    yield f"  {'':14}" + "".join(f"{head:>16}" for head in heads)
    for op, row in outcome.items():
        cells = "".join(f"{row.get(state, 0):>16,}" for state in columns)
        yield f"  {WORDS.get(op, op):14}" + cells
