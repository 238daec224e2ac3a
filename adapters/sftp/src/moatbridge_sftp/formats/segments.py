"""What X12 and EDIFACT share: segments, and records made of them.

A field's source is ``BEG03`` (segment, element), ``SV101-2`` (with a component),
``N1[ST]02`` (the N1 segment whose first element, or its first component, is ST).
"""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final, NamedTuple

from pydantic import Field, field_validator

from moatbridge.adapter import AdapterConfig
from moatbridge_sftp.formats.base import (
    BadFile,
    Chunk,
    Format,
    FormatConfig,
    Position,
)
from moatbridge_sftp.formats.encodings import check_encoding
from moatbridge_sftp.formats.fields import FieldSpec, fields_error, source_of
from moatbridge_sftp.formats.json_document import numbered_chunks
from moatbridge_sftp.formats.nested import MISSING, Get, Tree
from moatbridge_sftp.formats.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_SOURCE: Final = re.compile(
    r"([A-Z][A-Z0-9]{1,2}?)(?:\[([^\]]*)\])?([0-9]{2})(?:-([0-9]{1,2}))?"
)
_PIECE: Final = 1 << 16
MOST_SEGMENTS: Final = 200_000
"""Of one message, which is held in memory."""


class Segment(NamedTuple):
    """One segment: ``elements[0]`` is element 01, each a list of components."""

    tag: str
    elements: list[list[str]]

    def value(self, element: int, component: int = 1) -> str:
        """The text at a place, counted from 1; empty if it is not there."""
        if element > len(self.elements):
            return ""
        parts = self.elements[element - 1]
        return parts[component - 1] if component <= len(parts) else ""


class Mapped(AdapterConfig):
    """How a message (transaction set) becomes records.

    ``record``: each occurrence of this segment begins a record; empty: the message is
    one record. Segments before the first one belong to every record of the message.
    """

    record: str = ""


class EdiConfig(FormatConfig):
    """Settings of both formats.

    Args:
        sets: Message type (``850``, ``ORDERS``) -> how it becomes records; others in
            the same file are passed over. Empty: every message is one record.
        encoding: Of the text.
    """

    sets: dict[str, Mapped] = Field(default_factory=dict)
    encoding: str = "latin-1"

    _known = field_validator("encoding")(check_encoding)

    @field_validator("sets", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: {"record": each} if isinstance(each, str) else each
                for name, each in value.items()
            }
        return value


class EdiFormat(Format):
    """Messages of segments in an envelope. Resumes by record number."""

    Config: ClassVar[type[FormatConfig]] = EdiConfig

    @staticmethod
    @abstractmethod
    def messages(
        file: BinaryIO, config: EdiConfig
    ) -> Iterator[tuple[str, list[Segment]]]:
        """Type and segments of each message, without those that enclose it.

        Raises:
            BadFile: ``syntax``, ``truncated``, ``envelope``.
        """

    @classmethod
    def check(cls, fields: Mapping[str, FieldSpec], config: Any) -> None:
        """See `Format.check`."""
        del config
        check_sources(fields)

    def read(
        self,
        file: BinaryIO,
        fields: Mapping[str, FieldSpec],
        config: Any,
        start: Position | None = None,
    ) -> Iterator[Chunk]:
        """See `Format.read`."""
        found = records(self.messages(file, config), fields, config)
        return numbered_chunks(found, start or Position(0, -1))


class Record(NamedTuple):
    """Segments of one record: those of its message's head, and its own."""

    head: Sequence[Segment]
    own: Sequence[Segment]

    def find(self, tag: str, qualifier: str | None) -> Segment | None:
        """The first segment of that tag, its own before the head's."""
        for segment in (*self.own, *self.head):
            if segment.tag == tag and qualifier in {None, segment.value(1)}:
                return segment
        return None


def getter(source: str, spec: FieldSpec) -> Get:
    """The function that fetches a field from a `Record`.

    Raises:
        ConfigurationError: ``sftp.fields``: no such source.
    """
    del spec
    found = _SOURCE.fullmatch(source)
    if found is None:
        raise fields_error(
            f"edi field {source!r}: use BEG03, SV101-2 or N1[ST]02 (segment, element)"
        )
    tag, qualifier, element, component = found.groups()
    place, part = int(element), int(component or 1)

    def get(record: Record) -> Any:
        segment = record.find(tag, qualifier)
        return (segment.value(place, part) or MISSING) if segment else MISSING

    return get


def check_sources(fields: Mapping[str, FieldSpec]) -> None:
    """Check every field's source.

    Raises:
        ConfigurationError: ``sftp.fields``.
    """
    for name, spec in fields.items():
        getter(source_of(name, spec), spec)


def records(
    messages: Iterator[tuple[str, list[Segment]]],
    fields: Mapping[str, FieldSpec],
    config: EdiConfig,
) -> Iterator[dict[str, Any] | Fault]:
    """Records of the messages that are mapped."""
    table = Tree(fields, getter, omit=False)
    for kind, segments in messages:
        mapped = config.sets.get(kind)
        if config.sets and mapped is None:
            continue
        for record in _cut(segments, mapped.record if mapped else ""):
            try:
                yield table.record(record)
            except Fault as fault:
                yield fault


def _cut(segments: list[Segment], start: str) -> Iterator[Record]:
    if not start:
        yield Record((), segments)
        return
    places = [i for i, each in enumerate(segments) if each.tag == start]
    if not places:
        return
    head = segments[: places[0]]
    for begin, end in zip(places, [*places[1:], len(segments)], strict=True):
        yield Record(head, segments[begin:end])


def pieces(
    file: BinaryIO, begin: int, limit: int, split: Callable[[bytes], list[bytes]]
) -> Iterator[bytes]:
    """Raw segments of a file, without their terminators; the rest must be blank.

    Args:
        file: Seekable.
        begin: Where segments begin.
        limit: Longest segment.
        split: Cuts bytes at terminators; the last piece is what is left.

    Raises:
        BadFile: ``truncated`` or ``length``.
    """
    file.seek(begin)
    held = b""
    while data := file.read(_PIECE):
        *whole, held = split(held + data)
        for piece in whole:
            if body := piece.strip(b"\r\n"):
                yield body
        if len(held) > limit:
            raise BadFile("length", "a segment is longer than max_record")
    if held.strip(b"\r\n \x1a\0"):
        raise BadFile("truncated", "the file ends within a segment; ask for it again")


def text_of(raw: bytes, name: str) -> str:
    """A segment's text.

    Raises:
        BadFile: ``encoding``.
    """
    try:
        return raw.decode(name)
    except UnicodeError:
        raise BadFile(
            "encoding", f"a segment is not {name}; check the encoding setting"
        ) from None


def keep(segment: Segment, kept: list[Segment]) -> None:
    """Add a segment to its message.

    Raises:
        BadFile: ``length``.
    """
    if len(kept) >= MOST_SEGMENTS:
        raise BadFile(
            "length", f"a message has more than {MOST_SEGMENTS} segments; split it"
        )
    kept.append(segment)


def envelope(what: str, expected: Any, found: Any) -> BadFile:
    """A control number or count of the envelope does not match."""
    return BadFile(
        "envelope",
        f"the interchange does not add up: {what} differs; ask for it again",
        expected=expected,
        found=found,
    )


def check_count(what: str, text: str, found: int) -> None:
    """Compare a count as it stands in a trailer.

    Raises:
        BadFile: ``envelope``.
    """
    plain = text.strip()
    digits = plain.isdecimal() and plain.isascii()
    if not digits or int(plain[:18]) != found:
        raise envelope(what, plain[:18] if digits else "a number", found)
