"""Wraps a file that will be published."""

from __future__ import annotations

import zlib
from typing import BinaryIO, Final

_PIECE: Final = 1 << 20


def gzip_spool(source: BinaryIO, target: BinaryIO) -> None:
    """Pack with gzip. Without time and name: the same content gives the same bytes."""
    packer = zlib.compressobj(wbits=31)
    source.seek(0)
    while data := source.read(_PIECE):
        target.write(packer.compress(data))
    target.write(packer.flush())
