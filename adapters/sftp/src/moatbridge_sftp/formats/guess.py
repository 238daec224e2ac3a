"""Settings and fields that fit a sample: for ``discover``, confirmed by a person."""

from __future__ import annotations

import csv
import io
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from moatbridge_sftp.formats.fields import FieldSpec
from moatbridge_sftp.formats.guess_types import guess_type
from moatbridge_sftp.formats.json_values import loads

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moatbridge_sftp.formats.delimited import CsvConfig
    from moatbridge_sftp.formats.fixed import FixedConfig

_DELIMITERS: Final = (";", "\t", ",", "|")
_ROWS: Final = 200
_COMMON_EBCDIC: Final = frozenset(
    b"\x40\x15\x25\x0d\x4b\x60\x61\x6b"
    + bytes((*range(0xC1, 0xCA), *range(0xD1, 0xDA), *range(0xE2, 0xEA)))
    + bytes((*range(0x81, 0x8A), *range(0x91, 0x9A), *range(0xA2, 0xAA)))
    + bytes(range(0xF0, 0xFA))
)


def text_encoding(head: bytes) -> str:
    """UTF-8 if it decodes, else EBCDIC if the bytes look like it, else cp1252."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for cut in range(4):  # the sample may end within a character
        try:
            head[: len(head) - cut].decode()
        except UnicodeDecodeError:
            continue
        return "utf-8"
    hits = sum(byte in _COMMON_EBCDIC for byte in head)
    return "cp037" if head and hits / len(head) > 0.9 else "cp1252"  # noqa: PLR2004 - a share


def _text(head: bytes, name: str) -> str:
    text = head.decode(name, "replace").removeprefix("\ufeff")
    if name == "cp037":
        return text.replace("\x85", "\n")
    return text


def csv_likeness(head: bytes) -> float:
    """How much a sample looks like delimited text."""
    text = _text(head, text_encoding(head))
    delimiter = _delimiter(text)
    if delimiter is None:
        return 0.0
    widths = Counter(len(row) for row in _rows(text, delimiter) if row)
    width, hits = widths.most_common(1)[0]
    share = hits / sum(widths.values())
    return 0.0 if width < 2 else min(0.9, 0.3 + 0.6 * share)  # noqa: PLR2004 - two cells


def _delimiter(text: str) -> str | None:
    if text[:4].lower() == "sep=":
        return text[4:5]
    best, found = 0.0, None
    for each in _DELIMITERS:
        widths = Counter(len(row) for row in _rows(text, each) if row)
        if not widths:
            continue
        width, hits = widths.most_common(1)[0]
        score = hits / sum(widths.values()) * min(width - 1, 20)
        if score > best:
            best, found = score, each
    return found


def _rows(text: str, delimiter: str) -> list[list[str]]:
    lines = text.split("\n")
    if len(lines) > 1:
        lines.pop()  # it may be cut off
    sample = io.StringIO("\n".join(lines[:_ROWS]), newline="")
    try:
        return list(islice(csv.reader(sample, delimiter=delimiter), _ROWS))
    except csv.Error:
        return []


def csv_settings(head: bytes) -> dict[str, Any]:
    """Delimiter, encoding, header or column names."""
    name = text_encoding(head)
    text = _text(head, name)
    found: dict[str, Any] = {"delimiter": _delimiter(text) or ",", "encoding": name}
    rows = _rows(text, found["delimiter"])
    if rows and not _is_header(rows):
        found["header"] = False
        found["columns"] = [f"column{i}" for i in range(1, len(rows[0]) + 1)]
    return found


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    first = rows[0]
    if len(set(first)) != len(first) or not all(cell.strip() for cell in first):
        return False
    return not any(cell[:1].isdigit() or "@" in cell for cell in first)


def csv_fields(head: bytes, config: CsvConfig) -> dict[str, FieldSpec]:
    """Every column, with a type that fits its sample."""
    rows = _rows(_text(head, config.encoding), config.delimiter)[config.skip_lines :]
    columns = list(config.columns)
    if config.header and rows:
        columns = [cell.strip() for cell in rows.pop(0)]
    width = len(columns)
    rows = [row for row in rows if len(row) == width]
    return {
        name: guess_type([row[i] for row in rows]) for i, name in enumerate(columns)
    }


def json_fields(head: bytes) -> dict[str, FieldSpec]:
    """Members of the objects of JSON lines."""
    nodes = []
    for line in head.split(b"\n")[:_ROWS]:
        try:
            nodes.append(loads(line.decode()))
        except (ValueError, RecursionError):
            continue
    return object_fields(nodes)


def json_document_fields(head: bytes, path: str) -> dict[str, FieldSpec]:
    """Members of the objects of an array."""
    from moatbridge_sftp.formats.base import BadFile  # noqa: PLC0415 - discovery only
    from moatbridge_sftp.formats.json_document import objects  # noqa: PLC0415

    nodes = []
    try:
        for node in islice(objects(io.BytesIO(head), path, len(head)), _ROWS):
            nodes.append(node)  # noqa: PERF402 - a cut sample ends in an error
    except (BadFile, StopIteration):
        pass
    return object_fields(nodes)


def object_fields(nodes: Iterable[Any]) -> dict[str, FieldSpec]:
    """Members of plain objects; nested objects by their dotted paths."""
    seen: dict[str, list[Any]] = {}
    for node in nodes:
        if isinstance(node, dict):
            _collect(node, "", seen)
    return {name: _native_type(name, values) for name, values in seen.items()}


def _collect(node: dict[str, Any], prefix: str, seen: dict[str, list[Any]]) -> None:
    for name, value in node.items():
        if isinstance(value, dict) and value:
            _collect(value, f"{prefix}{name}.", seen)
        else:
            seen.setdefault(prefix + name, []).append(value)


def _native_type(name: str, values: Sequence[Any]) -> FieldSpec:
    source = name if "." in name else None
    kinds = {type(value).__name__ for value in values if value is not None}
    if kinds == {"str"}:
        found = guess_type([each for each in values if each is not None], native=True)
        return found.model_copy(update={"source": source})
    known = {
        frozenset({"bool"}): "boolean",
        frozenset({"int"}): "integer",
        frozenset({"Decimal"}): "decimal",
        frozenset({"int", "Decimal"}): "decimal",
    }
    kind = known.get(frozenset(kinds), "json" if kinds else "text")
    return FieldSpec.model_validate({"type": kind, "from": source})


def fixed_settings(head: bytes) -> dict[str, Any]:
    """Encoding and columns, cut where all lines have blanks before something."""
    name = text_encoding(head)
    lines = _fixed_lines(head, name)
    if not lines:
        return {"encoding": name}
    length = max(map(len, lines))
    blank = [all(line[i : i + 1] in {" ", ""} for line in lines) for i in range(length)]
    starts = [i for i in range(length) if not blank[i] and (not i or blank[i - 1])]
    ends = [*starts[1:], length]
    columns = [
        {"name": f"column{n}", "start": start + 1, "length": end - start}
        for n, (start, end) in enumerate(zip(starts, ends, strict=True), 1)
    ]
    unit = "bytes" if _text(head, name).isascii() or name != "utf-8" else "chars"
    return {"encoding": name, "columns": columns, "unit": unit, "short_lines": "pad"}


def _fixed_lines(head: bytes, name: str) -> list[str]:
    lines = _text(head, name).split("\n")
    return [line.rstrip("\r") for line in lines[:-1][:_ROWS] if line.strip()]


def fixed_fields(head: bytes, config: FixedConfig) -> dict[str, FieldSpec]:
    """Every column, with a type that fits its sample."""
    lines = _fixed_lines(head, config.encoding)
    return {
        each.name: guess_type(
            [
                line[each.start - 1 : each.start - 1 + each.length].rstrip(config.pad)
                for line in lines
            ]
        )
        for each in config.detail
    }
