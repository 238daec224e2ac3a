"""The adapter's cursor: which file, where in it, and what is still to be settled. Pure.

The core keeps at most 64 KiB of it, so lists of many small things are packed: eight
bytes for a file that waits or was done, six for a file's content.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import struct
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from moatbridge.errors import CursorTooOld

WAITING_MOST: Final = 1_000
DONE_MOST: Final = 2_500
RECENT_MOST: Final = 1_000
UNSETTLED_MOST: Final = 8_192
"""Characters of JSON that files waiting for `settle` may take."""

_SIGHT: Final = struct.Struct(">8sI")
_MARK: Final = 8
_CONTENT: Final = 6
VERSION: Final = 1


class Identity(NamedTuple):
    """A file as a listing shows it."""

    name: str
    size: int
    mtime: int

    @property
    def mark(self) -> bytes:
        """Eight bytes that stand for it."""
        text = json.dumps(list(self), ensure_ascii=True)
        return hashlib.blake2b(text.encode(), digest_size=_MARK).digest()


class Place(NamedTuple):
    """Where in a file to go on.

    Args:
        part: Number of the logical file (a zip has several).
        record: Record number of the format's position; -1: from the start.
        offset: Byte offset of the format's position.
        after: Records up to this number are emitted already; -1: none beyond.
    """

    part: int = 0
    record: int = -1
    offset: int = -1
    after: int = -1


class Current(NamedTuple):
    """The file being read."""

    file: Identity
    sha256: str
    place: Place = Place()
    records: int = 0
    rejects: int = 0


class Finished(NamedTuple):
    """A file that is read to its end and waits for `settle`.

    Args:
        file: As it was listed.
        sha256: Of the file as it lay there; empty if it was superseded unread.
        records: Records taken over.
        rejects: Records that could not be.
        totals: Control sums of numeric fields, as text.
        why: ``read``, ``superseded`` or ``same``.
    """

    file: Identity
    sha256: str = ""
    records: int = 0
    rejects: int = 0
    totals: dict[str, str] | None = None
    why: str = "read"

    def pack(self) -> list[Any]:
        """As JSON."""
        return [
            *self.file, self.sha256, self.records, self.rejects,
            self.totals or {}, self.why,
        ]  # fmt: skip

    @classmethod
    def unpack(cls, row: list[Any]) -> Finished:
        """Of JSON."""
        name, size, mtime, sha256, records, rejects, totals, why = row
        file = Identity(str(name), int(size), int(mtime))
        return cls(file, str(sha256), int(records), int(rejects), dict(totals), why)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a stream of files.

    Args:
        current: The file being read, and where.
        waiting: Mark of a file that is not ripe -> when it was first seen (seconds
            since 1970).
        unsettled: Files to be settled once the ledger has committed.
        done: Marks of files that were read and are left where they are.
        recent: Contents of the last files, oldest first.
        last: Order value of the last file done.
        number: Its sequence number or date.
        came: When the last file was read, by our clock (seconds since 1970), where
            files are expected; at first, when we began to wait.
        columns: Digest of the columns without a field that were told last.
    """

    current: Current | None = None
    waiting: dict[bytes, int] = field(default_factory=dict)
    unsettled: tuple[Finished, ...] = ()
    done: tuple[bytes, ...] = ()
    recent: tuple[bytes, ...] = ()
    last: Any = None
    number: str | None = None
    came: int | None = None
    columns: str | None = None

    def pack(self) -> dict[str, Any]:
        """As JSON; what is empty is left out."""
        found: dict[str, Any] = {"v": VERSION}
        if self.current is not None:
            now = self.current
            found["file"] = [*now.file, now.sha256]
            found["at"] = [*now.place, now.records, now.rejects]
        if self.waiting:
            rows = (_SIGHT.pack(*item) for item in self.waiting.items())
            found["waiting"] = _text(b"".join(rows))
        if self.unsettled:
            found["unsettled"] = [one.pack() for one in self.unsettled]
        for name in ("done", "recent"):
            if packed := b"".join(getattr(self, name)):
                found[name] = _text(packed)
        for name in ("last", "number", "came", "columns"):
            if (value := getattr(self, name)) is not None:
                found[name] = value
        return found

    @classmethod
    def unpack(cls, value: Any) -> Cursor:
        """Of JSON; None is the start.

        Raises:
            CursorTooOld: ``sftp.cursor``: it is none of ours.
        """
        if value is None:
            return cls()
        try:
            return cls._unpack(value)
        except (LookupError, TypeError, ValueError, AttributeError, struct.error):
            raise CursorTooOld(
                "The position was not given out by this adapter; the files that are "
                "there are read again.",
                code="sftp.cursor",
                reason="foreign",
            ) from None

    @classmethod
    def _unpack(cls, value: Any) -> Cursor:
        if value["v"] != VERSION:
            raise ValueError("another version")
        current = None
        if "file" in value:
            name, size, mtime, sha256 = value["file"]
            *place, records, rejects = map(int, value["at"])
            file = Identity(str(name), int(size), int(mtime))
            current = Current(file, sha256, Place(*place), records, rejects)
        sights = _SIGHT.iter_unpack(_octets(value.get("waiting", "")))
        return cls(
            current,
            {mark: seen for mark, seen in sights},  # noqa: C416 - typed pairs
            tuple(Finished.unpack(row) for row in value.get("unsettled", ())),
            _cut(_octets(value.get("done", "")), _MARK),
            _cut(_octets(value.get("recent", "")), _CONTENT),
            value.get("last"),
            value.get("number"),
            value.get("came"),
            value.get("columns"),
        )

    def knows(self, sha256: str, *, last: bool = False) -> bool:
        """Whether a file of this content was read lately.

        Args:
            sha256: Of the file.
            last: Only the last one counts: a collection that goes back to what it was
                before is a change.
        """
        recent = self.recent[-1:] if last else self.recent
        return bytes.fromhex(sha256)[:_CONTENT] in recent

    def finish(
        self,
        one: Finished,
        *,
        keep: bool,
        settle: bool,
        last: Any,
        number: str | None,
        came: int | None = None,
    ) -> Cursor:
        """The position after a file.

        Args:
            one: The file.
            keep: It stays in its folder and must be remembered.
            settle: There is something to do for `settle`.
            last: Its order value.
            number: Its sequence number, if the stream counts.
            came: When it was read, if files are expected.
        """
        recent = self.recent
        if one.sha256:
            content = bytes.fromhex(one.sha256)[:_CONTENT]
            recent = (*(c for c in recent if c != content), content)[-RECENT_MOST:]
        return replace(
            self,
            current=None,
            unsettled=(*self.unsettled, one) if settle else self.unsettled,
            done=(*self.done, one.file.mark) if keep else self.done,
            recent=recent,
            last=last,
            number=number if number is not None else self.number,
            came=came if came is not None else self.came,
        )

    @property
    def heavy(self) -> bool:
        """Whether the files waiting for `settle` take all the room there is."""
        rows = [one.pack() for one in self.unsettled]
        return len(json.dumps(rows)) >= UNSETTLED_MOST


def _text(packed: bytes) -> str:
    return base64.b64encode(packed).decode()


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("not packed by us") from None


def _cut(packed: bytes, size: int) -> tuple[bytes, ...]:
    if len(packed) % size:
        raise ValueError("not packed by us")
    return tuple(packed[at : at + size] for at in range(0, len(packed), size))
