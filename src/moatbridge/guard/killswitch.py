"""The kill switch: whether anything may be sent right now (guard 44-47).

`evaluate` is pure: the caller reads environment, file (`file_there`) and ledger rows.
`KillFlag` is the one thread that refreshes the answer for everybody who asks between
two calls. Any source that is on, or that cannot be read, means: nothing is sent.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from moatbridge.config.loosening import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moatbridge.guard.context import Memory

ENVIRONMENT: Final = "MOATBRIDGE_KILL"
INTERVAL: Final = 0.25
GRACE: Final = 5.0
INCIDENTS: Final = 5
INCIDENT_WINDOW: Final = 600.0

_OFF: Final = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Kill:
    """One thing that switches sending off.

    Args:
        scope: ``all``, ``system:NAME`` or ``flow:NAME``.
        reason: Why, at most 500 characters.
        actor: Who or what: a principal, ``environment``, ``file``.
        at: POSIX seconds, if known.
        reads: Reading stops too.
    """

    scope: str
    reason: str
    actor: str
    at: float | None = None
    reads: bool = False


@dataclass(frozen=True, slots=True)
class KillState:
    """Everything that is switched off; empty means: go on."""

    kills: tuple[Kill, ...] = ()

    def stops(self, *, flow: str, system: str) -> Kill | None:
        """What stops sending from this flow to this system, if anything does."""
        scopes = {"all", f"flow:{flow}", f"system:{system}"}
        return next((kill for kill in self.kills if kill.scope in scopes), None)

    def stops_reads(self, *, flow: str, system: str) -> Kill | None:
        """What stops this flow from reading this system, if anything does."""
        reading = KillState(tuple(kill for kill in self.kills if kill.reads))
        return reading.stops(flow=flow, system=system)


def file_there(path: str) -> bool | None:
    """Whether the kill file is there; None if that cannot be told.

    A link is there even if what it names is not: somebody put it there.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return None
    return True


def evaluate(
    *,
    environment: str | None,
    file_exists: bool | None,
    rows: Iterable[Kill] | None,
) -> KillState:
    """Join the sources; any of them on is on.

    Args:
        environment: Value of ``MOATBRIDGE_KILL``; None if it is not set. Everything
            but empty, ``0``, ``false``, ``no`` and ``off`` is on.
        file_exists: Whether the kill file is there; None if that cannot be told.
        rows: The ledger's rows; None if they cannot be read.
    """
    kills = []
    if environment is not None and environment.strip().casefold() not in _OFF:
        kills.append(Kill("all", printable(environment), "environment"))
    if file_exists is None:
        kills.append(Kill("all", "the folder of the kill file cannot be read", "file"))
    elif file_exists:
        kills.append(Kill("all", "the kill file is there", "file"))
    if rows is None:
        kills.append(Kill("all", "the ledger's kill rows cannot be read", "ledger"))
    else:
        kills += rows
    return KillState(tuple(kills))


def trips(memory: Memory) -> bool:
    """Whether incidents alone switch a system off: 5 within 10 minutes (guard 47).

    Args:
        memory: Counts of that system, ``incident`` among them. One that fails trips.
    """
    try:
        return memory.seen("incident", "", INCIDENT_WINDOW) >= INCIDENTS
    except Exception:  # noqa: BLE001 - what cannot be counted may have happened
        return True


class KillFlag:
    """The kill switch as seen between two calls: no I/O for whoever asks.

    One daemon thread calls ``read`` every 250 ms. An answer older than 5 s, because
    ``read`` raises or hangs, counts as on. Use as a context manager; any thread may
    ask.

    Args:
        read: Reads all sources; may block and may raise.
        interval: Seconds between two readings.
        grace: Seconds for which an old answer is believed.
    """

    def __init__(
        self,
        read: Callable[[], KillState],
        *,
        interval: float = INTERVAL,
        grace: float = GRACE,
    ) -> None:
        self._read = read
        self._interval = interval
        self._grace = grace
        self._ended = threading.Event()
        # Until the first reading, and without the thread, nothing may be sent.
        self._answer: tuple[float, KillState] | None = None
        self._thread = threading.Thread(
            target=self._refresh, name="moatbridge-kill", daemon=True
        )

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread; from then on nothing may be sent. Idempotent."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)
        self._answer = None

    @property
    def state(self) -> KillState:
        """The last answer, or "all off" if it is too old. Never blocks."""
        answer = self._answer
        if answer is None or time.monotonic() - answer[0] > self._grace:
            reason = f"the kill switch could not be read for {self._grace:g} s"
            return KillState((Kill("all", reason, "guard"),))
        return answer[1]

    def stops(self, *, flow: str, system: str) -> Kill | None:
        """What stops sending from this flow to this system right now."""
        return self.state.stops(flow=flow, system=system)

    def _refresh(self) -> None:
        while not self._ended.wait(self._interval):
            self._look()

    def _look(self) -> None:
        begun = time.monotonic()
        try:
            state = self._read()
        except Exception:  # noqa: BLE001 - the old answer ages until it counts as on
            return
        if not self._ended.is_set():
            self._answer = (begun, state)
