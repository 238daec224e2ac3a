"""What a `FaultProxy` does to the bytes of one direction."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong in one direction. Counts are bytes since the fault was set.

    Args:
        refuse: Reset every new connection.
        blackhole: Accept and never answer.
        duplicate_connection: Say everything to the server twice, on two connections,
            as a network that repeats would; the second one's answers are dropped.
        stall_after: Bytes after which nothing moves any more.
        reset_after: Bytes after which the connection is reset.
        cut_answer: Bytes after which the connection ends in good order.
        half_close: Bytes after which only our sending side ends.
        flood_after: Bytes after which the last piece is repeated for ever.
        corrupt: Number of the one byte that is changed, from 0 on.
        latency: Seconds before each piece.
        jitter: Up to so many seconds more, at random.
        bandwidth: Bytes a second at most.
        drip: Pieces of that many bytes, one every ``latency`` seconds.
    """

    refuse: bool = False
    blackhole: bool = False
    duplicate_connection: bool = False
    stall_after: int | None = None
    reset_after: int | None = None
    cut_answer: int | None = None
    half_close: int | None = None
    flood_after: int | None = None
    corrupt: int | None = None
    latency: float = 0.0
    jitter: float = 0.0
    bandwidth: float | None = None
    drip: int | None = None

    @property
    def limit(self) -> int | None:
        """Bytes that still pass as they are."""
        limits = (self.stall_after, self.reset_after, self.cut_answer, self.half_close,
                  self.flood_after)  # fmt: skip
        return min((n for n in limits if n is not None), default=None)


class Direction:
    """The fault of one direction, and how many bytes passed under it."""

    def __init__(self) -> None:
        self.fault: Fault = Fault()
        self.passed: int = 0

    async def pause(self, size: int) -> None:
        """Wait as the fault says before a piece of that size."""
        fault = self.fault
        wait = fault.latency + fault.jitter * random.random()  # noqa: S311 - no secret
        if fault.bandwidth:
            wait += self.room(size) / fault.bandwidth
        await asyncio.sleep(wait)

    def room(self, size: int) -> int:
        """Bytes that may pass now."""
        size = min(size, self.fault.drip or size)
        limit = self.fault.limit
        return size if limit is None else max(0, min(size, limit - self.passed))

    def changed(self, piece: bytes) -> bytes:
        """The piece as it is passed on."""
        start, self.passed = self.passed, self.passed + len(piece)
        at = self.fault.corrupt
        if at is None or not start <= at < self.passed:
            return piece
        at -= start
        return piece[:at] + bytes([piece[at] ^ 0xFF]) + piece[at + 1 :]
