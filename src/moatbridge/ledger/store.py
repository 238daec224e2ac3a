"""What `Database` needs from the product behind it; one class for each of the two."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

from moatbridge.errors import NotApplied

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from moatbridge.ledger.anchor import Anchor
    from moatbridge.ledger.transactions import Transaction

Mode = Literal["write", "alone", "read"]
"""``write`` excludes every other ``write``; ``alone`` excludes nobody: for one
statement that changes one row, or that passes over rows in use."""


class Store(ABC):
    """One opened database product. Safe to share between threads, not forks."""

    kind: str
    """``sqlite`` or ``postgresql``."""
    path: Path | None = None
    """The file, where there is one."""
    tells: bool = False
    """Whether processes hear from it that a flow has work; see `listen`."""
    anchor: Anchor | None = None
    """What notices that an old copy was put back, where that can be noticed."""

    @abstractmethod
    def transaction(
        self, mode: Mode, settled: Callable[[Transaction], bool] | None = None
    ) -> AbstractContextManager[Transaction]:
        """One transaction; see `Database.write` and `Database.read`."""

    @abstractmethod
    def now(self) -> float:
        """The ledger's wall time: POSIX seconds."""

    @abstractmethod
    def has_table(self, tx: Transaction, name: str) -> bool:
        """Whether the ledger's own schema holds that table."""

    @abstractmethod
    def columns(self, tx: Transaction, table: str) -> set[str]:
        """Names of the columns of a table of the ledger's own schema."""

    @abstractmethod
    def backup(self, target: Path) -> None:
        """Copy the ledger to a new file; see `Database.backup`."""

    @abstractmethod
    def problems(self) -> tuple[list[tuple[str, str]], list[str]]:
        """What is wrong with the server or file: (code, sentence) each, and warnings.

        Raises:
            NotApplied: ``ledger.unavailable``.
        """

    def listen(
        self, heard: Callable[[int | None], None], ended: Callable[[], bool]
    ) -> bool:
        """Hear of flows that have work; see `Database.listen`."""
        del heard, ended
        return False

    @abstractmethod
    def close(self) -> None:
        """Close every connection. Idempotent."""


class ValueRefused(AssertionError):
    """A value that the database cannot hold: sent again, it is refused again."""


def unavailable(what: str, why: str, advice: str) -> NotApplied:
    """The error of a step that took no effect."""
    return NotApplied(
        f"The ledger is not available ({what}: {why}). {advice}; nothing of this step "
        "took effect.",
        code="ledger.unavailable",
    )
