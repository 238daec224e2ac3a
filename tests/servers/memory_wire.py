"""A `MemorySystem` behind TCP: one JSON object a line, a password first."""

from __future__ import annotations

import socketserver
import threading

from moatbridge.changes import Intent, Ref
from moatbridge.testing.memory_store import dump, load
from moatbridge.testing.memory_write import carry_out


class MemoryServer:
    """Serves in threads on a free loopback port; ``with MemoryServer(...) as server``.

    Attributes that a test may set:
        every: Turns each such request away ("busy"), logging in included; 0: none.
        busy_at: Turns this one away: a number as ``asked`` counts them.
        most: No page holds more rows, whatever is asked.
    """

    def __init__(self, system, password, every=0):
        self.every, self.busy_at, self.most = every, 0, 1000
        self.asked = 0
        self._lock = threading.Lock()
        members = {"system": system, "password": password, "home": self}
        handler = type("Handler", (_Handler,), members)
        self._server = _Server(("127.0.0.1", 0), handler)
        self.endpoint = self._server.server_address[:2]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def turns_away(self):
        """Whether the next request is one too many."""
        with self._lock:
            self.asked += 1
            often = self.every and self.asked % self.every == 0
            return often or self.asked == self.busy_at


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    timeout = 30

    def handle(self):
        trusted = False
        for line in self.rfile:
            asked = load(line.decode())
            if self.home.turns_away():
                self._say("busy")
            elif asked["do"] == "login":
                trusted = asked["password"] == self.password
                self._say({"ok": trusted})
            elif trusted:
                self._say(getattr(self, f"_{asked.pop('do')}")(**asked))

    def _say(self, answer):
        self.wfile.write(dump(answer).encode() + b"\n")

    def _about(self):
        streams = [stream.name for stream in self.system.streams()]
        return {"server": self.system.server, "streams": streams}

    def _page(self, stream, after, limit):
        limit = min(limit, self.home.most)
        rows = self.system.page(stream, (0, 64), after, limit)
        return [[row.ref.key, row.ref.name, row.data, row.version] for row in rows]

    def _write(self, stream, intents):
        answers = []
        for key, op, ref, record, owned in intents:
            intent = Intent(key, op, ref and Ref.from_key(*ref), record, tuple(owned))
            got = carry_out(self.system, self.system.stream(stream), intent)
            answers.append(
                [got.outcome, got.ref and [got.ref.key, got.ref.name], got.code]
            )
        return answers
