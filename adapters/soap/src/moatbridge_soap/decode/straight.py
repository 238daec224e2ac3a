"""Straight-line readers: one generated function per record type for the usual case.

Usual is: the children come in the schema's order, in its namespace, nothing required is
missing, nothing unknown is there, no ``xsi:type``, no reference, every value fits its
type. Anything else raises `ValueError`, and the careful reader of
`moatbridge_soap.decode.records` reads the item from its beginning and decides. A
straight reader counts nothing and touches no state, so giving up is always possible;
where it returns a record, the careful reader would return the same one without a
deviation.

Why generate: looking up what to do with each child costs more than doing it. Why it is
safe: the source holds our own identifiers and the `repr` of names whose exact type is
``str``; converters are bound by name. No text of a WSDL can become code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from moatbridge_soap.decode import lexical
from moatbridge_soap.decode.leaves import NIL, at_once, converter
from moatbridge_soap.decode.records import ATTRIBUTES, TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lxml.etree import _Element

    from moatbridge_soap.decode.records import Wanted
    from moatbridge_soap.decode.settings import DecodeSettings
    from moatbridge_soap.decode.shape import Member, Shape

Straight: TypeAlias = "Callable[[_Element], dict[str, Any]]"
"""An item's record; `ValueError` if the careful reader has to look at it."""

_NEXT: Final = ("node = next(nodes, END)", "tag = node.tag")


class _Unusual(ValueError):
    """The careful reader has to look."""


class _End:
    """Stands behind the last child."""

    tag = None


class _NoStraightWay(Exception):
    """A type that only the careful reader can read."""


def compile_straight(
    shape: Shape, tree: Wanted, settings: DecodeSettings
) -> Straight | None:
    """The straight reader of items of that shape.

    Args:
        shape: What an item holds.
        tree: Which of its fields are decoded.
        settings: How they are decoded.

    Returns:
        None if there is none: the item is a leaf, an encoded array, or needs something
        that only the careful reader knows.
    """
    writer = _Writer(settings)
    try:
        name = writer.record(shape, tree, "")
    except _NoStraightWay:
        return None
    return writer.function(name)


class _Child(NamedTuple):
    """One child element of a record type.

    Args:
        member: What the schema says of it.
        name: Its name as source.
        tag: Its tag as source.
        value: An expression over ``{node}``; None if it is not decoded.
        straight: False if it can only be read with care.
    """

    member: Member
    name: str
    tag: str
    value: str | None
    straight: bool

    @property
    def single(self) -> bool:
        """It may stand among children that are all there once."""
        return self.straight and not self.member.many


class _Writer:
    """Writes the functions of one item type, innermost first."""

    def __init__(self, settings: DecodeSettings) -> None:
        self._settings = settings
        self._names: dict[str, Any] = {
            "END": _End, "Unusual": _Unusual, "check": _check_attributes,
        }  # fmt: skip
        self._source: list[str] = []
        self._open: set[int] = set()

    def function(self, name: str) -> Straight:
        """Compile what was written."""
        source = "\n".join(self._source)
        code = compile(source, "<moatbridge soap>", "exec", dont_inherit=True)
        exec(code, self._names)  # noqa: S102 - see the module's docstring
        found: Straight = self._names[name]
        return found

    def record(self, shape: Shape, tree: Wanted, path: str) -> str:
        """Write the reader of a record type; returns its name.

        Raises:
            _NoStraightWay: There is none.
        """
        if shape.is_leaf or shape.array is not None or id(shape) in self._open:
            raise _NoStraightWay
        self._open.add(id(shape))
        try:
            if shape.text is None:
                lines = [*self._children(shape, tree, path)]
            else:
                lines = [self._text(shape, tree, path)]
            lines += self._attributes(shape, tree, path)
        finally:
            self._open.discard(id(shape))
        name = f"read{len(self._source):d}"
        head = ("keys = element.keys()", "if keys: check(keys)")
        body = "".join(f"\n    {line}" for line in (*head, *lines, "return record"))
        self._source.append(f"def {name}(element):{body}")
        return name

    def _children(self, shape: Shape, tree: Wanted, path: str) -> Iterator[str]:
        """All of them at once if each is there once, else one after the other."""
        children = sorted(self._each_child(shape, tree, path), key=_position)
        yield "nodes = list(element)"
        if not all(child.single for child in children):
            yield from _in_turn(children)
            return
        condition = [f"len(nodes) == {len(children):d}"]
        entries = []
        for place, child in enumerate(children):
            condition.append(f"(n{place:d} := nodes[{place:d}]).tag == {child.tag}")
            if child.value is not None:
                value = child.value.format(node=f"n{place:d}")
                entries.append(f"{child.name}: {value}")
        yield f"if {' and '.join(condition)}:"
        yield f"    record = {{{', '.join(entries)}}}"
        yield "else:"
        yield from _indented(_in_turn(children))

    def _each_child(self, shape: Shape, tree: Wanted, path: str) -> Iterator[_Child]:
        for member in shape.members:
            if member.name.startswith("@"):
                continue
            value: str | None = None
            straight = True
            if tree is None or member.name in tree:
                below = f"{path}.{member.name}" if path else member.name
                try:
                    value = self._value(member, tree and tree[member.name], below)
                except _NoStraightWay:
                    if member.required:
                        raise
                    straight = False
            name, tag = _quoted(member.name), _quoted(member.tag)
            yield _Child(member, name, tag, value, straight)

    def _value(self, member: Member, tree: Wanted, path: str) -> str:
        """An expression over ``{node}``."""
        if not member.shape.is_leaf:
            return f"{self.record(member.shape, tree, path)}({{node}})"
        return self._leaf(member.shape, path)

    def _leaf(self, shape: Shape, path: str) -> str:
        pair = at_once(shape, path, self._settings)
        if pair is None:
            raise _NoStraightWay
        convert, empty = pair
        value, otherwise = self._call(convert), self._bound(empty)
        there = "(text := {node}.text) and not len({node})"
        return f"{value} if {there} else {otherwise}({{node}})"

    def _text(self, shape: Shape, tree: Wanted, path: str) -> str:
        """The text of an element that has attributes too."""
        if tree is not None and "#text" not in tree:
            raise _NoStraightWay
        value = self._leaf(shape, f"{path}.#text" if path else "#text")
        return f"record = {{'#text': {value.format(node='element')}}}"

    def _attributes(self, shape: Shape, tree: Wanted, path: str) -> Iterator[str]:
        for member in shape.members:
            selected = tree is None or member.name in tree
            if not member.name.startswith("@") or not selected:
                continue
            below = f"{path}.{member.name}" if path else member.name
            convert = converter(member.shape, below, self._settings)
            yield f"text = element.get({_quoted(member.tag)})"
            yield "if text is not None:"
            yield f"    record[{_quoted(member.name)}] = {self._call(convert)}"
            if member.required:
                yield "else: raise Unusual"

    def _call(self, convert: Callable[[str], Any]) -> str:
        return "text" if convert is lexical.string else f"{self._bound(convert)}(text)"

    def _bound(self, function: Callable[..., Any]) -> str:
        name = f"f{len(self._names):d}"
        self._names[name] = function
        return name


def _position(child: _Child) -> int:
    return child.member.position


def _in_turn(children: Sequence[_Child]) -> Iterator[str]:
    """Statements that take the children one after the other, as far as they fit."""
    yield "record = {}"
    yield "nodes = iter(nodes)"
    yield from _NEXT
    for child in children:
        if child.straight:  # else it is left over where it occurs: unusual
            yield from _in_its_turn(child)
    yield "if node is not END: raise Unusual"


def _in_its_turn(child: _Child) -> Iterator[str]:
    if child.value is None:
        yield f"while tag == {child.tag}:"
        yield from _indented(_NEXT)
        return
    value = child.value.format(node="node")
    yield f"if tag == {child.tag}:"
    if child.member.many:
        yield f"    items = record[{child.name}] = []"
        yield f"    while tag == {child.tag}:"
        yield from _indented(_indented((f"items.append({value})", *_NEXT)))
    else:
        yield from _indented((f"record[{child.name}] = {value}", *_NEXT))
    if child.member.required:
        yield "else: raise Unusual"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


def _quoted(name: str) -> str:
    if name.__class__ is not str:
        raise _NoStraightWay
    return repr(name)


def _check_attributes(keys: Sequence[str]) -> None:
    if TYPE in keys or NIL in keys or len(keys) > ATTRIBUTES:
        raise _Unusual
