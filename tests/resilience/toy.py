"""A raw-socket adapter for tests: sends one line, reads one line."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from moatbridge.adapter import (
    Adapter,
    AdapterConfig,
    CanFetch,
    CanFind,
    CanFollow,
    CanScan,
    CanSettle,
    CanWrite,
    Field,
    Partition,
    Probe,
    Secret,
    Stream,
    WriteTraits,
)
from moatbridge.changes import Batch, Change, Receipt, Record, Ref
from moatbridge.errors import NotApplied, OutcomeUnknown
from moatbridge.resilience.addresses import policy
from moatbridge.resilience.net import SystemNet
from moatbridge.resilience.resolver import Resolver
from moatbridge.resilience.session import Session

if TYPE_CHECKING:
    from moatbridge.resilience.deadline import Watchdog


class ToyConfig(AdapterConfig):
    host: str = "127.0.0.1"
    port: int
    password: Secret | None = None


class ToyStreamConfig(AdapterConfig):
    table: str = ""
    fields: tuple[str, ...] = ()


class ToyAdapter(
    Adapter[ToyConfig], CanScan, CanFollow, CanFetch, CanFind, CanWrite, CanSettle
):
    """Speaks lines: every call writes its name and reads one line of answer."""

    name = "toy"
    Config = ToyConfig
    StreamConfig = ToyStreamConfig
    made: ClassVar[int] = 0

    def __init__(self, config: ToyConfig, streams: Any = ()) -> None:
        super().__init__(config, streams)
        self.sock: socket.socket | None = None
        self.closed = 0
        type(self).made += 1

    @classmethod
    def endpoints(cls, config: Any) -> Sequence[tuple[str, int]]:
        return [(config.host, config.port)]

    def open(self) -> None:
        self.sock = self.net.connect(self.config.host, self.config.port, why="config")
        self.ask("open")

    def close(self) -> None:
        self.closed += 1
        if self.sock is not None:
            self.sock.close()

    def ask(self, question: str) -> str:
        """One round trip; maps what the socket says to our errors."""
        assert self.sock is not None
        try:
            self.sock.sendall(question.encode() + b"\n")
        except OSError:
            raise NotApplied("gone before the first byte", code="toy.gone") from None
        line = b""
        while not line.endswith(b"\n"):
            try:
                piece = self.sock.recv(65536)
            except OSError:
                raise OutcomeUnknown("reset", code="toy.reset") from None
            if not piece:  # a clean end looks just like a shut-down socket
                break
            line += piece
            self.net.progress(len(piece))
        answer = line.decode()
        if answer.startswith("later "):
            wait = float(answer.split()[1])
            raise NotApplied("busy", code="toy.busy", retry_after=wait)
        return answer

    def probe(self) -> Probe:
        return Probe(server=self.ask("probe"))

    def streams(self) -> Sequence[Stream]:
        return [Stream("people", (Field("uid"),), abilities=self.abilities)]

    def scan(self, stream: str, partition: Partition, after: Any) -> Iterator[Batch]:
        for number in range(3):
            answer = self.ask(f"scan {number}")
            change = Change(Ref(answer.strip()), data={})
            yield Batch([change], cursor=number, complete=number == 2)

    def changes(self, stream: str, after: Any) -> Iterator[Batch]:
        self.ask("changes")
        return iter([Batch(cursor={"now": 1})])

    def fetch(self, stream: str, refs: Sequence[Ref]) -> Sequence[Record]:
        if self.ask(f"fetch {len(refs)}").startswith("few"):
            return []
        return [Record(ref, {}) for ref in refs]

    def find(self, stream: str, queries: Any) -> Any:
        return [[] for _ in queries]

    def traits(self, stream: str) -> WriteTraits:
        return WriteTraits(dedup="keyed", max_batch=100)

    def write(self, stream: str, intents: Sequence[Any]) -> Sequence[Receipt]:
        answer = self.ask(f"write {len(intents)}").strip()
        if answer == "few":
            return []
        if answer == "bug":
            raise KeyError("a value that must not be shown")
        return [Receipt("applied") for _ in intents]

    def settle(self, stream: str, cursor: Any) -> None:
        self.ask("settle")


Behaviour = Callable[[socket.socket], None]


def answering(answers: dict[str, str] | None = None) -> Behaviour:
    """A server that answers each line with ``ok``, or as told by its first word."""

    def serve(conn: socket.socket) -> None:
        with conn, conn.makefile("rw", newline="\n") as lines:
            for line in lines:
                told = (answers or {}).get(line.split()[0], "ok")
                if told == "reset":
                    return
                lines.write(told + "\n")
                lines.flush()

    return serve


def stalls(conn: socket.socket) -> None:
    """A server that accepts and never says anything."""
    threading.Event().wait(20)


class Server:
    """Accepts on loopback; each connection runs a behaviour in its own thread."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.behaviours = list(behaviours)
        self.accepted = 0
        self.conns: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                conn, _ = self.listener.accept()
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                behaviour = self.behaviours[
                    min(self.accepted, len(self.behaviours) - 1)
                ]
                self.accepted += 1
                self.conns.append(conn)
                threading.Thread(
                    target=self._serve, args=(behaviour, conn), daemon=True
                ).start()

    @staticmethod
    def _serve(behaviour: Behaviour, conn: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            behaviour(conn)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for conn in self.conns:
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)
            conn.close()


@contextlib.contextmanager
def serving(*behaviours: Behaviour) -> Iterator[Server]:
    server = Server(*behaviours)
    try:
        yield server
    finally:
        server.close()


def toy_net(port: int, **more: Any) -> SystemNet:
    rules = policy([("127.0.0.1", port)], reach="inside", allow=["127.0.0.0/8"])
    return SystemNet("hr", policy=rules, resolver=Resolver(), **more)


def toy_session(
    port: int, watchdog: Watchdog, *, adapter: Any = None, **more: Any
) -> Session:
    adapter = adapter or ToyAdapter(ToyConfig(port=port))
    net = toy_net(port)
    return Session(adapter, system="hr", net=net, watchdog=watchdog, **more)
