"""Mainframe records described by a COBOL copybook, with or without length words.

Records follow one another without line ends: of fixed length, or each behind an RDW
(4 bytes: big-endian length including itself, and zeros), or in blocks behind a BDW.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final, Literal

from pydantic import Field, field_validator

from moatbridge.adapter import AdapterConfig
from moatbridge_sftp.formats.base import (
    BadFile,
    Chunk,
    Format,
    FormatConfig,
    Position,
)
from moatbridge_sftp.formats.copybook_parse import Item, parse
from moatbridge_sftp.formats.encodings import check_encoding, encoding
from moatbridge_sftp.formats.fields import FieldSpec, fields_error, source_of
from moatbridge_sftp.formats.jsonl import line_chunks
from moatbridge_sftp.formats.lines import Line
from moatbridge_sftp.formats.mainframe_numbers import number
from moatbridge_sftp.formats.nested import MISSING, Get, Tree
from moatbridge_sftp.formats.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_RDW: Final = 4
_HOPELESS: Final = 20


class When(AdapterConfig):
    """A redefinition holds only if an item has one of these values."""

    field: str
    value: tuple[str, ...]

    @field_validator("value", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class CopybookConfig(FormatConfig):
    """``copybook = { ... }``.

    Args:
        text: The copybook itself.
        encoding: Code page of the text; an ASCII one means ASCII signs, too.
        records: ``fixed`` length, behind an ``rdw``, or in blocks: ``bdw``.
        redefines: Name of a redefining (or redefined) item -> when it holds.
    """

    text: str
    encoding: str = "cp037"
    records: Literal["fixed", "rdw", "bdw"] = "fixed"
    redefines: dict[str, When] = Field(default_factory=dict)

    _known = field_validator("encoding")(check_encoding)

    @field_validator("text")
    @classmethod
    def _parses(cls, value: str) -> str:
        parse(value)
        return value


class CopybookFormat(Format):
    """Records of a copybook. Fields come from an item's name, or its path with dots."""

    name: ClassVar[str] = "copybook"
    extension: ClassVar[str] = "dat"
    Config: ClassVar[type[FormatConfig]] = CopybookConfig

    @classmethod
    def fields(cls, head: bytes, config: Any) -> dict[str, FieldSpec]:
        """See `Format.fields`; the copybook says it all."""
        del head
        found = {}
        for path, item in _leaves(parse(config.text), ()):
            kind = "text" if not item.digits else "decimal" if item.scale else "integer"
            if item.name != "FILLER":
                found[item.name] = FieldSpec.model_validate(
                    {"type": kind, "from": ".".join(path)}
                )
        return found

    @classmethod
    def check(cls, fields: Mapping[str, FieldSpec], config: Any) -> None:
        """See `Format.check`."""
        root = parse(config.text)
        for name, spec in fields.items():
            _path(root, source_of(name, spec))

    def read(
        self,
        file: BinaryIO,
        fields: Mapping[str, FieldSpec],
        config: Any,
        start: Position | None = None,
    ) -> Iterator[Chunk]:
        """See `Format.read`; positions hold exact byte offsets."""
        at = start or Position(0, 0)
        reader = _Reader(fields, config)
        lines = (
            _fixed(file, at.offset, reader)
            if config.records == "fixed"
            else _varying(file, at.offset, config)
        )
        for chunk in line_chunks(lines, at, reader.judge):
            _check_transfer(chunk)
            yield chunk


def _check_transfer(chunk: Chunk) -> None:
    """Many broken records with the marks of a text transfer: say so, once for all."""
    marked = [
        each.number
        for each in chunk.bad
        if b"\xef\xbf\xbd" in each.raw or b"\r\n" in each.raw
    ]
    if len(marked) >= _HOPELESS or (marked and len(marked) >= len(chunk.records)):
        raise BadFile(
            "text-mode",
            "packed numbers hold line ends or replacement characters: the file was "
            "sent in text mode; ask for a binary transfer",
            records=marked,
        )


def _leaves(
    item: Item, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Item]]:
    for child in item.children:
        inner = (*path, child.name)
        if child.is_group:
            if child.least is None:
                yield from _leaves(child, inner)
        elif child.least is None:
            yield inner, child


def _path(root: Item, text: str) -> tuple[list[str], Item]:
    """The item of a name or dotted path.

    Raises:
        ConfigurationError: ``sftp.fields``: none, or several.
    """
    steps = text.upper().split(".")
    hits = list(_hits(root, steps, []))
    if len(hits) != 1:
        what = (
            "no such item" if not hits else "several items of that name; give its path"
        )
        raise fields_error(f"copybook field {text!r}: {what}")
    return hits[0]


def _hits(
    item: Item, steps: list[str], path: list[str]
) -> Iterator[tuple[list[str], Item]]:
    for child in item.children:
        inner = [*path, child.name]
        if inner[-len(steps) :] == steps:
            yield inner, child
        if child.least is None:
            yield from _hits(child, steps, inner)


class _Reader:
    """Decodes one record: walks the items, keeps what is asked for."""

    def __init__(self, fields: Mapping[str, FieldSpec], config: CopybookConfig) -> None:
        self._root = parse(config.text)
        found = encoding(config.encoding)
        self._encoding, self._mainframe = found.name, found.mainframe
        self._when = {name.upper(): each for name, each in config.redefines.items()}
        self._limit = config.max_record
        self._tree = Tree(fields, self._getter, omit=False)
        self._values: dict[str, Any] = {}
        paths = [_path(self._root, source_of(n, spec))[0] for n, spec in fields.items()]
        self._needed = {".".join(path) for path in paths}
        self._hints = {each.field.upper() for each in self._when.values()}
        self._hints |= _depended(self._root)
        self.length = self._most(self._root)
        self.varies = bool(_depended(self._root))

    def _getter(self, source: str, spec: FieldSpec) -> Get:
        path, item = _path(self._root, source)
        codes = spec.type == "text" and item.digits and not item.scale
        digits = item.digits

        def get(node: Any) -> Any:
            for step in path:
                if not isinstance(node, dict):
                    return MISSING
                node = node.get(step, MISSING)
            if codes and isinstance(node, int):
                return f"{node:0{digits}d}" if node >= 0 else str(node)
            return node

        return get

    def _most(self, item: Item) -> int:
        if not item.is_group:
            return item.size
        total = 0
        for child in item.children:
            size = self._most(child) * (child.most if child.least is not None else 1)
            total += 0 if child.redefines else size
        return total

    def judge(self, line: Line) -> dict[str, Any] | Fault | None:
        """The record of one length of bytes."""
        if not line.whole:
            return Fault("", "length")
        try:
            node, size = self.decode(line.raw)
        except Fault as fault:
            return fault
        if size > len(line.raw) or (not self.varies and size < len(line.raw)):
            return Fault("", "length")
        try:
            return self._tree.record(node)
        except Fault as fault:
            return fault

    def decode(self, raw: bytes) -> tuple[dict[str, Any], int]:
        """The tree of a record, and its size by the copybook.

        Raises:
            Fault: A value is broken, or the bytes end too early.
        """
        self._values = {}
        node, end = self._group(self._root, raw, 0, "")
        return node, end

    def _group(
        self, group: Item, raw: bytes, at: int, path: str
    ) -> tuple[dict[str, Any], int]:
        node: dict[str, Any] = {}
        starts: dict[str, int] = {}
        furthest = at
        for child in group.children:
            begin = starts[child.redefines] if child.redefines else furthest
            starts[child.name] = begin
            inner = f"{path}.{child.name}" if path else child.name
            holds = self._holds(child)
            value, end = self._item(child, raw, begin, inner, holds=holds)
            furthest = max(furthest, end)
            if holds:
                node[child.name] = value
        return node, furthest

    def _holds(self, item: Item) -> bool:
        when = self._when.get(item.name)
        if when is None:
            return True
        return str(self._values.get(when.field.upper(), "")) in when.value

    def _item(
        self, item: Item, raw: bytes, at: int, path: str, *, holds: bool
    ) -> tuple[Any, int]:
        if item.least is None:
            return self._one(item, raw, at, path, holds=holds)
        values, count = [], self._count(item)
        for _ in range(count):
            value, at = self._one(item, raw, at, path, holds=holds)
            values.append(value)
        return values, at

    def _count(self, item: Item) -> int:
        if not item.depending:
            return item.most
        count = self._values.get(item.depending)
        if not isinstance(count, int) or not (item.least or 0) <= count <= item.most:
            raise Fault(item.depending, "value")
        return count

    def _one(
        self, item: Item, raw: bytes, at: int, path: str, *, holds: bool
    ) -> tuple[Any, int]:
        if item.is_group:
            if not holds:
                return None, at + self._most(item)
            return self._group(item, raw, at, path)
        end = at + item.size
        if end > len(raw):
            raise Fault(item.name, "length")
        wanted = item.name in self._hints or self._is_needed(path)
        if not wanted or not holds:
            return None, end
        value = self._leaf(item, raw[at:end])
        self._values[item.name] = value
        return value, end

    def _is_needed(self, path: str) -> bool:
        return any(path == each or path.startswith(f"{each}.") for each in self._needed)

    def _leaf(self, item: Item, raw: bytes) -> Any:
        try:
            if not item.digits:
                text = raw.decode(self._encoding).rstrip(" \0")
                return text or None
            if item.usage == "display" and not raw.strip(b"\x40\x20\x00"):
                return None  # blanks, where a program never set a number
            value = number(raw, item, mainframe=self._mainframe)
        except ValueError:
            raise Fault(item.name, "value") from None
        return Decimal(value).scaleb(-item.scale) if item.scale else value


def _depended(item: Item) -> set[str]:
    found = {item.depending} if item.depending else set()
    for child in item.children:
        found |= _depended(child)
    return found


def _fixed(file: BinaryIO, offset: int, reader: _Reader) -> Iterator[Line]:
    size = file.seek(0, 2)
    if not reader.varies and size % reader.length:
        raise BadFile(
            "record-length",
            f"the file is no multiple of the record length {reader.length}: it is cut "
            "off, or was sent in text mode, or the copybook is another one",
            expected=reader.length,
            found=size,
        )
    while offset < size:
        file.seek(offset)
        raw = file.read(reader.length * (1 if reader.varies else 200))
        if not reader.varies:
            for at in range(0, len(raw), reader.length):
                piece = raw[at : at + reader.length]
                yield Line(offset + at, piece, offset + at + len(piece))
            offset += len(raw)
            continue
        try:
            _, length = reader.decode(raw)
        except Fault:
            raise BadFile(
                "record-length",
                "a record of varying length is broken, and where the next one begins "
                "cannot be known",
            ) from None
        yield Line(offset, raw[:length], offset + length)
        offset += length


def _varying(file: BinaryIO, offset: int, config: CopybookConfig) -> Iterator[Line]:
    size = file.seek(0, 2)
    blocked = config.records == "bdw"
    block_end = _block_of(file, offset, size) if blocked else size
    while offset < size:
        if blocked and offset >= block_end:
            block_end = offset + _length(file, offset, size)
            offset += _RDW
            continue
        length = _length(file, offset, block_end)
        raw = file.read(min(length - _RDW, config.max_record + 1))
        whole = len(raw) == length - _RDW and len(raw) <= config.max_record
        yield Line(offset, raw, offset + length, whole)
        offset += length


def _block_of(file: BinaryIO, offset: int, size: int) -> int:
    """End of the block an offset lies in: blocks are walked from the beginning."""
    at = 0
    while at < offset:
        at += _length(file, at, size)
    return at


def _length(file: BinaryIO, offset: int, end: int) -> int:
    """The length a length word says, itself included."""
    file.seek(offset)
    word = file.read(_RDW)
    length = int.from_bytes(word[:2], "big")
    if len(word) == _RDW and word[0] & 0x80:  # an extended BDW: 31 bits
        length = int.from_bytes(word, "big") & 0x7FFFFFFF
    elif word[2:] != b"\0\0":
        length = 0
    if length < _RDW or offset + length > end:
        raise BadFile(
            "length-word",
            "a record's length word is wrong: the file is cut off, was sent in text "
            "mode, or has no length words",
        )
    return length
