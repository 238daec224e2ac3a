"""A help desk's people on node-soap, with a back door for the tests.

`desk_server` is the fixture. The package is installed by ``scripts/node-soap``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOME = Path(__file__).parent
_ROOT = _HOME.parents[2]


class DeskServer:
    """The service as a child process; stopped by pid."""

    username = "moatbridge"
    wsdl = _HOME / "desk.wsdl"

    def __init__(self) -> None:
        self.password = secrets.token_hex(8)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/desk"

    def control(self, name: str, value: Any = None) -> Any:
        """Reach its data without SOAP."""
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        ) as connection:
            connection.request("POST", f"/control/{name}", json.dumps(value))
            return json.loads(connection.getresponse().read() or "null")

    def __enter__(self) -> Self:
        subprocess.run([_ROOT / "scripts" / "node-soap"], check=True)
        modules = _ROOT / ".tools" / "node-soap" / "node_modules"
        self._process = subprocess.Popen(
            ["node", _HOME / "desk.js", modules, _HOME, self.username, self.password],
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self._process.stdout.readline().strip()
        if not line.isdigit():
            self.stop()
            raise RuntimeError("the desk did not start")
        self.port = int(line)
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Terminate, wait, kill."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def desk_server() -> Iterator[DeskServer]:
    """One desk for the whole run."""
    with DeskServer() as server:
        yield server
