"""How much a packed file may become, counted by real bytes and never by a header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from moatbridge_sftp.formats.base import BadFile

PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of unpacking.

    Args:
        max_file: Bytes of one unpacked file.
        ratio: Unpacked bytes for each packed one (beyond the first MiB).
        layers: Wrappings inside one another.
        members: Members of all archives together.
    """

    max_file: int = 4 << 30
    ratio: int = 100
    layers: int = 4
    members: int = 10_000


class Meter:
    """Counts what comes out of one layer; one for all members of an archive."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all = 0
        self._file = 0

    def begin_file(self) -> None:
        """The next member of an archive begins."""
        self._file = 0

    def count(self, came_out: int, went_in: int) -> None:
        """Count bytes.

        Args:
            came_out: New unpacked bytes.
            went_in: Packed bytes read since the beginning of the layer.

        Raises:
            BadFile: ``unpacked-size`` or ``unpack-ratio``.
        """
        self._all += came_out
        self._file += came_out
        if self._file > self._limits.max_file:
            raise BadFile(
                "unpacked-size",
                "the unpacked file is larger than max_file; raise it if that is right",
                expected=self._limits.max_file,
            )
        if self._all > PIECE + went_in * self._limits.ratio:
            raise BadFile(
                "unpack-ratio",
                f"the file unpacks to over {self._limits.ratio} times its size, as a "
                "decompression bomb does; ask the supplier",
                expected=self._limits.ratio,
            )
