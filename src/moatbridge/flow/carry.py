"""What a flow carries: some paths of an entity, cut out and compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities.paths import Segment, Slot, parse
from moatbridge.ledger.keys import path_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moatbridge.entities.paths import Path

_MISSING: Final = object()
_WIDTH: Final = 4


@dataclass(slots=True)
class _Branch:
    whole: bool = False
    members: dict[str, _Branch] = field(default_factory=dict)
    slots: dict[tuple[str, str], _Branch] = field(default_factory=dict)

    def grow(self, segments: Path) -> None:
        if not segments:
            self.whole = True
            return
        first = segments[0]
        branch = self.members.setdefault(first.name, _Branch())
        if isinstance(first.selector, Slot):
            key = (first.selector.name, first.selector.value)
            branch = branch.slots.setdefault(key, _Branch())
        branch.grow(segments[1:])


class Carry:
    """A set of entity paths, compiled once per flow. Immutable; falsy when empty."""

    __slots__ = ("_layout", "_parsed", "_root", "paths")

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths: tuple[str, ...] = tuple(dict.fromkeys(paths))
        self._parsed = tuple(parse(text) for text in self.paths)
        self._root = _Branch()
        for path in self._parsed:
            self._root.grow(path)
        self._layout = path_hash(self.paths)

    def __bool__(self) -> bool:
        return bool(self.paths)

    def cut(self, entity: dict[str, Any]) -> dict[str, Any]:
        """A new entity that holds only these paths; absent stays absent."""
        return _object(entity, self._root)

    def base(
        self,
        entity: dict[str, Any],
        former: bytes | None = None,
        there: dict[str, Any] | None = None,
        elements: Mapping[str, list[tuple[bytes, bytes]]] | None = None,
    ) -> bytes:
        """Four bytes per path (after four for the layout): ``link.base``."""
        del former, there, elements  # only a pair remembers more than what is sent
        hashes = [self._layout]
        for path in self._parsed:
            value = _value(entity, path)
            hashes.append(path_hash(None if value is _MISSING else value))
        return b"".join(hashes)

    def changed(self, entity: dict[str, Any], base: bytes | None) -> tuple[str, ...]:
        """Paths whose value differs from the last agreement; all if that is unknown."""
        said = [
            (number, text, value)
            for number, (text, path) in enumerate(
                zip(self.paths, self._parsed, strict=True), start=1
            )
            if (value := _value(entity, path)) is not _MISSING
        ]
        if base is None or base[:_WIDTH] != self._layout:
            return tuple(text for _number, text, _value_ in said)
        differing = tuple(
            text
            for number, text, value in said
            if base[number * _WIDTH : (number + 1) * _WIDTH] != path_hash(value)
        )
        return differing or tuple(text for _number, text, _value_ in said)

    def moved(self, entity: dict[str, Any], base: bytes | None, head: str) -> bool:
        """Whether a member is known to differ from the last agreement."""
        if base is None or base[:_WIDTH] != self._layout:
            return False
        return any(
            path[0].name == head
            and (value := _value(entity, path)) is not _MISSING
            and base[number * _WIDTH : (number + 1) * _WIDTH] != path_hash(value)
            for number, path in enumerate(self._parsed, start=1)
        )

    def values(self, entity: dict[str, Any]) -> dict[str, Any]:
        """Path -> value, of the paths about which the entity says something."""
        found = {
            text: _value(entity, path)
            for text, path in zip(self.paths, self._parsed, strict=True)
        }
        return {text: value for text, value in found.items() if value is not _MISSING}


def _object(value: dict[str, Any], branch: _Branch) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, child in branch.members.items():
        found = value.get(name, _MISSING)
        if found is _MISSING:
            continue
        if child.whole or found is None:
            out[name] = found
        elif isinstance(found, list):
            out[name] = _entries(found, child)
        elif isinstance(found, dict) and (part := _object(found, child)):
            out[name] = part
    return out


def _entries(entries: list[Any], branch: _Branch) -> list[Any]:
    kept = []
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        part = _object(entry, branch)
        for (name, value), slot in branch.slots.items():
            if entry.get(name) == value:
                part = dict(entry) if slot.whole else {**part, **_object(entry, slot)}
                part[name] = value
        if part:
            kept.append(part)
    return kept


def _value(entity: Any, path: Path) -> Any:
    for segment in path:
        if not isinstance(entity, dict):
            return _MISSING
        entity = entity.get(segment.name, _MISSING)
        if entity is _MISSING:
            return _MISSING
        if isinstance(segment.selector, Slot):
            entity = _slot(entity, segment)
        if isinstance(entity, list) and segment is not path[-1]:
            rest = path[path.index(segment) + 1 :]
            return [_value(entry, rest) for entry in entity]
    return entity


def _slot(entries: Any, segment: Segment) -> Any:
    if isinstance(entries, list) and isinstance(segment.selector, Slot):
        name, value = segment.selector
        for entry in entries:
            if isinstance(entry, dict) and entry.get(name) == value:
                return entry
    return _MISSING
