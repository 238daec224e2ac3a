"""An HTTP peer that answers as a test says: for what no honest server does."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


@dataclass(frozen=True)
class Asked:
    """One request the peer received."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Answer:
    """What the peer says.

    Args:
        status: HTTP status; 0 closes the connection without an answer.
        body: JSON, or bytes to be sent as they are.
        headers: More headers.
        pieces: Instead of a body: bytes written one by one, never told how many.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    pieces: Any = None


class ScriptedHttp:
    """Serves ``script(asked) -> Answer`` on a free loopback port.

    Args:
        script: Called for each request, one at a time.
        context: Serves TLS with it.
        heads: The script answers HEAD too, without a body; else that is 501.
    """

    token = "scripted-token"

    def __init__(
        self,
        script: Callable[[Asked], Answer],
        context: ssl.SSLContext | None = None,
        *,
        heads: bool = False,
    ) -> None:
        self.script = script
        self.heads = heads
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.peer = self
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True
            )
        self._scheme = "http" if context is None else "https"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def base_url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/v2"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def judge(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            return self.script(asked)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    peer: ScriptedHttp

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the script."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a head and its body are two small packets
    server: _Server

    def log_message(self, *args: Any) -> None:
        """Silent."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(size)
        query = {
            k: v[0] for k, v in parse_qs(parts.query, keep_blank_values=True).items()
        }
        headers = {k.lower(): v for k, v in self.headers.items()}
        plain = "multipart/" in headers.get("content-type", "")
        body = text if plain else json.loads(text) if text else None
        answer = self.server.peer.judge(
            Asked(self.command, parts.path, query, headers, body)
        )
        if answer.status == 0:
            self.close_connection = True
        elif answer.pieces is not None:
            self._drip(answer)
        else:
            self._whole(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - http.server's names

    def do_HEAD(self) -> None:
        if self.server.peer.heads:
            self._serve()
        else:
            self.send_error(501)

    def _whole(self, answer: Answer) -> None:
        raw = answer.body if isinstance(answer.body, bytes) else b""
        if answer.body is not None and not isinstance(answer.body, bytes):
            raw = json.dumps(answer.body).encode()
        headers = {
            "Content-Type": "application/scim+json",
            "Content-Length": str(len(raw)),
            **answer.headers,
        }
        self._head(answer.status, headers)
        self.wfile.write(raw)

    def _drip(self, answer: Answer) -> None:
        self.close_connection = True
        self._head(
            answer.status, {"Content-Type": "application/json", **answer.headers}
        )
        for piece in answer.pieces:
            self.wfile.write(piece)
            self.wfile.flush()

    def _head(self, status: int, headers: dict[str, str]) -> None:
        if "Date" in headers:
            self.send_response_only(status)
        else:
            self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
