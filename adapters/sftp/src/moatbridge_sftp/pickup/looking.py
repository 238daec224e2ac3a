"""A look at the folders of a stream: what is ours already, and what is ripe."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from moatbridge.changes import Reject
from moatbridge.errors import ConfigurationError
from moatbridge_sftp.pickup.choosing import Candidate, Choice
from moatbridge_sftp.pickup.cursor import DONE_MOST
from moatbridge_sftp.places import digest_of, shown

if TYPE_CHECKING:
    from moatbridge_sftp.pickup.cursor import Cursor, Identity
    from moatbridge_sftp.pickup.folder import Folder
    from moatbridge_sftp.pickup.sighting import Sightings


@dataclass(slots=True)
class Look:
    """What a look showed.

    Args:
        claimed: Files in the work folder that are not done yet, in order.
        ripe: Files ready to be claimed, in order.
        rejects: Names that nobody can read or sort.
    """

    claimed: list[Candidate] = field(default_factory=list)
    ripe: list[Candidate] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def queue(self, cursor: Cursor) -> list[Candidate]:
        """The file in progress first, then the rest of ours, then new ones."""
        current = cursor.current.file if cursor.current else None
        files = self.claimed + self.ripe
        ahead = [one for one in files if one.file == current]
        return ahead + [one for one in files if one.file != current]


class Looking:
    """Looks at the folders of one stream. Used by one thread at a time.

    Args:
        folder: The stream's folder.
        sightings: First sightings, kept for as long as the connection.
    """

    def __init__(self, folder: Folder, sightings: Sightings) -> None:
        self._folder = folder
        self._config = folder.config
        self._sightings = sightings
        self._choice = Choice(folder.config)

    def look(self, cursor: Cursor) -> tuple[Look, Cursor]:
        """List, choose and sort; the cursor takes the first sightings along.

        Raises:
            ConfigurationError: ``sftp.folder``, ``sftp.permission``,
                ``sftp.too-many-files``, ``sftp.too-many-done``.
        """
        entries, skipped = self._folder.incoming()
        work = self._folder.work() if self._config.claim == "rename" else []
        incoming = self._choice.candidates(entries)
        claimed = self._choice.candidates(work, claimed=True, beside=entries)
        over = {one.file for one in cursor.unsettled}
        unread = [one for one in claimed.files if one.file not in over]
        waiting = [one for one in incoming.files if one.file not in over]
        if self._config.claim == "none":
            waiting, cursor = self._undone(waiting, cursor)
        ripe, first = self._ripe(waiting, cursor)
        odd = [*skipped, *incoming.odd, *claimed.odd]
        private = self._config.content == "records"  # names may be personal there
        names = [digest_of(text) if private else shown(text) for text in odd]
        rejects = [Reject("sftp.name", name) for name in names]
        return Look(unread, ripe, rejects), replace(cursor, waiting=first)

    def find(self, file: Identity) -> Candidate | None:
        """One file, where it lies now; None if it is gone or another one."""
        claimed = self._config.claim == "rename"
        there = self._folder.work() if claimed else self._folder.incoming()[0]
        files = self._choice.candidates(there, claimed=claimed).files
        return next((one for one in files if one.file == file), None)

    def _undone(
        self, files: list[Candidate], cursor: Cursor
    ) -> tuple[list[Candidate], Cursor]:
        """Without the files that were read and lie there still."""
        listed = {one.file.mark for one in files}
        done = tuple(mark for mark in cursor.done if mark in listed)
        if len(done) >= DONE_MOST:
            raise ConfigurationError(
                f"More than {DONE_MOST} files that were read are still in the folder, "
                'which the position cannot remember. Archive them (after = "archive"), '
                "or ask the owner to.",
                code="sftp.too-many-done",
                stream=self._folder.stream,
            )
        known = set(done)
        left = [one for one in files if one.file.mark not in known]
        return left, replace(cursor, done=done)

    def _ripe(
        self, files: list[Candidate], cursor: Cursor
    ) -> tuple[list[Candidate], dict[bytes, int]]:
        marks = [one.file.mark for one in files]
        ages, first = self._sightings.ages(marks, cursor.waiting)
        ready = [self._is_ripe(one, ages) for one in files]
        if self._config.content == "delta" and self._config.order_matters:
            stop = ready.index(False) if False in ready else len(ready)
            ready = [place < stop for place in range(len(ready))]
        ripe = [one for one, is_ripe in zip(files, ready, strict=True) if is_ripe]
        if not self._choice.whole(ripe):
            ripe = []
        if self._config.ripe != "settled":
            return ripe, {}
        gone = {one.file.mark for one in ripe}
        return ripe, {mark: seen for mark, seen in first.items() if mark not in gone}

    def _is_ripe(self, one: Candidate, ages: dict[bytes, float]) -> bool:
        config = self._config
        if config.checksum == "required" and not one.side:
            return False
        if config.ripe == "settled":
            return ages.get(one.file.mark, 0.0) >= config.settle_for
        if config.ripe == "done-file":
            return one.trigger is not None and one.trigger_mtime >= one.file.mtime
        return config.ripe == "atomic" or bool(one.side)
