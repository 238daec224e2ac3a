"""Values of entities taken apart for reading: one line a plain value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.entities import paths
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator


def leaves(path: str, whole: Any) -> Iterator[tuple[str, Any]]:
    """Every plain value at or below a path.

    Args:
        path: Entity path.
        whole: Value of the path's first segment (the whole ``emails`` list).
    """
    yield from _flat(path, _at(path, whole))


def _at(path: str, whole: Any) -> Any:
    try:
        segments = paths.parse(path)
    except ConfigurationError:  # a member such as urn:ietf:...:User, shown as it is
        return whole
    value = _selected(whole, segments[0].selector)
    for segment in segments[1:]:
        value = value.get(segment.name) if isinstance(value, dict) else None
        value = _selected(value, segment.selector)
    return value


def _selected(value: Any, selector: paths.Selector) -> Any:
    if not isinstance(selector, paths.Slot) or not isinstance(value, list):
        return value
    for entry in value:
        if isinstance(entry, dict) and entry.get(selector.name) == selector.value:
            return entry
    return None


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _flat(f"{path}.{name}", part)
    elif isinstance(value, list) and value:
        for number, entry in enumerate(value):
            kind = entry.get("type") if isinstance(entry, dict) else None
            place = f"type={kind}" if kind else str(number)
            rest = (
                entry if not kind else {k: v for k, v in entry.items() if k != "type"}
            )
            yield from _flat(f"{path}[{place}]", rest)
    else:
        yield path, value
