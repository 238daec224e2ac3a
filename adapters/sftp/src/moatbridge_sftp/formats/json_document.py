"""JSON documents: one array of objects, streamed; it may lie inside other objects."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final

import ijson

from moatbridge_sftp.formats.base import (
    CHUNK_RECORDS,
    Bad,
    BadFile,
    Chunk,
    Format,
    FormatConfig,
    Position,
    Refusal,
    Writer,
)
from moatbridge_sftp.formats.json_values import DEEPEST, check_text, dumps
from moatbridge_sftp.formats.jsonl import JsonConfig, JsonObjects, reason_of, tree
from moatbridge_sftp.formats.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from moatbridge_sftp.formats.fields import FieldSpec

_STARTS: Final = {"start_map": dict, "start_array": list}
_EXPONENT: Final = 400


class JsonDocumentConfig(JsonConfig):
    """``json = { ... }``.

    Args:
        path: Where the array lies (``result.people``); empty: it is the document.
    """

    path: str = ""


class JsonFormat(Format):
    """One array of objects, at a path or at the top. Resumes by record number."""

    name: ClassVar[str] = "json"
    extension: ClassVar[str] = "json"
    Config: ClassVar[type[FormatConfig]] = JsonDocumentConfig

    @classmethod
    def sniff(cls, head: bytes) -> float:
        """See `Format.sniff`."""
        start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
        if start[:1] == b"[" and start[1:].lstrip()[:1] in {b"{", b"]", b""}:
            return 0.9
        return 0.6 if start[:1] == b"{" and b'":' in start else 0.0

    @classmethod
    def fields(cls, head: bytes, config: Any) -> dict[str, FieldSpec]:
        """See `Format.fields`."""
        from moatbridge_sftp.formats import guess  # noqa: PLC0415 - discovery only

        return guess.json_document_fields(head, config.path)

    def read(
        self,
        file: BinaryIO,
        fields: Mapping[str, FieldSpec],
        config: Any,
        start: Position | None = None,
    ) -> Iterator[Chunk]:
        """See `Format.read`."""
        take = tree(fields, config).record
        nodes = objects(file, config.path, config.max_record)
        return numbered_chunks(
            (_record(node, take) for node in nodes), start or Position(0, -1)
        )

    def open_writer(
        self, file: BinaryIO, fields: Mapping[str, FieldSpec], config: Any
    ) -> Writer:
        """See `Format.open_writer`."""
        return JsonDocumentWriter(file, fields, config)


def _record(node: Any, take: Callable[[Any], dict[str, Any]]) -> dict[str, Any] | Fault:
    if isinstance(node, Fault):
        return node
    if not isinstance(node, dict):
        return Fault("", "syntax")
    try:
        check_text(node)
        return take(node)
    except Fault as fault:
        return fault
    except ValueError as error:
        return Fault("", reason_of(error))


def numbered_chunks(
    found: Iterator[dict[str, Any] | Fault], start: Position
) -> Iterator[Chunk]:
    """Chunks of a format that knows record numbers only; skips what was handled."""
    number, chunk = 0, Chunk([], [], start, [])
    for each in found:
        number += 1
        if number <= start.record:
            continue
        if isinstance(each, Fault):
            reason: Any = each.reason
            chunk.bad.append(Bad(number, -1, b"", reason, each.field or None))
        else:
            chunk.records.append(each)
            chunk.numbers.append(number)  # type: ignore[attr-defined]
        if len(chunk.records) + len(chunk.bad) >= CHUNK_RECORDS:
            yield chunk._replace(position=Position(number, -1))
            chunk = Chunk([], [], start, [])
    if chunk.records or chunk.bad:
        yield chunk._replace(position=Position(number, -1))


def objects(file: BinaryIO, path: str, limit: int) -> Iterator[Any]:
    """The entries of the array, one by one; a `Fault` where one is bad.

    Raises:
        BadFile: ``syntax``: no JSON, cut off, or no array at the path.
    """
    file.seek(3 if file.read(3) == b"\xef\xbb\xbf" else 0)
    events = ijson.basic_parse(file, use_float=False)
    try:
        yield from _entries(events, path.split(".") if path else [], limit)
    except (ijson.JSONError, UnicodeError, ValueError, ArithmeticError) as error:
        if isinstance(error, BadFile):
            raise
        raise BadFile(
            "syntax", "the file is no JSON document, or it is cut off; ask for it again"
        ) from None


def _entries(events: Iterator[Any], path: Sequence[str], limit: int) -> Iterator[Any]:
    _descend(events, path)
    for event, value in events:
        if event == "end_array":
            break
        yield _Builder(limit).build(events, event, value)
    else:
        return
    for _ in events:
        pass  # to the end: what follows must be JSON, too


def _descend(events: Iterator[Any], path: Sequence[str]) -> None:
    event, _ = next(events)
    for step in path:
        if event != "start_map":
            raise _no_array()
        event = _member(events, step)
    if event != "start_array":
        raise _no_array()


def _member(events: Iterator[Any], name: str) -> str:
    depth = 0
    for event, value in events:
        if depth == 0 and event == "map_key" and value == name:
            return str(next(events)[0])
        if event in _STARTS:
            depth += 1
        elif event.startswith("end_"):
            depth -= 1
            if depth < 0:
                break
    raise _no_array()


def _no_array() -> BadFile:
    return BadFile("syntax", "there is no array at the place `path` says")


class _Builder:
    """Builds one entry from events; after a fault it only looks for its end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._fault: Fault | None = None

    def build(self, events: Iterator[Any], event: str, value: Any) -> Any:
        if event not in _STARTS:
            return value
        root: Any = _STARTS[event]()
        stack: list[Any] = [root]
        names: list[str | None] = [None]
        while stack:
            event, value = next(events)
            if event.startswith("end_"):
                stack.pop()
                names.pop()
            elif event == "map_key":
                names[-1] = value
                self._check_name(stack[-1], value)
            else:
                self._add(stack, names, event, value)
        return self._fault or root

    def _add(self, stack: list[Any], names: list[Any], event: str, value: Any) -> None:
        start = _STARTS.get(event)
        entry = start() if start else value
        self._measure(entry, len(stack))
        if self._fault is None:
            if names[-1] is None:
                stack[-1].append(entry)
            else:
                stack[-1][names[-1]] = entry
        if start:
            stack.append(entry)
            names.append(None)

    def _check_name(self, parent: Any, name: str) -> None:
        self._size += len(name)
        if self._fault is None and name in parent:
            self._fault = Fault("", "duplicate-name")

    def _measure(self, value: Any, depth: int) -> None:
        self._size += len(value) if isinstance(value, str) else 4
        if self._fault is not None:
            return
        if depth >= DEEPEST:
            self._fault = Fault("", "depth")
        elif self._size > self._limit:
            self._fault = Fault("", "length")
        elif isinstance(value, Decimal) and abs(value.adjusted()) > _EXPONENT:
            self._fault = Fault("", "syntax")


class JsonDocumentWriter(Writer):
    """See `Writer`; the array is complete only after ``close``."""

    def __init__(
        self, file: BinaryIO, fields: Mapping[str, FieldSpec], config: Any
    ) -> None:
        self._file = file
        self._objects = JsonObjects(fields, config.multi)
        self._path = config.path.split(".") if config.path else []
        self._between = b"\n"
        opening = "".join(f"{{{dumps(step)}:" for step in self._path)
        file.write(f"{opening}[".encode())

    def write(self, records: Sequence[Mapping[str, Any]]) -> list[Refusal | None]:
        """See `Writer.write`."""
        return [self._one(record) for record in records]

    def _one(self, record: Mapping[str, Any]) -> Refusal | None:
        text = self._objects.text(record)
        if isinstance(text, Refusal):
            return text
        self._file.write(self._between + text.encode())
        self._between = b",\n"
        return None

    def close(self) -> None:
        """See `Writer.close`."""
        self._file.write(b"\n]" + b"}" * len(self._path) + b"\n")
