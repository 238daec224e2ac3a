"""A real SCIM 2.0 server (``scim2-server``, in memory), and plain reads from it.

Everything here goes round our own SCIM adapter on purpose: what the demo verifies, it
reads with the standard library's HTTP.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import secrets
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from moatbridge.demo.servers.programs import Missing, Program, free_port

if TYPE_CHECKING:
    from pathlib import Path

_MAIN: Final = (
    "import socketserver; from scim2_server.testserver.cli import main; "
    "socketserver.StreamRequestHandler.disable_nagle_algorithm = True; main()"
)
"""Without Nagle's algorithm: the server sends head and body apart, and it would hold
the second one back for 40 ms."""
_PAGE: Final = 500
_ERROR: Final = 400


class ScimServer:
    """``scim2-server`` as a child process on a free loopback port.

    Args:
        home: Folder for its log.

    Raises:
        Missing: The package is not installed.
    """

    def __init__(self, home: Path) -> None:
        if importlib.util.find_spec("scim2_server") is None:
            raise Missing("scim2-server", "scim2-server from PyPI")
        self._home = home
        self.token: str = secrets.token_hex(16)
        self.port: int = free_port()
        self._program: Program | None = None

    @property
    def url(self) -> str:
        """Base URL of the API."""
        return f"http://127.0.0.1:{self.port}/v2"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._home.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, "-c", _MAIN, "--hostname", "127.0.0.1",
            "--port", str(self.port), "--bearer-token", self.token,
        ]  # fmt: skip
        self._program = Program(
            command, log=self._home / "scim.log", answers=self._answers
        )

    def stop(self) -> None:
        """Stop it; what it held is gone."""
        if self._program is not None:
            self._program.stop()

    def users(self) -> list[dict[str, Any]]:
        """Every account, page by page (RFC 7644 section 3.4.2.4)."""
        return self._all("/Users")

    def groups(self) -> list[dict[str, Any]]:
        """Every group with its members."""
        return self._all("/Groups")

    def count_users(self) -> int:
        """How many accounts there are, without reading them."""
        return int(self._call("GET", "/Users?count=0")["totalResults"])

    def edit(self, user_id: str, **values: Any) -> None:
        """What a person does in the profile page: replace attributes of an account."""
        operations = [
            {"op": "add", "path": path, "value": value}
            for path, value in values.items()
        ]
        urn = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
        body = {"schemas": [urn], "Operations": operations}
        self._call("PATCH", f"/Users/{user_id}", body)

    def _all(self, endpoint: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            query = f"{endpoint}?startIndex={len(found) + 1}&count={_PAGE}"
            page = self._call("GET", query)
            resources = page.get("Resources") or []
            found += resources
            if not resources or len(found) >= int(page["totalResults"]):
                return found

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with closing(connection):
            headers = {
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/scim+json",
            }
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/v2{path}", content, headers)
            answer = connection.getresponse()
            text = answer.read()
        if answer.status >= _ERROR:
            raise OSError(f"{method} answered {answer.status}")
        return json.loads(text) if text else None

    def _answers(self) -> bool:
        try:
            self._call("GET", "/ServiceProviderConfig")
        except OSError:
            return False
        return True
