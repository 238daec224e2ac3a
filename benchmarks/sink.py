"""A SCIM-shaped platform in a process of its own that keeps ids and counts, no contents.

`sftp_bridge` sends it four million people: with their contents, as ``harness/sink.py``
keeps them, they would fill the machine. Speaks enough of RFC 7644 for the scim adapter:
discovery, filters on externalId and userName, POST, PATCH and Bulk.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
CONFIG = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
    "patch": {"supported": True},
    "bulk": {"supported": True, "maxOperations": 100, "maxPayloadSize": 4_000_000},
    "filter": {"supported": True, "maxResults": 200},
    "etag": {"supported": False},
    "sort": {"supported": False},
    "changePassword": {"supported": False},
    "authenticationSchemes": [],
}
TERM = re.compile(r'(externalId|userName|id) eq "([^"]*)"')


class Sink(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.lock = threading.Lock()
        self.by_external: dict[str, int] = {}
        self.requests = 0
        self.operations = 0
        self.repeats = 0

    def create(self, user: dict) -> tuple[int, str]:
        external = user.get("externalId") or user["userName"]
        with self.lock:
            self.operations += 1
            if external in self.by_external:
                self.repeats += 1
                return 409, ""
            self.by_external[external] = len(self.by_external) + 1
            return 201, str(self.by_external[external])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Sink

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, *_args: object) -> None:
        pass

    def answer(self, status: int, body: dict | None = None) -> None:
        raw = json.dumps(body or {}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/scim+json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def body(self) -> dict:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def do_GET(self) -> None:
        path = urlsplit(self.path)
        if path.path == "/stats":
            with self.server.lock:
                stats = {
                    "requests": self.server.requests,
                    "operations": self.server.operations,
                    "repeats": self.server.repeats,
                    "records": len(self.server.by_external),
                }
            self.answer(200, stats)
            return
        self.server.requests += 1
        if path.path == "/ServiceProviderConfig":
            self.answer(200, CONFIG)
        elif path.path == "/Users":
            wanted = [
                v for _a, v in TERM.findall(parse_qs(path.query).get("filter", [""])[0])
            ]
            found = [
                {
                    "schemas": [USER],
                    "id": str(self.server.by_external[v]),
                    "externalId": v,
                    "userName": v,
                }
                for v in wanted
                if v in self.server.by_external
            ]
            self.answer(
                200,
                {
                    "schemas": [LIST],
                    "totalResults": len(found),
                    "startIndex": 1,
                    "itemsPerPage": len(found),
                    "Resources": found,
                },
            )
        else:
            self.answer(404)

    def do_POST(self) -> None:
        self.server.requests += 1
        body = self.body()
        if self.path == "/Users":
            status, ident = self.server.create(body)
            self.answer(
                status, {**body, "id": ident} if ident else {"scimType": "uniqueness"}
            )
            return
        done = []
        for operation in body["Operations"]:
            status, ident = self.server.create(operation["data"])
            done.append(
                {
                    "method": "POST",
                    "bulkId": operation["bulkId"],
                    "status": str(status),
                    "location": f"/Users/{ident}",
                }
            )
        self.answer(
            200,
            {
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkResponse"],
                "Operations": done,
            },
        )

    def do_PATCH(self) -> None:
        self.server.requests += 1
        self.body()
        self.answer(200)


class Counting:
    """That process, and what it counted."""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "0"], stdout=subprocess.PIPE, text=True
        )
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        return self

    def __exit__(self, *_exc: object) -> None:
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/stats") as answer:
            return json.load(answer)


if __name__ == "__main__":
    sink = Sink(int(sys.argv[1]))
    print(sink.server_address[1], flush=True)
    sink.serve_forever()
