"""Drop folders at an SFTP server: `Storage` over our own client.

Status codes get their meaning here. OpenSSH answers 4 (failure) for most things, among
them a target that exists, so what 4 meant is found out by looking again.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final, TypeAlias

from moatbridge.errors import NotApplied, OutcomeUnknown
from moatbridge_sftp.storage.arriving import dial, find_base, start, warnings_of
from moatbridge_sftp.storage.base import (
    Entry,
    Facts,
    FaultKind,
    SshSettings,
    Storage,
    StorageFault,
)
from moatbridge_sftp.storage.entries import forget_names, kind_of, too_many
from moatbridge_sftp.storage.names import decode_name, show_name, split_path
from moatbridge_sftp.storage.pace import Pace
from moatbridge_sftp.wire.client import (
    POSIX_RENAME,
    Client,
    StatusError,
)
from moatbridge_sftp.wire.line import Line
from moatbridge_sftp.wire.listing import TooManyError, list_folder
from moatbridge_sftp.wire.packets import Status
from moatbridge_sftp.wire.reading import Wanted, read_file, read_small_files
from moatbridge_sftp.wire.writing import SizeError, create_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from moatbridge.adapter import Net
    from moatbridge_sftp.storage.urls import Place
    from moatbridge_sftp.wire.packets import Attributes, Named
    from moatbridge_sftp.wire.ssh import Connection

_FILE_MODE: Final = 0o640
_FOLDER_MODE: Final = 0o750
_Listing: TypeAlias = tuple[list[Entry], list[str]]
_FULL: Final = 1024 * 1024
"""A server with less than that free is taken for full when a write fails."""

_KINDS: Final[dict[int, FaultKind]] = {
    Status.NO_SUCH_FILE: "absent",
    Status.PERMISSION_DENIED: "denied",
    Status.UNSUPPORTED: "unsupported",
}


class RemoteStorage(Storage):
    """See `Storage`. Made by `connect`.

    Args:
        connection: Logged in.
        client: Started.
        base: Absolute path of the base folder at the server.
        place: Its url, taken apart.
        settings: As configured.
        net: The core's way out; bytes moved are reported to it.
    """

    def __init__(
        self,
        connection: Connection,
        client: Client,
        base: bytes,
        *,
        place: Place,
        settings: SshSettings,
        net: Net,
    ) -> None:
        self._connection = connection
        self._client = client
        self._base = base.rstrip(b"/")
        self._place = place
        self._settings = settings
        self._net = net
        self._pace = Pace(settings.max_rate, net)
        self._foreign: dict[str, bytes] = {}  # paths whose name is not UTF-8

    @classmethod
    def connect(cls, place: Place, settings: SshSettings, net: Net) -> RemoteStorage:
        """Connect, log in, start SFTP, and find the base folder."""
        connection = dial(place, settings, net)
        try:
            channel = connection.open_sftp(settings.in_flight, net)
            client = Client(Line(channel, net, connection.abort))
            start(client, connection)
            base = find_base(client, place.path)
        except BaseException:
            connection.close()
            raise
        return cls(connection, client, base, place=place, settings=settings, net=net)

    def list(self, folder: str, *, limit: int) -> tuple[list[Entry], list[str]]:
        """See `Storage.list`."""
        try:
            found = list_folder(self._client, self._path(folder), limit)
        except TooManyError:
            raise too_many(limit) from None
        except StatusError as error:
            raise _fault(error) from None
        prefix = "/".join(split_path(folder))
        return self._sort_out(found, f"{prefix}/" if prefix else "")

    def stat(self, path: str) -> Entry | None:
        """See `Storage.stat`."""
        raw = self._path(path)
        try:
            found = self._client.stat(raw)
        except StatusError as error:
            if error.status == Status.NO_SUCH_FILE:
                return None
            raise _fault(error) from None
        name = raw.rsplit(b"/", 1)[-1]
        return _entry(decode_name(name) or ".", name, found)

    def read(self, path: str, *, size: int) -> Iterator[bytes]:
        """See `Storage.read`."""
        raw, ahead = self._path(path), self._pace.ahead(self._settings.in_flight)
        try:
            for piece in read_file(self._client, raw, size, in_flight=ahead):
                self._moved(len(piece))
                yield piece
        except StatusError as error:
            raise _fault(error) from None

    def read_small(
        self, files: Sequence[tuple[str, int]]
    ) -> Iterator[tuple[str, bytes]]:
        """See `Storage.read_small`."""
        wanted = [Wanted(self._path(path), size) for path, size in files]
        ahead = self._pace.ahead(self._settings.in_flight)
        contents = read_small_files(self._client, wanted, in_flight=ahead)
        try:
            for (path, _), content in zip(files, contents, strict=True):
                self._moved(len(content))
                yield path, content
        except StatusError as error:
            raise _fault(error) from None
        finally:
            contents.close()

    def rename(self, old: str, new: str) -> None:
        """See `Storage.rename`."""
        source, target = self._path(old), self._path(new)
        try:
            self._rename(source, target)
        except StatusError as error:
            raise self._rename_fault(error, source, target) from None
        self._foreign.pop("/".join(split_path(old)), None)

    def create(self, path: str, chunks: Iterable[bytes]) -> int:
        """See `Storage.create`."""
        raw, written = self._path(path), 0
        steps = create_file(
            self._client,
            raw,
            chunks,
            mode=_FILE_MODE,
            in_flight=self._pace.ahead(self._settings.in_flight),
        )
        try:
            for count in steps:
                self._moved(count)
                written += count
        except SizeError:
            raise StorageFault("failure") from None
        except StatusError as error:
            raise self._create_fault(error, raw, written) from None
        return written

    def read_text(self, path: str, *, limit: int = 65536) -> bytes | None:
        """See `Storage.read_text`."""
        entry = self.stat(path)
        if entry is None:
            return None
        if entry.size > limit:
            raise StorageFault("failure")
        try:
            return b"".join(self.read(path, size=entry.size))
        except StorageFault as fault:
            if fault.kind == "absent":
                return None
            raise

    def make_folder(self, path: str) -> None:
        """See `Storage.make_folder`."""
        at = self._base
        for part in split_path(path):
            at += b"/" + part.encode()
            self._make_one(at)

    def remove(self, path: str) -> None:
        """See `Storage.remove`."""
        try:
            self._client.remove(self._path(path))
        except StatusError as error:
            if error.status != Status.NO_SUCH_FILE:
                raise _fault(error) from None

    def free(self, folder: str = ".") -> int | None:
        """See `Storage.free`."""
        return self._client.free(self._path(folder))

    def may_write(self, folder: str) -> bool | None:
        """See `Storage.may_write`: certain only where everybody may."""
        try:
            found = self.stat(folder)
        except StorageFault:
            return None
        return True if found is not None and found.mode & stat.S_IWOTH else None

    def facts(self) -> Facts:
        """See `Storage.facts`."""
        client, connection = self._client, self._connection
        place, transport = self._place, connection.transport
        base = self.stat(".")
        warnings = warnings_of(
            self._settings,
            connection,
            client,
            world_writable=base is not None and bool(base.mode & stat.S_IWOTH),
        )
        return Facts(
            product=str(transport.remote_version)[:200],
            algorithms=connection.algorithms(),
            strict_kex=bool(transport.agreed_on_strict_kex),
            extensions=dict(client.extensions),
            limits=client.limits._asdict(),
            free=self.free(),
            warnings=tuple(warnings),
            identity=f"{place.user}@{place.host}:{place.port}",
        )

    def close(self) -> None:
        """See `Storage.close`."""
        self._connection.close()

    def abort(self) -> None:
        """See `Storage.abort`."""
        self._pace.stop()
        self._connection.abort()

    def _path(self, path: str) -> bytes:
        parts = split_path(path)
        if not parts:
            return self._base or b"/"
        clean = "/".join(parts)
        return self._base + b"/" + self._foreign.get(clean, clean.encode())

    def _moved(self, count: int) -> None:
        self._net.progress(count)
        self._pace.moved(count)

    def _sort_out(self, found: Sequence[Named], prefix: str) -> _Listing:
        entries: dict[str, Entry] = {}
        skipped: list[str] = []
        forget_names(self._foreign, prefix)
        for raw, attributes in found:
            name = decode_name(raw)
            reason = _unusable(name, attributes, entries)
            if name is None or reason:
                skipped.append(f"{reason}:{show_name(raw)}")
                continue
            entries[name] = _entry(name, raw, attributes)
            if raw != name.encode():
                self._foreign[prefix + name] = prefix.encode() + raw
        return list(entries.values()), skipped

    def _rename(self, source: bytes, target: bytes) -> None:
        client, sent = self._client, self._client.requests
        try:
            try:
                client.rename(source, target)
            except StatusError as error:
                replaces = POSIX_RENAME in client.extensions
                if error.status != Status.UNSUPPORTED or not replaces:
                    raise
                if self._there(target):
                    raise StorageFault("exists") from None
                client.posix_rename(source, target)
        except NotApplied as error:
            if client.requests == sent:
                raise
            words = (
                "The connection ended after a rename was sent and before its answer "
                "came; look which of the two names is there, then go on."
            )
            raise OutcomeUnknown(words, code=error.code) from error

    def _rename_fault(
        self, error: StatusError, source: bytes, target: bytes
    ) -> StorageFault:
        if error.status == Status.NO_SUCH_FILE:
            # also when the folder of the target is missing
            return StorageFault("failure" if self._there(source) else "absent")
        if error.status != Status.FAILURE:
            return _fault(error)
        if self._there(target):
            return StorageFault("exists")
        return StorageFault("failure" if self._there(source) else "absent")

    def _create_fault(
        self, error: StatusError, path: bytes, written: int
    ) -> StorageFault:
        if error.status != Status.FAILURE:
            return _fault(error)
        if not written and self._there(path):
            return StorageFault("exists")
        free = self._client.free(path.rsplit(b"/", 1)[0] or b"/")
        return StorageFault("full" if free is not None and free < _FULL else "failure")

    def _make_one(self, path: bytes) -> None:
        try:
            self._client.make_folder(path, _FOLDER_MODE)
        except StatusError as error:
            try:
                found = self._client.stat(path, follow=True)
            except StatusError:
                raise _fault(error) from None
            if not stat.S_ISDIR(found.mode or 0):
                raise StorageFault("exists") from None

    def _there(self, path: bytes) -> bool:
        try:
            self._client.stat(path)
        except StatusError as error:
            return error.status != Status.NO_SUCH_FILE
        return True


def _fault(error: StatusError) -> StorageFault:
    return StorageFault(_KINDS.get(error.status, "failure"))


def _unusable(
    name: str | None, attributes: Attributes, entries: dict[str, Entry]
) -> str:
    if name is None:
        return "bad-name"
    if name in entries:
        return "twice"
    if attributes.mode is None or attributes.mtime is None:
        return "no-attributes"
    if attributes.size is None and stat.S_ISREG(attributes.mode):
        return "no-attributes"
    return ""


def _entry(name: str, raw: bytes, attributes: Attributes) -> Entry:
    mode = attributes.mode or 0
    kind = kind_of(mode)
    size = attributes.size or 0 if kind == "file" else 0
    return Entry(name, raw, kind, size, attributes.mtime or 0, stat.S_IMODE(mode))
