"""Text encodings of files: which are safe to cut at line ends, and mainframe pages.

Lines are cut on bytes: mainframe code pages map 0x15 and 0x25 to different characters,
and Python's own line splitting knows seven more line ends than a data file has.
"""

from __future__ import annotations

import codecs
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, NamedTuple

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.formats.base import BadFile

if TYPE_CHECKING:
    from collections.abc import Iterator

Newline = Literal["auto", "crlf", "lf", "cr", "nel"]

_BLOCK: Final = 1 << 16
_WHOLE: Final = ("utf-16", "utf-32", "utf-7", "iso2022", "hz")
"""Encodings in which a line-end byte may be half of another character."""


_MARKED: Final = {
    "utf-8-sig": ("utf-8", codecs.BOM_UTF8),
    "utf-16": ("utf-16-le", codecs.BOM_UTF16_LE),
    "utf-32": ("utf-32-le", codecs.BOM_UTF32_LE),
}


class Encoding(NamedTuple):
    """One encoding.

    Args:
        name: Python's name.
        mainframe: EBCDIC: line ends are 0x15 or 0x25.
        whole: Cannot be cut at bytes: the file is read through `Recoded`.
        written: Name to encode with, where ``name`` would repeat a byte order mark.
        mark: What a written file begins with.
    """

    name: str
    mainframe: bool = False
    whole: bool = False
    written: str = ""
    mark: bytes = b""


def encoding(name: str) -> Encoding:
    """Look an encoding up.

    Raises:
        ConfigurationError: ``sftp.encoding``: unknown, or its package is missing.
    """
    info = _lookup(name)
    if info is None or not getattr(info, "_is_text_encoding", True):
        raise ConfigurationError(
            f"no encoding is called {name!r}; mainframe code pages such as cp1047 need "
            "the extra moatbridge-sftp[ebcdic]",
            code="sftp.encoding",
        )
    if info.name in _MARKED:
        plain, mark = _MARKED[info.name]
        whole = plain != "utf-8"
        return Encoding(
            info.name if whole else plain, whole=whole, written=plain, mark=mark
        )
    whole = info.name.replace("_", "-").startswith(_WHOLE)
    mainframe = not whole and "A".encode(info.name) == b"\xc1"
    return Encoding(info.name, mainframe, whole, info.name)


def _lookup(name: str) -> codecs.CodecInfo | None:
    try:
        return codecs.lookup(name)
    except LookupError:
        pass
    try:
        import_module("ebcdic")  # registers its code pages
        return codecs.lookup(name)
    except (ImportError, LookupError):
        return None


def check_encoding(name: str) -> str:
    """For pydantic: the same name if it is known.

    Raises:
        ValueError: It is not.
    """
    try:
        encoding(name)
    except ConfigurationError as error:
        raise ValueError(error.message) from None
    return name


class LineEnd(NamedTuple):
    """The bytes that end a line, and what a parser is fed instead of them."""

    raw: bytes
    fed: str


def line_end(found: Encoding, newline: Newline, head: bytes) -> LineEnd:
    """The line end of a file.

    Args:
        found: Its encoding.
        newline: The setting.
        head: The file's first block, looked at for ``auto`` on mainframe text.
    """
    if found.mainframe:
        return _mainframe_end(newline, head)
    if newline == "nel":
        return LineEnd("\x85".encode(found.name), "\n")
    raw = {"auto": "\n", "lf": "\n", "crlf": "\r\n", "cr": "\r"}[newline]
    return LineEnd(raw.encode("utf-8" if found.whole else found.name), raw)


def _mainframe_end(newline: Newline, head: bytes) -> LineEnd:
    if newline == "auto":
        first = next((byte for byte in head if byte in {0x15, 0x25}), 0x15)
        return LineEnd(bytes([first]), "\n")
    raw = {"nel": b"\x15", "lf": b"\x25", "cr": b"\x0d", "crlf": b"\x0d\x25"}[newline]
    return LineEnd(raw, {"cr": "\r", "crlf": "\r\n"}.get(newline, "\n"))


def written_end(found: Encoding, newline: Newline) -> LineEnd:
    """The line end to write; ``auto`` is CRLF (RFC 4180), on mainframes NEL."""
    if newline == "auto":
        newline = "nel" if found.mainframe else "crlf"
    end = line_end(found, newline, b"")
    return LineEnd(end.fed.encode(found.written), end.fed) if found.whole else end


class Text(NamedTuple):
    """A file whose lines can be cut: bytes, their encoding, where the text begins."""

    file: BinaryIO
    encoding: str
    begin: int


def text_of(file: BinaryIO, found: Encoding) -> Text:
    """Open a file for cutting lines; a byte order mark is left out."""
    if found.whole and getattr(file, "recoded", False):
        return Text(file, "utf-8", 0)
    if found.whole:
        return Text(Recoded(file, found.name), "utf-8", 0)  # type: ignore[arg-type]
    file.seek(0)
    mark = 0 if found.mainframe else len(codecs.BOM_UTF8)
    begin = mark if mark and file.read(mark) == codecs.BOM_UTF8 else 0
    return Text(file, found.name, begin)


class Recoded:
    """A read-only UTF-8 view of a file in an encoding that cannot be cut.

    Seeking backwards reads again from the beginning; offsets count UTF-8 bytes, so they
    are exact and repeatable.
    """

    recoded = True

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._restart()

    def _restart(self) -> None:
        self._file.seek(0)
        self._pieces = self._decoded()
        self._held = b""
        self._at = 0

    def _decoded(self) -> Iterator[bytes]:
        decoder, first = codecs.getincrementaldecoder(self._name)("strict"), True
        try:
            while data := self._file.read(_BLOCK):
                text = decoder.decode(data)
                if first and text:
                    text, first = text.removeprefix("\ufeff"), False
                yield text.encode("utf-8")
            yield decoder.decode(b"", final=True).encode("utf-8")
        except UnicodeError:
            raise BadFile(
                "encoding", f"the file is not {self._name}; check the encoding setting"
            ) from None

    def read(self, size: int = -1) -> bytes:
        """Like `io.RawIOBase.read`."""
        held = bytearray(self._held)
        while size < 0 or len(held) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            held += piece
        cut = len(held) if size < 0 else size
        found, self._held = bytes(held[:cut]), bytes(held[cut:])
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        """To an offset from the beginning, or (2) to the end."""
        if whence == 0 and offset < self._at:
            self._restart()
        while (whence or self._at < offset) and self.read(
            _BLOCK if whence else min(_BLOCK, offset - self._at)
        ):
            pass
        return self._at

    def tell(self) -> int:
        """Offset in UTF-8 bytes."""
        return self._at
