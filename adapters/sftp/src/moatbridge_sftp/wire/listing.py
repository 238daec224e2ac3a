"""Listing a folder, several READDIRs ahead, never more entries than allowed."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final

from moatbridge.errors import NotApplied
from moatbridge_sftp.wire.client import StatusError, handle
from moatbridge_sftp.wire.packets import Kind, Named, Status, read_names, string

if TYPE_CHECKING:
    from moatbridge_sftp.wire.client import Client

AHEAD: Final = 8
_EMPTY: Final = 10
"""Answers without a name, one after the other, until we stop believing."""


class TooManyError(Exception):
    """The folder holds more entries than allowed."""


def list_folder(client: Client, path: bytes, limit: int) -> list[Named]:
    """Everything in a folder but ``.`` and ``..``, in the server's order.

    Raises:
        StatusError: It could not be opened or read to its end.
        TooManyError: More than ``limit`` entries; reading stopped there.
        NotApplied: As `Line.receive`.
    """
    answer = client.call(Kind.OPENDIR, string(path))
    opened = string(client.take(answer, Kind.HANDLE, handle))
    asked: deque[int] = deque()
    found: list[Named] = []
    try:
        empty = 0
        while True:
            while len(asked) < AHEAD:
                asked.append(client.post(Kind.READDIR, opened))
            some = _some(client, asked.popleft())
            if some is None:
                return found
            empty = 0 if some else empty + 1
            if empty > _EMPTY:
                raise client.line.broken("a listing that goes on without a name")
            found += [one for one in some if one.name not in {b".", b".."}]
            if len(found) > limit:
                raise TooManyError
    finally:
        client.forget(asked)
        if not client.line.dead:
            with contextlib.suppress(NotApplied):
                client.forget([client.post(Kind.CLOSE, opened)])
                client.line.flush()


def _some(client: Client, number: int) -> list[Named] | None:
    try:
        return client.take(client.answer(number), Kind.NAME, read_names)
    except StatusError as error:
        if error.status == Status.EOF:
            return None
        raise
