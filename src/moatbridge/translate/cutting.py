"""Cuts an entity down to what a target can hold, given what its source produces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from moatbridge.errors import ConfigurationError
from moatbridge.translate.steps import At, Key, Step, clash, entity_spot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from moatbridge.entities import Shape
    from moatbridge.translate.leaves import Leaf
    from moatbridge.translate.resolve import Resolved


@dataclass(slots=True)
class _Node:
    """What to keep of one value.

    Args:
        whole: All of it.
        members: Of an object.
        slots: Of a list.
        filled: A list without a slot's entry means that the entry is gone.
        entry: Of a whole list of entries: what to keep of each.
        reference: Stream and "id" or "name" that the target refers with.
    """

    whole: bool = False
    entry: _Node | None = None
    reference: tuple[str, str] | None = None
    members: dict[str, _Node] = field(default_factory=dict)
    slots: dict[At, _Node] = field(default_factory=dict)
    filled: bool = False


def cutter(
    resolved: Resolved, paths: Iterable[str]
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """See `BoundTranslator.restrict`; unknown paths are ignored."""
    produced = list(_spots(paths, resolved.shape))
    root = _Node()
    for leaf in resolved.leaves:
        if leaf.write is None:
            continue
        for steps in produced:
            if clash(steps, leaf.spot.steps):
                _keep(root, steps, leaf)
    return lambda entity: _object(entity, root)


def _spots(paths: Iterable[str], shape: Shape) -> Iterator[tuple[Step, ...]]:
    for path in paths:
        try:
            yield entity_spot(path, shape, write=False).steps
        except ConfigurationError:
            continue


def _keep(root: _Node, produced: tuple[Step, ...], leaf: Leaf) -> None:
    node, held = root, leaf.spot.steps
    longer = max(produced, held, key=len)
    for position, step in enumerate(longer):
        if isinstance(step, At):
            node.filled = node.filled or position >= len(produced)
            node = node.slots.setdefault(step, _Node())
        elif isinstance(step, Key):
            node = node.members.setdefault(step.name, _Node())
    if longer != held:
        node.whole = True  # the source holds less than this leaf takes: all of that
        return
    node.whole = not leaf.inner and not leaf.references
    if leaf.inner:
        node.entry = _Node()
        for inner in leaf.inner:
            _keep(node.entry, inner.spot.steps, inner)
    elif leaf.references:
        node.reference = leaf.references[0].to, leaf.references[0].by


def _object(value: Any, node: _Node) -> Any:
    if node.whole or not isinstance(value, dict):
        return value
    return {
        name: _value(value[name], member)
        for name, member in node.members.items()
        if name in value
    }


def _value(value: Any, node: _Node) -> Any:
    if node.whole:
        return value
    if node.reference is not None:
        return _reference(value, *node.reference)
    if node.entry is not None and isinstance(value, list):
        return [_object(each, node.entry) for each in value]
    if isinstance(value, list):
        return _list(value, node)
    return _object(value, node)


def _reference(value: Any, stream: str, by: str) -> Any:
    # what decoding the target's record would give: one of id and name
    if not isinstance(value, dict) or by not in value:
        return value
    return {"stream": value.get("stream", stream), by: value[by]}


def _list(entries: list[Any], node: _Node) -> list[Any]:
    kept = []
    for at, inner in node.slots.items():
        found = next((each for each in entries if each.get(at.name) == at.value), None)
        if found is not None:
            kept.append({at.name: at.value, **_object(found, inner)})
            if node.filled:
                kept[-1] |= {n: None for n in inner.members if n not in kept[-1]}
        elif node.filled:
            kept.append({at.name: at.value, **dict.fromkeys(inner.members)})
    return kept
