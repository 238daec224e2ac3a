"""Cuts files into lines on bytes, and knows where each line began."""

from __future__ import annotations

import io
from collections import deque
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge_sftp.formats.encodings import LineEnd

_BLOCK: Final = 1 << 17


class Odd(Exception):
    """Something needs the careful reader: a broken character, an endless line."""


class Line(NamedTuple):
    """One line as bytes.

    ``raw`` includes the line end. ``whole`` is False if the line was longer than the
    limit: then ``raw`` is its beginning only. ``end`` is the offset after it.
    """

    offset: int
    raw: bytes
    end: int
    whole: bool = True


def byte_lines(
    file: BinaryIO, start: int, end: bytes, limit: int, block: int = _BLOCK
) -> Iterator[Line]:
    """Lines from an offset on; of a line longer than ``limit`` only its beginning.

    Memory: one block and one line. It seeks before each block, so the caller may use
    the file in between.
    """
    offset = start
    while True:
        file.seek(offset)
        data = file.read(block)
        if not data:
            return
        pieces = data.split(end)
        pieces.pop()
        for piece in pieces:
            size = len(piece) + len(end)
            if len(piece) > limit:
                yield Line(offset, piece[:limit], offset + size, whole=False)
            else:
                yield Line(offset, piece + end, offset + size)
            offset += size
        if not pieces:
            line = _long_line(file, offset, end, limit, block)
            yield line
            offset = line.end


def _long_line(file: BinaryIO, offset: int, end: bytes, limit: int, block: int) -> Line:
    """One line that does not end within a block (or is the last, without an end)."""
    file.seek(offset)
    kept, tail, at = bytearray(), b"", offset
    while data := file.read(block):
        joined = tail + data
        found = joined.find(end)
        fresh = data if found < 0 else data[: max(0, found - len(tail) + len(end))]
        at += len(fresh)
        kept += fresh[: limit + len(end) + 1 - len(kept)]
        if found >= 0:
            break
        tail = joined[-(len(end) - 1) :] if len(end) > 1 else b""
    body = bytes(kept).removesuffix(end)
    if len(body) > limit:
        return Line(offset, body[:limit], at, whole=False)
    return Line(offset, bytes(kept), at)


class Lines:
    """Decoded lines in blocks, at the speed of C, with the offset of each line.

    Args:
        file: Seekable.
        encoding: Python's name; it can be cut at line ends.
        end: The line end.
        start: Offset of the first line.
        limit: Longest line.
    """

    def __init__(
        self, file: BinaryIO, encoding: str, end: LineEnd, start: int, limit: int
    ) -> None:
        self._file = file
        self._encoding = encoding
        self._end = end
        self._limit = limit
        self._next = start
        self._count = 0
        self._known: deque[tuple[int, list[int]]] = deque()

    def blocks(self) -> Iterator[list[str]]:
        """Lists of lines, each with its line end as the parser is fed it.

        Raises:
            Odd: A character or a line needs the careful reader.
        """
        while block := self._block():
            lines, sizes = self._cut(block)
            offsets = list(accumulate(sizes, initial=self._next))
            self._known.append((self._count, offsets))
            self._count += len(lines)
            self._next += len(block)
            yield lines

    def _block(self) -> bytes:
        self._file.seek(self._next)
        data, end = self._file.read(_BLOCK), self._end.raw
        while data and (cut := data.rfind(end)) < 0:
            more = self._file.read(_BLOCK)
            if not more:
                return data
            if len(data) > self._limit:
                raise Odd
            data += more
        return data[: cut + len(end)] if data else data

    def _cut(self, block: bytes) -> tuple[list[str], list[int]]:
        end, fed = self._end
        try:
            if end == b"\n":
                sizes = list(map(len, io.BytesIO(block)))
                text = block.decode(self._encoding)
                lines = io.StringIO(text, newline="\n").readlines()
            else:
                pieces = block.split(end)
                sizes = [len(piece) + len(end) for piece in pieces[:-1]]
                lines = [str(piece, self._encoding) + fed for piece in pieces[:-1]]
                if pieces[-1]:
                    sizes.append(len(pieces[-1]))
                    lines.append(str(pieces[-1], self._encoding))
        except UnicodeError:
            raise Odd from None
        if len(lines) != len(sizes):
            raise Odd
        return lines, sizes

    def offset(self, line: int) -> int:
        """Offset of the line with that index, from 0; or after the last one."""
        for first, offsets in reversed(self._known):
            if line >= first:
                return offsets[line - first]
        return self._known[0][1][0] if self._known else self._next

    def forget(self, line: int) -> None:
        """Forget the places of lines before this one."""
        while len(self._known) > 1 and self._known[1][0] <= line:
            self._known.popleft()

    def raw(self, offset: int, end: int) -> bytes:
        """The bytes between two offsets; the next block is not disturbed."""
        self._file.seek(offset)
        return self._file.read(min(end - offset, self._limit))
