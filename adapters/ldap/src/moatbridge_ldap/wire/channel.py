"""The socket: whole LDAP messages in, bytes out. Nothing else reads or writes one.

Messages are numbered; answers may come in any order (RFC 4511 3.1), so an answer to
another request than the one being awaited waits in that request's queue. All queues
together hold at most 64 MiB. After any fault the channel is closed: what else was
outstanding is unanswered.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import MoatbridgeError
from moatbridge_ldap.wire import messages
from moatbridge_ldap.wire.errors import lost, protocol
from moatbridge_ldap.wire.port import Done

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge_ldap.wire.layout import Layouts
    from moatbridge_ldap.wire.messages import Names
    from moatbridge_ldap.wire.port import Message

RECEIVE: Final = 256 << 10
MAX_QUEUED: Final = 64 << 20
OVERHEAD: Final = 512
"""What a queued message costs beyond its bytes: tiny ones must not count as nothing."""
DISCONNECTION: Final = "1.3.6.1.4.1.1466.20036"


class Channel:
    """Numbered requests and their answers over one socket.

    Args:
        sock: Connected; blocking. The core shuts it down at the deadline.
        server: Url, for messages.
        progress: Told how many bytes arrived (`Net.progress`).
    """

    def __init__(
        self, sock: socket.socket, server: str, progress: Callable[[int], None]
    ) -> None:
        self.sock = sock
        self.server = server
        self.closed = False
        self.sent = 0
        self.received = 0
        self._progress = progress
        self._buffer = b""
        self._at = 0
        self._last_id = 0
        self._names: dict[int, Names | None] = {}
        self._queues: dict[int, deque[tuple[Message, int]]] = {}
        self._abandoned: set[int] = set()
        self._queued = 0

    @property
    def clean(self) -> bool:
        """Nothing received that nobody has asked for: TLS may start."""
        return self._at == len(self._buffer) and not self._queues

    def number(self, names: Names | None = None) -> int:
        """A new message id, whose answers will be kept."""
        self._last_id = self._last_id % 0x7FFFFFFF + 1
        self._names[self._last_id] = names
        self._queues[self._last_id] = deque()
        return self._last_id

    def write(self, data: bytes) -> None:
        """Hand the bytes to the socket.

        Raises:
            NotApplied: ``ldap.lost``; some of the bytes may have left.
        """
        if self.closed:
            raise lost(f"The session with {self.server} is closed.")
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise self.fail(
                lost(
                    f"The connection to {self.server} broke while sending "
                    f"({type(error).__name__})."
                )
            ) from None
        self.sent += 1

    def answer(self, message_id: int) -> Message:
        """The next answer to this request; a `Done` ends it.

        Raises:
            NotApplied: ``ldap.lost`` or ``ldap.protocol``; the channel is closed.
        """
        return self.take(message_id)[0]

    def take(self, message_id: int) -> tuple[Message, int]:
        """As `answer`, with the size of the message in bytes."""
        queue = self._queues[message_id]
        while True:
            if queue:
                message, size = queue.popleft()
                self._queued -= size + OVERHEAD
            else:
                found, message, size = self._receive()
                if found != message_id:
                    self._keep(found, message, size)
                    continue
            if isinstance(message, Done):
                self._forget(message_id)
            return message, size

    def drain(
        self, message_id: int, number: bytes, layouts: Layouts, found: list[Any]
    ) -> int:
        """Wait for a message, then let the layouts read this request's entries.

        Args:
            message_id: Of the request.
            number: The same as it stands in messages: length and bytes.
            layouts: The readers.
            found: What they make is appended here.

        Returns:
            How many bytes they took; 0: the next answer is none of those.

        Raises:
            NotApplied: ``ldap.lost`` or ``ldap.protocol``; the channel is closed.
        """
        if self._queues[message_id]:
            return 0
        self._at, _ = self._whole()
        before = self._at
        self._at = layouts.take(self._buffer, before, number, found)
        return self._at - before

    def abandon(self, message_id: int) -> None:
        """Ask the server to stop, and ignore what still comes. Never raises."""
        if message_id not in self._queues:
            return
        sizes = (size + OVERHEAD for _, size in self._queues[message_id])
        self._queued -= sum(sizes)
        self._forget(message_id)
        self._abandoned.add(message_id)
        with contextlib.suppress(MoatbridgeError):
            number = self.number()
            self._forget(number)
            self.write(messages.frame(number, messages.abandon(message_id)))

    def fail(self, error: MoatbridgeError) -> MoatbridgeError:
        """Close, and hand the error back to be raised."""
        self.close()
        return error

    def close(self) -> None:
        """Close the socket. Idempotent, never raises."""
        self.closed = True
        self._buffer, self._at = b"", 0
        for queue in self._queues.values():
            queue.clear()
        with contextlib.suppress(OSError):
            self.sock.close()

    def abort(self) -> None:
        """Shut the socket down, from any thread."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def _forget(self, message_id: int) -> None:
        del self._queues[message_id], self._names[message_id]

    def _keep(self, message_id: int, message: Message, size: int) -> None:
        self._queues[message_id].append((message, size))
        self._queued += size + OVERHEAD
        if self._queued > MAX_QUEUED:
            raise self.fail(protocol("answers to other requests fill the memory"))

    def _receive(self) -> tuple[int, Message, int]:
        while True:
            at, end = self._whole()
            try:
                found = self._decode(at, end)
            except MoatbridgeError as error:
                raise self.fail(error) from None
            except IndexError:
                raise self.fail(protocol("an element is cut off")) from None
            if found is not None:
                return (*found, end - at)

    def _decode(self, at: int, end: int) -> tuple[int, Message] | None:
        buf = self._buffer
        message_id, kind, start, stop = messages.split(buf, at, end)
        known = message_id in self._queues
        if message_id in self._abandoned:
            if kind in messages.DONE_TAGS:
                self._abandoned.discard(message_id)
            return None
        names = self._names.get(message_id)
        message = messages.decode(buf, kind, start, stop, end, names)
        if message_id == 0:
            raise self._unsolicited(message)
        if not known:
            raise protocol("an answer to a request that was never sent")
        return message_id, message

    def _unsolicited(self, message: Message) -> MoatbridgeError:
        if isinstance(message, Done) and message.oid == DISCONNECTION:
            return lost(f"{self.server} announced that it closes the connection.")
        return protocol("an unsolicited message of unknown kind")

    def _whole(self) -> tuple[int, int]:
        """Start and end of the next whole message in the buffer."""
        while True:
            try:
                end = messages.message_end(self._buffer, self._at)
            except MoatbridgeError as error:
                raise self.fail(error) from None
            if end is not None and end <= len(self._buffer):
                at, self._at = self._at, end
                return at, end
            self._fill(0 if end is None else end - self._at)

    def _fill(self, needed: int) -> None:
        chunks = [self._buffer[self._at :]]
        have = len(chunks[0])
        while True:
            chunk = self._read()
            chunks.append(chunk)
            have += len(chunk)
            if have >= needed:
                break
        self._buffer, self._at = b"".join(chunks), 0

    def _read(self) -> bytes:
        if self.closed:
            raise lost(f"The session with {self.server} is closed.")
        try:
            chunk = self.sock.recv(RECEIVE)
        except MoatbridgeError as error:  # TLS 1.3 refuses a client certificate here
            raise self.fail(error) from None
        except OSError as error:
            words = f"({type(error).__name__})"
            raise self.fail(
                lost(f"The connection to {self.server} broke {words}.")
            ) from None
        if not chunk:
            raise self.fail(lost(f"{self.server} closed the connection."))
        self.received += len(chunk)
        self._progress(len(chunk))
        return chunk
