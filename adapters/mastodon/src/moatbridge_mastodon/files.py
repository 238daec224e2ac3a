"""A file to upload: of the folder itself, checked, and never held whole."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities.media import HEAD
from moatbridge_mastodon.composing import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE: Final = 256 * 1024


class File:
    """An open file.

    Args:
        handle: Its descriptor; the opener closes it.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._digest: str | None = None
        self.size: int = os.fstat(handle).st_size
        self.head: bytes = os.pread(handle, HEAD, 0)

    def digest(self) -> str:
        """SHA-256 of it all, in hexadecimal; read once."""
        state = hashlib.sha256()
        for piece in self._read():
            state.update(piece)
        self._digest = state.hexdigest()
        return self._digest

    def pieces(self) -> Iterator[bytes]:
        """All of it again, in pieces.

        Raises:
            Refused: ``media``: it is another content now than the digest was made of.
                The last piece is not yielded then.
        """
        state, last = hashlib.sha256(), b""
        for piece in self._read():
            if last:
                yield last
            state.update(piece)
            last = piece
        if state.hexdigest() != self._digest:
            raise Refused("media")
        yield last

    def _read(self) -> Iterator[bytes]:
        at = 0
        while at < self.size:
            piece = os.pread(self._handle, min(PIECE, self.size - at), at)
            if not piece:
                raise Refused("media")  # it was cut meanwhile
            yield piece
            at += len(piece)


@contextmanager
def opened(folder: str | None, name: Any) -> Iterator[File]:
    """A file of the folder itself: no path, no link, no device.

    Raises:
        Refused: ``media``: it is none, or is not there.
    """
    if not folder or not isinstance(name, str) or name in {"", ".", ".."}:
        raise Refused("media")
    if "/" in name or "\0" in name:
        raise Refused("media")
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            handle = os.open(name, flags, dir_fd=root)
        finally:
            os.close(root)
    except OSError:
        raise Refused("media") from None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Refused("media")
        yield File(handle)
    finally:
        os.close(handle)
