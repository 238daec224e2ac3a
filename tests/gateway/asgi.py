"""Calls an ASGI app directly: what a host framework would do."""

from __future__ import annotations

import asyncio


async def ask(
    app, path, *, method="GET", headers=(), body=b"", root_path="", client="127.0.0.1"
):
    """(status, headers, body) of one request."""
    sent = []
    given = [(b"host", b"127.0.0.1"), *headers]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": root_path, "headers": given, "client": (client, 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        if parts:
            return parts.pop()
        return await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    head = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], head, b"".join(m.get("body", b"") for m in sent[1:])
