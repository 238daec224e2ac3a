"""HTTP/1.1 answers out of bytes: head, body, and nothing that needs guessing.

A reader for one kind of client: one connection, one request at a time, no upgrade. It
takes what RFC 9112 allows and refuses the rest (folded lines, transfer codings other
than chunked, lengths that contradict each other), so whoever stands between us and the
peer cannot read another answer than we do. The tests hold it against h11: what it
accepts, h11 reads alike. Pure: bytes come from a function.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_HEAD: Final = 65_536
"""Bytes of a status line and its header lines, or of a trailer (security 6)."""

PIECE: Final = 131_072
"""Bytes read, or inflated, at once."""

_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\x00\n\r\f\v]*+)?")
_NAME: Final = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")
_ODD: Final = re.compile(rb"[\x00\r\f\v]")
_BLANK: Final = re.compile(rb"\n\r?\n")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[^\n]*)?[ \t]*\r\n")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_INFORMATIONAL: Final = range(100, 200)
_SWITCHING: Final = 101
_EMPTY: Final = frozenset({204, 304})
_LONGEST_LINE: Final = 4096
_UNFINISHED: Final = "an answer without its end"


class AnswerError(Exception):
    """What came is no HTTP/1.1 answer, or not all of one. Never quotes it."""


def _wrong(why: str) -> AnswerError:
    return AnswerError(why)


class Head(NamedTuple):
    """Status line and headers of one answer.

    Args:
        status: 200 to 999.
        headers: Names in lower case; a repeated one is joined with a comma.
        lines: How many header lines there were.
        length: Bytes of the body; None: chunked; -1: until the connection ends.
        lasting: The connection may carry another request after this answer.
    """

    status: int
    headers: dict[str, str]
    lines: int
    length: int | None
    lasting: bool


class Incoming:
    """The bytes that one connection delivers.

    Args:
        read: Returns up to so many bytes, none at the end.
    """

    __slots__ = ("_left", "_read")

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._left = bytearray()

    @property
    def clean(self) -> bool:
        """Nothing came that no answer explains."""
        return not self._left

    def head(self, method: str) -> Head:
        """The next answer's head; informational ones before it are passed over.

        Raises:
            AnswerError: Something else came, or the end.
        """
        for _passing in range(10):
            lines = self._lines()
            match = _STATUS.fullmatch(lines[0])
            if match is None:
                raise _wrong("no status line")
            status = int(match[2])
            if status not in _INFORMATIONAL:
                return _head(status, lines[1:], method, old=match[1] == b"0")
            if status == _SWITCHING:
                break
        raise _wrong("no final answer")

    def body(self, head: Head) -> Iterator[bytes]:
        """The body's bytes, as they were sent.

        Raises:
            AnswerError: It ends early, or is framed wrongly.
        """
        if head.length is None:
            yield from self._chunks()
        elif head.length >= 0:
            yield from self._exactly(head.length)
        else:
            while piece := self._some(PIECE):
                yield piece

    def _lines(self) -> list[bytes]:
        """Everything up to a blank line."""
        looked = 0
        while True:
            match = _BLANK.search(self._left, max(0, looked - 2))
            looked = len(self._left)
            if (match.end() if match else looked) > MAX_HEAD:
                raise _wrong("too long a head")
            if match is not None:
                block = bytes(self._left[: match.start()])
                del self._left[: match.end()]
                return [line.removesuffix(b"\r") for line in block.split(b"\n")]
            self._more()

    def _chunks(self) -> Iterator[bytes]:
        while size := self._chunk_size():
            yield from self._exactly(size)
            if b"".join(self._exactly(2)) != b"\r\n":
                raise _wrong("a chunk of another size")
        while len(self._left) < 2:  # noqa: PLR2004 - a line's end
            self._more()
        if self._left.startswith(b"\r\n"):
            del self._left[:2]
        else:
            _fields(self._lines())

    def _chunk_size(self) -> int:
        while (end := self._left.find(b"\r\n", 0, _LONGEST_LINE)) < 0:
            if len(self._left) >= _LONGEST_LINE:
                raise _wrong("too long a chunk line")
            self._more()
        match = _CHUNK.fullmatch(bytes(self._left[: end + 2]))
        if match is None:
            raise _wrong("no chunk size")
        del self._left[: end + 2]
        return int(match[1], 16)

    def _exactly(self, count: int) -> Iterator[bytes]:
        while count:
            piece = self._some(min(count, PIECE))
            if not piece:
                raise _wrong(_UNFINISHED)
            count -= len(piece)
            yield piece

    def _some(self, most: int) -> bytes:
        if not self._left:
            return self._read(most)
        piece = bytes(self._left[:most])
        del self._left[:most]
        return piece

    def _more(self) -> None:
        piece = self._read(PIECE)
        if not piece:
            raise _wrong(_UNFINISHED)
        self._left += piece


def inflated(pieces: Iterator[bytes], coding: str) -> Iterator[bytes]:
    """A body without its content coding, in pieces of at most `PIECE` bytes.

    Args:
        pieces: The body as it was sent.
        coding: ``Content-Encoding``. Only gzip is asked for; another one than gzip or
            deflate is passed on as it is, and fails where it is read.

    Raises:
        AnswerError: It is not what the coding says, or ends early.
    """
    kind = coding.strip().lower()
    if kind not in {"gzip", "x-gzip", "deflate"}:
        yield from pieces
        return
    unpack = None
    for piece in pieces:
        unpack = unpack or _unpacking(kind, piece)
        rest = piece
        while rest and not unpack.eof:
            try:
                more = unpack.decompress(rest, PIECE)
            except zlib.error as error:
                raise _wrong("a broken coding") from error
            rest = unpack.unconsumed_tail
            yield more
    if unpack is not None and not unpack.eof:
        raise _wrong(_UNFINISHED)


def _unpacking(kind: str, piece: bytes) -> zlib._Decompress:
    if kind != "deflate":
        return zlib.decompressobj(16 + zlib.MAX_WBITS)
    # Some peers leave out the zlib wrapper, whose first byte ends in 8.
    wrapped = piece[0] & 0x0F == 8  # noqa: PLR2004 - RFC 1950 2.2: method 8
    return zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)


def _head(status: int, lines: list[bytes], method: str, *, old: bool) -> Head:
    headers = _fields(lines)
    length: int | None = -1
    if "transfer-encoding" in headers:
        if headers["transfer-encoding"].lower() != "chunked":
            raise _wrong("another transfer coding")
        length = None
    if "content-length" in headers:
        told = _length(headers["content-length"])
        length = told if length is not None else None
    if method == "HEAD" or status in _EMPTY:
        length = 0
    words = headers.get("connection", "").lower().split(",")
    closing = old or "close" in map(str.strip, words)
    return Head(status, headers, len(lines), length, not closing and length != -1)


def _fields(lines: list[bytes]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        before, colon, after = line.partition(b":")
        if not colon or _NAME.fullmatch(before) is None or _ODD.search(after):
            raise _wrong("no header line")
        name, value = before.decode("ascii").lower(), _text(after.strip(b" \t"))
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _length(told: str) -> int:
    values = {value.strip() for value in told.split(",")}
    length = values.pop()
    if values or not _LENGTH.fullmatch(length):
        raise _wrong("no length")
    return int(length)
