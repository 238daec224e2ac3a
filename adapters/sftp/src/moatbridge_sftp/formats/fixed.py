"""Fixed width: columns at fixed places, several record types, nested children."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final, Literal

from pydantic import Field, field_validator, model_validator

from moatbridge.adapter import AdapterConfig
from moatbridge.errors import ConfigurationError
from moatbridge_sftp.formats.base import (
    Chunk,
    Format,
    FormatConfig,
    LineRules,
    Position,
)
from moatbridge_sftp.formats.encodings import (
    Newline,
    check_encoding,
    encoding,
    line_end,
    text_of,
)
from moatbridge_sftp.formats.fields import FieldSpec, fields_error, source_of
from moatbridge_sftp.formats.lines import Line, byte_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moatbridge_sftp.formats.base import Writer


class Column(AdapterConfig):
    """One column: ``start`` counts from 1, as record descriptions do."""

    name: str
    start: int = Field(ge=1)
    length: int = Field(ge=1)


class RecordType(AdapterConfig):
    """What lines with one tag are.

    ``child`` lines become entries of the list ``under`` of the detail record before
    them; ``ignore`` also fits headers and trailers that nobody checks.
    """

    role: Literal["detail", "child", "ignore"]
    columns: tuple[Column, ...] = ()
    under: str = ""


class Tag(AdapterConfig):
    """Where a line's tag stands, from 1."""

    start: int = Field(ge=1)
    length: int = Field(ge=1)


class FixedConfig(FormatConfig):
    """``fixed = { ... }``.

    Args:
        columns: Of a file with one record type.
        unit: What places count; bytes need an encoding of one byte a character.
        record_length: Length of a record; needed for files without line ends, checked
            in others.
        newline: As in csv; ``none``: records follow one another without line ends.
        pad: Fills columns of written text on the right; taken off when read.
        tag: Where the record type stands, for files with several.
        types: Tag -> what such lines are.
        short_lines: Lines whose trailing blanks were cut off: ``pad`` takes them.
    """

    columns: tuple[Column, ...] = ()
    unit: Literal["bytes", "chars"] = "bytes"
    record_length: int | None = Field(default=None, ge=1)
    newline: Newline | Literal["none"] = "auto"
    encoding: str = "utf-8"
    pad: str = Field(default=" ", min_length=1, max_length=1)
    tag: Tag | None = None
    types: dict[str, RecordType] = Field(default_factory=dict)
    short_lines: Literal["reject", "pad"] = "reject"

    _known = field_validator("encoding")(check_encoding)

    @model_validator(mode="after")
    def _consistent(self) -> FixedConfig:
        if bool(self.tag) != bool(self.types) or bool(self.tag) == bool(self.columns):
            raise ValueError("give columns, or tag and types")
        details = [each for each in self.types.values() if each.role == "detail"]
        if self.types and len(details) != 1:
            raise ValueError("exactly one of the types is the detail")
        if any(
            (each.role == "child") != bool(each.under) for each in self.types.values()
        ):
            raise ValueError(
                "a child, and no other type, says under which list it goes"
            )
        if self.newline == "none" and self.record_length is None:
            raise ValueError("newline = 'none' needs record_length")
        return self

    @property
    def detail(self) -> tuple[Column, ...]:
        """Columns of the detail record."""
        inner = (each.columns for each in self.types.values() if each.role == "detail")
        return self.columns or next(inner)

    @property
    def length(self) -> int:
        """Places of a record."""
        if self.record_length is not None:
            return self.record_length
        kinds = [self.columns, *(each.columns for each in self.types.values())]
        ends = (each.start + each.length - 1 for kind in kinds for each in kind)
        return max(ends, default=1)


class FixedFormat(Format):
    """Fixed width text."""

    name: ClassVar[str] = "fixed"
    extension: ClassVar[str] = "txt"
    Config: ClassVar[type[FormatConfig]] = FixedConfig

    @classmethod
    def sniff(cls, head: bytes) -> float:
        """See `Format.sniff`."""
        lines = [line for line in head.split(b"\n")[:-1][:50] if line.strip()]
        lengths = {len(line.rstrip(b"\r")) for line in lines}
        enough = len(lines) >= 3 and max(lengths, default=0) >= 10  # noqa: PLR2004
        return 0.6 if enough and len(lengths) == 1 else 0.0

    @classmethod
    def suggest(cls, head: bytes) -> dict[str, Any]:
        """See `Format.suggest`."""
        from moatbridge_sftp.formats import guess  # noqa: PLC0415 - discovery only

        return guess.fixed_settings(head)

    @classmethod
    def fields(cls, head: bytes, config: Any) -> dict[str, FieldSpec]:
        """See `Format.fields`."""
        from moatbridge_sftp.formats import guess  # noqa: PLC0415 - discovery only

        return guess.fixed_fields(head, config)

    @classmethod
    def check(cls, fields: Mapping[str, FieldSpec], config: Any) -> None:
        """See `Format.check`."""
        known = {each.name for each in config.detail}
        lists = {each.under for each in config.types.values()} - {""}
        for name, spec in fields.items():
            place = lists if spec.type == "json" else known
            if source_of(name, spec) not in place:
                raise fields_error(
                    f"field {name!r}: no such column (or, for json, no such list) in "
                    "`fixed`"
                )
        if config.unit == "bytes" and not _single(config.encoding):
            raise ConfigurationError(
                f"{config.encoding} has characters of several bytes; set "
                "fixed.unit = 'chars'",
                code="sftp.format",
            )

    @classmethod
    def line_rules(cls, config: Any) -> LineRules:
        """See `Format.line_rules`."""
        if config.newline == "none":
            return LineRules(config.encoding, "auto", config.record_length)
        return LineRules(config.encoding, config.newline)

    def read(
        self,
        file: BinaryIO,
        fields: Mapping[str, FieldSpec],
        config: Any,
        start: Position | None = None,
    ) -> Iterator[Chunk]:
        """See `Format.read`; positions hold exact byte offsets."""
        from moatbridge_sftp.formats.fixed_assembling import (  # noqa: PLC0415 - cycle
            Assembler,
        )

        text = text_of(file, encoding(config.encoding))
        at = start or Position(0, text.begin)
        lines, end = _lines(text.file, config, at.offset)
        return Assembler(fields, config, text.encoding, end).chunks(lines, at)

    def open_writer(
        self, file: BinaryIO, fields: Mapping[str, FieldSpec], config: Any
    ) -> Writer:
        """See `Format.open_writer`."""
        from moatbridge_sftp.formats.fixed_writing import (  # noqa: PLC0415 - rare
            FixedWriter,
        )

        return FixedWriter(file, fields, config)


def _single(name: str) -> bool:
    """One byte a character. UTF-8 is taken, too: other characters are then rejected."""
    if encoding(name).name in {"utf-8", "ascii"}:
        return True
    if encoding(name).whole:
        return False
    return all(len(each.decode(name, "replace")) == len(each) for each in _PAIRS)


_PAIRS: Final = (b"\x82\xa0", b"\xa4\xa4", b"\xb0\xa1")
"""One character each in the encodings of East Asia, two elsewhere."""


def _lines(
    file: BinaryIO, config: FixedConfig, offset: int
) -> tuple[Iterator[Line], bytes]:
    if config.newline == "none":
        return _blocks(file, offset, config.length), b""
    file.seek(0)
    found = line_end(encoding(config.encoding), config.newline, file.read(1 << 16))
    return byte_lines(file, offset, found.raw, config.max_record), found.raw


def _blocks(file: BinaryIO, offset: int, length: int) -> Iterator[Line]:
    many = max(1, (1 << 17) // length) * length
    while True:
        file.seek(offset)
        data = file.read(many)
        for at in range(0, len(data), length):
            raw = data[at : at + length]
            yield Line(offset + at, raw, offset + at + len(raw))
        offset += len(data)
        if not data:
            return
