"""UN/EDIFACT (ISO 9735): UNA or the default separators, release character, counts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Final, NamedTuple

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

_DEFAULT: Final = b":+.? '"
_UNA: Final = 9


class _Marks(NamedTuple):
    """The six separators of a UNA segment."""

    component: str
    element: str
    decimal: str
    release: str
    end: str


class EdifactFormat(EdiFormat):
    """Interchanges of messages. Resumes by record number."""

    name: ClassVar[str] = "edifact"
    extension: ClassVar[str] = "edi"

    @classmethod
    def sniff(cls, head: bytes) -> float:
        """See `Format.sniff`."""
        return 0.99 if head.lstrip()[:4] in {b"UNB+", b"UNA:"} else 0.0

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
        self._unb: Segment | None = None
        self._ung: Segment | None = None
        self._messages = self._groups = 0
        self._all_messages = 0
        self._seen = False

    def messages(self) -> Iterator[tuple[str, list[Segment]]]:
        """Type and segments of each message, UNH and UNT left out.

        Raises:
            BadFile: ``syntax``, ``truncated``, ``envelope``.
        """
        unh: Segment | None = None
        kept: list[Segment] = []
        for segment in self._segments():
            if unh is not None:
                if segment.tag != "UNT":
                    keep(segment, kept)
                    continue
                check_count(
                    "the number of segments (UNT01)", segment.value(1), len(kept) + 2
                )
                _same("the message number (UNT02)", unh.value(1), segment.value(2))
                yield unh.value(2), kept
                unh, kept = None, []
            elif segment.tag == "UNH" and self._unb is not None:
                unh = segment
                self._messages += 1
                self._all_messages += 1
            else:
                self._frame(segment)
        if not self._seen:
            raise BadFile("syntax", "the file holds no interchange")
        if unh is not None or self._unb is not None:
            raise BadFile("truncated", "the interchange has no end; ask for it again")

    def _frame(self, segment: Segment) -> None:
        if segment.tag == "UNB" and self._unb is None:
            self._unb, self._groups, self._all_messages = segment, 0, 0
            self._seen = True
        elif segment.tag == "UNG" and self._unb is not None and self._ung is None:
            self._ung, self._messages = segment, 0
            self._groups += 1
        elif segment.tag == "UNE" and self._ung is not None:
            check_count(
                "the number of messages (UNE01)", segment.value(1), self._messages
            )
            self._ung = None
        elif segment.tag == "UNZ" and self._unb is not None and self._ung is None:
            found = self._groups or self._all_messages
            check_count("the number of messages (UNZ01)", segment.value(1), found)
            number = self._unb.value(5)
            _same("the interchange number (UNZ02)", number, segment.value(2))
            self._unb = None
        else:
            raise BadFile("syntax", "segments stand in an order EDIFACT does not know")

    def _segments(self) -> Iterator[Segment]:
        self._file.seek(0)
        head = self._file.read(64)
        begin = len(head) - len(head.lstrip(b"\xef\xbb\xbf \r\n"))
        marks, una = _DEFAULT, head[begin : begin + _UNA]
        if una.startswith(b"UNA") and len(una) == _UNA:
            marks, begin = una[3:], begin + _UNA
        found = _marks(marks)
        end, release = re.escape(found.end), re.escape(found.release)
        cut = re.compile(
            f"((?:[^{end}{release}]|{release}.)*){end}".encode("latin-1"), re.DOTALL
        )
        limit, name = self._config.max_record, self._config.encoding
        for raw in pieces(self._file, begin, limit, lambda data: _split(cut, data)):
            yield _segment(text_of(raw, name), found)


def _marks(raw: bytes) -> _Marks:
    component, element, decimal, release, _, end = map(chr, raw)
    marks = _Marks(component, element, decimal, release, end)
    used = [component, element, end, *([release] if release != " " else [])]
    if len(set(used)) != len(used) or any(each.isalnum() for each in used):
        raise BadFile("syntax", "the separators in the UNA segment make no sense")
    return marks if release != " " else marks._replace(release="\0")


def _split(cut: re.Pattern[bytes], data: bytes) -> list[bytes]:
    found, at = [], 0
    for match in cut.finditer(data):
        if match.start() != at:
            break
        found.append(match[1])
        at = match.end()
    return [*found, data[at:]]


def _segment(raw: str, marks: _Marks) -> Segment:
    """Tag and elements; the release character takes a mark's meaning away."""
    elements: list[list[str]] = [[""]]
    at = 0
    while at < len(raw):
        char = raw[at]
        if char == marks.release and at + 1 < len(raw):
            at += 1
            elements[-1][-1] += raw[at]
        elif char == marks.element:
            elements.append([""])
        elif char == marks.component:
            elements[-1].append("")
        else:
            elements[-1][-1] += char
        at += 1
    return Segment(elements[0][0].strip(), elements[1:])


def _same(what: str, expected: str, found: str) -> None:
    if expected.strip() != found.strip():
        raise envelope(what, None, None)
