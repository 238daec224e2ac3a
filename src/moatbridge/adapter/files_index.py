"""Which file holds which key: kept by file state, so that files are parsed once.

Of a file only its state, its key and marks of its values (hashes) are held. A file
whose state is as it was is not parsed again, unless it had been written less than
`SURE` before it was parsed: a time stamp may be that coarse, and a second write then
leaves the same state.

Looking at every file takes its time in a big folder, so what was seen holds for as long
as it took to see it: the view is never older than it would be at the end of the next
look, and a thousand questions in a row do not cost a thousand looks.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, unquote

from moatbridge.adapter.files_folder import UnfitError, check, look, names_in, state
from moatbridge.errors import MoatbridgeError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from moatbridge.adapter.files_folder import Folder

SURE: Final = 2.0
"""Seconds; the coarsest time stamps of files in use (FAT)."""

ROUNDS: Final = 5
"""How often names are read at most, to see one that was renamed meanwhile."""

MARK: Final = 8
"""Bytes."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MASK: Final = (1 << 64) - 1


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What `record_files` was told, and how names and keys belong together."""

    name: str
    key: str
    suffix: str
    parse: Callable[[bytes], Mapping[str, Any]]
    key_in_name: bool
    subfolder: str
    marked: tuple[str, ...]
    unique: tuple[str, ...]
    writable: tuple[str, ...]
    brings_key: bool
    required: tuple[str, ...] = ()

    def row(self, name: str, data: bytes) -> dict[str, Any]:
        """The record in a file.

        Raises:
            UnfitError: ``files.value``, ``files.key`` or ``files.required``.
        """
        try:
            row = dict(self.parse(data))
        except (MoatbridgeError, OSError, MemoryError):
            raise
        except Exception:  # noqa: BLE001 - parsers raise what they like (SyntaxError)
            raise UnfitError("files.value") from None
        key = self.key_of(name) if self.key_in_name else row.get(self.key)
        if isinstance(key, bool) or not isinstance(key, (str, int)) or key == "":
            raise UnfitError("files.key", self.key)
        row[self.key] = key
        if not _sound(str(key)):
            raise UnfitError("files.key", self.key)
        for field in self.required:
            if row.get(field) in (None, "", []):
                raise UnfitError("files.required", field, str(key))
        return row

    def key_of(self, name: str) -> str | None:
        """The key that a file's name is; None if it is none, or stands in the file."""
        try:
            stem = name.removesuffix(self.suffix)
            return unquote(stem, errors="strict") if self.key_in_name else None
        except UnicodeDecodeError:
            return None

    def name_for(self, key: str) -> str:
        """The name of a new file: only letters, digits and ``-_~%``, or a dot inside.

        Args:
            key: The record's key, or, where that stands in the file, a request's.
        """
        if self.key_in_name:
            plain = quote(key, safe="")
            return ("%2E" + plain[1:] if plain[0] == "." else plain) + self.suffix
        if not _TOKEN.fullmatch(key):
            key = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return key + self.suffix

    def marks(self, row: Mapping[str, Any]) -> bytes:
        """What tells the values of fields apart, without holding them."""
        return b"".join(mark(row.get(field)) for field in self.marked)

    def place(self, name: str) -> str:
        """Where a file is, for a reject."""
        shown = "".join(char if char.isprintable() else "?" for char in name)
        return f"file {self.subfolder}/{shown}" if self.subfolder else f"file {shown}"


class Seen(NamedTuple):
    """What is kept of one file; ``fault`` says why it is no record, and ``field``."""

    state: Any
    sure: bool
    key: str | None
    fault: str = ""
    marks: bytes = b""
    field: str | None = None


class Index:
    """The files of one stream, as one connection has seen them last.

    Attributes:
        files: Name -> what is kept of the file.
        names: Key -> the first file that has it.
        twice: Keys that several files have -> all of them.
        bad: Key -> a file that has it (or had it) and cannot be read.
    """

    def __init__(self, folder: Folder, layout: Layout) -> None:
        self.files: dict[str, Seen] = {}
        self.names: dict[str, str] = {}
        self.twice: dict[str, list[str]] = {}
        self.bad: dict[str, str] = {}
        self._folder = folder
        self._layout = layout
        self._good_until = float("-inf")

    @classmethod
    def of(cls, folder: Folder, layout: Layout) -> Index:
        """The index that this connection keeps for the stream."""
        found = folder.kept.setdefault(layout.name, None) or cls(folder, layout)
        folder.kept[layout.name] = found
        return found

    def look(self, *, anew: bool = False) -> bool:
        """See which files there are; whether it was done now.

        Args:
            anew: What was seen before will not do, however lately.
        """
        began = time.monotonic()
        if not anew and began < self._good_until:
            return False
        with self._folder.opened(self._layout.subfolder) as opened:
            self.files = self._listed(opened)
        self._sort()
        ended = time.monotonic()
        self._good_until = ended + (ended - began)
        return True

    def add(self, name: str, found: os.stat_result, row: Mapping[str, Any]) -> None:
        """A file that we wrote ourselves."""
        key = str(row[self._layout.key])
        marks = self._layout.marks(row)
        self.files[name] = Seen(state(found), sure=False, key=key, marks=marks)
        self.names[key] = name

    def doubt(self, name: str) -> None:
        """What was kept of a file does not hold; the next look parses it again."""
        seen = self.files.get(name)
        if seen is not None:
            self.files[name] = seen._replace(sure=False)
            self.names.pop(str(seen.key), None)

    def remove(self, name: str) -> None:
        """A file that we removed ourselves."""
        self.doubt(name)
        self.files.pop(name, None)

    def _listed(self, opened: int) -> dict[str, Seen]:
        """Every file; what was renamed meanwhile is there under one of its names.

        A file may be listed under neither name, or be gone when its turn comes. So the
        names are read again until none of them is lost, a few times at most: nobody
        renames the same file all the time.
        """
        files: dict[str, Seen] = {}
        for turn in range(ROUNDS):
            names = names_in(opened, self._layout.suffix)
            gone = files.keys() - names
            files = {name: seen for name, seen in files.items() if name in names}
            new = names - files.keys()
            for name in new:
                found = look(opened, name)
                seen = found and self._seen(opened, name, found)
                if seen:
                    files[name] = seen
            if turn and not gone and new <= files.keys():
                break
        return files

    def _seen(self, opened: int, name: str, found: os.stat_result) -> Seen | None:
        old = self.files.get(name)
        if old is not None and old.sure and old.state == state(found):
            return old
        sure = time.time() - found.st_mtime > SURE
        key = self._layout.key_of(name) or (old and old.key)
        try:
            check(found, self._folder.max_file)
            data, found = self._folder.read(opened, name)
            row = self._layout.row(name, data)
        except FileNotFoundError:
            return None
        except UnfitError as error:
            sure = sure and error.reason not in {"files.rights", "files.changing"}
            key = error.key or key
            return Seen(state(found), sure, key, error.reason, field=error.field)
        key = str(row[self._layout.key])
        return Seen(state(found), sure, key, marks=self._layout.marks(row))

    def _sort(self) -> None:
        self.names, self.twice, self.bad = {}, {}, {}
        for name in sorted(self.files):
            seen = self.files[name]
            if seen.key is None:
                continue
            if seen.fault:
                self.bad[seen.key] = name
                continue
            first = self.names.setdefault(seen.key, name)
            if first != name:
                self.twice.setdefault(seen.key, [first]).append(name)
        for key, name in self.bad.items():
            if key in self.names and self.files[name].fault == "files.required":
                self.twice.setdefault(key, [self.names[key]]).append(name)


def mark(value: Any) -> bytes:
    """`MARK` bytes that are the same for the same text; told to nobody."""
    return (hash(str(value)) & _MASK).to_bytes(MARK)


def _sound(key: str) -> bool:
    """Whether it is text that can be stored (half a surrogate pair cannot)."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in key
