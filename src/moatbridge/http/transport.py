"""The only I/O of this package: httpx2 over sockets that the core opened.

``httpx2``'s own transport takes no network backend, so this one builds the
``httpcore2`` pool itself. Every socket comes from ``net.connect`` (security 24), every
read and write is capped by what is left of the *current* call's total deadline
(connections outlive calls), and bytes moved are reported to ``net.progress``.

Loaded lazily: this module imports httpx2.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any, Final

import httpcore2
import httpx2

from moatbridge.adapter.handshake import handshaking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.adapter import Net

KEEPALIVE: Final = 20.0
"""Seconds. Shorter than usual server limits: a connection that the platform closes
while it is idle would turn the next write into an unknown outcome."""


class Flight:
    """Whether bytes of the request under way have left this process."""

    __slots__ = ("sent",)

    def __init__(self) -> None:
        self.sent: bool = False


class NetStream(httpcore2.NetworkStream):
    """One watched socket; see the module's docstring."""

    def __init__(self, sock: socket.socket, net: Net, flight: Flight) -> None:
        self._sock = sock
        self._net = net
        self._flight = flight

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read some bytes before the call's deadline."""
        del timeout
        try:
            self._arm()
            data = self._sock.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore2.ReadTimeout from error
        except OSError as error:
            raise httpcore2.ReadError from error
        # A socket that the watchdog shut down reads as a normal end (security 12).
        if not data and self._net.remaining() <= 0:
            raise httpcore2.ReadTimeout
        self._net.progress(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all bytes before the call's deadline."""
        del timeout
        if not buffer:
            return
        self._flight.sent = True
        view = memoryview(buffer)
        try:
            while view:
                self._arm()
                count = self._sock.send(view)
                self._net.progress(count)
                view = view[count:]
        except TimeoutError as error:
            raise httpcore2.WriteTimeout from error
        except OSError as error:
            raise httpcore2.WriteError from error

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        """Encrypt, verify, and check pins before a byte of the request is sent."""
        del timeout
        host = self._net.tls.server_name or server_hostname or ""
        # A proxied tunnel has sent bytes by now, but none of the request itself.
        self._flight.sent = False
        secure = self._wrapped(ssl_context, host)
        try:
            with handshaking(host, late="http.deadline"):
                secure.do_handshake()
            self._net.tls_check(secure, host)
        except BaseException:
            secure.close()
            raise
        return NetStream(secure, self._net, self._flight)

    def _wrapped(self, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
        # Without the handshake, so that a failed one leaves something to close.
        try:
            self._arm()
            return context.wrap_socket(
                self._sock, server_hostname=host, do_handshake_on_connect=False
            )
        except BaseException:
            self.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        """What httpcore2 asks for: the TLS object, and whether an end is waiting."""
        if info == "ssl_object" and isinstance(self._sock, ssl.SSLSocket):
            return self._sock
        if info == "is_readable":
            return _readable(self._sock)
        return None

    def _arm(self) -> None:
        left = self._net.remaining()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)


class NetBackend(httpcore2.NetworkBackend):
    """Dials through the core, nowhere else."""

    def __init__(self, net: Net, flight: Flight) -> None:
        self._net = net
        self._flight = flight

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore2.NetworkStream:
        """Resolve, check and connect; the core's typed errors pass through."""
        del timeout, local_address, socket_options
        sock = self._net.connect(host, port, why="config")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return NetStream(sock, self._net, self._flight)


class NetTransport(httpx2.BaseTransport):
    """An httpx2 transport over one `NetBackend` pool of one connection."""

    def __init__(self, net: Net, *, encrypted: bool, proxy: str | None = None) -> None:
        self.flight: Flight = Flight()
        self._pool = httpcore2.ConnectionPool(
            ssl_context=net.tls_context() if encrypted else None,
            proxy=httpcore2.Proxy(proxy) if proxy else None,
            max_connections=1,
            keepalive_expiry=KEEPALIVE,
            retries=0,
            network_backend=NetBackend(net, self.flight),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; httpcore2's own errors come out as they are."""
        self.flight.sent = False
        url = request.url
        answer = self._pool.handle_request(
            httpcore2.Request(
                method=request.method,
                url=httpcore2.URL(
                    scheme=url.raw_scheme,
                    host=url.raw_host,
                    port=url.port,
                    target=url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx2.Response(
            answer.status, headers=answer.headers, stream=_Body(answer)
        )

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, answer: httpcore2.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


def _readable(sock: socket.socket) -> bool:
    try:
        sock.settimeout(0)
        # TLS sockets cannot peek; readable bytes on an idle one are a goodbye.
        if isinstance(sock, ssl.SSLSocket):
            return sock.pending() > 0 or _waiting(sock)
        sock.recv(1, socket.MSG_PEEK)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    return True


def _waiting(sock: socket.socket) -> bool:
    import select  # noqa: PLC0415 - only for idle TLS connections

    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
