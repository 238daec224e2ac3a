"""A request's body, bounded in size and in time before anything looks into it."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

FLOOR: Final = 1024.0
"""Bytes a second below which a sender is cut off, after the first second."""


class RefusedError(Exception):
    """The request is answered with this status and nothing else."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def read_body(
    scope: Scope, receive: Receive, *, limit: int, seconds: float
) -> bytes:
    """The whole body.

    Args:
        scope: The request's.
        receive: Gives its parts.
        limit: Bytes at most; checked on ``Content-Length`` first, then while reading.
        seconds: In which it must be complete.

    Raises:
        RefusedError: 400 (bad ``Content-Length``), 408, 413, 415 (a compressed body).
        ConnectionError: The sender went away.
    """
    _check_head(scope, limit)
    parts: list[bytes] = []
    size, started, more = 0, time.monotonic(), True
    while more:
        allowed = min(seconds, 1.0 + size / FLOOR) - (time.monotonic() - started)
        try:
            async with asyncio.timeout(max(0.0, allowed)):
                message = await receive()
        except TimeoutError:
            raise RefusedError(HTTPStatus.REQUEST_TIMEOUT) from None
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _check_head(scope: Scope, limit: int) -> None:
    for name, value in scope["headers"]:
        if name == b"content-encoding" and value.strip().lower() != b"identity":
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        if name == b"content-length":
            if not value.isdigit():
                raise RefusedError(HTTPStatus.BAD_REQUEST)
            if len(value) > len(str(limit)) or int(value) > limit:
                raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
