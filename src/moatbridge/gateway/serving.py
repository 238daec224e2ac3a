"""The gateway as a server of its own: uvicorn, with a deadline for request heads.

uvicorn keeps a connection whose request head never ends for as long as the peer likes;
`HeadDeadline` closes it. Bodies have their own deadline (`bodies`).
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.gateway.hygiene import MAX_HEAD

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from moatbridge.gateway.app import Gateway

HEAD_SECONDS: Final = 10.0
"""In which a request's head must be complete."""

_PIECE: Final = 4096
_BLANKS: Final = re.compile(rb"[ \t]{1024}")

CONNECTIONS: Final = 512
DRAIN: Final = 20


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen.

    Args:
        host: Address.
        port: TCP port; 0 takes a free one.
        certificate: PEM file; without it the connection is in clear.
        key: Its key.
        behind_proxy: Something in front of us holds the TLS.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    certificate: str | None = None
    key: str | None = None
    behind_proxy: bool = False

    def check(self) -> None:
        """Refuse to speak in clear to more than this machine.

        Raises:
            ConfigurationError: ``gateway.cleartext``.
        """
        local = self.host in {"127.0.0.1", "::1", "localhost"}
        if not (local or self.certificate or self.behind_proxy):
            raise ConfigurationError(
                f"Listening on {self.host} without TLS would show every delivery to "
                "the network. Give --tls-cert and --tls-key, or --behind-proxy where "
                "a proxy holds the TLS.",
                code="gateway.cleartext",
            )


def serve(
    gateway: Gateway, listen: Listen, *, listening: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or Ctrl-C; then end running requests (20 s) and return.

    Call it on the main thread.

    Args:
        gateway: What answers.
        listen: Where.
        listening: Called with our address once connections are accepted.

    Raises:
        ConfigurationError: ``gateway.cleartext``, ``gateway.tls``.
        NotApplied: ``gateway.port``: the address is taken.
    """
    listen.check()
    with _socket(listen) as bound:
        server = uvicorn.Server(_config(gateway, listen))
        scheme = "https" if listen.certificate else "http"
        host, port = bound.getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        listening(f"{scheme}://{name}:{port}")
        server.run(sockets=[bound])


def _config(gateway: Gateway, listen: Listen) -> uvicorn.Config:
    config = uvicorn.Config(
        gateway.app,
        http=HeadDeadline,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        h11_max_incomplete_event_size=MAX_HEAD,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=DRAIN,
        ssl_certfile=listen.certificate,
        ssl_keyfile=listen.key,
    )
    try:
        config.load()
    except OSError as error:
        raise ConfigurationError(
            f"The TLS certificate or key cannot be used ({type(error).__name__}).",
            code="gateway.tls",
        ) from None
    return config


def _socket(listen: Listen) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        return socket.create_server(
            (listen.host, listen.port), family=family, backlog=1024
        )
    except OSError as error:
        raise NotApplied(
            f"Cannot listen on {listen.host} port {listen.port} "
            f"({type(error).__name__}); is another server running there?",
            code="gateway.port",
        ) from None


class HeadDeadline(H11Protocol):
    """Closes a connection whose next request's head is not complete in time.

    Or whose unfinished line is full of blanks: h11 0.16 tries each pair of ends on a
    run that it refuses after all, eight seconds of CPU for 64 KiB of them. So what
    comes is handed over in pieces, and a run is never longer than one of them and
    `_BLANKS` together.
    """

    seconds = HEAD_SECONDS
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start waiting for the first head."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Wait on while a head is incomplete; stop once it is there."""
        for at in range(0, len(data), _PIECE):
            if self.transport.is_closing():
                return
            super().data_received(data[at : at + _PIECE])
            if _BLANKS.search(self._unfinished()):
                self._forget()
                self.transport.close()
                return
        if self._between_requests():
            self._await_head()
        else:
            self._forget()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._forget()
        super().connection_lost(exc)

    def _unfinished(self) -> bytes:
        """The beginning of a line, head or trailer whose end has not come."""
        if self.conn.their_state not in {h11.IDLE, h11.SEND_BODY}:
            return b""  # a request that came too early waits whole
        left: bytes = self.conn.trailing_data[0]
        return left

    def _between_requests(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is None or cycle.response_complete

    def _await_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.seconds, self._expired)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self) -> None:
        self._timer = None
        if self._between_requests() and not self.transport.is_closing():
            self.transport.close()
