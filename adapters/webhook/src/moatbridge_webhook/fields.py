"""An entity type as the fields of a native stream. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.adapter import Field

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moatbridge.adapter import FieldType
    from moatbridge.entities import EntityType, Shape

_TYPES: Final[dict[str, FieldType]] = {
    "text": "text",
    "int": "int",
    "bool": "bool",
    "json": "json",
    "map": "json",
    "object": "object",
    "reference": "reference",
}


def native_fields(entity: EntityType, streams: Mapping[str, str]) -> tuple[Field, ...]:
    """Everything the entity can say that can also be sent.

    References are carried where a stream of this system holds what they point to.

    Args:
        entity: The type.
        streams: Entity type -> local name of the stream that sends it.
    """
    return tuple(_members(entity.shape, streams))


def _members(shape: Shape, streams: Mapping[str, str]) -> Iterator[Field]:
    for name, member in shape.members.items():
        if member.attribute.read_only:
            continue
        found = _field(name, member, streams)
        if found is not None:
            yield found


def _field(name: str, shape: Shape, streams: Mapping[str, str]) -> Field | None:
    inner = shape.item if shape.kind == "list" and shape.item else shape
    inside = tuple(_members(inner, streams)) if inner.kind == "object" else ()
    if inner.kind == "object" and not inside:
        return None
    to = None
    if inner.kind == "reference":
        kinds = inner.attribute.ref or shape.attribute.ref
        to = next((streams[kind] for kind in kinds if kind in streams), None)
        if to is None:
            return None
    return Field(
        name,
        _TYPES[inner.kind],
        multi=shape.kind == "list",
        ordered=not shape.attribute.unordered,
        to=to,
        fields=inside,
    )
