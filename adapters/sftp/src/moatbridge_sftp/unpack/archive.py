"""Zip archives: members in name order, counted by what really comes out of them."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final

from moatbridge_sftp.formats.base import BadFile
from moatbridge_sftp.unpack.limits import PIECE, Limits, Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_END: Final = b"PK\x05\x06"
_END64: Final = b"PK\x06\x06"
_PER_ENTRY: Final = 1024
"""Bytes of directory allowed for each member: a name, its extras and a comment."""
_DAMAGED: Final = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError,
    struct.error, OverflowError,
)  # fmt: skip


class Archive:
    """One zip archive.

    Args:
        source: Seekable.
        limits: Of unpacking.
        password: Of encrypted members (the old cipher of zip only).

    Raises:
        BadFile: ``zip``, ``zip-members``.
    """

    def __init__(
        self, source: BinaryIO, limits: Limits, password: str | None = None
    ) -> None:
        self._limits = limits
        self._password = password.encode() if password else None
        self._size = source.seek(0, 2)
        _check_directory(source, self._size, limits)
        try:
            source.seek(0)
            self._zip = zipfile.ZipFile(source)
        except (*_DAMAGED, NotImplementedError):
            raise _damaged() from None
        files = self._zip.infolist()
        if not all(each.filename for each in files):
            raise _damaged()
        files = [each for each in files if not each.is_dir()]
        self._members = sorted(files, key=lambda each: each.filename)
        names = {each.filename for each in self._members}
        if len(names) != len(self._members):
            raise BadFile("zip", "two members of the zip archive have one name")

    def __len__(self) -> int:
        return len(self._members)

    @property
    def is_document(self) -> bool:
        """Whether it is an office document (xlsx), which is one file to us."""
        return any(each.filename == "[Content_Types].xml" for each in self._members)

    def unpack(
        self, new_spool: Callable[[], BinaryIO]
    ) -> Iterator[tuple[str, BinaryIO]]:
        """Names and contents of the members; the taker closes each spool.

        Raises:
            BadFile: ``zip``, ``zip-encrypted`` and the limits.
        """
        meter = Meter(self._limits)
        for member in self._members:
            meter.begin_file()
            spool = new_spool()
            try:
                self._extract(member, spool, meter)
            except BaseException:
                spool.close()
                raise
            spool.seek(0)
            yield member.filename, spool

    def measure(self) -> None:
        """Read everything and keep nothing: for a library that reads by itself.

        Raises:
            BadFile: ``zip`` and the limits.
        """
        meter = Meter(self._limits)
        for member in self._members:
            meter.begin_file()
            self._extract(member, None, meter)

    def _extract(
        self, member: zipfile.ZipInfo, spool: BinaryIO | None, meter: Meter
    ) -> None:
        try:
            with self._zip.open(member, pwd=self._password) as packed:
                while data := packed.read(PIECE):
                    meter.count(len(data), self._size)
                    if spool is not None:
                        spool.write(data)
        except (RuntimeError, NotImplementedError):
            raise BadFile(
                "zip-encrypted",
                "a member of the zip archive is encrypted (or packed) in a way we "
                "cannot read; check zip_password, or ask for OpenPGP",
            ) from None
        except _DAMAGED:
            raise _damaged() from None


def _check_directory(source: BinaryIO, size: int, limits: Limits) -> None:
    """Bound the directory before `zipfile` builds one object for each entry."""
    reach = max(0, size - 65_557 - 76)
    source.seek(reach)
    tail = source.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:  # noqa: PLR2004 - size of the end record
        raise _damaged()
    _, _, _, count, length = struct.unpack("<4H L", tail[at + 4 : at + 16])
    at64 = tail.rfind(_END64, 0, at)
    if at64 >= 0 and len(tail) - at64 >= 48:  # noqa: PLR2004 - up to the size
        count64, length64 = struct.unpack("<2Q", tail[at64 + 32 : at64 + 48])
        count, length = max(count % 0xFFFF, count64), max(length % 0xFFFFFFFF, length64)
    if count > limits.members or length > limits.members * _PER_ENTRY:
        raise BadFile(
            "zip-members",
            "the zip archive has too many members",
            expected=limits.members,
            found=count,
        )


def _damaged() -> BadFile:
    return BadFile(
        "zip", "the zip archive is damaged or cut off; ask for the file again"
    )
