"""``[gateway]``: what the world may call (gateway 2)."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from moatbridge.adapter import Secret  # noqa: TC001 - pydantic reads it
from moatbridge.config.durations import Duration, Time  # noqa: TC001 - pydantic reads it
from moatbridge.config.systems import Table

MIB: Final = 1024 * 1024
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def _host(text: str) -> str:
    host = text.lower()
    if not host or not host.isascii() or set(host) & set("/@? #"):
        msg = "must be a host name or address, without scheme or port"
        raise ValueError(msg)
    return host


def _public_url(url: str) -> str:
    parts = urlsplit(url)
    local = parts.hostname in _LOOPBACK
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        msg = "must be an https URL (http is possible on this machine only)"
        raise ValueError(msg)
    if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        msg = "must name a host, without user information, query or fragment"
        raise ValueError(msg)
    return url.rstrip("/")


_REPLAYED: Final = 2 * 3600.0
"""Seconds for which a signed delivery can be sent again and be believed: its time may
be an hour off either way."""


class InboxConfig(Table):
    """``[gateway.inbox.SYSTEM]``: opens ``/in/SYSTEM`` for the system's deliveries.

    Args:
        max_body: Bytes of one delivery; None: as `GatewayConfig.max_body`.
        max_backlog: Unread deliveries from which on the sender is told to wait.
        keep_ids: For how long a repeated delivery is recognised.
    """

    max_body: int | None = Field(default=None, ge=1024, le=64 * MIB, strict=True)
    max_backlog: int = Field(default=100_000, ge=1, strict=True)
    keep_ids: Duration = Field(default=30 * 86400.0, ge=_REPLAYED)


class GatewayConfig(Table):
    """``[gateway]``.

    Args:
        public_url: Under which the world reaches us; the only source of URLs we emit.
        allowed_hosts: Host names we answer to; empty: the host of ``public_url``.
        ready_token: Bearer token for ``/readyz`` and ``/metrics`` from other machines;
            None: this machine only.
        max_body: Bytes of one request's body.
        body_deadline: Seconds in which a request must have arrived whole.
        threads: Threads that read deliveries.
        queue: Requests that may wait for a thread; more are told to come back.
        min_free: Share of the ledger's disk that must be free to accept anything.
        inbox: System -> its inbox.
    """

    public_url: Annotated[str, AfterValidator(_public_url)]
    allowed_hosts: tuple[Annotated[str, AfterValidator(_host)], ...] = ()
    ready_token: Secret | None = None
    max_body: int = Field(default=MIB, ge=1024, le=64 * MIB, strict=True)
    body_deadline: Time = 10.0
    threads: int = Field(default=8, ge=1, le=64, strict=True)
    queue: int = Field(default=64, ge=1, le=10_000, strict=True)
    min_free: float = Field(default=0.05, ge=0.0, lt=1.0)
    inbox: dict[str, InboxConfig] = Field(default_factory=dict)

    @property
    def hosts(self) -> frozenset[str]:
        """Host names we answer to."""
        own = urlsplit(self.public_url).hostname or ""
        return frozenset(self.allowed_hosts or (own,))
