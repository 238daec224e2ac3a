"""JSON lines: one object a line, in UTF-8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

from moatbridge_sftp.formats.base import (
    CHUNK_BYTES,
    CHUNK_RECORDS,
    Bad,
    Chunk,
    Format,
    FormatConfig,
    LineRules,
    Position,
    Refusal,
    Writer,
)
from moatbridge_sftp.formats.encodings import encoding, text_of
from moatbridge_sftp.formats.fields import FieldSpec, source_of
from moatbridge_sftp.formats.json_values import (
    Broken,
    Duplicate,
    TooDeep,
    dumps,
    loads,
)
from moatbridge_sftp.formats.lines import Line, byte_lines
from moatbridge_sftp.formats.nested import Tree, dotted, native_writer
from moatbridge_sftp.formats.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from moatbridge_sftp.formats.base import BadReason


class JsonConfig(FormatConfig):
    """``jsonl = { ... }``.

    Args:
        multi: Fields that are always lists.
        absent: A member that is not there: its field is left out (it says nothing), or
            null (it is cleared).
    """

    multi: tuple[str, ...] = ()
    absent: Literal["omit", "null"] = "omit"


def tree(fields: Mapping[str, FieldSpec], config: JsonConfig) -> Tree:
    """How one JSON object becomes a record."""
    return Tree(fields, dotted, multi=config.multi, omit=config.absent == "omit")


def reason_of(error: ValueError) -> BadReason:
    """Which kind of bad JSON it was."""
    if isinstance(error, Duplicate):
        return "duplicate-name"
    if isinstance(error, TooDeep):
        return "depth"
    return "encoding" if isinstance(error, (Broken, UnicodeError)) else "syntax"


class JsonLinesFormat(Format):
    """One JSON object a line; blank lines are skipped."""

    name: ClassVar[str] = "jsonl"
    extension: ClassVar[str] = "jsonl"
    Config: ClassVar[type[FormatConfig]] = JsonConfig

    @classmethod
    def sniff(cls, head: bytes) -> float:
        """See `Format.sniff`."""
        lines = [line for line in head.splitlines()[:20] if line.strip()]
        hits = sum(line.lstrip()[:1] == b"{" for line in lines)
        closed = sum(line.rstrip()[-1:] == b"}" for line in lines)
        return 0.95 if lines and hits == len(lines) and closed >= hits - 1 else 0.0

    @classmethod
    def fields(cls, head: bytes, config: Any) -> dict[str, FieldSpec]:
        """See `Format.fields`."""
        from moatbridge_sftp.formats import guess  # noqa: PLC0415 - discovery only

        del config
        return guess.json_fields(head)

    @classmethod
    def line_rules(cls, config: Any) -> LineRules:
        """See `Format.line_rules`."""
        del config
        return LineRules("utf-8", "auto")

    def read(
        self,
        file: BinaryIO,
        fields: Mapping[str, FieldSpec],
        config: Any,
        start: Position | None = None,
    ) -> Iterator[Chunk]:
        """See `Format.read`; positions hold exact byte offsets."""
        text = text_of(file, encoding("utf-8"))
        at = start or Position(0, text.begin)
        lines = byte_lines(file, at.offset, b"\n", config.max_record)
        take = tree(fields, config).record
        return line_chunks(lines, at, lambda line: _record(line, take))

    def open_writer(
        self, file: BinaryIO, fields: Mapping[str, FieldSpec], config: Any
    ) -> Writer:
        """See `Format.open_writer`."""
        return JsonLinesWriter(file, fields, config)


def _record(
    line: Line, take: Callable[[Any], dict[str, Any]]
) -> dict[str, Any] | Fault | None:
    """The record of a line, why it is bad, or None for a blank line."""
    if not line.whole:
        return Fault("", "length")
    try:
        text = line.raw.decode()
        found = loads(text) if text.strip() else None
        return take(_object(found)) if text.strip() else None
    except Fault as fault:
        return fault
    except RecursionError:
        return Fault("", "depth")
    except ValueError as error:
        return Fault("", reason_of(error))


def _object(found: Any) -> dict[str, Any]:
    if isinstance(found, dict):
        return found
    raise Fault("", "syntax")


def line_chunks(
    lines: Iterator[Line],
    at: Position,
    judge: Callable[[Line], dict[str, Any] | Fault | None],
) -> Iterator[Chunk]:
    """Chunks of a format in which one line is one record."""
    number, begin = at
    end = begin
    chunk = Chunk([], [], at, [])
    for line in lines:
        found, end = judge(line), line.end
        if isinstance(found, dict):
            number += 1
            chunk.records.append(found)
            chunk.numbers.append(number)  # type: ignore[attr-defined]
        elif found is not None:
            number += 1
            reason: Any = found.reason
            chunk.bad.append(
                Bad(number, line.offset, line.raw, reason, found.field or None)
            )
        full = len(chunk.records) + len(chunk.bad) >= CHUNK_RECORDS
        if full or line.end - begin > CHUNK_BYTES:
            begin = line.end
            yield chunk._replace(position=Position(number, begin))
            chunk = Chunk([], [], at, [])
    if chunk.records or chunk.bad:
        yield chunk._replace(position=Position(number, end))


class JsonObjects:
    """Renders records as JSON objects."""

    def __init__(self, fields: Mapping[str, FieldSpec], multi: Sequence[str]) -> None:
        self._writers = [
            (
                name,
                source_of(name, spec).split("."),
                native_writer(spec, multi=name in multi),
                spec.required,
            )
            for name, spec in fields.items()
        ]

    def text(self, record: Mapping[str, Any]) -> str | Refusal:
        """The object's text, or why it cannot be written."""
        found: dict[str, Any] = {}
        for name, path, write, required in self._writers:
            if name not in record and not required:
                continue
            try:
                value = write(record.get(name))
                dumps(value)
            except ValueError as error:
                return Refusal(name, str(error) or "is not a JSON value")
            place = found
            for step in path[:-1]:
                place = place.setdefault(step, {})
            place[path[-1]] = value
        return dumps(found)


class JsonLinesWriter(Writer):
    """See `Writer`."""

    def __init__(
        self, file: BinaryIO, fields: Mapping[str, FieldSpec], config: JsonConfig
    ) -> None:
        self._file = file
        self._objects = JsonObjects(fields, config.multi)

    def write(self, records: Sequence[Mapping[str, Any]]) -> list[Refusal | None]:
        """See `Writer.write`."""
        return [self._one(record) for record in records]

    def _one(self, record: Mapping[str, Any]) -> Refusal | None:
        text = self._objects.text(record)
        if isinstance(text, Refusal):
            return text
        self._file.write(text.encode() + b"\n")
        return None

    def close(self) -> None:
        """See `Writer.close`; nothing is left to write."""
