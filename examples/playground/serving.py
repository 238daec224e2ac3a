"""What the playground's servers share: a folder for secrets, and an end by Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from moatbridge.demo.servers import Failed, Missing

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path("playground")


def fresh(name: str) -> Path:
    """A folder of ours that does not exist any more."""
    FOLDER.mkdir(exist_ok=True)
    shutil.rmtree(FOLDER / name, ignore_errors=True)
    return FOLDER.absolute() / name


def keep(name: str, secret: str) -> None:
    """Write a secret to a file that only we may read."""
    FOLDER.mkdir(exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(FOLDER / name, flags, 0o600), "w") as file:
        file.write(secret)


def kept(name: str) -> str:
    """A secret that `keep` wrote."""
    return (FOLDER / name).read_text()


def serve(start: Callable[[], None], stop: Callable[[], None]) -> int:
    """Start a server, and stop it at Ctrl-C or SIGTERM.

    Args:
        start: Starts it and says where it is.
        stop: Stops it; may be called at any time.
    """
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        start()
        print("Ctrl-C stops it.", flush=True)
        while not ended.wait(0.2):
            pass
    except (Missing, Failed) as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    finally:
        stop()
    return 0
