from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from moatbridge.adapter import Partition
from moatbridge.changes import Ref
from moatbridge.config import DeadlineConfig
from moatbridge.errors import NotApplied
from moatbridge.resilience import Retry
from resilience.toy import ToyAdapter, ToyConfig, answering, serving, toy_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moatbridge.resilience import Session
    from moatbridge.resilience.deadline import Watchdog

LIMIT = 0.15
SHORT = DeadlineConfig(call=LIMIT, connect=LIMIT)
HANGING = 10.0
"""Seconds; what takes longer was not ended. The servers here hang for 20."""


def once() -> Retry:
    return Retry(attempts=1)


@contextlib.contextmanager
def opened_and_short(
    port: int, watchdog: Watchdog, **more: object
) -> Iterator[Session]:
    """A session that had its time to open; each later call has a short limit."""
    with toy_session(port, watchdog, **more) as session:
        session.deadlines = SHORT
        yield session


# What a hostile or dying server does once the session is open.
def stall(conn: socket.socket) -> None:
    threading.Event().wait(20)


def drip(conn: socket.socket) -> None:
    while True:
        conn.sendall(b"x")
        threading.Event().wait(0.05)


def half_answer(conn: socket.socket) -> None:
    conn.sendall(b"half an ans")
    threading.Event().wait(20)


def never_reads(conn: socket.socket) -> None:
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    threading.Event().wait(20)


HANGS = [stall, drip, half_answer, never_reads]


def after_open(
    then: Callable[[socket.socket], None],
) -> Callable[[socket.socket], None]:
    def serve(conn: socket.socket) -> None:
        lines = conn.makefile("r")
        assert lines.readline() == "open\n"
        conn.sendall(b"ok\n")
        lines.readline()
        then(conn)

    return serve


@pytest.mark.parametrize("hang", HANGS, ids=lambda f: f.__name__)
def test_hang_at_login_ends_at_the_deadline_10(hang, watchdog: Watchdog) -> None:
    with serving(hang) as server:
        session = toy_session(server.port, watchdog, deadlines=SHORT, retry=once())
        started = time.monotonic()
        with pytest.raises(NotApplied) as caught:
            session.open()
        assert time.monotonic() - started < HANGING
        assert caught.value.code == "toy.deadline"
        assert caught.value.system == "hr"
        assert session.net.watched == 0


READS = {
    "probe": lambda s: s.probe(),
    "scan": lambda s: next(s.scan("people", Partition())),
    "changes": lambda s: next(s.changes("people", None)),
    "fetch": lambda s: s.fetch("people", [Ref("1")]),
    "settle": lambda s: s.settle("people", {}),
}


@pytest.mark.parametrize("hang", HANGS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("call", READS)
def test_hang_in_a_read_is_not_applied_12(hang, call: str, watchdog: Watchdog) -> None:
    with (
        serving(after_open(hang)) as server,
        opened_and_short(server.port, watchdog, retry=once()) as session,
    ):
        started = time.monotonic()
        with pytest.raises(NotApplied) as caught:
            READS[call](session)
        assert time.monotonic() - started < HANGING
        assert caught.value.code == "toy.deadline"
        assert session.broken
        with pytest.raises(NotApplied) as caught:
            session.probe()
        assert caught.value.code == "session.broken"


@pytest.mark.parametrize("hang", HANGS, ids=lambda f: f.__name__)
def test_hang_in_a_write_is_unknown_per_intent_12(hang, watchdog: Watchdog) -> None:
    with serving(after_open(hang)) as server:
        with opened_and_short(server.port, watchdog) as session:
            started = time.monotonic()
            receipts = session.write("people", [1, 2, 3])
            assert time.monotonic() - started < HANGING
        assert [(r.outcome, r.code) for r in receipts] == [
            ("unknown", "toy.deadline")
        ] * 3
        assert session.broken
        assert server.accepted == 1


def test_a_half_open_connect_ends_in_time_13(watchdog: Watchdog) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(("127.0.0.1", port))
        session = toy_session(port, watchdog, deadlines=SHORT, retry=once())
        started = time.monotonic()
        with pytest.raises(NotApplied):
            session.open()
        assert time.monotonic() - started < HANGING
        for filler in fillers:
            filler.close()


def test_a_stuck_close_ends_too(watchdog: Watchdog, monkeypatch) -> None:
    monkeypatch.setattr("moatbridge.resilience.session._CLOSE", 0.2)

    class Slow(ToyAdapter):
        def close(self) -> None:
            if self.sock is not None:
                self.sock.recv(1)
            super().close()

    with serving(answering()) as server:
        adapter = Slow(ToyConfig(port=server.port))
        session = toy_session(server.port, watchdog, adapter=adapter)
        session.open()
        started = time.monotonic()
        session.close()
        assert time.monotonic() - started < HANGING


def test_abort_of_an_adapter_is_called_and_may_block_11(watchdog: Watchdog) -> None:
    release, aborted, unblock = (threading.Event() for _ in range(3))

    class Hidden(ToyAdapter):
        def ask(self, question: str) -> str:
            if question == "probe":
                release.wait(20)
            return super().ask(question)

        def abort(self) -> None:
            release.set()
            aborted.set()
            unblock.wait(20)

    with serving(answering()) as server:
        adapter = Hidden(ToyConfig(port=server.port))
        with opened_and_short(
            server.port, watchdog, adapter=adapter, retry=once()
        ) as session:
            with pytest.raises(NotApplied) as caught:
                session.probe()
            assert caught.value.code == "toy.deadline"
            assert aborted.is_set()
            other = threading.Event()
            late = watchdog.arm(0.01, other.set)
            assert other.wait(HANGING), "the watchdog waits for an abort"
            watchdog.disarm(late)
            unblock.set()
