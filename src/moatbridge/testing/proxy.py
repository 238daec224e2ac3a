"""A TCP proxy that misbehaves on command, while connections live (delivery 8)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from moatbridge.testing.faults import Direction, Fault

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

T = TypeVar("T")

_TURNS: Final = 10
_PIECE: Final = 65536


class FaultProxy:
    """Stands before a server; runs in a thread of its own, on a free loopback port.

    ``proxy.fault = Fault(stall_after=100)`` takes effect on answers at once, on live
    connections too, and ``proxy.fault = Fault()`` lets stalled ones go on.
    ``proxy.asking`` does the same to requests; what concerns whole connections
    (``refuse``, ``blackhole``, ``duplicate_connection``) belongs to ``fault``.

    Attributes:
        accepted: Connections so far.
        passed: Bytes of answers since the fault was set.
        asked: Bytes of requests since their fault was set.
        broken: Connections that the fault of the answers reset or ended so far.
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
        self._answers, self._requests = Direction(), Direction()
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self.accepted: int = 0
        self.broken: int = 0
        self.stuck: threading.Event = threading.Event()

    @property
    def fault(self) -> Fault:
        """What goes wrong now with answers and connections."""
        return self._answers.fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._do(self._switch(self._answers, fault))

    @property
    def asking(self) -> Fault:
        """What goes wrong now with requests."""
        return self._requests.fault

    @asking.setter
    def asking(self, fault: Fault) -> None:
        self._do(self._switch(self._requests, fault))

    @property
    def passed(self) -> int:
        """Bytes of answers since the fault was set."""
        return self._answers.passed

    @property
    def asked(self) -> int:
        """Bytes of requests since their fault was set."""
        return self._requests.passed

    def __enter__(self) -> Self:
        """Listen; ``endpoint`` tells where."""
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._accepted, "127.0.0.1", 0))
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
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _switch(self, direction: Direction, fault: Fault) -> None:
        direction.fault, direction.passed = fault, 0
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
        quiet = 0  # what was accepted begins its work some turns later
        while quiet < _TURNS:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            quiet = 0 if tasks else quiet + 1
            await (asyncio.wait(tasks) if tasks else asyncio.sleep(0))
            for writer in self._open:  # some were ended before they began
                writer.transport.abort()

    def _accepted(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._open[writer] = self._loop.create_task(self._serve(reader, writer))

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.accepted += 1
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._connection(reader, writer)
        finally:
            writer.transport.abort()
            del self._open[writer]

    async def _connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self.fault.refuse:
            return _reset(writer)
        if self.fault.blackhole:
            return await self._wait_for_a_switch()
        async with contextlib.AsyncExitStack() as stack:
            up_reader, up_writer = await self._dial(stack)
            servers = [up_writer]
            if self.fault.duplicate_connection:
                second, other = await self._dial(stack)
                _in_background(stack, _swallow(second))
                servers.append(other)
            _in_background(stack, self._ask(reader, servers))
            await self._carry(self._answers, up_reader, [writer])
        return None

    async def _dial(
        self, stack: contextlib.AsyncExitStack
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self._target)  # TCP_NODELAY
        stack.callback(writer.transport.abort)
        return reader, writer

    async def _ask(
        self, reader: asyncio.StreamReader, servers: list[asyncio.StreamWriter]
    ) -> None:
        with contextlib.suppress(OSError):
            await self._carry(self._requests, reader, servers)
        for server in servers:
            server.close()

    async def _carry(
        self,
        direction: Direction,
        reader: asyncio.StreamReader,
        writers: list[asyncio.StreamWriter],
    ) -> None:
        last = b""
        while piece := await reader.read(_PIECE):
            while piece:
                await direction.pause(len(piece))
                room = direction.room(len(piece))
                now, piece = piece[:room], piece[room:]
                last = now or last
                await _write(writers, direction.changed(now))
                if room == 0 and not await self._at_limit(direction, writers, last):
                    return

    async def _at_limit(
        self, direction: Direction, writers: list[asyncio.StreamWriter], last: bytes
    ) -> bool:
        """What happens at the limit; True once bytes may move again."""
        fault = direction.fault
        if direction is self._answers and (fault.reset_after, fault.cut_answer) != (
            None,
            None,
        ):
            self.broken += 1
        if fault.reset_after is not None:
            for writer in writers:
                _reset(writer)
            return False
        if fault.cut_answer is not None:
            for writer in writers:
                writer.close()
                await writer.wait_closed()
            return False
        if fault.flood_after is not None:
            while direction.fault is fault:
                await _write(writers, last or b"\0" * 512)
                direction.passed += len(last) or 512
                await asyncio.sleep(0)  # the others' turn
            return True
        if fault.half_close is not None:
            for writer in writers:
                writer.write_eof()
        await self._wait_for_a_switch()
        return True

    async def _wait_for_a_switch(self) -> None:
        self._moved.clear()
        self.stuck.set()
        await self._moved.wait()


async def _write(writers: list[asyncio.StreamWriter], piece: bytes) -> None:
    """To the first, and to those that repeat it for as long as they listen."""
    for writer in writers:
        writer.write(piece)
        if writer is writers[0]:
            await writer.drain()
            continue
        with contextlib.suppress(OSError):
            await writer.drain()


async def _swallow(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(_PIECE):
            pass


def _in_background(
    stack: contextlib.AsyncExitStack, work: Coroutine[Any, Any, None]
) -> None:
    stack.callback(asyncio.ensure_future(work).cancel)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


__all__ = ["Fault", "FaultProxy"]
