"""Where a file waits while it is processed: in memory, or in a nameless file.

No remote name ever becomes a local path; after a kill nothing is left (sftp 20, 30).

What is known to be larger than the memory it may take goes to disk from its first byte.
Filled in memory first and moved then, each file would leave a hole of that size in the
heap of the thread that read it, and every pass reads on a thread of its own.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zlib
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, cast

from moatbridge.errors import NotApplied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moatbridge_sftp.config import SftpConfig

_SPARE: Final = 256 << 20
_HEADROOM: Final = 1.2


class Spooled(NamedTuple):
    """A file that lies here whole.

    Args:
        file: Its content, at the start.
        digests: Hex digests by algorithm; ``sha256`` always.
    """

    file: IO[bytes]
    digests: dict[str, str]


class Spool:
    """Makes spool files by the settings of a system."""

    def __init__(self, config: SftpConfig) -> None:
        self._folder = config.spool_dir or tempfile.gettempdir()
        self._memory = config.spool_memory

    def on_disk(self, size: int) -> bool:
        """Whether a file of so many bytes waits on disk."""
        return size > self._memory

    def new(self, least: int = 0) -> IO[bytes]:
        """An empty spool file; closing it removes it.

        Args:
            least: Bytes that it will hold at least, as far as anybody knows.
        """
        made = tempfile.SpooledTemporaryFile(max_size=self._memory, dir=self._folder)  # noqa: SIM115 - the caller closes it
        if self.on_disk(least):
            made.rollover()
        return cast("IO[bytes]", made)

    def take(
        self, chunks: Iterable[bytes], size: int, wanted: Iterable[str] = ()
    ) -> Spooled:
        """Keep a whole file, and compute its digests on the way.

        Args:
            chunks: Its content.
            size: Listed size, in bytes.
            wanted: Digests besides ``sha256``: ``sha1``, ``md5``, ``crc32``.

        Raises:
            NotApplied: ``sftp.spool-full``, and whatever the chunks raise.
        """
        self._check_room(size)
        sums = {name: digest(name) for name in {"sha256", *wanted}}
        file = self.new(size)
        try:
            for chunk in chunks:
                file.write(chunk)
                for one in sums.values():
                    one.update(chunk)
        except OSError:
            file.close()
            raise _full() from None
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return Spooled(file, {name: one.hexdigest() for name, one in sums.items()})

    def _check_room(self, size: int) -> None:
        if not self.on_disk(size):
            return
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError:
            raise _full() from None
        if free < size * _HEADROOM + _SPARE:
            raise _full()


def _full() -> NotApplied:
    return NotApplied(
        "There is no room for the file on the local disk; nothing was taken. Make room "
        "in `spool_dir`, or point it to a larger disk.",
        code="sftp.spool-full",
    )


class _Crc32:
    def __init__(self) -> None:
        self._sum = 0

    def update(self, data: bytes) -> None:
        self._sum = zlib.crc32(data, self._sum)

    def hexdigest(self) -> str:
        return f"{self._sum:08x}"


def digest(name: str) -> Any:
    """A running digest: ``sha256``, ``sha1``, ``md5`` or ``crc32``."""
    made: Callable[[], Any] = {
        "sha256": hashlib.sha256,
        "sha1": lambda: hashlib.sha1(usedforsecurity=False),
        "md5": lambda: hashlib.md5(usedforsecurity=False),
        "crc32": _Crc32,
    }[name]
    return made()
