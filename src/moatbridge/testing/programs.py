"""A test server as a process of its own: started on a free port, and surely ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

LAST: Final = 2000
"""Characters of what a program said that an error shows."""

_LINGERS: Final = 5.0
_LOOK: Final = 0.02


@contextlib.contextmanager
def program(
    command: Sequence[str],
    *,
    host: str = "127.0.0.1",
    within: float = 60.0,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Start a program on a free port, and end it afterwards, whatever happened.

    For example::

        with program([sys.executable, "server.py", "{port}", token]) as port:
            ...

    It runs in a process group of its own, which is asked to end, and killed after five
    seconds. Where its standard input ends, the program that started it is gone.

    Args:
        command: The program and its arguments; ``{port}`` in them is replaced by the
            port it shall listen on.
        host: Where it listens.
        within: Seconds until it must listen.
        cwd: Where it runs; None means here.
        env: More environment variables, beside the ones there are.

    Yields:
        The port, where somebody listens now.

    Raises:
        RuntimeError: It ended, or did not listen in time; with the last it said.
    """
    port = _free(host)
    words = [word.replace("{port}", str(port)) for word in command]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - the test's author names it
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _until_it_listens(process, (host, port), within, said)
            yield port
        finally:
            _end(process)


def _free(host: str) -> int:
    """A port where nobody listens; it may be somebody's until the program has it."""
    with socket.create_server((host, 0)) as server:
        port: int = server.getsockname()[1]
    return port


def _until_it_listens(
    process: subprocess.Popen[bytes],
    address: tuple[str, int],
    within: float,
    said: IO[bytes],
) -> None:
    end = time.monotonic() + within
    while process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(address, timeout=within).close()
            return
        if time.monotonic() > end:
            msg = f"The program does not listen on port {address[1]} after {within} s"
            raise RuntimeError(f"{msg}; it said: {_last(said)}")
        threading.Event().wait(_LOOK)
    msg = f"The program ended by itself ({process.returncode}) before it listened"
    raise RuntimeError(f"{msg}; it said: {_last(said)}")


def _last(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read().decode(errors="replace").strip()[-LAST:] or "nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    """It and what it started; a pid that was waited for is nobody's any more."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_LINGERS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin is not None:
        process.stdin.close()
