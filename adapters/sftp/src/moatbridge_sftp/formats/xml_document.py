"""XML: a pull parser that sees one record at a time and never loads anything."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final, Literal

from lxml import etree
from pydantic import Field, field_validator

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.formats.base import (
    BadFile,
    Chunk,
    Format,
    FormatConfig,
    Position,
)
from moatbridge_sftp.formats.fields import FieldSpec, fields_error, source_of
from moatbridge_sftp.formats.json_document import numbered_chunks
from moatbridge_sftp.formats.nested import MISSING, Get, Tree
from moatbridge_sftp.formats.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moatbridge_sftp.formats.base import Writer

_PIECE: Final = 1 << 16
_STEP: Final = re.compile(r"(?:([\w.-]+):)?([^\W\d][\w.-]*)")
_SAFE: Final = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}


class XmlConfig(FormatConfig):
    """``xml = { ... }``.

    Args:
        record: Path of the element that is one record, from the root
            (``People/Person``); one name: anywhere.
        namespaces: Prefixes used in paths -> namespace.
        multi: Fields that are always lists.
        allow_dtd: ``ignore``: a DTD is passed over; its entities are still refused.
    """

    record: str
    namespaces: dict[str, str] = Field(default_factory=dict)
    multi: tuple[str, ...] = ()
    allow_dtd: Literal["no", "ignore"] = "no"

    @field_validator("record")
    @classmethod
    def _is_path(cls, value: str) -> str:
        if not all(_STEP.fullmatch(step) for step in value.strip("/").split("/")):
            raise ValueError("a path of element names, like People/Person")
        return value.strip("/")


class XmlFormat(Format):
    """One repeated element is one record. Resumes by record number.

    Attributes are ``@name``, children ``Name`` or ``Address/City``, the element's own
    text ``.``. A missing or empty element is null.
    """

    name: ClassVar[str] = "xml"
    extension: ClassVar[str] = "xml"
    Config: ClassVar[type[FormatConfig]] = XmlConfig

    @classmethod
    def sniff(cls, head: bytes) -> float:
        """See `Format.sniff`."""
        start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
        if start.startswith((b"<?xml", b"\xff\xfe<\x00", b"\xfe\xff\x00<")):
            return 0.95
        return 0.7 if re.match(rb"<[A-Za-z_][\w.:-]*[\s>/]", start) else 0.0

    @classmethod
    def suggest(cls, head: bytes) -> dict[str, Any]:
        """See `Format.suggest`."""
        from moatbridge_sftp.formats import guess_xml  # noqa: PLC0415 - discovery only

        return guess_xml.settings(head)

    @classmethod
    def fields(cls, head: bytes, config: Any) -> dict[str, FieldSpec]:
        """See `Format.fields`."""
        from moatbridge_sftp.formats import guess_xml  # noqa: PLC0415 - discovery only

        return guess_xml.fields(head, config)

    @classmethod
    def check(cls, fields: Mapping[str, FieldSpec], config: Any) -> None:
        """See `Format.check`."""
        for name, spec in fields.items():
            steps_of(source_of(name, spec), config.namespaces)
        steps_of(config.record, config.namespaces)

    def read(
        self,
        file: BinaryIO,
        fields: Mapping[str, FieldSpec],
        config: Any,
        start: Position | None = None,
    ) -> Iterator[Chunk]:
        """See `Format.read`."""
        table = Tree(
            fields,
            lambda path, spec: _getter(path, spec, config.namespaces),
            multi=config.multi,
            omit=False,
        )
        found = (_record(node, table) for node in _elements(file, config))
        return numbered_chunks(found, start or Position(0, -1))

    def open_writer(
        self, file: BinaryIO, fields: Mapping[str, FieldSpec], config: Any
    ) -> Writer:
        """See `Format.open_writer`."""
        from moatbridge_sftp.formats.xml_writing import XmlWriter  # noqa: PLC0415 - rare

        return XmlWriter(file, fields, config)


def _record(node: Any, table: Tree) -> dict[str, Any] | Fault:
    if isinstance(node, Fault):
        return node
    try:
        return table.record(node)
    except Fault as fault:
        return fault


def steps_of(path: str, namespaces: Mapping[str, str]) -> list[str]:
    """The steps of a path in Clark notation; ``@name`` and ``.`` stay as they are.

    Raises:
        ConfigurationError: ``sftp.fields``: no such path, or an unknown prefix.
    """
    steps = []
    for step in path.split("/"):
        at = "@" if step.startswith("@") else ""
        found = _STEP.fullmatch(step[len(at) :])
        if step == ".":
            steps.append(step)
            continue
        prefix = found[1] if found else None
        if found is None or (prefix and prefix not in namespaces):
            raise fields_error(
                f"xml path {path!r}: {step!r} is no name, or its prefix is not in "
                "xml.namespaces"
            )
        uri = namespaces[prefix] if prefix else "" if at else namespaces.get("", "")
        steps.append(f"{at}{{{uri}}}{found[2]}" if uri else at + found[2])
    return steps


def _getter(path: str, spec: FieldSpec, namespaces: Mapping[str, str]) -> Get:
    steps = steps_of(path, namespaces)
    attribute = steps.pop()[1:] if steps[-1][0] == "@" else None
    inner = "/".join(each for each in steps if each != ".")
    read = _whole if spec.type == "json" else _text

    def get(node: Any) -> Any:
        nodes = node.findall(inner) if inner else [node]
        if attribute is not None:
            found = [each.get(attribute) for each in nodes]
        else:
            found = [read(each) for each in nodes]
        found = [each for each in found if each is not None]
        if not found:
            return MISSING
        return found if len(found) > 1 else found[0]

    return get


def _text(node: Any) -> str | None:
    if len(node):
        raise ValueError("elements where text should be")
    return node.text or None


def _whole(node: Any) -> Any:
    """A nested element as JSON: attributes, children (lists if repeated), text."""
    found: dict[str, Any] = {f"@{name}": value for name, value in node.items()}
    for child in node:
        name, value = etree.QName(child).localname, _whole(child)
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    if not found:
        return node.text
    if node.text and node.text.strip():
        found["."] = node.text
    return found


def _elements(file: BinaryIO, config: XmlConfig) -> Iterator[Any]:
    """Record elements, each emptied after use; a `Fault` where one is bad.

    Raises:
        BadFile: ``syntax``, ``truncated``, ``dtd``.
    """
    file.seek(0)
    _check_start(file, config)
    file.seek(0)
    path = steps_of(config.record, config.namespaces)
    parser = etree.XMLPullParser(("start", "end"), tag=path[-1], **_SAFE)
    size, inside = 0, 0
    try:
        while data := file.read(_PIECE):
            parser.feed(data)
            size += len(data)
            for event, node in parser.read_events():
                inside += 1 if event == "start" else -1
                if event == "end" and not inside and _is_at(node, path):
                    yield _judged(node, config)
                    _forget(node)
                    size = 0
            if inside and size > config.max_record + 2 * _PIECE:
                raise BadFile("length", "a record is longer than max_record")
        parser.close()
    except etree.XMLSyntaxError:
        raise BadFile(
            "syntax", "the file is no well-formed XML, or it is cut off"
        ) from None


def _judged(node: Any, config: XmlConfig) -> Any:
    if config.allow_dtd == "ignore" and next(node.iter(etree.Entity), None) is not None:
        return Fault("", "value")
    return node


def _is_at(node: Any, path: list[str]) -> bool:
    if len(path) == 1:
        return True
    names = [node.tag, *(each.tag for each in node.iterancestors())]
    return names == path[::-1]


def _forget(node: Any) -> None:
    """Free the element and the ones before it; memory stays flat."""
    node.clear(keep_tail=False)
    parent = node.getparent()
    while parent is not None and node.getprevious() is not None:
        del parent[0]


def _check_start(file: BinaryIO, config: XmlConfig) -> None:
    """Look at what stands before the root, with a parser of its own."""
    parser = etree.XMLPullParser(("start",), **_SAFE)
    try:
        for _ in range(16):
            data = file.read(_PIECE)
            parser.feed(data)
            for _event, root in parser.read_events():
                if root.getroottree().docinfo.doctype and config.allow_dtd == "no":
                    raise BadFile(
                        "dtd",
                        "the file has a DTD, which is refused; set xml.allow_dtd = "
                        "'ignore' if the supplier cannot leave it out",
                    )
                return
            if not data:
                break
    except etree.XMLSyntaxError:
        pass
    raise BadFile("syntax", "the file is no XML")


def root_steps(config: XmlConfig) -> list[str]:
    """The path for writing.

    Raises:
        ConfigurationError: ``sftp.format``: it has no root element.
    """
    steps = steps_of(config.record, config.namespaces)
    if len(steps) == 1:
        raise ConfigurationError(
            "to write xml, `record` must name the root, too (People/Person)",
            code="sftp.format",
        )
    return steps
