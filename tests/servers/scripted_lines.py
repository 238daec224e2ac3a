"""A TCP peer that speaks as a test says: for what no honest server does."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


class Line:
    """The peer's end of one connection."""

    def __init__(self, sock: socket.socket, heard: list[bytes]) -> None:
        self._sock, self._heard = sock, heard
        self._file = sock.makefile("rb")
        self.gone = threading.Event()

    def hear(self) -> bytes:
        """The next request; empty once the client has hung up."""
        line = self._file.readline()
        self._heard.append(line)
        if not line:
            self.gone.set()
        return line

    def say(self, data: bytes) -> None:
        self._sock.sendall(data)

    def hang_up(self) -> None:
        self._file.close()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


class ScriptedLines:
    """Runs ``script(line)`` for each connection, on a free loopback port.

    Args:
        script: Hears and says; an OSError of it is the client's going.
        context: Serves TLS with it.
    """

    def __init__(
        self, script: Callable[[Line], None], context: ssl.SSLContext | None = None
    ) -> None:
        self._script, self._context = script, context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint: tuple[str, int] = self._listening.getsockname()[:2]
        self.heard: list[bytes] = []
        self.connections: list[Line] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for line in self.connections:
            line.hang_up()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            line = Line(sock, self.heard)
            self.connections.append(line)
            self._script(line)
            line.hang_up()

    def _start(self, work: Callable[..., None], *with_: object) -> None:
        thread = threading.Thread(target=work, args=with_, daemon=True)
        self._threads.append(thread)
        thread.start()
