"""asyncssh as the second SFTP implementation, in a thread on a free loopback port.

It differs from OpenSSH where it matters: answers come in another order (each request is
a task), and other status codes for the same refusal. `AsyncSsh` starts and stops it without
pytest; `asyncssh_server` is the fixture.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import asyncssh
import pytest

from servers.openssh import held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.adapter import Secret

USER, PASSWORD = "partner", "partner-drop-password-7"
_TURNS = 10
"""Turns of the event loop until what was aborted is closed."""


class AsyncSsh:
    """One server that shows a folder of its own as ``/``.

    ``with AsyncSsh() as server`` starts it; afterwards nothing of it is left.

    Args:
        more: Further arguments of ``asyncssh.listen`` (``encryption_algs`` ...).
    """

    def __init__(self, **more: Any) -> None:
        self.drop = Path(tempfile.mkdtemp(prefix="moat-asyncssh-"))
        self.port = 0
        self._more = more
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._end: asyncio.Event | None = None
        self._failed: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(60) or self._failed is not None:
            raise RuntimeError("asyncssh did not start") from self._failed
        return self

    def __exit__(self, *error: object) -> None:
        if self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(60)
        shutil.rmtree(self.drop, ignore_errors=True)

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", self.port

    def url(self, folder: str = "") -> str:
        """The url of a folder below the drop."""
        return f"sftp://{USER}@127.0.0.1:{self.port}/{folder}"

    def auth(self) -> dict[str, Secret]:
        """What goes into the ``auth`` table."""
        return {"password": held(PASSWORD)}

    def fingerprint(self) -> str:
        """``SHA256:...`` of the host key."""
        return str(self._key.get_fingerprint("sha256"))

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - told by the starter
            self._failed = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        drop = str(self.drop)
        # asyncssh closes no file of a client that is gone without a farewell.
        files: dict[Any, list[Any]] = {}
        live: set[asyncssh.SSHServerConnection] = set()

        class Jailed(asyncssh.SFTPServer):
            def __init__(self, chan: asyncssh.SSHServerChannel[Any]) -> None:
                super().__init__(chan, chroot=drop)
                self._files = files.setdefault(chan.get_connection(), [])

            def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
                self._files.append(super().open(path, pflags, attrs))
                return self._files[-1]

        class Login(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                self._connection = conn
                live.add(conn)

            def connection_lost(self, exc: Exception | None) -> None:
                live.discard(self._connection)
                for file in files.pop(self._connection, ()):
                    file.close()

            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                return (username, password) == (USER, PASSWORD)

        listening = await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Login, server_host_keys=[self._key],
            sftp_factory=Jailed, **self._more,
        )  # fmt: skip
        self.port = listening.get_port()
        self._ready.set()
        await self._end.wait()
        listening.close()
        await listening.wait_closed()
        # A client may be gone for a moment only: its end has to be seen to first.
        while live:
            for connection in tuple(live):
                connection.abort()
                await connection.wait_closed()
        for _ in range(_TURNS):
            await asyncio.sleep(0)


@pytest.fixture(scope="session")
def asyncssh_server() -> Iterator[AsyncSsh]:
    """A running server."""
    with AsyncSsh() as server:
        yield server
