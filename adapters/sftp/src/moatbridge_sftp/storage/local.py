"""Drop folders of this machine or a network mount: `Storage` on a directory descriptor.

Everything happens relative to a descriptor of the base that is opened once, folder by
folder and without following links, so nobody who may write there can lead us elsewhere
by swapping a folder for a link between two steps.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moatbridge_sftp.storage.base import (
    SMALL,
    Entry,
    Facts,
    FaultKind,
    Storage,
    StorageFault,
)
from moatbridge_sftp.storage.entries import (
    WORLD_WRITABLE,
    forget_names,
    kind_of,
    too_many,
)
from moatbridge_sftp.storage.names import decode_name, show_name, split_path
from moatbridge_sftp.wire import faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from moatbridge.adapter import Net

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE: Final = 256 * 1024
_FILE_MODE: Final = 0o640
_FOLDER_MODE: Final = 0o750
_NO_REPLACE: Final = 1  # renameat2(2)
_NETWORK: Final = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "ceph")

_KINDS: Final[dict[int, FaultKind]] = {
    errno.ENOENT: "absent",
    errno.ENOTDIR: "absent",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EROFS: "denied",
    errno.ELOOP: "denied",
    errno.EEXIST: "exists",
    errno.ENOTEMPTY: "exists",
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.ENOSYS: "unsupported",
}


class LocalStorage(Storage):
    """See `Storage`.

    Args:
        path: The base folder; links on the way to it are followed, once.
        net: Bytes moved are reported to it.

    Raises:
        ConfigurationError: ``sftp.folder`` or ``sftp.permission``.
    """

    def __init__(self, path: str, *, net: Net) -> None:
        self._net = net
        self._foreign: dict[str, bytes] = {}
        self._real = os.path.realpath(path)
        try:
            self._base = os.open(self._real, _FOLDER)
        except PermissionError:
            words = "This process may not look into the base folder of `url`."
            raise faults.misconfigured("permission", words) from None
        except OSError:
            words = "The base of `url` is not a folder of this machine."
            raise faults.misconfigured("folder", words) from None

    def list(self, folder: str, *, limit: int) -> tuple[list[Entry], list[str]]:
        """See `Storage.list`."""
        prefix = "/".join(split_path(folder))
        entries: list[Entry] = []
        skipped: list[str] = []
        count = 0
        forget_names(self._foreign, prefix)
        with self._folder(split_path(folder)) as opened, os.scandir(opened) as scan:
            for one in scan:
                count += 1
                if count > limit:
                    raise too_many(limit)
                raw = os.fsencode(one.name)
                entry = _look(opened, raw)
                if isinstance(entry, str):
                    skipped.append(f"{entry}:{show_name(raw)}")
                elif entry is not None:
                    entries.append(entry)
                    self._remember(prefix, entry)
        return _without_twins(entries, skipped)

    def stat(self, path: str) -> Entry | None:
        """See `Storage.stat`."""
        try:
            with self._parent(path) as (opened, raw):
                found = os.stat(raw, dir_fd=opened, follow_symlinks=False)
        except StorageFault as fault:
            if fault.kind == "absent":
                return None
            raise
        return _entry(decode_name(raw) or ".", raw, found)

    def read(self, path: str, *, size: int) -> Iterator[bytes]:
        """See `Storage.read`."""
        with self._opened(path) as file:
            before = os.fstat(file)
            if before.st_size != size:
                raise faults.changed("has another size than the listing showed")
            left = size
            while piece := os.read(file, min(_PIECE, left + 1)):
                left -= len(piece)
                if left < 0:
                    raise faults.changed("grew")
                self._net.progress(len(piece))
                yield piece
            after = os.fstat(file)
            if left or (after.st_size, after.st_mtime_ns) != (size, before.st_mtime_ns):
                raise faults.changed("was written to")

    def read_small(
        self, files: Sequence[tuple[str, int]]
    ) -> Iterator[tuple[str, bytes]]:
        """See `Storage.read_small`."""
        for path, size in files:
            yield path, b"".join(self.read(path, size=min(size, SMALL)))

    def rename(self, old: str, new: str) -> None:
        """See `Storage.rename`."""
        folder, _, _ = new.rpartition("/")
        with self._parent(old) as source:
            if self.stat(folder or ".") is None:
                raise StorageFault("failure")
            with self._parent(new) as target:
                _rename(*source, *target)
        self._foreign.pop("/".join(split_path(old)), None)

    def create(self, path: str, chunks: Iterable[bytes]) -> int:
        """See `Storage.create`."""
        with self._parent(path) as (folder, raw):
            file = os.open(raw, _NEW, _FILE_MODE, dir_fd=folder)
            try:
                written = sum(self._write(file, chunk) for chunk in chunks)
                os.fsync(file)
                _check_size(file, written)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(raw, dir_fd=folder)
                raise
            finally:
                os.close(file)
            os.fsync(folder)
            return written

    def read_text(self, path: str, *, limit: int = 65536) -> bytes | None:
        """See `Storage.read_text`."""
        try:
            with self._opened(path) as file:
                content = b""
                while piece := os.read(file, limit + 1 - len(content)):
                    content += piece
        except StorageFault as fault:
            if fault.kind == "absent":
                return None
            raise
        if len(content) > limit:
            raise StorageFault("failure")
        return content

    def make_folder(self, path: str) -> None:
        """See `Storage.make_folder`."""
        parts = split_path(path)
        for count in range(1, len(parts) + 1):
            with self._folder(parts[: count - 1]) as parent:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(parts[count - 1], _FOLDER_MODE, dir_fd=parent)
                found = os.stat(parts[count - 1], dir_fd=parent, follow_symlinks=False)
                if not stat.S_ISDIR(found.st_mode):
                    raise StorageFault("exists")

    def remove(self, path: str) -> None:
        """See `Storage.remove`."""
        try:
            with self._parent(path) as (folder, raw):
                os.unlink(raw, dir_fd=folder)
        except StorageFault as fault:
            if fault.kind != "absent":
                raise

    def free(self, folder: str = ".") -> int | None:
        """See `Storage.free`."""
        with self._folder(split_path(folder)) as opened:
            found = os.fstatvfs(opened)
        return found.f_frsize * found.f_bavail

    def may_write(self, folder: str) -> bool | None:
        """See `Storage.may_write`."""
        try:
            with self._folder(split_path(folder)) as opened:
                return os.access(".", os.W_OK | os.X_OK, dir_fd=opened)
        except StorageFault:
            return None

    def facts(self) -> Facts:
        """See `Storage.facts`."""
        kind = _file_system(self._real)
        warnings = []
        if kind in _NETWORK:
            warnings.append(f"The base is a network mount ({kind}).")
        if os.fstat(self._base).st_mode & stat.S_IWOTH:
            warnings.append(WORLD_WRITABLE)
        return Facts(
            product=f"local folder ({kind})",
            free=self.free(),
            warnings=tuple(warnings),
            identity=f"file://{self._real}",
        )

    def close(self) -> None:
        """See `Storage.close`."""
        base, self._base = self._base, -1
        if base >= 0:
            os.close(base)

    def abort(self) -> None:
        """See `Storage.abort`; a local call cannot be ended."""

    @contextlib.contextmanager
    def _folder(self, parts: Sequence[str]) -> Iterator[int]:
        """A descriptor of a folder, walked to without following a link."""
        opened = -1
        try:
            opened = os.dup(self._base)
            for part in parts:
                deeper = os.open(part, _FOLDER, dir_fd=opened)
                os.close(opened)
                opened = deeper
            yield opened
        except OSError as error:
            raise _fault(error) from None
        finally:
            if opened >= 0:
                os.close(opened)

    @contextlib.contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, bytes]]:
        parts = split_path(path)
        name = parts[-1].encode() if parts else b"."
        raw = self._foreign.get("/".join(parts), name)
        with self._folder(parts[:-1]) as opened:
            yield opened, raw

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        with self._parent(path) as (folder, raw):
            file = os.open(raw, _READ, dir_fd=folder)
            try:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise StorageFault("denied")
                yield file
            finally:
                os.close(file)

    def _write(self, file: int, chunk: bytes) -> int:
        view = memoryview(chunk)
        while view:
            view = view[os.write(file, view) :]
        self._net.progress(len(chunk))
        return len(chunk)

    def _remember(self, prefix: str, entry: Entry) -> None:
        if entry.raw != entry.name.encode():
            self._foreign[f"{prefix}/{entry.name}".lstrip("/")] = entry.raw


def _check_size(file: int, written: int) -> None:
    if os.fstat(file).st_size != written:
        raise StorageFault("failure")


def _rename(old_folder: int, old: bytes, new_folder: int, new: bytes) -> None:
    """Rename without replacing: in one step where the system can, else by two names.

    Linking and unlinking leaves both names behind if we die in between, so it is only
    the second choice; a loser of a race takes his own new name away again.
    """
    if _rename_at_once(old_folder, old, new_folder, new):
        return
    os.link(
        old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder, follow_symlinks=False
    )
    try:
        os.unlink(old, dir_fd=old_folder)
    except FileNotFoundError:
        os.unlink(new, dir_fd=new_folder)
        raise


def _rename_at_once(old_folder: int, old: bytes, new_folder: int, new: bytes) -> bool:
    call: Any = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(old_folder, old, new_folder, new, _NO_REPLACE) == 0:
        return True
    code = ctypes.get_errno()
    if code in {errno.EINVAL, errno.ENOSYS}:  # this file system cannot
        return False
    raise OSError(code, os.strerror(code))


def _look(folder: int, raw: bytes) -> Entry | str | None:
    """An entry, why it is skipped, or None if it has just gone."""
    name = decode_name(raw)
    if name is None:
        return "bad-name"
    try:
        found = os.stat(raw, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return _entry(name, raw, found)


def _entry(name: str, raw: bytes, found: os.stat_result) -> Entry:
    kind = kind_of(found.st_mode)
    size = found.st_size if kind == "file" else 0
    mode = stat.S_IMODE(found.st_mode)
    return Entry(name, raw, kind, size, int(found.st_mtime), mode)


def _without_twins(
    entries: list[Entry], skipped: list[str]
) -> tuple[list[Entry], list[str]]:
    """Two encodings may give one text; the first stays."""
    kept: dict[str, Entry] = {}
    for entry in entries:
        if entry.name in kept:
            skipped.append(f"twice:{show_name(entry.raw)}")
        else:
            kept[entry.name] = entry
    return list(kept.values()), skipped


def _fault(error: OSError) -> StorageFault:
    return StorageFault(_KINDS.get(error.errno or 0, "failure"))


def _file_system(path: str) -> str:
    """The kind of file system below a path, as far as the system tells."""
    best, kind = "", "unknown"
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mounts").read_text("utf-8").splitlines():
            _, at, found, *_ = line.split(" ")
            inside = path == at or path.startswith(at.rstrip("/") + "/")
            if inside and len(at) >= len(best):
                best, kind = at, found
    return kind
