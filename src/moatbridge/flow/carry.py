"""What a flow carries: some paths of an entity, cut out and compared.

Paths become closures once, when the flow is compiled: per record nothing is looked at
but the entity (design 0031).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moatbridge.entities.paths import Slot, parse
from moatbridge.ledger.keys import path_hash, path_hashes
from moatbridge.translate.looking import looker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moatbridge.entities.paths import Path

    _Read: TypeAlias = Callable[[Any], Any]
    _Cut: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]

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

    __slots__ = ("_cut", "_layout", "_look", "_parsed", "paths")

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths: tuple[str, ...] = tuple(dict.fromkeys(paths))
        self._parsed = tuple(parse(text) for text in self.paths)
        readers = tuple(_reader(path) for path in self._parsed)
        self._look = looker(
            self._parsed,
            _MISSING,
            entry=_slot,
            slow=lambda entity: tuple(read(entity) for read in readers),
        )
        root = _Branch()
        for path in self._parsed:
            root.grow(path)
        self._cut = _cutter(root)
        self._layout = path_hash(self.paths)

    def __bool__(self) -> bool:
        return bool(self.paths)

    def cut(self, entity: dict[str, Any]) -> dict[str, Any]:
        """A new entity that holds only these paths; absent stays absent."""
        return self._cut(entity)

    def base(
        self,
        entity: dict[str, Any],
        former: bytes | None = None,
        there: dict[str, Any] | None = None,
        elements: Mapping[str, list[tuple[bytes, bytes]]] | None = None,
    ) -> bytes:
        """Four bytes per path (after four for the layout): ``link.base``."""
        del former, there, elements  # only a pair remembers more than what is sent
        return self._layout + b"".join(path_hashes(self._look(entity), _MISSING))

    def changed(self, entity: dict[str, Any], base: bytes | None) -> tuple[str, ...]:
        """Paths whose value differs from the last agreement; all if that is unknown."""
        said = [
            (number, text, value)
            for number, (text, value) in enumerate(
                zip(self.paths, self._look(entity), strict=True), start=1
            )
            if value is not _MISSING
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
            and value is not _MISSING
            and base[number * _WIDTH : (number + 1) * _WIDTH] != path_hash(value)
            for number, (path, value) in enumerate(
                zip(self._parsed, self._look(entity), strict=True), start=1
            )
        )

    def values(self, entity: dict[str, Any]) -> dict[str, Any]:
        """Path -> value, of the paths about which the entity says something."""
        return {
            text: value
            for text, value in zip(self.paths, self._look(entity), strict=True)
            if value is not _MISSING
        }


@lru_cache(maxsize=512)
def carrying(paths: tuple[str, ...]) -> Carry:
    """`Carry`, made once for the paths that many records of a flow say."""
    return Carry(paths)


def _cutter(branch: _Branch) -> _Cut:
    members = [
        (name, child.whole, _cutter(child), _entries_cutter(child))
        for name, child in branch.members.items()
    ]

    def cut(value: dict[str, Any]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, whole, inside, entries in members:
            if name not in value:
                continue
            found = value[name]
            if whole or found is None:
                out[name] = found
            elif isinstance(found, list):
                out[name] = entries(found)
            elif isinstance(found, dict) and (part := inside(found)):
                out[name] = part
        return out

    return cut


def _entries_cutter(branch: _Branch) -> Callable[[list[Any]], list[Any]]:
    inside: _Cut = _cutter(branch) if branch.members else lambda _entry: {}
    slots = [
        (name, value, slot.whole, _cutter(slot))
        for (name, value), slot in branch.slots.items()
    ]

    def cut(entries: list[Any]) -> list[Any]:
        kept = []
        for entry in entries:
            if not isinstance(entry, dict):
                continue
            part = inside(entry)
            for name, value, whole, within in slots:
                if entry.get(name) == value:
                    part = dict(entry) if whole else {**part, **within(entry)}
                    part[name] = value
            if part:
                kept.append(part)
        return kept

    return cut


def _reader(path: Path) -> _Read:
    """What reads one path of an entity; `_MISSING` where it says nothing."""
    first, name = path[0], path[0].name
    slot = first.selector if isinstance(first.selector, Slot) else None
    rest = _reader(path[1:]) if len(path) > 1 else None

    def read(value: Any) -> Any:
        if not isinstance(value, dict) or name not in value:
            return _MISSING
        found = value[name]
        if slot is not None:
            found = _slot(found, slot)
        if rest is None:
            return found
        if not isinstance(found, list):
            return rest(found)
        told = [rest(each) for each in found]
        return [each for each in told if each is not _MISSING]

    return read


def _slot(entries: Any, slot: Slot) -> Any:
    if isinstance(entries, list):
        name, value = slot
        for entry in entries:
            if isinstance(entry, dict) and entry.get(name) == value:
                return entry
    return _MISSING
