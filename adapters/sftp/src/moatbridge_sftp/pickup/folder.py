"""The folder of a stream and its work folder: listing, claiming, giving back.

A claim is a rename into ``{state}/work``: of many programs that try, one wins, and
whoever looks sees what is in work. It does not stop an uploader that still has the file
open, so ripeness comes first and the file is compared again afterwards (sftp 22-23).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.faults import typed
from moatbridge_sftp.places import (
    dated,
    filled,
    front,
    is_below,
    join,
    matcher,
    within,
)
from moatbridge_sftp.storage import StorageFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moatbridge_sftp.config import SftpStreamConfig
    from moatbridge_sftp.pickup.choosing import Candidate
    from moatbridge_sftp.storage import Entry, Storage

WORK: Final = "work"
Refusal = Literal["gone", "waits"]


class Folder:
    """Where the files of one stream lie. Used by one thread at a time.

    Args:
        storage: The open storage.
        stream: Local name of the stream.
        config: Its settings.
        state_folder: The system's setting.
    """

    def __init__(
        self, storage: Storage, stream: str, config: SftpStreamConfig, state_folder: str
    ) -> None:
        self.storage = storage
        self.stream = stream
        self.config = config
        self.base: str = within(".", config.folder)
        self.state: str = f"{within(self.base, state_folder)}/{stream}"
        self._put = self._put_folders()
        self._ours = self._put | {within(self.base, state_folder)} - {self.base}
        self._made: set[str] = set()
        self._ignored = matcher(config.ignore)

    def fault(self, fault: StorageFault, doing: str) -> Exception:
        """The error that a fault in this folder means."""
        return typed(fault, doing, self.base, stream=self.stream)

    def setting(self, template: str, **values: str) -> str:
        """The path that a template of the stream's settings means."""
        values = {"stream": self.stream, "state": f"/{self.state}", **values}
        return within(self.base, filled(template, **values))

    def _put_folders(self) -> frozenset[str]:
        """Folders that we put files into: what lies there was read already."""
        where = {"stream": self.stream, "state": f"/{self.state}"}
        kept = (self.config.archive_to, self.config.failed_to)
        ours = {within(self.base, front(filled(one, **where))) for one in kept}
        return frozenset(ours - {self.base})

    def is_put_away(self, path: str) -> bool:
        """Whether a path lies in one of the folders that we put files into."""
        below = (folder for folder in self._put if is_below(folder, path))
        return any(below) and ".." not in path.split("/")

    # --- listing --------------------------------------------------------------------

    def incoming(self) -> tuple[list[Entry], list[str]]:
        """Everything in the folder, down to ``depth``; names are relative to it.

        Raises:
            ConfigurationError: ``sftp.folder``, ``sftp.permission``,
                ``sftp.too-many-files``.
        """
        try:
            return self._walk(self.base, self.config.depth)
        except StorageFault as fault:
            raise self.fault(fault, "list") from None

    def work(self) -> list[Entry]:
        """Everything claimed and not settled yet; nothing if there is no such folder.

        Raises:
            ConfigurationError: As `incoming`.
        """
        try:
            return self._walk(f"{self.state}/{WORK}", self.config.depth)[0]
        except StorageFault as fault:
            if fault.kind == "absent":
                return []
            raise self.fault(fault, "list") from None

    def youngest(self) -> int | None:
        """Time of the newest data file that lies here or is in work, by the server."""
        try:
            entries = [*self.incoming()[0], *self.work()]
        except ConfigurationError:
            return None  # what is wrong shows when the stream is read
        return self._newest(entries)

    def youngest_archived(self, moment: float) -> int | None:
        """The same for the archive as it is called at a moment (seconds since 1970)."""
        path = self.setting(self.config.archive_to, **dated(moment))
        try:
            entries, _ = self.storage.list(path, limit=self.config.max_files)
        except (StorageFault, ConfigurationError):
            return None
        return self._newest(entries)

    def _newest(self, entries: Iterable[Entry]) -> int | None:
        fits = matcher(self.config.patterns)
        times = (e.mtime for e in entries if e.kind == "file" and fits(e.name))
        return max(times, default=None)

    def _walk(self, top: str, depth: int) -> tuple[list[Entry], list[str]]:
        found: list[Entry] = []
        odd: list[str] = []
        level = [("", 0)]
        while level:
            inner, deep = level.pop()
            left = self.config.max_files - len(found)
            if left <= 0:
                raise self._too_many()
            path = join(top, inner) if inner else top
            entries, skipped = self.storage.list(path, limit=left)
            odd += skipped
            for entry in entries:
                named = entry._replace(name=join(inner, entry.name))
                if entry.kind != "folder":
                    found.append(named)
                elif deep < depth and self._is_incoming(top, named.name):
                    level.append((named.name, deep + 1))
        return found, odd

    def _is_incoming(self, top: str, inner: str) -> bool:
        ours = join(top, inner) in self._ours
        return not (ours or self._ignored(inner.rpartition("/")[2]))

    def _too_many(self) -> ConfigurationError:
        return ConfigurationError(
            f"The folder holds more than {self.config.max_files} entries. Archive old "
            "files, or raise max_files.",
            code="sftp.too-many-files",
            stream=self.stream,
        )

    # --- claiming -------------------------------------------------------------------

    def path(self, name: str, *, claimed: bool) -> str:
        """Where a data or side file lies."""
        return f"{self.state}/{WORK}/{name}" if claimed else join(self.base, name)

    def claim(self, one: Candidate) -> Candidate | Refusal:
        """Take a file for us, or say why it is not to be had now.

        ``gone``: somebody else took it. ``waits``: an earlier file of that name is
        still in work, or it has changed since it was listed.

        Raises:
            ConfigurationError: ``sftp.permission``.
            NotApplied: ``sftp.refused`` and what a connection may raise.
        """
        if one.claimed or self.config.claim == "none":
            return one
        if (refusal := self._rename(one.file.name, back=False)) is not None:
            return refusal
        claimed = replace(one, claimed=True)
        entry = self.storage.stat(self.path(one.file.name, claimed=True))
        if entry is None:
            return "gone"
        if (entry.size, entry.mtime) != (one.file.size, one.file.mtime):
            self.give_back(claimed)
            return "waits"
        for name in (one.trigger, *one.side):
            if name is not None:
                self._claim_beside(name)
        return claimed

    def _claim_beside(self, name: str) -> None:
        """Take a trigger or side file; one that an earlier file left gives way."""
        if self._rename(name, back=False) != "waits":
            return
        try:
            self.storage.remove(self.path(name, claimed=True))
        except StorageFault as fault:
            raise self.fault(fault, "claim") from None
        self._rename(name, back=False)

    def give_back(self, one: Candidate) -> None:
        """Put a file that changed under our hands back, so that it waits again."""
        if one.claimed and self.config.claim == "rename":
            self._rename(one.file.name, back=True)

    def _rename(self, name: str, *, back: bool) -> Refusal | None:
        work, lying = self.path(name, claimed=True), self.path(name, claimed=False)
        old, new = (work, lying) if back else (lying, work)
        if not back:
            self._make_work(new.rpartition("/")[0])
        try:
            self.storage.rename(old, new)
        except StorageFault as fault:
            if fault.kind in ("absent", "exists"):
                return "gone" if fault.kind == "absent" else "waits"
            raise self.fault(fault, "claim") from None
        return None

    def _make_work(self, folder: str) -> None:
        """Something else of that name must not look like a file that waits."""
        try:
            self.make(folder)
        except StorageFault as fault:
            if fault.kind != "exists":
                raise self.fault(fault, "claim") from None
            raise ConfigurationError(
                f"The state folder of stream {self.stream!r} cannot be made: a file or "
                "a link has its name. Remove it, or set `state_folder` to another one.",
                code="sftp.folder",
                stream=self.stream,
            ) from None

    def make(self, folder: str) -> None:
        """Make a folder once in this connection."""
        if folder not in self._made:
            self.storage.make_folder(folder)
            self._made.add(folder)

    # --- small files ----------------------------------------------------------------

    def side_text(self, one: Candidate, wanted: Callable[[str], bool]) -> Any:
        """Name and text of the first checksum file beside a data file, or None.

        A crash may have left it behind where the data file came from.
        """
        places = (True, False) if one.claimed else (False,)
        for name in filter(wanted, one.side):
            for claimed in places:
                text = self.storage.read_text(self.path(name, claimed=claimed))
                if text is not None:
                    return name, text
        return None
