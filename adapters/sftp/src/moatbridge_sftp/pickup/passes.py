"""One pass over a stream's files: the order of things (sftp 19-29, 56-58).

Theory of operation. A pass first looks: it lists the work folder (ours from an earlier
run, always first) and the folder itself, drops what is not data or not ripe, and sorts.
Then it takes file after file: claim, spool, check the whole, and only then emit records
in pages. Each page's cursor says where the next one begins, so a file is resumed
inside; the last page's cursor holds the file as *unsettled*. Nothing is archived here:
`settle` does that once the ledger has committed that cursor. A file that is not
finished in the cursor is never followed by another one.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from moatbridge.changes import Batch
from moatbridge.errors import CursorTooOld, Rejected
from moatbridge_sftp.pickup.choosing import Candidate, gap, late, number_of
from moatbridge_sftp.pickup.cursor import Cursor, Finished
from moatbridge_sftp.pickup.lateness import overdue
from moatbridge_sftp.pickup.looking import Looking
from moatbridge_sftp.pickup.taking import Taking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge_sftp.pickup.contents import Contents
    from moatbridge_sftp.pickup.cursor import Current
    from moatbridge_sftp.pickup.folder import Folder
    from moatbridge_sftp.pickup.looking import Look
    from moatbridge_sftp.pickup.notes import Notes
    from moatbridge_sftp.pickup.sighting import Sightings
    from moatbridge_sftp.settling.settler import Settler


class Passes:
    """Reads the files of one stream. Used by one thread at a time.

    Args:
        folder: The stream's folder.
        contents: Opens and checks files.
        sightings: First sightings, kept for as long as the connection.
        settler: Settles what an earlier run left, and sets bad files aside.
        notes: Learns what a person should know about the files.
    """

    def __init__(
        self,
        folder: Folder,
        contents: Contents,
        sightings: Sightings,
        settler: Settler,
        notes: Notes,
    ) -> None:
        self._folder = folder
        self._config = folder.config
        self._settler = settler
        self._looking = Looking(folder, sightings)
        self._notes = notes
        self._taking = Taking(folder, contents, settler, notes)

    def snapshot(self, cursor: Cursor) -> Iterator[Batch]:
        """Read the newest ripe file; older ones are superseded.

        Without a file one batch says that no pass happened.
        """
        cursor = self._settled(cursor)
        if cursor.current is not None:
            taken = yield from self._taking.read(
                self._again(cursor.current), cursor, whole=True
            )
            if not taken.emitted:
                yield Batch((), taken.cursor.pack())
            return
        look, cursor = self._looking.look(cursor)
        self._told(look)
        cursor = self._awaited(look, cursor)
        queue, cursor = self._current(look, cursor)
        for one in queue if self._config.every else reversed(queue):
            if self._config.every:
                self._check_order(one, cursor)
            claimed = self._folder.claim(one)
            if not isinstance(claimed, Candidate):
                continue
            if not self._config.every:
                cursor = self._supersede(queue[: queue.index(one)], cursor)
            taken = yield from self._taking.read(claimed, cursor, whole=True)
            if taken.emitted:
                return
            cursor = taken.cursor
            break
        yield Batch((), cursor.pack())

    def _told(self, look: Look) -> None:
        """Odd names become notes: no record of a snapshot was lost with them.

        A reject would say that a pass happened, and keep it from being whole.
        """
        if look.rejects:
            names = ", ".join(reject.location for reject in look.rejects[:5])
            self._notes.say(f"{len(look.rejects)} names were passed over: {names}")

    def _awaited(self, look: Look, cursor: Cursor) -> Cursor:
        """Say that a file is late; who never had one waits from now on."""
        expect, now = self._config.expect, time.time()
        if expect.every is None or look.claimed or look.ripe:
            return cursor
        if cursor.came is None:
            return replace(cursor, came=int(now))
        if words := overdue(expect, cursor.came, now):
            self._notes.say(words)
        return cursor

    def _current(self, look: Look, cursor: Cursor) -> tuple[list[Candidate], Cursor]:
        """The snapshots that may be read; those older than the last one are not.

        Read after its successor, a complete collection of the past would take away
        what came since.
        """
        queue = sorted(look.claimed + look.ripe, key=lambda one: one.rank)
        if self._config.every or not self._config.order_matters:
            return queue, cursor
        older = [one for one in queue if late(cursor.last, one.order)]
        if not older:
            return queue, cursor
        names = ", ".join(self._taking.shown(one) for one in older[:5])
        self._notes.say(
            f"{len(older)} snapshots belong before one that is done and are not read; "
            f"if they are newer, `order` is wrong ({names})"
        )
        return queue[len(older) :], self._supersede(older, cursor)

    def follow(self, cursor: Cursor) -> Iterator[Batch]:
        """Read every file in order, each to its end before the next."""
        cursor = self._settled(cursor)
        look, cursor = self._looking.look(cursor)
        cursor = self._awaited(look, cursor)
        if look.rejects:
            yield Batch((), cursor.pack(), look.rejects)
        for one in look.queue(cursor):
            fresh = cursor.current is None or cursor.current.file != one.file
            if fresh and self._config.content == "delta":
                self._check_order(one, cursor)
            claimed = self._folder.claim(one)
            if claimed == "gone":
                continue
            if claimed == "waits":
                break
            taken = yield from self._taking.read(claimed, cursor, whole=False)
            cursor = self._lightened(taken.cursor)
            if cursor.heavy:
                break
        yield Batch((), cursor.pack())

    # --- before and between files ---------------------------------------------------

    def _settled(self, cursor: Cursor) -> Cursor:
        """Settle what an earlier run left; where that destroys, the core decides when.

        The cursor was committed, or it would not have been handed to us.
        """
        if not cursor.unsettled or self._config.after == "delete":
            return self._lightened(cursor)
        self._settler.settle(cursor)
        return replace(cursor, unsettled=())

    def _lightened(self, cursor: Cursor) -> Cursor:
        """Without the files that have been settled meanwhile, once that matters."""
        if not cursor.heavy:
            return cursor
        return replace(cursor, unsettled=self._settler.left(cursor))

    def _again(self, current: Current) -> Candidate:
        """The file in progress, where it lies now.

        Raises:
            CursorTooOld: It is gone or another one: a new pass reads what is there.
        """
        found = self._looking.find(current.file)
        if found is None:
            raise CursorTooOld(
                "The file in progress is gone or was replaced; a new pass reads what "
                "is there.",
                code="sftp.cursor",
                reason="file-gone",
                stream=self._folder.stream,
            )
        return found

    def _supersede(self, older: list[Candidate], cursor: Cursor) -> Cursor:
        """Older snapshots that nobody needs any more; settled without being read."""
        if self._config.after == "leave":
            return cursor
        for one in older:
            if cursor.heavy:
                break
            claimed = self._folder.claim(one)
            if isinstance(claimed, Candidate):
                over = Finished(claimed.file, why="superseded")
                cursor = replace(cursor, unsettled=(*cursor.unsettled, over))
        return cursor

    # --- order ----------------------------------------------------------------------

    def _check_order(self, one: Candidate, cursor: Cursor) -> None:
        """See that no file is missing before this one, and that it is not late.

        Raises:
            Rejected: ``sftp.gap``.
        """
        words, facts = self._disorder(one, cursor)
        if not words:
            return
        if self._config.on_gap == "warn":
            self._notes.say(f"{words} (file {self._taking.shown(one)})")
            return
        raise Rejected(
            f"The files are not complete: {words} (file {self._taking.shown(one)}). "
            'Get the missing file, or move this one away, or set on_gap = "warn".',
            code="sftp.gap",
            stream=self._folder.stream,
            **facts,
        )

    def _disorder(self, one: Candidate, cursor: Cursor) -> tuple[str, dict[str, Any]]:
        pattern = self._config.sequence
        if pattern is None:
            if self._config.order_matters and late(cursor.last, one.order):
                return "a file belongs before one that is done already", {}
            return "", {}
        number = number_of(pattern, one.file.name) or ""
        found = gap(cursor.number, number, every=self._config.expect.every)
        if found is None:
            return "", {}
        facts = {"expected": found.expected, "found": found.found}
        if found.late:
            return f"file {found.found} came after {cursor.number}", facts
        return f"expected file number {found.expected}, found {found.found}", facts
