"""Name resolution that ends: four threads, a time limit, and a short memory.

``getaddrinfo`` cannot be interrupted, so it runs in threads of its own that callers
wait for no longer than they can afford (security 13). A name that hangs occupies one
thread, however many callers ask for it.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING, Final, TypeAlias

from moatbridge.errors import NotApplied

if TYPE_CHECKING:
    from collections.abc import Callable

Lookup: TypeAlias = "Callable[[str], tuple[str, ...]]"

LIMIT: Final = 5.0
_KEEP: Final = 30.0
_KEEP_FAILURE: Final = 5.0
_THREADS: Final = 4
_CACHED: Final = 1024


def getaddrinfo(host: str) -> tuple[str, ...]:
    """Every address of a host, in the order of RFC 6724, each once. May block."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


class Resolver:
    """Resolves names for all systems of a process. Safe for threads.

    Args:
        lookup: Blocking function from name to numeric addresses; raises `OSError`.
    """

    def __init__(self, lookup: Lookup = getaddrinfo) -> None:
        self._lookup = lookup
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Future[tuple[str, ...]]]] = {}
        self._names: queue.SimpleQueue[tuple[str, Future[tuple[str, ...]]] | None]
        self._names = queue.SimpleQueue()
        self._threads = 0
        self._closed = False

    def resolve(self, host: str, limit: float = LIMIT) -> tuple[str, ...]:
        """The numeric addresses of a host, at least one.

        Args:
            host: Name or numeric address.
            limit: Seconds to wait at most; never more than 5.

        Raises:
            NotApplied: ``net.dns``: unknown name, no answer, or no answer in time.
        """
        literal = _literal(host)
        if literal:
            return literal
        try:
            found = self._ask(host).result(max(0.0, min(limit, LIMIT)))
        except FutureTimeout:
            raise _unresolved(host, "did not answer in time") from None
        except OSError as error:
            raise _unresolved(host, f"failed ({type(error).__name__})") from None
        if not found:
            raise _unresolved(host, "gave no address")
        return found

    def close(self) -> None:
        """End the threads that are idle; one that hangs ends when its name does."""
        with self._lock:
            self._closed = True
            for _ in range(self._threads):
                self._names.put(None)

    def _ask(self, host: str) -> Future[tuple[str, ...]]:
        now = time.monotonic()
        with self._lock:
            until, future = self._known.get(host, (0.0, None))
            if future is not None and (until > now or not future.done()):
                return future
            if self._closed:
                raise _unresolved(host, "was asked after the end")
            if len(self._known) >= _CACHED:
                self._known.clear()
            future = Future()
            self._known[host] = (now + _KEEP, future)
            self._names.put((host, future))
            self._start_thread()
        return future

    def _start_thread(self) -> None:
        if self._threads < _THREADS:
            self._threads += 1
            name = f"moatbridge-dns-{self._threads}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while (job := self._names.get()) is not None:
            host, future = job
            try:
                found, keep = self._lookup(host), _KEEP
                failure: Exception | None = None
            except (OSError, UnicodeError) as error:
                found, keep, failure = (), _KEEP_FAILURE, _as_os_error(error)
            with self._lock:
                self._known[host] = (time.monotonic() + keep, future)
            if failure is None:
                future.set_result(found)
            else:
                future.set_exception(failure)


def _literal(host: str) -> tuple[str, ...]:
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        return ()


def _as_os_error(error: Exception) -> OSError:
    return error if isinstance(error, OSError) else socket.gaierror(str(error))


def _unresolved(host: str, words: str) -> NotApplied:
    return NotApplied(
        f"Resolving {host} {words}; check the name and the resolver.", code="net.dns"
    )
