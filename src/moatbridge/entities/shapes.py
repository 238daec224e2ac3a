"""What an entity type looks like, read once from its ``TypedDict`` (entities 2-3)."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, Literal, NotRequired, Required, TypeAlias

from moatbridge.errors import ConfigurationError

if typing.TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.entities.labels import Label

Kind: TypeAlias = Literal[
    "text", "int", "bool", "json", "reference", "object", "list", "map"
]

MAX_NESTING: Final = 6

_PLAIN: Final[dict[Any, Kind]] = {str: "text", int: "int", bool: "bool", Any: "json"}


@dataclass(frozen=True, slots=True)
class Attribute:
    """What a member's type alone cannot say; stands in ``Annotated[...]``.

    Args:
        ref: Entity types a reference may point to; empty if it is none.
        unordered: The order of the list's entries means nothing.
        delta: In partial changes the list may be ``{"add": [...], "remove": [...]}``.
        label: Lowest confidentiality label of what stands here.
        read_only: Derived; no translator may name it.
        multiline: Line breaks and tabs are part of the text.
        identifier: Used as a key: invisible characters are removed from it.
    """

    ref: tuple[str, ...] = ()
    unordered: bool = False
    delta: bool = False
    label: Label | None = None
    read_only: bool = False
    multiline: bool = False
    identifier: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """One node of an entity type.

    Args:
        kind: ``object`` has ``members``; ``list`` and ``map`` have an ``item``.
        required: A valid entity has it.
        words: The only texts allowed here; empty if any is.
    """

    kind: Kind
    members: dict[str, Shape] = field(default_factory=dict)
    item: Shape | None = None
    required: bool = False
    attribute: Attribute = Attribute()
    words: tuple[str, ...] = ()

    def walk(
        self, prefix: tuple[str, ...] = ()
    ) -> Iterator[tuple[tuple[str, ...], Shape]]:
        """Every node below this one, with the member names that lead to it.

        The entries of a list are not entered.
        """
        for name, member in self.members.items():
            yield (*prefix, name), member
            yield from member.walk((*prefix, name))


@dataclass(frozen=True, slots=True)
class EntityType:
    """A canonical type that translators may target.

    Args:
        name: ``Person``, or a reverse-DNS name of one's own.
        shape: Its members.
        label: Label of such data when nothing else is said.
        unordered: Top-level members in which the order of some list means nothing.
    """

    name: str
    shape: Shape
    label: Label = "internal"
    unordered: frozenset[str] = frozenset()


def describe(name: str, declared: type, *, label: Label = "internal") -> EntityType:
    """Read an entity type from a ``TypedDict``.

    Args:
        name: What it shall be called.
        declared: The ``TypedDict`` class.
        label: Its default label.

    Raises:
        ConfigurationError: ``entity.type``: every problem found, all at once.
    """
    if not typing.is_typeddict(declared):
        message = f"Entity type {name!r} must be declared as a TypedDict class."
        raise ConfigurationError(message, code="entity.type")
    problems: list[str] = []
    shape = _members(declared, "", 1, problems)
    if problems:
        message = f"Entity type {name!r} cannot be used: " + "; ".join(problems) + "."
        raise ConfigurationError(message, code="entity.type", problems=problems)
    loose = (name for name, each in shape.members.items() if _unordered(each))
    return EntityType(name, shape, label, frozenset(loose))


def _unordered(shape: Shape) -> bool:
    inside = [*shape.members.values(), *([shape.item] if shape.item else [])]
    return shape.attribute.unordered or any(map(_unordered, inside))


def _members(declared: Any, at: str, depth: int, problems: list[str]) -> Shape:
    if depth > MAX_NESTING:
        problems.append(f"{at.rstrip('.')} nests deeper than {MAX_NESTING} levels")
        return Shape("object")
    members = {
        name: replace(
            _shape(hint, f"{at}{name}", depth, problems),
            required=_required(declared, name, hint),
        )
        for name, hint in typing.get_type_hints(declared, include_extras=True).items()
    }
    if not members:
        problems.append(f"{at.rstrip('.') or 'it'} has no members")
    return Shape("object", members)


def _required(declared: Any, name: str, hint: Any) -> bool:
    # The class's own sets are wrong under ``from __future__ import annotations``.
    origin = typing.get_origin(hint)
    if origin in {Required, NotRequired}:
        return origin is Required
    return name in declared.__required_keys__


def _shape(hint: Any, at: str, depth: int, problems: list[str]) -> Shape:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {Required, NotRequired}:
        return _shape(arguments[0], at, depth, problems)
    if origin is Annotated:
        attribute = next((a for a in arguments[1:] if isinstance(a, Attribute)), None)
        shape = _shape(arguments[0], at, depth, problems)
        return replace(shape, attribute=attribute) if attribute else shape
    if origin in {types.UnionType, typing.Union}:
        return _optional(arguments, at, depth, problems)
    if origin in {list, dict}:
        return _container(origin, arguments, at, depth, problems)
    return _leaf(hint, at, depth, problems)


def _container(
    origin: Any, arguments: tuple[Any, ...], at: str, depth: int, problems: list[str]
) -> Shape:
    if origin is list:
        return Shape("list", item=_shape(arguments[0], f"{at}[]", depth, problems))
    if arguments[0] is not str:
        problems.append(f"{at} has keys that are not text")
    return Shape("map", item=_shape(arguments[1], f"{at}.*", depth + 1, problems))


def _leaf(hint: Any, at: str, depth: int, problems: list[str]) -> Shape:
    if typing.is_typeddict(hint):
        if hint.__name__ == "Reference":
            return Shape("reference")
        return _members(hint, f"{at}.", depth + 1, problems)
    if _is_words(hint):
        return Shape("text", words=typing.get_args(hint))
    if hint in _PLAIN:
        return Shape(_PLAIN[hint])
    shown = getattr(hint, "__name__", str(hint))
    problems.append(
        f"{at} has the type {shown}; entities hold str, int, bool, None, list and dict"
        + (" (decimals are strings)" if hint is float else "")
    )
    return Shape("json")


def _optional(
    arguments: tuple[Any, ...], at: str, depth: int, problems: list[str]
) -> Shape:
    real = [each for each in arguments if each is not types.NoneType]
    if len(real) != 1:
        problems.append(f"{at} is a union; only 'X | None' is allowed")
        return Shape("json")
    return _shape(real[0], at, depth, problems)


def _is_words(hint: Any) -> bool:
    return typing.get_origin(hint) is Literal and all(
        isinstance(each, str) for each in typing.get_args(hint)
    )
