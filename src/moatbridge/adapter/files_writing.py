"""Writing the records of a folder: once, as a whole, and only what reads back."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter.files_folder import UnfitError, look
from moatbridge.adapter.files_records import Records
from moatbridge.errors import NotApplied, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moatbridge.adapter.files_folder import Folder
    from moatbridge.adapter.files_index import Layout
    from moatbridge.adapter.files_records import Found
    from moatbridge.changes import Data

LONGEST_NAME: Final = 255
"""Bytes of a file's name (POSIX ``NAME_MAX`` of the usual file systems)."""


class Writer(Records):
    """The files of one stream, to be written.

    Up to the moment when a file appears, is replaced or removed, everything that goes
    wrong is certain to have had no effect; at that moment a bare `OSError` goes out,
    and counts as unknown.
    """

    def __init__(
        self,
        folder: Folder,
        layout: Layout,
        render: Callable[[bytes | None, Data], bytes],
    ) -> None:
        super().__init__(folder, layout)
        self._render = render

    def create(self, record: Data, request: str) -> str:
        """Make a record, once for each ``request``; its key.

        Where the key stands in the file, the file's name is made from the request's
        key: that is how a repeat is told from somebody else's record.
        """
        layout = self.layout
        brought = record.get(layout.key) if layout.brings_key else None
        own = request if brought in (None, "") else str(brought)
        whole = {**record, layout.key: own if brought is None else brought}
        with _nothing_yet():
            name = self._name_for(own if layout.key_in_name else request)
            data, row = self._rendered(None, whole, name)
            self.index.look()
            if self._made_already(own, name, row):
                return own
            self._alone(own, whole)
        try:
            with self.folder.opened(layout.subfolder) as opened:
                self.folder.make(opened, name, data)
                self._keep(opened, name, row)
        except FileExistsError:
            with _nothing_yet():
                self.index.look(anew=True)
                if not self._made_already(own, name, row):
                    raise _conflict("A file of that name is there") from None
        return own

    def update(self, key: str, record: Data) -> None:
        """Set these fields; None clears one."""
        if str(record.get(self.layout.key, key)) != key:
            msg = "The key of a record cannot be changed."
            raise Rejected(msg, code="files.key.data", field=self.layout.key)
        named = {n: value for n, value in record.items() if n != self.layout.key}
        with _nothing_yet():
            found = self._only(key)
            data, row = self._rendered(found, named, found.name)
            self._alone(key, named)
        if data == found.data:
            return
        with self.folder.opened(self.layout.subfolder) as opened:
            self.folder.replace(opened, found.name, data, found.state)
            self._keep(opened, found.name, row)

    def delete(self, key: str) -> None:
        """Remove a record."""
        with _nothing_yet():
            found = self._only(key)
        with self.folder.opened(self.layout.subfolder) as opened:
            self.folder.remove(opened, found.name)
        self.index.remove(found.name)

    def _only(self, key: str) -> Found:
        """The one file that has this key."""
        found = self.current(key)
        if key in self.index.twice:
            words = "Several files have that key; remove all but one"
            raise _conflict(words, self.layout.key)
        if found is None and key in self.index.bad:
            seen = self.index.files[self.index.bad[key]]
            msg = f"The record's file cannot be read ({seen.fault})."
            raise Rejected(msg, code="files.unreadable.data", field=seen.field)
        if found is None:
            raise Rejected("There is no such record.", kind="gone")
        return found

    def _made_already(self, own: str, name: str, row: Data) -> bool:
        """Whether an earlier attempt has made it; somebody else's is a conflict."""
        there = self.current(own) if own in self.index.names else None
        if there is None and own not in self.index.bad:
            return False
        if not self.layout.brings_key:
            return True
        if there is not None:
            if not self.layout.key_in_name and there.name == name:
                return True
            if self.layout.key_in_name and self._differing(there.row, row) is None:
                return True
        raise _conflict("There is a record with that key already", self.layout.key)

    def _alone(self, own: str, record: Data) -> None:
        """No other record may have the value of a unique field."""
        for field in self.layout.unique:
            value = record.get(field)
            if field == self.layout.key or value in (None, ""):
                continue
            for found in self._having(field, str(value)):
                if str(found.row[self.layout.key]) != own:
                    raise _conflict(f"Another record has that {field}", field)

    def _name_for(self, key: str) -> str:
        try:
            name = self.layout.name_for(key)
        except UnicodeEncodeError:
            name = ""
        if not name or len(name) > LONGEST_NAME:
            msg = "The key cannot be the name of a file."
            raise Rejected(msg, code="files.name.data", field=self.layout.key)
        return name

    def _rendered(
        self, old: Found | None, record: Data, name: str
    ) -> tuple[bytes, dict[str, Any]]:
        """The file's new bytes and what they will be read as.

        What the author's functions say about a value is not told: it may hold it.
        """
        layout = self.layout
        given = dict(record)
        if layout.key_in_name:
            given.pop(layout.key, None)
        try:
            data = self._render(None if old is None else old.data, given)
        except ValueError as error:
            words = f"`render` raised {type(error).__name__}."
            raise Rejected(words, code="files.render.data") from None
        try:
            row = layout.row(name, data)
        except UnfitError as error:
            words = f"What `render` returned is no record ({error.reason})."
            code, field = "files.read-back.data", error.field
            raise Rejected(words, code=code, field=field) from None
        stays = {} if old is None else {n: old.row.get(n) for n in layout.writable}
        key = {layout.key: row[layout.key] if old is None else old.row[layout.key]}
        others = {n: v for n, v in {**stays, **key}.items() if n not in record}
        wrong = self._differing(row, {**record, **others})  # what is named comes first
        if wrong is not None:
            raise _otherwise(wrong, named=wrong in record or old is None)
        return data, row

    def _differing(self, row: Data, wanted: Data) -> str | None:
        """The first field that is otherwise than wanted."""
        for name, value in wanted.items():
            if not _same(row.get(name), value) and not (
                name == self.layout.key and str(row.get(name)) == str(value)
            ):
                return name
        return None

    def _keep(self, opened: int, name: str, row: Data) -> None:
        found = look(opened, name)
        if found is not None:
            self.index.add(name, found, row)


@contextlib.contextmanager
def _nothing_yet() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        words = f"The folder cannot be read ({type(error).__name__})."
        raise NotApplied(words, code="files.read") from error


def _same(one: Any, other: Any) -> bool:
    """Equal, where an empty value is none and the order of a list means nothing."""
    if one in (None, "", []):
        return other in (None, "", [])
    if isinstance(one, list) and isinstance(other, list):
        return sorted(map(repr, one)) == sorted(map(repr, other))
    return bool(one == other)


def _otherwise(field: str, *, named: bool) -> Rejected:
    """The rendered file says something else about this field."""
    if named:
        words = f"The field {field} does not read back as it is to be."
        return Rejected(words, code="files.read-back.data", field=field)
    words = f"The field {field} would change, though it was not named."
    return Rejected(words, code="files.not-named.data", field=field)


def _conflict(words: str, field: str | None = None) -> Rejected:
    return Rejected(f"{words}.", kind="conflict", field=field)
