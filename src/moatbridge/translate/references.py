"""References inside entities: find them, and put resolved ones in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from moatbridge.translate.runtime import reach
from moatbridge.translate.steps import At, Key, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moatbridge.translate.bound import BoundTranslator
    from moatbridge.translate.leaves import Reference

ReferenceKey: TypeAlias = tuple[str, str, str]
"""``(stream address, "id" or "name", the id or name)``."""


class Replaced(NamedTuple):
    """An entity whose references are resolved.

    Args:
        entity: New where anything changed; unresolved references are left out of it.
        unresolved: ``(entity path, reference)`` of those.
    """

    entity: dict[str, Any]
    unresolved: list[tuple[str, dict[str, Any]]]


def reference_key(reference: Mapping[str, Any]) -> ReferenceKey:
    """The key under which a mapping holds what a reference resolves to."""
    by = "id" if "id" in reference else "name"
    return str(reference.get("stream", "")), by, str(reference.get(by, ""))


def references_in(
    entity: dict[str, Any], bound: BoundTranslator
) -> list[tuple[str, dict[str, Any]]]:
    """Every reference an entity holds, with its entity path.

    Args:
        entity: As the source translator decoded it (or cut, or masked later).
        bound: That source translator.
    """
    return [
        (place.path, found)
        for place in _places(bound)
        for found in _found(entity, place)
    ]


def replace_references(
    entity: dict[str, Any],
    bound: BoundTranslator,
    mapping: Mapping[ReferenceKey, Mapping[str, Any]],
) -> Replaced:
    """The entity with every reference replaced by what it resolves to.

    Args:
        entity: Not changed.
        bound: The source translator.
        mapping: `reference_key` -> ``{"stream": target, "id": ..., "name": ...}``.
    """
    unresolved: list[tuple[str, dict[str, Any]]] = []
    for place in _places(bound):
        missing = [
            (place.path, found)
            for found in _found(entity, place)
            if reference_key(found) not in mapping
        ]
        unresolved += missing
        entity = _put(entity, place.steps, place, mapping)
    return Replaced(entity, unresolved)


def _places(bound: BoundTranslator) -> list[Reference]:
    return [each for leaf in bound.resolved.leaves for each in leaf.references]


def _found(entity: dict[str, Any], place: Reference) -> Iterator[dict[str, Any]]:
    value = reach(entity, place.steps)
    entries = [value]
    if place.item is not None:
        entries = [reach(each, place.item) for each in value or ()]
    yield from (each for each in entries if isinstance(each, dict))


def _put(
    value: Any,
    steps: tuple[Step, ...],
    place: Reference,
    mapping: Mapping[ReferenceKey, Mapping[str, Any]],
) -> Any:
    if not steps:
        return _resolved(value, place, mapping)
    step, rest = steps[0], steps[1:]
    if isinstance(step, Key) and isinstance(value, dict) and step.name in value:
        fresh = _put(value[step.name], rest, place, mapping)
        if fresh is _GONE:
            return {name: each for name, each in value.items() if name != step.name}
        return {**value, step.name: fresh}
    if isinstance(step, At) and isinstance(value, list):
        return [
            _put(each, rest, place, mapping)
            if each.get(step.name) == step.value
            else each
            for each in value
        ]
    return value


_GONE: Any = object()


def _resolved(
    value: Any, place: Reference, mapping: Mapping[ReferenceKey, Mapping[str, Any]]
) -> Any:
    if place.item is None:
        if not isinstance(value, dict):
            return value
        found = mapping.get(reference_key(value))
        return _GONE if found is None else dict(found)
    if not isinstance(value, list):
        return value
    fresh = []
    for entry in value:
        reference = reach(entry, place.item)
        if not isinstance(reference, dict):
            fresh.append(entry)
        elif (found := mapping.get(reference_key(reference))) is not None:
            fresh.append(_with(entry, place.item, dict(found)))
    return fresh


def _with(entry: Any, steps: tuple[Step, ...], value: Any) -> Any:
    if not steps:
        return value
    step = steps[0]
    name = step.name if isinstance(step, Key) else ""
    inner = value if len(steps) == 1 else _with(entry[name], steps[1:], value)
    return {**entry, name: inner}
