"""One watched socket of an HTTP connection: the only I/O under both transports.

Every socket comes from ``net.connect`` (security 24), every read and write is capped by
what is left of the *current* call's total deadline (connections outlive calls), and
bytes moved are reported to ``net.progress``.

Loaded lazily: this module imports ssl.
"""

from __future__ import annotations

import select
import socket
import ssl
from typing import TYPE_CHECKING, Final

from moatbridge.adapter.handshake import handshaking

if TYPE_CHECKING:
    from moatbridge.adapter import Net

KEEPALIVE: Final = 20.0
"""Seconds. Shorter than usual server limits: a connection that the platform closes
while it is idle would turn the next write into an unknown outcome."""


class Flight:
    """Whether bytes of the request under way have left this process."""

    __slots__ = ("sent",)

    def __init__(self) -> None:
        self.sent: bool = False


class Channel:
    """See the module. Raises `TimeoutError` at the deadline, `OSError` otherwise."""

    __slots__ = ("_flight", "_net", "sock")

    def __init__(self, sock: socket.socket, net: Net, flight: Flight) -> None:
        self.sock: socket.socket = sock
        self._net = net
        self._flight = flight

    @staticmethod
    def dial(host: str, port: int, net: Net, flight: Flight) -> Channel:
        """Resolve, check and connect; the core's typed errors pass through."""
        sock = net.connect(host, port, why="config")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Channel(sock, net, flight)

    def read(self, most: int) -> bytes:
        """Read some bytes before the call's deadline; none at the end."""
        self._arm()
        data = self.sock.recv(most)
        # A socket that the watchdog shut down reads as a normal end (security 12).
        if not data and self._net.remaining() <= 0:
            raise TimeoutError
        self._net.progress(len(data))
        return data

    def write(self, data: bytes) -> None:
        """Write all bytes before the call's deadline."""
        if not data:
            return
        self._flight.sent = True
        view = memoryview(data)
        while view:
            self._arm()
            count = self.sock.send(view)
            self._net.progress(count)
            view = view[count:]

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    def encrypted(self, context: ssl.SSLContext, server_name: str | None) -> Channel:
        """Encrypt, verify, and check pins before a byte of the request is sent."""
        host = self._net.tls.server_name or server_name or ""
        # A proxied tunnel has sent bytes by now, but none of the request itself.
        self._flight.sent = False
        secure = self._wrapped(context, host)
        try:
            with handshaking(host, late="http.deadline"):
                secure.do_handshake()
            self._net.tls_check(secure, host)
        except BaseException:
            secure.close()
            raise
        return Channel(secure, self._net, self._flight)

    def goes_on(self) -> bool:
        """Whether an idle connection still stands: bytes on it are a goodbye."""
        return not _readable(self.sock)

    def _wrapped(self, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
        # Without the handshake, so that a failed one leaves something to close.
        try:
            self._arm()
            return context.wrap_socket(
                self.sock, server_hostname=host, do_handshake_on_connect=False
            )
        except BaseException:
            self.close()
            raise

    def _arm(self) -> None:
        left = self._net.remaining()
        if left <= 0:
            raise TimeoutError
        self.sock.settimeout(left)


def _readable(sock: socket.socket) -> bool:
    try:
        # TLS sockets cannot peek; readable bytes on an idle one are a goodbye.
        if isinstance(sock, ssl.SSLSocket):
            return sock.pending() > 0 or _waiting(sock)
        sock.settimeout(0)
        sock.recv(1, socket.MSG_PEEK)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    return True


def _waiting(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
