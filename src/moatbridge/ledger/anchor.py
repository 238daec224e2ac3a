"""Whether this ledger is older than it once was: an old copy that was put back.

Such a ledger would make keys that it made before, for other content, and would send
again what it does not know of. So it counts: about once a second in which something is
written, a transaction raises a number in ``meta`` by one, and what it came to is then
noted in a small file beside the ledger, ``NAME-anchor``. A ledger whose number is below
the noted one went back in time and is refused until a person says so (`restoring`).

No alarm may be false. The file is written after the commit that it speaks of, and only
where a commit survives a power failure (``durability = "full"``). Opening reads the
file before the ledger, so that what others commit meanwhile is no contradiction. A file
that is missing, unreadable or of another ledger says nothing.

What was written in the last second before the copy was put back may go unnoticed, and
nothing is noted for PostgreSQL, which has no place outside of itself that all its
workers see.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from moatbridge.ledger.transactions import Transaction

SUFFIX: Final = "-anchor"
EVERY: Final = 1.0
"""Seconds between two notes of one process."""

_MARK: Final = "mark"
_LONGEST: Final = 1000
_FLAGS: Final = os.O_NOFOLLOW | os.O_CLOEXEC

_log = logging.getLogger(__name__)


class Mark(NamedTuple):
    """How far a ledger had come.

    Args:
        ledger_id: Which one.
        epoch: Grows with each `restoring.restored`.
        number: Grows with what is written.
    """

    ledger_id: str
    epoch: int
    number: int


class Anchor:
    """The note beside one SQLite ledger. Safe for threads.

    Args:
        path: The ledger's file. The note is read now; look at the ledger later.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.with_name(path.name + SUFFIX)
        self._noted = _read(self._file)
        self._lock = threading.Lock()
        self._highest: tuple[int, int] = (0, 0)
        self._older = False
        self._due = float("-inf")

    def check(self, tx: Transaction, *, older: bool = False) -> int:
        """Compare the ledger with what was noted; returns the epoch of the note.

        Args:
            tx: Open transaction.
            older: It may be older: somebody is about to say so.

        Returns:
            0 without a note of this ledger.

        Raises:
            ConfigurationError: ``ledger.rolled-back``.
        """
        found, noted = _mark(tx), self._noted
        if noted is None or noted.ledger_id != found.ledger_id:
            self._noted = None
            self._highest = found[1:]
            return 0
        if found[1:] < noted[1:] and not older:
            raise _rolled_back()
        self._highest = max(found[1:], noted[1:]) if older else found[1:]
        return noted.epoch

    def advance(self, tx: Transaction) -> Mark | None:
        """Count on, at the end of a transaction; None if that was done just now.

        Raises:
            ConfigurationError: ``ledger.rolled-back``: the file was replaced by an
                older one while it was in use.
        """
        with self._lock:
            # A ledger that was found too old stays so, until its epoch tells otherwise.
            if time.monotonic() < self._due and not self._older:
                return None
            self._due = time.monotonic() + EVERY
        tx.run(
            "INSERT INTO meta(name, value) VALUES(?, '1') ON CONFLICT(name) "
            "DO UPDATE SET value=CAST(CAST(meta.value AS INTEGER)+1 AS TEXT)",
            _MARK,
        )
        mark = _mark(tx)
        self._older = mark[1:] <= self._highest
        if self._older:
            raise _rolled_back()
        return mark

    def note(self, mark: Mark) -> None:
        """Write down what was committed; one that cannot be written is left out."""
        with self._lock:
            if mark[1:] <= self._highest:
                return
            self._highest = mark[1:]
            self._write(mark)

    def _write(self, mark: Mark) -> None:
        part = self._file.with_name(f"{self._file.name}.part")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS
            with os.fdopen(os.open(part, flags, 0o600), "w", encoding="ascii") as file:
                json.dump(mark._asdict(), file)
            part.replace(self._file)
        except OSError as error:
            _log.debug("the ledger's anchor was not written (%s)", error.strerror)
            with suppress(OSError):
                part.unlink()


def _mark(tx: Transaction) -> Mark:
    rows = tx.all(
        "SELECT name, value FROM meta WHERE name IN ('ledger_id', 'epoch', ?)", _MARK
    )
    facts = dict(tuple(row) for row in rows)
    return Mark(facts["ledger_id"], int(facts["epoch"]), int(facts.get(_MARK, 0)))


def _read(file: Path) -> Mark | None:
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | _FLAGS), encoding="ascii") as note:
            told = json.loads(note.read(_LONGEST))
        return Mark(str(told["ledger_id"]), int(told["epoch"]), int(told["number"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        _log.info("the ledger's anchor %s cannot be read and is made anew", file.name)
        return None


def _rolled_back() -> ConfigurationError:
    return ConfigurationError(
        "The ledger is older than it was: an old copy of it was put back, and what was "
        "sent since is not known here. Stop every worker, run `moatbridge ledger "
        "restored`, then `moatbridge reconcile` for each flow.",
        code="ledger.rolled-back",
    )
