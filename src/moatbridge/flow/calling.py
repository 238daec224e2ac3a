"""One write call, and what its end means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.changes import Receipt
from moatbridge.errors import (
    ConfigurationError,
    LeaseLost,
    MoatbridgeError,
    NotApplied,
    OutcomeUnknown,
    Rejected,
)
from moatbridge.resilience.breaker import PAUSE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.changes import Intent
    from moatbridge.resilience.session import Session


_AWAY: Final = (".unreachable", ".dns")
"""Ends of codes of a system that was not even reached."""


def call(
    target: Session, stream: str, intents: Sequence[Intent]
) -> tuple[Sequence[Receipt], MoatbridgeError | None]:
    """One call; whatever it raises becomes receipts."""
    failure: MoatbridgeError | None
    try:
        return target.write(stream, intents), None
    except LeaseLost:
        raise
    except OutcomeUnknown as error:
        receipt, failure = Receipt("unknown", code=error.code), None
    except Rejected as error:
        receipt = Receipt("rejected", code=error.told, field=error.field)
        failure = None
    except NotApplied as error:
        wait = error.retry_after
        if wait is None and error.code.endswith(_AWAY):
            wait = PAUSE  # the breaker decides how often an absent system is asked
        receipt = Receipt("not_applied", code=error.code, retry_after=wait)
        failure = error
    except ConfigurationError as error:
        receipt, failure = Receipt("not_applied", code=error.code), error
    return [receipt] * len(intents), failure
