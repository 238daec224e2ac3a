"""Taking one file: opened, judged, then emitted page by page, or set aside."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.changes import Batch, Reject
from moatbridge.errors import CursorTooOld, NotApplied, Rejected
from moatbridge_sftp.formats.base import BadFile
from moatbridge_sftp.pickup.choosing import number_of
from moatbridge_sftp.pickup.cursor import Current, Cursor, Finished
from moatbridge_sftp.pickup.pages import with_last
from moatbridge_sftp.pickup.turning import Origin, Turning
from moatbridge_sftp.places import digest_of, shown
from moatbridge_sftp.storage import StorageFault

if TYPE_CHECKING:
    from collections.abc import Generator

    from moatbridge_sftp.pickup.choosing import Candidate
    from moatbridge_sftp.pickup.contents import Contents, Judged, Opened
    from moatbridge_sftp.pickup.folder import Folder
    from moatbridge_sftp.pickup.notes import Notes
    from moatbridge_sftp.settling.settler import Settler

_SHOWN: Final = 5


class Taken(NamedTuple):
    """The position after a file, and whether its records were emitted."""

    cursor: Cursor
    emitted: bool


class Taking:
    """Reads files of one stream. Used by one thread at a time.

    Args:
        folder: The stream's folder.
        contents: Opens and checks files.
        settler: Sets bad files aside.
        notes: Learns what a person should know.
    """

    def __init__(
        self, folder: Folder, contents: Contents, settler: Settler, notes: Notes
    ) -> None:
        self._folder = folder
        self._config = folder.config
        self._contents = contents
        self._settler = settler
        self._turning = Turning(folder.config)
        self._notes = notes

    def read(
        self, one: Candidate, cursor: Cursor, *, whole: bool
    ) -> Generator[Batch, None, Taken]:
        """Emit a file's records from where the cursor stands in it.

        Args:
            one: The file, claimed.
            cursor: The position.
            whole: The file is a complete snapshot: its last batch says so.

        Raises:
            Rejected: ``sftp.bad-file``.
            NotApplied: ``sftp.changed``, ``sftp.spool-full`` and what a connection may
                raise.
            CursorTooOld: ``sftp.cursor``: a snapshot in progress was replaced.
        """
        current = cursor.current
        if current is not None and current.file != one.file:
            current = None
        if one.file.size > self._config.max_file:
            return (yield from self._set_aside(one, cursor, _too_large(one)))
        opened = self._open(one, current)
        if opened is None:
            return Taken(replace(cursor, current=None), emitted=False)
        with opened:
            if current is not None and current.sha256 != opened.sha256:
                if whole:
                    raise self._replaced()
                current = None
            if current is None:
                if self._is_same(one, opened, cursor):
                    seen = Current(one.file, "")
                    passed = self._finish(one, opened, cursor, seen, why="same")
                    return Taken(passed, emitted=False)
                try:
                    cursor = self._remarked(one, opened.check(), cursor)
                except BadFile as bad:
                    return (yield from self._set_aside(one, cursor, bad))
            return (yield from self._emit(one, opened, cursor, current, whole=whole))

    def _open(self, one: Candidate, current: Current | None) -> Opened | None:
        """The file in the spool; None if it vanished."""
        kept = self._contents.resume(one, current.sha256 if current else None)
        if kept is not None:
            return kept
        try:
            return self._contents.open(one)
        except StorageFault as fault:
            if fault.kind == "absent":
                return None
            raise self._folder.fault(fault, "read") from None
        except NotApplied as error:
            if error.code == "sftp.changed":
                self._folder.give_back(one)
            raise

    def _replaced(self) -> CursorTooOld:
        return CursorTooOld(
            "The file in progress holds something else by now; a new pass reads it.",
            code="sftp.cursor",
            reason="file-changed",
            stream=self._folder.stream,
        )

    def _is_same(self, one: Candidate, opened: Opened, cursor: Cursor) -> bool:
        """Whether this very content was read before, and is to be skipped."""
        last = self._config.content == "snapshot"
        if not cursor.knows(opened.sha256, last=last):
            return False
        skips = self._config.skips_same
        said = "and was passed over" if skips else "and is read again"
        self._notes.say(
            f"{self.shown(one)} holds what a file held that was read before, {said} "
            "(on_same_content)"
        )
        return skips

    def _remarked(self, one: Candidate, judged: Judged, cursor: Cursor) -> Cursor:
        """Say what is odd about a file that is taken; new columns are told once."""
        for remark in judged.remarks:
            self._notes.say(f"{self.shown(one)}: {remark}")
        columns = digest_of("\n".join(judged.unknown)) if judged.unknown else None
        if columns == cursor.columns:
            return cursor
        if judged.unknown:
            names = ", ".join(map(shown, judged.unknown[:_SHOWN]))
            more = ", ..." if len(judged.unknown) > _SHOWN else ""
            self._notes.say(
                f"{len(judged.unknown)} columns are in no field and are not read "
                f"({names}{more})"
            )
        return replace(cursor, columns=columns)

    def _set_aside(
        self, one: Candidate, cursor: Cursor, bad: BadFile
    ) -> Generator[Batch, None, Taken]:
        """Quarantine a bad file and go on; told as a reject, so that people see it.

        A reject would keep a snapshot's pass from being whole: there it is a note.

        Raises:
            Rejected: ``sftp.bad-file``: bad files stop the stream.
        """
        if self._config.on_bad_file == "stop":
            raise self.refused(one, bad) from None
        self._settler.quarantine(one, bad)
        self._notes.say(
            f"{self.shown(one)} was set aside, nothing of it is used: {bad}"
        )
        passed = replace(cursor, current=None)
        if self._config.content == "snapshot":
            return Taken(passed, emitted=False)
        reject = Reject("sftp.bad-file", f"{self.shown(one)}: {bad.reason}")
        yield Batch((), passed.pack(), [reject])
        return Taken(passed, emitted=False)

    def _emit(
        self,
        one: Candidate,
        opened: Opened,
        cursor: Cursor,
        current: Current | None,
        *,
        whole: bool,
    ) -> Generator[Batch, None, Taken]:
        now = current or Current(one.file, opened.sha256)
        emitted = False
        try:
            for (part, page), last in with_last(opened.pages(now.place)):
                origin = Origin.of(one, opened.sha256, part, private=self._private)
                changes, rejects = self._turning.page(page, origin)
                now = now._replace(
                    place=page.place,
                    records=now.records + len(page.rows),
                    rejects=now.rejects + len(rejects),
                )
                if last:
                    cursor = self._finish(one, opened, cursor, now)
                else:
                    cursor = replace(cursor, current=now)
                emitted, opened.paused = True, not last
                yield Batch(changes, cursor.pack(), rejects, complete=last and whole)
        except BadFile as bad:
            raise self.refused(one, bad) from None
        if not emitted:
            cursor = self._finish(one, opened, cursor, now)
            yield Batch((), cursor.pack(), (), complete=whole)
        return Taken(cursor, emitted=True)

    def _finish(
        self,
        one: Candidate,
        opened: Opened,
        cursor: Cursor,
        now: Current,
        *,
        why: str = "read",
    ) -> Cursor:
        config = self._config
        over = Finished(
            one.file, opened.sha256, now.records, now.rejects, opened.totals, why
        )
        number = number_of(config.sequence, one.file.name) if config.sequence else None
        return cursor.finish(
            over,
            keep=config.claim == "none",
            settle=self._settler.has_work,
            last=one.order,
            number=number,
            came=int(time.time()) if config.expect.every else None,
        )

    def refused(self, one: Candidate, bad: BadFile) -> Rejected:
        """The error that says that a file cannot be taken."""
        return Rejected(
            f"File {self.shown(one)} cannot be taken and nothing of it was used: "
            f"{bad}. Move it away once there is a good one; nothing after it is read "
            "until then.",
            code="sftp.bad-file",
            stream=self._folder.stream,
            **self._settler.why(bad),
        )

    @property
    def _private(self) -> bool:
        return self._config.content == "records"

    def shown(self, one: Candidate) -> str:
        """How a message names a file."""
        return Origin.of(one, "", "", private=self._private).place


def _too_large(one: Candidate) -> BadFile:
    """Known from the listing: not a byte of it is taken."""
    return BadFile(
        "size",
        "the file is larger than max_file; raise it if that is right",
        found=one.file.size,
    )
