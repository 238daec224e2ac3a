"""Settling: what happens to a file once the ledger has committed its last record.

Every step can be repeated: a file that is not where it lay any more was settled before.
"Archived" means that the ledger took it over, not that it was delivered (sftp 60).
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from moatbridge_sftp.pickup.choosing import Candidate, Choice
from moatbridge_sftp.places import dated, digest_of, join, parts_of, shown
from moatbridge_sftp.settling.answers import acknowledgement, rejects_of
from moatbridge_sftp.settling.keeping import Keeping
from moatbridge_sftp.storage import StorageFault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moatbridge_sftp.formats.base import BadFile
    from moatbridge_sftp.pickup.contents import Contents
    from moatbridge_sftp.pickup.cursor import Cursor, Finished
    from moatbridge_sftp.pickup.folder import Folder
    from moatbridge_sftp.pickup.notes import Notes

_NAMES_MOST: Final = 1_000


class Settler:
    """Settles the files of one stream. Used by one thread at a time.

    Args:
        folder: The stream's folder.
        contents: Opens files, for the file of rejects.
        notes: Learns what a person should know.
    """

    def __init__(self, folder: Folder, contents: Contents, notes: Notes) -> None:
        self._folder = folder
        self._config = folder.config
        self._contents = contents
        self._choice = Choice(folder.config)
        self._notes = notes
        self._keeping = Keeping(folder, notes)

    @property
    def has_work(self) -> bool:
        """Whether there is anything to do at all for a file that was read."""
        config = self._config
        return bool(config.after != "leave" or config.ack_file or config.rejects_file)

    def settle(self, cursor: Cursor) -> None:
        """Answer and put away every file that the cursor holds as unsettled.

        Raises:
            ConfigurationError: ``sftp.permission``.
            NotApplied: ``sftp.refused``, ``sftp.server-full`` and what a connection may
                raise. It may be repeated.
        """
        there = self._lying(cursor)
        for one in cursor.unsettled:
            if (found := there.get(one.file)) is not None:
                self._guarded(one, found)
        self._keeping.sweep()

    def left(self, cursor: Cursor) -> tuple[Finished, ...]:
        """Those that nobody has settled yet."""
        there = self._lying(cursor)
        return tuple(one for one in cursor.unsettled if one.file in there)

    def _lying(self, cursor: Cursor) -> dict[Any, Candidate]:
        """Where the files lie: one listing, however many there are."""
        if not cursor.unsettled:
            return {}
        claimed = self._config.claim == "rename"
        entries = self._folder.work() if claimed else self._folder.incoming()[0]
        files = self._choice.candidates(entries, claimed=claimed).files
        return {found.file: found for found in files}

    def _guarded(self, one: Finished, found: Candidate) -> None:
        try:
            self._answer(one, found)
            self._put_away(found)
        except StorageFault as fault:
            raise self._folder.fault(fault, "settle") from None

    # --- answers --------------------------------------------------------------------

    def _answer(self, one: Finished, found: Candidate) -> None:
        config = self._config
        if one.why == "superseded":
            return
        if config.rejects_file and one.rejects:
            lines = rejects_of(self._contents, found, one)
            self._create(config.rejects_file, one.file.name, lines)
        if config.ack_file:
            self._create(config.ack_file, one.file.name, [acknowledgement(one)])

    def _create(self, template: str, name: str, chunks: Iterable[bytes]) -> None:
        """Write an answer; one that is there was written by an earlier attempt."""
        path = self._folder.setting(template, **parts_of(name), **dated(time.time()))
        self._folder.make(path.rpartition("/")[0] or ".")
        part = f"{self._folder.state}/answer.part"
        if self._folder.storage.stat(path) is not None:
            return
        self._folder.make(self._folder.state)
        self._folder.storage.remove(part)
        self._folder.storage.create(part, chunks)
        try:
            self._folder.storage.rename(part, path)
        except StorageFault as fault:
            if fault.kind != "exists":
                raise

    # --- putting away ---------------------------------------------------------------

    def _put_away(self, found: Candidate) -> None:
        if self._config.after == "leave":
            return
        # The data file goes last: while it lies there, settling begins anew.
        names = [n for n in (found.trigger, *found.side, found.file.name) if n]
        paths = [self._folder.path(name, claimed=found.claimed) for name in names]
        if self._config.after == "delete":
            for path in paths:
                self._folder.storage.remove(path)
            return
        archive = self._folder.setting(self._config.archive_to, **dated(time.time()))
        moved = [
            self._move(path, join(archive, name))
            for path, name in zip(paths, names, strict=True)
        ]
        if moved[-1] not in (None, join(archive, found.file.name)):
            self._notes.say(
                f"{self._shown(found)} was sent again under the same name; it is "
                "archived beside the earlier one"
            )
        self._keeping.enlist([path for path in moved if path is not None])

    def _shown(self, one: Candidate) -> str:
        private = self._config.content == "records"  # names may be personal there
        return digest_of(one.file.name) if private else shown(one.file.name)

    def _move(self, path: str, goal: str) -> str | None:
        """Rename, to ``name~2`` and so on where that name is taken; returns its name.

        None if an earlier attempt, or a person, moved it.
        """
        self._folder.make(goal.rpartition("/")[0])
        for name in _free_names(goal):
            try:
                self._folder.storage.rename(path, name)
            except StorageFault as fault:
                if fault.kind == "exists":
                    continue
                if fault.kind == "absent" and self._folder.storage.stat(path) is None:
                    return None
                raise
            return name
        raise StorageFault("exists")

    # --- bad files ------------------------------------------------------------------

    def quarantine(self, one: Candidate, bad: BadFile) -> None:
        """Move a bad file to ``failed_to``, beside a note of the reason.

        Raises:
            ConfigurationError: ``sftp.permission``.
            NotApplied: As `settle`.
        """
        failed = self._folder.setting(self._config.failed_to, **dated(time.time()))
        path = self._folder.path(one.file.name, claimed=one.claimed)
        note = json.dumps(
            {
                "file": one.file.name,
                "size": one.file.size,
                "why": str(bad),
                **self.why(bad),
            },
            indent=1,
            default=str,
        )
        goal = join(failed, one.file.name)
        try:
            self._folder.make(goal.rpartition("/")[0])
            moved: list[str | None] = []
            for name in _free_names(f"{goal}.why.json"):
                try:
                    self._folder.storage.create(name, [note.encode()])
                except StorageFault as fault:
                    if fault.kind != "exists":
                        raise
                    continue
                moved.append(name)
                break
            moved.append(self._move(path, goal))
            for beside in (one.trigger, *one.side):
                if beside is not None:
                    lies = self._folder.path(beside, claimed=one.claimed)
                    moved.append(self._move(lies, join(failed, beside)))
            self._keeping.enlist([each for each in moved if each is not None])
        except StorageFault as fault:
            raise self._folder.fault(fault, "settle") from None

    @staticmethod
    def why(bad: BadFile) -> dict[str, Any]:
        """What is known about a bad file: numbers and words, never a value."""
        facts = {
            "reason": bad.reason,
            "expected": bad.expected,
            "found": bad.found,
            "records": list(bad.records),
        }
        return {name: value for name, value in facts.items() if value not in (None, [])}


def _free_names(path: str) -> Iterable[str]:
    """The path, then ``name~2.ext``, ``name~3.ext`` ..."""
    yield path
    folder, slash, name = path.rpartition("/")
    stem, dot, ext = name.partition(".")
    if not stem:
        stem, dot, ext = name, "", ""
    for number in range(2, _NAMES_MOST):
        yield f"{folder}{slash}{stem}~{number}{dot}{ext}"
