"""Reading the records of a folder: all after a key, some by key, some by value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from moatbridge.adapter.files_folder import UnfitError
from moatbridge.adapter.files_index import MARK, Index, mark
from moatbridge.changes import Ref, Reject

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from moatbridge.adapter.files_folder import Folder
    from moatbridge.adapter.files_index import Layout
    from moatbridge.adapter.functions import Row


class Found(NamedTuple):
    """A file as it was read."""

    name: str
    row: dict[str, Any]
    data: bytes
    state: os.stat_result


class Records:
    """The files of one stream, over one connection."""

    def __init__(self, folder: Folder, layout: Layout) -> None:
        self.folder = folder
        self.layout = layout
        self.index: Index = Index.of(folder, layout)

    def read_after(self, after: str | None) -> Iterator[Row]:
        """Every record after that key, in the order of keys.

        Where a file went away, or has another key by now, all are looked at again: its
        record may have moved to another file, and must not look as if it was gone.
        """
        told: set[str] = set()
        lost = None
        while True:
            self.index.look(anew=True)
            yield from self._rejects(told)
            for key in self._keys_after(after):
                row = self._row(key)
                if row is None and key != lost:
                    lost = key
                    break
                if row is None:  # and again: somebody is at work there
                    row = Reject("files.changing", self.layout.name, Ref(key))
                after = key
                yield row
            else:
                return

    def fetch(self, keys: Sequence[str]) -> Iterator[Row]:
        """The records with these keys."""
        for key in keys:
            found = self.current(key)
            if found is not None:
                yield found.row
            elif (name := self.index.bad.get(key)) is not None:
                seen = self.index.files[name]
                yield self._reject(seen.fault, name, key, seen.field)

    def find(self, field: str, value: str) -> Iterator[Row]:
        """The records whose field has that value."""
        if field == self.layout.key:
            yield from self.fetch([value])
            return
        self.index.look()
        for found in self._having(field, value):
            yield found.row

    def _having(self, field: str, value: str) -> Iterator[Found]:
        """The files whose field has that value."""
        files, marked = self.index.files, self.layout.marked
        names = [name for name, seen in files.items() if not seen.fault]
        if field in marked:
            at, wanted = marked.index(field) * MARK, mark(value)
            names = [n for n in names if files[n].marks[at : at + MARK] == wanted]
        for name in names:
            found = self._load(name)
            if found is not None and _has(found.row.get(field), value):
                yield found

    def current(self, key: str) -> Found | None:
        """The file that holds this key now."""
        for anew in (False, True):
            done = self.index.look(anew=anew)
            name = self.index.names.get(key)
            if name is not None:
                found = self._load(name)
                if found is not None and str(found.row[self.layout.key]) == key:
                    return found
                self.index.doubt(name)
            elif done:
                break
        return None

    def _keys_after(self, after: str | None) -> list[str]:
        """Keys that one file has; what nobody can tell apart is a reject."""
        twice = self.index.twice
        return sorted(
            key
            for key in self.index.names
            if key not in twice and (after is None or key > after)
        )

    def _rejects(self, told: set[str]) -> Iterator[Reject]:
        """Files that are no records: each once in a pass, whenever it is resumed."""
        bad = {
            n: (s.fault, s.key, s.field) for n, s in self.index.files.items() if s.fault
        }
        for key, names in self.index.twice.items():
            bad |= dict.fromkeys(names, ("files.twice", key, self.layout.key))
        for name in sorted(bad.keys() - told):
            told.add(name)
            fault, of, field = bad[name]
            yield self._reject(fault, name, of, field)

    def _row(self, key: str) -> Row | None:
        """The record of a key; None if its file has another one by now, or is gone."""
        name = self.index.names.get(key)
        if name is None:
            return None
        try:
            found = self._read(name)
        except UnfitError as error:
            return self._reject(error.reason, name, key, error.field)
        if found is None or str(found.row[self.layout.key]) != key:
            self.index.doubt(name)
            return None
        return found.row

    def _load(self, name: str) -> Found | None:
        """Like `_read`; None if it cannot be read, too."""
        try:
            return self._read(name)
        except UnfitError:
            return None

    def _read(self, name: str) -> Found | None:
        try:
            with self.folder.opened(self.layout.subfolder) as opened:
                data, found = self.folder.read(opened, name)
        except FileNotFoundError:
            return None
        return Found(name, self.layout.row(name, data), data, found)

    def _reject(
        self, fault: str, name: str, key: str | None, field: str | None = None
    ) -> Reject:
        ref = None if key is None else Ref(key)
        return Reject(fault, self.layout.place(name), ref, field)


def _has(held: Any, value: str) -> bool:
    every = held if isinstance(held, list) else [held]
    return value in [str(each) for each in every if each is not None]
