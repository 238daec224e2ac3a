"""Readers of records: compiled once from a `Shape`, then one pass over the children.

Per item there is no schema walk, no zeep object and no pydantic: a dict ``tag ->
entry`` says what to do with each child (soap 34).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from lxml import etree

from moatbridge_soap.decode.leaves import Read, attribute, is_nil, leaf
from moatbridge_soap.decode.tally import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lxml.etree import _Element

    from moatbridge_soap.decode.settings import DecodeSettings
    from moatbridge_soap.decode.shape import Member, Shape
    from moatbridge_soap.decode.tally import Reading

TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"
_DEPTH: Final = 64  # security 6: depth of XML that is decoded
ATTRIBUTES: Final = 256
_REFERENCES: Final = 8  # references inside what a reference points to (soap 43)

Wanted: TypeAlias = "Mapping[str, Wanted] | None"
"""Field name -> what is wanted below it; None for everything."""

Strange: TypeAlias = "Callable[[_Element, Reading], Entry | None]"


class Entry(NamedTuple):
    """What to do with a child of that tag; ``read`` is None if it is not wanted."""

    name: str
    read: Read | None
    many: bool
    position: int


def wanted(fields: Iterable[str]) -> Wanted:
    """Field paths as a tree; ``*`` at any level means everything below."""
    tree: dict[str, Any] = {}
    for path in fields:
        if path == "*":
            return None
        node: dict[str, Any] | None = tree
        *above, last = path.removesuffix(".*").split(".")
        for step in above:
            node = node.setdefault(step, {}) if node is not None else None
        if node is not None:
            node[last] = None
    return tree


class RecordCompiler:
    """Compiles readers for one operation's items.

    Args:
        settings: What is decoded, and how.
        inside: Readers of substitutes that are known where this one is used.
    """

    def __init__(
        self, settings: DecodeSettings, inside: dict[Any, Read] | None = None
    ) -> None:
        self._settings = settings
        self._key = frozenset(path.rpartition(".")[2] for path in settings.key)
        self._open: dict[int, list[Read]] = {}
        self._inside = inside

    def reader(self, shape: Shape, tree: Wanted, path: str = "") -> Read:
        """The reader of an element of that shape: value, dict or list."""
        if shape.is_leaf:
            return leaf(shape, path, self._settings)
        if shape.array is not None:
            return self._array(shape.array, tree, path)
        if id(shape) in self._open:
            return _again(self._open[id(shape)], path)
        later: list[Read] = []
        self._open[id(shape)] = later
        try:
            read = self._variants(shape, tree, path)
        finally:
            del self._open[id(shape)]
        later.append(read)
        return read

    def _variants(self, shape: Shape, tree: Wanted, path: str) -> Read:
        plain = self._record(shape, tree, path)
        variants = {
            name: self._record(each, tree, path)
            for name, each in shape.variants.items()
        }
        return _typed(shape.qname, plain, variants, path)

    def _array(self, shape: Shape, tree: Wanted, path: str) -> Read:
        one = self.reader(shape, tree, path)

        def read(element: _Element, reading: Reading) -> list[Any] | None:
            if not len(element) and is_nil(element):
                return None
            follow = reading.follow
            if follow is None:
                return [one(child, reading) for child in element]
            return [one(follow(child), reading) for child in element]

        return read

    def _record(self, shape: Shape, tree: Wanted, path: str) -> Read:
        entries: dict[str, Entry] = {}
        attributes: list[tuple[str, str, Callable[[str], Any]]] = []
        required: list[str] = []
        for member in shape.members:
            selected = tree is None or member.name in tree
            below = f"{path}.{member.name}" if path else member.name
            if member.name.startswith("@"):
                if selected:
                    convert = attribute(member.shape, below, self._settings)
                    attributes.append((member.tag, member.name, convert))
            else:
                read = self._member(member, tree, below) if selected else None
                entry = Entry(member.name, read, member.many, member.position)
                entries.setdefault(member.tag, entry)
            if selected and member.required:
                required.append(member.name)
        for member in shape.members:
            self._substitutes(member, tree, path, entries)
        self._raw(shape, tree, entries)
        text = None
        if shape.text is not None and (tree is None or "#text" in tree):
            text = leaf(shape, f"{path}.#text" if path else "#text", self._settings)
        plan = Plan(entries, attributes, required, text, path, shape.wildcard)
        return plan.reader(self._key)

    def _member(self, member: Member, tree: Wanted, path: str) -> Read:
        return self.reader(member.shape, tree and tree[member.name], path)

    def _substitutes(
        self, member: Member, tree: Wanted, path: str, entries: dict[str, Entry]
    ) -> None:
        """What stands in an element's place is read as that element's field."""
        selected = tree is None or member.name in tree
        below = f"{path}.{member.name}" if path else member.name
        known = {} if self._inside is None else self._inside
        for each in member.instead:
            read = None
            if selected:
                wanted_ = tree and tree[member.name]
                read = self._at_need(each, wanted_, below, known)
                read = named(read, each, member)
            entry = Entry(member.name, read, member.many, member.position)
            entries.setdefault(each.tag, entry)

    def _at_need(
        self, member: Member, tree: Wanted, path: str, known: dict[Any, Read]
    ) -> Read:
        """A reader that is compiled when such an element comes.

        Groups may be large, and their members hold each other in any order; inside one
        of them each other is compiled once.
        """
        settings, key = self._settings, (member.tag, id(tree))

        def read(element: _Element, reading: Reading) -> Any:
            found = known.get(key)
            if found is None:
                compiler = RecordCompiler(settings, known)
                found = known[key] = compiler.reader(member.shape, tree, path)
            return _deeper(found, element, reading, path)

        return read

    @staticmethod
    def _raw(shape: Shape, tree: Wanted, entries: dict[str, Entry]) -> None:
        """Fields that only ``xsd:any`` lets in are kept as XML text."""
        if tree is None or not shape.wildcard:
            return
        known = {entry.name for entry in entries.values()}
        last = max((entry.position for entry in entries.values()), default=0)
        for name in tree:
            if name not in known and not name.startswith(("@", "#")):
                entries[name] = Entry(name, _xml, many=False, position=last)


class Plan(NamedTuple):
    """Everything that reading a record of one type needs."""

    entries: Mapping[str, Entry]
    attributes: Sequence[tuple[str, str, Callable[[str], Any]]]
    required: Sequence[str]
    text: Read | None
    path: str
    wildcard: bool

    def reader(self, key: frozenset[str]) -> Read:
        """One closure over local names; `_children` is the hot loop."""
        find, strange, text = self.entries.get, self._strange(), self.text
        attributes, required, path = self.attributes, self.required, self.path

        def read(element: _Element, reading: Reading) -> dict[str, Any] | None:
            record: dict[str, Any] = {}
            _children(element, reading, record, find, strange, path, key)
            if text is not None:
                record["#text"] = text(element, reading)
            elif not record and not len(element) and is_nil(element):
                return None
            for tag, name, convert in attributes:
                value = element.get(tag)
                if value is not None:
                    record[name] = convert(value)
            for name in required:
                if name not in record:
                    reading.deviation("missing", name)
            return record

        return read

    def _strange(self) -> Strange:
        """What to do with a tag that the type does not know."""
        locals_: dict[str, list[Entry]] = {}
        for tag, entry in self.entries.items():
            locals_.setdefault(etree.QName(tag).localname, []).append(entry)
        wildcard = self.wildcard

        def strange(child: _Element, reading: Reading) -> Entry | None:
            if not isinstance(child.tag, str):
                return None
            local = child.tag.rpartition("}")[2]
            found = locals_.get(local, ())
            if len(found) == 1:
                if found[0].read is not _xml:
                    reading.deviation("namespace", local)
                return found[0]
            if wildcard:
                reading.counts["any:*"] = reading.counts.get("any:*", 0) + 1
            else:
                reading.deviation("unknown", local)
            return None

        return strange


def _children(
    element: _Element,
    reading: Reading,
    record: dict[str, Any],
    find: Callable[[str], Entry | None],
    strange: Strange,
    path: str,
    key: frozenset[str],
) -> None:
    """Read every child of an element into its record; runs once per item and level."""
    follow = reading.follow
    last = 0
    for child in element:
        entry = find(child.tag) or strange(child, reading)
        if entry is None:
            continue
        name, below, many, position = entry
        if position < last:
            reading.deviation("order", name)
        else:
            last = position
        if below is None:
            continue
        if follow is None:
            value = below(child, reading)
        else:
            value = _followed(child, below, reading, follow, key)
        if many:
            record.setdefault(name, []).append(value)
        elif name in record:
            raise Unreadable("soap.repeated", f"{path}.{name}".lstrip("."))
        else:
            record[name] = value


def named(read: Read, each: Member, head: Member) -> Read:
    """The reader of a substitute: the record names its type, as with ``xsi:type``."""
    name = each.shape.qname.rpartition("}")[2]
    if not name or each.shape.is_leaf or each.shape is head.shape:
        return read

    def reader(element: _Element, reading: Reading) -> Any:
        record = read(element, reading)
        if isinstance(record, dict):
            record.setdefault("@type", name)
        return record

    return reader


def _typed(declared: str, plain: Read, variants: Mapping[str, Read], path: str) -> Read:
    """Choose the reader by ``xsi:type``, which must derive from the declared type."""

    def read(element: _Element, reading: Reading) -> Any:
        if len(element.attrib) > ATTRIBUTES:
            raise Unreadable("soap.too-large", path)
        named = element.get(TYPE)
        if named is None:
            return plain(element, reading)
        name = _resolved(element, named)
        chosen = variants.get(name)
        if chosen is None:
            if name != declared and declared:
                raise Unreadable("soap.type", path)
            chosen = plain
        record = chosen(element, reading)
        if variants and record is not None:
            record.setdefault("@type", name.rpartition("}")[2])
        return record

    return read


def _resolved(element: _Element, text: str) -> str:
    prefix, _, local = text.strip().rpartition(":")
    namespace = element.nsmap.get(prefix or None)
    return f"{{{namespace}}}{local}" if namespace else local


def _again(later: list[Read], path: str) -> Read:
    """A type inside itself: the reader that is just being compiled."""

    def read(element: _Element, reading: Reading) -> Any:
        return _deeper(later[0], element, reading, path)

    return read


def _deeper(read: Read, element: _Element, reading: Reading, path: str) -> Any:
    if reading.depth >= _DEPTH:
        raise Unreadable("soap.too-deep", path)
    reading.depth += 1
    try:
        return read(element, reading)
    finally:
        reading.depth -= 1


def _followed(
    child: _Element,
    below: Read,
    reading: Reading,
    follow: Callable[[_Element], _Element],
    key: frozenset[str],
) -> Any:
    """Read what a reference points to; inside itself only its key (soap 43)."""
    target = follow(child)
    if target is child:
        return below(child, reading)
    if target in reading.active or len(reading.active) >= _REFERENCES:
        return {
            name: leaf_.text
            for leaf_ in target
            if (name := etree.QName(leaf_).localname) in key and not len(leaf_)
        }
    reading.active.add(target)
    try:
        return below(target, reading)
    finally:
        reading.active.discard(target)


def _xml(element: _Element, _: Reading) -> str:
    return str(etree.tostring(element, encoding="unicode", with_tail=False))
