"""``const``: a fixed value, checked against its place, references in it included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.entities import EntityType, Fault, Shape, check, plain
from moatbridge.entities.audience import audience_fault
from moatbridge.errors import ConfigurationError
from moatbridge.translate.leaves import Leaf, Reference
from moatbridge.translate.steps import Key
from moatbridge.translate.typed import checker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.translate.sources import Const
    from moatbridge.translate.steps import Spot, Step

_SCALAR = frozenset({"text", "bool", "int"})


def address_of(to: str, system: str) -> str:
    """A stream address, completed with the system if it is a local name."""
    return to if "/" in to else f"{system}/{to}"


def const_leaf(spot: Spot, source: Const, system: str, limit: int) -> Leaf:
    """The leaf of a constant.

    Args:
        spot: Where it stands.
        source: The constant.
        system: Completes local stream names in references.
        limit: Characters of one text.

    Raises:
        ConfigurationError: ``translate.kind``: the value cannot stand there.
    """
    try:
        value = source.value
        if value is not None:
            value = _completed(checker(spot.shape, limit)(value), spot.shape, system)
    except Fault as fault:
        raise _kind(f"the constant is {fault}") from None
    if value is None or spot.shape.kind in _SCALAR:
        return Leaf(spot, source, (), lambda: value)
    _check(spot, value)
    references = tuple(dict.fromkeys(_references(value, spot.shape, spot.steps, spot)))
    return Leaf(spot, source, (), lambda: plain.plain(value), references=references)


def _check(spot: Spot, value: Any) -> None:
    shape = Shape("object", {"const": spot.shape})
    problems = check({"const": value}, EntityType("const", shape))
    if problems:
        first = problems[0]
        raise _kind(f"{first.path} of the constant must be {first.expected}")
    if spot.text == "audience" and (fault := audience_fault(value)):
        raise _kind(f"the constant must have {fault}")


def _completed(value: Any, shape: Shape | None, system: str) -> Any:
    """The value with the addresses of its references completed."""
    if shape is None or value is None:
        return value
    if shape.kind == "reference":
        if not isinstance(value, dict) or not isinstance(value.get("stream"), str):
            raise Fault("a reference without its stream")
        return {**value, "stream": address_of(value["stream"], system)}
    if isinstance(value, dict):
        below = {
            name: shape.item if shape.kind == "map" else shape.members.get(name)
            for name in value
        }
        return {n: _completed(each, below[n], system) for n, each in value.items()}
    if isinstance(value, list):
        return [_completed(each, shape.item, system) for each in value]
    return value


def _references(
    value: Any, shape: Shape, steps: tuple[Step, ...], spot: Spot
) -> Iterator[Reference]:
    if shape.kind == "reference":
        yield _reference(value, steps, spot, None)
    elif shape.kind == "list" and shape.item is not None:
        for entry in value:
            for inner in _references(entry, shape.item, (), spot):
                yield Reference(
                    spot.text, inner.to, inner.by, steps, inner.item or inner.steps
                )
    elif shape.kind == "object":
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from _references(value[name], member, (*steps, Key(name)), spot)


def _reference(
    value: dict[str, Any], steps: tuple[Step, ...], spot: Spot, item: Any
) -> Reference:
    by = "id" if "id" in value else "name"
    return Reference(spot.text, value["stream"], by, steps, item)  # type: ignore[arg-type]


def _kind(message: str) -> ConfigurationError:
    return ConfigurationError(message, code="translate.kind")
