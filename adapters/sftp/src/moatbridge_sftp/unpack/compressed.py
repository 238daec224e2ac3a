"""gzip, bzip2 and zstd, spool to spool, in bounded steps."""

from __future__ import annotations

import bz2
import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.formats.base import BadFile
from moatbridge_sftp.unpack.limits import PIECE, Limits, Meter

if TYPE_CHECKING:
    from collections.abc import Callable

_IN: Final = 1 << 16
_ZSTD_IN: Final = 512
"""zstd has no limit of output: 4 bytes may become 128 KiB, so it is fed by the bit."""
_WINDOW: Final = 8 << 20
"""What ``zstd`` up to level 19 needs."""
_ERRORS: Final = (zlib.error, OSError, EOFError, ValueError)


class _Gzip:
    """`zlib` behind the interface of `bz2.BZ2Decompressor`."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self.eof = False
        self.unused_data = b""
        self._tail = b""
        self._full = False

    @property
    def needs_input(self) -> bool:
        return not self._tail and not self._full

    def decompress(self, data: bytes, most: int) -> bytes:
        out = self._inner.decompress(self._tail + data, most)
        self._tail = self._inner.unconsumed_tail
        # output that fills the limit may have more behind it, without any tail
        self._full = len(out) == most
        self.eof = self._inner.eof
        self.unused_data = self._inner.unused_data
        return out


class _Zstd:
    def __init__(self, module: Any) -> None:
        maker = module.ZstdDecompressor(max_window_size=_WINDOW)
        self._inner = maker.decompressobj()
        self._error = module.ZstdError
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data)

    def decompress(self, data: bytes, most: int) -> bytes:
        del most
        try:
            return bytes(self._inner.decompress(data))
        except self._error as error:
            raise ValueError("zstd") from error


def gunzip(source: BinaryIO, target: BinaryIO, limits: Limits) -> None:
    """Unpack gzip: several members and zero padding are fine (RFC 1952).

    Raises:
        BadFile: ``truncated``, ``trailing-data``, ``corrupt`` and the limits.
    """
    _run(source, target, limits, _Gzip, "gzip", _IN)


def bunzip(source: BinaryIO, target: BinaryIO, limits: Limits) -> None:
    """Unpack bzip2; errors like `gunzip`."""
    _run(source, target, limits, bz2.BZ2Decompressor, "bzip2", _IN)


def unzstd(source: BinaryIO, target: BinaryIO, limits: Limits) -> None:
    """Unpack zstd; errors like `gunzip`.

    Raises:
        ConfigurationError: ``sftp.extra``: the package is not installed.
    """
    try:
        module = import_module("zstandard")
    except ImportError:
        raise ConfigurationError(
            "a file is packed with zstd; install moatbridge-sftp[zstd]",
            code="sftp.extra",
        ) from None
    _run(source, target, limits, lambda: _Zstd(module), "zstd", _ZSTD_IN)


def _run(
    source: BinaryIO,
    target: BinaryIO,
    limits: Limits,
    make: Callable[[], Any],
    name: str,
    step: int,
) -> None:
    meter, went_in, held = Meter(limits), 0, b""
    while True:
        part, data = make(), held
        while not part.eof:
            if not data and part.needs_input:
                data = source.read(step)
                went_in += len(data)
                if not data:
                    raise _bad("truncated", f"the {name} data has no end")
            try:
                out = part.decompress(data, PIECE)
            except _ERRORS:
                raise _bad("corrupt", f"the {name} data is damaged") from None
            data = b""
            target.write(out)
            meter.count(len(out), went_in)
        held, more = _next_member(part.unused_data, source, step)
        went_in += more
        if not held:
            return
        _check_start(held, name)


def _next_member(unused: bytes, source: BinaryIO, step: int) -> tuple[bytes, int]:
    """What follows a member, without padding; and how much was read to know it."""
    held, more = unused.lstrip(b"\0"), 0
    while len(held) < 4:  # noqa: PLR2004 - the longest magic number
        data = source.read(step)
        more += len(data)
        if not data:
            break
        held = held + data if held else data.lstrip(b"\0")
    return held, more


def _check_start(held: bytes, name: str) -> None:
    magic = {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "zstd": b"\x28\xb5\x2f\xfd"}[name]
    skippable = name == "zstd" and held[1:4] == b"\x2a\x4d\x18"
    if not held.startswith(magic) and not skippable:
        raise _bad("trailing-data", f"there is something behind the {name} data")


def _bad(reason: str, sentence: str) -> BadFile:
    return BadFile(reason, f"{sentence}; ask the supplier to send the file again")
