"""Zeep's types as plain descriptions: the only module that reads zeep's type objects.

A `Shape` is a leaf (one lexical value) or a record (members, attributes, perhaps text).
Members are looked up lazily, so recursive types cost nothing until they are used.
"""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from zeep.exceptions import Error as ZeepError
from zeep.xsd.elements import Any as Wildcard
from zeep.xsd.elements import Attribute, Choice, Element
from zeep.xsd.elements.indicators import All, Group, Indicator
from zeep.xsd.types import AnySimpleType, ComplexType
from zeep.xsd.types import builtins as builtin
from zeep.xsd.types.collection import ListType, UnionType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_SUBSTITUTIONS: Final = "moatbridge_substitutions"
_BUILTINS: Final = (
    (builtin.Boolean, "boolean"),
    (builtin.Integer, "integer"),
    (builtin.Decimal, "decimal"),
    ((builtin.Float, builtin.Double), "double"),
    (builtin.DateTime, "dateTime"),
    (builtin.Date, "date"),
    (builtin.Time, "time"),
    (builtin.Duration, "duration"),
    (builtin.Base64Binary, "base64Binary"),
    (builtin.HexBinary, "hexBinary"),
    (builtin.QName, "QName"),
    (builtin.Token, "token"),
    (builtin.NormalizedString, "normalizedString"),
    (builtin.AnyURI, "token"),
)


class Member(NamedTuple):
    """One element or attribute that a record may hold.

    Args:
        name: Key in the record: the local name, ``@name`` for an attribute.
        tag: Name in XML, ``{namespace}local``.
        shape: What it holds.
        many: It may occur more than once.
        required: The schema demands it.
        nillable: It may be nil.
        position: Rank in the schema's order; equal where any order is right.
        unique: Its type is ``xsd:ID``.
        instead: What may stand in its place (a substitution group): other tags, and
            their own shapes.
    """

    name: str
    tag: str
    shape: Shape
    many: bool = False
    required: bool = False
    nillable: bool = False
    position: int = 0
    unique: bool = False
    instead: tuple[Member, ...] = ()


def note_substitutions(schema: Any, pairs: Iterable[tuple[str, str]]) -> None:
    """Tell zeep's schema which elements may stand for others, since it forgets them.

    Args:
        schema: zeep's ``wsdl.types``.
        pairs: (head, element), each ``{namespace}local``; without a namespace where
            their document has none, and so takes that of the one that includes it.
    """
    found: dict[str, list[str]] = {}
    for pair in sorted(pairs):
        for head, element in _included(schema, *pair):
            found.setdefault(head, []).append(element)
    setattr(schema, _SUBSTITUTIONS, found)


def _included(schema: Any, head: str, element: str) -> Iterator[tuple[str, str]]:
    if element.startswith("{"):
        yield head, element
        return
    for each in schema.elements:
        if each.name == element:
            space = each.qname.namespace
            local = head if head.startswith("{") or not space else f"{{{space}}}{head}"
            yield local, each.qname.text


class Shapes:
    """Descriptions of one WSDL's types, each made once.

    Args:
        schema: zeep's ``wsdl.types``.
    """

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._known: dict[int, Shape] = {}
        self._kept: list[Any] = []  # an id() is only good while its object lives

    def of(self, kind: Any) -> Shape:
        """The description of a zeep type."""
        found = self._known.get(id(kind))
        if found is None:
            found = self._known[id(kind)] = Shape(kind, self)
            self._kept.append(kind)
        return found

    def root(self, element: Any) -> Member:
        """The description of an element."""
        return _member(element, self, position=0)

    def elements(self, kind: Any) -> tuple[Member, ...]:
        """Top-level elements of a type that is no record of ours (an envelope)."""
        return tuple(self.of(kind).members)

    def substitutes(self, element: Any) -> Iterator[Any]:
        """Elements that may stand in the place of another, the group's own included."""
        groups: Mapping[str, list[str]] = getattr(self._schema, _SUBSTITUTIONS, {})
        seen = {element.qname.text}
        waiting = list(groups.get(element.qname.text, ())) if element.is_global else []
        while waiting:
            name = waiting.pop(0)
            if name in seen:
                continue
            seen.add(name)
            waiting += groups.get(name, ())
            with contextlib.suppress(ZeepError):  # of a schema without namespace
                yield self._schema.get_element(name)

    @cached_property
    def derived(self) -> Mapping[str, tuple[Any, ...]]:
        """Type name -> types that extend it."""
        found: dict[str, tuple[Any, ...]] = {}
        for kind in self._schema.types:
            for base in getattr(kind, "_extension_types", ()):
                name = _qname(getattr(base, "_xsd_type", None))
                found[name] = (*found.get(name, ()), kind)
        return found


class Shape:
    """What one type holds.

    Args:
        kind: The zeep type.
        shapes: Where further types are described.
    """

    def __init__(self, kind: Any, shapes: Shapes) -> None:
        self._kind = kind
        self._shapes = shapes
        self.qname: str = _qname(kind)

    @property
    def is_leaf(self) -> bool:
        """Holds one lexical value (no attributes of its own)."""
        return not isinstance(self._kind, ComplexType)

    @cached_property
    def text(self) -> str | None:
        """Name of the builtin its text is read as; None for a pure record."""
        if self.is_leaf:
            return _builtin(self._kind)
        inner = self._kind._element  # noqa: SLF001 - zeep has no public tree of a type
        if isinstance(inner, Element) and isinstance(inner.type, AnySimpleType):
            return _builtin(inner.type)
        return None

    @cached_property
    def listed(self) -> bool:
        """Text is a white-space separated list."""
        return isinstance(self._kind, ListType)

    @cached_property
    def array(self) -> Shape | None:
        """Of a SOAP-encoded array: what its items are."""
        if self.is_leaf:
            return None
        attribute = self._kind._array_type  # noqa: SLF001 - as above
        kind = getattr(attribute, "array_type", None)
        return None if kind is None else self._shapes.of(kind)

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """Elements in schema order, then attributes."""
        if self.is_leaf:
            return ()
        if self.text is not None or self.array is not None:
            return tuple(self._attributes())
        return (*_merged(self._elements()), *self._attributes())

    @cached_property
    def wildcard(self) -> bool:
        """The schema lets other elements in (``xsd:any``)."""
        if self.is_leaf:
            return not isinstance(self._kind, AnySimpleType)
        tree = self._kind._element  # noqa: SLF001 - as above
        if tree is None or isinstance(tree, Element):
            return False
        return any(isinstance(each, Wildcard) for each, *_ in _walk(tree))

    def member(self, name: str) -> Member | None:
        """The member of that name; of an encoded array, any name is its item."""
        if self.array is not None and not name.startswith("@"):
            return Member(name, name, self.array, many=True)
        return next((m for m in self.members if m.name == name), None)

    @property
    def variants(self) -> Mapping[str, Shape]:
        """Types that extend this one, by ``{namespace}Local``."""
        kinds = self._shapes.derived.get(self.qname, ())
        return {_qname(kind): self._shapes.of(kind) for kind in kinds}

    def _elements(self) -> Iterator[Member]:
        tree = self._kind._element  # noqa: SLF001 - as above
        if tree is None or isinstance(tree, Element):
            return
        for each, many, required, position in _walk(tree):
            if isinstance(each, Element):
                yield _member(
                    each, self._shapes, many=many, required=required, position=position
                )

    def _attributes(self) -> Iterator[Member]:
        for _, each in self._kind.attributes:
            if isinstance(each, Attribute) and each.name and _is_ours(each):
                shape = self._shapes.of(each.type)
                yield Member(
                    f"@{each.name}",
                    each.qname.text,
                    shape,
                    required=each.required,
                    unique=isinstance(each.type, builtin.ID),
                )


def _is_ours(attribute: Any) -> bool:
    return "schemas.xmlsoap.org/soap/encoding" not in attribute.qname.text


def _member(
    element: Any,
    shapes: Shapes,
    *,
    position: int,
    many: bool = False,
    required: bool = True,
) -> Member:
    shape = shapes.of(element.type)
    return Member(
        element.name,
        element.qname.text,
        shape,
        many=many or _repeats(element),
        required=required and element.min_occurs > 0,
        nillable=bool(element.nillable),
        position=position,
        unique=isinstance(element.type, builtin.ID),
        instead=tuple(
            _substitute(each, shapes, shape) for each in shapes.substitutes(element)
        ),
    )


def _substitute(element: Any, shapes: Shapes, head: Shape) -> Member:
    shape = shapes.of(element.type)
    if shape.is_leaf and shape.wildcard:  # no type of its own: that of its head
        shape = head
    return Member(element.name, element.qname.text, shape)


def _walk(
    tree: Any, *, many: bool = False, required: bool = True, at: int | None = None
) -> Iterator[tuple[Any, bool, bool, int]]:
    """Elements and wildcards of a content model, with what their groups mean."""
    many = many or _repeats(tree)
    required = required and tree.min_occurs > 0 and not isinstance(tree, Choice)
    free = at is not None or many or isinstance(tree, (All, Choice))
    rank = at if at is not None else 0
    for each in tree:
        if isinstance(each, (Indicator, Group)):
            inner = list(
                _walk(each, many=many, required=required, at=rank if free else None)
            )
            yield from ((e, m, r, p if free else rank + p) for e, m, r, p in inner)
            rank += 0 if free else 1 + max((p for *_, p in inner), default=0)
        else:
            yield each, many, required, rank
            rank += 0 if free else 1


def _merged(members: Iterator[Member]) -> Iterator[Member]:
    """A name that stands twice in a content model is a list."""
    found: dict[str, Member] = {}
    for each in members:
        twin = found.setdefault(each.name, each)
        if twin is not each and twin.tag == each.tag:
            found[each.name] = twin._replace(many=True)
    return iter(found.values())


def _repeats(node: Any) -> bool:
    return node.max_occurs == "unbounded" or bool(node.max_occurs > 1)


def _qname(kind: Any) -> str:
    qname = getattr(kind, "qname", None)
    return "" if qname is None else str(qname.text)


def _builtin(kind: Any) -> str:
    if isinstance(kind, ListType):
        return _builtin(kind.item_type)
    if isinstance(kind, UnionType):
        names = {_builtin(each) for each in kind.item_types}
        return names.pop() if len(names) == 1 else "string"
    return next(
        (name for types, name in _BUILTINS if isinstance(kind, types)), "string"
    )
