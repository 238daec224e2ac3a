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

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moatbridge_soap.decode import lexical
from moatbridge_soap.decode.leaves import NIL, at_once, converter
from moatbridge_soap.decode.records import ATTRIBUTES, TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lxml.etree import _Element

    from moatbridge_soap.decode.records import Wanted
    from moatbridge_soap.decode.settings import DecodeSettings
    from moatbridge_soap.decode.shape import Member, Shape

Straight: TypeAlias = "Callable[[_Element], dict[str, Any]]"
"""An item's record; `ValueError` if the careful reader has to look at it."""

_NEXT: Final = ("node = next(nodes, END)", "tag = node.tag")
_VALUE: Final = "if text and not len(node) else"


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
                lines = [*self._text(shape, tree, path)]
            lines += self._attributes(shape, tree, path)
        finally:
            self._open.discard(id(shape))
        name = f"read{len(self._source):d}"
        head = ["keys = element.keys()", "if keys: check(keys)", "record = {}"]
        body = "".join(f"\n    {line}" for line in (*head, *lines, "return record"))
        self._source.append(f"def {name}(element):{body}")
        return name

    def _children(self, shape: Shape, tree: Wanted, path: str) -> Iterator[str]:
        members = [each for each in shape.members if not each.name.startswith("@")]
        yield "nodes = iter(element)"
        yield from _NEXT
        for member in sorted(members, key=lambda each: each.position):
            if tree is None or member.name in tree:
                below = f"{path}.{member.name}" if path else member.name
                yield from self._member(member, tree and tree[member.name], below)
            else:
                yield f"while tag == {_quoted(member.tag)}:"
                yield from _indented(_NEXT)
        yield "if node is not END: raise Unusual"

    def _member(self, member: Member, tree: Wanted, path: str) -> Iterator[str]:
        try:
            value = self._value(member, tree, path)
        except _NoStraightWay:
            if member.required:
                raise
            return  # where it occurs, it is left over: unusual
        name, tag = _quoted(member.name), _quoted(member.tag)
        yield f"if tag == {tag}:"
        if member.many:
            yield f"    items = record[{name}] = []"
            yield f"    while tag == {tag}:"
            lines = ("text = node.text", f"items.append({value})", *_NEXT)
            yield from _indented(_indented(lines))
        else:
            lines = ("text = node.text", f"record[{name}] = {value}", *_NEXT)
            yield from _indented(lines)
        if member.required:
            yield "else: raise Unusual"

    def _value(self, member: Member, tree: Wanted, path: str) -> str:
        """An expression over ``node`` and its ``text``."""
        if not member.shape.is_leaf:
            return f"{self.record(member.shape, tree, path)}(node)"
        return self._leaf(member.shape, path)

    def _leaf(self, shape: Shape, path: str) -> str:
        pair = at_once(shape, path, self._settings)
        if pair is None:
            raise _NoStraightWay
        convert, empty = pair
        return f"{self._call(convert)} {_VALUE} {self._bound(empty)}(node)"

    def _text(self, shape: Shape, tree: Wanted, path: str) -> Iterator[str]:
        """The text of an element that has attributes too."""
        if tree is not None and "#text" not in tree:
            raise _NoStraightWay
        value = self._leaf(shape, f"{path}.#text" if path else "#text")
        yield "node = element"
        yield "text = node.text"
        yield f"record['#text'] = {value}"

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


def _indented(lines: Sequence[str] | Iterator[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


def _quoted(name: str) -> str:
    if name.__class__ is not str:
        raise _NoStraightWay
    return repr(name)


def _check_attributes(keys: Sequence[str]) -> None:
    if TYPE in keys or NIL in keys or len(keys) > ATTRIBUTES:
        raise _Unusual
