"""A `Net` for standalone use, and one that remembers what was dialled."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

from moatbridge.adapter import Address, Net, TlsSettings
from moatbridge.config.systems import DeadlineConfig
from moatbridge.resilience.addresses import policy
from moatbridge.resilience.deadline import Watchdog
from moatbridge.resilience.net import STANDALONE, SystemNet, standalone_net
from moatbridge.resilience.resolver import Resolver
from moatbridge.resilience.retry import Retry
from moatbridge.resilience.session import Session

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

    from moatbridge.adapter import Adapter


def net(
    endpoints: Iterable[tuple[str, int]],
    *,
    tls: TlsSettings | None = None,
    deadline: float = 30.0,
) -> Net:
    """A `Net` for an adapter that no core runs: tests, examples, a notebook.

    Args:
        endpoints: What may be dialled: ``type(adapter).endpoints(adapter.config)``.
        tls: As in ``[systems.NAME.tls]``.
        deadline: What `Net.remaining` says; nothing stands behind it, so production
            code goes through a `moatbridge.resilience.session.Session`.
    """
    return standalone_net(endpoints, tls=tls, seconds=deadline)


@contextlib.contextmanager
def core_session(
    adapter: Adapter[Any], *, seconds: float, tls: TlsSettings | None = None
) -> Iterator[Session]:
    """The core's own `Session` over an unopened adapter; not opened yet.

    Args:
        adapter: An instance that is not open; its ``net`` is replaced.
        seconds: Total deadline of each call. Nothing is repeated.
        tls: As in ``[systems.NAME.tls]``.
    """
    rules = policy(
        type(adapter).endpoints(adapter.config), reach="inside", allow=STANDALONE
    )
    resolver, watchdog = Resolver(), Watchdog()
    session = Session(
        adapter,
        system="conformance",
        net=SystemNet("conformance", policy=rules, resolver=resolver, tls=tls),
        watchdog=watchdog,
        deadlines=DeadlineConfig(call=seconds),
        retry=Retry(attempts=1),
    )
    try:
        yield session
    finally:
        session.close()
        watchdog.close()
        resolver.close()


class RecordingNet(Net):
    """Wraps a `Net`, remembers every socket and address that went through it.

    `cut` does what the core's deadline does: it shuts every watched socket down.
    """

    def __init__(self, inner: Net) -> None:
        self._inner = inner
        self.tls: TlsSettings = inner.tls
        self.granted: set[tuple[str, int]] = set()
        self.watched: int = 0
        self._dups: list[socket.socket] = []
        self._dialling = threading.local()

    @property
    def dialling(self) -> bool:
        """Whether the calling thread is inside `connect`."""
        return getattr(self._dialling, "on", False)

    def connect(self, host: str, port: int, *, why: str) -> socket.socket:
        """As the wrapped one; the socket is remembered."""
        with self._inside():
            made = self._inner.connect(host, port, why=why)
        # A peer may have reset it already; the caller's first use will tell.
        with contextlib.suppress(OSError):
            self.granted.add(made.getpeername()[:2])
        self._keep(made.fileno())
        return made

    def resolve(self, host: str, port: int, *, why: str) -> Address:
        """As the wrapped one; the address may then be dialled by a driver."""
        found = self._inner.resolve(host, port, why=why)
        self.granted.add((found.host, found.port))
        return found

    def watch(self, sock: socket.socket | int) -> None:
        """As the wrapped one; the socket is remembered."""
        self.watched += 1
        self._inner.watch(sock)
        self._keep(sock if isinstance(sock, int) else sock.fileno())

    def progress(self, count: int) -> None:
        """As the wrapped one."""
        self._inner.progress(count)

    def asked(self) -> None:
        """As the wrapped one."""
        self._inner.asked()

    def quota(self, **told: float | None) -> None:
        """As the wrapped one."""
        self._inner.quota(**told)

    def tls_context(self) -> ssl.SSLContext:
        """As the wrapped one."""
        return self._inner.tls_context()

    def tls_check(self, sock: ssl.SSLSocket | ssl.SSLObject, host: str) -> None:
        """As the wrapped one."""
        self._inner.tls_check(sock, host)

    def remaining(self) -> float:
        """As the wrapped one."""
        return self._inner.remaining()

    def cut(self) -> None:
        """Shut down every socket seen, as the core does at a deadline."""
        for dup in self._dups:
            with contextlib.suppress(OSError):
                dup.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """Close our duplicates of the sockets."""
        while self._dups:
            self._dups.pop().close()

    def _keep(self, fileno: int) -> None:
        self._dups.append(socket.socket(fileno=os.dup(fileno)))

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        self._dialling.on = True
        try:
            yield
        finally:
            self._dialling.on = False
