"""Paths resolved against a stream or an entity type: plain steps for the generator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

from moatbridge.entities import Shape, paths
from moatbridge.entities.paths import Every, Segment, Slot
from moatbridge.errors import ConfigurationError
from moatbridge.translate.problems import closest
from moatbridge.translate.typed import CREDENTIAL

if TYPE_CHECKING:
    from moatbridge.adapter import Field, FieldType


T = TypeVar("T")


class Key(NamedTuple):
    """Into a member of an object."""

    name: str


class At(NamedTuple):
    """Into the one entry of a list whose member ``name`` has that value."""

    name: str
    value: Any


class Nth(NamedTuple):
    """Into the entry at that position."""

    number: int


Step: TypeAlias = Key | At | Nth


@dataclass(frozen=True)
class Root:
    """What record paths start from: a stream, or the items of one of its lists.

    Args:
        what: For messages (``hr/people``).
        fields: None if nothing is known about them.
        case_insensitive: Names compare without case.
    """

    what: str
    fields: tuple[Field, ...] | None
    case_insensitive: bool = False

    def find(self, name: str, fields: tuple[Field, ...] | None) -> Field | None:
        """The field of that name among ``fields``, by the stream's rule of case."""
        if fields is self.fields:
            found = self._exact.get(name)
            return found or self._folded.get(name.casefold())
        return _named(name, fields or (), folded=self.case_insensitive)

    @cached_property
    def _exact(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields or ()}

    @cached_property
    def _folded(self) -> dict[str, Field]:
        if not self.case_insensitive:
            return {}
        return {field.name.casefold(): field for field in self.fields or ()}


@dataclass(frozen=True, slots=True)
class Place:
    """One place in records.

    Args:
        text: The path in the stream's own spelling.
        steps: How to get there.
        field: What is declared there, if anything is.
        multi: It is a list.
        writable: Nothing on the way forbids writing.
    """

    text: str
    steps: tuple[Step, ...]
    field: Field | None
    multi: bool = False
    writable: bool = True

    @property
    def top(self) -> str:
        """The record's field it lies in."""
        first = self.steps[0]
        return first.name if isinstance(first, Key) else ""

    @property
    def type(self) -> FieldType | None:
        """The field type declared there; None if unknown."""
        return self.field.type if self.field else None


@dataclass(frozen=True, slots=True)
class Spot:
    """One place in entities: path text, steps and shape."""

    text: str
    steps: tuple[Step, ...]
    shape: Shape


def record_place(text: str, root: Root) -> Place:
    """Resolve a record path.

    Raises:
        ConfigurationError: ``path.*``: no such field, a list on the way, a name that
            looks like a credential.
    """
    fields, place = root.fields, Place("", (), None)
    for segment in (segments := paths.parse(text, record=True)):
        field = _field(segment.name, fields, root)
        place = _step(place, segment, field, root, last=segment is segments[-1])
        if segment is not segments[-1]:
            _has_members(field, root)
        fields = field.fields or None if field else None
    return place


def entity_spot(text: str, shape: Shape, *, write: bool = True) -> Spot:
    """Resolve an entity path.

    Args:
        text: The path.
        shape: Of the entity.
        write: It is to be filled: read-only members are refused.

    Raises:
        ConfigurationError: ``path.*``.
    """
    steps: list[Step] = []
    path = paths.parse(text)
    for position, segment in enumerate(path):
        shape = _member(shape, segment.name)
        if shape.attribute.read_only and write:
            raise _wrong("read-only", f"{segment.name!r} is derived and read-only")
        steps.append(Key(segment.name))
        last = position == len(path) - 1
        shape = _select(shape, segment, steps, last=last)
        if not last and segment.selector is None and shape.kind == "list":
            raise _wrong("kind", _name_the_slot(segment.name))
    return Spot(_spelled(path), tuple(steps), shape)


class Taken(Generic[T]):
    """Who has taken which places; finds overlaps without comparing all with all."""

    def __init__(self) -> None:
        self._inside: dict[tuple[Step, ...], T] = {}
        self._whole: dict[tuple[Step, ...], T] = {}

    def find(self, steps: tuple[Step, ...]) -> T | None:
        """Who has taken this place, part of it, or all it lies in."""
        if steps in self._inside:
            return self._inside[steps]
        ancestors = (steps[:length] for length in range(1, len(steps)))
        return next((self._whole[a] for a in ancestors if a in self._whole), None)

    def take(self, steps: tuple[Step, ...], who: T) -> None:
        """Take a place."""
        self._whole.setdefault(steps, who)
        for length in range(1, len(steps) + 1):
            self._inside.setdefault(steps[:length], who)


def clash(one: tuple[Step, ...], other: tuple[Step, ...]) -> bool:
    """Whether two places are the same, or one lies inside the other."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _field(name: str, fields: tuple[Field, ...] | None, root: Root) -> Field | None:
    if CREDENTIAL.search(name):
        raise _wrong(
            "credential", f"{name!r} looks like a credential; it must not travel"
        )
    if fields is None:
        return None
    if found := root.find(name, fields):
        return found
    hint = closest(name, (field.name for field in fields))
    raise _wrong("unknown", f"no field {name!r} in {root.what}{hint}")


def _named(name: str, fields: tuple[Field, ...], *, folded: bool) -> Field | None:
    for field in fields:
        if field.name == name:
            return field
    for field in fields if folded else ():
        if field.name.casefold() == name.casefold():
            return field
    return None


def _step(
    place: Place, segment: Segment, field: Field | None, root: Root, *, last: bool
) -> Place:
    name = field.name if field else segment.name
    selector = segment.selector
    steps = (*place.steps, Key(name))
    multi = field is not None and field.multi
    if field is not None and not multi and selector is not None and field.type not in {
        "json", "any",
    }:  # fmt: skip
        raise _wrong("kind", f"{name!r} of {root.what} is not a list")
    if isinstance(selector, Slot):
        selector, at = _slot(selector, field, root)
        steps, multi = (*steps, at), False
    elif isinstance(selector, int):
        steps, multi = (*steps, Nth(selector)), False
    elif multi and not last:
        raise _wrong("kind", _name_the_slot(name))
    if isinstance(selector, Slot) and last:
        raise _wrong("kind", f"name a member after the slot ({name}[...].value)")
    shown = paths.show(
        (Segment(name, None if isinstance(selector, Every) else selector),)
    )
    return Place(
        f"{place.text}.{shown}" if place.text else shown,
        steps,
        field,
        multi or (field is None and isinstance(selector, Every)),
        place.writable
        and (field is None or field.writable)
        and not isinstance(selector, int),
    )


def _has_members(field: Field | None, root: Root) -> None:
    if field is not None and field.type not in {"object", "json", "any"}:
        message = f"nothing lies inside {field.name!r} of {root.what} ({field.type})"
        raise _wrong("kind", message)


def _slot(selector: Slot, field: Field | None, root: Root) -> tuple[Slot, At]:
    if field is None or not field.fields:
        return selector, At(selector.name, selector.value)
    member = _field(selector.name, field.fields, root)
    name = member.name if member else selector.name
    kind = member.type if member else "text"
    return Slot(name, selector.value), At(name, _typed(selector.value, kind))


def _typed(value: str, kind: str) -> Any:
    if kind == "bool" and value in {"true", "false"}:
        return value == "true"
    return value


def _member(shape: Shape, name: str) -> Shape:
    if shape.kind == "json":
        return shape
    if shape.kind == "map" and shape.item is not None:
        return shape.item
    if shape.kind == "object":
        if found := shape.members.get(name):
            return found
        raise _wrong(
            "unknown", f"no such member {name!r}{closest(name, shape.members)}"
        )
    raise _wrong("kind", f"{name!r} cannot lie inside {shape.kind}")


def _select(shape: Shape, segment: Segment, steps: list[Step], *, last: bool) -> Shape:
    selector = segment.selector
    if selector is None:
        return shape
    if shape.kind != "list" or shape.item is None:
        raise _wrong("kind", f"{segment.name!r} is not a list")
    if isinstance(selector, Slot):
        if shape.item.kind != "object":
            raise _wrong(
                "kind", f"{segment.name!r} has no slots; its entries are plain"
            )
        if last:
            raise _wrong(
                "kind", f"name a member after the slot ({segment.name}[...].value)"
            )
        member = _member(shape.item, selector.name)
        steps.append(At(selector.name, _typed(selector.value, member.kind)))
        return shape.item
    if not last:
        raise _wrong("kind", _name_the_slot(segment.name))
    return shape


def _spelled(path: paths.Path) -> str:
    return paths.show(
        tuple(
            Segment(each.name) if isinstance(each.selector, Every) else each
            for each in path
        )
    )


def _name_the_slot(name: str) -> str:
    return (
        f"{name!r} is a list; name one slot ({name}[type=work].value) or the whole list"
    )


def _wrong(what: str, message: str) -> ConfigurationError:
    return ConfigurationError(message, code=f"path.{what}")
