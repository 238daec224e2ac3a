"""Judging one change: all rules run, the strictest wins, all reasons are kept.

Pure and total: whatever the content, a verdict comes back. A rule that raises holds
the change with the reason ``guard-bug``, whatever the rule's mode: fail closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.guard.paths import PathSet
from moatbridge.guard.record_rules import RECORD_CHECKS, RecordCheck
from moatbridge.guard.verdict import Decision, Hit, Verdict, strictest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge.config.guard_rules import Rules
    from moatbridge.guard.context import Context, Outgoing

_ALLOW: Final[Decision] = "allow"


def judge(
    outgoing: Outgoing,
    rules: Rules,
    context: Context,
    *,
    checks: Mapping[str, RecordCheck] = RECORD_CHECKS,
) -> Verdict:
    """What may become of one change.

    Args:
        outgoing: The change; its entity is never modified, masking makes a new one.
        rules: The flow's rules.
        context: Time and counts.
        checks: The record rules to run.

    Returns:
        A verdict whose ``entity`` is what may be staged. Nothing after this may add
        data to it (guard 5).
    """
    hits: list[Hit] = []
    for name, check in checks.items():
        try:
            hits += check(outgoing, rules.at(context.now)[name], rules, context)
        except Exception:  # noqa: BLE001 - a rule that cannot judge must not let pass
            hits.append(Hit(name, "hold", reason="guard-bug"))
    if not hits:
        return Verdict(_ALLOW, outgoing.entity)
    decision = strictest(hit.effect for hit in hits)
    entity, masked = outgoing.entity, _masked(hits)
    if masked and entity is not None:
        entity, _ = PathSet(masked).removed_from(entity)
    return Verdict(decision, entity, tuple(hits), masked)


def _masked(hits: list[Hit]) -> tuple[str, ...]:
    paths: dict[str, Any] = {}
    for hit in hits:
        if hit.effect == "mask":
            paths.update(dict.fromkeys(hit.paths))
    return tuple(paths)
