"""From a request to a delivery: the adapter's own reading, on a bounded pool.

The one place where the asynchronous gateway calls synchronous code. An adapter
instance serves one thread at a time; it is replaced every minute, so a rotated secret
is in force without a restart.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from moatbridge.config import adapter_settings
from moatbridge.errors import ConfigurationError, NotApplied, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.adapter import Adapter, CanReceive, Received, Request
    from moatbridge.flow import Bridge

T = TypeVar("T")

LIFE: Final = 60.0
"""Seconds after which an adapter instance (and the secrets it read) is replaced."""

MAX_CHANGES: Final = 10_000
"""Changes of one delivery."""

MAX_ID: Final = 256


class Pool:
    """A bounded way from the event loop into synchronous code.

    Args:
        threads: Calls at once.
        queue: Calls that may wait beyond that.
    """

    def __init__(self, threads: int, queue: int) -> None:
        self._room = threads + queue
        self._busy = 0
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="moatbridge-in")

    async def run(self, work: Callable[[], T]) -> T:
        """Run it on a thread.

        Raises:
            NotApplied: ``gateway.busy``: too many calls wait already.
        """
        if self._busy >= self._room:
            words = "All threads of the gateway are busy; the sender may try again."
            raise NotApplied(words, code="gateway.busy", retry_after=2.0)
        self._busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._busy -= 1

    def close(self) -> None:
        """Wait for what is running, then end."""
        self._threads.shutdown(wait=True)


class Receiver:
    """Reads one system's requests; safe for threads.

    Args:
        bridge: An open bridge.
        system: Name of the system.

    Raises:
        ConfigurationError: ``gateway.inbox``: no such system, or one whose adapter
            cannot receive.
    """

    def __init__(self, bridge: Bridge, system: str) -> None:
        known = bridge.config.systems.get(system)
        if known is None:
            raise _unusable(system, "there is no such system")
        self._class: type[Adapter[Any]] = bridge.registry.get(known.adapter)
        if "CanReceive" not in self._class.abilities:
            raise _unusable(system, f"the adapter {known.adapter} cannot receive")
        self._bridge = bridge
        self._system = system
        self._idle: deque[tuple[float, CanReceive]] = deque()

    def receive(self, request: Request) -> Received:
        """What the adapter makes of it, within the limits of any delivery.

        Raises:
            Rejected: See `CanReceive.receive`; also of kind ``data`` beyond a limit.
            ConfigurationError: The secrets cannot be used.
        """
        made, adapter = self._borrow()
        try:
            received = adapter.receive(request)
        finally:
            self._idle.append((made, adapter))
        _check(received, self._system)
        return received

    def _borrow(self) -> tuple[float, CanReceive]:
        try:
            made, adapter = self._idle.pop()
        except IndexError:
            return self._make()
        fresh = time.monotonic() - made < LIFE
        return (made, adapter) if fresh else self._make()

    def _make(self) -> tuple[float, CanReceive]:
        settings = adapter_settings(self._bridge.config, self._system)
        streams = self._bridge.config.streams_of(self._system)
        self._bridge.redactor.learn([settings, streams])
        adapter = cast("CanReceive", self._class(settings, streams))
        return time.monotonic(), adapter


def _check(received: Received, system: str) -> None:
    ident = received.delivery_id
    count = sum(len(changes) for changes in received.changes.values())
    count += sum(len(rejects) for rejects in received.rejects.values())
    if len(ident) > MAX_ID or not ident.isprintable() or count > MAX_CHANGES:
        raise Rejected(
            f"A delivery of {system} is beyond the limits: its id has over {MAX_ID} "
            f"characters, or it holds over {MAX_CHANGES} changes. Nothing was kept.",
            code="gateway.limits",
            system=system,
        )


def _unusable(system: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"gateway.inbox.{system}: {why}; name a system whose adapter can receive.",
        code="gateway.inbox",
        system=system,
    )
