"""A body without its content coding, in bounded pieces.

One piece of a packed body may stand for a thousand of its size, so inflating stops
after `PIECE` bytes each time, and whoever reads can count and give up in between
(platforms 3). Pure: pieces in, pieces out.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE: Final = 131_072
"""Bytes inflated at once."""


class AnswerError(Exception):
    """What came is no HTTP/1.1 answer, or not all of one. Never quotes it."""


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
                msg = "a broken coding"
                raise AnswerError(msg) from error
            rest = unpack.unconsumed_tail
            yield more
    if unpack is not None and not unpack.eof:
        msg = "a packed body without its end"
        raise AnswerError(msg)


def _unpacking(kind: str, piece: bytes) -> zlib._Decompress:
    if kind != "deflate":
        return zlib.decompressobj(16 + zlib.MAX_WBITS)
    # Some peers leave out the zlib wrapper, whose first byte ends in 8.
    wrapped = piece[0] & 0x0F == 8  # noqa: PLR2004 - RFC 1950 2.2: method 8
    return zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
