"""One person's agreement to a plan, kept even if more persons are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.errors import ConfigurationError, GuardStopped
from moatbridge.flow.plans import load_plan
from moatbridge.guard import person
from moatbridge.ledger import audit, runs
from moatbridge.run.principals import principal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.flow.plans import Plan
    from moatbridge.run.bridge import Bridge


def current_plan(bridge: Bridge, flow: str, digest: str | None) -> tuple[Plan, bool]:
    """The flow's plan, and whether it still waits to be applied.

    Args:
        bridge: An open bridge.
        flow: Name.
        digest: The plan that was looked at; None for the current one.

    Raises:
        ConfigurationError: ``plan.none``; ``plan.replaced``: that plan is not the
            current one.
    """
    plan = load_plan(bridge.route(flow), bridge.ledger)
    if digest is not None and plan.digest != digest:
        raise ConfigurationError(
            f"The plan {digest} of flow {flow!r} was replaced by {plan.digest}; look "
            f"at that one with `moatbridge plan {flow}`.",
            code="plan.replaced",
        )
    with bridge.ledger.read() as tx:
        return plan, runs.get(tx, plan.run_id).state == "planned"


def _refuse_borrowed_names(plan: Plan, actor: str | None) -> None:
    """Four eyes mean two logins: a name that was typed is nobody's second pair."""
    borrowed = actor is not None and person(actor) != person(principal())
    if borrowed and plan.verdict.four_eyes and plan.verdict.decision != "confirm":
        raise GuardStopped(
            f"The plan of flow {plan.flow} needs another person, who must agree under "
            "their own login; --as does not stand for one. Nothing was sent.",
            code="guard.approval",
            exit_code=plan.verdict.exit_code,
        )


def agree(
    bridge: Bridge,
    plan: Plan,
    *,
    actor: str | None,
    confirm: int | None,
    accept: Sequence[str],
) -> None:
    """Keep an agreement in a transaction of its own.

    `Bridge.apply` judges it together with what others gave; when that is not enough
    it takes back its own transaction, so the first of two persons would be forgotten.

    Args:
        bridge: An open bridge.
        plan: What was looked at.
        actor: Who agrees; None for the user of this process.
        confirm: The number that was typed.
        accept: Rules accepted by name.
    """
    if confirm is None and not accept and plan.verdict.decision != "approve":
        return
    _refuse_borrowed_names(plan, actor)
    bridge.approve(plan, actor=actor or principal(), confirm=confirm, accept=accept)
    with bridge.ledger.write() as tx:
        audit.record(
            tx,
            "agreement",
            flow=plan.flow,
            run=plan.run_id,
            digest=plan.digest,
            actor=actor or principal(),
            typed_by=principal(),
            accepted=sorted(accept),
        )
