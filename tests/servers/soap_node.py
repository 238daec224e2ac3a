"""A real HR service on node-soap (npm), for tests: attributes, choice, ``xsd:any``.

`hr_server` is the fixture. The package is installed by ``scripts/node-soap``.
"""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]
_HOME = Path(__file__).parent / "soap"


class HrServer:
    """The service as a child process; stopped by pid."""

    username = "moatbridge"

    def __init__(self) -> None:
        self.password = secrets.token_hex(8)

    @property
    def wsdl(self) -> Path:
        """Its WSDL, which advertises an address that does not exist."""
        return _HOME / "hr.wsdl"

    def endpoint(self, *, soap12: bool = False) -> str:
        return f"http://127.0.0.1:{self.port}/hr{'12' if soap12 else ''}"

    def __enter__(self) -> Self:
        subprocess.run([_ROOT / "scripts" / "node-soap"], check=True)
        modules = _ROOT / ".tools" / "node-soap" / "node_modules"
        self._process = subprocess.Popen(
            ["node", _HOME / "hr.js", modules, _HOME, self.username, self.password],
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self._process.stdout.readline().strip()
        if not line.isdigit():
            self.stop()
            raise RuntimeError("the HR service did not start")
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
        with contextlib.suppress(OSError):
            self._process.stdout.close()


@pytest.fixture(scope="session")
def hr_server() -> Iterator[HrServer]:
    """One HR service for the whole run."""
    with HrServer() as server:
        yield server
