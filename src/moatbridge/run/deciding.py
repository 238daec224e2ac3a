"""One person's decision on one waiting item, without the systems being there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from moatbridge.config.guard import effective
from moatbridge.errors import ConfigurationError, GuardStopped
from moatbridge.flow.standing import not_approved
from moatbridge.guard import EXIT_CODES, person
from moatbridge.ledger import audit, holds, review
from moatbridge.run.principals import principal
from moatbridge.run.status import flow_id_of

if TYPE_CHECKING:
    from moatbridge.config import BridgeConfig
    from moatbridge.ledger import Ledger
    from moatbridge.ledger.database import Transaction
    from moatbridge.ledger.review import Action
    from moatbridge.run.bridge import Bridge


def decide(
    config: BridgeConfig,
    ledger: Ledger,
    flow: str,
    item: str,
    action: Action,
    *,
    reason: str = "",
    actor: str | None = None,
) -> None:
    """Carry out a person's decision on one waiting item; see `ledger.review.decide`.

    Args:
        config: With the flow's rules: whether four eyes are asked for.
        ledger: Open.
        flow: Name.
        item: `Waiting.item`.
        action: What to do with it.
        reason: Why.
        actor: Who decides, if not the user of this process; both are audited. Such a
            name approves nothing where four eyes are asked for.

    Raises:
        ConfigurationError: ``review.item``: no such item, or not that action.
        GuardStopped: ``guard.approval``: another person must approve it.
        Rejected: ``review.decided``: somebody was faster.
    """
    who = actor or principal()
    with ledger.write() as tx:
        flow_id = flow_id_of(tx, ledger, flow)
        if flow_id is None:
            raise ConfigurationError(
                f"Nothing of flow {flow!r} waits; it never ran.", code="review.item"
            )
        if action == "approve" and _four_eyes(config, flow):
            _refuse_own(review.starter_of(tx, flow_id, item), item, who)
        given = Given(config, ledger)
        carry_out(tx, given, flow, item, action, actor=who, reason=reason)
        if actor is not None:
            audit.record(
                tx, "decision-typed", item=item, actor=who, typed_by=principal()
            )


class Given(NamedTuple):
    """What deciding needs; a `Bridge` has it too."""

    config: BridgeConfig
    ledger: Ledger


def carry_out(
    tx: Transaction,
    given: Given | Bridge,
    flow: str,
    item: str,
    action: Action,
    *,
    actor: str,
    reason: str,
) -> None:
    """`review.decide`, and the answer to whom it concerns, in one transaction.

    Raises:
        ConfigurationError: ``review.item``: no such item, or not that action.
        Rejected: ``review.decided``: somebody was faster.
    """
    flow_id = flow_id_of(tx, given.ledger, flow) or 0
    review.decide(tx, flow_id, item, action, actor=actor, reason=reason)
    if action == "refuse":
        parcel = holds.parcel_of(tx, flow_id, int(item[1:]))
        ended = [] if parcel is None else [parcel]
        not_approved(tx, given.ledger, flow, given.config.flows[flow], ended)


def _four_eyes(config: BridgeConfig, flow: str) -> bool:
    return effective(config.guard, config.flows[flow].guard, flow=flow).four_eyes


def _refuse_own(starter: str | None, item: str, who: str) -> None:
    """The same rule as `Bridge.decide`, and no name that was only typed."""
    mine = person(principal())
    if person(who) == mine and (starter is None or person(starter) != mine):
        return
    raise GuardStopped(
        f"{item} must be approved by another person than the one who started its run, "
        "under their own login; --as does not stand for one. Nothing was sent.",
        code="guard.approval",
        exit_code=EXIT_CODES["approve"],
    )
