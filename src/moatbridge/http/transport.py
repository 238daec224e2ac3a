"""The general transport: httpx2 over a `Channel`, for proxies or where asked for.

``httpx2``'s own transport takes no network backend, so this one builds the
``httpcore2`` pool itself.

Loaded lazily: this module imports httpx2.
"""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any

import httpcore2
import httpx2

from moatbridge.http.channel import KEEPALIVE, Channel, Flight

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from moatbridge.adapter import Net


class NetStream(httpcore2.NetworkStream):
    """A `Channel` that raises what httpcore2 expects."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read some bytes before the call's deadline."""
        del timeout
        try:
            return self._channel.read(max_bytes)
        except TimeoutError as error:
            raise httpcore2.ReadTimeout from error
        except OSError as error:
            raise httpcore2.ReadError from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all bytes before the call's deadline."""
        del timeout
        try:
            self._channel.write(buffer)
        except TimeoutError as error:
            raise httpcore2.WriteTimeout from error
        except OSError as error:
            raise httpcore2.WriteError from error

    def close(self) -> None:
        """Close the socket."""
        self._channel.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        """Encrypt, verify, and check pins before a byte of the request is sent."""
        del timeout
        return NetStream(self._channel.encrypted(ssl_context, server_hostname))

    def get_extra_info(self, info: str) -> Any:
        """What httpcore2 asks for: the TLS object, and whether an end is waiting."""
        if info == "ssl_object" and isinstance(self._channel.sock, ssl.SSLSocket):
            return self._channel.sock
        if info == "is_readable":
            return not self._channel.goes_on()
        return None


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
        return NetStream(Channel.dial(host, port, self._net, self._flight))


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


class GeneralTransport:
    """`WireTransport`'s three methods over a client of httpx2.

    Args:
        net: The adapter's way to the network.
        headers: Sent with every request, unless the request brings its own.
        encrypted: TLS to the server.
        proxy: URL of a forward proxy.
    """

    def __init__(
        self,
        net: Net,
        headers: Mapping[str, str],
        *,
        encrypted: bool,
        proxy: str | None = None,
    ) -> None:
        # Their INFO line prints the whole URL (platforms 6).
        for name in ("httpx2", "httpcore2"):
            logger = logging.getLogger(name)
            logger.setLevel(max(logger.level, logging.WARNING))
        transport = NetTransport(net, encrypted=encrypted, proxy=proxy)
        self.flight: Flight = transport.flight
        self._client = httpx2.Client(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # the channel obeys the call's total deadline
            headers=dict(headers),
        )

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | Iterable[bytes] | None,
    ) -> GeneralAnswer:
        """Send one request and read the head of its answer; raises httpx2's errors."""
        self.flight.sent = False
        request = self._client.build_request(
            method, url, content=content, headers=dict(headers)
        )
        return GeneralAnswer(self._client.send(request, stream=True))

    def close(self) -> None:
        """Close every connection."""
        self._client.close()


class GeneralAnswer:
    """One answer whose head has come."""

    __slots__ = ("_answer", "headers", "lines", "status")

    def __init__(self, answer: httpx2.Response) -> None:
        self.status: int = answer.status_code
        self.headers: dict[str, str] = {
            name.lower(): value for name, value in answer.headers.items()
        }
        self.lines: int = len(answer.headers.raw)
        self._answer = answer

    def pieces(self) -> Iterator[bytes]:
        """The body without its content coding, as it comes."""
        yield from self._answer.iter_bytes()

    def close(self) -> None:
        """Let go of the connection."""
        self._answer.close()
