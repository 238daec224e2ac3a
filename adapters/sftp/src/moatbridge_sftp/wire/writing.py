"""Uploads: a new file in a pipeline of WRITEs, flushed and checked."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final

from moatbridge.errors import NotApplied
from moatbridge_sftp.wire.client import FSYNC, StatusError, attributes
from moatbridge_sftp.wire.packets import (
    Kind,
    Open,
    Status,
    mode_attributes,
    string,
    uint64,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moatbridge_sftp.wire.client import Client

_NEW: Final = Open.WRITE | Open.CREATE | Open.EXCLUSIVE


class SizeError(Exception):
    """The server shows another size than was written."""


def create_file(
    client: Client,
    path: bytes,
    chunks: Iterable[bytes],
    *,
    mode: int,
    in_flight: int,
) -> Iterator[int]:
    """Write a new file; yields the bytes of each WRITE once it is confirmed.

    What could not be finished is removed as far as the connection allows.

    Raises:
        StatusError: The server refused to open, write, flush or close.
        SizeError: See there.
        NotApplied: As `Line.receive`.
    """
    opened = client.open(path, _NEW, mode_attributes(mode))
    writing = _Writing(client, opened, in_flight)
    try:
        with client.line.transfer():
            yield from writing.all(chunks)
        writing.finish()
    except BaseException:
        writing.give_up(path)
        raise


class _Writing:
    """One open file; `_asked` holds id and length of each WRITE on the way."""

    def __init__(self, client: Client, opened: bytes, in_flight: int) -> None:
        self._client = client
        self._handle = string(opened)
        self._most = max(1, in_flight // client.limits.write)
        self._asked: deque[tuple[int, int]] = deque()
        self._written = 0
        self._closed = False

    def all(self, chunks: Iterable[bytes]) -> Iterator[int]:
        for block in _blocks(chunks, self._client.limits.write):
            body = self._handle + uint64(self._written) + string(block)
            number = self._client.post(Kind.WRITE, body)
            self._asked.append((number, len(block)))
            self._written += len(block)
            if len(self._asked) >= self._most:
                yield self._confirm()
        while self._asked:
            yield self._confirm()

    def finish(self) -> None:
        """Flush to the disk where offered, compare the size, close."""
        client = self._client
        if FSYNC in client.extensions:
            body = string(FSYNC.encode()) + self._handle
            _unless_unsupported(client, client.post(Kind.EXTENDED, body))
        answer = client.call(Kind.FSTAT, self._handle)
        found = client.take(answer, Kind.ATTRS, attributes)
        self._closed = True
        client.done(client.call(Kind.CLOSE, self._handle))
        if found.size != self._written:
            raise SizeError

    def give_up(self, path: bytes) -> None:
        client = self._client
        client.forget(number for number, _ in self._asked)
        if client.line.dead:
            return
        with contextlib.suppress(NotApplied, StatusError):
            if not self._closed:
                client.call(Kind.CLOSE, self._handle)
            client.remove(path)

    def _confirm(self) -> int:
        number, length = self._asked[0]
        answer = self._client.answer(number)
        self._asked.popleft()
        self._client.done(answer)
        return length


def _unless_unsupported(client: Client, number: int) -> None:
    try:
        client.done(client.answer(number))
    except StatusError as error:
        if error.status != Status.UNSUPPORTED:
            raise


def _blocks(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in blocks of exactly ``size``, but for the last."""
    held = bytearray()
    for chunk in chunks:
        view = memoryview(chunk)
        while len(held) + len(view) >= size:
            take = size - len(held)
            yield bytes(held) + bytes(view[:take])
            held.clear()
            view = view[take:]
        held += view
    if held:
        yield bytes(held)
