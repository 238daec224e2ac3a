"""What a server may make paramiko hold: bounds on bytes, packets, prompts and lines.

paramiko reads a banner line of any length, a packet of up to 4 GiB, as many prompts as
four bytes can claim, and keeps whatever a server sends beyond the window. All of that
happens in its thread, before or beside our own code. The classes here are given to it
through its public arguments, and an error they raise ends the connection.
"""

from __future__ import annotations

import collections
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from paramiko import SSHException
from paramiko.buffered_pipe import BufferedPipe, PipeTimeout
from paramiko.common import MSG_KEXINIT, MSG_USERAUTH_INFO_REQUEST
from paramiko.packet import Packetizer

from moatbridge_sftp.wire.packets import PacketError, Reader

if TYPE_CHECKING:
    import socket

    from paramiko.message import Message

BEFORE_LOGIN: Final = 1024 * 1024
"""Bytes a server may send until we are logged in; OpenSSH sends under 10 KiB."""

STUCK: Final = 30.0
"""Seconds that a send may wait for a peer that takes nothing."""

PACKET: Final = 512 * 1024
PROMPTS: Final = 16
_COOKIE: Final = 16  # random bytes in front
_LISTS: Final = ("kex", "host_key", "cipher", "", "mac")


class ServerSentTooMuchError(SSHException):  # type: ignore[misc] # paramiko has no types
    """A bound of this module was passed; the text names it."""


class _CountedSocket:
    """A socket for the packetizer that ends when the login sends too much."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._left: int | None = BEFORE_LOGIN
        self._stuck = 0.0
        self.close = sock.close
        self.settimeout = sock.settimeout

    def send(self, data: bytes) -> int:
        """As the socket, but not for ever: paramiko repeats a send that timed out."""
        began = time.monotonic()
        try:
            count = self._sock.send(data)
        except TimeoutError:
            self._stuck += time.monotonic() - began
            if self._stuck > STUCK:
                msg = "the peer takes no bytes"
                raise ConnectionAbortedError(msg) from None
            raise
        self._stuck = 0.0
        return count

    def recv(self, count: int) -> bytes:
        got: bytes = self._sock.recv(count)
        if self._left is not None:
            self._left -= len(got)
            if self._left < 0:
                msg = f"more than {BEFORE_LOGIN} bytes before the login"
                raise ServerSentTooMuchError(msg)
        return got

    def unbound(self) -> None:
        self._left = None


class BoundedPacketizer(Packetizer):  # type: ignore[misc] # paramiko has no types
    """A packetizer with bounds; it also keeps what the server offered.

    Attributes:
        offered: The server's lists of algorithms by role, once it sent them.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._counted = _CountedSocket(sock)
        self.offered: dict[str, str] = {}
        super().__init__(self._counted)

    def logged_in(self) -> None:
        """From now on as much as the server likes."""
        self._counted.unbound()

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """See `Packetizer.read_all`; refuses a packet longer than `PACKET`."""
        if n > PACKET:
            msg = f"a packet of {n} bytes"
            raise ServerSentTooMuchError(msg)
        got: bytes = super().read_all(n, check_rekey)
        return got

    def read_message(self) -> tuple[int, Message]:
        """See `Packetizer.read_message`; looks at two kinds of messages first."""
        kind, message = super().read_message()
        if kind == MSG_KEXINIT:
            self.offered = _offered(message.asbytes())
        elif kind == MSG_USERAUTH_INFO_REQUEST:
            _check_prompts(message.asbytes())
        return kind, message


def _offered(payload: bytes) -> dict[str, str]:
    reader = Reader(payload, _COOKIE)
    try:
        lists = [reader.string()[:2000].decode("ascii", "replace") for _ in _LISTS]
    except PacketError:
        return {}
    return {role: names for role, names in zip(_LISTS, lists, strict=True) if role}


def _check_prompts(payload: bytes) -> None:
    reader = Reader(payload)
    try:
        _ = reader.string(), reader.string(), reader.string()  # title, text, language
        count = reader.uint32()
    except PacketError as error:
        raise ServerSentTooMuchError(str(error)) from None
    if count > PROMPTS:
        msg = f"{count} prompts in one login step"
        raise ServerSentTooMuchError(msg)


class BoundedPipe(BufferedPipe):  # type: ignore[misc] # paramiko has no types
    """Bytes from paramiko's thread to ours, in the pieces they came in.

    paramiko's own copies every byte twice and moves what is left at each read.

    Args:
        longest: Bytes it may hold; more ends the connection.
    """

    def __init__(self, longest: int) -> None:
        super().__init__()
        self._longest = longest
        self._pieces: collections.deque[bytes] = collections.deque()
        self._held = 0
        self._filled = threading.Condition(self._lock)

    def __len__(self) -> int:
        return self._held

    def feed(self, data: bytes) -> None:
        """Add bytes; called in paramiko's thread."""
        with self._lock:
            self._held += len(data)
            if self._held > self._longest:
                msg = f"more than {self._longest} bytes that nobody asked for"
                raise ServerSentTooMuchError(msg)
            self._pieces.append(data)
            self._filled.notify()

    def read_ready(self) -> bool:
        """Whether `read` would return at once."""
        return bool(self._pieces)

    def read(self, nbytes: int, timeout: float | None = None) -> bytes:
        """The next piece (cut at ``nbytes``); empty once closed and read out.

        Raises:
            PipeTimeout: Nothing came in time.
        """
        with self._lock:
            if not self._pieces and not self._closed:
                self._wait(timeout)
            if not self._pieces:
                return b""
            piece = self._pieces.popleft()
            if len(piece) > nbytes:
                self._pieces.appendleft(piece[nbytes:])
                piece = piece[:nbytes]
            self._held -= len(piece)
            return piece

    def empty(self) -> bytes:
        """Take everything."""
        with self._lock:
            whole = b"".join(self._pieces)
            self._pieces.clear()
            self._held = 0
            return whole

    def close(self) -> None:
        """No more will come; `read` returns what is left, then nothing."""
        with self._lock:
            self._closed = True
            self._filled.notify_all()

    def _wait(self, timeout: float | None) -> None:
        until = None if timeout is None else time.monotonic() + timeout
        while not self._pieces and not self._closed:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                raise PipeTimeout
            self._filled.wait(left)


class DroppingPipe(BoundedPipe):
    """For the channel's error text, which we neither show nor keep."""

    def feed(self, data: bytes) -> None:
        """Count and drop."""
        with self._lock:
            self._held += len(data)
            if self._held > self._longest:
                msg = f"more than {self._longest} bytes of error text"
                raise ServerSentTooMuchError(msg)


def bound(channel: Any, longest: int) -> None:
    """Put bounded pipes into a channel that has not carried a byte yet."""
    channel.in_buffer = BoundedPipe(longest)
    channel.in_stderr_buffer = DroppingPipe(64 * 1024)
