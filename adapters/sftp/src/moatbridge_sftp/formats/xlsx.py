"""XLSX through ``python-calamine``: one sheet with a header row; read only."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.formats.base import (
    BadFile,
    Chunk,
    Format,
    FormatConfig,
    Position,
)
from moatbridge_sftp.formats.fields import FieldSpec, locate, source_of
from moatbridge_sftp.formats.json_document import numbered_chunks
from moatbridge_sftp.formats.nested import Get, Tree
from moatbridge_sftp.formats.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


_MOST: Final = 256 << 20
"""Bytes of one part of a workbook."""


class XlsxConfig(FormatConfig):
    """``xlsx = { ... }``: ``sheet`` is its name; without one the first is read."""

    sheet: str | None = None


class XlsxFormat(Format):
    """One sheet. Needs the extra ``xlsx``. Resumes by record number.

    The sheet is held in memory; the zip limits bound it.
    """

    name: ClassVar[str] = "xlsx"
    extension: ClassVar[str] = "xlsx"
    Config: ClassVar[type[FormatConfig]] = XlsxConfig

    @classmethod
    def sniff(cls, head: bytes) -> float:
        """See `Format.sniff`."""
        return (
            0.9 if head[:4] == b"PK\x03\x04" and b"[Content_Types].xml" in head else 0.0
        )

    def unknown(
        self, file: BinaryIO, fields: Mapping[str, FieldSpec], config: Any
    ) -> tuple[str, ...]:
        """See `Format.unknown`."""
        header = next(iter(_rows(file, config)), [])
        columns = [str(each) for each in header]
        found, _, _ = locate(fields, columns)
        named = set(found.values())
        return tuple(each for i, each in enumerate(columns) if each and i not in named)

    def read(
        self,
        file: BinaryIO,
        fields: Mapping[str, FieldSpec],
        config: Any,
        start: Position | None = None,
    ) -> Iterator[Chunk]:
        """See `Format.read`."""
        found = _records(_rows(file, config), fields)
        return numbered_chunks(found, start or Position(0, -1))


def _rows(file: BinaryIO, config: XlsxConfig) -> list[list[Any]]:
    from moatbridge_sftp.unpack.archive import Archive  # noqa: PLC0415 - formats stand below
    from moatbridge_sftp.unpack.limits import Limits  # noqa: PLC0415 - as above

    try:
        calamine = import_module("python_calamine")
    except ImportError:
        raise ConfigurationError(
            "format xlsx needs the extra moatbridge-sftp[xlsx]", code="sftp.extra"
        ) from None
    Archive(file, Limits(max_file=_MOST)).measure()
    file.seek(0)
    try:
        book = calamine.CalamineWorkbook.from_filelike(file)
        names = book.sheet_names
        name = config.sheet or names[0]
        if name not in names:
            raise BadFile("header", "the workbook has no sheet of the configured name")
        rows: list[list[Any]] = book.get_sheet_by_name(name).to_python()
    except (calamine.CalamineError, IndexError, ValueError):
        raise BadFile("syntax", "the workbook is damaged; ask for it again") from None
    return rows


def _records(
    rows: Sequence[Sequence[Any]], fields: Mapping[str, FieldSpec]
) -> Iterator[dict[str, Any] | Fault]:
    columns = [str(each) for each in rows[0]] if rows else []
    places, missing, twice = locate(fields, columns)
    if missing or twice:
        names = [source_of(name, fields[name]) for name in (missing + twice)[:5]]
        raise BadFile(
            "header", f"columns are missing (or there twice): {', '.join(names)}"
        )
    by_source = {source_of(name, fields[name]): at for name, at in places.items()}
    table = Tree(fields, lambda path, spec: _getter(by_source[path], spec), omit=False)
    for row in rows[1:]:
        if all(each == "" for each in row):
            continue
        try:
            yield table.record(row)
        except Fault as fault:
            yield fault


def _getter(at: int, spec: FieldSpec) -> Get:
    def get(row: Any) -> Any:
        return _cell(row[at] if at < len(row) else "", spec)

    return get


def _cell(value: Any, spec: FieldSpec) -> Any:
    """A cell as JSON-like value: a spreadsheet knows only floats and dates."""
    if isinstance(value, bool):
        return value if spec.type == "boolean" else str(value).lower()
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) < 2**53
        if spec.type == "boolean":
            return str(int(value)) if whole else str(value)
        return int(value) if whole else Decimal(repr(value))
    if isinstance(value, datetime):
        moment = value if spec.type == "datetime" else value.date()
        return _dated(moment, spec)
    if isinstance(value, date):
        return _dated(value, spec)
    return str(value) or None


def _dated(value: date, spec: FieldSpec) -> str:
    """As text of the field's own pattern, which its reader takes."""
    from moatbridge_sftp.formats.patterns import Pattern  # noqa: PLC0415 - rare

    if isinstance(value, datetime) or spec.type == "datetime":
        moment = (
            value
            if isinstance(value, datetime)
            else datetime.combine(value, datetime.min.time())
        )
        return (
            Pattern(spec.pattern, with_time=True).format(moment)
            if spec.pattern
            else moment.isoformat()
        )
    return (
        Pattern(spec.pattern, with_time=False).format(value)
        if spec.pattern and spec.type == "date"
        else value.isoformat()
    )
