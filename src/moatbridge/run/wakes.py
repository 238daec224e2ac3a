"""Hearing at once that another process gave a flow work (scale 27).

Only a ledger on PostgreSQL tells. What is heard carries nothing but a flow's number,
and means "look now": the ledger is the truth, and it is looked at unasked as well.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from moatbridge.errors import MoatbridgeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.ledger import Ledger

_log = logging.getLogger(__name__)

_FIRST: Final = 1.0
_LONGEST: Final = 60.0


class Wakes:
    """One thread and one connection of a process; ends with `stop`.

    Args:
        ledger: The ledger.
        wake: Called, from that thread, with the number of a flow that has work; with
            None if it may be any.
    """

    def __init__(self, ledger: Ledger, wake: Callable[[int | None], None]) -> None:
        self._ledger = ledger
        self._wake = wake
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen, if the ledger tells anybody."""
        if self._ledger.db.tells:
            self._thread = threading.Thread(
                target=self._listen, name="moatbridge-wakes", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end."""
        self._ending.set()

    def join(self, seconds: float) -> None:
        """Wait for the thread to end."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _listen(self) -> None:
        wait, odd = _FIRST, False

        def heard(flow_id: int | None) -> None:
            nonlocal wait
            wait = _FIRST
            self._wake(flow_id)

        while not self._ending.is_set():
            try:
                if not self._ledger.db.listen(heard, self._ending.is_set):
                    _log.info("a pooler stands before the ledger: it is polled only")
                    return
            except MoatbridgeError as error:
                _log.info("the ledger is polled only, for now: %s", error.code)
            except Exception as error:  # noqa: BLE001 - it must not end the listening
                if not odd:
                    words = "listening for work failed (%s): the ledger is polled only"
                    _log.error(words, type(error).__name__)
                odd = True
            self._ending.wait(wait)
            wait = min(_LONGEST, 2 * wait)
