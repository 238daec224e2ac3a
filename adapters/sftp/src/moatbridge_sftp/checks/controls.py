"""Header and trailer lines: what a supplier says about the file, to be matched exactly.

The trailer is the last line that is not empty. A trailer that is configured and not
there means that the file was cut off.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from pydantic import Field, field_validator, model_validator

from moatbridge.adapter import AdapterConfig
from moatbridge.errors import ConfigurationError
from moatbridge_sftp.formats.base import BadFile
from moatbridge_sftp.formats.encodings import encoding, line_end, text_of
from moatbridge_sftp.formats.lines import byte_lines
from moatbridge_sftp.formats.patterns import Pattern

if TYPE_CHECKING:
    from moatbridge_sftp.formats.base import Format, LineRules

LONGEST: Final = 64 << 10
_KNOWN: Final = re.compile(r"count|date|sequence|(sum|hash)_.+")
_TAIL: Final = 1 << 16


class Controls(AdapterConfig):
    """``controls = { ... }``.

    Args:
        header: Regex of the first line; its groups say what it promises.
        trailer: Regex of the last line that is not empty.
        groups: Group name -> meaning, for field names that are no identifiers:
            ``count``, ``sum_FIELD``, ``hash_FIELD``; ``date`` and ``sequence`` are
            compared with the file's name (``order``, ``sequence``).
        date_pattern: How ``date`` is written; default ``YYYYMMDD`` or ``YYYY-MM-DD``.
        hash_digits: Hash totals are modulo ten to this power.
        decimal_sep: Decimal separator of the sums.
        implied: Implied decimals of the sums.
    """

    header: str | None = None
    trailer: str | None = None
    groups: dict[str, str] = Field(default_factory=dict)
    date_pattern: str | None = None
    hash_digits: int = Field(default=10, ge=1, le=38)
    decimal_sep: str = Field(default="auto", min_length=1)
    implied: int = Field(default=0, ge=0, le=18)

    @field_validator("header", "trailer")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"no regular expression: {error.msg}") from None
        return value

    @field_validator("date_pattern")
    @classmethod
    def _is_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            Pattern(value, with_time=False)
        return value

    @model_validator(mode="after")
    def _known(self) -> Controls:
        for pattern in filter(None, (self.header, self.trailer)):
            for group in re.compile(pattern).groupindex:
                meaning = self.groups.get(group, group)
                if not _KNOWN.fullmatch(meaning):
                    raise ValueError(
                        f"group {group!r} means nothing; use count, sum_FIELD, "
                        "hash_FIELD, date, sequence, or name it in groups"
                    )
        return self

    def meanings(self) -> set[str]:
        """What is promised: ``count``, ``sum_X`` ..."""
        patterns = filter(None, (self.header, self.trailer))
        names = {name for each in patterns for name in re.compile(each).groupindex}
        return {self.groups.get(name, name) for name in names}


class Body(NamedTuple):
    """A file without its header and trailer lines.

    Args:
        file: A view to hand to ``Format.read``; its offsets are the view's own.
        promised: Meaning -> text of the control lines.
    """

    file: BinaryIO
    promised: dict[str, str]


class _View:
    """Read-only part of a seekable file."""

    recoded = False

    def __init__(self, file: BinaryIO, begin: int, end: int) -> None:
        self._file = file
        self._begin = begin
        self._end = max(begin, end)
        self._at = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._end - self._begin)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._end - self._begin - self._at)
        self._file.seek(self._begin + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data


def body(file: BinaryIO, form: Format, config: Any, controls: Controls | None) -> Body:
    """Take header and trailer lines off a file. Reads its two ends only.

    Raises:
        BadFile: ``truncated`` (no trailer) or ``control-header``.
        ConfigurationError: ``sftp.format``: the format has no lines.
    """
    if controls is None or not (controls.header or controls.trailer):
        return Body(file, {})
    rules = form.line_rules(config)
    if rules is None:
        raise ConfigurationError(
            f"controls need a format with lines; {form.name!r} has none",
            code="sftp.format",
        )
    return _Ends(file, rules, controls).body()


class _Ends:
    def __init__(self, file: BinaryIO, rules: LineRules, controls: Controls) -> None:
        found = encoding(rules.encoding)
        self._text = text_of(file, found)
        self._controls = controls
        source = self._text.file
        source.seek(0)
        head = source.read(_TAIL)
        self._newline = line_end(found, rules.newline, head).raw  # type: ignore[arg-type]
        self._length = rules.length
        self._size = source.seek(0, 2)
        self._promised: dict[str, str] = {}

    def body(self) -> Body:
        begin, end, source = 0, self._size, self._text.file
        if self._controls.header:
            line, begin = self._first()
            self._take(self._controls.header, line, "control-header", "header line")
        if self._controls.trailer:
            line, end = self._last(begin)
            self._take(self._controls.trailer, line, "truncated", "trailer line")
        view: Any = _View(source, begin, end)
        view.recoded = getattr(source, "recoded", False)
        return Body(view, self._promised)

    def _first(self) -> tuple[bytes, int]:
        source, begin = self._text.file, self._text.begin
        if self._length is not None:
            source.seek(begin)
            return source.read(self._length), begin + self._length
        for line in byte_lines(source, begin, self._newline, LONGEST):
            return line.raw.removesuffix(self._newline), line.end
        return b"", begin

    def _last(self, begin: int) -> tuple[bytes, int]:
        """The last line that is not empty, and where it begins."""
        source, size = self._text.file, self._size
        if self._length is not None:
            start = max(begin, size - self._length)
            source.seek(start)
            return source.read(self._length), start
        reach = max(begin, size - LONGEST - 1024)
        source.seek(reach)
        tail = source.read(size - reach)
        while True:
            tail = _without_end(tail, self._newline)
            cut = tail.rfind(self._newline)
            start = cut + len(self._newline) if cut >= 0 else 0
            if tail[start:].strip() or not start:
                break
            tail = tail[:start]
        if not start and reach > begin:
            return b"", size
        return tail[start:], reach + start

    def _take(self, pattern: str, line: bytes, reason: str, what: str) -> None:
        try:
            text = line.decode(self._text.encoding).strip("\r\n")
        except UnicodeError:
            text = ""
        found = re.fullmatch(pattern, text)
        if not text or found is None:
            raise BadFile(
                reason,
                f"the {what} is not there (or not of its pattern); the file may be cut "
                "off: ask for it again, or correct `controls`",
            )
        for name, value in found.groupdict().items():
            if value is not None:
                self._promise(self._controls.groups.get(name, name), value)

    def _promise(self, meaning: str, value: str) -> None:
        known = self._promised.setdefault(meaning, value)
        if known != value:
            raise BadFile(
                "control-header",
                f"header and trailer line disagree about {meaning!r}",
            )


def _without_end(data: bytes, newline: bytes) -> bytes:
    """Without line ends, and the end-of-file mark of old systems, at its end."""
    while data.endswith((newline, b"\x1a")):
        data = data.removesuffix(b"\x1a").removesuffix(newline)
    return data


def number(text: str, controls: Controls) -> Decimal:
    """A promised total as a number.

    Raises:
        BadFile: ``control-value``: it is none.
    """
    plain, point = text.strip(), controls.decimal_sep
    if plain[-1:] in {"-", "+"}:
        plain = plain[-1] + plain[:-1]
    if point == "auto":
        point = "," if "," in plain and "." not in plain else "."
    try:
        value = Decimal(plain.replace(point, "."))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise BadFile("control-value", "a control total is not a number")
    return value.scaleb(-controls.implied) if controls.implied else value
