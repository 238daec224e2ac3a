"""What every request passes first, and every answer carries (gateway 7, 9, 10; 6)."""

from __future__ import annotations

import logging
import re
import secrets
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_HEADERS: Final = 100
MAX_HEAD: Final = 64 * 1024
MAX_URL: Final = 8 * 1024

_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_TRICK: Final = re.compile(
    rb"(?:^|/)\.{1,2}(?:/|$)|%2e|%2f|%5c|%25|%00|//|\\|[^\x21-\x7e]", re.IGNORECASE
)
_OPEN: Final = b"/healthz"

_log = logging.getLogger(__name__)


class Hygiene:
    """Wraps the app: hosts, limits, request id, headers, one log line a request.

    Args:
        app: What answers.
        hosts: Host names we answer to; others get 421.
        on_answer: Called with (route, status) of every request.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: frozenset[str],
        on_answer: Callable[[str, int], None],
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._on_answer = on_answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other kinds of connection pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, size = time.monotonic(), 500, 0
        ident = _request_id(scope)
        scope.setdefault("state", {})["route"] = "-"

        async def clean(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                _finish(message, scope, ident)
            else:
                size += len(message.get("body", b""))
            await send(message)

        refused = _refusal(scope, self._hosts)
        try:
            if refused is not None:
                await Response(status_code=refused)(scope, receive, clean)
            else:
                await self._app(scope, receive, clean)
        finally:
            route = scope["state"]["route"]
            self._on_answer(route, status)
            milliseconds = 1000 * (time.monotonic() - started)
            _log.info(
                "request %s %s %d %.1fms %dB", ident, route, status, milliseconds, size
            )


def header(scope: Scope, name: bytes) -> str:
    """The first value of a header, or an empty text."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return ""


def _refusal(scope: Scope, hosts: frozenset[str]) -> int | None:
    """The status to answer with instead of the app's, if the request is not fit."""
    path, headers = _raw_path(scope), scope["headers"]
    if len(path) + len(scope.get("query_string", b"")) > MAX_URL:
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if (
        len(headers) > MAX_HEADERS
        or sum(len(k) + len(v) for k, v in headers) > MAX_HEAD
    ):
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    if _TRICK.search(path):
        return HTTPStatus.BAD_REQUEST
    if _host(scope) not in hosts and _below(scope, path) != _OPEN:
        return HTTPStatus.MISDIRECTED_REQUEST
    return None


def _raw_path(scope: Scope) -> bytes:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0]


def _below(scope: Scope, path: bytes) -> bytes:
    """The path below where we are mounted."""
    return path.removeprefix(quote(scope.get("root_path", "")).encode())


def _host(scope: Scope) -> str:
    text = header(scope, b"host").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


def _request_id(scope: Scope) -> str:
    given = header(scope, b"x-request-id")
    return given if _ID.fullmatch(given) else secrets.token_hex(8)


def _finish(message: Message, scope: Scope, ident: str) -> None:
    headers: Any = MutableHeaders(scope=message)
    headers["x-request-id"] = ident
    headers["cache-control"] = "no-store"
    headers["x-content-type-options"] = "nosniff"
    if scope.get("scheme") == "https":
        headers["strict-transport-security"] = "max-age=31536000"
