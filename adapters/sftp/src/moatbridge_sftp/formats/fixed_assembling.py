"""Lines of fixed width to records: cut, typed, children put under their parents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge_sftp.formats.base import (
    CHUNK_BYTES,
    CHUNK_RECORDS,
    Bad,
    Chunk,
    Position,
)
from moatbridge_sftp.formats.fields import FieldSpec, source_of
from moatbridge_sftp.formats.rows import FAULTS, Fault
from moatbridge_sftp.formats.values import Required, cell_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from moatbridge_sftp.formats.fixed import Column, FixedConfig
    from moatbridge_sftp.formats.lines import Line


class Slots(NamedTuple):
    """Columns of one record type: name, slice, reader."""

    entries: tuple[tuple[str, slice, Callable[[str], Any]], ...]

    def record(self, text: str, pad: str) -> dict[str, Any]:
        """The values of one line.

        Raises:
            Fault: Naming the field.
        """
        record: dict[str, Any] = {}
        for name, place, read in self.entries:
            try:
                record[name] = read(text[place].rstrip(pad))
            except Required:
                raise Fault(name, "required") from None
            except FAULTS:
                raise Fault(name, "value") from None
        return record


class _Group:
    """A detail line and its children, until the next detail line."""

    def __init__(self, number: int, line: Line) -> None:
        self.number = number
        self.offset = line.offset
        self.raw = bytearray(line.raw)
        self.end = line.end
        self.record: dict[str, Any] = {}
        self.fault: Fault | None = None


class Assembler:
    """Turns lines into records: a detail line and the children after it."""

    def __init__(
        self,
        fields: Mapping[str, FieldSpec],
        config: FixedConfig,
        name: str,
        end: bytes,
    ) -> None:
        self._config = config
        self._encoding = name
        self._end = end
        self._pad = config.pad
        self._detail = _slots(fields, config.detail)
        self._lists = {
            source_of(name, spec): name
            for name, spec in fields.items()
            if spec.type == "json"
        }
        text = FieldSpec()
        self._children = {
            tag: _slots({each.name: text for each in kind.columns}, kind.columns)
            for tag, kind in config.types.items()
            if kind.role == "child"
        }

    def chunks(self, lines: Iterator[Line], at: Position) -> Iterator[Chunk]:
        """Chunks; a position lies before a detail line."""
        chunk, begin, number = Chunk([], [], at, []), at.offset, at.record
        last = begin
        for group in self._groups(lines, number):
            number = group.number
            self._close(group, chunk)
            full = len(chunk.records) + len(chunk.bad) >= CHUNK_RECORDS
            if full or group.end - begin > CHUNK_BYTES:
                begin = group.end
                yield chunk._replace(position=Position(number, begin))
                chunk = Chunk([], [], at, [])
            last = group.end
        if chunk.records or chunk.bad:
            yield chunk._replace(position=Position(number, last))

    def _close(self, group: _Group, chunk: Chunk) -> None:
        if group.fault is None:
            chunk.records.append(group.record)
            chunk.numbers.append(group.number)  # type: ignore[attr-defined]
            return
        raw = bytes(group.raw[: self._config.max_record])
        reason: Any = group.fault.reason
        field = group.fault.field or None
        chunk.bad.append(Bad(group.number, group.offset, raw, reason, field))

    def _groups(self, lines: Iterator[Line], number: int) -> Iterator[_Group]:
        group: _Group | None = None
        for line in lines:
            role, child, text, fault = self._look(line)
            if role == "ignore":
                if group is not None:
                    group.end = line.end
                continue
            if role == "child" and group is not None:
                self._adopt(group, line, child, text)
                continue
            if group is not None:
                yield group
            number += 1
            group = _Group(number, line)
            if role == "child":
                fault = Fault("", "tag")
            self._fill(group, text, fault)
        if group is not None:
            yield group

    def _look(self, line: Line) -> tuple[str, str, str, Fault | None]:
        """Role and tag of a line, its text, and what is wrong with it."""
        body = line.raw.removesuffix(self._end) if self._end else line.raw
        if self._end == b"\n":
            body = body.removesuffix(b"\r")
        if not body.strip() or body == b"\x1a":
            return (
                ("ignore", "", "", None) if self._end else ("detail", "", "", _LENGTH)
            )
        if not line.whole:
            return "detail", "", "", _LENGTH
        try:
            text = body.decode(self._encoding)
        except UnicodeError:
            return "detail", "", "", Fault("", "encoding")
        text, fault = self._sized(text, len(body))
        if self._config.tag is None:
            return "detail", "", text, fault
        first = self._config.tag.start - 1
        tag = text[first : first + self._config.tag.length].rstrip(self._pad)
        kind = self._config.types.get(tag)
        if kind is None:
            return "detail", "", text, fault or Fault("", "tag")
        return kind.role, tag, text, None if kind.role == "ignore" else fault

    def _sized(self, text: str, octets: int) -> tuple[str, Fault | None]:
        length = self._config.length
        if self._config.unit == "bytes" and octets != len(text):
            return text, Fault("", "encoding")
        short = len(text) < length
        if short and self._config.short_lines == "pad":
            return text.ljust(length, self._pad), None
        exact = self._config.record_length is not None
        wrong = short or (exact and len(text) != length)
        return text, _LENGTH if wrong and not self._config.tag else (
            _LENGTH if exact and wrong else None
        )

    def _fill(self, group: _Group, text: str, fault: Fault | None) -> None:
        group.fault = fault
        if fault is not None:
            return
        try:
            group.record = self._detail.record(text, self._pad)
            group.record |= {name: [] for name in self._lists.values()}
        except Fault as found:
            group.fault = found

    def _adopt(self, group: _Group, line: Line, tag: str, text: str) -> None:
        group.end = line.end
        if len(group.raw) <= self._config.max_record:
            group.raw += line.raw
        else:
            group.fault = group.fault or _LENGTH
        name = self._lists.get(self._config.types[tag].under)
        if name is not None and group.fault is None:
            entry = self._children[tag].record(text, self._pad)
            group.record[name].append(entry)


_LENGTH: Final = Fault("", "length")


def _slots(fields: Mapping[str, FieldSpec], columns: Sequence[Column]) -> Slots:
    places = {
        each.name: slice(each.start - 1, each.start - 1 + each.length)
        for each in columns
    }
    return Slots(
        tuple(
            (name, places[source_of(name, spec)], cell_reader(spec))
            for name, spec in fields.items()
            if spec.type != "json"
        )
    )
