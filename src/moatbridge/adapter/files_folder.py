"""The folder itself: listing, reading, making, replacing and removing plain files.

Everything is done relative to a descriptor of the folder, by plain names, and no link
is followed: whoever may write there cannot lead us elsewhere. Drafts have names that
are never read, so one that a killed process left behind does no harm.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
from pathlib import Path  # noqa: TC003 - pydantic reads it
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from moatbridge.adapter.base import AdapterConfig, PageSize
from moatbridge.adapter.streams import Probe
from moatbridge.errors import ConfigurationError, NotApplied, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.adapter.net import Net

MIB: Final = 1024 * 1024
FORGOTTEN: Final = 3600.0
"""Seconds after which a draft belongs to nobody."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = 0o640
_DRAFT: Final = ".moatbridge-draft"
_RIGHTS: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


class FolderConfig(AdapterConfig):
    """Base of ``[systems.NAME]`` for adapters whose system is a folder of files.

    Args:
        folder: The folder that holds the files, or their subfolders.
        page_size: Records in a batch.
        max_file: Bytes of the largest file that is read or written; a larger one is a
            reject.
    """

    folder: Path
    page_size: PageSize = 500
    max_file: int = Field(default=MIB, ge=1, le=256 * MIB)


class UnfitError(Exception):
    """One file cannot be read as a record; ``reason`` is a code.

    ``field`` is to blame, and ``key`` is the record's, where that much is known.
    """

    def __init__(
        self, reason: str, field: str | None = None, key: str | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field
        self.key = key


class Folder:
    """One connection of an adapter to its folder; give it to ``connect``.

    Args:
        config: The settings.
        net: Bytes that are read or written are reported to it; nothing is dialled.

    Raises:
        ConfigurationError: ``files.folder``: there is no such folder.
    """

    def __init__(self, config: FolderConfig, net: Net) -> None:
        self.max_file: int = config.max_file
        self.kept: dict[str, Any] = {}
        self._net = net
        self._tidy = False
        try:
            self.path: Path = config.folder.resolve(strict=True)
        except FileNotFoundError:
            raise _no_folder() from None
        if not self.path.is_dir():
            raise _no_folder()

    def identity(self) -> Probe:
        """Which data this is: the folder's real path. Give it to ``probe``."""
        open_to_all = self.path.stat().st_mode & stat.S_IWOTH
        words = "Everybody on this machine may write into the folder."
        return Probe(f"folder:{self.path}", warnings=(words,) if open_to_all else ())

    @contextlib.contextmanager
    def opened(self, subfolder: str) -> Iterator[int]:
        """A descriptor of the folder, or of one below it.

        It is opened anew each time: a folder that was moved away or is no longer
        mounted must not look empty.

        Raises:
            NotApplied: ``files.folder``: it is not there now.
        """
        path = self.path / subfolder
        try:
            found = os.open(path, _FOLDER | (os.O_NOFOLLOW if subfolder else 0))
        except OSError as error:
            words = f"The folder cannot be opened ({type(error).__name__})."
            raise NotApplied(words, code="files.folder") from error
        try:
            yield found
        finally:
            os.close(found)

    def read(self, opened: int, name: str) -> tuple[bytes, os.stat_result]:
        """A plain file's bytes, and its state.

        Raises:
            UnfitError: ``files.link``, ``files.kind``, ``files.large``,
                ``files.rights`` or ``files.changing``.
            FileNotFoundError: It is gone.
        """
        try:
            file = os.open(name, _READ, dir_fd=opened)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise UnfitError("files.link") from None
            if error.errno in _RIGHTS:
                raise UnfitError("files.rights") from None
            raise
        try:
            before = os.fstat(file)
            check(before, self.max_file)
            with open(file, "rb", closefd=False) as stream:
                data = stream.read(before.st_size + 1)
            if len(data) != before.st_size or state(os.fstat(file)) != state(before):
                raise UnfitError("files.changing")
        finally:
            os.close(file)
        self._net.progress(len(data))
        return data, before

    def make(self, opened: int, name: str, data: bytes) -> None:
        """Make a file that is not there yet, as a whole and durably.

        Raises:
            FileExistsError: There is one of that name; it stays as it is.
            NotApplied: ``files.write``: nothing was made.
            ConfigurationError: ``files.rights``.
        """
        with self._draft(opened, data, None) as draft:
            try:
                os.link(draft, name, src_dir_fd=opened, dst_dir_fd=opened)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                _make_without_links(opened, draft, name)
            os.fsync(opened)

    def replace(self, opened: int, name: str, data: bytes, old: os.stat_result) -> None:
        """Replace a file as a whole and durably, if it is still as it was.

        Raises:
            NotApplied: ``files.changing`` or ``files.write``: nothing was replaced.
            ConfigurationError: ``files.rights``.
        """
        with self._draft(opened, data, old) as draft:
            if state(look(opened, name)) != state(old):
                words = "Another program changed the file just now."
                raise NotApplied(words, code="files.changing")
            os.replace(draft, name, src_dir_fd=opened, dst_dir_fd=opened)
            os.fsync(opened)

    def remove(self, opened: int, name: str) -> None:
        """Remove a file; that it is gone already is no error.

        Raises:
            ConfigurationError: ``files.rights``.
        """
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=opened)
        except OSError as error:
            if error.errno in _RIGHTS:
                raise _no_rights() from error
            raise
        os.fsync(opened)

    @contextlib.contextmanager
    def _draft(
        self, opened: int, data: bytes, like: os.stat_result | None
    ) -> Iterator[str]:
        if len(data) > self.max_file:
            msg = "The file would be larger than `max_file`."
            raise Rejected(msg, code="files.large.data")
        if not self._tidy:
            self._tidy = True
            _drop_old_drafts(opened)
        name = f".{secrets.token_hex(8)}{_DRAFT}"
        try:
            try:
                self._fill(os.open(name, _NEW, _MODE, dir_fd=opened), data, like)
            except OSError as error:
                if error.errno in _RIGHTS:
                    raise _no_rights() from error
                words = f"No file can be written ({type(error).__name__})."
                raise NotApplied(words, code="files.write") from error
            yield name
        finally:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=opened)

    def _fill(self, file: int, data: bytes, like: os.stat_result | None) -> None:
        with contextlib.closing(os.fdopen(file, "wb")) as stream:
            if like is not None:
                with contextlib.suppress(OSError):
                    os.fchown(file, -1, like.st_gid)
                os.fchmod(file, stat.S_IMODE(like.st_mode) & 0o777)
            stream.write(data)
            stream.flush()
            os.fsync(file)
        self._net.progress(len(data))


def names_in(opened: int, suffix: str) -> set[str]:
    """The names that end so, without hidden ones."""
    return {
        n for n in os.listdir(opened) if n.endswith(suffix) and not n.startswith(".")
    }


def state(found: os.stat_result | None) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced: inode, size, time (ns)."""
    return found and (found.st_ino, found.st_size, found.st_mtime_ns)


def look(opened: int, name: str) -> os.stat_result | None:
    """What is there under that name; None if nothing is."""
    try:
        return os.stat(name, dir_fd=opened, follow_symlinks=False)
    except FileNotFoundError:
        return None


def check(found: os.stat_result, largest: int) -> None:
    """Refuse what is no plain file of a bearable size.

    Raises:
        UnfitError: ``files.link``, ``files.kind`` or ``files.large``.
    """
    if stat.S_ISLNK(found.st_mode):
        raise UnfitError("files.link")
    if not stat.S_ISREG(found.st_mode):
        raise UnfitError("files.kind")
    if found.st_size > largest:
        raise UnfitError("files.large")


def _make_without_links(opened: int, draft: str, name: str) -> None:
    """For file systems without hard links: a glance, then a rename."""
    if look(opened, name) is not None:
        raise FileExistsError(errno.EEXIST, "exists")
    os.replace(draft, name, src_dir_fd=opened, dst_dir_fd=opened)


def _drop_old_drafts(opened: int) -> None:
    """Remove what killed processes left behind long ago."""
    oldest = time.time() - FORGOTTEN
    for name in os.listdir(opened):
        if name.startswith(".") and name.endswith(_DRAFT):
            with contextlib.suppress(OSError):
                if os.stat(name, dir_fd=opened).st_mtime < oldest:
                    os.unlink(name, dir_fd=opened)


def _no_folder() -> ConfigurationError:
    words = "`folder` is not a folder of this machine; check the path."
    return ConfigurationError(words, code="files.folder")


def _no_rights() -> ConfigurationError:
    words = "This account may not write into the folder; give it the right to."
    return ConfigurationError(words, code="files.rights")
