"""CSV: ``csv.reader`` in strict mode, fed by us so that byte positions are exact.

Two readers. The quick one takes rows at the speed of C and types them in one generated
function; whatever it stumbles over (a broken quote or character, an endless record) is
read again by the careful one, from the chunk's first byte, line by line.
"""

from __future__ import annotations

import csv
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from moatbridge_sftp.formats.base import (
    CHUNK_BYTES,
    CHUNK_RECORDS,
    Bad,
    BadFile,
    Chunk,
    Format,
    FormatConfig,
    LineRules,
    Position,
)
from moatbridge_sftp.formats.encodings import (
    LineEnd,
    Newline,
    check_encoding,
    encoding,
    line_end,
    text_of,
)
from moatbridge_sftp.formats.fields import FieldSpec, fields_error, locate, source_of
from moatbridge_sftp.formats.lines import Lines, Odd, byte_lines
from moatbridge_sftp.formats.rows import Failure, Fault, Table, judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from moatbridge_sftp.formats.base import Writer

_STEP: Final = 50
"""Rows between two looks at the bytes taken, so that wide rows end a chunk early."""
MOST_LINES: Final = 1000
_HEADER_LIMIT: Final = 1 << 20


class CsvConfig(FormatConfig):
    """``csv = { ... }``.

    Args:
        delimiter: Between cells.
        quote: Around cells; empty: no quoting.
        escape: Escape character, if quotes are not doubled.
        header: Whether the first line names the columns; else ``columns`` does.
        columns: Names of the columns of files without a header.
        skip_lines: Lines before the header (or the first record) to leave out.
        encoding: Of the text.
        newline: ``auto`` takes LF and CRLF; on mainframe pages 0x15 or 0x25.
        short_rows: What a row with missing cells at its end is.
        quoting: Of written files.
    """

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str = Field(default='"', max_length=1)
    escape: str | None = Field(default=None, min_length=1, max_length=1)
    header: bool = True
    columns: tuple[str, ...] = ()
    skip_lines: int = Field(default=0, ge=0, le=1000)
    encoding: str = "utf-8"
    newline: Newline = "auto"
    short_rows: Literal["reject", "empty"] = "reject"
    quoting: Literal["minimal", "all"] = "minimal"

    _known = field_validator("encoding")(check_encoding)

    @model_validator(mode="after")
    def _consistent(self) -> CsvConfig:
        marks = [each for each in (self.delimiter, self.quote, self.escape) if each]
        if len(set(marks)) != len(marks) or set(marks) & {"\r", "\n"}:
            raise ValueError("delimiter, quote and escape must differ, and end no line")
        if self.header == bool(self.columns):
            raise ValueError("name columns if, and only if, header = false")
        return self

    @property
    def dialect(self) -> dict[str, Any]:
        """The settings of ``csv.reader``."""
        return {
            "delimiter": self.delimiter,
            "quotechar": self.quote or None,
            "escapechar": self.escape,
            "doublequote": self.escape is None,
            "quoting": csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            "strict": True,
        }


class Layout(NamedTuple):
    """What the beginning of one file says: its columns and where rows begin."""

    file: BinaryIO
    encoding: str
    end: LineEnd
    columns: tuple[str, ...]
    begin: int
    dialect: dict[str, Any]


class CsvFormat(Format):
    """Delimited text (RFC 4180 and what the world makes of it)."""

    name: ClassVar[str] = "csv"
    extension: ClassVar[str] = "csv"
    Config: ClassVar[type[FormatConfig]] = CsvConfig

    def __init__(self) -> None:
        self._last: tuple[Any, Table] | None = None

    @classmethod
    def sniff(cls, head: bytes) -> float:
        """See `Format.sniff`."""
        from moatbridge_sftp.formats import guess  # noqa: PLC0415 - discovery only

        return guess.csv_likeness(head)

    @classmethod
    def suggest(cls, head: bytes) -> dict[str, Any]:
        """See `Format.suggest`."""
        from moatbridge_sftp.formats import guess  # noqa: PLC0415 - discovery only

        return guess.csv_settings(head)

    @classmethod
    def fields(cls, head: bytes, config: Any) -> dict[str, FieldSpec]:
        """See `Format.fields`."""
        from moatbridge_sftp.formats import guess  # noqa: PLC0415 - discovery only

        return guess.csv_fields(head, config)

    @classmethod
    def check(cls, fields: Mapping[str, FieldSpec], config: Any) -> None:
        """See `Format.check`."""
        for name, spec in fields.items():
            if spec.type == "json":
                raise fields_error(f"field {name!r}: a cell of csv cannot be json")
        if config.header:
            return
        _, missing, twice = locate(fields, config.columns)
        if missing or twice:
            raise fields_error(
                f"no column (or more than one) for {_some(missing + twice)}; name each "
                "once in csv.columns"
            )

    @classmethod
    def line_rules(cls, config: Any) -> LineRules:
        """See `Format.line_rules`."""
        return LineRules(config.encoding, config.newline)

    def unknown(
        self, file: BinaryIO, fields: Mapping[str, FieldSpec], config: Any
    ) -> tuple[str, ...]:
        """See `Format.unknown`."""
        columns = layout(file, config).columns
        found, _, _ = locate(fields, columns)
        named = set(found.values())
        return tuple(each for i, each in enumerate(columns) if i not in named)

    def read(
        self,
        file: BinaryIO,
        fields: Mapping[str, FieldSpec],
        config: Any,
        start: Position | None = None,
    ) -> Iterator[Chunk]:
        """See `Format.read`; positions hold exact byte offsets."""
        from moatbridge_sftp.formats.delimited_careful import (  # noqa: PLC0415 - rare
            careful_chunk,
        )

        shape = layout(file, config)
        table = self._table(shape.columns, fields, config)
        at = start or Position(0, shape.begin)
        while True:
            try:
                for chunk in _quick(shape, table, at, config):
                    at = chunk.position
                    if chunk.records or chunk.bad:
                        yield chunk
            except (Odd, csv.Error):
                chunk = careful_chunk(shape, table, at, config)
                at = chunk.position
                if chunk.records or chunk.bad:
                    yield chunk
            else:
                return

    def _table(
        self,
        columns: tuple[str, ...],
        fields: Mapping[str, FieldSpec],
        config: CsvConfig,
    ) -> Table:
        same = (columns, tuple(fields.items()), config)
        if self._last is None or self._last[0] != same:
            guarded = config.formula_guard == "escape"
            places = _places(columns, fields)
            self._last = (same, Table(fields, places, len(columns), guarded=guarded))
        return self._last[1]

    def open_writer(
        self, file: BinaryIO, fields: Mapping[str, FieldSpec], config: Any
    ) -> Writer:
        """See `Format.open_writer`."""
        from moatbridge_sftp.formats.delimited_writing import (  # noqa: PLC0415 - rare
            CsvWriter,
        )

        return CsvWriter(file, fields, config)


def layout(file: BinaryIO, config: CsvConfig) -> Layout:
    """Read what stands before the first record.

    Raises:
        BadFile: ``header``: there is no readable header line.
    """
    found = encoding(config.encoding)
    text = text_of(file, found)
    text.file.seek(0)
    end = line_end(found, config.newline, text.file.read(1 << 16))
    lines = byte_lines(text.file, text.begin, end.raw, _HEADER_LIMIT)
    dialect, begin = config.dialect, text.begin
    for _ in range(config.skip_lines):
        line = next(lines, None)
        begin = line.end if line else begin
    columns = config.columns
    if config.header:
        line = next(lines, None)
        raw = line.raw if line else b""
        if (mark := _announced(raw)) and line:
            dialect = {**dialect, "delimiter": mark}
            line = next(lines, None)
            raw = line.raw if line else b""
        columns = _header(raw, text.encoding, end, dialect)
        begin = line.end if line else begin
    return Layout(text.file, text.encoding, end, columns, begin, dialect)


def _announced(raw: bytes) -> str:
    """The delimiter of a ``sep=;`` line, which spreadsheets write."""
    body = raw.rstrip(b"\r\n")
    known = len(body) == len(b"sep=;") and body[:4].lower() == b"sep="
    return chr(body[4]) if known and body[4] < 0x80 else ""  # noqa: PLR2004 - ASCII


def _header(
    raw: bytes, name: str, end: LineEnd, dialect: dict[str, Any]
) -> tuple[str, ...]:
    try:
        text = raw.removesuffix(end.raw).decode(name)
        columns = next(csv.reader([text], **dialect), [])
    except (UnicodeError, csv.Error):
        raise BadFile("header", "the header line cannot be read") from None
    if not columns:
        raise BadFile("header", "the file has no header line")
    return tuple(each.strip() for each in columns)


def _places(columns: Sequence[str], fields: Mapping[str, FieldSpec]) -> dict[str, int]:
    places, missing, twice = locate(fields, columns)
    if missing:
        names = [source_of(name, fields[name]) for name in missing]
        raise BadFile(
            "header",
            f"the header lacks {_some(names)}; ask the supplier, or change `fields`",
            expected=len(fields),
            found=len(places),
        )
    if twice:
        names = [source_of(name, fields[name]) for name in twice]
        raise BadFile("header", f"the header names {_some(names)} twice")
    return places


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"  # noqa: PLR2004 - five are enough


def _quick(
    shape: Layout, table: Table, at: Position, config: CsvConfig
) -> Iterator[Chunk]:
    lines = Lines(shape.file, shape.encoding, shape.end, at.offset, config.max_record)
    reader = csv.reader(chain.from_iterable(lines.blocks()), **shape.dialect)
    taker = _Taker(lines, reader, table, at, config)
    while (chunk := taker.chunk()) is not None:
        yield chunk


class _Taker:
    """Takes chunks from one ``csv.reader``; keeps where in the file it is."""

    def __init__(
        self, lines: Lines, reader: Any, table: Table, at: Position, config: CsvConfig
    ) -> None:
        self._lines = lines
        self._reader = reader
        self._table = table
        self._at = at
        self._pads = config.short_rows == "empty"
        self._limit = config.max_record

    def chunk(self) -> Chunk | None:
        """The next chunk; None at the end.

        Raises:
            Odd: It needs the careful reader.
        """
        records: list[dict[str, Any]] = []
        failures: list[Failure] = []
        before, taken, end = self._reader.line_num, 0, False
        while taken < CHUNK_RECORDS and not end:
            some: list[Failure] = []
            count = self._table.rows(self._reader, _STEP, records, some)
            failures += [each._replace(ordinal=each.ordinal + taken) for each in some]
            taken, end = taken + count, count < _STEP
            reached = self._lines.offset(self._reader.line_num)
            end = end or reached - self._at.offset > CHUNK_BYTES
        if not taken:
            return None
        return self._finish(records, failures, before, taken)

    def _finish(
        self,
        records: list[dict[str, Any]],
        failures: list[Failure],
        before: int,
        taken: int,
    ) -> Chunk:
        after = self._reader.line_num
        offset = self._lines.offset(after)
        spread = after - before - taken
        if spread > MOST_LINES or (failures and spread):
            raise Odd
        if offset - self._at.offset > self._limit:
            raise Odd
        bad, numbers, blank = self._sorted_out(records, failures, taken)
        self._at = Position(self._at.record + taken - blank, offset)
        self._lines.forget(after)
        return Chunk(records, bad, self._at, numbers)

    def _sorted_out(
        self, records: list[dict[str, Any]], failures: list[Failure], taken: int
    ) -> tuple[list[Bad], Sequence[int], int]:
        first = self._at.record
        if not failures:
            return [], range(first + 1, first + taken + 1), 0
        bad: list[Bad] = []
        numbers: list[int] = []
        kept, blank, last = records[:], 0, 0
        records.clear()
        good = iter(kept)
        for ordinal, cells, line in failures:
            for between in range(last + 1, ordinal):
                records.append(next(good))
                numbers.append(first + between - blank)
            last = ordinal
            if not cells:
                blank += 1
                continue
            number = first + ordinal - blank
            found = judge(self._table, cells, pads=self._pads)
            if isinstance(found, dict):
                records.append(found)
                numbers.append(number)
            else:
                bad.append(self._bad(number, line, found))
        rest = list(good)
        records += rest
        numbers += range(first + last + 1 - blank, first + taken + 1 - blank)
        return bad, numbers, blank

    def _bad(self, number: int, line: int, fault: Fault) -> Bad:
        offset, end = self._lines.offset(line - 1), self._lines.offset(line)
        raw = self._lines.raw(offset, end)
        return Bad(number, offset, raw, fault.reason, fault.field or None)  # type: ignore[arg-type]
