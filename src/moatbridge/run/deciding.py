"""One person's decision on one waiting item, without the systems being there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from moatbridge.config.guard import effective
from moatbridge.errors import ConfigurationError, GuardStopped
from moatbridge.flow.standing import not_approved
from moatbridge.guard import EXIT_CODES, person, wrote
from moatbridge.ledger import audit, authors, holds, review
from moatbridge.run.flow_ids import flow_id_of
from moatbridge.run.principals import principal

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
    false_alarm: bool = False,
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
        false_alarm: The rules that hold an approved item were wrong about it.

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
            _refuse_borrowed(tx, flow_id, item, who)
            refuse_own(tx, flow_id, item, who)
        given = Given(config, ledger)
        carry_out(
            tx, given, flow, item, action, actor=who, reason=reason,
            false_alarm=false_alarm,
        )  # fmt: skip
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
    false_alarm: bool = False,
) -> None:
    """`review.decide`, and the answer to whom it concerns, in one transaction.

    Raises:
        ConfigurationError: ``review.item``: no such item, or not that action.
        Rejected: ``review.decided``: somebody was faster.
    """
    flow_id = flow_id_of(tx, given.ledger, flow) or 0
    review.decide(
        tx, flow_id, item, action, actor=actor, reason=reason, false_alarm=false_alarm
    )
    if action == "refuse":
        parcel = holds.parcel_of(tx, flow_id, int(item[1:]))
        ended = [] if parcel is None else [parcel]
        not_approved(tx, given.ledger, flow, given.config.flows[flow], ended)


def _four_eyes(config: BridgeConfig, flow: str) -> bool:
    return effective(config.guard, config.flows[flow].guard, flow=flow).four_eyes


def refuse_own(tx: Transaction, flow_id: int, item: str, who: str) -> None:
    """Nobody approves what they started or wrote (guard 33).

    Args:
        tx: Open transaction.
        flow_id: The flow.
        item: `Waiting.item`.
        who: Who would approve it.

    Raises:
        GuardStopped: ``guard.approval``.
    """
    starter = review.starter_of(tx, flow_id, item)
    if starter is not None and person(starter) == person(who):
        raise _own(item, "was staged by a run that you started")
    if wrote(who, authors.authors_of(tx, flow_id, item)):
        raise _own(item, "is your own: you are its author")


def _refuse_borrowed(tx: Transaction, flow_id: int, item: str, who: str) -> None:
    """Four eyes mean two logins, and no name that was only typed."""
    mine, starter = person(principal()), review.starter_of(tx, flow_id, item)
    if person(who) != mine or person(starter or "") == mine:
        raise GuardStopped(
            f"{item} must be approved by another person than the one who started its "
            "run, under their own login; --as stands for none. Nothing was sent.",
            code="guard.approval",
            exit_code=EXIT_CODES["approve"],
        )


def _own(item: str, why: str) -> GuardStopped:
    return GuardStopped(
        f"{item} {why}; another person must approve it. Nothing was sent.",
        code="guard.approval",
        exit_code=EXIT_CODES["approve"],
    )
