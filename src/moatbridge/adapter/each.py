"""Writing one by one, for targets without a batch request: a true receipt for each.

`write_each` turns what an author raises for *one* intent into the receipts of a whole
call, so that nobody has to get these rules right again:

* nothing took effect and nothing may have: the error goes on as it came;
* `Rejected` and a stale version (``*.stale``) are the record's own: the others go on;
* `OutcomeUnknown`, a bare `OSError` and a bug are ``unknown``: the others go on, unless
  it happens twice in a row: then nothing more is sent;
* `NotApplied` and `ConfigurationError` concern the system: nothing more is sent;
* where the time left would not do for another one, nothing more is sent either.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Receipt
from moatbridge.errors import (
    ConfigurationError,
    MoatbridgeError,
    NotApplied,
    OutcomeUnknown,
    Rejected,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.adapter.base import Adapter
    from moatbridge.changes import Intent

EACH_BATCH: Final = 20
"""A good ``max_batch`` for targets that are written one by one."""

_FACTOR: Final = 2.0
_FAILING: Final = ["unknown", "unknown"]
_NOTHING: Final = (NotApplied, ConfigurationError)
_logger = logging.getLogger(__name__)


def write_each(
    adapter: Adapter[Any],
    intents: Sequence[Intent],
    carry_out: Callable[[Intent], Receipt],
) -> list[Receipt]:
    """Carry the intents out one after the other.

    Args:
        adapter: Its name becomes the area of the codes, its ``net`` tells the time.
        intents: As `CanWrite.write` got them.
        carry_out: Carries out one, once; returns its receipt or raises one of
            `moatbridge.errors`. Called at most once for each intent.

    Returns:
        One receipt per intent, in order.

    Raises:
        NotApplied: The first intent could not be sent; nothing took effect.
        ConfigurationError: The same, and a person must act.
    """
    receipts: list[Receipt] = []
    longest = 0.0
    for intent in intents:
        late = bool(receipts) and adapter.net.remaining() < longest * _FACTOR
        if late or [each.outcome for each in receipts[-2:]] == _FAILING:
            break
        began = time.monotonic()
        try:
            receipt = carry_out(intent)
        except _NOTHING as error:
            receipt = receipt_of(error, intent, adapter.name)
            if receipt.reason != "stale":
                if not receipts:
                    raise
                receipts.append(receipt)
                break
        except Exception as error:  # noqa: BLE001 - every kind has its receipt
            receipt = receipt_of(error, intent, adapter.name)
        longest = max(longest, time.monotonic() - began)
        receipts.append(receipt)
    unsent = f"{adapter.name}.not-sent"
    rest = intents[len(receipts) :]
    return receipts + [Receipt("not_applied", i.ref, code=unsent) for i in rest]


def receipt_of(error: Exception, intent: Intent, area: str) -> Receipt:
    """The receipt of one intent that ended in an error.

    Args:
        error: One of `moatbridge.errors`; anything else is ``unknown``, because the
            request may have left.
        intent: What was tried.
        area: First word of the code, where the error has none of its own.
    """
    if isinstance(error, Rejected):
        own = error.code != Rejected.default_code
        code = error.told if own else f"{area}.{error.kind}"
        return Receipt("rejected", intent.ref, code=code, field=error.field)
    if isinstance(error, NotApplied):
        wait = error.retry_after
        return Receipt("not_applied", intent.ref, retry_after=wait, code=error.code)
    if isinstance(error, ConfigurationError):
        return Receipt("not_applied", intent.ref, code=error.code)
    if isinstance(error, MoatbridgeError):
        code = error.code if isinstance(error, OutcomeUnknown) else "adapter.bug"
        return Receipt("unknown", intent.ref, code=code)
    if isinstance(error, OSError):
        return Receipt("unknown", intent.ref, code=f"{area}.lost")
    _logger.error("The adapter %s let %s out of write.", area, type(error).__name__)
    return Receipt("unknown", intent.ref, code="adapter.bug")
