"""A webhook receiver, written against the Standard Webhooks text and not against us.

It believes nothing that is not signed, and keeps one event per ``webhook-id``.
Source: Standard Webhooks 1.0.0, "Verifying webhook authenticity".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

_SKEW: Final = 300.0
_LARGEST: Final = 1 << 20


class Receiver:
    """An HTTP server of its own threads on a free loopback port."""

    def __init__(self) -> None:
        self.secret: str = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self.events: dict[str, dict[str, Any]] = {}
        self.port: int = 0
        self.refused: int = 0
        self.repeated: int = 0
        self._lock = threading.Lock()
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """Where events are sent."""
        return f"http://127.0.0.1:{self.port}/events"

    def start(self) -> None:
        """Listen; on any free port if ``port`` is still 0."""
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self.port = self._server.server_address[1]
        self._server.receiver = self
        threading.Thread(
            target=self._server.serve_forever, args=(0.1,), daemon=True
        ).start()

    def stop(self) -> None:
        """Stop listening; idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """Verify and keep one delivery; the HTTP status to answer with."""
        ident, stamp = (
            headers.get("webhook-id", ""),
            headers.get("webhook-timestamp", ""),
        )
        signed = headers.get("webhook-signature", "").split()
        if (
            not ident
            or not self._fresh(stamp)
            or not self._signed(ident, stamp, body, signed)
        ):
            with self._lock:
                self.refused += 1
            return 401
        with self._lock:
            self.repeated += ident in self.events
            self.events.setdefault(ident, json.loads(body))
        return 204

    def _fresh(self, stamp: str) -> bool:
        return stamp.isdigit() and abs(time.time() - int(stamp)) <= _SKEW

    def _signed(self, ident: str, stamp: str, body: bytes, given: list[str]) -> bool:
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        content = f"{ident}.{stamp}.".encode() + body
        wanted = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest())
        return any(
            hmac.compare_digest(each.encode(), b"v1," + wanted) for each in given
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        size = min(int(self.headers.get("Content-Length") or 0), _LARGEST)
        body = self.rfile.read(size)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.send_response(self.server.receiver.take(headers, body))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Silent: the narrator tells the story."""
