"""``each``: a whole list, one entry for each item of a multi-valued field."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import Field
from moatbridge.entities import Fault, plain
from moatbridge.errors import ConfigurationError
from moatbridge.translate.build import Site, leaf
from moatbridge.translate.generate import Compiled, compile_leaves
from moatbridge.translate.leaves import Leaf, Reference, Write
from moatbridge.translate.sources import ITEM, Const, Each
from moatbridge.translate.steps import Place, Root, entity_spot, record_place
from moatbridge.translate.typed import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.entities import Shape
    from moatbridge.translate.steps import Spot

MAX_MEMBERS: Final = 100_000
"""Entries of a ``delta`` list; above it a record travels as deltas or not at all."""


def each_leaf(spot: Spot, source: Each, site: Site) -> Leaf:
    """The leaf of an ``each``.

    Raises:
        ConfigurationError: ``path.*`` or ``translate.kind``.
    """
    item = spot.shape.item
    if spot.shape.kind != "list" or item is None or item.kind != "object":
        raise _kind("each can only feed a list of entries")
    place = record_place(source.path, site.root)
    if not place.multi and place.type not in UNKNOWN:
        raise _kind(f"{place.text!r} is not a list; name one slot instead")
    scalar = ITEM in {getattr(inner, "path", None) for inner in source.fields.values()}
    root = items_root(place, scalar=scalar, root=site.root)
    leaves = _inner_leaves(spot, source, item, replace(site, root=root))
    compiled = compile_leaves(leaves)
    limit = MAX_MEMBERS if spot.shape.attribute.delta else plain.MAX_ENTRIES
    constants = {
        each.spot.steps[0].name: each.decode()  # type: ignore[union-attr]
        for each in leaves
        if isinstance(each.source, Const)
    }
    encode = _encoder(compiled, constants, scalar=scalar)
    return Leaf(
        spot,
        source,
        (place,),
        _decoder(compiled, limit, frozenset(constants), scalar=scalar),
        converters=tuple(each for inner in leaves for each in inner.converters),
        references=tuple(_reference(each, spot) for each in _references(leaves)),
        write=Write(place, encode)
        if place.writable and any(inner.write for inner in leaves)
        else None,
        inner=tuple(leaves),
        notes=tuple(note for inner in leaves for note in inner.notes),
    )


def _inner_leaves(spot: Spot, source: Each, item: Shape, site: Site) -> list[Leaf]:
    leaves = []
    for name, inner in source.fields.items():
        inside = entity_spot(name, item)
        shown = replace(inside, text=f"{spot.text}[].{inside.text}")
        leaves.append(leaf(shown, inner, site))
    if any(each.write and each.write.needs_before for each in leaves):
        raise _kind("inside each no value can depend on the current record")
    return leaves


def items_root(place: Place, *, scalar: bool, root: Root) -> Root:
    """What paths within one item of the list at ``place`` start from.

    Args:
        place: Of the list.
        scalar: The item itself is named, as ``$``.
        root: What the list's own path starts from.
    """
    what = f"{place.text} of {root.what}"
    if not scalar:
        fields = place.field.fields or None if place.field else None
        return Root(what, fields, root.case_insensitive)
    if place.field is None:
        return Root(what, None)
    single = Field(ITEM, place.field.type, to=place.field.to, by=place.field.by)
    return Root(what, (single,))


def _references(leaves: list[Leaf]) -> list[Reference]:
    return [found for inner in leaves for found in inner.references]


def _reference(inner: Reference, spot: Spot) -> Reference:
    return replace(inner, steps=spot.steps, item=inner.steps)


def _decoder(
    compiled: Compiled, limit: int, constants: frozenset[str], *, scalar: bool
) -> Callable[[Any], Any]:
    decode = compiled.decode

    def run(values: Any) -> list[Any]:
        if values is None:
            return []
        if not isinstance(values, list):
            raise Fault(f"not a list but {type(values).__name__}")
        if len(values) > limit:
            raise Fault(f"too-large: over {limit} entries")
        entries = []
        for value in values:
            found = decode({ITEM: value} if scalar else _an_object(value))
            entry = {name: each for name, each in found.items() if each is not None}
            if not entry.keys() <= constants:
                entries.append(entry)
        return entries

    return run


def _encoder(
    compiled: Compiled, constants: dict[str, Any], *, scalar: bool
) -> Callable[[Any, Any], Any]:
    encode = compiled.encode_new

    def run(entries: Any, before: Any) -> list[Any]:
        del before
        found = []
        for entry in entries or ():
            if any(
                entry.get(name, value) != value for name, value in constants.items()
            ):
                continue  # another kind of entry (home, not work): not ours to write
            item = encode(entry)
            if item:
                found.append(item[ITEM] if scalar else item)
        return found

    return run


def _an_object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise Fault(f"an entry is not an object but {type(value).__name__}")
    return value


def _kind(message: str) -> ConfigurationError:
    return ConfigurationError(message, code="translate.kind")
