"""``keep``: what was put away is removed when it is old enough (sftp 62).

Only what stands on our own list, ``{state}/kept``: one entry for each file that we
moved, named by when we did (our clock), holding where to, how large and how old. A file
that looks otherwise by now is somebody else's and stays. An entry is written after the
move: a crash in between leaves a file that nobody removes, never the other way round.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.storage import StorageFault
from moatbridge_sftp.storage.names import is_safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge_sftp.pickup.folder import Folder
    from moatbridge_sftp.pickup.notes import Notes
    from moatbridge_sftp.storage import Entry

KEPT: Final = "kept"
_EVERY: Final = 3_600.0
_AT_ONCE: Final = 50
_MOST: Final = 1_000_000
_LARGEST: Final = 65_536
_TROUBLES: Final = (StorageFault, ConfigurationError)


class Keeping:
    """The list of what was put away. Used by one thread at a time.

    Args:
        folder: The stream's folder.
        notes: Learns what a person should know.
    """

    def __init__(self, folder: Folder, notes: Notes) -> None:
        self._folder = folder
        self._storage = folder.storage
        self._keep = folder.config.keep
        self._notes = notes
        self._again = 0.0
        self._stuck: set[str] = set()

    def enlist(self, paths: Sequence[str]) -> None:
        """Remember files that were just put away.

        Raises:
            StorageFault: The entry cannot be written.
        """
        if self._keep is None:
            return
        found = [(path, self._storage.stat(path)) for path in paths]
        rows = [[path, e.size, e.mtime] for path, e in found if e is not None]
        if rows:
            self._folder.make(f"{self._folder.state}/{KEPT}")
            name = f"{int(time.time())}.{secrets.token_hex(4)}"
            self._storage.create(self._entry(name), [json.dumps(rows).encode()])

    def sweep(self) -> None:
        """Remove what is old enough: now and then, and not all of it at once."""
        if self._keep is None or time.monotonic() < self._again:
            return
        try:
            due = self._due(time.time() - self._keep)
        except _TROUBLES as error:
            if not (isinstance(error, StorageFault) and error.kind == "absent"):
                self._say()
            due = []
        if not due:
            self._stuck.clear()
        if self._removed(due[:_AT_ONCE]) or len(due) <= _AT_ONCE:
            self._again = time.monotonic() + _EVERY

    def _removed(self, due: Sequence[Entry]) -> bool:
        """Remove what these entries name; whether every one of them was refused.

        One that is refused is not tried again in this connection: it would be first
        each time, and keep those behind it from their turn.
        """
        refused = set()
        for entry in due:
            try:
                self._remove(entry)
            except _TROUBLES:
                refused.add(entry.name)
        if refused:
            self._say()
        self._stuck |= refused
        return len(refused) == len(due)

    def _say(self) -> None:
        self._notes.say("files cannot be removed whose time to `keep` is over")

    def _due(self, before: float) -> list[Entry]:
        entries, _ = self._storage.list(f"{self._folder.state}/{KEPT}", limit=_MOST)
        known = (e for e in entries if e.kind == "file" and e.name not in self._stuck)
        moments = sorted((e.name.partition(".")[0], e.name, e) for e in known)
        return [e for at, _, e in moments if at.isdecimal() and int(at) <= before]

    def _remove(self, entry: Entry) -> None:
        name = entry.name
        small = entry.size <= _LARGEST  # a larger one is none of ours
        text = self._storage.read_text(self._entry(name)) if small else None
        for path, size, mtime in _rows(text):
            found = self._storage.stat(path) if self._is_ours(path) else None
            ours = found is not None and found.kind == "file"
            if (
                ours
                and found is not None
                and (found.size, found.mtime) == (size, mtime)
            ):
                self._storage.remove(path)
        self._storage.remove(self._entry(name))

    def _is_ours(self, path: str) -> bool:
        """Whoever may write into the state folder could name any file of the base."""
        return self._folder.is_put_away(path) and is_safe(path)

    def _entry(self, name: str) -> str:
        return f"{self._folder.state}/{KEPT}/{name}"


def _rows(text: bytes | None) -> list[tuple[str, int, int]]:
    """What an entry says; nothing if it cannot be read."""
    try:
        told: Any = json.loads(text or b"[]")
        return [(str(path), int(size), int(mtime)) for path, size, mtime in told]
    except (ValueError, TypeError, OverflowError, RecursionError):
        return []  # int() of an infinity overflows
