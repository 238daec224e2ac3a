"""Sources for streams whose records already have the entity's shape and names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.entities import Shape, paths
from moatbridge.entities.paths import Segment
from moatbridge.errors import ConfigurationError
from moatbridge.translate.sources import Copy, Each, Ref, Source
from moatbridge.translate.steps import Place, Root, entity_spot, record_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from moatbridge.adapter import Field, Stream
    from moatbridge.entities import EntityType


def native_fields(
    entity: EntityType, wanted: Sequence[str], stream: Stream
) -> dict[str, Source]:
    """Entity path -> source, for those paths that the stream can hold.

    Args:
        entity: The entity type.
        wanted: Entity paths; objects stand for all their members.
        stream: The native stream.
    """
    root = Root(stream.name, stream.fields, stream.case_insensitive)
    found: dict[str, Source] = {}
    for path in wanted:
        for leaf, shape in _leaves(path, entity.shape):
            source = _source(leaf, shape, root)
            if source is not None:
                found[leaf] = source
    return found


def _leaves(path: str, shape: Shape) -> Iterator[tuple[str, Shape]]:
    try:
        spot = entity_spot(path, shape)
    except ConfigurationError:
        return
    if spot.shape.kind != "object":
        yield spot.text, spot.shape
        return
    for name in spot.shape.members:
        yield from _leaves(f"{spot.text}.{paths.quote(name)}", shape)


def _source(path: str, shape: Shape, root: Root) -> Source | None:
    try:
        place = record_place(path, root)
    except ConfigurationError:
        return None
    if shape.kind == "reference" or _refers(shape, place):
        return Ref(place.text)
    if shape.kind != "list" or shape.item is None or place.field is None:
        return Copy(place.text)
    inner = dict(_entry(place.field.fields, shape.item))
    if any(isinstance(source, Ref) for source in inner.values()):
        return Each(place.text, inner)
    return Copy(place.text)


def _refers(shape: Shape, place: Place) -> bool:
    item = shape.item
    return item is not None and item.kind == "reference" and place.type == "reference"


def _entry(fields: Iterable[Field], item: Shape) -> Iterator[tuple[str, Source]]:
    for member in fields:
        shape = item.members.get(member.name)
        if shape is not None:
            name = paths.show((Segment(member.name),))
            yield name, Ref(name) if shape.kind == "reference" else Copy(name)
