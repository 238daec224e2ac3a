"""A product that receives webhooks: a process that verifies, dedupes and applies them.

Signatures are checked by the `standardwebhooks` package, not by our code. It keeps its
records by ``data.id`` like a real product would, remembers ids of deliveries, refuses
data it cannot use, and does what a test tells it to: fail, stall, cut the answer.

    with WebhookReceiver() as receiver:
        receiver.base_url, receiver.key
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import secrets
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

START = 60.0


class WebhookReceiver:
    """The receiving process; stopped by pid."""

    def __init__(self) -> None:
        self.key = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self.port = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    @property
    def endpoint(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def start(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), "--key", self.key],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def stop(self) -> None:
        """Terminate, wait, kill."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def behave(self, **how: Any) -> None:
        """From now on: ``status``, ``headers``, ``stall`` (s), ``cut``, ``count``.

        ``cut`` applies the event and closes the connection without an answer.
        ``count`` requests are treated so; the next ones as usual again.
        """
        self._control("POST", "/behave", how)

    def events(self) -> list[dict[str, Any]]:
        """Every request that was verified, repeats included."""
        return list(self._control("GET", "/events")["events"])

    def records(self) -> list[dict[str, Any]]:
        """The records as the product now has them."""
        return list(self._control("GET", "/records")["records"])

    def put(self, records: list[dict[str, Any]]) -> None:
        """Add records by other means."""
        self._control("POST", "/records", {"records": records})

    def clear(self) -> None:
        """Forget everything."""
        self._control("POST", "/clear", {})

    def _control(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection(*self.endpoint, timeout=60)
        with contextlib.closing(connection):
            text = None if body is None else json.dumps(body)
            connection.request(method, f"/control{path}", text)
            return json.loads(connection.getresponse().read())


class _Product:
    """What the process remembers."""

    def __init__(self, key: str) -> None:
        self.webhook = Webhook(key)
        self.lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.records: dict[str, dict[str, Any]] = {}
        self.answered: dict[str, int] = {}
        self.behaviour: dict[str, Any] = {}

    def take(self, headers: dict[str, str], body: bytes) -> int:
        try:
            said = self.webhook.verify(body, headers)
        except WebhookVerificationError:
            return 401
        self.events.append(
            {
                "headers": {
                    k: headers[k]
                    for k in headers
                    if k.startswith(("webhook", "content-type"))
                },
                "body": said,
            }
        )
        ident = headers["webhook-id"]
        if ident not in self.answered:
            self.answered[ident] = self.apply(
                said.get("type", ""), said.get("data", {})
            )
        return self.answered[ident]

    def apply(self, kind: str, data: dict[str, Any]) -> int:
        ident, verb = str(data.get("id")), kind.rpartition(".")[2]
        if verb == "created":
            if not isinstance(data.get("content"), str):
                return 422
            self.records[ident] = data
            return 201
        if ident not in self.records:
            return 404
        if verb == "deleted":
            del self.records[ident]
        else:
            self.records[ident] |= data
        return 200

    def treatment(self) -> dict[str, Any]:
        how = self.behaviour
        if not how:
            return {}
        how["count"] = how.get("count", 1) - 1
        if how["count"] <= 0:
            self.behaviour = {}
        return how


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    product: _Product

    def log_message(self, *args: Any) -> None:
        """Silent."""

    def do_GET(self) -> None:
        self._answer(200, self._control({}))

    def do_HEAD(self) -> None:
        self.send_response(204)
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/control"):
            self._answer(200, self._control(json.loads(body)))
            return
        headers = {k.lower(): v for k, v in self.headers.items()}
        with self.product.lock:
            how = self.product.treatment()
            refused = how.get("status")
            status = refused or self.product.take(headers, body)
        if "stall" in how:
            time.sleep(how["stall"])
        if how.get("cut"):
            self.close_connection = True
            return
        self._answer(status, {}, how.get("headers", {}))

    def _control(self, body: dict[str, Any]) -> dict[str, Any]:
        product, what = self.product, self.path.rpartition("/")[2]
        with product.lock:
            if what == "behave":
                product.behaviour = body
            elif what == "clear":
                product.clear()
            elif what == "events":
                return {"events": product.events}
            elif what == "records":
                for record in body.get("records", ()):
                    product.records[record["id"]] = record
                return {"records": list(product.records.values())}
        return {}

    def _answer(
        self, status: int, body: Any, headers: dict[str, str] | None = None
    ) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--key", required=True)
    _Handler.product = _Product(parser.parse_args().key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)  # noqa: T201 - the parent reads it
    server.serve_forever()


if __name__ == "__main__":
    _main()
