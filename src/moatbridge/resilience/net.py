"""`SystemNet`: the one way from an adapter to the network.

Order for every address (security 24): host and port stand in the system's egress list
-> the name is resolved by the core -> *every* address it gave is permitted -> exactly
such an address is dialled. So a peer can neither name a host of its choice nor change
a name's answer between check and use.

Each watched socket is kept as a duplicate descriptor: the watchdog can shut it down
while its owner closes it, and the number can never be reused under it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Final

from moatbridge.adapter import Address, Net, TlsSettings
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.resilience import tls as tls_contexts
from moatbridge.resilience.addresses import Policy, ascii_host, policy, refusal
from moatbridge.resilience.resolver import Resolver

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from moatbridge.resilience.deadline import Deadline

CONNECT: Final = 10.0
"""Seconds that one connection may take to be made, resolving included."""

STANDALONE: Final = ("127.0.0.0/8", "::1/128")


class SystemNet(Net):
    """The network as one system's adapter may use it.

    Args:
        system: Name of the system, for messages.
        policy: Where it may connect to.
        tls: Its ``tls`` settings.
        resolver: Shared by all systems of the process.
        connect: Seconds for making one connection, within the call's deadline.
        idle: What `remaining` says while no deadline is armed.
        watching: False keeps no duplicates (nobody would shut them down).
    """

    def __init__(
        self,
        system: str,
        *,
        policy: Policy,
        resolver: Resolver,
        tls: TlsSettings | None = None,
        connect: float = CONNECT,
        idle: float = 30.0,
        watching: bool = True,
    ) -> None:
        self.tls: TlsSettings = tls or TlsSettings()
        self.deadline: Deadline | None = None
        self.on_quota: Callable[..., None] | None = None
        self.requests: int = 0
        self._system = system
        self._policy = policy
        self._resolver = resolver
        self._connect = connect
        self._idle = idle
        self._context: ssl.SSLContext | None = None
        self._sockets = _WatchedSockets() if watching else None

    def connect(self, host: str, port: int, *, why: str) -> socket.socket:
        """See `Net.connect`; addresses are tried in turn, each with its share."""
        until = time.monotonic() + min(self.remaining(), self._connect)
        addresses = self._permitted(host, port, why, until)
        for index, address in enumerate(addresses):
            left = (until - time.monotonic()) / (len(addresses) - index)
            sock = _dial(address, port, left) if left > 0 else None
            if sock is not None:
                self.watch(sock)
                return sock
        msg = f"{host}:{port} does not answer; is it up, and open from this host?"
        raise NotApplied(msg, code="net.unreachable", system=self._system)

    def resolve(self, host: str, port: int, *, why: str) -> Address:
        """See `Net.resolve`."""
        until = time.monotonic() + min(self.remaining(), self._connect)
        return Address(self._permitted(host, port, why, until)[0], port)

    def watch(self, sock: socket.socket | int) -> None:
        """See `Net.watch`."""
        if self._sockets is not None:
            self._sockets.add(sock if isinstance(sock, int) else sock.fileno())
            if self.deadline is not None and self.deadline.fired:
                self._sockets.shut_down()

    def progress(self, count: int) -> None:
        """See `Net.progress`."""
        if self.deadline is not None:
            self.deadline.progress(count)

    def asked(self) -> None:
        """See `Net.asked`."""
        self.requests += 1

    def quota(
        self,
        *,
        retry_after: float | None = None,
        remaining: float | None = None,
        reset: float | None = None,
    ) -> None:
        """See `Net.quota`; it counts for the class of the call that is out."""
        if self.on_quota is not None:
            self.on_quota(retry_after=retry_after, remaining=remaining, reset=reset)

    def tls_context(self) -> ssl.SSLContext:
        """See `Net.tls_context`; made once, since reading the store takes time.

        The context checks pins and raises ``net.tls.*`` by itself.
        """
        if self._context is None:
            try:
                self._context = tls_contexts.make_context(self.tls)
            except ConfigurationError as error:
                raise error.at(system=self._system) from None
        return self._context

    def tls_check(self, sock: ssl.SSLSocket | ssl.SSLObject, host: str) -> None:
        """See `Net.tls_check`."""
        if self.tls.pin:
            shown = sock.getpeercert(binary_form=True)
            tls_contexts.check_pins(self.tls, shown, host)

    def remaining(self) -> float:
        """See `Net.remaining`."""
        return self._idle if self.deadline is None else self.deadline.remaining()

    def shut_down(self) -> None:
        """End every watched connection now. From any thread; never blocks."""
        if self._sockets is not None:
            self._sockets.shut_down()

    def forget_closed(self) -> None:
        """Drop duplicates of sockets their owner has closed, so that the peer sees."""
        if self._sockets is not None:
            self._sockets.forget_closed()

    def release(self) -> None:
        """Drop every duplicate; the connections live on only where their owner is."""
        if self._sockets is not None:
            self._sockets.clear()

    @property
    def watched(self) -> int:
        """How many connections are watched now."""
        return len(self._sockets) if self._sockets is not None else 0

    def _permitted(
        self, host: str, port: int, why: str, until: float
    ) -> tuple[str, ...]:
        name = ascii_host(host)
        if not self._policy.permits(host, port):
            raise self._refused(
                f"{name}:{port} ({why}) is not in the egress list of system "
                f"{self._system}; if it belongs there, add it to "
                f'`systems.{self._system}.egress = ["{name}:{port}"]`.',
                "net.egress",
            )
        found = self._resolver.resolve(name, until - time.monotonic())
        for address in found:
            kind = refusal(address, self._policy)
            if kind is not None:
                raise self._refused(_address_words(name, why, kind, self._system))
        return found

    def _refused(self, words: str, code: str = "net.address") -> ConfigurationError:
        return ConfigurationError(words, code=code, system=self._system)


class _WatchedSockets:
    """Duplicates of descriptors; every touch of one happens under the lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[int, socket.socket] = {}  # the owner's number -> our duplicate

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, number: int) -> None:
        duplicate = socket.socket(fileno=os.dup(number))
        with self._lock:
            old = self._kept.pop(number, None)
            self._kept[number] = duplicate
        if old is not None:
            old.close()
        self.forget_closed()

    def shut_down(self) -> None:
        with self._lock:
            for duplicate in self._kept.values():
                with contextlib.suppress(OSError):
                    duplicate.shutdown(socket.SHUT_RDWR)

    def forget_closed(self) -> None:
        with self._lock:
            gone = [
                number for number, kept in self._kept.items() if _gone(number, kept)
            ]
            for number in gone:
                self._kept.pop(number).close()

    def clear(self) -> None:
        with self._lock:
            while self._kept:
                self._kept.popitem()[1].close()


def _gone(number: int, duplicate: socket.socket) -> bool:
    try:
        return not os.path.sameopenfile(number, duplicate.fileno())
    except OSError:
        return True


def _dial(address: str, port: int, seconds: float) -> socket.socket | None:
    try:
        sock = socket.create_connection((address, port), timeout=seconds)
    except OSError:
        return None
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return sock


def _address_words(name: str, why: str, kind: str, system: str) -> str:
    words = f"{name} ({why}) leads to an address of class '{kind}', which is refused"
    if kind == "cloud metadata service":
        return words + " always."
    setting = f"`systems.{system}.allow_networks`"
    return f"{words}; if that is meant, list its network in {setting}."


def standalone_net(
    endpoints: Iterable[tuple[str, int]],
    *,
    tls: TlsSettings | None = None,
    allow: Iterable[str] = STANDALONE,
    seconds: float = 30.0,
) -> SystemNet:
    """A net for one adapter without a bridge: tests, scripts, notebooks.

    Loopback is permitted. No watchdog stands behind it, so only what asks
    `Net.remaining` is limited: production code goes through a `Session`.

    Args:
        endpoints: Every host and port to be dialled, such as ``cls.endpoints(config)``.
        tls: TLS settings; None means the system's store.
        allow: Networks permitted beside the private and the public ones.
        seconds: What `Net.remaining` says all the time.
    """
    rules = policy(endpoints, reach="inside", allow=allow)
    return SystemNet(
        "standalone",
        policy=rules,
        resolver=Resolver(),
        tls=tls,
        idle=seconds,
        watching=False,
    )
