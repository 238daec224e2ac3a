"""What a client does at a hostile SFTP server: run a script, use the storage, tell."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.errors import NotApplied
from moatbridge.testing import net
from moatbridge_sftp.storage import SshAuth, SshSettings, open_storage
from servers import sftp_hostile as hostile
from servers.sftp_hostile import HostileSftp, Request, Wire, honest, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge_sftp.storage import Storage


def run(
    script: Callable[[Wire], None],
    use: Callable[[Storage], Any],
    *,
    deadline: float = 60.0,
    **more: Any,
) -> tuple[Any, HostileSftp]:
    """Serve the script, do something with it, and hand both back.

    The deadline holds for what is done, not for the login before it.
    """
    with HostileSftp(script) as server:
        ssh = SshSettings(
            host_keys=(server.fingerprint(),), auth=SshAuth(**server.auth()), **more
        )
        way = net([("127.0.0.1", server.port)], deadline=60.0)
        with open_storage(server.url(), net=way, ssh=ssh) as storage:
            way.remaining = lambda: deadline
            return use(storage), server


def fails(
    script: Callable[[Wire], None], use: Callable[[Storage], Any], **more: Any
) -> NotApplied:
    with pytest.raises(NotApplied) as caught:
        run(script, use, **more)
    return caught.value


def instead(**by_kind: Callable[[Wire, Request], None]) -> Callable[[Wire], None]:
    """An honest server, but for requests of these kinds."""
    table = {getattr(hostile, kind): what for kind, what in by_kind.items()}
    return lambda wire: honest(wire, instead=table)


def read_five(storage: Storage) -> bytes:
    return b"".join(storage.read("ok.csv", size=5))


def list_all(storage: Storage) -> Any:
    return storage.list(".", limit=1000)


def names(*entries: bytes) -> Callable[[Wire, Request], None]:
    """Answer READDIR once with these entries, then the end."""
    told: list[int] = []

    def answer(wire: Wire, request: Request) -> None:
        if told:
            wire.status(request.number, hostile.EOF)
            return
        told.append(1)
        body = struct.pack(">I", len(entries)) + b"".join(entries)
        wire.send(hostile.NAME, request.number, body)

    return answer


def data(content: bytes) -> Callable[[Wire, Request], None]:
    """Answer every READ with the same bytes."""
    return lambda wire, request: wire.send(hostile.DATA, request.number, text(content))
