"""Watches the process while an adapter works: dialling, sleeping, talking."""

from __future__ import annotations

import base64
import contextlib
import logging
import sys
import threading
import time
import traceback
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moatbridge.testing.connections import Connection, outgoing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moatbridge.testing.network import RecordingNet

QUIET: Final = (
    "httpx2", "httpcore2", "zeep", "paramiko", "ldap3", "sqlalchemy.engine", "urllib3",
)  # fmt: skip
"""Loggers of drivers that the core holds at WARNING (security 5)."""


@dataclass
class Watch:
    """What was seen while `watching`.

    Args:
        net: The net that the adapter was given.
        dialled: Addresses dialled outside of it.
        unwatched: Driver connections that were never given to ``net.watch``.
        slept: Places that called ``time.sleep``.
    """

    net: RecordingNet
    dialled: list[str] = field(default_factory=list)
    slept: list[str] = field(default_factory=list)
    by_driver: int = 0
    before: set[Connection] = field(default_factory=outgoing)

    def look(self) -> None:
        """Note the connections that C clients made: no audit event tells of them."""
        for found in outgoing() - self.before:
            if (found.host, found.port) not in self.net.granted:
                self.dialled.append(f"{found.host}:{found.port}")

    @property
    def unwatched(self) -> int:
        """How many connections a driver opened that nobody gave to ``net.watch``."""
        return max(0, self.by_driver - self.net.watched)


_watches: list[Watch] = []
_installed = threading.Event()


@contextlib.contextmanager
def watching(net: RecordingNet) -> Iterator[Watch]:
    """Record what the process dials and where the calling thread sleeps."""
    if not _installed.is_set():
        sys.addaudithook(_audit)  # cannot be removed, hence once, gated by _watches
        _installed.set()
    watch = Watch(net)
    _watches.append(watch)
    try:
        with _sleeps_noted(watch):
            yield watch
    finally:
        _watches.remove(watch)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event != "socket.connect" or not _watches:
        return
    address = args[1]
    if not isinstance(address, tuple):
        return
    for watch in _watches:
        if watch.net.dialling:
            continue
        if tuple(address[:2]) in watch.net.granted:
            watch.by_driver += 1
        else:
            watch.dialled.append(f"{address[0]}:{address[1]}")


@contextlib.contextmanager
def _sleeps_noted(watch: Watch) -> Iterator[None]:
    original, mine = time.sleep, threading.get_ident()

    def noted(seconds: Any) -> None:
        if threading.get_ident() == mine:
            frame = traceback.extract_stack(limit=2)[0]
            watch.slept.append(f"{frame.name}:{frame.lineno}")
        original(seconds)

    time.sleep = noted
    try:
        yield
    finally:
        time.sleep = original


class Overheard(logging.Handler):
    """Everything that was logged or shown, to be searched for canaries."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line and its unformatted arguments."""
        self.heard += [self.format(record), repr(record.args)]

    def show(self, *things: object) -> None:
        """Keep what a person would see of these objects; errors with their causes."""
        for thing in things:
            self.heard += [repr(thing), str(thing)]
            if isinstance(thing, BaseException):
                self.heard += traceback.format_exception(thing)

    def leaks(self, canaries: Iterable[str]) -> list[str]:
        """Masked forms of the canaries that were seen, in any usual encoding."""
        text = "\n".join(self.heard)
        return [
            f"{canary[:2]}... ({len(canary)} characters, as {form})"
            for canary in canaries
            for form, spelled in _spellings(canary).items()
            if spelled in text
        ]


def _spellings(canary: str) -> dict[str, str]:
    raw = canary.encode()
    return {
        "text": canary,
        "base64": base64.b64encode(raw).decode().rstrip("="),
        "hex": raw.hex(),
        "url": urllib.parse.quote(canary, safe=""),
    }


@contextlib.contextmanager
def overhearing() -> Iterator[Overheard]:
    """Listen to every logger at DEBUG, drivers as quiet as the core keeps them."""
    ear, root = Overheard(), logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", *QUIET)}
    root.setLevel(logging.DEBUG)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    root.addHandler(ear)
    try:
        yield ear
    finally:
        root.removeHandler(ear)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
