"""What generated code calls: reaching into and building up plain dicts and lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.entities import Fault, canonical_json
from moatbridge.errors import NotApplied
from moatbridge.translate.leaves import ABSENT, BROKEN
from moatbridge.translate.steps import At, Key, Nth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.translate.steps import Step


def step(parent: Any) -> Any:
    """What a member of something that is no dict is: the same nothing, or broken."""
    return parent if parent is None or parent is ABSENT else BROKEN


def strict_step(parent: Any) -> Any:
    """Like `step`, but raises when the parent is broken.

    Raises:
        Fault: It is neither a dict, nor null, nor absent.
    """
    if parent is None or parent is ABSENT:
        return parent
    raise Fault("its parent is not an object")


def entry(parent: Any, name: str, value: Any, missing: Any) -> Any:
    """The entry of a list whose member ``name`` has that value."""
    if not isinstance(parent, list):
        return step(parent)
    for each in parent:
        if isinstance(each, dict) and each.get(name) == value:
            return each
    return missing


def nth(parent: Any, number: int, missing: Any) -> Any:
    """The entry of a list at that position."""
    if not isinstance(parent, list):
        return step(parent)
    return parent[number] if number < len(parent) else missing


def slot(parent: dict[str, Any], field: str, name: str, value: Any) -> Any:
    """The entry to fill in list ``field`` of the parent, made if it is not there."""
    entries = parent.setdefault(field, [])
    for each in entries:
        if each.get(name) == value:
            return each
    fresh = {name: value}
    entries.append(fresh)
    return fresh


def drop(record: dict[str, Any], field: str, name: str, value: Any) -> None:
    """Take an entry without ``value`` out of a new record; nobody needs it there."""
    entries = record.get(field)
    if entries is None:
        return
    kept = [e for e in entries if e.get(name) != value or "value" in e]
    if kept:
        record[field] = kept
    else:
        del record[field]


def settled(value: Any) -> Any:
    """A list of values without an order, in one fixed order."""
    if not isinstance(value, list) or len(value) < 2:  # noqa: PLR2004 - nothing to sort
        return value
    try:
        return sorted(value)
    except TypeError:
        return sorted(value, key=_order)


def _order(value: Any) -> str:
    try:
        return canonical_json(value)
    except (TypeError, ValueError):
        return repr(value)


def reach(data: Any, steps: Sequence[Step], missing: Any = None) -> Any:
    """The value at a place; for rare uses, generated code has its own way."""
    for each in steps:
        if isinstance(each, Key):
            data = (
                data.get(each.name, missing) if isinstance(data, dict) else step(data)
            )
        elif isinstance(each, At):
            data = entry(data, each.name, each.value, missing)
        elif isinstance(each, Nth):
            data = nth(data, each.number, missing)
    return data


def current(steps: Sequence[Step], path: str) -> Callable[[Any, Any], Any]:
    """A function ``(record so far, before)`` -> the record's current value there.

    What an earlier leaf has just put there counts as current, so that two converters
    can share one packed field.
    """

    def run(record: dict[str, Any], before: Any) -> Any:
        found = reach(record, steps, ABSENT)
        if found is not ABSENT:
            return found
        if before is None:
            message = (
                f"A before-image is needed to write {path}; fetch the record first."
            )
            raise NotApplied(message, code="translate.before", path=path)
        found = reach(before, steps)
        return None if found is BROKEN else found

    return run
