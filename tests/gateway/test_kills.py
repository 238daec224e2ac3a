"""Killed while it takes deliveries in and while it carries them: 0 lost, 0 doubled."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections import Counter, deque
from itertools import cycle

from gateway.sending import person, signed
from servers.gateway import GatewayProcess

DELIVERIES = 2000
SENDERS = 16
PLAN = (
    ("inbox.before", 4),
    ("inbox.in", 6),
    ("inbox.kept", 8),
    ("inbox.kept", 30),
    # While a dead process's lease runs, everything else may arrive: so these come last.
    ("stage.done", 1),
    ("inflight.done", 1),
    ("settle.in", 1),
)


class Senders:
    """Threads that send until each delivery was acknowledged, like any real sender."""

    def __init__(self, count):
        self.waiting = deque(range(count))
        self.port = 0
        self.acknowledged = []
        self.answers = Counter()
        self.going = threading.Event()
        self.ended = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(SENDERS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self.ended.set()
        self.going.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self):
        while not self.ended.is_set() and self.waiting:
            self.going.wait(30)
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            with contextlib.closing(connection):
                self._several(connection)

    def _several(self, connection):
        """Send on one connection until it breaks."""
        while self.waiting and self.going.is_set() and connection.port == self.port:
            try:
                number = self.waiting.popleft()
            except IndexError:
                return
            try:
                self._send(connection, number)
            except (OSError, http.client.HTTPException):
                self.waiting.append(number)
                self.answers["cut"] += 1
                return

    def _send(self, connection, number):
        body, headers = signed(f"m{number}", person(f"u{number}"))
        connection.request("POST", "/in/hooks", body, headers)
        answer = connection.getresponse()
        answer.read()
        self.answers[answer.status] += 1
        if answer.status == 200:
            self.acknowledged.append(number)
        else:
            self.waiting.append(number)


def test_kills_lose_and_double_nothing(world):
    world.agree()
    kills = 0
    with Senders(DELIVERIES) as senders:
        for point, after in cycle(PLAN):
            more = (
                () if kills >= len(PLAN) else ("--die-at", point, "--after", str(after))
            )
            process = GatewayProcess(world.folder, "--flows", *more).start()
            try:
                senders.port = process.port
                senders.going.set()
                if more:
                    assert process.process.wait(120) == -9
                    kills += 1
                else:
                    world.until(lambda: len(senders.acknowledged) == DELIVERIES, 120)
                    world.until(world.settled, 120)
                    break
            finally:
                senders.going.clear()
                process.stop()
    assert kills == len(PLAN)
    assert sorted(senders.acknowledged) == list(range(DELIVERIES))
    kept = [ident for _seq, ident, _content in world.inbox()]
    assert len(kept) == len(set(kept)) == DELIVERIES
    assert Counter(row["uid"] for row in world.target()) == Counter(
        f"u{n}" for n in range(DELIVERIES)
    )
    assert max(Counter(world.effects()).values()) == 1
    assert len(world.effects()) == DELIVERIES


def test_what_was_committed_but_not_answered_is_kept_once(world):
    process = GatewayProcess(
        world.folder, "--die-at", "inbox.kept", "--after", "1"
    ).start()
    body, headers = signed("m1", person("ada"))
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=60)
    with (
        contextlib.closing(connection),
        contextlib.suppress(OSError, http.client.HTTPException),
    ):
        connection.request("POST", "/in/hooks", body, headers)
        connection.getresponse()
    process.process.wait(60)
    process.stop()
    assert len(world.inbox()) == 1
    with GatewayProcess(world.folder) as again:
        connection = http.client.HTTPConnection("127.0.0.1", again.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", "/in/hooks", body, headers)
            assert connection.getresponse().status == 200
    assert len(world.inbox()) == 1
