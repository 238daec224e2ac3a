"""An HTTP server of prepared bytes: for answers that no HTTP library would write."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable


class RawHttp:
    """Answers each request with the next bytes, one connection after the other.

    Args:
        answers: Bytes, or an iterable of them that is written piece by piece until the
            client hangs up. After an answer with ``X-Then: close`` in it the connection
            is closed; any other keeps it open.
    """

    def __init__(self, *answers: bytes | Iterable[bytes]) -> None:
        self.answers = list(answers)
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while self.answers:
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                try:
                    self._talk(connection)
                except OSError:  # the client has hung up
                    continue

    def _talk(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while self.answers and connection.recv(65_536):
            answer = self.answers.pop(0)
            if not isinstance(answer, bytes):
                for piece in answer:
                    connection.sendall(piece)
                continue
            connection.sendall(answer)
            if b"X-Then: close" in answer:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()
        self._thread.join(5)
