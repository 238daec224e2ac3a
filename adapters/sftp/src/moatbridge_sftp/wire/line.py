"""The thin rim: one SSH channel as a line of whole packets, with times and errors.

Everything that reaches a socket goes through here. A wait ends when the core's deadline
does, after 30 s of silence, or when the server drips (under 1 kB/s over 30 s while we
wait for it); a channel that ends is never taken for an end of data.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

from paramiko import SSHException

from moatbridge_sftp.wire import faults
from moatbridge_sftp.wire.frames import Frames
from moatbridge_sftp.wire.packets import PacketError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paramiko import Channel

    from moatbridge.adapter import Net
    from moatbridge.errors import NotApplied

SILENCE: Final = 30.0
WINDOW: Final = 30.0
FLOOR: Final = 1000
"""Bytes a second below which a transfer is ended."""

LONGEST: Final = 256 * 1024 + 1024
_RECV: Final = 1024 * 1024
_FLUSH: Final = 30_000  # below the 32 KiB of one SSH packet


class Line:
    """Sends and receives whole SFTP packets. One thread.

    Args:
        channel: With the ``sftp`` subsystem running; its pipes are bounded already.
        net: Whose deadline holds.
        end: Ends the connection at once, without a word to the peer.
    """

    def __init__(self, channel: Channel, net: Net, end: Callable[[], None]) -> None:
        self._channel: Any = channel
        self._end = end
        self._net = net
        self._frames = Frames(LONGEST)
        self._unsent = bytearray()
        self._transfers = 0
        self._waited = 0.0
        self._moved = 0
        self.dead = False
        self.sent = 0
        self.received = 0

    def allow(self, longest: int) -> None:
        """Take packets up to this length from now on."""
        self._frames.longest = longest

    def send(self, packet: bytes) -> None:
        """Queue a packet; small ones leave together, at the latest before a wait."""
        self._unsent += packet
        if len(self._unsent) > _FLUSH:
            self.flush()

    def flush(self) -> None:
        """Let everything queued leave.

        Raises:
            NotApplied: ``sftp.deadline`` or ``sftp.unreachable``.
        """
        view, self._unsent = memoryview(self._unsent), bytearray()
        at = 0
        while at < len(view):
            at += self._send_some(bytes(view[at : at + 32768]))

    def receive(self) -> bytes:
        """Wait for the next packet.

        Raises:
            NotApplied: ``sftp.deadline``, ``sftp.unreachable`` or ``sftp.protocol``.
        """
        if self._unsent:
            self.flush()
        try:
            while (packet := self._frames.next()) is None:
                self._frames.feed(self._receive_some())
        except PacketError as error:
            raise self.broken(str(error)) from None
        return packet

    def broken(self, words: str) -> NotApplied:
        """End the connection; returns the error to raise."""
        self.dead = True
        self._end()
        return faults.broken_protocol(words)

    def _receive_some(self) -> bytes:
        self._channel.settimeout(self._patience())
        began = time.monotonic()
        try:
            got: bytes = self._channel.recv(_RECV)
        except TimeoutError:
            raise self._late() from None
        except (OSError, EOFError, SSHException) as error:
            raise self._lost(error) from error
        if not got:
            raise self._lost(None)
        self.received += len(got)
        self._check_pace(len(got), time.monotonic() - began)
        return got

    def _send_some(self, data: bytes) -> int:
        self._channel.settimeout(self._patience())
        try:
            count = int(self._channel.send(data))
        except TimeoutError:
            raise self._late() from None
        except (OSError, EOFError, SSHException) as error:
            raise self._lost(error) from error
        if count == 0:
            raise self._lost(None)
        self._moved += count
        self.sent += count
        return count

    @contextlib.contextmanager
    def transfer(self) -> Iterator[None]:
        """While the contents of a file move: the floor holds."""
        self._transfers += 1
        self._waited, self._moved = 0.0, 0
        try:
            yield
        finally:
            self._transfers -= 1

    def _check_pace(self, moved: int, waited: float) -> None:
        """Judge by the time spent waiting here, not by what the caller does between."""
        self._moved += moved
        self._waited += waited
        if self._waited < WINDOW:
            return
        if self._transfers and self._moved < FLOOR * WINDOW:
            raise self._late()
        self._waited, self._moved = 0.0, 0

    def _patience(self) -> float:
        left = min(SILENCE, self._net.remaining())
        if left <= 0:
            raise self._late()
        return left

    def _late(self) -> NotApplied:
        self.dead = True
        self._end()
        return faults.too_slow("waiting for an answer")

    def _lost(self, error: BaseException | None) -> NotApplied:
        self.dead = True
        if self._net.remaining() <= 0:
            return faults.too_slow("the core ended the connection")
        cause = self._channel.transport.get_exception() or error
        if isinstance(cause, SSHException):
            found = faults.broken_protocol(type(cause).__name__ + " in the SSH layer")
        else:
            found = faults.unreachable("closed the connection")
        found.__cause__ = cause
        return found
