"""Who agreed to a plan, and whether that is enough (guard 12, 13): pure.

* *confirm*: one person typed the number of records shown.
* *approve*: another person than the one who started the run.
* *stop*: two persons (one without four eyes) each named every stopping rule and typed
  the number. Removals from an incomplete pass cannot be accepted by anybody.

Agreement binds to the plan's digest and ends with the plan, 24 hours after planning.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moatbridge.errors import GuardStopped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moatbridge.guard.verdict import PlanVerdict

PLAN_LIFE: Final = 86400.0
"""Seconds from planning until a plan and its approvals are void."""

_SKEW: Final = 60.0


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's agreement to one plan.

    Args:
        digest: Of the plan that was looked at.
        principal: Who, as the company's login says.
        time: POSIX seconds.
        accepted: Rules accepted by name (``--accept RULE``); only for *stop*.
        count: The number that was typed; None if none was asked for.
    """

    digest: str
    principal: str
    time: float
    accepted: frozenset[str] = frozenset()
    count: int | None = None


def check_approval(
    verdict: PlanVerdict,
    approvals: Iterable[Approval],
    *,
    starter: str,
    now: float,
) -> None:
    """Return if the plan may be applied now.

    Args:
        verdict: The judgement of the plan.
        approvals: Everything anybody agreed to; void ones are disregarded.
        starter: Principal who started the run.
        now: Ledger time in POSIX seconds.

    Raises:
        GuardStopped: ``guard.plan-expired`` after 24 hours; ``guard.not-acceptable``
            for removals from an incomplete pass; ``guard.RULE`` if nobody has agreed
            yet; ``guard.approval`` if what was agreed to is not enough, naming what
            is missing.
    """
    if not -_SKEW <= now - verdict.planned_at <= PLAN_LIFE:
        raise _stopped(verdict, "plan-expired", "is older than 24 hours; plan again")
    for finding in verdict.deciding:
        if verdict.decision == "stop" and not finding.acceptable:
            sentence = f"{finding.sentence}; mend the source and plan again"
            raise _stopped(verdict, "not-acceptable", sentence)
    if verdict.decision == "pass":
        return
    given = list(approvals)
    valid = [each for each in given if _binds(each, verdict, now)]
    if not given:
        raise verdict.stopped()
    missing = _missing(verdict, valid, person(starter))
    if missing:
        raise _stopped(verdict, "approval", missing)


def _binds(approval: Approval, verdict: PlanVerdict, now: float) -> bool:
    in_time = verdict.planned_at - _SKEW <= approval.time <= now + _SKEW
    bound = bool(verdict.digest) and approval.digest == verdict.digest
    return bound and in_time and bool(person(approval.principal))


def _missing(verdict: PlanVerdict, valid: list[Approval], starter: str) -> str | None:
    """What is still needed, in words; None if nothing."""
    if not valid:
        return "was approved in another form or at another time; approvals are void"
    if verdict.decision == "confirm":
        return _unconfirmed(verdict, valid)
    if verdict.decision == "stop":
        return _unaccepted(verdict, valid)
    people = {person(each.principal) for each in valid}
    if verdict.four_eyes and people <= {starter}:
        return "needs approval by another person than the one who started it"
    return None


def _unconfirmed(verdict: PlanVerdict, valid: list[Approval]) -> str | None:
    if any(each.count == verdict.count for each in valid):
        return None
    return f"is confirmed by typing the number of records shown ({verdict.count:,})"


def _unaccepted(verdict: PlanVerdict, valid: list[Approval]) -> str | None:
    stopping = {finding.rule for finding in verdict.deciding}
    people = {
        person(each.principal)
        for each in valid
        if each.count == verdict.count and stopping <= each.accepted
    }
    needed = 2 if verdict.four_eyes else 1
    if len(people) >= needed:
        return None
    rules = " ".join(f"--accept {rule}" for rule in sorted(stopping))
    who = "two different persons" if verdict.four_eyes else "one person"
    return (
        f"was stopped: {who} must give {rules} and type the number of records "
        f"concerned ({verdict.count:,}); {len(people)} did so far"
    )


def person(principal: str) -> str:
    """One spelling per principal, so that a capital letter makes no second person."""
    return unicodedata.normalize("NFKC", principal).strip().casefold()


def _stopped(verdict: PlanVerdict, word: str, sentence: str) -> GuardStopped:
    return GuardStopped(
        f"The plan of flow {verdict.flow} {sentence}. Nothing was sent.",
        code=f"guard.{word}",
        decision=verdict.decision,
        count=verdict.count,
        digest=verdict.digest,
        exit_code=verdict.exit_code,
    )
