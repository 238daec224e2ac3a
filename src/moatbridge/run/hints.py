"""Listening for pushes, so that a tail is read at once and not only every `every`.

A hint carries nothing but "look now": it wakes the live partition, whose cursor is the
truth. So a lost hint costs time and never a change.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from moatbridge.errors import ConfigurationError, MoatbridgeError

if TYPE_CHECKING:
    from moatbridge.flow import Bridge

_log = logging.getLogger(__name__)

_FIRST: Final = 1.0
_LONGEST: Final = 60.0


class Hints:
    """One thread for each stream that can push; ends with `stop`.

    Args:
        bridge: An open bridge.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._ending = threading.Event()
        self._flows: dict[str, list[str]] = {}
        self._threads: list[threading.Thread] = []

    def listen(self, flow: str) -> None:
        """Wake this flow too; a stream that does not push is left alone."""
        source = self._bridge.config.flows[flow].source
        flows = self._flows.setdefault(source, [])
        if flow in flows:
            return
        flows.append(flow)
        if len(flows) == 1:
            thread = threading.Thread(
                target=self._listen, args=(source,), name=f"hints {source}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Ask the threads to end; they do at their next sign of life."""
        self._ending.set()

    def join(self, seconds: float) -> None:
        """Wait for the threads to end."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _listen(self, address: str) -> None:
        wait = _FIRST
        while not self._ending.is_set():
            try:
                if not self._hear(address):
                    return
                wait = _FIRST
            except ConfigurationError as error:
                _log.info("stream %s does not push: %s", address, error.code)
                return
            except MoatbridgeError as error:
                _log.info("hints of stream %s broke off: %s", address, error.code)
            self._ending.wait(wait)
            wait = min(_LONGEST, wait * 2)

    def _hear(self, address: str) -> bool:
        """Listen until the peer ends it; False if there is nothing to hear."""
        system, _, stream = address.partition("/")
        if "CanHint" not in self._bridge.describe(address).stream.abilities:
            return False
        with self._bridge.session(system) as session:
            # What happened while nobody listened was not told: look once.
            self._wake(address)
            for happened in session.hints(stream):
                if self._ending.is_set():
                    return False
                if happened:
                    self._wake(address)
        return True

    def _wake(self, address: str) -> None:
        ledger = self._bridge.ledger
        ids = [self._bridge.route(name).row.flow_id for name in self._flows[address]]
        with ledger.write() as tx:
            for flow_id in ids:
                ledger.leases.wake(tx, flow_id, "live")
