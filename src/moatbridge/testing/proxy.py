"""A TCP proxy that misbehaves on command, while connections live (delivery 8)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

T = TypeVar("T")

_TURNS: Final = 10


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong. Counts are bytes of all answers since the fault was set.

    Args:
        refuse: Reset every new connection.
        blackhole: Accept and never answer.
        stall_after: Bytes of the answer after which nothing moves any more.
        reset_after: Bytes of the answer after which the connection is reset.
        cut_answer: Bytes of the answer after which the connection ends in good order.
        half_close: Bytes of the answer after which only our sending side ends.
        latency: Seconds before each piece of the answer.
        drip: Pieces of that many bytes, one every ``latency`` seconds.
    """

    refuse: bool = False
    blackhole: bool = False
    stall_after: int | None = None
    reset_after: int | None = None
    cut_answer: int | None = None
    half_close: int | None = None
    latency: float = 0.0
    drip: int | None = None

    @property
    def limit(self) -> int | None:
        """Bytes of the answer that still pass."""
        limits = (self.stall_after, self.reset_after, self.cut_answer, self.half_close)
        return min((n for n in limits if n is not None), default=None)


class FaultProxy:
    """Stands before a server; runs in a thread of its own, on a free loopback port.

    ``proxy.fault = Fault(stall_after=100)`` takes effect at once, on live connections
    too, and ``proxy.fault = Fault()`` lets stalled ones go on.

    Attributes:
        accepted: Connections so far.
        passed: Bytes of answers since the fault was set.
        stuck: Set while an answer, or a swallowed request, waits for ever.

    Args:
        host: The server's host.
        port: The server's port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="fault-proxy", daemon=True
        )
        self._moved = asyncio.Event()
        self._fault = Fault()
        self.accepted: int = 0
        self.passed: int = 0
        self.stuck: threading.Event = threading.Event()

    @property
    def fault(self) -> Fault:
        """What goes wrong now."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._do(self._switch(fault))

    def __enter__(self) -> Self:
        """Listen; ``endpoint`` tells where."""
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.endpoint: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Drop every connection and stop the thread."""
        try:
            self._do(self._stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _switch(self, fault: Fault) -> None:
        self._fault, self.passed = fault, 0
        self.stuck.clear()
        self._moved.set()

    async def _stop(self) -> None:
        # What was accepted a moment ago reaches `_serve`, which alone closes it, only
        # after some turns of the loop, and not at all once the server is closed.
        with contextlib.suppress(NotImplementedError):
            self._loop.remove_reader(self._server.sockets[0])
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._server.close()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await asyncio.sleep(0)  # aborted transports close in the next turn

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.accepted += 1
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._carry(reader, writer)
        writer.transport.abort()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._fault.refuse:
            return _reset(writer)
        if self._fault.blackhole:
            return await self._wait_for_a_switch()
        up_reader, up_writer = await asyncio.open_connection(*self._target)
        asking = asyncio.ensure_future(self._ask(reader, up_writer))
        try:
            await self._answer(up_reader, writer)
        finally:
            asking.cancel()
            up_writer.transport.abort()
        return None

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        writer.transport.abort()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while piece := await reader.read(65536):
            while piece:
                await asyncio.sleep(self._fault.latency)
                room = self._room(len(piece))
                now, piece = piece[:room], piece[room:]
                self.passed += len(now)
                writer.write(now)
                await writer.drain()
                if room == 0 and not await self._at_limit(writer):
                    return

    def _room(self, size: int) -> int:
        """Bytes that may pass now."""
        size = min(size, self._fault.drip or size)
        limit = self._fault.limit
        return size if limit is None else max(0, min(size, limit - self.passed))

    async def _at_limit(self, writer: asyncio.StreamWriter) -> bool:
        """What happens at the limit; True once bytes may move again."""
        if self._fault.reset_after is not None:
            _reset(writer)
            return False
        if self._fault.cut_answer is not None:
            return False
        if self._fault.half_close is not None:
            writer.write_eof()
        await self._wait_for_a_switch()
        return True

    async def _wait_for_a_switch(self) -> None:
        self._moved.clear()
        self.stuck.set()
        await self._moved.wait()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
