"""Whether answers fit what was asked, and what they say of the system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.changes import Receipt

T = TypeVar("T")


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


def piece(
    work: Callable[[Any, Sequence[Any]], Sequence[T]], some: Sequence[Any], adapter: Any
) -> list[T]:
    """One call for a part of what is asked."""
    return fit(work(adapter, some), some)


def all_unknown(receipts: Sequence[Receipt]) -> bool:
    """An adapter may tell a failing system by its receipts, without an error."""
    return all(receipt.outcome == "unknown" for receipt in receipts)
