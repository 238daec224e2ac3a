"""A proxy before PostgreSQL that can cut a connection at COMMIT, on either side of it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class CommitProxy:
    """Passes bytes on, one thread a direction; ``with CommitProxy(address) as proxy``.

    Attributes:
        plan: What happens at the next COMMIT: ``pass``, ``before`` (the server never
            sees it), ``after`` (the server carries it out and nobody hears of it).
        skip: So many COMMITs pass before that one.
        deaf: No connection gets through from now on.
        cuts: COMMITs that were cut.
    """

    def __init__(self, server):
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = self._listener.getsockname()[:2]
        self.plan = "pass"
        self.skip = 0
        self.deaf = False
        self.deaf_after_cut = False
        self.cuts = 0
        self._open = []

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error):
        self._listener.close()
        for end in list(self._open):
            _close(end)

    def passed_on(self, data):
        """What the client gets for what the server said."""
        return data

    def turn(self):
        """Whether this COMMIT is the one to cut."""
        if self.plan == "pass":
            return False
        self.skip -= 1
        return self.skip < 0

    def _accept(self):
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            if self.deaf:
                _close(client)
                continue
            server = socket.create_connection(self._server)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += (client, server)
            pair = _Pair(self, client, server)
            for work in (pair.ask, pair.answer):
                threading.Thread(target=work, daemon=True).start()


class _Pair:
    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.mute = False

    def ask(self):
        with suppress(OSError):
            while data := self.client.recv(65536):
                if b"COMMIT" in data and self.proxy.turn():
                    plan, self.proxy.plan = self.proxy.plan, "pass"
                    self.proxy.cuts += 1
                    self.proxy.deaf = self.proxy.deaf_after_cut
                    if plan == "before":
                        break
                    self.mute = True
                self.server.sendall(data)
        self.end()

    def answer(self):
        with suppress(OSError):
            while data := self.server.recv(65536):
                if self.mute:
                    break
                self.client.sendall(self.proxy.passed_on(data))
        self.end()

    def end(self):
        _close(self.client)
        _close(self.server)


def _close(end):
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
