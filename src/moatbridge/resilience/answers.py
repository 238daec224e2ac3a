"""Whether answers fit what was asked, and what they say of the system."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moatbridge.changes import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

BUG: Final = "adapter.bug"


class WrongCountError(Exception):
    """An adapter returned more or fewer answers than it was asked (``adapter.bug``)."""


def fit(answers: Sequence[T], asked: Sequence[Any]) -> list[T]:
    """The answers, one for each that was asked.

    Raises:
        WrongCountError: They are more or fewer.
    """
    fitting = list(answers)
    if len(fitting) != len(asked):
        raise WrongCountError
    return fitting


class NoReceiptError(Exception):
    """An adapter returned something else than a receipt (``adapter.bug``)."""


def receipts_for(answers: Sequence[Any], intents: Sequence[Any]) -> list[Receipt]:
    """One receipt for each intent, with nothing in it that the ledger cannot keep.

    What is kept for the next attempt (``progress``) must be JSON. Where it is not, the
    next attempt would begin anew without knowing what was done: that one outcome counts
    as unknown, unless it is final.

    Raises:
        WrongCountError: They are more or fewer.
        NoReceiptError: One of them is none.
    """
    fitting = fit(answers, intents)
    for each in fitting:
        if not isinstance(each, Receipt):
            raise NoReceiptError
    return [each if each.progress is None else _kept(each) for each in fitting]


def _kept(receipt: Receipt) -> Receipt:
    if _is_json(receipt.progress):
        return receipt
    if receipt.outcome in {"applied", "rejected"}:
        return replace(receipt, progress=None)
    return replace(receipt, outcome="unknown", code=BUG, progress=None)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def piece(
    work: Callable[[Any, Sequence[Any]], Sequence[T]], some: Sequence[Any], adapter: Any
) -> list[T]:
    """One call for a part of what is asked."""
    return fit(work(adapter, some), some)


def failing(receipts: Sequence[Receipt]) -> bool:
    """An adapter may tell a failing system by its receipts, without an error.

    It may stop after a few of unknown outcome and send no more: the rest is
    ``not_applied`` then. What was applied or rejected tells of a system that answers.
    """
    outcomes = {receipt.outcome for receipt in receipts}
    return "unknown" in outcomes and not outcomes & {"applied", "rejected"}
