"""From a declared source to a `Leaf`: resolves, checks kinds, composes functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities import Fault, Shape
from moatbridge.errors import ConfigurationError
from moatbridge.translate import chains
from moatbridge.translate.computing import one_way_leaf
from moatbridge.translate.constants import address_of, const_leaf
from moatbridge.translate.leaves import ABSENT, Leaf, Reference, Write
from moatbridge.translate.picking import (
    choice_notes,
    choose,
    picking,
    putting_back,
)
from moatbridge.translate.sources import (
    Const,
    Copy,
    Each,
    First,
    Pick,
    Ref,
    Source,
)
from moatbridge.translate.steps import Place, Root, Spot, record_place
from moatbridge.translate.typed import (
    UNKNOWN,
    canonical,
    checker,
    finishes,
    fits,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.entities import Converter

EMPTY: Final[tuple[Any, ...]] = (None, "", [])


@dataclass(frozen=True, slots=True)
class Site:
    """Where leaves are built.

    Args:
        root: What record paths start from.
        system: Name of the system, to complete local stream names.
        limit: Characters of one text.
        named: Record paths named in the whole table, for functions without ``reads``.
    """

    root: Root
    system: str
    limit: int
    named: tuple[str, ...] = ()


def leaf(spot: Spot, source: Source, site: Site) -> Leaf:
    """The leaf for one entity path and its source.

    Raises:
        ConfigurationError: ``path.*`` or ``translate.kind``.
    """
    if isinstance(source, Copy):
        return _copy(spot, source, site)
    if isinstance(source, Const):
        return const_leaf(spot, source, site.system, site.limit)
    if isinstance(source, Ref):
        return _ref(spot, source, site)
    if isinstance(source, First):
        return _first(spot, source, site)
    if isinstance(source, Each):
        from moatbridge.translate.lists import each_leaf  # noqa: PLC0415 - recursion

        return each_leaf(spot, source, site)
    return one_way_leaf(spot, source, site)


def _copy(spot: Spot, source: Copy, site: Site) -> Leaf:
    place = record_place(source.path, site.root)
    chain, shape = _chain(source, place, spot.shape), spot.shape
    check = checker(shape, site.limit)
    decode = chains.decoding(chain, check)
    whole = place.multi and (
        shape.kind == "list" or (shape.kind == "json" and source.pick is None)
    )
    how = None if whole or not place.multi else choose(source.pick, place)
    if whole and chain and (shape.item or shape.kind == "json"):
        inner = checker(shape.item or shape, site.limit)
        item = chains.mapped(chains.decoding(chain, inner))
        decode = item
    elif shape.kind == "list":
        decode = _never_null(decode)
    write = _copy_back(chain, place, whole=whole)
    if how:
        write = write and _picked_back(write, decode, how)
        decode = picking(decode, how)
    copies = not chain and _copies(place, shape) and shape.kind != "list"
    return Leaf(
        spot,
        source,
        (place,),
        decode,
        simple=None if how or shape.kind == "list" else _simple_decode(chain, check),
        copies=copies,
        pick=how,
        converters=chain,
        write=write,
        notes=choice_notes(source.pick, how, place),
    )


def _chain(source: Copy, place: Place, shape: Shape) -> tuple[Converter, ...]:
    if place.multi and source.pick is None and shape.kind == "list":
        target = shape.item or shape
    else:
        target = shape
    if (
        shape.kind == "list"
        and not place.multi
        and not source.via
        and (place.type not in UNKNOWN)
    ):
        raise _kind(f"{place.text!r} is one value and this is a list; name one slot")
    if source.via:
        return source.via
    if found := canonical(place.type, target):
        return (found,)
    if target.kind == "reference" or (
        target.kind == "object" and place.multi and not _objects(place)
    ):
        what = "ref" if target.kind == "reference" else "each"
        raise _kind(f"copying {place.text!r} here needs {what} = ...")
    if shape.kind != "list" and not fits(place.type, target):
        raise _kind(
            f"{place.text!r} holds {place.type}, this is {target.kind}; add via = ..."
        )
    return ()


def _objects(place: Place) -> bool:
    return place.type in {"object", *UNKNOWN}


def _copies(place: Place, shape: Shape) -> bool:
    if shape.kind == "text":
        plain = not shape.attribute.multiline and not shape.words
        return place.type in {"text", "reference"} and plain
    return shape.kind == place.type == "bool"


def _simple_decode(
    chain: Sequence[Converter], check: Callable[[Any], Any]
) -> Callable[[Any], Any] | None:
    if any(each.null_aware for each in chain):
        return None
    return chains.decoding(chain, check) if chain else check


def _never_null(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run(value: Any) -> Any:
        found = decode(value)
        return [] if found is None else found

    return run


def _copy_back(
    chain: tuple[Converter, ...], place: Place, *, whole: bool
) -> Write | None:
    if not place.writable or any(each.encode is None for each in chain):
        return None
    one = chains.encoding(chain, place.type)
    needs = any(each.needs_before for each in chain)
    if whole:
        return Write(place, _whole_back(one))
    bare = not needs and not any(each.null_aware for each in chain)
    copies = not chain and not finishes(place.type) and place.type in {"text", "bool"}
    simple = None
    if bare:
        simple = _simple_encode(chain, place, one)
    return Write(
        place, _nothing_is_null(one), simple=simple, copies=copies, needs_before=needs
    )


def _picked_back(write: Write, decode: Callable[[Any], Any], how: Pick) -> Write:
    put = putting_back(write.encode, decode, how)
    return Write(write.place, put, needs_before=True)


def _simple_encode(
    chain: tuple[Converter, ...], place: Place, one: Callable[[Any, Any], Any]
) -> Callable[[Any], Any]:
    if len(chain) == 1 and chain[0].encode and not finishes(place.type):
        return chain[0].encode
    if not chain:
        return lambda value: one(_filled(value), None)
    return lambda value: one(value, None)


def _filled(value: Any) -> Any:
    # a copy, so that a record never shares its lists with an entity
    if isinstance(value, list):
        return [_filled(each) for each in value if not _is_cleared(each)]
    if isinstance(value, dict):
        return {name: _filled(each) for name, each in value.items()}
    return value


def _is_cleared(entry: Any) -> bool:
    return isinstance(entry, dict) and "value" in entry and entry["value"] is None


def _nothing_is_null(
    encode: Callable[[Any, Any], Any],
) -> Callable[[Any, Any], Any]:
    return lambda value, before: encode(None if value == [] else value, before)


def _whole_back(encode: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def run(value: Any, before: Any) -> Any:
        del before
        return [encode(each, None) for each in _filled(value or [])]

    return run


def _ref(spot: Spot, source: Ref, site: Site) -> Leaf:
    many = _feeds_references(spot)
    place = record_place(source.path, site.root)
    if place.type not in {"text", "reference", "int", *UNKNOWN}:
        raise _kind(f"{place.text!r} holds {place.type}, which cannot name a record")
    field = place.field
    to = source.to or (field.to if field else None)
    if not to:
        raise _kind(f"{place.text!r} points to no known stream; say which (to = ...)")
    by = source.by or (field.by if field and field.type == "reference" else "id")
    reference = Reference(spot.text, address_of(to, site.system), by, spot.steps)
    chain = (found,) if (found := canonical(place.type, Shape("text"))) else ()
    name = chains.decoding(chain, checker(Shape("text"), site.limit))

    def decode(value: Any) -> Any:
        found = name(value)
        return None if found is None else {"stream": reference.to, by: found}

    def encode(value: Any, before: Any) -> Any:
        del before
        return None if value is None else back(_pointer(value, by), None)

    back = chains.encoding(chain, place.type)
    if many:
        return _refs(spot, source, place, replace(reference, item=()), (decode, encode))
    how = choose(source.pick, place) if place.multi else None
    write = Write(
        place,
        putting_back(encode, decode, how) if how else encode,
        needs_before=bool(how),
    )
    return Leaf(
        spot,
        source,
        (place,),
        picking(decode, how) if how else decode,
        references=(reference,),
        write=write if place.writable else None,
        notes=choice_notes(source.pick, how, place),
    )


def _feeds_references(spot: Spot) -> bool:
    """Whether it is a whole list of references, not one."""
    item = spot.shape.item
    if spot.shape.kind == "list" and item is not None and item.kind == "reference":
        return True
    if spot.shape.kind != "reference":
        raise _kind("a ref can only feed a reference")
    return False


def _refs(
    spot: Spot,
    source: Ref,
    place: Place,
    reference: Reference,
    both_ways: tuple[Callable[[Any], Any], Callable[[Any, Any], Any]],
) -> Leaf:
    """A whole list of references; one value of a field that holds one is a list too."""
    decode, encode = both_ways
    several = chains.mapped(decode)

    def read(values: Any) -> list[Any]:
        given = values if values is None or isinstance(values, list) else [values]
        found: list[Any] = several(given)
        return found

    def write(entries: Any, before: Any) -> list[Any]:
        return [encode(each, before) for each in entries or ()]

    back = Write(place, write) if place.multi and place.writable else None
    return Leaf(spot, source, (place,), read, references=(reference,), write=back)


def _pointer(value: Any, by: str) -> str:
    found = value.get(by) if isinstance(value, dict) else None
    if isinstance(found, str):
        return found
    raise Fault(f"a reference without {by}; it was not resolved")


def _first(spot: Spot, source: First, site: Site) -> Leaf:
    if not source.paths:
        raise _kind("first needs at least one path")
    inner = [_copy(spot, Copy(path), site) for path in source.paths]
    decoders = [each.decode for each in inner]

    def decode(*values: Any) -> Any:
        for value, run in zip(values, decoders, strict=True):
            if value is ABSENT:
                return ABSENT
            if (found := run(value)) not in EMPTY:
                return found
        return [] if spot.shape.kind == "list" else None

    write = None
    if source.back is not None:
        write = _copy(spot, Copy(source.back), site).write
    reads = tuple(each.reads[0] for each in inner)
    notes = tuple(note for each in inner for note in each.notes)
    return Leaf(spot, source, reads, decode, lenient=True, write=write, notes=notes)


def restrict(found: Leaf, note: str) -> Leaf:
    """The same leaf without its way back, and why."""
    return replace(found, write=None, notes=(*found.notes, note))


def _kind(message: str) -> ConfigurationError:
    return ConfigurationError(message, code="translate.kind")
