"""From the records of a file to changes: identity, action, version. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.changes import Change, Ref, Reject
from moatbridge_sftp.places import digest_of, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge_sftp.config import SftpStreamConfig
    from moatbridge_sftp.formats.base import Bad
    from moatbridge_sftp.pickup.choosing import Candidate
    from moatbridge_sftp.pickup.pages import Page

_SHORT: Final = 12


def text_of(value: Any) -> str:
    """Canonical text of one value of a key."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def ref_of(record: dict[str, Any], key: Sequence[str]) -> Ref | None:
    """The ref of a record; None if a part of its key is missing or empty."""
    values = [record.get(name) for name in key]
    if any(value is None or value == "" for value in values):
        return None
    texts = tuple(map(text_of, values))
    return Ref(texts[0] if len(texts) == 1 else texts)


class Origin(NamedTuple):
    """Where records come from, for versions and for rejects.

    Args:
        version: Text that no other file's records share; the record number follows.
        place: How a reject names the file.
    """

    version: str
    place: str

    @classmethod
    def of(cls, one: Candidate, sha256: str, part: str, *, private: bool) -> Origin:
        """Of a file and the name of its logical part.

        Args:
            one: The file.
            sha256: Of its content.
            part: Name of the member of an archive; empty for a plain file.
            private: The name may be personal: only a digest of it is shown.
        """
        name = one.file.name
        if private:
            name = digest_of(name)
        order = json.dumps(one.order, ensure_ascii=False)
        text = f"{order}/{sha256[:_SHORT]}{'/' if part else ''}{part}"
        if len(text) > 200 or private:  # noqa: PLR2004 - the ledger keeps short versions
            text = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        return cls(text, shown(name) + (f"!{shown(part)}" if part else ""))


class Turning:
    """Turns pages of records of one stream into changes.

    Args:
        config: The stream's settings.
    """

    def __init__(self, config: SftpStreamConfig) -> None:
        self._key = config.key
        self._action = config.action
        self._last_wins = config.content == "delta"

    def page(self, page: Page, origin: Origin) -> tuple[list[Change], list[Reject]]:
        """Changes in order, and rejects.

        Of several lines about one record in a page of a delta the last one counts.
        """
        rejects = [reject_of(bad, origin) for bad in page.bad]
        found: dict[Ref, Change] | list[Change] = {} if self._last_wins else []
        for number, record in page.rows:
            change = self._change(number, record, origin)
            if isinstance(change, Reject):
                rejects.append(change)
            elif isinstance(found, dict):
                found.pop(change.ref, None)
                found[change.ref] = change
            else:
                found.append(change)
        return list(found.values()) if isinstance(found, dict) else found, rejects

    def _change(
        self, number: int, record: dict[str, Any], origin: Origin
    ) -> Change | Reject:
        where = f"{origin.place} record {number}"
        ref = ref_of(record, self._key)
        if ref is None:
            return Reject("sftp.no-key", where, None, self._key[0])
        version = f"{origin.version}/{number}"
        if self._action is None:
            return Change(ref, "upsert", record, version)
        said = record.get(self._action.field)
        said = said if said is None else text_of(said)
        if said in self._action.delete:
            return Change(ref, "delete", None, version)
        if said in self._action.upsert:
            return Change(ref, "upsert", record, version)
        return Reject("sftp.action", where, ref, self._action.field)


def reject_of(bad: Bad, origin: Origin) -> Reject:
    """A record that could not be decoded: where and why, never what it holds."""
    where = f"{origin.place} record {bad.number}"
    if bad.offset >= 0:
        where += f" offset {bad.offset}"
    reason = bad.reason if "." in bad.reason else f"sftp.{bad.reason}"
    return Reject(reason, where, None, bad.field)


def named_groups(pattern: str | None, name: str) -> dict[str, str] | None:
    """The named groups of a file's name; None if the pattern does not fit."""
    if pattern is None:
        return {}
    found = re.search(pattern, name.rpartition("/")[2])
    return None if found is None else found.groupdict(default="")


def groups_of(pattern: str | None) -> tuple[str, ...]:
    """The names of a pattern's groups."""
    return tuple(re.compile(pattern).groupindex) if pattern else ()
