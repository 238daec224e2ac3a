"""This process's TCP connections, as the kernel tells them (Linux).

C clients (libpq) dial without any audit event; the kernel's table shows them all the
same. Source: proc_pid_net(5). Elsewhere the table is empty.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import Final, NamedTuple

_LISTEN: Final = "0A"


class Connection(NamedTuple):
    """One connection that this process opened, in whatever state."""

    local_port: int
    host: str
    port: int


def outgoing() -> set[Connection]:
    """Connections of this process, but those its own servers accepted."""
    rows = [row for name in ("tcp", "tcp6") for row in _table(name)]
    served = {local[1] for _, local, _, state in rows if state == _LISTEN}
    mine = _own_inodes()
    return {
        Connection(local[1], *remote)
        for inode, local, remote, state in rows
        if state != _LISTEN and inode in mine and local[1] not in served
    }


Row = tuple[str, tuple[str, int], tuple[str, int], str]


def _table(name: str) -> list[Row]:
    path = Path("/proc/self/net") / name
    if not path.exists():
        return []
    rows = [line.split() for line in path.read_text().splitlines()[1:]]
    return [(row[9], parse(row[1]), parse(row[2]), row[3]) for row in rows]


def parse(text: str) -> tuple[str, int]:
    """Address and port of a table's cell: ``0100007F:1F90`` is 127.0.0.1:8080."""
    host, _, port = text.partition(":")
    words = [host[at : at + 8] for at in range(0, len(host), 8)]
    raw = b"".join(struct.pack("=I", int(word, 16)) for word in words)
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, raw).removeprefix("::ffff:"), int(port, 16)


def _own_inodes() -> set[str]:
    found = set()
    folder = Path("/proc/self/fd")
    for entry in folder.iterdir() if folder.exists() else ():
        with contextlib.suppress(OSError):
            link = os.readlink(entry)  # noqa: PTH115 - no path: "socket:[1234]"
            if link.startswith("socket:["):
                found.add(link[8:-1])
    return found
