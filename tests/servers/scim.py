"""A real SCIM 2.0 server (scim2-server, in memory) on a free loopback port."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

START = 60.0
TRIES = 5


class ScimServer:
    """``scim2-server`` as a child process; stopped by pid.

    Usable outside pytest::

        with ScimServer() as server:
            ...  # server.base_url, server.token

    Args:
        announce: Parts of the ServiceProviderConfig to announce otherwise, such as
            ``{"patch": {"supported": False}}``.
    """

    def __init__(self, announce: dict[str, Any] | None = None) -> None:
        self.token = secrets.token_hex(16)
        self._announce = announce or {}
        self._files = contextlib.ExitStack()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v2"

    @property
    def endpoint(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def start(self) -> Self:
        for tries in range(1, TRIES + 1):
            self._spawn()
            try:
                self._await()
            except BaseException as error:
                died = self._process.poll() is not None
                self.stop()
                # Somebody else may have taken the port since it was free.
                if tries == TRIES or not died or not isinstance(error, RuntimeError):
                    raise
            else:
                break
        return self

    def _spawn(self) -> None:
        self.port = _free_port()
        self._process = subprocess.Popen(
            [
                *_command(),
                "--port",
                str(self.port),
                "--bearer-token",
                self.token,
                *self._config(),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        """Terminate, wait, kill."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
        self._files.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One plain request below ``/v2``, round our own client; the parsed answer."""
        connection = http.client.HTTPConnection(*self.endpoint, timeout=60)
        with contextlib.closing(connection):
            headers = {
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/scim+json",
            }
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/v2{path}", content, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= 400:
                raise RuntimeError(
                    f"{method} {path}: {answer.status} {text.decode()[:300]}"
                )
            return json.loads(text) if text else None

    def all(self, endpoint: str) -> list[dict[str, Any]]:
        """Every resource below an endpoint."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.call(
                "GET", f"{endpoint}?count=1000&startIndex={len(found) + 1}"
            )
            found += page.get("Resources") or []
            if not page.get("Resources") or len(found) >= page["totalResults"]:
                return found

    def clear(self) -> None:
        """Delete everything."""
        for endpoint in ("/Groups", "/Users"):
            for resource in self.all(endpoint):
                self.call("DELETE", f"{endpoint}/{quote(resource['id'], safe='')}")

    def create_many(self, endpoint: str, resources: list[dict[str, Any]]) -> None:
        """Create quickly, by bulk requests of 500."""
        for start in range(0, len(resources), 500):
            operations = [
                {"method": "POST", "path": endpoint, "bulkId": str(n), "data": resource}
                for n, resource in enumerate(resources[start : start + 500])
            ]
            urn = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
            answer = self.call(
                "POST", "/Bulk", {"schemas": [urn], "Operations": operations}
            )
            assert all(str(done["status"]) == "201" for done in answer["Operations"])

    def _config(self) -> list[str]:
        if not self._announce:
            return []
        folder = Path(self._files.enter_context(tempfile.TemporaryDirectory()))
        file = folder / "config.json"
        file.write_text(json.dumps(_DEFAULT | self._announce))
        return ["--service-provider-config", str(file)]

    def _await(self) -> None:
        until = time.monotonic() + START
        while True:
            with contextlib.suppress(OSError):
                self.call("GET", "/ServiceProviderConfig")
                return
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("scim2-server did not start")
            time.sleep(0.02)  # the poll interval of a condition with a deadline


_DEFAULT: dict[str, Any] = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
    "patch": {"supported": True},
    "bulk": {"supported": True, "maxOperations": 1000, "maxPayloadSize": 1048576},
    "filter": {"supported": True, "maxResults": 1000},
    "changePassword": {"supported": True},
    "sort": {"supported": True},
    "etag": {"supported": True},
}


def _command() -> list[str]:
    # It writes the head and the body of an answer apart: two small packets, of which
    # Nagle's algorithm holds the second back for 40 ms.
    main = (
        "import socketserver; from scim2_server.testserver.cli import main; "
        "socketserver.StreamRequestHandler.disable_nagle_algorithm = True; main()"
    )
    return [sys.executable, "-c", main, "--hostname", "127.0.0.1"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
