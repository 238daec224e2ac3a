"""Writes CSV that our own reader gives back exactly."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, BinaryIO

from moatbridge_sftp.formats import formula
from moatbridge_sftp.formats.base import Refusal, Writer
from moatbridge_sftp.formats.encodings import encoding, written_end
from moatbridge_sftp.formats.fields import FieldSpec, locate, source_of
from moatbridge_sftp.formats.values import cell_writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge_sftp.formats.delimited import CsvConfig


class CsvWriter(Writer):
    """See `Writer`. The header is written at once."""

    def __init__(
        self, file: BinaryIO, fields: Mapping[str, FieldSpec], config: CsvConfig
    ) -> None:
        self._file = file
        self._config = config
        found = encoding(config.encoding)
        self._encoding = found.written
        file.write(found.mark)
        self._end = written_end(found, config.newline)
        self._nel = _is_nel(self._end.raw, self._encoding)
        self._columns = _columns(fields, config)
        self._cells = {name: cell_writer(spec) for name, spec in fields.items()}
        self._texts = {name for name, spec in fields.items() if spec.type == "text"}
        marks = config.delimiter + config.quote + (config.escape or "") + "\r\n"
        self._special = re.compile(f"[{re.escape(marks)}]|^[ \ufeff]| $").search
        if config.header:
            self._put([column for column, _ in self._columns])

    def write(self, records: Sequence[Mapping[str, Any]]) -> list[Refusal | None]:
        """See `Writer.write`."""
        return [self._one(record) for record in records]

    def _one(self, record: Mapping[str, Any]) -> Refusal | None:
        cells: list[str] = []
        for _, name in self._columns:
            try:
                cells.append("" if name is None else self._cell(name, record))
            except UnicodeEncodeError as error:
                return Refusal(name, _cannot_encode(error, self._encoding))
            except ValueError as error:
                return Refusal(name, str(error))
        self._put(cells)
        return None

    def _cell(self, name: str, record: Mapping[str, Any]) -> str:
        text = self._cells[name](record.get(name))
        if name in self._texts:
            text = self._guarded(text)
        if self._nel:
            if "\x85" in text:
                raise ValueError("holds U+0085, which ends a line here")
            text = text.replace("\n", "\x85")
        text.encode(self._encoding)
        if (
            not self._config.quote
            and self._config.escape is None
            and (self._special(text))
        ):
            raise ValueError("needs quotes, which are switched off")
        return text

    def _guarded(self, text: str) -> str:
        guard = self._config.formula_guard
        if guard == "escape":
            return formula.escape(text)
        if guard == "reject" and formula.would_run(text):
            raise ValueError("a spreadsheet would run it as a formula")
        return text

    def _put(self, cells: Sequence[str]) -> None:
        line = self._config.delimiter.join(map(self._quoted, cells))
        if not line:
            line = self._config.quote * 2
        self._file.write(line.encode(self._encoding) + self._end.raw)

    def _quoted(self, cell: str) -> str:
        quote, escape = self._config.quote, self._config.escape
        if not quote:
            return cell
        if self._config.quoting == "minimal" and not self._special(cell):
            return cell
        if escape is None:
            return quote + cell.replace(quote, quote * 2) + quote
        safe = cell.replace(escape, escape * 2).replace(quote, escape + quote)
        return quote + safe + quote

    def close(self) -> None:
        """See `Writer.close`; nothing is left to write."""


def _columns(
    fields: Mapping[str, FieldSpec], config: CsvConfig
) -> list[tuple[str, str | None]]:
    if config.header:
        return [(source_of(name, spec), name) for name, spec in fields.items()]
    places, _, _ = locate(fields, config.columns)
    names = {place: name for name, place in places.items()}
    return [(column, names.get(i)) for i, column in enumerate(config.columns)]


def _is_nel(end: bytes, name: str) -> bool:
    try:
        return end == "\x85".encode(name)
    except UnicodeEncodeError:
        return False


def _cannot_encode(error: UnicodeEncodeError, name: str) -> str:
    point = ord(error.object[error.start])
    return f"{name} has no character U+{point:04X}"
