"""From a declared source to a `Leaf`: resolves, checks kinds, composes functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities import Fault, Shape, plain
from moatbridge.errors import ConfigurationError
from moatbridge.translate import chains, templates
from moatbridge.translate.leaves import ABSENT, Leaf, Reference, Write
from moatbridge.translate.picking import picking, putting_back
from moatbridge.translate.sources import (
    Computed,
    Const,
    Copy,
    Each,
    First,
    Pick,
    Ref,
    Source,
    Template,
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
        return _const(spot, source, site)
    if isinstance(source, Ref):
        return _ref(spot, source, site)
    if isinstance(source, First):
        return _first(spot, source, site)
    if isinstance(source, Each):
        from moatbridge.translate.lists import each_leaf  # noqa: PLC0415 - recursion

        return each_leaf(spot, source, site)
    return _one_way(spot, source, site)


def address_of(to: str, system: str) -> str:
    """A stream address, completed with the system if it is a local name."""
    return to if "/" in to else f"{system}/{to}"


def _copy(spot: Spot, source: Copy, site: Site) -> Leaf:
    place = record_place(source.path, site.root)
    chain, shape = _chain(source, place, spot.shape), spot.shape
    check = checker(shape, site.limit)
    decode = chains.decoding(chain, check)
    whole = place.multi and (
        shape.kind == "list" or (shape.kind == "json" and source.pick is None)
    )
    how = None if whole or not place.multi else _pick(source.pick, place)
    if whole and chain and shape.item is not None:
        item = chains.mapped(chains.decoding(chain, checker(shape.item, site.limit)))
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
        notes=_pick_notes(source.pick, how, place),
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


def _pick(wanted: Pick | None, place: Place) -> Pick:
    ordered = place.field is not None and place.field.ordered
    if wanted == "first" and not ordered:
        raise _kind(f"{place.text!r} has no order; use pick = 'min'")
    return wanted or ("first" if ordered else "min")


def _pick_notes(wanted: Pick | None, how: Pick | None, place: Place) -> tuple[str, ...]:
    if how is None or wanted is not None:
        return ()
    return (
        f"{place.text} may have several values, one is picked ({how}); confirm by pick",
    )


def _copies(place: Place, shape: Shape) -> bool:
    if shape.kind == "text":
        return place.type in {"text", "reference"} and not shape.attribute.multiline
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


def _const(spot: Spot, source: Const, site: Site) -> Leaf:
    try:
        value = (
            None
            if source.value is None
            else checker(spot.shape, site.limit)(source.value)
        )
    except Fault as fault:
        raise _kind(f"the constant is {fault}") from None
    if spot.shape.kind in {"text", "bool", "int"}:
        return Leaf(spot, source, (), lambda: value)
    return Leaf(spot, source, (), lambda: plain.plain(value))


def _ref(spot: Spot, source: Ref, site: Site) -> Leaf:
    if spot.shape.kind != "reference":
        raise _kind("a ref can only feed a reference")
    place = record_place(source.path, site.root)
    field = place.field
    to = source.to or (field.to if field else None)
    if not to:
        raise _kind(f"{place.text!r} points to no known stream; say which (to = ...)")
    by = source.by or (field.by if field and field.type == "reference" else "id")
    if place.type not in {"text", "reference", "int", *UNKNOWN}:
        raise _kind(f"{place.text!r} holds {place.type}, which cannot name a record")
    reference = Reference(spot.text, address_of(to, site.system), by, spot.steps)
    chain = (found,) if (found := canonical(place.type, Shape("text"))) else ()
    name = chains.decoding(chain, checker(Shape("text"), site.limit))
    stream = reference.to

    def decode(value: Any) -> Any:
        found = name(value)
        return None if found is None else {"stream": stream, by: found}

    def encode(value: Any, before: Any) -> Any:
        del before
        return None if value is None else back(_pointer(value, by), None)

    back = chains.encoding(chain, place.type)
    how = _pick(source.pick, place) if place.multi else None
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
        notes=_pick_notes(source.pick, how, place),
    )


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


def _one_way(spot: Spot, source: Template | Computed, site: Site) -> Leaf:
    check = checker(spot.shape, site.limit)
    if isinstance(source, Template):
        compute, texts = template_function(source)
        places = [record_place(each, site.root) for each in texts]
        compute = _picked(compute, places)
    else:
        texts = list(source.reads if source.reads is not None else site.named)
        places = [record_place(each, site.root) for each in texts]
        compute = computed_function(source, texts)

    def decode(*values: Any) -> Any:
        found = compute(*values)
        if found is None:
            return [] if spot.shape.kind == "list" else None
        return check(found)

    return Leaf(spot, source, tuple(places), decode)


def _picked(compute: Callable[..., Any], places: Sequence[Place]) -> Callable[..., Any]:
    if not any(place.multi for place in places):
        return compute
    same: Callable[[Any], Any] = lambda value: value  # noqa: E731 - it is an argument
    readers = [
        picking(same, _pick(None, place)) if place.multi else same for place in places
    ]
    return lambda *values: compute(
        *(read(value) for read, value in zip(readers, values, strict=True))
    )


def template_function(source: Template) -> tuple[Callable[..., Any], list[str]]:
    """The function of a template's values, and the paths it reads in that order.

    Raises:
        ConfigurationError: ``template.syntax``.
    """
    parts = templates.parse(source.text)
    converters = dict(source.converters)
    reads = [part.path for part in parts if isinstance(part, templates.Hole)]
    return lambda *values: templates.fill(parts, converters, values), reads


class Undeclared(LookupError):
    """A function asked for a path that is not in its ``reads``."""


class _Reads(dict[str, Any]):
    def __missing__(self, name: object) -> Any:
        raise Undeclared(str(name))


def computed_function(source: Computed, reads: Sequence[str]) -> Callable[..., Any]:
    """A function of the values of ``reads``; gives the user's function a dict."""
    function, names = source.function, tuple(reads)
    return lambda *values: function(_Reads(zip(names, values, strict=True)))


def restrict(found: Leaf, note: str) -> Leaf:
    """The same leaf without its way back, and why."""
    return replace(found, write=None, notes=(*found.notes, note))


def _kind(message: str) -> ConfigurationError:
    return ConfigurationError(message, code="translate.kind")
