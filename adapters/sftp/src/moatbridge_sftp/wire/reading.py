"""Downloads: one large file in a pipeline of READs, or many small files overlapped.

One thread, no queue of our own: what is asked for ahead waits in the channel, at most
`in_flight` bytes of it, and is handed out in order.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.errors import NotApplied
from moatbridge_sftp.wire import faults
from moatbridge_sftp.wire.client import StatusError, attributes, data, handle, open_body
from moatbridge_sftp.wire.packets import Kind, Open, Status, string, uint32, uint64

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from moatbridge_sftp.wire.client import Answer, Client
    from moatbridge_sftp.wire.packets import Attributes

OVERLAP: Final = 32
"""Small files on the way at once, at most."""


class Wanted(NamedTuple):
    """One small file: its path and the size that the listing showed."""

    path: bytes
    size: int


def read_file(
    client: Client, path: bytes, size: int, *, in_flight: int
) -> Iterator[bytes]:
    """A whole file in order.

    Raises:
        StatusError: It could not be opened or read.
        NotApplied: ``sftp.changed``, or as `Line.receive`.
    """
    opened = client.open(path, Open.READ)
    reading = _Reading(client, opened, size, in_flight)
    try:
        yield from reading.pieces()
    finally:
        reading.close()


class _Reading:
    """One open file. Requests stand in `_asked` in the order of their offsets."""

    def __init__(
        self, client: Client, opened: bytes, size: int, in_flight: int
    ) -> None:
        self._client = client
        self._handle = string(opened)
        self._size = size
        self._step = client.limits.read
        self._most = max(1, in_flight // self._step)
        self._asked: deque[tuple[int, int, int]] = deque()  # offset, length, id
        self._next = 0
        self._probed = False

    def pieces(self) -> Iterator[bytes]:
        client = self._client
        first = self._stat()
        self._ask()
        before = client.take(client.answer(first), Kind.ATTRS, attributes)
        if before.size != self._size:
            raise faults.changed("has another size than the listing showed")
        while self._asked:
            with client.line.transfer():
                piece = self._take()
            if piece:
                yield piece
            self._ask()
        after = client.take(client.answer(self._stat()), Kind.ATTRS, attributes)
        if (after.size, after.mtime) != (before.size, before.mtime):
            raise faults.changed("was written to")

    def close(self) -> None:
        """Give the handle back; an answer is not waited for."""
        client = self._client
        client.forget(number for _, _, number in self._asked)
        if not client.line.dead:
            with contextlib.suppress(NotApplied):
                client.forget([client.post(Kind.CLOSE, self._handle)])
                client.line.flush()

    def _stat(self) -> int:
        return self._client.post(Kind.FSTAT, self._handle)

    def _ask(self) -> None:
        while len(self._asked) < self._most and self._next < self._size:
            length = min(self._step, self._size - self._next)
            self._post(self._next, length)
            self._next += length
        if self._next >= self._size and not self._probed:
            self._probed = True  # the one request beyond the end
            self._post(self._size, self._step)

    def _post(self, offset: int, length: int, *, first: bool = False) -> None:
        body = self._handle + uint64(offset) + uint32(length)
        entry = offset, length, self._client.post(Kind.READ, body)
        if first:
            self._asked.appendleft(entry)
        else:
            self._asked.append(entry)

    def _take(self) -> bytes:
        offset, length, number = self._asked[0]
        answer = self._client.answer(number)
        self._asked.popleft()
        piece = _data_or_end(self._client, answer)
        if offset >= self._size:
            if piece:
                raise faults.changed("grew")
            return b""
        if piece is None:
            raise faults.changed("became shorter")
        _check_length(self._client, piece, length)
        if len(piece) < length:
            self._post(offset + len(piece), length - len(piece), first=True)
        return piece


def _data_or_end(client: Client, answer: Answer) -> bytes | None:
    try:
        return client.take(answer, Kind.DATA, data)
    except StatusError as error:
        if error.status == Status.EOF:
            return None
        raise


def _check_length(client: Client, piece: bytes, length: int) -> None:
    if not piece:
        raise client.line.broken("an answer to READ without a byte")
    if len(piece) > length:
        raise client.line.broken("more data than was asked for")


class _Small:
    """One small file on the way: OPEN, then everything else together."""

    def __init__(
        self, client: Client, wanted: Wanted, owner: dict[int, _Small]
    ) -> None:
        self.wanted = wanted
        self.done = False
        self.error: StatusError | None = None
        self.short = False
        self._client = client
        self._owner = owner
        self._parts: dict[int, tuple[int, bytes]] = {}  # id -> offset and what came
        self._attributes: Attributes | None = None
        self._stat = self._close = 0
        self._waiting = 0
        self._expect(client.post(Kind.OPEN, open_body(wanted.path, Open.READ)))
        self._step: Callable[[int, Answer], None] = self._opened

    def advance(self, number: int, answer: Answer) -> None:
        """Take one of our answers."""
        self._waiting -= 1
        try:
            self._step(number, answer)
        except StatusError as error:
            self.error = error
        self.done = self._waiting == 0

    def content(self) -> bytes:
        """What came, once `done`.

        Raises:
            StatusError: The server refused.
            NotApplied: ``sftp.changed``.
        """
        if self.error is not None:
            raise self.error
        whole = b"".join(
            part for _, part in sorted(self._parts.values(), key=lambda one: one[0])
        )
        told = self._attributes.size if self._attributes else None
        if told != self.wanted.size:
            raise faults.changed("has another size than the listing showed")
        if len(whole) != self.wanted.size and not self.short:
            raise faults.changed("grew or became shorter")
        return whole

    def _expect(self, number: int) -> int:
        self._owner[number] = self
        self._waiting += 1
        return number

    def _opened(self, number: int, answer: Answer) -> None:
        del number
        client = self._client
        opened = string(client.take(answer, Kind.HANDLE, handle))
        self._step = self._rest
        offset, end = 0, self.wanted.size + 1
        while offset < end:
            length = min(client.limits.read, end - offset)
            body = opened + uint64(offset) + uint32(length)
            number = self._expect(client.post(Kind.READ, body))
            self._parts[number] = offset, b""
            offset += length
        self._stat = self._expect(client.post(Kind.FSTAT, opened))
        self._close = self._expect(client.post(Kind.CLOSE, opened))

    def _rest(self, number: int, answer: Answer) -> None:
        client = self._client
        if number == self._stat:
            self._attributes = client.take(answer, Kind.ATTRS, attributes)
        elif number != self._close:
            self._data(number, _data_or_end(client, answer) or b"")

    def _data(self, number: int, piece: bytes) -> None:
        offset, _ = self._parts[number]
        left = max(0, self.wanted.size - offset)
        asked = min(self._client.limits.read, left + 1)
        if len(piece) > asked:
            raise self._client.line.broken("more data than was asked for")
        self._parts[number] = offset, piece
        if len(piece) < min(asked, left):
            self.short = True


def read_small_files(
    client: Client, files: Sequence[Wanted], *, in_flight: int
) -> Generator[bytes]:
    """The contents of small files, in the order given.

    Raises:
        StatusError: One could not be opened or read; raised at its turn.
        NotApplied: ``sftp.changed``, or as `Line.receive`.
    """
    owner: dict[int, _Small] = {}
    window: deque[_Small] = deque()
    rest = iter(files)
    room = max(1, min(OVERLAP, client.limits.handles - 2))
    try:
        while True:
            while len(window) < room and (wanted := next(rest, None)) is not None:
                window.append(_Small(client, wanted, owner))
            if not window:
                return
            while not window[0].done:
                number, answer = client.any_answer(owner)
                owner.pop(number).advance(number, answer)
            yield _content(client, window.popleft(), in_flight)
    finally:
        _finish(client, owner)


def _finish(client: Client, owner: dict[int, _Small]) -> None:
    """Left early: let the files on the way end, so that no handle stays open."""
    with contextlib.suppress(NotApplied):
        while owner and not client.line.dead:
            number, answer = client.any_answer(owner)
            owner.pop(number).advance(number, answer)


def _content(client: Client, small: _Small, in_flight: int) -> bytes:
    content = small.content()
    if not small.short:
        return content
    wanted = small.wanted  # a server may answer with less than was asked: ask on
    return b"".join(read_file(client, wanted.path, wanted.size, in_flight=in_flight))
