"""The only I/O of this package: one HTTP connection over a socket the core opened.

A socket comes from ``net.connect`` (or is the proxy's tunnel), is wrapped by the core's
TLS context, and is watched by the core, which shuts it down at the deadline. What
happened is told by `Connection.sent`: whether bytes of the request under way have left.
"""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any, Final

from urllib3.connection import HTTPConnection
from urllib3.util.wait import wait_for_read

from moatbridge.errors import ConfigurationError, NotApplied

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

    from moatbridge.adapter import Net

CONNECT: Final = 10.0
SILENCE: Final = 30.0
"""Seconds between two bytes of an answer (soap 16); the total is the core's."""

IDLE: Final = 15.0
"""Seconds after which an idle connection is replaced before a write (soap 18)."""


class Connection(HTTPConnection):
    """One connection to one origin; see the module.

    Args:
        net: The adapter's way to the network.
        origin: Scheme, host and port of the peer.
        proxy: Host and port of a forward proxy.
    """

    def __init__(
        self,
        net: Net,
        origin: tuple[str, str, int],
        proxy: tuple[str, int] | None = None,
    ) -> None:
        self.scheme, host, port = origin
        super().__init__(host, port, blocksize=65536)
        self.sent = False
        self.dialled = 0
        self._net = net
        self._through = proxy
        self._used_at = 0.0

    def ready(self, *, write: bool) -> None:
        """Connect, or replace a connection that may be dead.

        An idle peer that has something to say is saying goodbye: a request sent now
        would end in doubt.

        Raises:
            ConfigurationError: ``net.*``: not allowed, or no trust.
            NotApplied: ``net.unreachable``, ``net.dns``, ``soap.unreachable``.
        """
        if self.sock is not None:
            idle = time.monotonic() - self._used_at
            if (write and idle > IDLE) or wait_for_read(self.sock, timeout=0.0):
                self.close()
        if self.sock is None:
            self.connect()
        self.sent = False

    def connect(self) -> None:
        """Dial, pass the proxy, encrypt. Nothing of a request leaves before."""
        host, port = self._through or (self.host, self.port or 0)
        self.sock = self._net.connect(host, port, why="config")
        self.dialled += 1
        try:
            self.arm(CONNECT)
            if self._through is not None and self.scheme == "https":
                self.set_tunnel(self.host, self.port)
                self._tunnel()
            if self.scheme == "https":
                self.sock = self._encrypted(self.sock)
        except (ConfigurationError, NotApplied):
            self.close()
            raise
        except Exception as error:
            self.close()
            raise _unconnected(self.host, error) from error
        except BaseException:
            self.close()
            raise
        self._used_at = time.monotonic()

    def send(self, data: Any) -> None:
        """Send bytes; from here on something may have happened."""
        self.sent = True
        super().send(data)

    def ask(
        self, method: str, target: str, body: bytes | None, headers: dict[str, str]
    ) -> BaseHTTPResponse:
        """Send one request and read the head of its answer."""
        self.timeout = self.arm(SILENCE)
        if self._through is not None and self.scheme == "http":
            target = f"http://{self._host_header()}{target}"
        self.request(
            method,
            target,
            body=body,
            headers={"Host": self._host_header(), **headers},
            preload_content=False,
        )
        self.arm(SILENCE)
        return self.getresponse()

    def arm(self, limit: float) -> float:
        """Set the socket's timeout to what is left, at most ``limit`` seconds.

        Raises:
            TimeoutError: Nothing is left.
        """
        left = min(limit, self._net.remaining())
        if left <= 0:
            raise TimeoutError
        if self.sock is not None:
            self.sock.settimeout(left)
        return left

    def rest(self) -> None:
        """Note that an answer was read to its end."""
        self._used_at = time.monotonic()

    def _encrypted(self, sock: Any) -> ssl.SSLSocket:
        context = self._net.tls_context()
        secure = context.wrap_socket(sock, server_hostname=self.host)
        try:
            self._net.tls_check(secure, self.host)
        except BaseException:
            secure.close()
            raise
        return secure

    def _host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"http": 80, "https": 443}[self.scheme]
        return host if self.port == usual else f"{host}:{self.port}"


def _unconnected(host: str, error: Exception) -> ConfigurationError | NotApplied:
    if isinstance(error, ssl.SSLCertVerificationError):
        message = f"The certificate of {host} fails check {error.verify_code}."
        return ConfigurationError(message, code="net.tls.certificate")
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        reason = (error.reason or "unknown").lower().replace("_", "-")
        message = f"No TLS with {host}: {reason}. Check port, protocol and client_cert."
        return ConfigurationError(message, code="net.tls.protocol")
    kind = "in time" if isinstance(error, TimeoutError) else type(error).__name__
    message = f"The connection to {host} could not be made ({kind}); nothing was sent."
    return NotApplied(message, code="soap.unreachable")
