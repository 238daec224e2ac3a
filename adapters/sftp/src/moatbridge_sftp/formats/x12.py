"""ANSI X12: separators from the ISA segment, every control number and count checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, ClassVar, Final

from moatbridge_sftp.formats.base import BadFile
from moatbridge_sftp.formats.segments import (
    EdiFormat,
    Segment,
    check_count,
    envelope,
    keep,
    pieces,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge_sftp.formats.segments import EdiConfig

_ISA: Final = 106
"""The ISA segment has fixed width; its separators stand at known bytes (X12.5)."""


class X12Format(EdiFormat):
    """Interchanges of transaction sets. Resumes by record number."""

    name: ClassVar[str] = "x12"
    extension: ClassVar[str] = "x12"

    @classmethod
    def sniff(cls, head: bytes) -> float:
        """See `Format.sniff`."""
        start = head.lstrip()
        return 0.99 if start.startswith(b"ISA") and len(start) >= _ISA else 0.0

    @staticmethod
    def messages(
        file: BinaryIO, config: EdiConfig
    ) -> Iterator[tuple[str, list[Segment]]]:
        """See `EdiFormat.messages`."""
        return _Envelope(file, config).messages()


class _Envelope:
    def __init__(self, file: BinaryIO, config: EdiConfig) -> None:
        self._file = file
        self._config = config
        self._isa: Segment | None = None
        self._gs: Segment | None = None
        self._groups = self._sets = 0

    def messages(self) -> Iterator[tuple[str, list[Segment]]]:
        """Type and segments of each transaction set, ST and SE left out.

        Raises:
            BadFile: ``syntax``, ``truncated``, ``envelope``.
        """
        kept: list[Segment] | None = None
        st: Segment | None = None
        for segment in self._segments():
            if st is not None and kept is not None:
                if segment.tag != "SE":
                    keep(segment, kept)
                    continue
                _close_set(st, segment, len(kept) + 2)
                yield st.value(1), kept
                st, kept = None, None
            elif segment.tag == "ST" and self._gs is not None:
                st, kept = segment, []
                self._sets += 1
            else:
                self._frame(segment)
        if st is not None or self._isa is not None:
            raise BadFile("truncated", "the interchange has no end; ask for it again")

    def _frame(self, segment: Segment) -> None:
        if segment.tag == "ISA" and self._isa is None:
            self._isa, self._groups = segment, 0
        elif segment.tag == "GS" and self._isa is not None and self._gs is None:
            self._gs, self._sets = segment, 0
            self._groups += 1
        elif segment.tag == "GE" and self._gs is not None:
            check_count(
                "the number of transaction sets (GE01)", segment.value(1), self._sets
            )
            _same(
                "the group control number (GE02)", self._gs.value(6), segment.value(2)
            )
            self._gs = None
        elif segment.tag == "IEA" and self._isa is not None and self._gs is None:
            check_count("the number of groups (IEA01)", segment.value(1), self._groups)
            number = self._isa.value(13)
            _same("the interchange control number (IEA02)", number, segment.value(2))
            self._isa = None
        elif segment.tag != "TA1" or self._isa is None:
            raise BadFile("syntax", "segments stand in an order that X12 does not know")

    def _segments(self) -> Iterator[Segment]:
        """Segments; each interchange brings its own separators."""
        self._file.seek(0)
        head = self._file.read(_ISA + 64)
        begin = len(head) - len(head.lstrip(b"\xef\xbb\xbf \r\n"))
        isa = head[begin : begin + _ISA]
        if len(isa) < _ISA or not isa.startswith(b"ISA"):
            raise BadFile("syntax", "the file does not begin with a whole ISA segment")
        element, component, end = isa[3:4], isa[104:105], isa[105:106]
        if len({element, component, end}) != 3 or (element + component + end).isalnum():  # noqa: PLR2004 - all different
            raise BadFile("syntax", "the separators in the ISA segment make no sense")
        limit, name = self._config.max_record, self._config.encoding
        for raw in pieces(self._file, begin, limit, lambda data: data.split(end)):
            tag, *elements = text_of(raw.strip(), name).split(element.decode("latin-1"))
            mark = component.decode("latin-1")
            fixed = tag == "ISA"
            yield Segment(
                tag, [[each] if fixed else each.split(mark) for each in elements]
            )


def _close_set(st: Segment, se: Segment, count: int) -> None:
    check_count("the number of segments (SE01)", se.value(1), count)
    _same("the transaction set control number (SE02)", st.value(2), se.value(2))


def _same(what: str, expected: str, found: str) -> None:
    if expected.strip() != found.strip():
        raise envelope(what, None, None)
