"""Who we are to the guard."""

from __future__ import annotations

import getpass
import os
import socket


def principal() -> str:
    """Who we are to the guard: the user of the operating system, and the host.

    Taken from the process itself, never from the environment, which anyone can set.
    """
    return f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    try:
        import pwd  # noqa: PLC0415 - not on every system
    except ImportError:
        return getpass.getuser()
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid{os.getuid()}"
