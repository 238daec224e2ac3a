"""The careful CSV reader: one record at a time, every limit checked, nothing lost.

A quote that is never closed would swallow the rest of the file. So a record that runs
over 1,000 lines, over ``max_record`` or into the end of the file costs its first line
only: the next record begins at the line after it. After any other fault the reader goes
on behind the lines it has taken.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any, Final

from moatbridge_sftp.formats.base import (
    CHUNK_BYTES,
    CHUNK_RECORDS,
    Bad,
    BadReason,
    Chunk,
    Position,
)
from moatbridge_sftp.formats.delimited import MOST_LINES, CsvConfig, Layout
from moatbridge_sftp.formats.lines import Line, byte_lines
from moatbridge_sftp.formats.rows import judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge_sftp.formats.rows import Table

_BROKEN: Final = re.compile("[\ud800-\udfff]")


class _Endless(Exception):
    """A record is over its limits."""


class _Source:
    """Feeds lines to ``csv.reader`` and remembers those of the current record."""

    def __init__(self, shape: Layout, at: int, limit: int) -> None:
        self._shape = shape
        self._limit = limit
        self._lines = byte_lines(shape.file, at, shape.end.raw, limit)
        self.taken: list[Line] = []
        self.size = 0
        self.broken = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken.append(line)
        self.size += len(line.raw)
        if (
            not line.whole
            or len(self.taken) > MOST_LINES
            or self.size > self._limit + len(self._shape.end.raw)
        ):
            raise _Endless
        return self._text(line.raw)

    def _text(self, raw: bytes) -> str:
        end, fed = self._shape.end
        ended = raw.endswith(end)
        body = raw.removesuffix(end) if ended else raw
        text = body.decode(self._shape.encoding, "surrogateescape")
        self.broken = self.broken or _BROKEN.search(text) is not None
        return text + fed if ended else text

    def begin(self) -> None:
        """The next record begins."""
        self.taken, self.size, self.broken = [], 0, False


def careful_chunk(
    shape: Layout, table: Table, at: Position, config: CsvConfig
) -> Chunk:
    """One chunk from this position on; the one after it may be read quickly again."""
    reader = _Reader(shape, table, at, config)
    begin = at.offset
    while reader.taken < CHUNK_RECORDS and reader.offset - begin < CHUNK_BYTES:
        if not reader.one():
            break
    return Chunk(
        reader.records, reader.bad, Position(reader.number, reader.offset),
        reader.numbers,
    )  # fmt: skip


class _Reader:
    def __init__(
        self, shape: Layout, table: Table, at: Position, config: CsvConfig
    ) -> None:
        self._shape = shape
        self._table = table
        self._config = config
        self.number, self.offset = at
        self.taken = 0
        self.records: list[dict[str, Any]] = []
        self.numbers: list[int] = []
        self.bad: list[Bad] = []
        self._restart()

    def _restart(self) -> None:
        self._source = _Source(self._shape, self.offset, self._config.max_record)
        self._rows = csv.reader(self._source, **self._shape.dialect)

    def one(self) -> bool:
        """Take one record, good or bad; False at the end of the file."""
        self._source.begin()
        try:
            cells = next(self._rows)
        except StopIteration:
            self.offset = self._after()
            return False
        except _Endless:
            self._first_line("length")
        except UnicodeError:
            self._whole("encoding")
            self._restart()
        except csv.Error as error:
            if _unclosed(error, self._source.taken):
                self._first_line("quote")
            else:
                self._whole("quote")
        else:
            self._judge(cells)
        self.taken += 1
        return True

    def _after(self) -> int:
        taken = self._source.taken
        return taken[-1].end if taken else self.offset

    def _judge(self, cells: list[str]) -> None:
        if not cells:
            self.offset = self._after()
            return
        if self._source.broken:
            self._whole("encoding")
            return
        found = judge(self._table, cells, pads=self._config.short_rows == "empty")
        if isinstance(found, dict):
            self.number += 1
            self.records.append(found)
            self.numbers.append(self.number)
            self.offset = self._after()
        else:
            self._whole(found.reason, found.field or None)

    def _whole(self, reason: Any, field: str | None = None) -> None:
        """Every line taken for this record is at fault."""
        raw = b"".join(line.raw for line in self._source.taken)
        self._add(raw, reason, field)
        self.offset = self._after()

    def _first_line(self, reason: BadReason) -> None:
        """Only the first line is at fault: read on at the second."""
        first = self._source.taken[0]
        self._add(first.raw, reason, None)
        self.offset = first.end
        self._restart()

    def _add(self, raw: bytes, reason: BadReason, field: str | None) -> None:
        self.number += 1
        raw = raw[: self._config.max_record]
        self.bad.append(Bad(self.number, self.offset, raw, reason, field))


def _unclosed(error: csv.Error, taken: list[Line]) -> bool:
    """Whether an opening quote swallowed what follows, by the module's own words."""
    text = str(error)
    return "unexpected end" in text or ("field limit" in text and len(taken) > 1)
