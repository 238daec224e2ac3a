"""What a flow can promise, computed from its target's traits (delivery 30)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from moatbridge.adapter import WriteTraits

GuaranteeClass = Literal["effectively-once", "at-least-once", "at-most-once"]

SHORTEST_RETRY: Final = 600.0
"""A key that is forgotten sooner than this cannot carry a retry horizon."""


@dataclass(frozen=True, slots=True)
class Guarantee:
    """The class of a flow, the retry horizon it rests on, and why.

    Args:
        name: ``effectively-once``, ``at-least-once`` or ``at-most-once``.
        retry_for: Seconds after which an undelivered intent is parked; the configured
            value, cut to what the target's key memory allows.
        reason: One sentence for people.
    """

    name: GuaranteeClass
    retry_for: float
    reason: str


def guarantee(
    traits: WriteTraits, *, retry_for: float, on_unknown: str, can_find: bool
) -> Guarantee:
    """Compute the class; nothing lowers it silently."""
    if traits.dedup == "keyed":
        if traits.key_scope == "object" or traits.key_ttl is None:
            return Guarantee(
                "effectively-once",
                retry_for,
                "the target recognises a repeated change for ever (unique key)",
            )
        horizon = min(retry_for, traits.key_ttl - traits.max_request_life)
        if horizon >= SHORTEST_RETRY:
            return Guarantee(
                "effectively-once",
                horizon,
                f"the target remembers keys for {traits.key_ttl:.0f} s; retries end "
                f"after {horizon:.0f} s",
            )
        return _lesser(
            retry_for,
            on_unknown,
            f"the target forgets keys after {traits.key_ttl:.0f} s, too soon to retry",
        )
    if traits.dedup == "lookup" and can_find:
        return Guarantee(
            "at-most-once",
            retry_for,
            "the target has no key, but we can look whether a change arrived; what "
            "cannot be settled so is parked for a person",
        )
    return _lesser(retry_for, on_unknown, "the target has neither key nor look-up")


def _lesser(retry_for: float, on_unknown: str, why: str) -> Guarantee:
    if on_unknown == "resend":
        return Guarantee("at-least-once", retry_for, f"{why}; unknowns are sent again")
    return Guarantee("at-most-once", retry_for, f"{why}; unknowns are parked")


def check_required(flow: str, found: Guarantee, required: str | None) -> None:
    """Refuse to start a flow whose class is below what its configuration requires.

    Raises:
        ConfigurationError: ``flow.guarantee``, with both classes and the trait.
    """
    ranks = ("at-most-once", "at-least-once", "effectively-once")
    if required and ranks.index(found.name) < ranks.index(required):
        raise ConfigurationError(
            f"Flow {flow!r} requires {required}, but can only promise {found.name}: "
            f"{found.reason}.",
            code="flow.guarantee",
        )
