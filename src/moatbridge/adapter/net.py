"""What the core gives every adapter: the way to the network, and a clock that ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import socket
    import ssl


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """``[systems.NAME.tls]``, for drivers that build their own context.

    Args:
        ca_file: PEM file of extra authorities; None means the system's store.
        pin: ``spki-sha256:HEX`` or ``cert-sha256:HEX``, any of them.
        pin_only: The pin replaces chain and name check (self-signed legacy hosts).
        client_cert: PEM file that shows who we are.
        client_key: Its key, when it is not in the same file.
        server_name: Name to check and to send, instead of the host's.
        min: Lowest protocol version.
        strict_x509: False accepts old authorities without key usage (still verified).
    """

    ca_file: str | None = None
    pin: tuple[str, ...] = ()
    pin_only: bool = False
    client_cert: str | None = None
    client_key: str | None = None
    server_name: str | None = None
    min: Literal["1.2", "1.3"] = "1.2"
    strict_x509: bool = True


class Address(NamedTuple):
    """One resolved and permitted network address."""

    host: str
    port: int


class Net(ABC):
    """Set on ``adapter.net`` before ``open``; the only way out of the process.

    Thread rule: used by the thread that uses the adapter. All methods obey the total
    deadline of the current call. Sources: security 10-30.
    """

    tls: TlsSettings

    @abstractmethod
    def connect(self, host: str, port: int, *, why: str) -> socket.socket:
        """Resolve, check the egress policy, connect, and watch the socket.

        Args:
            host: Name or address; must be one of the system's endpoints.
            port: TCP port.
            why: Where the address came from (``config``, ``srv``), for the audit.

        Returns:
            A connected, blocking TCP socket. The core shuts it down at the deadline.

        Raises:
            ConfigurationError: ``net.egress`` or ``net.address``: not allowed.
            NotApplied: ``net.dns`` or ``net.unreachable``.
        """

    @abstractmethod
    def resolve(self, host: str, port: int, *, why: str) -> Address:
        """Like `connect`, for drivers that dial themselves: a checked address.

        Give the driver the address to dial and, beside it, ``host`` for the TLS name.
        """

    @abstractmethod
    def watch(self, sock: socket.socket | int) -> None:
        """Let the core shut this socket down at the deadline (it keeps a dup).

        For sockets that a driver opened itself; a file descriptor number will do.
        """

    @abstractmethod
    def progress(self, count: int) -> None:
        """Report bytes moved; above the transfer floor they prolong the call."""

    def asked(self) -> None:  # noqa: B027 - nothing happens in a net without quotas
        """Report that a request is sent, where one call may send several of them.

        The quota counts requests: those beyond the first are paid by the next call.
        """

    def quota(
        self,
        *,
        retry_after: float | None = None,
        remaining: float | None = None,
        reset: float | None = None,
    ) -> None:
        """Report what an answer said about the peer's own quota, if it said anything.

        The core obeys, for every worker. A refusal that the adapter raises or returns
        with ``retry_after`` needs no report. Nothing happens in a `Net` without quotas.

        Args:
            retry_after: Seconds to wait before the next call.
            remaining: Calls that are left in the peer's window.
            reset: Seconds until that window starts again.
        """
        del retry_after, remaining, reset

    @abstractmethod
    def tls_context(self) -> ssl.SSLContext:
        """A verifying client context made from the system's ``tls`` settings.

        TLS >= 1.2, host names checked, the operating system's store unless ``ca_file``
        is set. There is no way to switch verification off.
        """

    @abstractmethod
    def tls_check(self, sock: ssl.SSLSocket | ssl.SSLObject, host: str) -> None:
        """Check pins after the handshake; does nothing when none are configured.

        Raises:
            ConfigurationError: ``net.tls.pin``, with both fingerprints.
        """

    @abstractmethod
    def remaining(self) -> float:
        """Seconds until the current call's deadline (at least 0)."""
