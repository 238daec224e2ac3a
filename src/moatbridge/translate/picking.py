"""A multi-valued field that feeds a single place (entities 36).

LDAP values have no order, so "the first" would flap: the smallest by code point is
picked, unless the stream says that the order means something. On the way back only the
picked value is replaced in the current list; a value that is there already leaves the
list as it is, so that doing it twice is doing it once. Clearing clears the whole list:
taking out one value after the other would not be idempotent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.entities import Fault
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.translate.sources import Pick
    from moatbridge.translate.steps import Place


def choose(wanted: Pick | None, place: Place) -> Pick:
    """How one value of a field that has several is picked.

    Raises:
        ConfigurationError: ``translate.kind``: there is no first one.
    """
    ordered = place.field is not None and place.field.ordered
    if wanted == "first" and not ordered:
        message = f"{place.text!r} has no order; use pick = 'min'"
        raise ConfigurationError(message, code="translate.kind")
    return wanted or ("first" if ordered else "min")


def choice_notes(
    wanted: Pick | None, how: Pick | None, place: Place
) -> tuple[str, ...]:
    """What the report says about a choice that nobody made."""
    if how is None or wanted is not None:
        return ()
    return (
        f"{place.text} may have several values, one is picked ({how}); confirm by pick",
    )


def pick(values: Any, how: Pick) -> Any:
    """The picked value, or None of an empty list.

    Raises:
        Fault: Not a list, or values without an order.
    """
    if not values:
        return None
    if not isinstance(values, list):
        raise Fault(f"not a list but {type(values).__name__}")
    if how == "first" or len(values) == 1:
        return values[0]
    try:
        return min(values)
    except TypeError:
        pass
    raise Fault("values without an order; only pick = 'first' is possible")


def put_back(value: Any, before: Any, how: Pick) -> list[Any]:
    """The list after its picked value became ``value``; [] when cleared."""
    if value is None:
        return []
    if not before:
        return [value]
    if how == "first":
        return [value, *(each for each in before[1:] if each != value)]
    if value in before:
        return list(before)
    picked = pick(before, how)
    return [value if each == picked else each for each in before]


def picking(decode: Callable[[Any], Any], how: Pick) -> Callable[[Any], Any]:
    """``decode`` of the picked value."""
    return lambda values: decode(pick(values, how))


def putting_back(
    encode: Callable[[Any, Any], Any], decode: Callable[[Any], Any], how: Pick
) -> Callable[[Any, Any], list[Any]]:
    """``encode`` into the picked value's place.

    A picked value that already means the same stays as it is spelled: spelling it anew
    could change which value is the smallest.
    """

    def run(value: Any, before: Any) -> list[Any]:
        current = pick(before, how) if before else None
        if current is not None and _means(current, value, decode):
            return list(before)
        return put_back(encode(value, current), before, how)

    return run


def _means(current: Any, value: Any, decode: Callable[[Any], Any]) -> bool:
    try:
        return bool(decode(current) == value)
    except ValueError:
        return False  # the target holds something of another kind: replace it
