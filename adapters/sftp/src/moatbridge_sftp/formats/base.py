"""What a file format is: the interface that shipped and third-party formats implement.

A format turns the bytes of one unpacked file into records and back. It never touches
the network, never sleeps, and holds one block of the file at most. Third parties
register a subclass of `Format` under the entry point group ``moatbridge.formats``; the
shipped ones are found without entry points.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final, Literal, NamedTuple

from pydantic import Field

from moatbridge.adapter import AdapterConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from moatbridge_sftp.formats.fields import FieldSpec

CHUNK_RECORDS: Final = 500
CHUNK_BYTES: Final = 1 << 20

BadReason = Literal[
    "value", "required", "cells", "syntax", "quote", "encoding", "length", "tag",
    "duplicate-name", "depth", "envelope",
]  # fmt: skip


class Bad(NamedTuple):
    """A record that could not be decoded. It never stops the file.

    Args:
        number: Record number, from 1, headers not counted.
        offset: Where it begins in the unpacked file; -1 if the format cannot say.
        raw: Its bytes, at most ``max_record`` of them; empty where the format parses a
            whole document. Personal: never logged.
        reason: One of `BadReason`.
        field: Which field, if one is to blame.
    """

    number: int
    offset: int
    raw: bytes
    reason: BadReason
    field: str | None = None

    def __repr__(self) -> str:
        return f"Bad(record {self.number}, {self.reason}, field={self.field})"


class Position(NamedTuple):
    """Where to go on: what ``read(start=...)`` takes and each chunk carries.

    Args:
        record: Number of the last record handled, bad ones included.
        offset: First byte not yet handled, or -1 where only numbers work.
    """

    record: int
    offset: int


class Chunk(NamedTuple):
    """Up to 500 records in file order, and the place after them.

    ``numbers`` holds the record number of each entry of ``records``.
    """

    records: list[dict[str, Any]]
    bad: list[Bad]
    position: Position
    numbers: Sequence[int]

    def __repr__(self) -> str:
        return f"Chunk({len(self.records)} records, {len(self.bad)} bad)"


class Refusal(NamedTuple):
    """Why one record cannot be written: a field and a reason, never the value."""

    field: str | None
    reason: str


class BadFile(Exception):
    """The file cannot be taken; nothing of it may be used.

    Args:
        reason: Stable word (``truncated``, ``control-sum``, ``header`` ...).
        sentence: What is wrong and what to do; numbers and field names only.
        expected: The total that was promised, if one was.
        found: The total that is there.
        records: Up to five record numbers that show it.
    """

    def __init__(
        self,
        reason: str,
        sentence: str,
        *,
        expected: Any = None,
        found: Any = None,
        records: Sequence[int] = (),
    ) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence
        self.expected = expected
        self.found = found
        self.records = tuple(records[:5])

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.reason, self.sentence, self.__dict__)


def _rebuild(reason: str, sentence: str, state: dict[str, Any]) -> BadFile:
    error = BadFile(reason, sentence)
    error.__dict__.update(state)
    return error


class FormatConfig(AdapterConfig):
    """Settings every format has. The adapter fills in the last two from the stream.

    ``max_record`` is in bytes. ``formula_guard`` concerns text that a spreadsheet
    would run as a formula; formats that are not for spreadsheets ignore it.
    """

    max_record: int = Field(default=1 << 20, ge=1)
    formula_guard: Literal["escape", "reject", "off"] = "off"


class LineRules(NamedTuple):
    """How header and trailer lines are found: see `Format.line_rules`.

    ``length`` is the record length of files without line ends.
    """

    encoding: str
    newline: str
    length: int | None = None


class Writer(ABC):
    """Writes one file. Nothing is promised about the file until ``close`` returns."""

    @abstractmethod
    def write(self, records: Sequence[Mapping[str, Any]]) -> list[Refusal | None]:
        """Write records in order; a refused one leaves no trace in the file.

        Returns:
            One entry per record: None if it was written.
        """

    @abstractmethod
    def close(self) -> None:
        """Write what the format needs at its end; the file itself stays open."""


class Format(ABC):
    """One file format. An instance serves one stream, one thread at a time.

    Class attributes:
        name: What ``format = `` says; also the key of its settings table.
        extension: For names of published files, without the dot.
        Config: Model of the settings table.
    """

    name: ClassVar[str]
    extension: ClassVar[str]
    Config: ClassVar[type[FormatConfig]] = FormatConfig

    @classmethod
    def sniff(cls, head: bytes) -> float:
        """How much the first bytes of a file look like this format, 0 to 1."""
        del head
        return 0.0

    @classmethod
    def suggest(cls, head: bytes) -> dict[str, Any]:
        """Settings that fit the first bytes of a file (for ``discover``)."""
        del head
        return {}

    @classmethod
    def fields(cls, head: bytes, config: Any) -> dict[str, FieldSpec]:
        """Fields seen in the first bytes of a file, with types that fit them."""
        del head, config
        return {}

    @classmethod
    def check(cls, fields: Mapping[str, FieldSpec], config: Any) -> None:
        """Check the field table against the settings, before any file is read.

        Raises:
            ConfigurationError: ``sftp.fields`` or ``sftp.format``.
        """
        del fields, config

    @classmethod
    def line_rules(cls, config: Any) -> LineRules | None:
        """How header and trailer lines are told apart; None: it has no lines."""
        del config
        return None

    def unknown(
        self, file: BinaryIO, fields: Mapping[str, FieldSpec], config: Any
    ) -> tuple[str, ...]:
        """Columns of this file that no field names: reported once and dropped."""
        del file, fields, config
        return ()

    @abstractmethod
    def read(
        self,
        file: BinaryIO,
        fields: Mapping[str, FieldSpec],
        config: Any,
        start: Position | None = None,
    ) -> Iterator[Chunk]:
        """Read records from the beginning, or from the position of a chunk.

        Reading on from any chunk's position gives exactly what an unbroken read gives.
        The file is seekable and belongs to the caller.

        Raises:
            BadFile: The file as a whole cannot be taken.
        """

    def open_writer(
        self, file: BinaryIO, fields: Mapping[str, FieldSpec], config: Any
    ) -> Writer:
        """A writer of records with these fields.

        Raises:
            ConfigurationError: ``sftp.format``: this format is read only, or the
                settings do not say how to write.
        """
        from moatbridge_sftp.formats.fields import not_written  # noqa: PLC0415 - cycle

        del file, fields, config
        raise not_written(self.name)
