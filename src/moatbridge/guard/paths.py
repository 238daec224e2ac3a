"""Sets of entity paths: what may leave, what must not (guard 17)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities.paths import Segment, Slot, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_SAID_MOST: Final = 20
_BESIDES: Final = frozenset({"type", "primary"})
_DELTA: Final = frozenset({"add", "remove"})


@dataclass(slots=True)
class _Branch:
    """A member: wholly in the set, or some of its members or slots."""

    path: str = ""
    whole: str | None = None
    members: dict[str, _Branch] = field(default_factory=dict)
    slots: dict[tuple[str, str], _Branch] = field(default_factory=dict)

    def grow(self, segments: tuple[Segment, ...], text: str) -> None:
        if not segments:
            self.whole = text
            return
        first, *rest = segments
        path = f"{self.path}.{first.name}" if self.path else first.name
        branch = self.members.setdefault(first.name, _Branch(path))
        if isinstance(first.selector, Slot):
            branch = branch.slots.setdefault(
                (first.selector.name, first.selector.value), _Branch(path + "[]")
            )
        branch.grow(tuple(rest), text)

    def matching(self, entry: Mapping[str, Any]) -> list[tuple[str, _Branch]]:
        """The slots that this entry of a list lies in, each with its selector's key."""
        return [
            (name, branch)
            for (name, value), branch in self.slots.items()
            if entry.get(name) == value
        ]


class PathSet:
    """Some paths into an entity, compiled once per flow; immutable.

    Args:
        paths: Entity paths (`moatbridge.entities.paths`); ``emails`` means the whole
            list, ``emails[type=work].value`` one member of one slot.

    Raises:
        ConfigurationError: ``path.syntax``.
    """

    __slots__ = ("_inside", "_root", "paths")

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self.paths: tuple[str, ...] = tuple(dict.fromkeys(paths))
        self._root = _Branch()
        for text in self.paths:
            self._root.grow(parse(text), text)
        self._inside = _object_inside(self._root)

    def __bool__(self) -> bool:
        return bool(self.paths)

    def __repr__(self) -> str:
        return f"PathSet({list(self.paths)})"

    def outside(self, entity: Mapping[str, Any]) -> tuple[str, ...]:
        """Paths of the entity that are not in the set; at most 20 of them."""
        if self._inside(entity):
            return ()
        members = self._root.members
        found: list[str] = []
        for name, value in entity.items():
            branch = members.get(name)
            if branch is None:
                found.append(name)
            elif branch.whole is None and value is not None:
                _outside(value, branch, found)
        return tuple(dict.fromkeys(found))[:_SAID_MOST]

    def removed_from(
        self, entity: dict[str, Any]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The entity without these paths, and which of them it held.

        What is left empty by the removal is left out, so it "says nothing" instead of
        clearing. The entity handed in is not changed; if it held none of the paths it
        is returned as it is.
        """
        removed: list[str] = []
        rest = _object_without(entity, self._root, removed)
        if not removed:
            return entity, ()
        return rest, tuple(dict.fromkeys(removed))


def _object_inside(branch: _Branch) -> Callable[[Any], bool]:
    """Says quickly that an object is in the set; whatever it doubts is looked at."""
    whole = frozenset(_whole(branch))
    deeper = {n: _value_inside(u) for n, u in branch.members.items() if not u.whole}
    if _DELTA & branch.members.keys():
        return lambda _value: False

    def inside(value: Any) -> bool:
        if value.__class__ is not dict:
            return False
        for name in value.keys() - whole:
            under = deeper.get(name)
            if under is None:
                return False
            member = value[name]
            if member is not None and not under(member):
                return False
        return True

    return inside


def _value_inside(branch: _Branch) -> Callable[[Any], bool]:
    object_inside = _object_inside(branch)
    whole = _whole(branch)
    slots = [
        (name, value, None if slot.whole else frozenset({name, *whole, *_whole(slot)}))
        for (name, value), slot in branch.slots.items()
    ]

    def inside(value: Any) -> bool:
        if value.__class__ is not list:
            return object_inside(value)
        for entry in value:
            if entry.__class__ is not dict:
                return False
            for name, selected, names in slots:
                within = names is None or entry.keys() <= names
                if within and entry.get(name) == selected:
                    break
            else:
                return False
        return True

    return inside


def _whole(branch: _Branch) -> list[str]:
    return [name for name, under in branch.members.items() if under.whole]


def _outside(value: Any, branch: _Branch, found: list[str]) -> None:
    if isinstance(value, list):
        for entry in value:
            _entry_outside(entry, branch, found)
    elif not isinstance(value, dict):
        found.append(branch.path)
    elif _is_delta(value):
        for entries in value.values():
            _outside(entries, branch, found)
    else:
        _members_outside(value, branch, (), found)


def _entry_outside(entry: Any, branch: _Branch, found: list[str]) -> None:
    if not isinstance(entry, dict):
        found.append(branch.path + "[]")
        return
    slots = branch.matching(entry) if branch.slots else ()
    for _, slot in slots:
        if slot.whole is not None:
            return
    if slots or branch.members:
        _members_outside(entry, branch, slots, found)
    else:
        found.append(branch.path + "[]")


def _members_outside(
    value: dict[str, Any],
    branch: _Branch,
    slots: Sequence[tuple[str, _Branch]],
    found: list[str],
) -> None:
    for name, member in value.items():
        under = branch.members.get(name)
        for selected, slot in slots:
            if name == selected:
                break
            under = under or slot.members.get(name)
        else:
            if under is None:
                found.append(f"{branch.path}{'[]' if slots else ''}.{name}")
            elif under.whole is None and member is not None:
                _outside(member, under, found)


def _without(value: Any, branch: _Branch, removed: list[str]) -> Any:
    if isinstance(value, list):
        return _list_without(value, branch, removed)
    if _is_delta(value):
        return {k: _list_without(v, branch, removed) for k, v in value.items()}
    if isinstance(value, dict):
        return _object_without(value, branch, removed)
    return value


def _object_without(
    value: dict[str, Any], branch: _Branch, removed: list[str]
) -> dict[str, Any]:
    rest = {}
    for name, member in value.items():
        under = branch.members.get(name)
        if under is None:
            rest[name] = member
        elif under.whole is not None:
            removed.append(under.whole)
        else:
            kept = _without(member, under, removed)
            if kept or not member:
                rest[name] = kept
    return rest


def _list_without(entries: list[Any], branch: _Branch, removed: list[str]) -> list[Any]:
    rest = []
    for entry in entries:
        kept = _entry_without(entry, branch, removed)
        if kept is not None:
            rest.append(kept)
    return rest


def _entry_without(entry: Any, branch: _Branch, removed: list[str]) -> Any:
    if not isinstance(entry, dict):
        return entry
    kept = _object_without(entry, branch, removed)
    for _, slot in branch.matching(entry):
        if slot.whole is not None:
            removed.append(slot.whole)
            return None
        kept = _object_without(kept, slot, removed)
    emptied = len(kept) < len(entry) and not kept.keys() - _BESIDES
    return None if emptied else kept


def _is_delta(value: Any) -> bool:
    """Whether a list comes as additions and removals (entities 18)."""
    return (
        isinstance(value, dict)
        and bool(value)
        and value.keys() <= _DELTA
        and all(isinstance(entries, list) for entries in value.values())
    )
