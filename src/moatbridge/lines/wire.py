"""One watched socket as lines of bytes: the only I/O of this package.

Every send and receive is capped by what is left of the *current* call's deadline
(connections outlive calls), and bytes moved are reported to ``net.progress``.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Final

from moatbridge.adapter.handshake import handshaking

if TYPE_CHECKING:
    from moatbridge.adapter import Net
    from moatbridge.lines.settings import LineConfig

_PIECE: Final = 65_536


class Broken(Exception):
    """The connection cannot be used any more.

    Args:
        code: Code of the error that the caller makes of it.
        words: What happened, as the rest of a sentence.
    """

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class Wire:
    """A connection; used by one thread at a time.

    Args:
        net: The adapter's way to the network.
        config: Where to, whether encrypted, how long a line may be.
        end: What ends a line.

    Raises:
        ConfigurationError: ``net.*``.
        NotApplied: ``net.*``, ``lines.deadline``.
    """

    def __init__(self, net: Net, config: LineConfig, end: bytes) -> None:
        self._net = net
        self._end = end
        self._longest = config.max_line
        self._unread = bytearray()
        self._sock = net.connect(config.host, config.port, why="config")
        if not config.insecure_cleartext:
            self._encrypt(config.host)

    def send(self, data: bytes) -> None:
        """Send everything before the call's deadline."""
        view = memoryview(data)
        while view:
            self._arm()
            count = self._sock.send(view)
            self._net.progress(count)
            view = view[count:]

    def line(self) -> bytes:
        """The next whole line, without its end.

        Raises:
            Broken: It is too long, or the peer hung up in the middle.
            OSError: The network failed; `TimeoutError` at the deadline.
        """
        searched = 0
        while (at := self._unread.find(self._end, searched)) < 0:
            if len(self._unread) > self._longest:
                raise self._too_long()
            searched = max(0, len(self._unread) - len(self._end) + 1)
            self._unread += self._received()
        if at > self._longest:
            raise self._too_long()
        line = bytes(self._unread[:at])
        del self._unread[: at + len(self._end)]
        return line

    def check(self) -> None:
        """Look, without waiting, whether the peer is there and has said nothing more.

        Raises:
            Broken: It hung up, or an answer is there that nobody asked for.
        """
        if self._unread or self._waiting():
            words = "has more to say than it was asked"
            raise Broken("lines.out-of-step", words)

    def close(self) -> None:
        """Hang up. Never raises."""
        with contextlib.suppress(OSError):
            self._sock.close()

    def _waiting(self) -> bool:
        try:
            self._sock.settimeout(0)
            # Not peeked at, since TLS cannot: if something comes, we hang up anyway.
            said = self._sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            said = b""
        if not said:
            raise Broken("lines.closed", "has hung up")
        return True

    def _received(self) -> bytes:
        self._arm()
        piece = self._sock.recv(_PIECE)
        if not piece:
            # A socket that the watchdog shut down reads as a normal end.
            if self._net.remaining() <= 0:
                raise TimeoutError
            raise Broken("lines.broken", "hung up before its answer was whole")
        self._net.progress(len(piece))
        return piece

    def _encrypt(self, host: str) -> None:
        name = self._net.tls.server_name or host
        try:
            context = self._net.tls_context()
            with handshaking(name, late="lines.deadline"):
                self._arm()
                # Without the handshake, so that a failed one leaves one to close.
                secure = context.wrap_socket(
                    self._sock, server_hostname=name, do_handshake_on_connect=False
                )
                self._sock = secure
                secure.do_handshake()
            self._net.tls_check(secure, name)
        except BaseException:
            self.close()
            raise

    def _arm(self) -> None:
        left = self._net.remaining()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)

    def _too_long(self) -> Broken:
        words = f"sends a line of more than {self._longest} bytes (`max_line`)"
        return Broken("lines.too-large", words)
