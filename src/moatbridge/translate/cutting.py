"""Cuts an entity down to what a target can hold, given what its source produces.

The tree of what to keep becomes closures once, when the flow is compiled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from moatbridge.errors import ConfigurationError
from moatbridge.translate.steps import At, Key, Step, clash, entity_spot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from moatbridge.entities import Shape
    from moatbridge.translate.leaves import Leaf
    from moatbridge.translate.resolve import Resolved

    _Cut: TypeAlias = Callable[[Any], Any]


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
    return _object(root)


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


def _object(node: _Node) -> _Cut:
    if node.whole:
        return _as_it_is
    members = [(name, _value(member)) for name, member in node.members.items()]

    def cut(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: inner(value[name]) for name, inner in members if name in value}

    return cut


def _as_it_is(value: Any) -> Any:
    return value


def _value(node: _Node) -> _Cut:
    if node.whole:
        return _as_it_is
    if node.reference is not None:
        stream, by = node.reference
        return lambda value: _reference(value, stream, by)
    inside, listed = _object(node), _list(node)
    if node.entry is not None:
        each = _object(node.entry)
        listed = lambda entries: [each(entry) for entry in entries]  # noqa: E731

    def cut(value: Any) -> Any:
        return listed(value) if isinstance(value, list) else inside(value)

    return cut


def _reference(value: Any, stream: str, by: str) -> Any:
    # what decoding the target's record would give: one of id and name
    if not isinstance(value, dict) or by not in value:
        return value
    return {"stream": value.get("stream", stream), by: value[by]}


def _list(node: _Node) -> Callable[[list[Any]], list[Any]]:
    slots = [
        (at.name, at.value, _object(inner), dict.fromkeys(inner.members))
        for at, inner in node.slots.items()
    ]
    filled = node.filled

    def cut(entries: list[Any]) -> list[Any]:
        kept = []
        for name, value, inside, blank in slots:
            for entry in entries:
                if entry.get(name) == value:
                    part = {name: value, **inside(entry)}
                    if filled:
                        part |= {n: None for n in blank if n not in part}
                    kept.append(part)
                    break
            else:
                if filled:
                    kept.append({name: value, **blank})
        return kept

    return cut
