"""The SSH connection: socket, key exchange, host key, login, channel. In that order.

`paramiko.Transport` on a socket of the core's `Net`; not `SSHClient`, no agent, no key
search, no ``~/.ssh/config``. The host key is compared before a user name or credential
leaves. paramiko runs one thread per connection: never fork with one open.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from paramiko import ChannelException, IncompatiblePeer, SSHException, Transport

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_sftp.wire import algorithms, faults, hostkeys
from moatbridge_sftp.wire.bounds import BoundedPacketizer, bound
from moatbridge_sftp.wire.login import log_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from paramiko import Channel

    from moatbridge.adapter import Net
    from moatbridge_sftp.storage.base import SshAuth

    T = TypeVar("T")

HANDSHAKE: Final = 15.0
CHANNEL: Final = 30.0
KEEPALIVE: Final = 30
_WINDOW: Final = 64 * 1024 * 1024
_PACKET: Final = 256 * 1024
_LEAST_HELD: Final = 2 * 1024 * 1024
_SLACK: Final = 1024 * 1024
_LOG: Final = "moatbridge.sftp.ssh"
_log = logging.getLogger(_LOG)
_log.setLevel(logging.WARNING)
# What paramiko's thread fails on is attached to our error; its tracebacks stay out.
_log.addFilter(lambda record: record.levelno < logging.ERROR)


class Peer(NamedTuple):
    """One SSH server and what is allowed with it."""

    user: str
    host: str
    port: int
    pins: hostkeys.Pins
    auth: SshAuth
    legacy: tuple[str, ...]


class Connection:
    """A logged-in SSH connection. One thread; `abort` from any.

    Args:
        transport: After key exchange and login.
        sock: What it runs on: a socket, or a channel of a jump host.
        below: The connection to the jump host, closed with this one.
        methods: How we logged in.
    """

    def __init__(
        self, transport: Any, sock: Any, below: Connection | None, methods: str
    ) -> None:
        self.transport = transport
        self.methods = methods
        self._sock = sock
        self._below = below

    def open_sftp(self, in_flight: int, net: Net) -> Channel:
        """A channel with the ``sftp`` subsystem and bounded pipes.

        Raises:
            ConfigurationError: ``sftp.no-subsystem``.
            NotApplied: ``sftp.unreachable``, ``sftp.deadline``, ``sftp.protocol``.
        """
        left = min(CHANNEL, net.remaining())
        channel = _guarded(
            net,
            lambda: self.transport.open_session(
                min(4 * in_flight, _WINDOW), _PACKET, left
            ),
        )
        bound(channel, max(in_flight, _LEAST_HELD) + _SLACK)
        channel.settimeout(left)
        try:
            channel.invoke_subsystem("sftp")
        except SSHException:
            if not self.transport.is_active():
                raise faults.unreachable("closed the connection") from None
            raise no_subsystem() from None
        return channel

    def open_tunnel(self, host: str, port: int, net: Net) -> Channel:
        """A channel to a server behind this one (``direct-tcpip``)."""
        left = min(CHANNEL, net.remaining())
        opened: Channel = _guarded(
            net,
            lambda: self.transport.open_channel(
                "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=left
            ),
        )
        return opened

    def algorithms(self) -> dict[str, str]:
        """The agreed ones by role."""
        transport = self.transport
        offered = transport.packetizer.offered.get("kex", "").split(",")
        ours = transport.get_security_options().kex
        cipher = str(transport.remote_cipher)
        return {
            "kex": next((name for name in ours if name in offered), "unknown"),
            "host_key": str(transport.host_key_type),
            "cipher": cipher,
            "mac": "in the cipher" if "-gcm" in cipher else str(transport.remote_mac),
        }

    def close(self) -> None:
        """End it and the one below. Idempotent, never raises."""
        self.close_own()
        if self._below is not None:
            self._below.close()

    def close_own(self) -> None:
        """End it, but keep the connection to the jump host."""
        if self._below is None:
            self.abort()
        with contextlib.suppress(Exception):
            self.transport.close()
        self.transport.join(2.0)
        with contextlib.suppress(OSError):
            self._sock.close()

    def abort(self) -> None:
        """Shut the socket down; from any thread, never blocks, never raises."""
        if self._below is not None:
            self._below.abort()
        elif isinstance(self._sock, socket.socket):
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)


def no_subsystem() -> ConfigurationError:
    """What to say to a server that lets us in and has no SFTP for us."""
    return faults.misconfigured(
        "no-subsystem",
        "The server let us in but refused SFTP: this may be a shell only account. Ask "
        "its owner for the subsystem `sftp`.",
    )


def connect(peer: Peer, net: Net, below: Connection | None = None) -> Connection:
    """Connect and log in.

    Args:
        peer: The server.
        net: Gives the socket, and its deadline holds.
        below: Reach it through this jump host.

    Raises:
        ConfigurationError: ``sftp.host-key``, ``sftp.algorithms``, ``sftp.auth``,
            ``sftp.key``.
        NotApplied: ``sftp.unreachable``, ``sftp.deadline``, ``sftp.protocol``.
    """
    connection = _verified(peer, net, below)
    try:
        connection.methods = log_in(connection.transport, peer.user, peer.auth, net)
        connection.transport.packetizer.logged_in()
        connection.transport.set_keepalive(KEEPALIVE)
    except BaseException:
        connection.close_own()
        raise
    return connection


def _verified(peer: Peer, net: Net, below: Connection | None) -> Connection:
    """A connection whose host key is a pinned one.

    A fingerprint does not tell the type of its key, and a server shows one key of
    several: where the first is another one, its other types are asked for, each on a
    connection of its own that carries nothing but the key exchange.
    """
    connection, refusal = _shown(peer, net, below, None)
    if refusal is None:
        return connection
    transport = connection.transport
    offered = transport.packetizer.offered.get("host_key", "")
    for kinds in hostkeys.families(offered, str(transport.host_key.get_name())):
        connection, second = _shown(peer, net, below, kinds)
        if second is None:
            return connection
    raise refusal


def _shown(
    peer: Peer, net: Net, below: Connection | None, kinds: tuple[str, ...] | None
) -> tuple[Connection, ConfigurationError | None]:
    """Exchange keys; a connection with the wrong host key is closed and refused."""
    offered = algorithms.offer(peer.legacy)
    sock = _dial(peer, net, below)
    connection = Connection(_transport(sock, offered, peer.pins), sock, below, "")
    transport = connection.transport
    if kinds is not None:
        transport.get_security_options().key_types = kinds
    try:
        _shake_hands(transport, net)
        key = _guarded(net, transport.get_remote_server_key)
        algorithms.check_strict(offered, agreed=transport.agreed_on_strict_kex)
    except BaseException:
        connection.close_own()
        raise
    try:
        hostkeys.check(key.asbytes(), peer.pins, peer.host, peer.port)
    except ConfigurationError as refusal:
        connection.close_own()
        return connection, refusal
    return connection, None


def show_host_keys(
    host: str, port: int, net: Net, legacy: tuple[str, ...]
) -> list[str]:
    """Fingerprint and type of each kind of host key that a server offers.

    One connection per kind; nothing is sent but the key exchange.
    """
    found: list[str] = []
    for kind in ("ssh-ed25519", "rsa-sha2-512", "ecdsa-sha2-nistp256"):
        offered = algorithms.offer(legacy)
        sock = net.connect(host, port, why="config")
        transport = _transport(sock, offered, hostkeys.Pins((), ()))
        transport.get_security_options().key_types = (kind,)
        connection = Connection(transport, sock, None, "")
        try:
            _shake_hands(transport, net)
            key = _guarded(net, transport.get_remote_server_key)
            found.append(f"{hostkeys.fingerprint(key.asbytes())} ({key.get_name()})")
        except ConfigurationError:  # it has no key of that kind
            continue
        finally:
            connection.close()
    return found


class IncompatiblePeerError(Exception):
    """No common algorithm; carries nothing."""


def _dial(peer: Peer, net: Net, below: Connection | None) -> Any:
    if below is not None:
        return below.open_tunnel(peer.host, peer.port, net)
    try:
        return net.connect(peer.host, peer.port, why="config")
    except NotApplied as error:
        if error.code != "net.unreachable":
            raise
        raise faults.unreachable(f"{peer.host}:{peer.port} does not answer") from error


def _transport(sock: Any, offered: algorithms.Offer, pins: hostkeys.Pins) -> Any:
    transport: Any = Transport(
        sock, strict_kex=True, packetizer_class=BoundedPacketizer
    )
    transport.set_log_channel(_LOG)
    transport.daemon = True
    options = transport.get_security_options()
    options.ciphers, options.digests = offered.ciphers, offered.macs
    options.key_types = algorithms.key_types(options.key_types, pins.algorithms)
    options.compression = ("none",)
    return transport


def _shake_hands(transport: Any, net: Net) -> None:
    left = min(HANDSHAKE, net.remaining())
    transport.banner_timeout = transport.handshake_timeout = left
    try:
        _guarded(net, lambda: transport.start_client(timeout=left))
    except IncompatiblePeerError:
        options = transport.get_security_options()
        ours = {
            "kex": options.kex,
            "host_key": options.key_types,
            "cipher": options.ciphers,
            "mac": options.digests,
        }
        raise algorithms.no_common(ours, transport.packetizer.offered) from None
    if not transport.initial_kex_done:
        raise faults.too_slow("the key exchange")


def _guarded(net: Net, call: Callable[[], T]) -> T:
    """Run a call of paramiko; what it raises becomes ours."""
    try:
        return call()
    except IncompatiblePeer:
        raise IncompatiblePeerError from None
    except ChannelException as error:
        words = f"refused the channel (code {error.code})"
        raise faults.unreachable(words) from error
    except (SSHException, EOFError, OSError) as error:
        if net.remaining() <= 0:
            raise faults.too_slow("connecting") from error
        if type(error) is SSHException and "banner" in str(error):
            raise faults.unreachable("did not greet as an SSH server") from error
        if isinstance(error, SSHException):
            words = f"{type(error).__name__} in the SSH layer"
            raise faults.broken_protocol(words) from error
        raise faults.unreachable("closed the connection") from error
