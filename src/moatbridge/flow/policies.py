"""How a flow treats what did not simply succeed, computed from its traits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.ledger.settlement import Policy
from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from moatbridge.flow.route import Route

SOON: Final = 5.0
"""Seconds before an unknown outcome at a keyed target is sent again."""


def policy_of(route: Route) -> Policy:
    """The policy that settles a parcel of this flow (delivery 24, 25)."""
    traits, config = route.traits, route.config
    if traits.dedup == "keyed":
        unknown, wait = State.UNKNOWN, SOON
    elif traits.dedup == "lookup" and route.target.can("CanFind"):
        unknown, wait = State.UNKNOWN, traits.max_request_life
    elif config.on_unknown == "resend":
        unknown, wait = State.UNKNOWN, SOON
    else:
        unknown, wait = State.PARKED, 0.0
    lingering = traits.key_scope == "object" and not traits.conditional
    return Policy(
        unknown=unknown,
        unknown_wait=wait,
        quiet=traits.max_request_life if lingering else 0.0,
        keep_payload=route.keep_payload > 0,
        named=route.target_named,
        undo_window=(
            config.undo_window if config.deletes == "disable_then_remove" else None
        ),
    )
