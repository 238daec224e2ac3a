"""Writes fixed width text; what a column cannot hold is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from moatbridge_sftp.formats.base import Refusal, Writer
from moatbridge_sftp.formats.encodings import encoding, written_end
from moatbridge_sftp.formats.fields import FieldSpec, not_written, source_of
from moatbridge_sftp.formats.values import cell_writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge_sftp.formats.fixed import Column, FixedConfig

_ENDS = "\r\n\x85"


class FixedWriter(Writer):
    """See `Writer`. Files with several record types are read only."""

    def __init__(
        self, file: BinaryIO, fields: Mapping[str, FieldSpec], config: FixedConfig
    ) -> None:
        if config.tag is not None:
            raise not_written("fixed with several record types")
        self._file = file
        self._config = config
        found = encoding(config.encoding)
        self._encoding = found.written
        file.write(found.mark)
        self._end = b""
        if config.newline != "none":
            self._end = written_end(found, config.newline).raw
        by_source = {source_of(name, spec): name for name, spec in fields.items()}
        self._columns = [
            (column, by_source[column.name])
            for column in config.columns
            if column.name in by_source
        ]
        self._cells = {name: cell_writer(spec) for name, spec in fields.items()}

    def write(self, records: Sequence[Mapping[str, Any]]) -> list[Refusal | None]:
        """See `Writer.write`."""
        return [self._one(record) for record in records]

    def _one(self, record: Mapping[str, Any]) -> Refusal | None:
        line = [self._config.pad] * self._config.length
        for column, name in self._columns:
            try:
                text = self._cell(column, name, record.get(name))
            except UnicodeEncodeError as error:
                point = ord(error.object[error.start])
                return Refusal(name, f"{self._encoding} has no character U+{point:04X}")
            except ValueError as error:
                return Refusal(name, str(error))
            start = column.start - 1
            line[start : start + column.length] = text
        self._file.write("".join(line).encode(self._encoding) + self._end)
        return None

    def _cell(self, column: Column, name: str, value: Any) -> str:
        text, pad = self._cells[name](value), self._config.pad
        if any(end in text for end in _ENDS):
            raise ValueError("holds a line end")
        if text != text.rstrip(pad):
            raise ValueError("ends with the padding character, which would be lost")
        raw = text.encode(self._encoding)
        if self._config.unit == "bytes" and len(raw) != len(text):
            raise ValueError("holds a character of several bytes")
        if len(text) > column.length:
            raise ValueError(f"is longer than its {column.length} places")
        return text.ljust(column.length, pad)

    def close(self) -> None:
        """See `Writer.close`; nothing is left to write."""
