"""A keyed target in a process of its own, which may die right after an effect.

``python -m crash.target FOLDER NUMBER``: dies when the NUMBER-th intent has taken
effect and nobody has been told.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Client, Listener
from pathlib import Path

from crash import loop, world
from moatbridge.errors import NotApplied, OutcomeUnknown
from moatbridge.testing import MemoryAdapter

SOCKET = "target.sock"


class RemoteAdapter(world.LoggedAdapter):
    """Reads the target's file, and writes through its process."""

    name = "remote"

    def write(self, stream, intents):
        path = self.config.path.parent / SOCKET
        connection = _connected(path)
        with connection:
            try:
                connection.send((stream, list(intents)))
                return connection.recv()
            except (EOFError, OSError):
                words = "The target died before it answered."
                raise OutcomeUnknown(words, code="remote.died") from None


def _connected(path):
    """It is being started again just now, if nobody listens."""
    until = time.monotonic() + 20.0
    while True:
        try:
            return Client(str(path))
        except OSError:
            if time.monotonic() >= until:
                words = "The target is not there."
                raise NotApplied(words, code="remote.gone") from None
            time.sleep(0.01)


class Dying(MemoryAdapter):
    """Dies when so many intents have taken effect."""

    left = 0

    def write(self, stream, intents):
        receipts = []
        for intent in intents:
            receipts += super().write(stream, [intent])
            Dying.left -= 1
            if Dying.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return receipts


def start(folder, number):
    """Start it, and wait until it listens."""
    (folder / SOCKET).unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "crash.target", str(folder), str(number)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([loop.TESTS, *sys.path])},
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"listening\n"
    return process


def main(folder, number):
    Dying.left = number
    adapter = Dying(Dying.Config(path=folder / "target.db"), {})
    adapter.open()
    with Listener(str(folder / SOCKET)) as listener:
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        while True:
            with listener.accept() as connection:
                stream, intents = connection.recv()
                connection.send(adapter.write(stream, intents))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
