"""Which files of a folder are data, in which order, and what is missing. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.pickup.cursor import Identity
from moatbridge_sftp.places import filled, matcher, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moatbridge_sftp.config import SftpStreamConfig
    from moatbridge_sftp.rules import Order
    from moatbridge_sftp.storage import Entry

SIDE_FILES: Final = (".sha256", ".sha1", ".md5", ".crc32")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A data file that lies in the folder, or in our work folder.

    Args:
        file: As it was listed.
        order: Its order value; the name decides between equals.
        trigger: Name of its trigger file, if that is there.
        trigger_mtime: When that was written, by the supplier's clock.
        side: Names of the checksum files beside it.
        claimed: It lies in the work folder.
    """

    file: Identity
    order: Any
    trigger: str | None = None
    trigger_mtime: int = 0
    side: tuple[str, ...] = ()
    claimed: bool = False

    @property
    def rank(self) -> tuple[Any, str]:
        """What files are sorted by."""
        return (self.order, self.file.name)


class Found(NamedTuple):
    """What a listing holds for a stream.

    Args:
        files: Data files in reading order.
        odd: Names that match but have no order value.
    """

    files: list[Candidate]
    odd: list[str]


class Choice:
    """The file rules of one stream.

    Args:
        config: The stream's settings.
    """

    def __init__(self, config: SftpStreamConfig) -> None:
        self._config = config
        self._ignored = matcher(config.ignore)
        self._wanted = matcher(config.patterns)
        done = re.split(r"\{(?:name|stem)\}", config.done_file)
        self._trigger = re.compile(".+".join(map(re.escape, done)))

    def candidates(
        self,
        entries: Iterable[Entry],
        *,
        claimed: bool = False,
        beside: Iterable[Entry] = (),
    ) -> Found:
        """Data files in reading order; trigger and side files stand with theirs.

        Args:
            entries: Of one folder.
            claimed: It is the work folder.
            beside: Of another folder that may hold their side files.
        """
        there = {entry.name: entry for entry in entries if self._plain(entry)}
        near = {entry.name: entry for entry in beside if self._plain(entry)} | there
        files, odd = [], []
        for name, entry in there.items():
            if not self._wanted(name) or self._secondary(name, there):
                continue
            order = order_of(self._config.order, name, entry.mtime)
            if order is None or not self._counted(name):
                odd.append(name)
                continue
            files.append(self._candidate(entry, order, near, claimed=claimed))
        return Found(sorted(files, key=lambda one: one.rank), sorted(odd))

    def _plain(self, entry: Entry) -> bool:
        return entry.kind == "file" and not self._ignored(entry.name)

    def _counted(self, name: str) -> bool:
        pattern = self._config.sequence
        return pattern is None or number_of(pattern, name) is not None

    def _secondary(self, name: str, there: dict[str, Entry]) -> bool:
        if self._config.ripe == "done-file" and self._trigger.fullmatch(name):
            return True
        data, dot, ext = name.rpartition(".")
        return f"{dot}{ext.lower()}" in SIDE_FILES and data in there

    def _candidate(
        self, entry: Entry, order: Any, there: dict[str, Entry], *, claimed: bool
    ) -> Candidate:
        name = entry.name
        trigger = there.get(trigger_of(self._config.done_file, name))
        if trigger is not None and (
            trigger.name == name or self._config.ripe != "done-file"
        ):
            trigger = None
        side = tuple(
            beside
            for ext in SIDE_FILES
            for beside in (name + ext, name + ext.upper())
            if beside in there
        )
        return Candidate(
            Identity(name, entry.size, entry.mtime),
            order,
            trigger.name if trigger else None,
            trigger.mtime if trigger else 0,
            side,
            claimed,
        )

    def whole(self, files: Sequence[Candidate]) -> bool:
        """Whether every pattern of a set (``together = "all"``) has a file."""
        if self._config.together is None:
            return True
        names = [one.file.name for one in files]
        return all(any(map(matcher([glob]), names)) for glob in self._config.patterns)


def trigger_of(template: str, name: str) -> str:
    """Name of the trigger file that belongs to a data file."""
    return filled(template, **parts_of(name))


def order_of(order: str | Order, name: str, mtime: int) -> Any:
    """A file's order value; None if its name has none.

    JSON, and comparable with the other values of the stream.
    """
    if order == "name":
        return name
    if order == "mtime":
        return mtime
    if isinstance(order, str):
        raise ConfigurationError(f"unknown order {order!r}", code="sftp.order")
    found = re.search(order.group, name.rpartition("/")[2])
    text = first_group(found)
    if text is None:
        return None
    if order.as_ == "int":
        return int(text) if text.isascii() and text.isdigit() else None
    day = as_date(text)
    return day.isoformat() if day else None


def first_group(found: re.Match[str] | None) -> str | None:
    """The first group of a match that took part; the whole match without groups."""
    if found is None:
        return None
    groups = [text for text in found.groups() if text is not None]
    return groups[0] if groups else (found[0] if not found.re.groups else None)


def as_date(text: str) -> date | None:
    """A date of eight digits (``20260131``) or in ISO form."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


class Gap(NamedTuple):
    """A file that is missing before another one, or comes after its successors."""

    expected: str
    found: str
    late: bool = False


def number_of(pattern: str, name: str) -> str | None:
    """The part of a file's name that counts."""
    return first_group(re.search(pattern, name.rpartition("/")[2]))


def gap(last: str | None, number: str, *, every: float | None) -> Gap | None:
    """Whether a file number or date follows the last one.

    The same number again is a file that was re-sent, not a gap.

    Args:
        last: Of the last file done; None at the start.
        number: Of this file.
        every: Seconds between files, for dates.
    """
    if last is None or number == last:
        return None
    day, before = as_date(number), as_date(last)
    if day and before and every:
        due = before + max(timedelta(days=1), timedelta(seconds=every))
        return None if day == due else Gap(due.isoformat(), number, day < due)
    if not (number.isdigit() and last.isdigit()):
        return None
    due_number = str(int(last) + 1).zfill(len(number))
    if int(number) == int(due_number):
        return None
    return Gap(due_number, number, int(number) < int(due_number))


def late(last: Any, order: Any) -> bool:
    """Whether a file belongs before one that is done already."""
    return last is not None and type(last) is type(order) and order < last
