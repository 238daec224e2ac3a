"""What both ends have in common: people and orders, and how a server dies.

A record is a key and a word: a person's login and family name, an order's number and
title. Every change gives a word that was never there before, so an effect that happened
twice can be told from two effects.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass, field

LOCAL = {"allow_networks": ["127.0.0.0/8"], "max_label": "confidential"}
REMOVE = {"deletes": "remove", "i_know": "deletes are final"}
NAMES = ("userName", "name.givenName", "name.familyName", "emails[type=work].value")
START = 60.0


@dataclass
class Found:
    """What an end holds, read round our adapter.

    Args:
        words: Key -> word.
        doubled: Keys whose effect happened more than once.
        repeats: Effects that were asked for again and changed nothing.
    """

    words: dict[str, str]
    doubled: list[str] = field(default_factory=list)
    repeats: int = 0


class End:
    """One system; a context manager.

    Its stream and flow say how it is configured; ``secrets`` go into the environment.
    """

    entity = "Person"
    durable = False

    def __init__(self, folder):
        self.folder = folder
        self.secrets = {}
        self.flow = {}
        self.more_streams = {}

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    def start(self):
        """Start its server, if it has one."""

    def stop(self):
        """Stop it."""

    def die(self, chance):
        """Die by SIGKILL and come back over the same data, where that lasts.

        A server that keeps all in memory stands still for a while instead.
        """
        return False


def freeze(process, seconds):
    """A server that does not answer for a while."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)  # the fault itself, not a wait for something
        finally:
            os.kill(process.pid, signal.SIGCONT)


def back(start):
    """Start a killed server again: what it left behind may need a moment to go."""
    until = time.monotonic() + START
    while True:
        try:
            return start()
        except (RuntimeError, OSError):
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def person(source, *, many=False):
    """The translator of a stream of people: fields for `NAMES`, and the shown name."""
    paths = dict(zip(NAMES, source, strict=True)) | {"displayName": source[0]}
    if many:
        paths = {path: {"from": name, "pick": "min"} for path, name in paths.items()}
    return {"entity": "Person", "fields": paths}
